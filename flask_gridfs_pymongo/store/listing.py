"""Pages of names, each with its newest revision: by name along an index, in other orders as far as time allows.

A walk yields the rows that its reader may see, in order; a page is its beginning::

    page = first(by_name(versions, Shown(may_read, may_list), None, prefix="photos/"), 100)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from time import monotonic
from typing import Any, NamedTuple

from bson.regex import Regex
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import ExecutionTimeout

from .model import StoredFile
from .versions import Versions

ORDERS = {
    "newest": ("uploadDate", DESCENDING, "upload_date"),
    "size": ("length", DESCENDING, "length"),
    "type": ("contentType", ASCENDING, "content_type"),
}
"""The orders beside the one by name: the field of the files document, its direction, the :class:`StoredFile`'s name"""
MANY = 100
"""versions; no row counts further"""

_SCAN = 128  # documents in one query by name
_CANDIDATES = 1000  # documents in one query of another order
_PATIENCE = 1  # seconds in a page for what is not shown


class Row(NamedTuple):
    """A name's newest revision, and how many there are; :data:`MANY` stands for more, too."""

    file: StoredFile
    versions: int


class Key(NamedTuple):
    """The place of a row: its name, and in another order than that by name the value before it.

    A page starts after the key of the last row of the page before it.
    """

    filename: str
    value: Any = None


class Page(NamedTuple):
    """What a listing shows at once; *folders* are paths that end in a slash."""

    rows: list[Row]
    folders: list[str]
    next: Key | None


def _everything(name: str) -> bool:
    return True


class Shown(NamedTuple):
    """What a listing may show: asked with the name of each file, and with the path of each folder that holds it."""

    file: Callable[[str], bool] = _everything
    folder: Callable[[str], bool] = _everything

    def hidden_folder(self, filename: str) -> str | None:
        """Return the outermost folder of *filename* that may not be shown."""
        folders = (filename[: found.end()] for found in re.finditer("/", filename))
        return next((folder for folder in folders if not self.folder(folder)), None)


EVERYTHING = Shown()


class Having(NamedTuple):
    """Which metadata a name's newest revision must have: for each key values that it is, or has in its list."""

    metadata: Mapping[str, Sequence[Any]] = {}

    def selection(self) -> dict[str, Any]:
        """Return a query for the revisions that have it; a value is never read as an operator."""
        return {f"metadata.{key}": {"$all": list(values)} for key, values in self.metadata.items()}

    def matches(self, file: StoredFile) -> bool:
        """Whether *file* has it."""
        stored = {key: file.metadata.get(key) for key in self.metadata}
        found = {key: value if isinstance(value, list) else [value] for key, value in stored.items()}
        return all(value in found[key] for key, values in self.metadata.items() for value in values)


ANYTHING = Having()
Walk = Iterator[tuple[Key, "Row | str"]]
"""The rows that may be shown, with their keys; a folder is its path."""


class _Patience:
    """The time for what is passed over; a row that is shown takes the time that it takes."""

    def __init__(self) -> None:
        self._looked = monotonic()
        self._end = self._looked + _PATIENCE

    def left(self) -> int:
        """Return the milliseconds that are left, at least one.

        :raises pymongo.errors.ExecutionTimeout: where none are
        """
        self._looked = monotonic()
        if self._looked >= self._end:
            raise ExecutionTimeout(f"{_PATIENCE} second was not enough to find what may be shown")
        return max(1, int((self._end - self._looked) * 1000))

    def give_back(self) -> None:
        """Do not count the time since the last look."""
        self._end += monotonic() - self._looked


def first(walk: Walk, limit: int) -> Page:
    """Return the first *limit* rows of a walk; only a further row that may be shown makes a next page.

    :raises pymongo.errors.ExecutionTimeout: where the walk passes over more than a second's worth of what is not shown
    """
    found = list(islice(walk, limit + 1))
    shown = found[:limit]
    return Page(
        rows=[row for _, row in shown if isinstance(row, Row)],
        folders=[row for _, row in shown if isinstance(row, str)],
        next=shown[-1][0] if len(found) > limit else None,
    )


