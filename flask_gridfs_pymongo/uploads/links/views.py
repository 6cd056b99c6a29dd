"""Answering requests by a link, whose token is the first segment of their path: ``/~TOKEN`` and ``/~TOKEN/NAME``.

A link for uploads is a page with a place to drop files on. A POST of a form or a tus upload to it, or a PUT of
``/~TOKEN/NAME``, stores into a subfolder of its own, so that nobody learns what is there. An upload URL takes a PUT or
a tus upload of one file. The views are those of every other request, with other options: see :mod:`.rights`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flask import Request, abort, request
from werkzeug.routing import BaseConverter, PathConverter
from werkzeug.wrappers import Response

from ...http import cors
from ...http.filenames import clean
from ...http.headers import NO_STORE
from ...service.multipart import no_name_left
from ...service.options import Options, answer_by
from ...store import Link, StoredFile
from ..pages import render as pages
from ..pages import urls
from ..read import index
from ..target import Kind, Target, retarget, target_of
from ..views import Route
from ..views import answer as answer_by_table
from ..write.file import store_body, store_form
from . import share, signed
from .rights import ENDED, EVERY_ORIGIN, ByLink, adding, check_use

_VISIT = len("2026-12-01-0123456789ab/")  # characters of the name of a subfolder
_PREFLIGHT = {"Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}
_PRIVATE = {"Cache-Control": NO_STORE, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


class Token(BaseConverter):
    """A token in the path of a URL: of a stored link, or a signed one."""

    regex = urls.LINK
    weight = 50  # before names of files


class Below(PathConverter):
    """What follows a token, also if it begins with a slash: else the token would be taken for a part of a name."""

    regex = ".+?"
    part_isolating = False


CONVERTERS = {"uploads_token": Token, "uploads_below": Below}


def answer(options: Options, token: str) -> Response:
    """Answer the current request by the link with this *token*."""
    current: Request = request._get_current_object()  # type: ignore[attr-defined]
    try:
        return _answer(options, current, token)
    except Exception:
        current.path = current.path.replace(token, "...")  # which Flask logs, if nobody handles the error
        raise


def _answer(options: Options, current: Request, token: str) -> Response:
    if current.method == "OPTIONS" and "Access-Control-Request-Method" in current.headers:
        return pages.empty(204, _PREFLIGHT)  # a browser would tell its page no reason for a refusal
    target = target_of(current)
    if "asset" in current.args and current.method in ("GET", "HEAD"):
        return index.asset(options, current, target)
    link = _find(options, current, token)
    if link.status != "valid" and (link.status != "used up" or target.kind is not Kind.UPLOAD):
        abort(410, ENDED[link.status])
    check_use(options, link)
    use = _USES["file" if link.kind == "share" and share.is_file(link.path) else link.kind]
    by = use.options(options, link)
    answer_by(str(current.blueprint), by)
    if target.kind is not Kind.UPLOAD or not by.resumable:
        retarget(current, use.target(by, current, target))
    return answer_by_table(by, use.table)


def _find(options: Options, request: Request, token: str) -> Link:
    pages.check_reached(options)
    bucket, blueprint = options.bucket(), str(request.blueprint)
    link = signed.verify(bucket, blueprint, token) if "." in token else bucket.links.find(token)
    if link is None or link.blueprint != blueprint or link.kind not in _USES:
        abort(404, "This link is not valid.")
    return link


def mark(request: Request, response: Response) -> Response:
    """Keep the token of a link out of caches and referrers, and let pages of every origin read the response."""
    if "link_token" not in (request.view_args or {}):
        return response
    fields = cors.fields(request.method, request.headers, EVERY_ORIGIN, response.headers.get("Allow"))
    fields.pop("Access-Control-Allow-Credentials", None)
    response.headers.update(fields | _PRIVATE)
    response.vary.add("Origin")
    response.headers.pop("Content-Location", None)  # a URL at which a link for uploads shows nothing
    return response


def _page(options: Options, request: Request, target: Target) -> Response:
    """Show what the link takes, and a place to drop files on."""
    pages.check_reachable(options)
    limits = {"expires": _link(options).expires.isoformat(), "max_size": options.max_size, "types": options.types}
    return pages.page("link.html", limits, files=[], visit=secrets.token_urlsafe(12))


def _add(options: Options, request: Request, target: Target) -> Response:
    """Store the files of a form."""
    receipt = _receipt(options, store_form(options, request, target))
    if not pages.is_browser():
        return pages.created(receipt)
    return pages.page("link.html", receipt, status=201, visit=secrets.token_urlsafe(12))


def _put(options: Options, request: Request, target: Target) -> Response:
    """Store the body."""
    return pages.created(_receipt(options, [store_body(options, request, target).file]))


def _receipt(options: Options, files: Sequence[StoredFile]) -> dict[str, Any]:
    """Return what was stored, by the names that its sender gave: neither where, nor whether a name was taken."""
    link = _link(options)
    start = len(link.path) + _VISIT if link.kind == "upload" else 0
    return {
        "files": [{"filename": file.filename[start:], "length": file.length, "sha256": file.sha256} for file in files]
    }


def _link(options: Options) -> Link:
    assert isinstance(options, ByLink)  # noqa: S101  for type checkers
    return options.link


def _in_subfolder(options: ByLink, request: Request, target: Target) -> Target:
    """Return the target in the folder of the link, below a folder for this visit of its page, or this request."""
    visit = request.args.get("visit") or secrets.token_urlsafe(12)
    own = hashlib.sha256(f"{options.link.id} {visit}".encode()).hexdigest()[:12]  # nobody chooses it
    top = f"{options.link.path}{options.bucket().collections.clock.now():%Y-%m-%d}-{own}/"
    if target.name is None:
        below = clean(target.folder or "")
        return Target(Kind.ROOT, folder=f"{top}{below}/" if below else top)
    if not (name := clean(target.name)):
        abort(400, no_name_left(target.name))
    return Target(Kind.FILE, clean(top + name))


def _by_name(options: ByLink, request: Request, target: Target) -> Target:
    """Return the file that an upload URL is for."""
    if target.path:
        abort(404, "This link is not valid.")
    return Target(Kind.FILE, options.link.path)


class _Use(NamedTuple):
    """How requests by one kind of links are answered."""

    options: Callable[[Options, Link], ByLink]
    """returns what the link permits"""
    target: Callable[[ByLink, Request, Target], Target]
    """returns what the URL names"""
    table: Sequence[Route]


_USES = {
    "upload": _Use(
        adding,
        _in_subfolder,
        (
            Route("GET", (Kind.ROOT,), None, _page, False),
            Route("POST", (Kind.ROOT,), None, _add),
            Route("PUT", (Kind.FILE,), None, _put),
        ),
    ),
    "share": _Use(share.reading_folder, lambda options, request, target: target, share.FOLDER_ROUTES),
    "file": _Use(share.reading_file, share.newest, share.FILE_ROUTES),
    "put": _Use(adding, _by_name, (Route("PUT", (Kind.FILE,), None, _put),)),
}
