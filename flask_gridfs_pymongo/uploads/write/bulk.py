"""``POST /?delete``, ``?move`` and ``?copy``: what was selected in the listing, files and folders.

The form's ``id`` fields name versions; each stands for all versions of its name. Its ``folder`` fields name folders,
each for all files below that the client may see. For moving and copying, the field ``to`` is the folder; with ``name``
the one thing that is selected gets this name there. A browser that does not say that it is sure, or where to, is first
sent to a page that asks: ``GET /?delete&selected=ID,ID&folders=photos/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from flask import Request, abort, redirect
from werkzeug.wrappers import Response

from ...service.bodies import small_form
from ...service.operations import after_save, complete_rename, deletion, inspect_renamed, rename_many
from ...service.options import Options
from ...service.quota import check_renames, check_space
from ...service.receive import save_copies
from ...service.rights import may, permit, visibility_of
from ...service.texts import Message, gettext, ngettext
from ...signals import send_deleted
from ...store import StoredFile, parent_of
from ..arguments import MAX_SELECTED, files_of, outer_folders
from ..pages import flash, urls
from ..pages import render as pages
from ..read.listing import listing_query
from ..selection import may_know
from ..target import Target
from .file import clean_or_400

MAX_FILES = 10_000
MAX_URL_LENGTH = 3000  # characters: gunicorn accepts a request line of 4,094
_Names = Mapping[str, str]  # the new names by the old ones
_Outcomes = Mapping[str, StoredFile | Exception]  # by the old names


class _Selected(NamedTuple):
    """What a request names, as far as it exists."""

    files: dict[str, StoredFile]
    """by their names"""
    inside: dict[str, str]
    """for each name below a folder that was selected that folder"""
    folders: list[str]
    ids: list[str]

    @property
    def things(self) -> int:
        """How many were selected: a folder counts as one."""
        return len(set(self.ids)) + len(self.folders)

    def lost(self, found: int) -> str:
        """Say how many of the files that were selected no longer exist."""
        count = len(set(self.ids)) - found
        return " " + ngettext("%(num)s no longer exists.", "%(num)s no longer exist.", count) if count > 0 else ""

    @property
    def by_id(self) -> list[StoredFile]:
        """The files that were selected themselves."""
        return [file for name, file in self.files.items() if name not in self.inside]

    def top(self, name: str) -> str:
        """The folder in which this file, or the folder that was selected, is."""
        return parent_of(self.inside.get(name, name))

    def leaving(self, targets: _Names) -> list[StoredFile]:
        """The files whose new names are others."""
        return [file for name, file in self.files.items() if targets[name] != name]


def select_many(options: Options, action: str, ids: Sequence[str], folders: Sequence[str]) -> _Selected:
    """Find what a request names, without files whose existence the client may not know."""
    bucket = options.bucket()
    if not 1 <= len(ids) + len(folders) <= MAX_SELECTED:
        abort(400, Message("Select at least one file, and not more than %(count)s.", count=MAX_SELECTED))
    named = [file for file in files_of(ids, bucket) if file.named]
    files = {file.filename: file for file in named if may_know(options, action, file.filename)}
    inside: dict[str, str] = {}
    shown, outer = visibility_of(options), outer_folders(folders)
    for folder in outer:
        permit(options, "list", folder)
        for page in bucket.pages(prefix=folder, shown=shown):
            files |= {row.file.filename: row.file for row in page.rows if row.file.named}
            inside |= {row.file.filename: folder for row in page.rows}
            if len(files) > MAX_FILES:
                abort(413, Message("At most %(count)s files can be changed at once.", count=MAX_FILES))
    if not files:
        abort(404, "There is no such file or version.")
    return _Selected(files, inside, outer, list(ids))


def delete(options: Options, request: Request, target: Target) -> Response:
    """Delete all versions of the files that the form names; all are permitted before the first one is deleted."""
    bucket, form = options.bucket(), small_form(request)
    selected = select_many(options, "delete", form.getlist("id"), form.getlist("folder"))
    files = list(selected.files.values())
    for file in files:
        permit(options, "delete", file.filename)
    if pages.is_browser() and "sure" not in form:
        return _ask(options, request, selected, "delete")
    act = deletion(options)
    send_deleted(bucket, files, bucket.delete_all_many(files, act))
    bucket.dav.drop_folders(folder for folder in selected.folders if may(options, "delete", folder))
    if not pages.is_browser():
        return pages.empty(204)
    if act:
        text = ngettext("%(num)s file was moved to the trash.", "%(num)s files were moved to the trash.", len(files))
    else:
        text = ngettext("%(num)s file was deleted.", "%(num)s files were deleted.", len(files))
    text += selected.lost(len(selected.by_id))
    return flash.redirect(urls.index(listing_query(request.args)), text, act and act.at)


def move(options: Options, request: Request, target: Target) -> Response:
    """Move what was selected into a folder, files under the last part of their names; names taken there stay."""
    return _transfer(options, request, "move", _move)


def copy(options: Options, request: Request, target: Target) -> Response:
    """Copy the newest versions of what was selected into a folder; a name that is taken there is no target."""
    return _transfer(options, request, "copy", _copy)


def _transfer(
    options: Options, request: Request, action: str, transfer: Callable[[Options, _Selected, _Names], _Outcomes]
) -> Response:
    """Move or copy what the form names; ask a browser that does not say where to, or looks into another folder."""
    form = small_form(request)
    right = "read" if action == "copy" else "delete"
    selected = select_many(options, right, form.getlist("id"), form.getlist("folder"))
    if not request.args[action] and ("to" not in form or "in" in form) and pages.is_browser():
        return _ask(options, request, selected, action, form.get("in"))
    targets = _targets(selected, request.args[action] or form.get("to", ""), form.get("name"))
    return _answer(request, action, selected, targets, transfer(options, selected, targets))


def _move(options: Options, selected: _Selected, targets: _Names) -> _Outcomes:
    files = selected.leaving(targets)
    for file in files:
        for action, name in (("read", file.filename), ("delete", file.filename), ("write", targets[file.filename])):
            permit(options, action, name)
    for file in selected.files.values():
        if targets[file.filename] == file.filename and file.renamed_from is not None:  # a request that broke off
            permit(options, "write", file.filename)
            complete_rename(options, file.renamed_from, file.filename)
    check_renames(options, [(file.filename, targets[file.filename]) for file in files])
    for file in files:
        inspect_renamed(options, file, targets[file.filename])
    outcomes = rename_many(options, [(file, targets[file.filename]) for file in files])
    options.bucket().dav.move_folders(_folders(options, selected, targets))
    return outcomes


def _copy(options: Options, selected: _Selected, targets: _Names) -> _Outcomes:
    files = selected.leaving(targets)
    for file in files:
        permit(options, "read", file.filename)
        permit(options, "write", targets[file.filename])
    check_space(options, [(targets[file.filename], file.length) for file in files])

    def check(newest: StoredFile | None) -> None:
        if newest is not None:
            raise FileExistsError(newest.filename)

    copies = save_copies(options, [(file, targets[file.filename], check) for file in files])
    for copied in copies:
        if isinstance(copied, StoredFile):
            after_save(options, copied)
    return {file.filename: copied for file, copied in zip(files, copies, strict=True)}


def question(options: Options, request: Request, target: Target) -> Response:
    """Ask before what ``?selected`` and ``?folders`` name is deleted, or where to move or copy it."""
    pages.check_reachable(options)
    action = next((name for name in ("delete", "move") if name in request.args), "copy")
    ids = [key for key in request.args["selected"].split(",") if key]
    selected = select_many(options, "read" if action == "copy" else "delete", ids, request.args.getlist("folders"))
    if action == "delete":
        for name in selected.files:
            permit(options, "delete", name)
    return _question(options, request, selected, action, request.args.get("in"))


def _ask(options: Options, request: Request, selected: _Selected, action: str, place: str | None = None) -> Response:
    query = {**listing_query(request.args), action: "", "selected": ",".join(selected.ids)}
    url = urls.index({**query, "folders": selected.folders, "in": place})
    # One can come back to a page that has a URL; if it would be too long, the page is the answer itself.
    return redirect(url, 303) if len(url) <= MAX_URL_LENGTH else _question(options, request, selected, action, place)


def _question(
    options: Options, request: Request, selected: _Selected, action: str, place: str | None = None
) -> Response:
    """Show the page that asks.

    :param place: the folder whose folders are offered; None: that of the listing
    """
    kept, counts = listing_query(request.args), Counter(selected.inside.values())
    data = {
        "files": [pages.identify(file, key=file.key) for file in selected.by_id],
        "folders": [{"name": folder, "count": counts[folder]} for folder in selected.folders],
    }
    if action == "delete":
        return pages.page("selected.html", data, kept=kept)
    place = kept.get("folder", "") if place is None else place
    place = place if may(options, "list", place or None) else ""
    found = options.bucket().folder(place, limit=MAX_SELECTED, shown=visibility_of(options))
    children = [] if found is None else [one for one in found.folders if one not in selected.folders]
    return pages.page("place.html", {**data, "in": place, "children": children}, kept=kept, action=action)


def _targets(selected: _Selected, to: str, new: str | None) -> _Names:
    """Return the new name of each file.

    :param new: the name of the one thing that was selected
    """
    if new is not None and selected.things != 1:
        abort(400, "A new name is for one file or folder.")
    if any(f"{to.strip('/')}/".startswith(folder) for folder in selected.folders):
        abort(400, "A folder cannot be put into itself.")
    targets = {}
    for name, file in selected.files.items():
        rest = name[len(selected.top(name)) :]
        if new is not None:
            _, slash, deeper = rest.partition("/") if selected.folders else (rest, "", "")
            rest = f"{clean_or_400(new)}{slash}{deeper}"
        targets[name] = clean_or_400(f"{to}/{rest}", file)
    return targets


def _folders(options: Options, selected: _Selected, targets: _Names) -> dict[str, str]:
    """Return the new path of each folder whose files were moved, if the client may change both paths."""
    found = {}
    for name, new in targets.items():
        if (folder := selected.inside.get(name)) and new.endswith(name[len(folder) :]):
            found[folder] = new.removesuffix(name[len(folder) :])
    return {old: new for old, new in found.items() if may(options, "delete", old) and may(options, "write", new)}


def _answer(request: Request, action: str, selected: _Selected, targets: _Names, outcomes: _Outcomes) -> Response:
    done = [outcome for outcome in outcomes.values() if isinstance(outcome, StoredFile)]
    taken = [targets[name] for name, outcome in outcomes.items() if isinstance(outcome, FileExistsError)]
    lost = [name for name, outcome in outcomes.items() if isinstance(outcome, FileNotFoundError)]
    for outcome in outcomes.values():
        if isinstance(outcome, Exception) and not isinstance(outcome, (FileExistsError, FileNotFoundError)):
            raise outcome
    if lost and not done and not taken:
        abort(404, "The file was deleted meanwhile.")
    if not pages.is_browser():
        return pages.json_of({"files": [pages.describe(file) for file in done], "taken": taken})
    if action == "move":
        text = ngettext("%(num)s file was moved.", "%(num)s files were moved.", len(done))
    else:
        text = ngettext("%(num)s file was copied.", "%(num)s files were copied.", len(done))
    if taken:
        names = ", ".join([*taken[:10], *(["…"] if len(taken) > 10 else [])])
        text += " " + gettext("These names are taken: %(names)s.", names=names)
    if stay := len(selected.files) - len(outcomes):
        text += " " + ngettext("%(num)s file is there already.", "%(num)s files are there already.", stay)
    text += selected.lost(len([file for file in selected.by_id if file.filename not in lost]))
    return flash.redirect(urls.index(listing_query(request.args)), text)