def by_name(
    versions: Versions,
    shown: Shown,
    after: str | None,
    *,
    prefix: str = "",
    part: str = "",
    folded: bool = False,
    having: Having = ANYTHING,
) -> Walk:
    """Walk the names after *after*, in pieces of the index.

    What is passed over is not walked through: a name with more revisions than a piece holds, and a folder that is a
    row, or that may not be shown.

    :param prefix: how the names begin
    :param part: what they have in them, in upper or lower case
    :param folded: what lies deeper than *prefix*, which is a folder, is one row for each folder directly in it
    :param having: which metadata they have; an index on ``metadata.KEY``, name and date finds them
    """
    patience = _Patience()
    wanted, passed = _named(prefix, part), ""
    if after is not None and after >= prefix:
        is_folder = folded and after.endswith("/") and after != prefix
        wanted |= {"$gte": _successor(after)} if is_folder else {"$gt": after}
    while True:
        selection = {**having.selection(), "filename": wanted}
        piece = versions.collections.files.find(selection).limit(_SCAN).max_time_ms(patience.left())
        documents = list(piece.sort([("filename", ASCENDING), ("uploadDate", ASCENDING)]))
        for filename, group in groupby(documents, key=lambda found: found["filename"]):
            if filename < passed or not patience.left():
                continue
            if hidden := shown.hidden_folder(filename):
                passed = _successor(hidden)
                continue
            if not shown.file(filename):
                continue
            whole = not having.metadata and (len(documents) < _SCAN or filename != documents[-1]["filename"])
            row = _row(versions, list(group), whole=whole)
            if row is None or not having.matches(row.file):
                continue
            if folded and "/" in filename[len(prefix) :]:
                folder = filename[: filename.index("/", len(prefix)) + 1]
                passed = _successor(folder)
                yield Key(folder), folder
            else:
                yield Key(filename), row
            patience.give_back()
        if len(documents) < _SCAN:
            return
        last = documents[-1]["filename"]
        wanted = _named(prefix, part) | ({"$gte": passed} if passed > last else {"$gt": last})


def _row(versions: Versions, group: list[dict[str, Any]], *, whole: bool) -> Row | None:
    """Make the row of a name out of its documents, where *group* is the *whole* of them; None where it is gone."""
    filename = group[0]["filename"]
    tied = len(group) > 1 and group[-2].get("uploadDate") == group[-1].get("uploadDate")
    found = None if tied or not whole else versions.stored(group[-1])
    newest = found or versions.find(filename)
    if newest is None:
        return None
    seen = len(group) if whole or len(group) > MANY else versions.count(filename, limit=MANY)
    return Row(newest, min(seen, MANY))


def ordered(
    versions: Versions,
    shown: Shown,
    order: str,
    after: Key | None,
    *,
    prefix: str = "",
    part: str = "",
    having: Having = ANYTHING,
) -> Walk:
    """Walk the names after *after* in one of the :data:`ORDERS`, by name where their values are equal.

    Without an index the server sorts the whole bucket.
    """
    field, _, attribute = ORDERS[order]
    patience = _Patience()
    newest: dict[str, StoredFile | None] = {}  # None: passed over
    selection = {**having.selection(), "filename": _named(prefix, part)}
    for document in _candidates(versions, order, after, selection, patience):
        candidate = versions.stored(document)
        filename = candidate.filename
        if filename not in newest:
            visible = not shown.hidden_folder(filename) and shown.file(filename)
            newest[filename] = versions.find(filename) if visible else None
        file = newest[filename]
        if file and having.matches(file) and getattr(file, attribute) == getattr(candidate, attribute):
            newest[filename] = None
            yield Key(filename, document.get(field)), Row(file, versions.count(filename, limit=MANY))
            patience.give_back()


def _candidates(
    versions: Versions, order: str, after: Key | None, selection: Mapping[str, Any], patience: _Patience
) -> Iterator[dict[str, Any]]:
    """The documents after *after*, older versions among them; each query walks one stretch of the order's index."""
    field, direction, _ = ORDERS[order]
    left = 0
    while not left:  # a query that ended before its limit was the last one
        left = _CANDIDATES
        for stretch in _stretches(order, after, selection):
            found = versions.collections.files.find(stretch).sort([(field, direction), ("filename", ASCENDING)])
            with found.limit(left).max_time_ms(patience.left()) as cursor:
                for document in cursor:
                    patience.left()
                    left -= 1
                    after = Key(document["filename"], document.get(field))
                    yield document
            if not left:
                break


def _stretches(order: str, after: Key | None, selection: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What to select after *after*, in two stretches, each of which an index has in order."""
    field, direction, _ = ORDERS[order]
    if after is None:
        return [selection]
    if after.value is None:  # no content type: sorted before all others
        beyond: dict[str, Any] = {"$gte": ""}
    else:
        beyond = {"$gt" if direction == ASCENDING else "$lt": after.value}
    names = {**selection["filename"], "$gt": after.filename}
    return [{**selection, "filename": names, field: after.value}, {**selection, field: beyond}]


def _named(prefix: str, part: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {"$gte": prefix}
    if end := _successor(prefix):
        wanted["$lt"] = end
    if part:
        wanted["$regex"] = Regex(re.escape(part), "i")
    return wanted


def _successor(prefix: str) -> str:
    """The least string behind all that begin with *prefix*; empty where there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return ""
    code = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if code == 0xD800 else code)
