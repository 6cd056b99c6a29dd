"""GET and HEAD of the root and of folders: the listing as a page, JSON or bare links, and the pages' assets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from flask import Request, Response, abort, redirect
from pymongo.errors import ExecutionTimeout
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from ...http.filenames import clean
from ...http.headers import IMMUTABLE, NO_STORE
from ...mimetype import guess
from ...service.multipart import no_name_left
from ...service.options import Options
from ...service.quota import quota_for
from ...service.rights import may, permit, visibility_of
from ...store import ORDERS, is_descending
from ..arguments import folder
from ..pages import assets, urls
from ..pages import render as pages
from ..target import Target
from . import listing
from .listing import listing_query

_MAX_COUNTED = 1000  # files
_REMEMBERED = {
    "view": {"table", "tiles"},
    "order": {sign + order for sign in ("", "-") for order in ("name", *ORDERS)},
}


def asset(options: Options, request: Request, target: Target) -> BaseResponse:
    """Send a style sheet, script or picture of our pages; for good if the URL names this release."""
    name = request.args["asset"]
    content = assets.ASSETS.get(name)
    if content is None:
        abort(404)
    packed = request.accept_encodings.quality("gzip") > 0
    response = Response(assets.PACKED[name] if packed else content, mimetype=guess(name))
    response.vary.add("Accept-Encoding")
    response.last_modified = assets.MODIFIED
    response.set_etag(f"{assets.VERSION}-gzip" if packed else assets.VERSION)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    is_current = request.args.get("v") == assets.VERSION
    response.headers["Cache-Control"] = f"max-age={IMMUTABLE}, immutable" if is_current else "no-cache"
    return response.make_conditional(request)


def get(options: Options, request: Request, target: Target) -> BaseResponse:
    """Send the listing of a folder, or of everything."""
    pages.check_reachable(options)
    if "filename" not in (request.view_args or {}) and not request.path.endswith("/"):  # not dot segments
        return redirect_to_slash(request)
    top = folder(target) or ""
    permit(options, "list", top or None)
    if new := request.args.get("new"):
        return redirect(urls.index({**listing_query(request.args), "folder": _new_folder(top, new)}), 303)
    args = _remembered(request) if pages.is_browser() else request.args
    data = listing.build(options.bucket(), args, target, options.keys, visibility_of(options), sort=pages.is_browser())
    if pages.prefers_json():
        quota = quota_for(options, top)
        return pages.page("listing.html", data if quota is None else {**data, "quota": quota._asdict()})
    template = "listing.html" if pages.is_browser() else "index.html"
    carried = listing_query({**args, "folder": data["folder"] or "" if data["q"] else ""})
    more = {**listing.links(args, data, carried), **choices(options, data)}
    part = data["next"] is not None or "cursor" in args
    return pages.page(template, data, view=args.get("view"), asked=args.get("order"), part=part, **more)


def _remembered(request: Request) -> MultiDict[str, str]:
    """Return the query, with the view and the order that the visitor chose last, if it names none."""
    args = request.args.copy()
    if "cursor" not in args:  # which is of one order
        for name, values in _REMEMBERED.items():
            value = request.cookies.get(f"uploads_{name}")
            if value in values:
                args.setdefault(name, value)
    return args


def count(options: Options, request: Request, target: Target) -> BaseResponse:
    """Count the files below a folder that the client may see, up to 1,000."""
    top = folder(target) or ""
    permit(options, "list", top or None)
    found = options.bucket().list(limit=_MAX_COUNTED, prefix=top, shown=visibility_of(options))
    files = [row for row in found.rows if row.file.filename != top or not row.file.marks_folder]
    return pages.json_of({"files": len(files), "more": found.next is not None})


def _new_folder(top: str, name: str) -> str:
    """Return the folder with this *name* in *top*: it is created with its first upload."""
    cleaned = clean(top + name)
    if len(cleaned) <= len(top):
        abort(400, no_name_left(name))
    return f"{cleaned}/"


def choices(options: Options, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be done with files that are selected in a listing."""
    names = [*(file["filename"] for file in data["files"]), *(folder["name"] for folder in data["folders"])]
    may_delete = not options.read_only and any(may(options, "delete", name) for name in names)
    return {
        "trash": _shows_trash(options, may_delete, is_empty=not names),
        "descending": is_descending(data["order"]),
        "may_delete_some": may_delete,
        "uploader": options.uploaded_by,
        "share": options.share,
        "upload_links": options.upload_links,
    }


def _shows_trash(options: Options, may_delete: bool, *, is_empty: bool) -> bool:
    """Whether a listing leads to the trash: if the client may delete something of it, or it is empty, of the trash."""
    bucket = options.bucket()
    if not bucket.collections.trash or options.read_only or options.via is not None or not is_empty:
        return bool(bucket.collections.trash) and may_delete
    try:
        return bool(bucket.trash(limit=1, shown=partial(may, options, "delete")).rows)
    except ExecutionTimeout:  # too much that the client may not delete
        return False


def redirect_to_slash(request: Request) -> BaseResponse:
    """Redirect to the folder's URL with a trailing slash; relatively, as a proxy may have removed a prefix."""
    segment = quote(request.path.rpartition("/")[2], safe="")
    query = request.query_string.decode("ascii", "replace")
    answer = redirect(f"{segment}/?{query}" if query else f"{segment}/", 308)
    answer.headers["Cache-Control"] = NO_STORE  # a file may get the name
    return answer
