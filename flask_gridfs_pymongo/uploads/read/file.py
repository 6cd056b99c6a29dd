"""GET and HEAD: a file, what is known about it, or the listing.

What a query flag asks for is a row of a table: ``?details`` is the page of a file, ``?versions`` lists its versions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Request, Response, abort, redirect
from werkzeug.exceptions import Forbidden, NotFound
from werkzeug.wrappers import Response as BaseResponse

from ...http.headers import IMMUTABLE, NO_STORE, Caching
from ...http.response import sends_all
from ...mimetype import guess
from ...service.download import send
from ...service.operations import is_folder
from ...service.options import Options
from ...service.rights import buttons, may, permit, shown
from ...store import StoredFile
from .. import pages
from ..arguments import folder, number
from ..target import names_one, select
from . import archive, links, listing, variant

_PATIENCE = 0.8  # seconds that a person waits for a database that is away
_ASSETS = {path.name: path for path in (Path(__file__).parent.parent.parent / "static").iterdir()}
_Answer = Callable[[Options, Request, "str | None"], BaseResponse]


def get(options: Options, request: Request, filename: str | None) -> BaseResponse:
    """Answer a GET or HEAD of a name, or of the root where *filename* is None."""
    of_root = filename is None and "id" not in request.args
    flags, otherwise = (_OF_ROOT, _listing) if of_root else (_OF_FILE, _newest)
    answer = next((answer for flag, answer in flags.items() if flag in request.args), otherwise)
    if answer in _PAGES and pages.is_browser():
        options.bucket().collections.check_reachable(_PATIENCE)
    return answer(options, request, filename)


def _asset(options: Options, request: Request, filename: str | None) -> BaseResponse:
    path = _ASSETS.get(request.args["asset"]) or abort(404)
    # Its bytes: a file that is open would stay so where the connection breaks before the server has sent it.
    response = Response(path.read_bytes(), mimetype=guess(path.name))
    response.last_modified = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    response.cache_control.max_age = 3600
    return response.make_conditional(request)


def _listing(options: Options, request: Request, filename: str | None) -> BaseResponse:
    if "filename" not in (request.view_args or {}) and not request.path.endswith("/"):
        return _redirect_to_slash(request)
    permit(options, "list", folder(request) or None)
    data = listing.build(options.bucket(), request, options.metadata, shown(options))
    if pages.prefers_json():
        return pages.page("listing.html", data)
    template = "listing.html" if pages.is_browser() else "index.html"
    deep = data["q"] or data["order"] != "name"  # else each file is in this very folder, as its name says
    carried = listing.kept({**request.args, "folder": data["folder"] or "" if deep else ""})
    return pages.page(template, data, **listing.links(request, data, carried), **_choices(options, data))


def _choices(options: Options, data: Mapping[str, Any]) -> dict[str, Any]:
    """What can be done with the files of a listing that one selects."""
    names = [file["filename"] for file in data["files"]]
    may_delete = not options.read_only and any(may(options, "delete", name) for name in names)
    archives = archive.is_available()
    selectable = archives or may_delete
    return {
        "archives": archives,
        "may_delete_some": may_delete,
        "selectable": selectable,
        "uploader": options.uploaded_by,
    }


def _newest(options: Options, request: Request, filename: str | None) -> BaseResponse:
    try:
        return _download(options, request, filename, Caching(options.cache_for, options.public))
    except (NotFound, Forbidden):
        if "version" not in request.args and is_folder(options.bucket(), f"{filename}/", shown(options)):
            return _redirect_to_slash(request)
        raise


def _redirect_to_slash(request: Request) -> BaseResponse:
    """Answer that the folder's own URL ends in a slash, relatively: a proxy may have cut what stands before."""
    segment = quote(request.path.rpartition("/")[2], safe="")
    query = request.query_string.decode("ascii", "replace")
    answer = redirect(f"{segment}/?{query}" if query else f"{segment}/", 308)
    answer.headers["Cache-Control"] = NO_STORE  # a file may take the name
    return answer


def _permanent(options: Options, request: Request, filename: str | None) -> Response:
    return _download(options, request, filename, Caching(IMMUTABLE, options.public, immutable=True))


def _download(options: Options, request: Request, filename: str | None, caching: Caching) -> Response:
    file = select(options, request, filename, "read", first_chunk=sends_all(request))
    return _send(options, request, file, caching, request.args.get("download", "0") != "0" or None)


def _send(
    options: Options, request: Request, file: StoredFile, caching: Caching, as_attachment: bool | None
) -> Response:
    answer = send(
        request,
        options.bucket(),
        file,
        caching=caching,
        as_attachment=as_attachment,
        inline_types=options.inline_types,
        own_frames_only=True,
    )
    return pages.explain(answer) if answer.status_code >= 400 else answer


def _versions(options: Options, request: Request, filename: str | None) -> Response:
    file = select(options, request, filename, "read")
    found = pages.versions(options.bucket(), file, number(request.args, "before"))
    return pages.page("versions.html", found, kept=listing.kept(request.args), **buttons(options, file.filename))


def _details(options: Options, request: Request, filename: str | None) -> Response:
    file = select(options, request, filename, "read")
    part = number(request.args, "part") or 1
    more = {**buttons(options, file.filename), "kept": listing.kept(request.args), "share": options.share}
    return pages.details(options.bucket(), file, options.metadata, part, **more)


def _confirmation(options: Options, request: Request, filename: str | None) -> Response:
    """Ask before a form deletes anything, where a page runs no script."""
    if options.read_only:
        abort(403, "Nothing can be deleted here: the application made it read_only.")
    file = select(options, request, filename, "delete")
    single = names_one(request)
    versions = 1 if single else options.bucket().count(file.filename)
    return pages.page(
        "delete.html", pages.identify(file, versions=versions, single=single), kept=listing.kept(request.args)
    )


def _linked(options: Options, request: Request, filename: str | None) -> Response:
    """Answer with what a signed link is good for; the signature stands in for ``authorize``."""
    bucket = options.bucket()
    link = links.verify(bucket, str(request.blueprint), request.args["signed"])
    file = bucket.get(link.file_id, first_chunk=sends_all(request))
    if file is None or filename not in (None, file.filename):
        abort(404, "There is no such file or version.")
    answer = _send(options, request, file, Caching(int(link.expires - time.time())), link.as_attachment)
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


_PAGES = (_listing, _versions, _details, _confirmation)
# The first row whose flag is in the query answers.
_OF_ROOT: dict[str, _Answer] = {"asset": _asset, "signed": _linked, "zip": archive.of_folder}
_OF_FILE: dict[str, _Answer] = {
    "delete": _confirmation,
    "signed": _linked,
    "versions": _versions,
    "details": _details,
    "variant": variant.get,
    "id": _permanent,
}
