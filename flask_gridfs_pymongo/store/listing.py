"""Pages of names, each with its newest revision: by name along an index, in other orders as far as time allows.

A walk yields the rows that its reader may see, in order; a page is its beginning::

    page = first(by_name(versions, Shown(may_read, may_list), None, prefix="photos/"), 100)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, islice
from time import monotonic
from typing import Any, NamedTuple

from bson.code import Code
from bson.decimal128 import Decimal128
from bson.regex import Regex
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import ExecutionTimeout

from .judge import LONGEST, is_utf8
from .model import StoredFile, living
from .names import bound_before, octets, successor
from .versions import CALENDAR, NO_ARRAY, Versions


class Values(NamedTuple):
    """The values of a field that an order goes by.

    Those of other types stand at its end. An array that holds such a value is left out: no index finds those alone.
    """

    types: tuple[type, ...]
    least: Any
    greatest: Any = None

    def place(self, value: Any) -> Any:
        """Return *value* where the order goes by it, else None."""
        if not isinstance(value, self.types) or isinstance(value, bool | Code):
            return None
        number = float(str(value)) if isinstance(value, Decimal128) else value
        return value if self.greatest is None or self.least <= number <= self.greatest else None

    def selection(self) -> dict[str, Any]:
        """What the server compares a field with."""
        return {"$gte": self.least, **({} if self.greatest is None else {"$lte": self.greatest})}

    def others(self, field: str) -> dict[str, Any]:
        """Select all other values, and where there is none; each branch is a stretch of the field's index."""
        return {"$or": [{field: {"$not": {operator: bound}}} for operator, bound in self.selection().items()]}


ORDERS: dict[str, tuple[str, int, Values]] = {
    "newest": ("uploadDate", DESCENDING, Values((datetime,), *CALENDAR)),
    "size": ("length", DESCENDING, Values((int, float, Decimal128), 0, LONGEST)),
    "type": ("contentType", ASCENDING, Values((str,), "")),
}
"""The orders beside the one by name: the field of the files document, its direction, the values that it goes by"""
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

    filename: str | None
    """None: the file has no name, and *value* is its ``_id``"""
    value: Any = None
    odd: bool = False
    """whether the order does not go by the value that the file has"""


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

    def named(self, filename: str) -> bool:
        """Whether *filename* may be shown, and all folders that hold it."""
        return not self.hidden_folder(filename) and self.file(filename)


EVERYTHING = Shown()


class Having(NamedTuple):
    """Which metadata a name's newest revision must have: for each key values that it is, or has in its list."""

    metadata: Mapping[str, Sequence[Any]] = {}

    def selection(self) -> dict[str, Any]:
        """Return a query for the revisions that have it; a value is never read as an operator."""
        return {f"metadata.{key}": {"$all": list(values)} for key, values in self.metadata.items()}

    def matches(self, file: StoredFile) -> bool:
        """Whether *file* has it, and has not expired."""
        stored = {key: file.metadata.get(key) for key in self.metadata}
        found = {key: value if isinstance(value, list) else [value] for key, value in stored.items()}
        return not file.expired and all(
            value in found[key] for key, values in self.metadata.items() for value in values
        )


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
    wanted, passed, skip = _named(prefix, part), "", 0
    if after is not None and octets(after) >= octets(prefix):
        is_folder = folded and after.endswith("/") and after != prefix
        wanted |= {"$gte": successor(after)} if is_folder else _beyond(after)
    while True:
        selection = {**having.selection(), "filename": wanted}
        piece = versions.collections.files.find(selection).skip(skip).limit(_SCAN).max_time_ms(patience.left())
        documents = list(piece.sort([("filename", ASCENDING), ("uploadDate", ASCENDING)]))
        for filename, group in groupby(documents, key=lambda found: found["filename"]):
            if octets(filename) < octets(passed) or not patience.left():
                continue
            if not is_utf8(filename):
                if after is not None and octets(filename) <= octets(after):
                    continue
                file = versions.stored(list(group)[-1])
                if shown.named(file.filename) and having.matches(file):
                    yield Key(filename), Row(file, 1)
                    patience.give_back()
                continue
            if hidden := shown.hidden_folder(filename):
                passed = successor(hidden)
                continue
            if not shown.file(filename):
                continue
            whole = not having.metadata and (len(documents) < _SCAN or filename != documents[-1]["filename"])
            row = _row(versions, list(group), whole=whole)
            if row is None or not having.matches(row.file):
                continue
            if folded and "/" in filename[len(prefix) :]:
                folder = filename[: filename.index("/", len(prefix)) + 1]
                passed = successor(folder)
                yield Key(folder), folder
            else:
                yield Key(filename), row
            patience.give_back()
        if len(documents) < _SCAN:
            return
        last = documents[-1]["filename"]
        if octets(passed) > octets(last):
            wanted, skip = _named(prefix, part) | {"$gte": passed}, 0
        elif is_utf8(last):
            wanted, skip = _named(prefix, part) | {"$gt": last}, 0
        else:
            skip += _SCAN  # no query can go on from it


