"""The listing of the trash: what was deleted last comes first, then by name.

::

    page = trashed(versions, lambda name: True, "photos/", None, 100)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from ..collections import Documents
from ..indexes import TRASH
from ..model import in_order
from ..strict import IN_TRASH
from ..versions import Versions
from .names import beginning_with, octets
from .page import Budget, Row

_SORTING = TRASH.keys[:2]
_MAX_NAME = 2000  # bytes: gunicorn accepts a request line of 4,094


class TrashKey(NamedTuple):
    """The place of a row: when it was deleted, and its name. A page starts after that of the last row before."""

    at: datetime
    name: str


class TrashPage(NamedTuple):
    """One page of what is in the trash; a row is a name, with the versions of it that were deleted together."""

    rows: list[Row]
    next: TrashKey | None


def trashed(
    versions: Versions,
    shown: Callable[[str], bool],
    prefix: str,
    after: TrashKey | None,
    limit: int,
    at: datetime | None = None,
) -> TrashPage:
    """Return a page; the parameters are those of :meth:`.Bucket.trash`."""
    files, budget = versions.collections.files, Budget()
    rows: list[Row] = []
    key: TrashKey | None = None
    for selection in _stretches(prefix, after, at):
        for name, documents in _groups(files, selection, limit, budget):
            file = versions.stored(max(documents, key=in_order))
            if file.expired or not shown(file.filename):
                budget.left()
                continue
            # A page does not end with a name after which no query can begin, or that no URL contains.
            if len(rows) >= limit and key is not None:
                return TrashPage(rows, key)
            rows.append(Row(file, len(documents)))
            key = (
                TrashKey(documents[0]["trashed"]["at"], name) if file.named and len(octets(name)) <= _MAX_NAME else None
            )
            budget.give_back()
    return TrashPage(rows, None)


def _stretches(prefix: str, after: TrashKey | None, at: datetime | None) -> list[dict[str, Any]]:
    names: dict[str, Any] = {"trashed.name": beginning_with(prefix)} if prefix else {}
    everything = {**IN_TRASH, **names} if at is None else {**IN_TRASH, **names, "trashed.at": at}
    if after is None:
        return [everything]
    same = {**everything, "trashed.at": after.at, "trashed.name": {**names.get("trashed.name", {}), "$gt": after.name}}
    earlier = {**everything, "trashed.at": {**IN_TRASH["trashed.at"], "$lt": after.at}}
    return [same] if at is not None else [same, earlier]


def _groups(
    files: Documents, selection: dict[str, Any], limit: int, budget: Budget
) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """What was deleted together, with its name; files without one come alone."""
    found = files.find(selection, batch_size=limit + 1).sort(_SORTING).max_time_ms(budget.left())
    for (_, name), group in groupby(found, key=lambda one: (one["trashed"]["at"], one["trashed"].get("name"))):
        documents = list(group)
        parts = [documents] if isinstance(name, str) else [[document] for document in documents]
        yield from ((name, part) for part in parts)
