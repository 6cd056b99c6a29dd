"""The orders of a listing beside the one by name, which an index makes quick: newest first, largest first, by type.

::

    page = first(ordered(versions, EVERYTHING, "newest", None, prefix="photos/"), 100)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

from bson.code import Code
from bson.decimal128 import Decimal128
from pymongo import ASCENDING, DESCENDING

from ..integrity import LONGEST, is_utf8
from ..model import StoredFile
from ..versions import CALENDAR, DATED, NO_ARRAY, Versions
from .by_name import by_name, unnamed
from .names import Edge
from .page import ANYTHING, MANY, Budget, Having, Key, Row, Shown, Walk, named

_CANDIDATES = 1000  # documents in one query
_BATCH = 128  # documents whose names are looked up at once
_VERSIONS = 2000  # of these names, in one query


class Values(NamedTuple):
    """The values of a field that an order goes by.

    Those of other types come after them. An array that holds such a value is left out: no index finds those alone.
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


def is_descending(order: str) -> bool:
    """Whether the largest value comes first in an order, as :meth:`.Bucket.list` takes it."""
    _, direction, _ = ORDERS.get(order.removeprefix("-"), ("filename", ASCENDING, None))
    return (direction == DESCENDING) != order.startswith("-")


def key_of(order: str, file: StoredFile, folder: str | None) -> Key:
    """Return the place of a revision in an order.

    :param folder: where what lies deeper is folded: then the place may be that of a folder in it
    """
    name = file.document.get("filename")
    if type(name) is not str:
        return Key(None, file.id)
    if order == "name":
        end = -1 if folder is None else name.find("/", len(folder))
        return Key(name if end < 0 else name[: end + 1])
    field, direction, values = ORDERS[order]
    value = values.place(file.document.get(field))
    is_untold = direction == ASCENDING and file.document.get(field) is None
    return Key(name, value, odd=value is None and not is_untold)


def walk(
    versions: Versions,
    shown: Shown,
    order: str,
    after: Key | None,
    *,
    prefix: str,
    part: str,
    folded: bool,
    having: Having,
) -> Walk:
    """Walk a bucket in any order; :meth:`.Bucket.list` explains the parameters."""
    order, backwards = order.removeprefix("-"), order.startswith("-")
    options: dict[str, Any] = {"prefix": prefix, "part": part, "having": having, "backwards": backwards}

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
    shown: Shown,
    order: str,
    after: Key | None,
    *,
    prefix: str = "",
    part: str = "",
    having: Having = ANYTHING,
    backwards: bool = False,
) -> Walk:
    """Walk the names after *after* in one of the :data:`ORDERS`, by name where their values are equal.

    Without an index the server sorts the whole bucket.

    :param backwards: the whole order, also where it goes by name
    """
    field, _, values = ORDERS[order]
    budget = Budget()
    newest: dict[str, StoredFile | None] = {}  # None: passed over

    def stretches(after: Key | None) -> list[_Stretch]:
        return _stretches(order, having.selection(), partial(named, prefix=prefix, part=part), after, backwards)

    candidates = _candidates(versions, order, stretches, after, budget)
    for key, document in _without_older(versions, order, candidates, budget):
        candidate = versions.stored(document)
        filename = candidate.filename
        if not candidate.named:
            if shown.named(filename) and having.matches(candidate):
                yield key, Row(candidate, 1)
                budget.give_back()
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
            budget.give_back()


_Candidates = Iterator[tuple[Key, dict[str, Any]]]


def _without_older(versions: Versions, order: str, candidates: _Candidates, budget: Budget) -> _Candidates:
    """Leave out what has a later version with another value: a query for each name would take too long."""
    field, _, values = ORDERS[order]
    while batch := list(islice(candidates, _BATCH)):
        names = {document["filename"] for _, document in batch if is_utf8(document["filename"])}
        newest = _newest(versions, names, field, budget)
        for key, document in batch:
            budget.left()
            date, latest = document.get("uploadDate"), newest.get(document["filename"])
            later = latest is not None and isinstance(date, datetime) and date < latest["uploadDate"]
            if latest is None or not later or values.place(latest.get(field)) == values.place(document.get(field)):
                yield key, document


