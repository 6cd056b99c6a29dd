"""What a page of a listing is made of: rows and their keys, and which files it may show.

A walk yields the rows that its reader may see, in order; a page is its beginning::

    page = first(by_name(versions, Visibility(may_read, may_list), None, size=128, prefix="photos/"), 100)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from time import monotonic
from typing import Any, NamedTuple

from bson.max_key import MaxKey
from bson.regex import Regex
from pymongo.errors import ExecutionTimeout

from ..model import StoredFile
from ..strict import NO_ARRAY
from .names import Edge, folders_of, octets, successor

MAX_COUNTED = 100
"""versions of a name that a row counts; it shows no larger number"""
_BUDGET = 1  # seconds that a page may spend on what is not shown
OTHERS = MaxKey()
"""the value of a key if the file has one that the order does not go by"""


class Row(NamedTuple):
    """A name's newest revision, and how many there are; 100 stands for more, too."""

    file: StoredFile
    versions: int


class Key(NamedTuple):
    """The place of a row: its name, and in another order than by name its value (``by_value.position``).

    A page starts after the key of the last row of the page before it.
    """

    filename: str | None
    """None: the file has no name, and *value* is its ``_id``"""
    value: Any = None
    file_id: Any = None
    """of a version that has this place, or that lies in the folder: a short way to name it"""


class Page(NamedTuple):
    """What a listing shows at once; *folders* are paths that end in a slash."""

    rows: list[Row]
    folders: list[str]
    next: Key | None


def _everything(name: str) -> bool:
    return True


class Visibility(NamedTuple):
    """What a listing may show: asked with the name of each file, and with the path of each folder that holds it."""

    file: Callable[[str], bool] = _everything
    folder: Callable[[str], bool] = _everything

    def hidden_folder(self, filename: str) -> str | None:
        """Return the outermost folder of *filename* that may not be shown."""
        return next((folder for folder in folders_of(filename) if not self.folder(folder)), None)

    def named(self, filename: str) -> bool:
        """Whether *filename* may be shown, and all folders that hold it."""
        return not self.hidden_folder(filename) and self.file(filename)


EVERYTHING = Visibility()


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


class Budget:
    """The time that a page may spend on what it passes over; rows that are shown do not count."""

    def __init__(self) -> None:
        self._looked = monotonic()
        self._end = self._looked + _BUDGET

    def left(self) -> int:
        """Return the milliseconds that are left, at least one.

        :raises pymongo.errors.ExecutionTimeout: where none are
        """
        self._looked = monotonic()
        if self._looked >= self._end:
            raise ExecutionTimeout(f"{_BUDGET} second was not enough to find what may be shown")
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


def named(edge: Edge | None, prefix: str, part: str) -> dict[str, Any]:
    """What the server compares names with.

    :param edge: names that it has passed are left out
    :param prefix: how they begin
    :param part: a part of them, in upper or lower case
    """
    least, end = prefix, successor(prefix) or None
    if edge and (bound := edge.bound) is not None:
        if edge.backwards:
            end = bound if end is None else min(bound, end, key=octets)
        else:
            least = max(bound, least, key=octets)
    wanted: dict[str, Any] = {"$gte": least, **NO_ARRAY}
    if end is not None:
        wanted["$lt"] = end
    if part:
        wanted["$regex"] = Regex(re.escape(part), "i")
    return wanted
