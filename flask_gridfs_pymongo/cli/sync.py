"""``flask gridfs sync``: copying what is missing or different between a local folder and one in the store."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter

import click

from ..store import Bucket, CorruptFile, StoredFile
from . import local
from .destination import Destination
from .group import bucket_options, gridfs
from .paths import below, check_folder, ensure_named, folder, name_of, spelled
from .transfers import Transfers, transferring

_STORE = "gridfs:"


@gridfs.command("sync")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--dry-run", is_flag=True, help="Only show what would be done, and what would be refused.")
@bucket_options
def sync_command(source: str, destination: str, dry_run: bool, bucket: str, prefix: str | None) -> None:
    """Copy to DST what is missing or different there.

    One of SRC and DST is a local folder, the other gridfs:FOLDER. Both mean their contents, with or without a slash at
    the end; gridfs: alone is the whole bucket. Files are the same if they have the same
    length and SHA-256. Nothing is ever deleted, and in the store nothing is replaced: a file that differs becomes the
    newest version. Each copied file is a line of output; symbolic links are left out, and are never replaced.

    \b
    Exit status:
      0  DST has all that SRC has
      1  a file is damaged, could not be read or written, or its name is not UTF-8 or not a path
      2  the command line is wrong, or the database does not answer
    """
    if source.startswith(_STORE) == destination.startswith(_STORE) or "" in (source, destination):
        raise click.UsageError(f"give a local folder and {_STORE}FOLDER")
    with transferring(prefix, bucket) as transfers:
        if destination.startswith(_STORE):
            _send(transfers, source, _folder(destination, local.stored_name), dry_run)
        else:
            check_folder(destination)
            top = spelled(transfers.bucket, _folder(source, local.decoded))
            _bring(transfers, top, destination, Destination(destination, transfers.bucket, dry_run=dry_run))


def _folder(argument: str, read: Callable[[str], str]) -> str:
    try:
        return folder(read(argument.removeprefix(_STORE)))
    except ValueError as error:
        raise click.UsageError(f"{argument!r}: {error}") from None


def _send(transfers: Transfers, source: str, top: str, dry_run: bool) -> None:
    differing = _differing(transfers, source, top, dry_run)
    for name in (name for _, name in differing) if dry_run else transfers.put_files(differing, unless_same=True):
        transfers.report.line(f"put {name}")


def _differing(transfers: Transfers, source: str, top: str, dry_run: bool) -> Iterator[tuple[str, str]]:
    """Iterate over the files that are missing or different in the store: the path and the name of each."""
    bucket, report = transfers.bucket, transfers.report
    for path, file in _beside(local.walk(source, report.failed, report.skipped), bucket, top):
        own = os.path.join(source, path)
        with report.trying(own):
            name = top + local.stored_name(path)
            local.check_path(name)
            found = [file]
            if name != top + path:  # it was decomposed
                _ensure_alone(own, os.path.join(source, name.removeprefix(top)))
                found.append(bucket.find(name))
            if any(one is not None and _is_same(bucket, one, own) for one in found):
                continue
            if dry_run:
                with open(own, "rb"):  # which the run might not be allowed to
                    pass
            yield own, name


def _beside(paths: Iterable[str], bucket: Bucket, top: str) -> Iterator[tuple[str, StoredFile | None]]:
    """Iterate over *paths*, each with the stored file of the same name below *top*; both are sorted by name."""
    here = ((os.fsencode(top) + os.fsencode(path), 0, path, None) for path in paths)
    there = ((file.filename.encode(), 1, "", file) for file in below(bucket, top) if file.named)
    for _, group in groupby(heapq.merge(here, there, key=itemgetter(0, 1)), key=itemgetter(0)):
        first, *second = group
        if first[3] is None:
            yield first[2], second[0][3] if second else None


def _ensure_alone(path: str, composed: str) -> None:
    if os.path.lexists(composed) and not os.path.samefile(path, composed):
        raise ValueError(f"not stored: in the store it has the name of {composed!r}, which looks the same")


def _bring(transfers: Transfers, top: str, local_top: str, destination: Destination) -> None:
    report = transfers.report

    def is_missing(file: StoredFile) -> bool:
        return not os.path.lexists(os.path.join(local_top, file.filename.removeprefix(top)))

    for file in transfers.bucket.prefetched(below(transfers.bucket, top), is_missing):
        with report.trying(name_of(file)):
            ensure_named(file)
            if file.marks_folder:
                destination.make(file, file.filename.removeprefix(top))
                continue
            path = destination.path_of(file, file.filename.removeprefix(top))
            if os.path.isfile(path) and _is_same(transfers.bucket, file, path):
                continue
            transfers.get(file, destination.open(path, file))
            report.line(f"get {file.filename}")


def _is_same(bucket: Bucket, file: StoredFile, path: str) -> bool:
    """Whether a stored file has the content of a local one; never if it is damaged."""
    if file.damage or file.length != os.path.getsize(path):
        return False
    try:
        return bucket.sha256(file) == local.sha256(path)
    except CorruptFile:
        return False
