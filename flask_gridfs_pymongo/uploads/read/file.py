"""GET and HEAD of a file: its content, its versions, and its details."""

from __future__ import annotations

from flask import Request, Response, abort
from werkzeug.exceptions import Forbidden, NotFound
from werkzeug.wrappers import Response as BaseResponse

from ...http.headers import IMMUTABLE, Caching
from ...http.response import sends_all
from ...service.download import send
from ...service.operations import is_folder
from ...service.options import Options
from ...service.rights import buttons, visibility_of
from ...store import StoredFile
from ..arguments import number
from ..pages import render as pages
from ..selection import select
from ..target import Target
from . import signed_links
from .index import redirect_to_slash
from .listing import listing_query


def get(options: Options, request: Request, target: Target) -> BaseResponse:
    """Answer with the content of a file, by its name or id."""
    try:
        file = select(options, request, target, "read", first_chunk=sends_all(request))
    except (NotFound, Forbidden):
        if not target.is_version and is_folder(options.bucket(), f"{target.name}/", visibility_of(options)):
            return redirect_to_slash(request)
        raise
    as_attachment = request.args.get("download", "0") != "0" or None
    return _send(options, request, file, caching_of(options, target), as_attachment)


def caching_of(options: Options, target: Target) -> Caching:
    """Return how long caches may keep this URL: by id the content never changes."""
    if target.id is not None:
        return Caching(IMMUTABLE, options.public, immutable=True)
    return Caching(options.cache_for, options.public)


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


def versions(options: Options, request: Request, target: Target) -> Response:
    """Answer with all versions of a file."""
    pages.check_reachable(options)
    file = select(options, request, target, "read")
    found = pages.versions(options.bucket(), file, number(request.args.get("before"), "before"))
    return pages.page("versions.html", found, kept=listing_query(request.args), **buttons(options, file.filename))


def details(options: Options, request: Request, target: Target) -> Response:
    """Answer with the details of a file, as page or JSON."""
    pages.check_reachable(options)
    file = select(options, request, target, "read")
    part = number(request.args.get("part"), "part") or 1
    more = {**buttons(options, file.filename), "kept": listing_query(request.args), "share": options.share}
    return pages.details(options.bucket(), file, options.keys, part, **more)


def confirmation(options: Options, request: Request, target: Target) -> Response:
    """Answer with a page that asks before deleting, for browsers without script."""
    pages.check_reachable(options)
    if options.read_only:
        abort(403, "Nothing can be deleted here: the application made it read_only.")
    file = select(options, request, target, "delete")
    versions = 1 if target.is_version else options.bucket().count(file.filename)
    data = pages.identify(file, versions=versions, single=target.is_version)
    return pages.page("delete.html", data, kept=listing_query(request.args))


def signed(options: Options, request: Request, target: Target) -> Response:
    """Answer with the file of a signed link; the signature takes the place of ``authorize``."""
    bucket = options.bucket()
    link = signed_links.verify(bucket, str(request.blueprint), request.args["signed"])
    file = bucket.get(link.file_id, first_chunk=sends_all(request))
    if file is None or target.name not in (None, file.filename):
        abort(404, "There is no such file or version.")
    answer = _send(options, request, file, Caching(link.left), link.as_attachment)
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer
