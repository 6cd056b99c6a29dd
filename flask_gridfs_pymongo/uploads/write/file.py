"""PUT, POST and DELETE: new versions, restored ones, and deletion.

What a query flag asks of a POST is a row of a table: ``?restore`` makes an old version the newest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flask import Request, Response, abort, url_for
from werkzeug.wrappers import Response as BaseResponse

from ...http import origin
from ...http.filenames import clean, compose
from ...service.operations import check_preconditions, stored
from ...service.options import Options
from ...service.receive import PartlyStored, nothing_left, save_body, save_copy, save_form
from ...service.rights import permit
from ...service.texts import Message, gettext, ngettext
from ...signals import file_deleted, file_saved, tell
from ...store import StoredFile
from .. import pages
from ..arguments import folder, folder_of_path
from ..pages import flash
from ..read.listing import kept
from ..target import names_one, select
from .metadata import edit

_Answer = Callable[[Options, Request, "str | None"], BaseResponse]


def put(options: Options, request: Request, filename: str | None) -> Response:
    """Store the body as the newest version of a name."""
    name = clean_or_400(filename)
    if name != compose(filename or ""):
        abort(400, Message("PUT does not rewrite names: this one would be stored as %(name)s.", name=repr(name)))
    if "Content-Range" in request.headers or names_one(request):
        abort(400, "PUT stores a whole new version: send it without Content-Range, ?version and ?id.")
    permit(options, "write", name)
    file, followed = save_body(request, options, name, check=partial(check_preconditions, "PUT", request.headers))
    stored(options, file)
    fields = {"Content-Location": pages.permanent_url(file) or "", "ETag": f'"{file.etag}"'}
    if followed is None:
        return pages.empty(201, fields | {"Location": pages.url_of(file) or ""})
    return pages.empty(204, fields)


def delete(options: Options, request: Request, filename: str | None) -> Response:
    """Delete one version where the URL names one, else all of them."""
    file = select(options, request, filename, "delete")
    check_preconditions(request.method, request.headers, file)
    bucket = options.bucket()
    deleted = bucket.delete_many([file.id]) if names_one(request) else bucket.delete_all(file)
    if not deleted:
        abort(404, "It was deleted meanwhile.")
    tell(file_deleted, file=file, versions=deleted)
    return pages.empty(204)


def post(options: Options, request: Request, filename: str | None) -> BaseResponse:
    """Take a form: files to store, or what a button of our pages sends."""
    answer = next((answer for flag, answer in _FLAGS.items() if flag in request.args), _upload)
    return answer(options, request, filename)


def _upload(options: Options, request: Request, filename: str | None) -> BaseResponse:
    after = request.args.get("next")
    if after is not None and not origin.is_local(after):
        abort(400, "?next must be a path of this site, such as /profile.")
    name = None if filename is None else clean_or_400(filename)
    check = None if name is None else partial(check_preconditions, request.method, request.headers)
    try:
        saved = save_form(request, options, filename=name, folder=folder(request) or "", check=check)
    except PartlyStored as partly:
        for file in partly.files:
            tell(file_saved, file=file)
        names = ", ".join(repr(file.filename) for file in partly.files)
        abort(503, Message("The database failed when only these files were stored: %(names)s.", names=names))
    text = ngettext("%(name)s was added.", "%(num)s files were added.", len(saved), name=saved[0].filename)
    shown = request.path if folder_of_path(request) else url_for(".index", **kept(request.args))
    return _saved(options, saved, after or shown, text)


def _restore(options: Options, request: Request, filename: str | None) -> BaseResponse:
    file = select(options, request, filename, "read")
    if not file.named:
        abort(400, "This file has no name under which it could be the newest version.")
    permit(options, "write", file.filename)
    saved = save_copy(options, file, file.filename, lambda newest: None)
    text = gettext("An older version of %(name)s is the newest again.", name=saved.filename)
    return _saved(options, [saved], pages.url_of(saved, details="", **kept(request.args)) or "", text)


def _delete(options: Options, request: Request, filename: str | None) -> BaseResponse:
    deleted = delete(options, request, filename)
    if not pages.is_browser():
        return deleted
    left = filename is not None and options.bucket().count(filename, limit=1)
    query = kept(request.args)
    if left:
        text = gettext("A version of %(name)s was deleted.", name=filename)
        return flash.redirect(url_for(".file", filename=filename, details="", **query), text)
    if not query.keys() & {"folder", "flat", "prefix", "q"}:
        query["folder"] = "".join((filename or "").rpartition("/")[:2]) or None
    return flash.redirect(url_for(".index", **query), gettext("%(name)s was deleted.", name=filename))


_FLAGS: dict[str, _Answer] = {"delete": _delete, "metadata": edit, "restore": _restore}


def _saved(options: Options, saved: list[StoredFile], after: str, text: str) -> BaseResponse:
    """Answer with new files; a browser is redirected to the page *after*, which shows *text*."""
    for file in saved:
        stored(options, file)
    if pages.is_browser():
        return flash.redirect(after, text)
    data = {"files": [pages.describe(file) for file in saved]}
    return pages.created(data, pages.url_of(saved[0]) if len(saved) == 1 else None)


def clean_or_400(filename: str | None) -> str:
    """Return *filename* cleaned; abort with 400 where nothing of it is left."""
    cleaned = clean(filename or "")
    if not cleaned:
        abort(400, nothing_left(filename))
    return cleaned