def _newest(versions: Versions, names: Iterable[str], field: str, budget: Budget) -> dict[str, dict[str, Any]]:
    """Return the date and *field* of the newest version of *names*, as far as one query tells them for sure."""
    selection = {"filename": {"$in": list(names)}, **DATED}
    found = versions.collections.files.find(selection, {"filename": 1, "uploadDate": 1, field: 1})
    found = found.sort([("filename", ASCENDING), ("uploadDate", ASCENDING)]).limit(_VERSIONS)
    documents = list(found.max_time_ms(budget.left()))
    groups = {name: list(group)[-2:] for name, group in groupby(documents, key=lambda document: document["filename"])}
    if len(documents) == _VERSIONS:
        groups.popitem()  # which may have been cut
    dates = {name: [document["uploadDate"] for document in group] for name, group in groups.items()}
    return {name: group[-1] for name, group in groups.items() if len({*dates[name]}) == len(group)}


class _Stretch(NamedTuple):
    """A piece of an order that one query walks along an index."""

    selection: dict[str, Any]
    sorting: list[tuple[str, int]]
    odd: bool = False
    edge: Edge | None = None
    """names that it has passed are left out here, where no query can begin with it"""


def _candidates(
    versions: Versions,
    order: str,
    stretches: Callable[[Key | None], list[_Stretch]],
    after: Key | None,
    budget: Budget,
) -> _Candidates:
    """The documents after *after*, older versions among them."""
    field, _, values = ORDERS[order]
    files = versions.collections.files
    left = 0
    while not left:  # a query that ended before its limit was the last one
        left = _CANDIDATES
        for selection, sorting, odd, edge in stretches(after):
            if odd and files.find_one(selection, {"_id": 1}, max_time_ms=budget.left()) is None:
                continue  # as almost always; the server would have to sort
            found = files.find(selection).sort(sorting).limit(left if edge is None or edge.is_exact else 0)
            with found.max_time_ms(budget.left()) as cursor:
                for document in cursor:
                    budget.left()
                    if edge and edge.has_passed(document["filename"]):
                        continue
                    left = max(0, left - 1)
                    value = None if odd else values.place(document.get(field))
                    after = Key(document["filename"], value, odd, document["_id"])
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

    Values that are missing or null come before those that the order goes by where the server sorts them so; all others
    come last.

    :param selection: what the documents have, beside a name
    :param names: selects the names that an edge has not passed
    """
    field, direction, values = ORDERS[order]
    ascending = direction == ASCENDING
    everything = {**selection, "filename": names(None)}
    by_name = ("filename", DESCENDING if backwards else ASCENDING)
    sorting = [(field, -direction if backwards else direction), by_name]
    untold = _Stretch({**everything, field: {"$eq": None, **NO_ARRAY}}, sorting)
    told = _Stretch({**everything, field: {**values.selection(), **NO_ARRAY}}, sorting)
    others = {field: {"$not": values.selection(), "$ne": None}} if ascending else values.others(field)
    odd = _Stretch({**everything, **others}, [by_name], odd=True)
    whole = [untold, told, odd] if ascending else [told, odd]
    if backwards:
        whole.reverse()
    if after is None or after.filename is None:
        return whole
    here = odd if after.odd else untold if after.value is None else told
    edge = Edge.after(after.filename, backwards)
    same = here._replace(selection={**here.selection, "filename": names(edge)}, edge=edge)
    rest = whole[whole.index(here) + 1 :]
    if here is not told:
        return [same, *rest]
    same.selection[field] = {"$eq": after.value, **NO_ARRAY}
    operator = "$gt" if ascending != backwards else "$lt"
    beyond = told._replace(selection={**everything, field: {**told.selection[field], operator: after.value}})
    return [same, beyond, *rest]
