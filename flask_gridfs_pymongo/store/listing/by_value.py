"""The other orders of a listing: newest first, largest first, by type; an index makes them quick.

::

    options = {"prefix": "photos/", "pattern": "", "folded": False, "having": Having({})}
    page = first(walk(versions, EVERYTHING, "newest", None, 100, **options), 100)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

from bson.code import Code
from bson.decimal128 import Decimal128
from pymongo import ASCENDING, DESCENDING

from ..integrity import MAX_INT64, is_utf8
from ..model import StoredFile
from ..strict import CALENDAR, NO_ARRAY
from ..versions import Versions
from .by_name import by_name, is_same, newest_of, row_of, unnamed
from .names import Edge
from .page import OTHERS, Budget, Having, Key, Row, Visibility, Walk, named

_SCAN = 128  # documents in one batch, at least
_CANDIDATES = 1002  # documents in one query


class Values(NamedTuple):
    """The values of a field that an order sorts.

    Values of other types come after them. Arrays that contain such a value are left out: no index finds them.
    """

    types: tuple[type, ...]
    least: Any
    greatest: Any = None

    def have(self, value: Any) -> bool:
        """Whether the order sorts *value*."""
        if not isinstance(value, self.types) or isinstance(value, bool | Code):
            return False
        number = float(str(value)) if isinstance(value, Decimal128) else value
        return self.greatest is None or bool(self.least <= number <= self.greatest)

    def selection(self) -> dict[str, Any]:
        """Return a condition for these values."""
        return {"$gte": self.least, **({} if self.greatest is None else {"$lte": self.greatest})}

    def others(self, field: str) -> dict[str, Any]:
        """Return a query for all other and missing values; each branch is a range of the field's index."""
        return {"$or": [{field: {"$not": {operator: bound}}} for operator, bound in self.selection().items()]}


ORDERS: dict[str, tuple[str, int, Values]] = {
    "newest": ("uploadDate", DESCENDING, Values((datetime,), *CALENDAR)),
    "size": ("length", DESCENDING, Values((int, float, Decimal128), 0, MAX_INT64)),
    "type": ("contentType", ASCENDING, Values((str,), "")),
}
"""The orders other than by name: the field of the files document, the direction, and the values that it sorts"""


def is_descending(order: str) -> bool:
    """Whether the largest value comes first in an *order* of :meth:`.Bucket.list`."""
    _, direction, _ = ORDERS.get(order.removeprefix("-"), ("filename", ASCENDING, None))
    return (direction == DESCENDING) != order.startswith("-")


def position(order: str, value: Any) -> Any:
    """Return the value in the key of a file whose field has *value*.

    That is the value itself if the order sorts it, None if it is missing and the order begins with missing values, else
    :data:`.OTHERS`; always None in the order by name.
    """
    if order == "name":
        return None
    _, direction, values = ORDERS[order]
    if values.have(value):
        return value
    return None if value is None and direction == ASCENDING else OTHERS


def key_of(order: str, file: StoredFile, folder: str | None) -> Key:
    """Return the key of a version in an order.

    :param folder: in a listing with folders, the folder listed: the key may be that of a folder directly in it
    """
    name = file.document.get("filename")
    if type(name) is not str:
        return Key(None, file.id)
    if order == "name":
        end = -1 if folder is None else name.find("/", len(folder))
        return Key(name if end < 0 else name[: end + 1])
    return Key(name, position(order, file.document.get(ORDERS[order][0])))


def walk(
    versions: Versions,
    shown: Visibility,
    order: str,
    after: Key | None,
    limit: int,
    *,
    prefix: str,
    pattern: str,
    folded: bool,
    having: Having,
) -> Walk:
    """Walk a bucket in any order; the parameters are those of :meth:`.Bucket.list` and of :func:`by_name`."""
    order, backwards = order.removeprefix("-"), order.startswith("-")
    options: dict[str, Any] = {"prefix": prefix, "pattern": pattern, "having": having, "backwards": backwards}
    options["size"] = max(_SCAN, limit + 2)  # one more shows that there is a next page, another that it is complete

    def names(after: Key | None) -> Walk:
        if order != "name":
            return ordered(versions, shown, order, after, **options)
        return by_name(versions, shown, after and after.filename, folded=folded and not pattern, **options)

    def nameless(after: Key | None) -> Walk:
        found = unnamed(versions, shown, after, having=having, backwards=backwards)
        return iter(()) if prefix or pattern else found

    among_names = after is not None and after.filename is not None
    if backwards:
        return names(after) if among_names else chain(nameless(after), names(None))
    return chain(names(after), nameless(None)) if among_names or after is None else nameless(after)


