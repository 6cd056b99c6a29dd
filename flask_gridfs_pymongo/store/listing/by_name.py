"""The listing by name, along the index, and the files that have no name.

::

    page = first(by_name(versions, EVERYTHING, None, prefix="photos/", folded=True), 100)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from pymongo import ASCENDING, DESCENDING

from ..integrity import is_utf8
from ..model import living
from ..versions import Versions
from .names import Edge
from .page import ANYTHING, MANY, Budget, Having, Key, Row, Shown, Walk, named

_SCAN = 128  # documents in one query


def by_name(
    versions: Versions,
    shown: Shown,
    after: str | None,
    *,
    prefix: str = "",
    part: str = "",
    folded: bool = False,
    having: Having = ANYTHING,
    backwards: bool = False,
) -> Walk:
    """Walk the names after *after*, a query for each piece of the index.

    It skips over what needs no look: the further revisions of a name with more than a piece holds, and a folder that is
    a row, or that may not be shown.

    :param prefix: how the names begin
    :param part: a part of them, in upper or lower case
    :param folded: what lies deeper than *prefix*, which is a folder, is one row for each folder directly in it
    :param having: which metadata they have; an index on ``metadata.KEY``, name and date finds them
    :param backwards: the last name first
    """
    names = _Names(versions, having, prefix, part, backwards)
    if after is not None:
        names.step_over(after, folder=folded and after.endswith("/") and after != prefix)
    for filename, documents, whole in names:
        if not is_utf8(filename):
            file = versions.stored(documents[-1])
            if not (shown.named(file.filename) and having.matches(file)):
                continue
            yield Key(filename, file_id=file.id), Row(file, 1)
        elif hidden := shown.hidden_folder(filename):
            names.step_over(hidden, folder=True)
            continue
        else:
            row = _row(versions, documents, whole=whole) if shown.file(filename) else None
            if row is None or not having.matches(row.file):
                continue
            if folded and "/" in filename[len(prefix) :]:
                folder = filename[: filename.index("/", len(prefix)) + 1]
                names.step_over(folder, folder=True)
                yield Key(folder, file_id=row.file.id), folder
            else:
                yield Key(filename, file_id=row.file.id), row
        names.budget.give_back()


class _Names:
    """The names of a bucket in their order: each with its documents, the newest last, and whether these are all."""

    def __init__(self, versions: Versions, having: Having, prefix: str, part: str, backwards: bool) -> None:
        self.budget = Budget()
        self._files, self._having = versions.collections.files, having
        self._prefix, self._part, self._backwards = prefix, part, backwards
        self._edge: Edge | None = None

    def step_over(self, name: str, *, folder: bool = False) -> None:
        """Go on after *name*, and where it is a *folder* after all that it holds."""
        edge = Edge.after(name, self._backwards, folder=folder)
        if self._edge is None or edge.is_behind(self._edge):
            self._edge = edge

    def __iter__(self) -> Iterator[tuple[str, list[dict[str, Any]], bool]]:
        selection, skip = self._selection(), 0
        while True:
            documents = self._piece(selection, skip)
            cut_off = documents[-1]["filename"] if len(documents) == _SCAN else None
            for filename, found in groupby(documents, key=lambda document: document["filename"]):
                if self._is_behind(filename) or not self.budget.left():
                    continue
                group = list(found)[:: -1 if self._backwards else 1]
                yield filename, group, not self._having.metadata and filename != cut_off
            if cut_off is None:
                return
            self.step_over(cut_off)
            before, selection = selection, self._selection()
            skip = skip + _SCAN if selection == before else 0  # no query can go on from a name that is not UTF-8

    def _is_behind(self, filename: str) -> bool:
        return self._edge is not None and self._edge.has_passed(filename)

    def _selection(self) -> dict[str, Any]:
        return {**self._having.selection(), "filename": named(self._edge, self._prefix, self._part)}

    def _piece(self, selection: dict[str, Any], skip: int) -> list[dict[str, Any]]:
        direction = DESCENDING if self._backwards else ASCENDING
        found = self._files.find(selection).sort([("filename", direction), ("uploadDate", direction)])
        return list(found.skip(skip).limit(_SCAN).max_time_ms(self.budget.left()))


def _row(versions: Versions, group: list[dict[str, Any]], *, whole: bool) -> Row | None:
    """Make the row of a name out of its documents, where *group* is the *whole* of them; None where it is gone."""
    filename = group[0]["filename"]
    tied = len(group) > 1 and group[-2].get("uploadDate") == group[-1].get("uploadDate")
    newest = living(versions.stored(group[-1])) if whole and not tied else versions.find(filename)
    if newest is None:
        return None
    seen = len(group) if whole or len(group) > MANY else versions.count(filename, limit=MANY)
    return Row(newest, min(seen, MANY))


def unnamed(
    versions: Versions, shown: Shown, after: Key | None, *, having: Having = ANYTHING, backwards: bool = False
) -> Walk:
    """Walk the files without a name in the order of their ``_id``, each a row of its own."""
    files, budget = versions.collections.files, Budget()
    selection = {**having.selection(), "filename": {"$not": {"$gte": ""}}}
    if not shown.file("") or files.find_one(selection, {"_id": 1}, max_time_ms=budget.left()) is None:
        return
    found = files.find(selection).sort("_id", DESCENDING if backwards else ASCENDING).max_time_ms(budget.left())
    if after is not None:  # $gt would keep to one type of _id
        bound = [("_id", after.value)]
        found = (found.max(bound) if backwards else found.min(bound)).hint([("_id", ASCENDING)])
    for document in found:
        file = versions.stored(document)
        seen = after is not None and repr(after.value) == repr(file.id)
        if file.key and not seen and having.matches(file):
            yield Key(None, file.id), Row(file, 1)
