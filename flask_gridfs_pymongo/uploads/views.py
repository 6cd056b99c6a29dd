"""The view of both rules: a table says which function answers a request.

A row is a method, the kinds of targets, and a flag of the query: ``POST /NAME?move=NEW`` is :func:`.write.rename.move`.
``OPTIONS``, ``Allow`` and the behaviour of a read-only blueprint follow from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flask import Request, abort, request
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Response

from ..http import tus as protocol
from ..http.metadata import PATCH_TYPE
from ..http.response import is_conditional
from ..service.guard import check_encoding, check_origin
from ..service.options import Options
from .links import manage
from .pages import render as pages
from .read import archive, index, signed_links, variant
from .read import file as read
from .read import trash as trashed
from .target import Kind, Target, target_of
from .tus import views as tus
from .write import bulk, metadata, rename, trash
from .write import file as write

_LISTED = (Kind.ROOT, Kind.FOLDER, Kind.UPLOAD)  # without resumable uploads ?upload means nothing
_ONE = (Kind.FILE, Kind.ID)
_ALL = (*_LISTED, *_ONE)
_BY_PATH = (*_LISTED, Kind.FILE)  # ?id would mean nothing
_WITH_HEAD = {"GET": ["GET", "HEAD"]}


class Route(NamedTuple):
    """A row of the table."""

    method: str
    """``GET`` includes HEAD"""
    kinds: tuple[Kind, ...]
    flag: str | None
    """a key that the query must have; None: any query"""
    answer: Callable[[Options, Request, Target], Response]
    changes: bool = True
    """whether it changes what is stored, and is missing in a read-only blueprint"""


# The first row that matches answers.
ROUTES = (
    Route("GET", _LISTED, "asset", index.asset, False),
    Route("GET", _LISTED, "signed", read.signed, False),
    Route("GET", _LISTED, "zip", archive.of_folder, False),
    Route("GET", _LISTED, "count", index.count, False),
    Route("GET", _LISTED, "discard", trash.question),
    Route("GET", _LISTED, "trash", trashed.get),
    Route("GET", _LISTED, "selected", bulk.question),
    Route("GET", _LISTED, "links", manage.of_folder),
    Route("GET", _LISTED, None, index.get, False),
    Route("GET", _ONE, "delete", read.confirmation, False),
    Route("GET", _ONE, "signed", read.signed, False),
    Route("GET", _ONE, "versions", read.versions, False),
    Route("GET", _ONE, "details", read.details, False),
    Route("GET", _ONE, "variant", variant.get, False),
    Route("GET", _ONE, None, read.get, False),
    Route("POST", _BY_PATH, "zip", archive.of_selection, False),
    Route("POST", _ALL, "share", signed_links.share, False),
    Route("POST", _LISTED, "trash", trash.change),
    Route("POST", _LISTED, "links", manage.add),
    Route("POST", _LISTED, "revoke", manage.revoke),
    Route("POST", _LISTED, "move", bulk.move),
    Route("POST", _LISTED, "copy", bulk.copy),
    Route("POST", _LISTED, "delete", bulk.delete),
    Route("POST", _ONE, "move", rename.move),
    Route("POST", _ONE, "copy", rename.copy),
    Route("POST", _ONE, "delete", write.delete_by_form),
    Route("POST", _ALL, "metadata", metadata.edit),
    Route("POST", _ALL, "restore", write.restore),
    Route("POST", _BY_PATH, None, write.upload),
    Route("PUT", (Kind.FILE,), None, write.put),
    Route("PATCH", (Kind.ROOT, *_ONE), None, metadata.patch),
    Route("DELETE", _ONE, None, write.delete),
)


def answer(options: Options, table: Sequence[Route] = ROUTES) -> Response:
    """Answer the current request, whatever its method and target, by a row of *table*."""
    current: Request = request._get_current_object()  # type: ignore[attr-defined]
    target = target_of(current)
    check_encoding(current)
    if target.kind is Kind.UPLOAD and options.resumable:
        return tus.answer(options, current, target)
    check_origin(current, options.trusted_origins)
    if options.resumable and tus.is_creation(current):
        return tus.create(options, current, target)
    method = "GET" if current.method == "HEAD" else current.method
    routes = [route for route in table if _fits(route, options, current, target)]
    if any(route.method == "POST" and not route.changes for route in routes):  # ?zip and ?share change nothing
        routes = [route for route in routes if not route.changes]
    if found := next((route for route in routes if route.method == method), None):
        if found.flag != "asset":
            pages.check_reached(options)
        if method == "POST" and target.kind not in _ONE and is_conditional(current.headers):
            abort(400, "If-Match and other preconditions are about one file, and this URL does not name one.")
        return found.answer(options, current, target)
    if target.kind is Kind.FOLDER and method in ("PUT", "PATCH", "DELETE") and not options.read_only:
        abort(400, "A URL that ends with a slash is a folder, which has no content of its own.")
    methods = dict.fromkeys(name for route in routes for name in _WITH_HEAD.get(route.method, [route.method]))
    allowed = [*methods, "OPTIONS"]
    if method != "OPTIONS":
        raise MethodNotAllowed(allowed)
    fields = protocol.options(options.max_size) if options.resumable else {}
    if "PATCH" in methods:
        fields["Accept-Patch"] = PATCH_TYPE
    return pages.empty(204, {"Allow": ", ".join(allowed)} | fields)


def _fits(route: Route, options: Options, request: Request, target: Target) -> bool:
    return (
        target.kind in route.kinds
        and (route.flag is None or route.flag in request.args)
        and not (route.changes and options.read_only)
        and (route.method != "PATCH" or bool(options.metadata))
    )
