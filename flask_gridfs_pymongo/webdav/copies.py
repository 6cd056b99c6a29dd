"""Copies of files in batches, for COPY, and for MOVE onto a file.

::

    finish = copy_files(files, targets, overwrite=True, made=note(dav))
    finish(files[0])  # or raises the error of its copy
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import abort

from ..service.operations import after_save
from ..service.receive import save_copies
from ..store import StoredFile
from .files import File
from .folders import Folder, Member
from .saves import filled, has_arrived

_BATCH = 500  # files


class Arrived(Exception):
    """A MOVE that broke off has copied the file already."""


def copy_files(
    files: list[File], targets: Mapping[Member, str], *, overwrite: bool, made: Mapping[str, Any]
) -> Callable[[Member], None]:
    """Copy *files* in batches; return what finishes the copy of one of them, or of a folder, or raises its error.

    :param made: the :func:`.note` of the copies
    """
    followed: dict[str, StoredFile | None] = {}

    def copy_of(file: File) -> tuple[StoredFile, str, Callable[[StoredFile | None], None]]:
        new = targets[file]

        def check(newest: StoredFile | None) -> None:
            if newest is not None and not overwrite:
                abort(412, "There is already a file; nothing was changed.")
            file.check_again()
            File(f"/{new}", file.environ, newest).check_unlocked()
            if has_arrived(file.stored, newest, made):
                raise Arrived
            followed[new] = newest

        return file.stored, new, check

    def read_locks_again() -> None:
        files[0].provider.locks.known = None

    outcomes: dict[Member, StoredFile | Exception] = {}
    for batch in batches(files):
        copies = save_copies(batch[0].options, [copy_of(file) for file in batch], made, read_locks_again)
        outcomes |= dict(zip(batch, copies, strict=True))

    def finish(member: Member) -> None:
        outcome = outcomes.get(member)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            before = filled(followed[outcome.filename], made)
            after_save(member.options, outcome, before, is_placeholder=not outcome.length)
        elif isinstance(member, Folder):
            _copy_marker(member, targets[member])

    return finish


def _copy_marker(folder: Folder, new: str) -> None:
    bucket = folder.options.bucket()
    if folder.marker is not None and bucket.newest(new) is None:
        bucket.copy(folder.marker.filename, new)


def batches(files: list[File]) -> Iterator[list[File]]:
    """Split *files* into batches."""
    return (files[start : start + _BATCH] for start in range(0, len(files), _BATCH))
