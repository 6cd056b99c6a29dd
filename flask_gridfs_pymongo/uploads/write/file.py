"""PUT, POST and DELETE of a file: new versions, restoring old ones, and deleting.

Each function answers a row of :data:`.views.ROUTES`; a POST without a flag of its own is an upload by a form.
"""

from __future__ import annotations

from functools import partial

from flask import Request, Response, abort
from werkzeug.wrappers import Response as BaseResponse

from ...http.filenames import clean, compose
from ...service.multipart import no_name_left
from ...service.operations import after_save, check_preconditions, deletion
from ...service.options import Options
from ...service.quota import check_space
from ...service.receive import PartlyStored, save_body, save_copy, save_form
from ...service.rights import permit
from ...service.texts import Message, gettext, ngettext
from ...signals import file_saved, send, send_deleted
from ...store import Deletion, Saved, StoredFile, folders_of
from ..arguments import folder, following
from ..pages import flash, urls
from ..pages import render as pages
from ..read.listing import listing_query
from ..selection import check_again, select
from ..target import Kind, Target


def put(options: Options, request: Request, target: Target) -> Response:
    """Store the body as the newest version of a name."""
    file, followed = store_body(options, request, target)
    fields = {"Content-Location": pages.permanent_url(file) or "", "ETag": f'"{file.etag}"'}
    if followed is None:
        return pages.empty(201, fields | {"Location": pages.url_of(file) or ""})
    return pages.empty(204, fields)


def store_body(options: Options, request: Request, target: Target) -> Saved:
    """Store the body of a PUT as the newest version of the name that its URL names."""
    name = clean_or_400(target.name)
    if name != compose(target.name or ""):
        abort(400, Message("PUT does not change names: this one would be stored as %(name)s.", name=repr(name)))
    if "Content-Range" in request.headers or target.is_version:
        abort(400, "PUT stores a whole new version: send it without Content-Range, ?version and ?id.")
    permit(options, "write", name)
    saved = save_body(request, options, name, check=partial(check_preconditions, "PUT", request.headers))
    after_save(options, saved.file)
    return saved


def delete(options: Options, request: Request, target: Target) -> Response:
    """Delete the version that the URL names, else all versions."""
    _delete(options, request, target)
    return pages.empty(204)


def _delete(options: Options, request: Request, target: Target) -> Deletion | None:
    file = select(options, request, target, "delete")
    bucket = options.bucket()
    act = deletion(options)
    deleted = bucket.delete_versions([file], act) if target.is_version else bucket.delete_all(file, act)
    if not deleted:
        abort(404, "The file was deleted meanwhile.")
    send_deleted(bucket, [file], [deleted])
    return act


def upload(options: Options, request: Request, target: Target) -> BaseResponse:
    """Store the files of a form: one under the name of the URL, or any number in its folder under their own names."""
    after = following(request.args)
    saved = store_form(options, request, target)
    text = ngettext("%(name)s was added.", "%(num)s files were added.", len(saved), name=saved[0].filename)
    listing = request.path if target.kind is Kind.FOLDER else urls.index(listing_query(request.args))
    return _saved(saved, after or listing, text)


def store_form(options: Options, request: Request, target: Target) -> list[StoredFile]:
    """Store the files of a form where its URL says."""
    name, top = None if target.name is None else clean_or_400(target.name), folder(target) or ""
    check = None if name is None else partial(check_preconditions, request.method, request.headers)
    try:
        saved = save_form(request, options, filename=name, folder=top, check=check)
    except PartlyStored as partly:
        for file in partly.files:
            send(file_saved, file=file)
        names = ", ".join(repr(file.filename.removeprefix(top)) for file in partly.files)  # as they were sent
        abort(503, Message("The database failed after only these files were stored: %(names)s.", names=names))
    for file in saved:
        after_save(options, file)
    return saved


def restore(options: Options, request: Request, target: Target) -> BaseResponse:
    """Store the content of an old version as the newest one."""
    file = select(options, request, target, "read")
    if not file.named:
        abort(400, "This file has no name under which it could be restored.")
    permit(options, "write", file.filename)
    check_space(options, [(file.filename, file.length)])
    saved = save_copy(options, file, file.filename, lambda newest: check_again(options, request, target, file))
    text = (
        gettext("Version %(number)s restored.", number=options.bucket().number(file) + 1) if pages.is_browser() else ""
    )
    after_save(options, saved)
    return _saved([saved], pages.url_of(saved, {"details": "", **listing_query(request.args)}) or "", text)


def delete_by_form(options: Options, request: Request, target: Target) -> BaseResponse:
    """Delete as :func:`delete` does, and redirect a browser to the versions that are left, else to the listing."""
    act = _delete(options, request, target)
    if not pages.is_browser():
        return pages.empty(204)
    filename = target.name
    query = listing_query(request.args)
    if filename is not None and options.bucket().count(filename, limit=1):
        if act:
            text = gettext("A version of %(name)s was moved to the trash.", name=filename)
        else:
            text = gettext("A version of %(name)s was deleted.", name=filename)
        return flash.redirect(urls.file(filename, {"details": "", **query}), text, act and act.at)
    if not query.keys() & {"folder", "flat", "prefix", "q"}:
        query["folder"] = next(reversed(folders_of(filename or "")), None)
    if act:
        text = gettext("%(name)s was moved to the trash.", name=filename)
    else:
        text = gettext("%(name)s was deleted.", name=filename)
    return flash.redirect(urls.index(query), text, act and act.at)


def _saved(saved: list[StoredFile], after: str, text: str) -> BaseResponse:
    """Describe new files in the response; redirect a browser to *after*, a page that shows *text*."""
    if pages.is_browser():
        return flash.redirect(after, text)
    data = {"files": [pages.describe(file) for file in saved]}
    return pages.created(data, pages.url_of(saved[0]) if len(saved) == 1 else None)


def clean_or_400(filename: str | None, file: StoredFile | None = None) -> str:
    """Return *filename* cleaned; abort with 400 if nothing of it is left.

    :param file: to which it is given; if that marks a folder, so does the name
    """
    cleaned = clean(filename or "")
    if not cleaned:
        abort(400, no_name_left(filename))
    return f"{cleaned}/" if file is not None and file.marks_folder else cleaned
