"""``POST /NAME?move=NEW`` gives a file another name, ``?copy=NEW`` stores its content under a second one.

The new name is cleaned like a form's, and its folders are made by naming them. It may also come as the form's field
``to``, as our pages send it. Neither ever replaces a file: where the new name is taken the answer is 409.
"""

from __future__ import annotations

from flask import Request, abort
from werkzeug.wrappers import Response

from ...service.bodies import small_form
from ...service.operations import after_save, name_taken, rename
from ...service.options import Options
from ...service.receive import save_copy
from ...service.rights import permit
from ...service.texts import gettext
from ...store import StoredFile
from .. import pages
from ..pages import flash
from ..read.listing import listing_query
from ..selection import select
from ..target import Target
from .file import clean_or_400


def move(options: Options, request: Request, target: Target) -> Response:
    """Rename all versions of a file; permanent links to them still work."""
    if target.is_version:
        abort(400, "All versions of a file move together: send it without ?version and ?id.")
    file, new = _asked(options, request, target, "move")
    permit(options, "delete", file.filename)
    try:
        moved = rename(options, file, new)
    except FileExistsError:
        abort(409, name_taken(new))
    except FileNotFoundError:
        abort(404, "It was deleted meanwhile.")
    return _answer(request, moved, gettext("%(old)s is now %(new)s.", old=file.filename, new=new))


def copy(options: Options, request: Request, target: Target) -> Response:
    """Store a revision, with its type and metadata, as the first version of a new name."""
    file, new = _asked(options, request, target, "copy")

    def check(newest: StoredFile | None) -> None:
        if newest is not None:
            abort(409, name_taken(new))

    check(options.bucket().newest(new))
    saved = save_copy(options, file, new, check)
    after_save(options, saved)
    return _answer(request, saved, gettext("%(new)s is a copy of %(old)s.", old=file.filename, new=new))


def _asked(options: Options, request: Request, target: Target, flag: str) -> tuple[StoredFile, str]:
    """Return the file that the URL names, and the clean new name; it may be read, and the new name written."""
    to = request.args[flag] or small_form(request, options.upload_timeout).get("to")
    file = select(options, request, target, "read")
    if not file.named:
        abort(400, "This file has no name that could be changed or copied.")
    new = clean_or_400(to)
    permit(options, "write", new)
    return file, new


def _answer(request: Request, file: StoredFile, text: str) -> Response:
    if pages.is_browser():
        return flash.redirect(pages.url_of(file, {"details": "", **listing_query(request.args)}) or "", text)
    return pages.created(pages.describe(file), pages.url_of(file))
