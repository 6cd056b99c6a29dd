"""The orders of a listing beside the one by name, which an index makes quick: newest first, largest first, by type.

::

    page = first(ordered(versions, EVERYTHING, "newest", None, size=128, prefix="photos/"), 100)
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
from .page import ANYTHING, OTHERS, Budget, Having, Key, Row, Visibility, Walk, named

_SCAN = 128  # documents that are read at once, at least
_CANDIDATES = 1002  # documents in one query


class Values(NamedTuple):
    """The values of a field that an order goes by.

    Those of other types come after them. An array that holds such a value is left out: no index finds those alone.
    """

    types: tuple[type, ...]
    least: Any
    greatest: Any = None

    def have(self, value: Any) -> bool:
        """Whether the order goes by *value*."""
        if not isinstance(value, self.types) or isinstance(value, bool | Code):
            return False
        number = float(str(value)) if isinstance(value, Decimal128) else value
        return self.greatest is None or bool(self.least <= number <= self.greatest)

    def selection(self) -> dict[str, Any]:
        """What the server compares a field with."""
        return {"$gte": self.least, **({} if self.greatest is None else {"$lte": self.greatest})}

    def others(self, field: str) -> dict[str, Any]:
        """Select all other values, and where there is none; each branch is a stretch of the field's index."""
        return {"$or": [{field: {"$not": {operator: bound}}} for operator, bound in self.selection().items()]}


ORDERS: dict[str, tuple[str, int, Values]] = {
    "newest": ("uploadDate", DESCENDING, Values((datetime,), *CALENDAR)),
    "size": ("length", DESCENDING, Values((int, float, Decimal128), 0, MAX_INT64)),
    "type": ("contentType", ASCENDING, Values((str,), "")),
}
"""The orders beside the one by name: the field of the files document, its direction, the values that it goes by"""


def is_descending(order: str) -> bool:
    """Whether the largest value comes first in an order, as :meth:`.Bucket.list` takes it."""
    _, direction, _ = ORDERS.get(order.removeprefix("-"), ("filename", ASCENDING, None))
    return (direction == DESCENDING) != order.startswith("-")


def position(order: str, value: Any) -> Any:
    """Return what the key of a file has for the *value* of the order's field.

    That is the value itself if the order goes by it, None if it is missing and the order begins with such files, else
    :data:`.OTHERS`; always None in the order by name.
    """
    if order == "name":
        return None
    _, direction, values = ORDERS[order]
    if values.have(value):
        return value
    return None if value is None and direction == ASCENDING else OTHERS


def key_of(order: str, file: StoredFile, folder: str | None) -> Key:
    """Return the place of a version in an order.

    :param folder: the folder whose own folders are rows, if they are: then the place may be that of one of them
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
    part: str,
    folded: bool,
    having: Having,
) -> Walk:
    """Walk a bucket in any order; :meth:`.Bucket.list` explains the parameters."""
    order, backwards = order.removeprefix("-"), order.startswith("-")
    options: dict[str, Any] = {"prefix": prefix, "part": part, "having": having, "backwards": backwards}
    options["size"] = max(_SCAN, limit + 2)  # one more tells that there is a next page, another one that it is whole

    def names(after: Key | None) -> Walk:
        if order != "name":
            return ordered(versions, shown, order, after, **options)
        return by_name(versions, shown, after and after.filename, folded=folded and not part, **options)

    def nameless(after: Key | None) -> Walk:
        found = unnamed(versions, shown, after, having=having, backwards=backwards)
        return iter(()) if prefix or part else found

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
    prefix: str = "",
    part: str = "",
    having: Having = ANYTHING,
    backwards: bool = False,
    size: int,
) -> Walk:
    """Walk the names after *after* in one of the :data:`ORDERS`, by name where their values are equal.

    Without an index the server sorts the whole bucket.

    :param backwards: the whole order, also where it goes by name
    :param size: documents that are read at once
    """
    field = ORDERS[order][0]
    budget = Budget()

    def stretches(after: Key | None) -> list[_Stretch]:
        return _stretches(order, having.selection(), partial(named, prefix=prefix, part=part), after, backwards)

    candidates = _candidates(versions, order, stretches, after, size, budget)
    rows: dict[str, Row | None] = {}  # None: hidden, gone, or shown already
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
                rows[filename] = (
                    row_of(versions, filename, documents[filename], latest) if shown.named(filename) else None
                )
            found = rows[filename]
            if found is None or not having.matches(found.file):
                continue
            if is_same(found.file.id, document["_id"]) or position(order, found.file.document.get(field)) == key.value:
                rows[filename] = None
                yield key, found
                budget.give_back()


class _Stretch(NamedTuple):
    """A piece of an order that one query walks along an index."""

    selection: dict[str, Any]
    sorting: list[tuple[str, int]]
    is_rare: bool = False
    """whether it has hardly ever a document; the server would have to sort"""
    edge: Edge | None = None
    """names that it has passed are left out here if no query can begin with it"""


def _candidates(
    versions: Versions,
    order: str,
    stretches: Callable[[Key | None], list[_Stretch]],
    after: Key | None,
    size: int,
    budget: Budget,
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The documents after *after*, older versions among them."""
    field = ORDERS[order][0]
    files = versions.collections.files
    left = 0
    while not left:  # a query that ended before its limit was the last one
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
    after: Key | None,
    backwards: bool,
) -> list[_Stretch]:
    """Return what comes after *after*: the rest of the stretch that it stands in, and those that follow.

    Values that are missing or null come before those that the order goes by if the server sorts them so; all others
    come last.

    :param selection: what the documents have, beside a name
    :param names: selects the names that an edge has not passed
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
