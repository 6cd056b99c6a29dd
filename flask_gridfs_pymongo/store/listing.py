"""Pages of names, each with its newest revision: by name along an index, in other orders as far as time allows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby, islice
from time import monotonic
from typing import Any, NamedTuple

from bson.regex import Regex
from pymongo import ASCENDING, DESCENDING

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
_PATIENCE = 1  # seconds


class Row(NamedTuple):
    """A name's newest revision, and how many there are; :data:`MANY` stands for more, too."""

    file: StoredFile
    versions: int


class Key(NamedTuple):
    """Where the next page begins: behind this name, and in another order behind this value and name."""

    filename: str
    value: Any = None


class Page(NamedTuple):
    """What a listing shows at once; *folders* are paths that end in a slash."""

    rows: list[Row]
    folders: list[str]
    next: Key | None


def by_name(
    versions: Versions, after: str | None = None, limit: int = 100, *, prefix: str = "", part: str = ""
) -> Page:
    """Return the rows behind the name *after*.

    :param limit: rows at most
    :param prefix: how the names begin
    :param part: what they have in them, in upper or lower case
    :raises pymongo.errors.ExecutionTimeout: where the server needs more than a second for one piece of it
    """
    rows = list(islice(_rows(versions, after, prefix, part, folded=False), limit + 1))
    files = [row for row in rows[:limit] if isinstance(row, Row)]
    return Page(files, [], Key(files[-1].file.filename) if len(rows) > limit else None)


def in_folder(versions: Versions, path: str, after: str | None = None, limit: int = 100) -> Page:
    """Return what is directly in the folder *path*: names that go on without a slash, and folders."""
    found = list(islice(_rows(versions, after, path, "", folded=True), limit + 1))
    shown = found[:limit]
    files = [row for row in shown if isinstance(row, Row)]
    folders = [row for row in shown if isinstance(row, str)]
    last = shown[-1] if len(found) > limit else None
    return Page(files, folders, Key(last.file.filename if isinstance(last, Row) else last) if last else None)


def _rows(versions: Versions, after: str | None, prefix: str, part: str, *, folded: bool) -> Iterator[Row | str]:
    """Walk the names in order, in pieces of the index.

    A name with more revisions than a piece holds is stepped over, not walked through, and so is a folder.
    """
    wanted = _named(prefix, part)
    if after is not None and after >= prefix:
        is_folder = folded and after.endswith("/") and after != prefix
        wanted |= {"$gte": _successor(after)} if is_folder else {"$gt": after}
    while True:
        by_name = versions.collections.files.find({"filename": wanted}).sort(
            [("filename", ASCENDING), ("uploadDate", ASCENDING)]
        )
        documents = list(by_name.limit(_SCAN).max_time_ms(_PATIENCE * 1000))
        for filename, group in groupby(documents, key=lambda found: found["filename"]):
            if folded and "/" in filename[len(prefix) :]:
                folder = filename[: filename.index("/", len(prefix)) + 1]
                yield folder
                wanted = _from(wanted, "$gte", _successor(folder))
                break
            yield _row(versions, list(group), whole=len(documents) < _SCAN or filename != documents[-1]["filename"])
            wanted = _from(wanted, "$gt", filename)
        else:
            if len(documents) < _SCAN:
                return


def _row(versions: Versions, group: list[dict[str, Any]], *, whole: bool) -> Row:
    filename = group[0]["filename"]
    tied = len(group) > 1 and group[-2].get("uploadDate") == group[-1].get("uploadDate")
    found = None if tied or not whole else StoredFile.from_document(group[-1])
    newest = found or versions.find(filename) or StoredFile.from_document(group[-1])
    seen = len(group) if whole or len(group) > MANY else versions.count(filename, limit=MANY)
    return Row(newest, min(seen, MANY))


def ordered(
    versions: Versions, order: str, after: Key | None = None, limit: int = 100, *, prefix: str = "", part: str = ""
) -> Page:
    """Return the rows behind *after* in one of the :data:`ORDERS`, and names in order where their values are equal.

    Without an index the server sorts the whole bucket, for a second at most. A page may come out short, where most of
    what stands at its place are older versions; its *next* goes on.

    :raises pymongo.errors.ExecutionTimeout: where that takes longer
    """
    field, _, attribute = ORDERS[order]
    deadline = monotonic() + _PATIENCE
    rows: list[Row] = []
    newest: dict[str, StoredFile | None] = {}
    seen: set[str] = set()
    while True:
        count = 0
        for document in _candidates(versions, order, after, _named(prefix, part)):
            count += 1
            candidate = StoredFile.from_document(document)
            filename = candidate.filename
            if filename not in newest:
                newest[filename] = versions.find(filename)
            file = newest[filename]
            if file and filename not in seen and getattr(file, attribute) == getattr(candidate, attribute):
                if len(rows) == limit:
                    return Page(rows, [], after)
                seen.add(filename)
                rows.append(Row(file, versions.count(filename, limit=MANY)))
            after = Key(filename, document.get(field))
            if monotonic() > deadline:
                return Page(rows, [], after)
        if count < _CANDIDATES:
            return Page(rows, [], None)


def _candidates(
    versions: Versions, order: str, after: Key | None, names: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Documents behind *after*, older versions among them; each query walks one stretch of the order's index."""
    field, direction, _ = ORDERS[order]
    stretches: list[dict[str, Any]] = [{"filename": names}]
    if after is not None:
        if after.value is None:  # no content type: sorted before all others
            beyond: dict[str, Any] = {"$gte": ""}
        else:
            beyond = {"$gt" if direction == ASCENDING else "$lt": after.value}
        same = {"filename": {**names, "$gt": after.filename}, field: after.value}
        stretches = [same, {"filename": names, field: beyond}]
    left = _CANDIDATES
    for stretch in stretches:
        found = versions.collections.files.find(stretch).sort([(field, direction), ("filename", ASCENDING)]).limit(left)
        with found.max_time_ms(_PATIENCE * 1000) as cursor:
            for document in cursor:
                left -= 1
                yield document
        if not left:
            return


def _named(prefix: str, part: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {"$gte": prefix}
    if end := _successor(prefix):
        wanted["$lt"] = end
    if part:
        wanted["$regex"] = Regex(re.escape(part), "i")
    return wanted


def _from(wanted: Mapping[str, Any], operator: str, bound: str) -> dict[str, Any]:
    kept = {name: value for name, value in wanted.items() if name not in ("$gt", "$gte")}
    return {**kept, operator: bound}


def _successor(prefix: str) -> str:
    """The least string behind all that begin with *prefix*; empty where there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return ""
    code = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if code == 0xD800 else code)