def _row(versions: Versions, group: list[dict[str, Any]], *, whole: bool) -> Row | None:
    """Make the row of a name out of its documents, where *group* is the *whole* of them; None where it is gone."""
    filename = group[0]["filename"]
    tied = len(group) > 1 and group[-2].get("uploadDate") == group[-1].get("uploadDate")
    newest = living(versions.stored(group[-1])) if whole and not tied else versions.find(filename)
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
    field, _, values = ORDERS[order]
    patience = _Patience()
    newest: dict[str, StoredFile | None] = {}  # None: passed over
    selection = {**having.selection(), "filename": _named(prefix, part)}
    for key, document in _candidates(versions, order, after, selection, patience):
        candidate = versions.stored(document)
        filename = candidate.filename
        if not candidate.named:
            if shown.named(filename) and having.matches(candidate):
                yield key, Row(candidate, 1)
                patience.give_back()
            continue
        if filename not in newest:
            newest[filename] = versions.find(filename) if shown.named(filename) else None
        file = newest[filename]
        if (
            file
            and having.matches(file)
            and values.place(file.document.get(field)) == values.place(candidate.document.get(field))
        ):
            newest[filename] = None
            yield key, Row(file, versions.count(filename, limit=MANY))
            patience.give_back()


def _candidates(
    versions: Versions, order: str, after: Key | None, selection: Mapping[str, Any], patience: _Patience
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The documents after *after*, older versions among them; each query walks one stretch of the order's index."""
    field, direction, values = ORDERS[order]
    files, by_name = versions.collections.files, ("filename", ASCENDING)
    left = 0
    while not left:  # a query that ended before its limit was the last one
        left = _CANDIDATES
        for stretch in _stretches(order, after, selection):
            if stretch.odd and files.find_one(stretch.selection, {"_id": 1}, max_time_ms=patience.left()) is None:
                continue  # as almost always; the server would have to sort
            found = files.find(stretch.selection).sort([by_name] if stretch.odd else [(field, direction), by_name])
            with found.limit(left if is_utf8(stretch.after) else 0).max_time_ms(patience.left()) as cursor:
                for document in cursor:
                    patience.left()
                    if not is_utf8(stretch.after) and octets(document["filename"]) <= octets(stretch.after):
                        continue
                    left = max(0, left - 1)
                    value = None if stretch.odd else values.place(document.get(field))
                    after = Key(document["filename"], value, stretch.odd)
                    yield after, document
            if not left:
                break


class _Stretch(NamedTuple):
    selection: Mapping[str, Any]
    odd: bool = False
    after: str = ""
    """a name; those up to it are passed over, where it is not UTF-8 and no query can begin with it"""


def _stretches(order: str, after: Key | None, selection: Mapping[str, Any]) -> list[_Stretch]:
    """What to select after *after*: that with the same value, with those beyond it, and with values of other types."""
    field, direction, values = ORDERS[order]
    untold: dict[str, Any] = {**selection, field: {"$eq": None, **NO_ARRAY}}
    told: dict[str, Any] = {**selection, field: {**values.selection(), **NO_ARRAY}}
    odd: dict[str, Any] = {**selection, **values.others(field)}
    if direction == ASCENDING:  # untold comes first
        odd = {**selection, field: {"$not": values.selection(), "$ne": None}}
    if after is None or after.filename is None:
        return [*([_Stretch(untold)] if direction == ASCENDING else []), _Stretch(told), _Stretch(odd, odd=True)]
    names = {"filename": {**selection["filename"], **_beyond(after.filename)}}
    if after.odd:
        return [_Stretch({**odd, **names}, True, after.filename)]
    if after.value is None:
        return [_Stretch({**untold, **names}, False, after.filename), _Stretch(told), _Stretch(odd, odd=True)]
    operator = "$gt" if direction == ASCENDING else "$lt"
    beyond = {**told, field: {**told[field], operator: after.value}}
    same = {**told, **names, field: {"$eq": after.value, **NO_ARRAY}}
    return [_Stretch(same, False, after.filename), _Stretch(beyond), _Stretch(odd, odd=True)]


def unnamed(versions: Versions, shown: Shown, after: Key | None, *, having: Having = ANYTHING) -> Walk:
    """Walk the files without a name in the order of their ``_id``, each a row of its own."""
    files, patience = versions.collections.files, _Patience()
    selection = {**having.selection(), "filename": {"$not": {"$gte": ""}}}
    if not shown.file("") or files.find_one(selection, {"_id": 1}, max_time_ms=patience.left()) is None:
        return
    found = files.find(selection).sort("_id", ASCENDING).max_time_ms(patience.left())
    if after is not None:
        found = found.min([("_id", after.value)]).hint([("_id", ASCENDING)])  # $gt would keep to one type of _id
    for document in found:
        file = versions.stored(document)
        seen = after is not None and repr(after.value) == repr(file.id)
        if file.key and not seen and having.matches(file):
            yield Key(None, file.id), Row(file, 1)


def _named(prefix: str, part: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {"$gte": prefix, **NO_ARRAY}
    if end := successor(prefix):
        wanted["$lt"] = end
    if part:
        wanted["$regex"] = Regex(re.escape(part), "i")
    return wanted


def _beyond(name: str) -> dict[str, Any]:
    """What the server compares names with that come after *name*, and few others where *name* is not UTF-8."""
    return {"$gt": name} if is_utf8(name) else {"$gte": bound_before(name)}
