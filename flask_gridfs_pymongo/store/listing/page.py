"""The parts of a listing's page: rows and their keys, and which files it may show.

A walk yields rows that may be shown, in order; a page is the first of them::

    page = first(by_name(versions, Visibility(may_read, may_list), None, size=128, prefix="", having=Having({})), 100)
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
"""the value of a key if the file's own has a type that the order does not sort"""


class Row(NamedTuple):
    """A name's newest version, and how many versions there are, at most ``MAX_COUNTED`` (100)."""

    file: StoredFile
    versions: int


class Key(NamedTuple):
    """The place of a row: its name, and in orders other than by name its value (``by_value.position``).

    A page starts after the key of the last row on the page before.
    """

    filename: str | None
    """None if the file has no name; then *value* is its ``_id``"""
    value: Any = None
    file_id: Any = None
    """of a version in this place or in this folder: a short form of the key"""


class Page(NamedTuple):
    """One page of a listing; *folders* are paths that end with a slash."""

    rows: list[Row]
    folders: list[str]
    next: Key | None


def _everything(name: str) -> bool:
    return True


class Visibility(NamedTuple):
    """What a listing may show: called with the name of each file, and the path of each folder that contains it."""

    file: Callable[[str], bool] = _everything
    folder: Callable[[str], bool] = _everything

    def hidden_folder(self, filename: str) -> str | None:
        """Return the outermost folder of *filename* that may not be shown, or None."""
        return next((folder for folder in folders_of(filename) if not self.folder(folder)), None)

    def named(self, filename: str) -> bool:
        """Whether *filename* may be shown, and all folders that contain it."""
        return not self.hidden_folder(filename) and self.file(filename)


EVERYTHING = Visibility()


class Having(NamedTuple):
    """The metadata that a name's newest version must have: for each key values that it equals or contains."""

    metadata: Mapping[str, Sequence[Any]]

    def selection(self) -> dict[str, Any]:
        """Return a query for versions that have it; values are never operators."""
        return {f"metadata.{key}": {"$all": list(values)} for key, values in self.metadata.items()}

    def matches(self, file: StoredFile) -> bool:
        """Whether *file* has it, and has not expired."""
        stored = {key: file.metadata.get(key) for key in self.metadata}
        found = {key: value if isinstance(value, list) else [value] for key, value in stored.items()}
        return not file.expired and all(
            value in found[key] for key, values in self.metadata.items() for value in values
        )


Item = tuple[Key, "Row | str"]
"""A row that may be shown, or the path of a folder, with its key"""
Walk = Iterator[Item]


class Budget:
    """The time that a page may spend on what it does not show."""

    def __init__(self) -> None:
        self._looked = monotonic()
        self._end = self._looked + _BUDGET
        self._charged = 0.0

    def left(self) -> int:
        """Return the milliseconds that are left, at least one.

        :raises pymongo.errors.ExecutionTimeout: if none are
        """
        self._looked = monotonic()
        if self._looked >= self._end:
            raise ExecutionTimeout(f"{_BUDGET} second was not enough to find what may be shown")
        return max(1, int((self._end - self._looked) * 1000))

    def charge(self, seconds: float) -> None:
        """Count this time, too, unless :meth:`give_back` is called before the next one."""
        self._end -= seconds
        self._charged = seconds

    def give_back(self) -> float:
        """Do not count the time since :meth:`left` was called, which is returned, nor what was charged last."""
        seconds = monotonic() - self._looked
        self._end += seconds + self._charged
        self._charged = 0.0
        return seconds


def first(walk: Walk, limit: int) -> Page:
    """Return a page with the first *limit* rows of a walk; there is a next page only if there are more rows.

    :raises pymongo.errors.ExecutionTimeout: if passing over what is not shown takes more than a second
    """
    found = list(islice(walk, limit + 1))
    shown = found[:limit]
    return Page(
        rows=[row for _, row in shown if isinstance(row, Row)],
        folders=[row for _, row in shown if isinstance(row, str)],
        next=shown[-1][0] if len(found) > limit else None,
    )


def pattern_of(part: str, start: int = 0) -> str:
    """Return a regular expression for names that contain *part*, after their first *start* characters."""
    return f"^(?s:.{{{start}}}.*){re.escape(part)}" if part and start else re.escape(part)


def named(edge: Edge | None, prefix: str, pattern: str) -> dict[str, Any]:
    """Return a query for names.

    :param edge: leaves out names that it has passed
    :param prefix: what the names begin with
    :param pattern: see :func:`pattern_of`; in upper or lower case
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
    if pattern:
        wanted["$regex"] = Regex(pattern, "i")
    return wanted
