"""``POST /?trash&restore`` and ``POST /?trash&delete``: what is in the trash comes back, or is deleted for good.

The form's ``id`` fields name versions; each stands for all that were deleted together with it. In their place
``deleted`` is the date of a deletion, ``trashed.at``: all that this client deleted at that time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from flask import Request, abort, redirect, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from ...service.bodies import small_form
from ...service.clients import user_of
from ...service.options import Options
from ...service.rights import may, permit
from ...service.texts import Message, gettext, ngettext
from ...signals import file_saved, send
from ...store import Bucket, StoredFile
from ..arguments import MAX_SELECTED, file_id, following
from ..pages import flash, urls
from ..pages import render as pages
from ..read.trash import with_trash
from ..selection import may_know
from ..target import Target
from .bulk import MAX_FILES, MAX_URL_LENGTH

_PAGE_SIZE = 1000  # names


def change(options: Options, request: Request, target: Target) -> Response:
    """Restore what the form names, or delete it for good; *delete* of each name is permitted."""
    bucket, form = with_trash(options), small_form(request)
    if len(request.args.keys() & {"restore", "delete"}) != 1:
        abort(400, "Give ?trash&restore or ?trash&delete.")
    after = following(request.args) or urls.index({"trash": ""})
    chosen = _selected(options, bucket, form)
    if "delete" in request.args:
        return _delete(bucket, chosen, form, after)
    return _restore(options, bucket, chosen, form, after, merge="merge" in request.args)


def question(options: Options, request: Request, target: Target) -> Response:
    """Ask before what ``?discard`` names is deleted for good."""
    pages.check_reachable(options)
    form = MultiDict([("id", key) for key in request.args["discard"].split(",")])
    return _question(_selected(options, with_trash(options), form))


def _selected(options: Options, bucket: Bucket, form: MultiDict[str, str]) -> list[StoredFile]:
    if "deleted" in form:
        found = _deleted(options, bucket, form["deleted"])
    else:
        texts = form.getlist("id")
        if not 1 <= len(texts) <= MAX_SELECTED:
            abort(400, Message("Select at least one file, and not more than %(count)s.", count=MAX_SELECTED))
        known = bucket.in_trash([file_id(text, "id", bucket) for text in dict.fromkeys(texts)])
        found = [file for file in known if may_know(options, "delete", file.filename)]
    if not found:
        abort(404, "There is no such file in the trash.")
    for file in found:
        permit(options, "delete", file.filename)
    return found


def _deleted(options: Options, bucket: Bucket, date: str) -> list[StoredFile]:
    """Return what the client deleted at this time, and may delete."""
    try:
        at = datetime.fromisoformat(date)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        abort(400, "deleted must be the date of a deletion, as in trashed.at.")
    user, found, after = user_of(options, request), list[StoredFile](), None
    while True:
        page = bucket.trash("", after, _PAGE_SIZE, at=at, shown=partial(may, options, "delete"))
        found += [row.file for row in page.rows if row.file.trashed and row.file.trashed.by == user]
        after = page.next
        if after is None or len(found) >= MAX_FILES:
            return found


def _delete(bucket: Bucket, chosen: list[StoredFile], form: Mapping[str, str], after: str) -> Response:
    if pages.is_browser() and "sure" not in form:
        url = urls.index({"trash": "", "discard": ",".join(file.key for file in chosen if file.key)})
        return redirect(url, 303) if len(url) <= MAX_URL_LENGTH else _question(chosen)
    bucket.empty_trash([file.id for file in chosen])
    if not pages.is_browser():
        return pages.empty(204)
    text = ngettext(
        "%(name)s was deleted for good.", "%(num)s files were deleted for good.", len(chosen), name=_name(chosen)
    )
    return flash.redirect(after, text)


def _question(chosen: list[StoredFile]) -> Response:
    files = [pages.identify(file, key=file.key) for file in chosen]
    return pages.page("selected.html", {"files": files, "folders": []}, kept={"trash": ""})


def _restore(
    options: Options, bucket: Bucket, chosen: list[StoredFile], form: Mapping[str, str], after: str, *, merge: bool
) -> Response:
    outcomes = bucket.restore_many([file.id for file in chosen], merge=merge)
    restored = [outcome for _, outcome in outcomes if isinstance(outcome, StoredFile)]
    taken = [file for file, outcome in outcomes if isinstance(outcome, FileExistsError)]
    for file in restored:
        send(file_saved, file=file)
    for _, outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, (FileExistsError, FileNotFoundError)):
            raise outcome
    if pages.is_browser() and (restored or taken):
        return _restored(restored, taken, form, after)
    if taken and not restored:
        names = ", ".join([*(repr(file.filename) for file in taken[:10]), *(["…"] if len(taken) > 10 else [])])
        abort(
            409,
            Message(
                "There is another file by now with the name %(names)s: &merge makes these older versions of it.",
                names=names,
            ),
        )
    if not restored:
        abort(404, "There is no such file in the trash.")
    files = [(pages.describe if may(options, "read", file.filename) else pages.identify)(file) for file in restored]
    return pages.json_of({"files": files, "taken": [file.filename for file in taken]})


def _restored(restored: list[StoredFile], taken: list[StoredFile], form: Mapping[str, str], after: str) -> Response:
    """Say what was restored; with 409 ask what is to be done with files whose names are taken."""
    text = ""
    if restored:
        text = ngettext("%(name)s was restored.", "%(num)s files were restored.", len(restored), name=_name(restored))
    if not taken:
        return flash.redirect(after, text)
    data = {"files": [pages.identify(file, key=file.key) for file in taken]}
    return pages.page("taken.html", data, status=409, said=text, after=after, deleted=form.get("deleted"))


def _name(files: list[StoredFile]) -> str:
    return files[0].filename or gettext("(no name)")
