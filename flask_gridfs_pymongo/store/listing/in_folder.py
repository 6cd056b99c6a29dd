"""The listing of one folder as people sort it: folders before files in every order, and file 2 before file 10.

All names of the folder are read and sorted here, which no index can do; a folder with too many is left to
:mod:`.by_name`::

    page = in_folder(versions, EVERYTHING, "size", None, 100, prefix="photos/", having=Having({}))
"""

from __future__ import annotations

import re
import unicodedata
from itertools import chain, islice
from typing import Any

from bson.decimal128 import Decimal128
from pymongo import DESCENDING
from pymongo.errors import ExecutionTimeout

from ..versions import Versions
from .by_name import TooMany, by_name, is_same, unnamed
from .by_value import ORDERS, position
from .page import OTHERS, Having, Item, Key, Page, Row, Visibility, first

MAX_SORTED = 5000
"""names in a folder that is sorted"""
_MAX_READ = 400 * 128  # documents: older versions, and at least 128 to step over a large folder in this one
_MIN_SIZE = 128  # documents in a query
_MAX_CHARACTERS = 1024  # of a name


def in_folder(
    versions: Versions, shown: Visibility, order: str, after: Key | None, limit: int, *, prefix: str, having: Having
) -> Page | None:
    """Return a page of the folder *prefix*; the parameters are those of :meth:`.Bucket.folder`.

    None if it has more than ``MAX_SORTED`` (5,000) names, or so many large folders that reading it takes too long.
    Files without a name come after all others, by their ids.
    """
    nameless = iter(()) if prefix else unnamed(versions, shown, None, having=having)
    if after is not None and after.filename is None:
        items = list(nameless)
        places = [place for place, (key, _) in enumerate(items, 1) if is_same(key.value, after.value)]
        return first(iter(items[places[0] if places else 0 :]), limit)
    size = max(_MIN_SIZE, limit + 2)
    options: dict[str, Any] = {"prefix": prefix, "having": having, "folded": True, "size": size}
    names = by_name(versions, shown, None, **options, growing=MAX_SORTED + 2, most=_MAX_READ)
    try:
        items = [_placed(item, order) for item in islice(names, MAX_SORTED + 1)]
    except (TooMany, ExecutionTimeout):
        return None
    if len(items) > MAX_SORTED:
        return None
    return first(chain(_after(items, order, after, prefix), nameless), limit)


def natural(name: str) -> tuple[Any, ...]:
    """Return the key by which people sort names: numbers by their value, letters without case and accents."""
    plain = unicodedata.normalize("NFKD", name[:_MAX_CHARACTERS].casefold())
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    *parts, end = re.split("([0-9]+)", plain)
    # A text before a number ends in a digit, too: photos/ and photos.txt come before photos2.
    return [*(int(part) if place % 2 else f"{part}0" for place, part in enumerate(parts)), end], name


def _placed(item: Item, order: str) -> Item:
    """Give an item the key of its place in an order."""
    key, row = item
    order = order.removeprefix("-")
    value = row.file.document.get(ORDERS[order][0]) if isinstance(row, Row) and order in ORDERS else None
    return key._replace(value=position(order, value)), row


def _sorted(items: list[Item], order: str, prefix: str) -> list[Item]:
    order, backwards = order.removeprefix("-"), order.startswith("-")
    items = sorted(items, key=_by_name, reverse=backwards)
    files: list[Item] = []
    folders: list[Item] = []
    for item in items:
        (folders if "/" in (item[0].filename or "")[len(prefix) :] else files).append(item)
    if order == "name":
        return [*folders, *files]
    descending = ORDERS[order][1] == DESCENDING
    files.sort(key=lambda item: _rank(item[0].value, descending), reverse=descending != backwards)
    return [*sorted(folders, key=_by_name), *files]


def _by_name(item: Item) -> Any:
    return natural(item[0].filename or "")


def _rank(value: Any, descending: bool) -> tuple[int, Any]:
    """The place of a value: what the order does not sort comes last in it, and None first."""
    if value is None or value == OTHERS:
        return (0 if value is None or descending else 2), 0
    return 1, float(str(value)) if isinstance(value, Decimal128) else value


def _after(items: list[Item], order: str, after: Key | None, prefix: str) -> list[Item]:
    """Sort *items*, and return those after a key, whose own row may be gone."""
    if after is None or after.filename is None:
        return _sorted(items, order, prefix)
    slash = after.filename.find("/", len(prefix))
    name = after.filename if slash < 0 else after.filename[: slash + 1]
    edge: Item = after._replace(filename=name), name
    found = _sorted([*(item for item in items if item[0].filename != name), edge], order, prefix)
    return found[found.index(edge) + 1 :]
