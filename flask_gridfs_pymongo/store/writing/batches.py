"""Uploads of many files in few round trips; :mod:`.renames` renames as many.

A batch does the first attempt for all of them. What that does not settle, such as a name that is taken, dates that are
equal, or a name with very many versions, is then done one by one, as it would be alone::

    save_many(versions, bucket.writer, [NewFile("a.txt", [b"Buy milk"]), NewFile("b.txt", [b"and bread"])])

Each function returns what became of each file: what the change of it alone would return, or raise. If the database
fails, the files that are left are not tried.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from pymongo.errors import PyMongoError

from ..collections import Documents
from ..errors import Unconfirmed
from ..model import StoredFile
from ..retry import is_outage, retry
from ..versions import Versions, newest_in
from .commit import Check, Commit, Saved, insert_many
from .sources import Readable, blocks
from .writer import Writer, finish_many

_BATCH = 200  # files
_BATCH_BYTES = 4 * 1024 * 1024  # unless the last file is larger
_SMALL = 64 * 1024  # bytes of a file that is fetched with others
T = TypeVar("T")


class NewFile(NamedTuple):
    """A file to be saved, with the parameters of :meth:`.Bucket.save`."""

    filename: str
    source: Readable | Iterable[bytes] | os.PathLike[str]
    content_type: str | None = None
    fields: Mapping[str, Any] | None = None
    check: Check | None = None
    inspect: Callable[[StoredFile], None] | None = None


class Ready(NamedTuple):
    """A file whose content is stored, with the parameters of ``Writer.commit``."""

    writer: Writer
    content_type: str | None = None
    fields: Mapping[str, Any] | None = None
    check: Check | None = None


class Attempts:
    """Makes changes one by one; after the database has failed, none any more."""

    def __init__(self) -> None:
        self.failure: PyMongoError | None = None

    def make(self, change: Callable[[], T]) -> T | Exception:
        """Return the result of *change*, or its error."""
        if self.failure is not None:
            return self.failure
        try:
            return change()
        except Exception as error:
            if isinstance(error, PyMongoError) and (isinstance(error, Unconfirmed) or is_outage(error)):
                self.failure = error
            return error

    def make_rest(
        self, done: Mapping[Any, T | Exception] | Exception, key: Any, change: Callable[[], T]
    ) -> T | Exception:
        """Return the outcome of *key* in *done*, the attempt for many, or if it has none that of *change*."""
        if isinstance(done, Exception):
            return done
        return done[key] if key in done else self.make(change)


def save_many(
    versions: Versions, begin: Callable[[str], Writer], uploads: Iterable[NewFile]
) -> list[StoredFile | Exception]:
    """Save several files; those with the same name become versions in this order.

    :param begin: returns the writer for a name
    :param uploads: read as they are needed: at most 200 files, or 4 MiB and one file, at once
    """
    attempts, rest = Attempts(), iter(uploads)
    outcomes: list[StoredFile | Exception] = []
    while True:
        with ExitStack() as stack:
            batch = _filled(attempts, stack, begin, rest)
            if not batch:
                return outcomes
            outcomes += _save_batch(versions, attempts, batch)
            if attempts.failure is not None:  # as if it were raised here: no writer waits for the database again
                stack.pop_all().__exit__(type(attempts.failure), attempts.failure, None)


def _filled(
    attempts: Attempts, stack: ExitStack, begin: Callable[[str], Writer], uploads: Iterator[NewFile]
) -> list[tuple[NewFile, Writer | Exception]]:
    """Write the contents of the next *uploads*: most of them are in memory afterwards."""

    def fill() -> Writer:
        writer = stack.enter_context(begin(upload.filename))
        for block in blocks(upload.source):
            writer.write(block)
        return writer

    batch: list[tuple[NewFile, Writer | Exception]] = []
    size = 0
    for upload in uploads:
        filled = attempts.make(fill)
        batch.append((upload, filled))
        size += filled.length if isinstance(filled, Writer) else 0
        if len(batch) == _BATCH or size >= _BATCH_BYTES:
            break
    return batch


def _save_batch(
    versions: Versions, attempts: Attempts, batch: list[tuple[NewFile, Writer | Exception]]
) -> list[StoredFile | Exception]:
    writers = [writer for _, writer in batch if isinstance(writer, Writer)]
    stored = attempts.make(partial(finish_many, writers)) if writers else None
    if isinstance(stored, Exception):
        return [stored if isinstance(writer, Writer) else writer for _, writer in batch]
    inspected = [
        attempts.make(partial(_inspected, upload, writer)) if isinstance(writer, Writer) else writer
        for upload, writer in batch
    ]
    ready = [
        Ready(writer, upload.content_type, upload.fields, upload.check)
        for (upload, _), writer in zip(batch, inspected, strict=True)
        if isinstance(writer, Writer)
    ]
    saved = iter(commit_many(versions, ready, attempts))
    outcomes = [next(saved) if isinstance(writer, Writer) else writer for writer in inspected]
    return [outcome.file if isinstance(outcome, Saved) else outcome for outcome in outcomes]


def _inspected(upload: NewFile, writer: Writer) -> Writer:
    if upload.inspect is not None:
        upload.inspect(writer.preview(upload.content_type, upload.fields))
    return writer


def commit_many(
    versions: Versions, uploads: Sequence[Ready], attempts: Attempts | None = None
) -> list[Saved | Exception]:
    """Commit several uploads; those with the same name become versions in this order."""
    commits = [one.writer.begin_commit(one.content_type, one.fields, one.check) for one in uploads]
    outcomes = _commit(versions, commits, attempts or Attempts()) if commits else []
    for upload, outcome in zip(uploads, outcomes, strict=True):
        upload.writer.end_commit(outcome)
    return outcomes


def _commit(versions: Versions, commits: list[Commit], attempts: Attempts) -> list[Saved | Exception]:
    refused = attempts.make(partial(_insert, versions, commits))
    outcomes: list[Saved | Exception] = []
    for place, commit in enumerate(commits):
        if isinstance(refused, dict) and place in refused:
            outcomes.append(refused[place])
        elif commit.is_placed:
            outcomes.append(commit.run())
        elif attempts.failure is not None:
            outcomes.append(commit.given_up(attempts.failure))
        else:
            outcomes.append(attempts.make(commit.run))
    return outcomes


def _insert(versions: Versions, commits: list[Commit]) -> dict[int, Exception]:
    """Do the first step of those *commits* that have different names; return what their checks raised, by place."""
    found = versions.of_many({commit.filename for commit in commits})
    ready: dict[str, Commit] = {}
    refused: dict[int, Exception] = {}
    for place, commit in enumerate(commits):
        documents = found.get(commit.filename)
        newest = newest_in(documents or [])
        if commit.filename in ready or documents is None or (documents and newest is None):
            continue
        try:
            commit.follow(None if newest is None else versions.stored(newest))
        except PyMongoError:
            raise
        except Exception as error:
            refused[place] = error
        else:
            ready[commit.filename] = commit
    if ready:
        insert_many(list(ready.values()))
    return refused


def prefetched(
    chunks: Documents, files: Iterable[StoredFile], wanted: Callable[[StoredFile], bool]
) -> Iterator[StoredFile]:
    """Yield *files*, small ones that are *wanted* with their content, which :class:`.Reader` then does not ask for."""
    for batch in batches(files, _BATCH):
        small = [file.id for file in batch if 0 < file.length <= min(file.chunk_size, _SMALL) and wanted(file)]
        found = _first_chunks(chunks, small)
        yield from (replace(file, first_chunk=found.get(repr(file.id))) for file in batch)


def _first_chunks(chunks: Documents, ids: list[Any]) -> dict[str, Any]:
    if not ids:
        return {}
    own = {"files_id": {"$in": ids}, "n": 0}
    try:
        found = retry(chunks, lambda: list(chunks.find(own, {"files_id": 1, "data": 1}, batch_size=_BATCH + 1)))
    except PyMongoError:  # it comes again from the first file that is read
        return {}
    return {repr(chunk["files_id"]): chunk.get("data") for chunk in found}


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield *items* in lists of at most *size*."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
