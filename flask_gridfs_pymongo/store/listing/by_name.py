"""The listing by name, along the index of names, and the listing of files without a name.

::

    page = first(by_name(versions, EVERYTHING, None, size=128, prefix="photos/", having=Having({})), 100)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from pymongo import ASCENDING, DESCENDING

from ..integrity import is_utf8
from ..model import unless_expired
from ..strict import CALENDAR
from ..versions import Versions, newest_in, of_many
from .names import Edge
from .page import MAX_COUNTED, Budget, Having, Key, Row, Visibility, Walk, named


def by_name(
    versions: Versions,
    shown: Visibility,
    after: str | None,
    *,
    prefix: str = "",
    pattern: str = "",
    folded: bool = False,
    having: Having,
    backwards: bool = False,
    size: int,
    growing: int = 0,
    most: int | None = None,
) -> Walk:
    """Walk the names after *after*, with one query for each batch.

    It skips the other versions of a name that has more than one batch, and the contents of folders that are rows, or
    may not be shown.

    :param prefix: what the names begin with
    :param pattern: what the names contain: see :func:`.page.named`
    :param folded: make one row of each folder directly in *prefix*, in place of its contents
    :param having: the metadata of the files; an index on ``metadata.KEY``, name and date finds them
    :param backwards: the last name first
    :param size: documents in one query
    :param growing: documents in one query after the first, while no folder is stepped over
    :param most: documents to read; then their reading counts as no time that is spent on what is not shown
    :raises TooMany: if these are not enough
    """
    names = _Names(versions, having, prefix, pattern, backwards, size, max(size, growing), most)
    if after is not None:
        names.step_over(after, folder=folded and after.endswith("/") and after != prefix)
    for filename, documents, latest in names:
        if not is_utf8(filename):
            file = versions.stored(documents[-1])
            if not (shown.named(file.filename) and having.matches(file)):
                continue
            yield Key(filename, file_id=file.id), Row(file, 1)
        elif hidden := shown.hidden_folder(filename):
            names.step_over(hidden, folder=True)
            continue
        else:
            row = row_of(versions, filename, documents, latest) if shown.file(filename) else None
            if row is None or not having.matches(row.file):
                continue
            if folded and "/" in filename[len(prefix) :]:
                folder = filename[: filename.index("/", len(prefix)) + 1]
                names.step_over(folder, folder=True)
                yield Key(folder, file_id=row.file.id), folder
            else:
                yield Key(filename, file_id=row.file.id), row
        names.budget.give_back()


class TooMany(Exception):
    """A walk reads more documents than it may."""


class Latest(NamedTuple):
    """The newest version of a name, and how many there are."""

    document: dict[str, Any]
    """at least its ``_id``"""
    versions: int


class _Names:
    """The names of a bucket in order: each with its documents, the newest last, and its :class:`Latest` if known."""

    def __init__(
        self,
        versions: Versions,
        having: Having,
        prefix: str,
        pattern: str,
        backwards: bool,
        size: int,
        growing: int,
        most: int | None,
    ) -> None:
        self.budget = Budget()
        self._versions, self._having = versions, having
        self._prefix, self._pattern, self._backwards = prefix, pattern, backwards
        self._least, self._size, self._growing, self._left = size, size, growing, most
        self._each = 0.0  # seconds that reading one of the documents took
        self._edge: Edge | None = None

    def step_over(self, name: str, *, folder: bool = False) -> None:
        """Continue after *name*, or if it is a *folder* after all that it contains."""
        if folder:
            self._size = self._least
        self._continue(Edge.after(name, self._backwards, folder=folder))

    def _continue(self, edge: Edge) -> None:
        if self._edge is None or edge.is_behind(self._edge):
            self._edge = edge

    def __iter__(self) -> Iterator[tuple[str, list[dict[str, Any]], Latest | None]]:
        selection, skip = self._selection(), 0
        while True:
            size, self._size = self._size, self._growing
            documents = self._piece(selection, skip, size)
            groups = {
                filename: list(found)[:: -1 if self._backwards else 1]
                for filename, found in groupby(documents, key=lambda document: document["filename"])
            }
            last = groups.popitem() if len(documents) == size else None  # which is perhaps incomplete
            for filename, latest in self._newest(groups).items():
                is_older = latest is not None and not is_same(latest.document["_id"], groups[filename][-1]["_id"])
                self.budget.charge(self._each * len(groups[filename]))
                if not is_older and not self._is_behind(filename) and self.budget.left():
                    yield filename, groups[filename], latest
            if last is None:
                return
            if groups and is_utf8(last[0]):
                self._continue(Edge.at(last[0], self._backwards))
            else:
                if not self._is_behind(last[0]):
                    yield *last, None
                self.step_over(last[0])
            before, selection = selection, self._selection()
            skip = skip + size if selection == before else 0  # no query can begin with what is not UTF-8

    def _newest(self, groups: dict[str, list[dict[str, Any]]]) -> dict[str, Latest | None]:
        if not self._having.metadata:
            return {filename: _latest(group) for filename, group in groups.items()}
        newest = newest_of(self._versions, groups, self.budget)  # which may have other metadata
        return {filename: newest.get(filename) for filename in groups}

    def _is_behind(self, filename: str) -> bool:
        return self._edge is not None and self._edge.has_passed(filename)

    def _selection(self) -> dict[str, Any]:
        return {**self._having.selection(), "filename": named(self._edge, self._prefix, self._pattern)}

    def _piece(self, selection: dict[str, Any], skip: int, size: int) -> list[dict[str, Any]]:
        if self._left is not None:
            if self._left <= 0:
                raise TooMany
            self._left -= size
        direction = DESCENDING if self._backwards else ASCENDING
        found = self._versions.collections.files.find(selection, batch_size=size)
        found = found.sort([("filename", direction), ("uploadDate", direction)]).skip(skip).limit(size)
        documents = list(found.max_time_ms(self.budget.left()))
        seconds = self.budget.give_back()  # it is charged for each document that is not shown
        self._each = seconds / max(1, len(documents)) if self._left is None else 0
        return documents


def _latest(group: list[dict[str, Any]]) -> Latest | None:
    document = newest_in(group)
    return None if document is None else Latest(document, len(group))


def is_same(one: Any, other: Any) -> bool:
    """Whether two ``_id`` are the same: NaN is itself, and True is not 1."""
    return repr(one) == repr(other)


def newest_of(versions: Versions, names: Collection[str], budget: Budget, *fields: str) -> dict[str, Latest]:
    """Return the newest versions of *names*, with ``_id`` and *fields*, for names that one query settles."""
    found = of_many(versions.collections.files, names, fields, budget.left())
    return {name: newest for name, group in found.items() if (newest := _latest(group))}


def row_of(versions: Versions, filename: str, documents: list[dict[str, Any]], latest: Latest | None) -> Row | None:
    """Make the row of a name, from one of *documents* if that is the *latest*; None if the name is gone."""
    if latest is None:
        newest, count = versions.find(filename), len(documents)
        count = count if count > MAX_COUNTED else versions.count(filename, limit=MAX_COUNTED)
    else:
        same = (document for document in documents if is_same(document["_id"], latest.document["_id"]))
        document, count = next(same, None), latest.versions
        newest = unless_expired(versions.stored(document)) if document else versions.find(filename)
    return None if newest is None else Row(newest, min(count, MAX_COUNTED))


def unnamed(
    versions: Versions, shown: Visibility, after: Key | None, *, having: Having, backwards: bool = False
) -> Walk:
    """Walk the files without a name by ``_id``: each is a row."""
    files, budget = versions.collections.files, Budget()
    live = {"trashed.at": {"$not": {"$gte": CALENDAR[0]}}}  # as NOT_IN_TRASH, by the index
    selection = {**having.selection(), "filename": {"$not": {"$gte": ""}}, **live}
    if not shown.file("") or files.find_one(selection, {"_id": 1}, max_time_ms=budget.left()) is None:
        return
    if after is not None:  # a plain $gt would find only one type of _id
        selection["$expr"] = {"$lt" if backwards else "$gt": ["$_id", {"$literal": after.value}]}
    found = files.find(selection).sort("_id", DESCENDING if backwards else ASCENDING).max_time_ms(budget.left())
    for document in found:
        file = versions.stored(document)
        if file.key and having.matches(file):
            yield Key(None, file.id), Row(file, 1)