def ordered(
    versions: Versions,
    shown: Visibility,
    order: str,
    after: Key | None,
    *,
    prefix: str,
    pattern: str,
    having: Having,
    backwards: bool,
    size: int,
) -> Walk:
    """Walk the names after *after* in one of the :data:`ORDERS`; equal values are sorted by name.

    Without an index the server sorts the whole bucket.

    :param backwards: reverse the whole order, names included
    :param size: documents in one batch
    """
    field = ORDERS[order][0]
    budget = Budget()
    names = partial(named, prefix=prefix, pattern=pattern)
    stretches = partial(_stretches, order, having.selection(), names, backwards)
    candidates = _candidates(versions, order, stretches, after, size, budget)
    rows: dict[str, Row | None] = {}  # None: hidden, gone, or already shown
    while batch := list(islice(candidates, size)):
        newest = newest_of(versions, {document["filename"] for _, document in batch}, budget, field)
        documents: dict[str, list[dict[str, Any]]] = {}
        for _, document in batch:
            documents.setdefault(document["filename"], []).append(document)
        for key, document in batch:
            budget.left()
            filename = document["filename"]
            if not is_utf8(filename):
                row = Row(versions.stored(document), 1)
                if shown.named(row.file.filename) and having.matches(row.file):
                    yield key, row
                    budget.give_back()
                continue
            latest = newest.get(filename)
            if latest and position(order, latest.document.get(field)) != key.value:
                continue
            if filename not in rows:
                visible = shown.named(filename)
                rows[filename] = row_of(versions, filename, documents[filename], latest) if visible else None
            found = rows[filename]
            if found is None or not having.matches(found.file):
                continue
            if is_same(found.file.id, document["_id"]) or position(order, found.file.document.get(field)) == key.value:
                rows[filename] = None
                yield key, found
                budget.give_back()


class _Stretch(NamedTuple):
    """A part of an order that one query reads along an index."""

    selection: dict[str, Any]
    sorting: list[tuple[str, int]]
    is_rare: bool = False
    """whether it is almost always empty: checked first, as its query would have to sort"""
    edge: Edge | None = None
    """leaves out names that it has passed, if no query can begin there"""


def _candidates(
    versions: Versions,
    order: str,
    stretches: Callable[[Key | None], list[_Stretch]],
    after: Key | None,
    size: int,
    budget: Budget,
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The documents after *after*, including older versions."""
    field = ORDERS[order][0]
    files = versions.collections.files
    left = 0
    while not left:  # a query that ended before its limit is the last one
        left = _CANDIDATES
        for selection, sorting, is_rare, edge in stretches(after):
            if is_rare and files.find_one(selection, {"_id": 1}, max_time_ms=budget.left()) is None:
                continue
            found = files.find(selection, batch_size=size).sort(sorting)
            found = found.limit(left if edge is None or edge.is_exact else 0)
            with found.max_time_ms(budget.left()) as cursor:
                for document in cursor:
                    budget.left()
                    if edge and edge.has_passed(document["filename"]):
                        continue
                    left = max(0, left - 1)
                    after = Key(document["filename"], position(order, document.get(field)), document["_id"])
                    yield after, document
            if not left:
                break


def _stretches(
    order: str,
    selection: Mapping[str, Any],
    names: Callable[[Edge | None], dict[str, Any]],
    backwards: bool,
    after: Key | None,
) -> list[_Stretch]:
    """Return what comes after *after*: the rest of its stretch, and the stretches that follow.

    In an ascending order missing and null values come first; all values that the order does not sort come last.

    :param selection: a query for the documents, without the name
    :param names: returns a query for the names that an edge has not passed
    """
    field, direction, values = ORDERS[order]
    ascending = direction == ASCENDING
    everything = {**selection, "filename": names(None)}
    by_name = ("filename", DESCENDING if backwards else ASCENDING)
    sorting = [(field, -direction if backwards else direction), by_name]
    missing = _Stretch({**everything, field: {"$eq": None, **NO_ARRAY}}, sorting)
    valued = _Stretch({**everything, field: {**values.selection(), **NO_ARRAY}}, sorting)
    other_values = {field: {"$not": values.selection(), "$ne": None}} if ascending else values.others(field)
    others = _Stretch({**everything, **other_values}, [by_name], is_rare=True)
    whole = [missing, valued, others] if ascending else [valued, others]
    if backwards:
        whole.reverse()
    if after is None or after.filename is None:
        return whole
    here = others if after.value == OTHERS else missing if after.value is None else valued
    edge = Edge.after(after.filename, backwards)
    same = here._replace(selection={**here.selection, "filename": names(edge)}, edge=edge)
    rest = whole[whole.index(here) + 1 :]
    if here is not valued:
        return [same, *rest]
    same.selection[field] = {"$eq": after.value, **NO_ARRAY}
    operator = "$gt" if ascending != backwards else "$lt"
    beyond = valued._replace(selection={**everything, field: {**valued.selection[field], operator: after.value}})
    return [same, beyond, *rest]
