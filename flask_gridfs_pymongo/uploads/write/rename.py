"""``POST /NAME?move=NEW`` renames a file, ``?copy=NEW`` copies it.

The new name is cleaned like that of an upload; folders in it need not exist. A form sends it as the field ``to``, or
in two, as our pages do: ``folder`` and ``name``. Neither ever replaces a file: a name that is taken is a 409.
"""

from __future__ import annotations

from flask import Request, abort
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException, NotFound, PreconditionFailed
from werkzeug.wrappers import Response

from ...http.response import is_conditional
from ...service.bodies import small_form
from ...service.operations import after_save, check_preconditions, complete_rename, inspect_renamed, name_taken, rename
from ...service.options import Options
from ...service.quota import check_renames, check_space
from ...service.receive import save_copy
from ...service.rights import permit
from ...service.texts import gettext
from ...store import StoredFile
from ..pages import flash
from ..pages import render as pages
from ..read.listing import listing_query
from ..selection import check_again, meant, select
from ..target import Target
from .file import clean_or_400


def move(options: Options, request: Request, target: Target) -> Response:
    """Rename all versions of a file; permanent links to them still work."""
    if target.is_version:
        abort(400, "All versions of a file move together: send the request without ?version and ?id.")
    try:
        file = _named_file(options, request, target)
    except (NotFound, PreconditionFailed):
        if moved := _moved_before(options, request, target):
            return _answer(request, moved, gettext("%(old)s is now %(new)s.", old=target.name, new=moved.filename))
        raise
    permit(options, "delete", file.filename)
    new = _new_name(options, request, "move", file)
    check_renames(options, [(file.filename, new)])
    inspect_renamed(options, file, new)
    try:
        moved = rename(options, file, new, lambda newest: check_preconditions(request.method, request.headers, newest))
    except FileExistsError:
        abort(409, name_taken(new))
    except FileNotFoundError:
        abort(404, "The file was deleted meanwhile.")
    return _answer(request, moved, gettext("%(old)s is now %(new)s.", old=file.filename, new=new))


def copy(options: Options, request: Request, target: Target) -> Response:
    """Copy a version, with its type and metadata, to a new name."""
    file = _named_file(options, request, target)
    new = _new_name(options, request, "copy", file)

    def check(newest: StoredFile | None) -> None:
        if newest is not None:
            abort(409, name_taken(new))
        check_again(options, request, target, file)

    if options.bucket().newest(new) is not None:
        abort(409, name_taken(new))
    check_space(options, [(new, file.length)])
    saved = save_copy(options, file, new, check)
    after_save(options, saved)
    return _answer(request, saved, gettext("%(new)s is a copy of %(old)s.", old=file.filename, new=new))


def _named_file(options: Options, request: Request, target: Target) -> StoredFile:
    """Return the file that the URL names, which may be read."""
    file = select(options, request, target, "read")
    if not file.named:
        abort(400, "This file has no name, and cannot be renamed or copied.")
    return file


def _moved_before(options: Options, request: Request, target: Target) -> StoredFile | None:
    """Complete the same request, which broke off after the newest version had its new name; None: it did not."""
    names = meant(options, "read", target.name or "")
    try:
        for name in names:
            permit(options, "delete", name)
        new = _new_name(options, request, "move", None)
    except HTTPException:
        return None
    there = options.bucket().newest(new)
    if there is None or (is_conditional(request.headers) and there.renamed_from not in names):
        return None
    check_preconditions(request.method, request.headers, there)
    return next(filter(None, (complete_rename(options, name, new) for name in names)), None)


def _new_name(options: Options, request: Request, flag: str, file: StoredFile | None) -> str:
    """Return the new name of *file*, cleaned, which may be written: the URL's, or else the form's."""
    form = MultiDict[str, str]() if request.args[flag] else small_form(request)
    in_folder = f"{form.get('folder', '')}/{form['name']}" if form.get("name") else None
    new = clean_or_400(request.args[flag] or form.get("to") or in_folder, file)
    permit(options, "write", new)
    return new


def _answer(request: Request, file: StoredFile, text: str) -> Response:
    if pages.is_browser():
        return flash.redirect(pages.url_of(file, {"details": "", **listing_query(request.args)}) or "", text)
    return pages.created(pages.describe(file), pages.url_of(file))
