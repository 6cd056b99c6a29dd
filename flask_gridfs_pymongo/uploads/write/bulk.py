"""``POST /?delete`` and ``POST /?move``: deleting and moving files that were selected in the listing.

The form's ``id`` fields name versions; each stands for all versions of its name. A browser is first sent to a page
that asks, ``GET /?delete&selected=ID,ID``, whose form sends the same with the field ``sure``. For moving, the field
``to`` is the folder.
"""

from __future__ import annotations

from flask import Request, abort, redirect
from werkzeug.wrappers import Response

from ...service.bodies import small_form
from ...service.operations import complete_rename, inspect_renamed, rename_many
from ...service.options import Options
from ...service.rights import permit
from ...service.texts import Message, gettext, ngettext
from ...signals import file_deleted, send
from ...store import StoredFile
from .. import pages
from ..arguments import files_of
from ..pages import flash, urls
from ..read.listing import listing_query
from ..selection import may_know
from ..target import Target
from .file import clean_or_400

_MAX_SELECTED = 1000  # files
_MAX_URL_LENGTH = 3000  # characters: gunicorn accepts a request line of 4,094


def delete(options: Options, request: Request, target: Target) -> Response:
    """Delete all versions of the files that the form names; all are permitted before the first one is deleted."""
    bucket, form = options.bucket(), small_form(request)
    ids = form.getlist("id")
    files = _files(options, ids)
    for file in files:
        permit(options, "delete", file.filename)
    if pages.is_browser() and "sure" not in form:
        question = urls.index({**listing_query(request.args), "delete": "", "selected": ",".join(ids)})
        # One can come back to a page that has a URL; where it would be too long, the page is the answer itself.
        return redirect(question, 303) if len(question) <= _MAX_URL_LENGTH else _question(request, files)
    for file, count in zip(files, bucket.delete_all_many(files), strict=True):
        if count:
            send(file_deleted, file=file, versions=count)
    text = ngettext("%(num)s file was deleted.", "%(num)s files were deleted.", len(files)) + _lost(ids, files)
    return flash.redirect(_listing(request), text) if pages.is_browser() else pages.empty(204)


def question(options: Options, request: Request, target: Target) -> Response:
    """Ask before the files ``?selected`` are deleted."""
    pages.check_reachable(options)
    files = _files(options, request.args.get("selected", "").split(","))
    for file in files:
        permit(options, "delete", file.filename)
    return _question(request, files)


def _question(request: Request, files: list[StoredFile]) -> Response:
    named = [pages.identify(file, key=file.key) for file in files]
    return pages.page("selected.html", {"files": named}, kept=listing_query(request.args))


def move(options: Options, request: Request, target: Target) -> Response:
    """Move the files into a folder, each under the last part of its name; names that are taken there stay."""
    form = small_form(request)
    ids = form.getlist("id")
    selected = _files(options, ids)
    folder = request.args["move"] or form.get("to", "")
    targets = dict[str, str]()
    for file in selected:
        last = file.filename.rstrip("/").rpartition("/")[2]
        targets[file.filename] = clean_or_400(f"{folder}/{last}", file)
    files = [file for file in selected if targets[file.filename] != file.filename]
    for file in files:
        for action, name in (("read", file.filename), ("delete", file.filename), ("write", targets[file.filename])):
            permit(options, action, name)
    for file in selected:
        if file not in files and file.renamed_from is not None:  # the same request put it there, and broke off
            permit(options, "write", file.filename)
            complete_rename(options, file.renamed_from, file.filename)
    for file in files:
        inspect_renamed(options, file, targets[file.filename])
    outcomes = rename_many(options, [(file, targets[file.filename]) for file in files])
    moved = [outcome for outcome in outcomes.values() if isinstance(outcome, StoredFile)]
    taken = [targets[name] for name, outcome in outcomes.items() if isinstance(outcome, FileExistsError)]
    lost = [file for file in files if isinstance(outcomes[file.filename], FileNotFoundError)]
    for outcome in outcomes.values():
        if isinstance(outcome, Exception) and not isinstance(outcome, (FileExistsError, FileNotFoundError)):
            raise outcome
    if lost and not moved and not taken:
        abort(404, "The file was deleted meanwhile.")
    if not pages.is_browser():
        return pages.json_of({"files": [pages.describe(file) for file in moved], "taken": taken})
    text = ngettext("%(num)s file was moved.", "%(num)s files were moved.", len(moved))
    if taken:
        text += " " + gettext("These names are taken: %(names)s.", names=", ".join(taken))
    if stay := len(selected) - len(files):
        text += " " + ngettext("%(num)s file is there already.", "%(num)s files are there already.", stay)
    text += _lost(ids, [file for file in selected if file not in lost])
    return flash.redirect(_listing(request), text)


def _listing(request: Request) -> str:
    return urls.index(listing_query(request.args))


def _lost(ids: list[str], files: list[StoredFile]) -> str:
    """Say how many of the files that were selected no longer exist."""
    count = len(set(ids)) - len(files)
    return " " + ngettext("%(num)s no longer exists.", "%(num)s no longer exist.", count) if count > 0 else ""


def _files(options: Options, keys: list[str]) -> list[StoredFile]:
    """Return the files with these ids, without those whose existence the client may not know."""
    bucket = options.bucket()
    if not 1 <= len(keys) <= _MAX_SELECTED:
        abort(400, Message("Select at least one file, and not more than %(count)s.", count=_MAX_SELECTED))
    named = [file for file in files_of(keys, bucket) if file.named]
    files = {file.filename: file for file in named if may_know(options, "delete", file.filename)}
    if not files:
        abort(404, "There is no such file or version.")
    return list(files.values())
