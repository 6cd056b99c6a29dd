"""``POST /NAME?move=NEW`` gives a file another name, ``?copy=NEW`` stores its content under a second one.

The new name is cleaned like a form's, and its folders are made by naming them. It may also come as the form's field
``to``, as our pages send it. Neither ever replaces a file: where the new name is taken the answer is 409.
"""

from __future__ import annotations

from flask import Request, abort
from werkzeug.wrappers import Response

from ..signals import file_changed, tell
from ..store import StoredFile
from . import notices, pages
from .bodies import small_form
from .listings import kept
from .options import Options
from .receive import save_copy
from .rights import permit
from .selection import names_one, select
from .texts import Message, gettext
from .writing import clean_or_400, stored


def move(options: Options, request: Request, filename: str | None) -> Response:
    """Rename all versions of a file; permanent links to them still work."""
    if names_one(request):
        abort(400, "All versions of a file move together: send it without ?version and ?id.")
    file, new = _asked(options, request, filename, "move")
    permit(options, "delete", file.filename)
    moved = rename(options, file, new)
    return _answer(request, moved, gettext("%(old)s is now %(new)s.", old=file.filename, new=new))


def rename(options: Options, file: StoredFile, new: str) -> StoredFile:
    """Rename a file and tell of it; abort with 409 where *new* is taken, with 404 where the file is gone."""
    bucket = options.bucket()
    try:
        bucket.rename(file.filename, new)
    except FileExistsError:
        abort(409, taken(new))
    except FileNotFoundError:
        abort(404, "It was deleted meanwhile.")
    moved = bucket.newest(new)
    if moved is None:
        abort(404, "It was deleted meanwhile.")
    tell(file_changed, file=moved)
    return moved


def copy(options: Options, request: Request, filename: str | None) -> Response:
    """Store a revision, with its type and metadata, as the first version of a new name."""
    file, new = _asked(options, request, filename, "copy")

    def check(newest: StoredFile | None) -> None:
        if newest is not None:
            abort(409, taken(new))

    check(options.bucket().newest(new))
    saved = save_copy(options, file, new, check)
    stored(options, saved)
    return _answer(request, saved, gettext("%(new)s is a copy of %(old)s.", old=file.filename, new=new))


def taken(name: str) -> Message:
    """Say that a name is taken."""
    return Message("There is a file with the name %(name)s already; nothing was changed.", name=repr(name))


def _asked(options: Options, request: Request, filename: str | None, flag: str) -> tuple[StoredFile, str]:
    """Return the file that the URL names, and the clean new name; it may be read, and the new name written."""
    to = request.args[flag] or small_form(request, options.upload_timeout).get("to")
    file = select(options, request, filename, "read")
    if not file.named:
        abort(400, "This file has no name that could be changed or copied.")
    new = clean_or_400(to)
    permit(options, "write", new)
    return file, new


def _answer(request: Request, file: StoredFile, text: str) -> Response:
    if pages.is_browser():
        return notices.redirect(pages.url_of(file, {"details": "", **kept(request.args)}) or "", text)
    return pages.created(pages.describe(file), pages.url_of(file))
