"""The view of both rules: it finds the function that answers.

A table has a row for each method, another one for each query flag of a POST: ``?move=NEW`` is :func:`.rename.move`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Request, abort, request
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Response

from ..http import origin, tus
from ..http.metadata import PATCH_TYPE
from ..service.guard import check_encoding
from ..service.options import Options
from . import pages
from .arguments import folder_of_path
from .read import archive, links
from .read import file as reading
from .tus import views as resuming
from .write import bulk as selected
from .write import file as writing
from .write import metadata
from .write import rename as moving

_Answer = Callable[[Options, Request, "str | None"], Response]
_READING: dict[str, _Answer] = {"GET": reading.get, "HEAD": reading.get}
_OF_ROOT: dict[str, _Answer] = {**_READING, "POST": writing.post}
_OF_ID: dict[str, _Answer] = {**_OF_ROOT, "DELETE": writing.delete}
_OF_FILE: dict[str, _Answer] = {**_OF_ROOT, "PUT": writing.put, "DELETE": writing.delete}
_WITH_METADATA: dict[str, _Answer] = {"PATCH": metadata.patch}
# What changes nothing, though it is asked for with a POST: read-only applications have it, too.
_ASKED: dict[str, _Answer] = {"zip": archive.of_selection, "share": links.share}
# What a POST does with one file, and with those that its form names.
_WITH_ONE: dict[str, _Answer] = {"move": moving.move, "copy": moving.copy}
_WITH_SEVERAL: dict[str, _Answer] = {"move": selected.move, "delete": selected.delete}


class Uploads:
    """The view of one blueprint, with what the application decided for it."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def view(self, filename: str | None = None, **variables: Any) -> Response:
        """Answer every request: for one name, or for the root, or a folder, where *filename* is None.

        :param variables: those of a ``url_prefix`` such as ``/<user>/files``; ``authorize`` finds them in
            ``request.view_args``
        """
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        options = self.options
        check_encoding(current)
        if options.resumable and resuming.is_upload(current, filename):
            return resuming.answer(options, current)
        is_folder = folder_of_path(current) is not None
        if is_folder:
            filename = None
        host = current.headers.get("Host", "")  # Request.host is empty for a name with an underscore
        if not origin.allowed(current.method, current.headers, host, options.trusted_origins):
            abort(403, origin.refusal(current.headers, host))
        methods = _methods(options, current, filename)
        if is_folder and current.method in ("PUT", "PATCH", "DELETE") and not options.read_only:
            abort(400, "A URL that ends in a slash is a folder, which has no content of its own.")
        if answer := methods.get(current.method):
            return answer(options, current, filename)
        allowed = [*methods, "OPTIONS"]
        if current.method == "OPTIONS":
            fields = tus.options(options.max_size) if options.resumable else {}
            if "PATCH" in methods:
                fields["Accept-Patch"] = PATCH_TYPE
            return pages.empty(204, {"Allow": ", ".join(allowed)} | fields)
        raise MethodNotAllowed(allowed)


def _methods(options: Options, request: Request, filename: str | None) -> dict[str, _Answer]:
    if asked := _named(_ASKED, request):
        return {**_READING, "POST": asked}
    if options.read_only:
        return _READING
    if options.resumable and resuming.is_creation(request):
        return {"POST": resuming.create}
    methods = _OF_FILE if filename is not None else _OF_ID if "id" in request.args else _OF_ROOT
    if changing := _named(_WITH_SEVERAL if methods is _OF_ROOT else _WITH_ONE, request):
        return {**methods, "POST": changing}
    return {**methods, **_WITH_METADATA} if [*options.keys] else methods


def _named(answers: Mapping[str, _Answer], request: Request) -> _Answer | None:
    """Return the first answer whose flag is in the query."""
    return next((answer for flag, answer in answers.items() if flag in request.args), None)
