"""``flask gridfs cat``, ``get`` and ``put``: copying files between the store and this machine."""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from typing import Any, BinaryIO

import click

from ..signals import file_saved, send
from ..store import Bucket, CorruptFile, NewFile, StoredFile
from .batches import batches
from .destination import Destination
from .group import Failure, bucket_options, ensure_output, gridfs, open_bucket, plain
from .interrupts import Interrupts
from .paths import (
    LocalMatch,
    check_folder,
    ensure_named,
    is_folder,
    local_files,
    local_path,
    name_given,
    name_into,
    name_of,
    new_name,
    prefetched,
    spelled,
    stored_files,
    version_of,
)
from .replacing import writing
from .report import Report

_BLOCK_SIZE = 256 * 1024  # bytes that are read at once


class Transfers:
    """Copies whole files in and out; an interruption or an error leaves nothing of a file behind."""

    def __init__(self, bucket: Bucket, report: Report, interrupts: Interrupts) -> None:
        self.bucket = bucket
        self.report = report
        self.interrupts = interrupts

    def put(self, source: BinaryIO, name: str, size: int | None, *, unless_same: bool = False) -> bool:
        """Store the content of *source* as the newest version of *name*; return whether it was stored.

        :param size: bytes; None: unknown
        :param unless_same: store nothing if by then the newest version has this content, as another command stored it
        """
        blocks = iter(partial(source.read, _BLOCK_SIZE), b"")
        with self.bucket.writer(name) as writer, suppress(_SameContent):
            for block in self.report.counted(name, size, blocks):
                writer.write(block)
            check = partial(_ensure_other, writer.sha256) if unless_same else None
            with self.interrupts.deferred():
                file = writer.commit(check=check).file
            send(file_saved, file=file)
            return True
        return False

    def put_files(self, files: Iterable[tuple[str, str]], *, unless_same: bool = False) -> Iterator[str]:
        """Store local files, each given by its path and its name in the store, small ones in batches.

        :param unless_same: as in :meth:`put`
        :return: the names under which something was stored
        """
        for batch in batches(files, weight=lambda file: _size(file[0])):
            if len(batch) == 1:  # it may be large
                yield from self._put_file(*batch[0], unless_same=unless_same)
                continue
            with self.interrupts.deferred():
                outcomes = self.bucket.save_many(self._small_file(*file, unless_same=unless_same) for file in batch)
            for (path, name), outcome in zip(batch, outcomes, strict=True):
                with self.report.trying(path), suppress(_SameContent):
                    if isinstance(outcome, Exception):
                        raise outcome
                    send(file_saved, file=outcome)
                    yield name

    def _put_file(self, path: str, name: str, *, unless_same: bool) -> Iterator[str]:
        with self.report.trying(path), open(path, "rb") as source:
            size = os.fstat(source.fileno()).st_size or None
            if self.put(source, name, size, unless_same=unless_same):
                yield name

    def _small_file(self, path: str, name: str, *, unless_same: bool) -> NewFile:
        hashed = hashlib.sha256()

        def read() -> Iterator[bytes]:
            with open(path, "rb") as source:
                for block in self.report.counted(name, None, iter(partial(source.read, _BLOCK_SIZE), b"")):
                    hashed.update(block)
                    yield block

        return NewFile(name, read(), check=partial(_ensure_other, hashed) if unless_same else None)

    def get(self, file: StoredFile, opening: AbstractContextManager[BinaryIO]) -> None:
        """Write a stored file to the file that *opening* opens.

        :raises CorruptFile: if it is damaged
        """
        hashed = hashlib.sha256()
        with closing(self.bucket.read(file)) as pieces, opening as target:
            for piece in self.report.counted(name_of(file), file.length, pieces):
                hashed.update(piece)
                target.write(piece)
            if file.sha256 not in (None, hashed.hexdigest()):
                raise CorruptFile("its SHA-256 is not the one that it was stored with")


def _size(path: str) -> int:
    """In bytes; what is not a regular file may be endless."""
    try:
        found = os.stat(path)
    except OSError:  # it comes again when the file is opened
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else sys.maxsize


class _SameContent(Exception):
    """The newest version has the content that is about to be stored."""


def _ensure_other(hashed: Any, newest: StoredFile | None) -> None:
    if newest is not None and newest.sha256 == hashed.hexdigest() and newest.damage is None:
        raise _SameContent


@contextmanager
def transferring(prefix: str | None, bucket: str) -> Iterator[Transfers]:
    """Open a bucket for a command; the end of the block ends the command with its exit status."""
    with open_bucket(prefix, bucket) as store, Interrupts() as interrupts, Report() as report:
        yield Transfers(store, report, interrupts)
    sys.exit(report.status)


@gridfs.command("cat")
@click.argument("names", nargs=-1, required=True, type=name_given, metavar="NAME...")
@click.option("--version", type=int, default=-1, show_default=True, help="0 is the first one, -1 the newest.")
@bucket_options
def cat_command(names: tuple[str, ...], version: int, bucket: str, prefix: str | None) -> None:
    """Write the content of files to the standard output.

    On a terminal, everything but printable text is escaped.

    \b
    Exit status:
      0  done
      1  a file is missing or damaged
      2  the command line is wrong, or the database does not answer
    """
    ensure_output()
    with transferring(prefix, bucket) as transfers:
        for name in names:
            with transfers.report.trying(name):
                file = version_of(transfers.bucket, name, version)
                with closing(transfers.bucket.read(file)) as pieces:
                    _print(pieces)


def _print(pieces: Iterable[bytes]) -> None:
    if not sys.stdout.isatty():
        sys.stdout.buffer.writelines(pieces)
        sys.stdout.buffer.flush()
        return
    for text in codecs.iterdecode(pieces, "utf-8", errors="backslashreplace"):
        click.echo("".join(part if part in "\n\t" else plain(part) for part in text), nl=False)


@gridfs.command("get")
@click.argument("sources", nargs=-1, required=True, type=name_given, metavar="SRC...")
@click.argument("destination", metavar="DST")
@bucket_options
def get_command(sources: tuple[str, ...], destination: str, bucket: str, prefix: str | None) -> None:
    """Write the newest versions of stored files to DST, a local file or folder.

    As with rsync, SRC/ is the contents of a folder; SRC is the file with this name, else the folder itself; / is
    everything. DST is a folder if it ends with a slash, if there is such a folder, or if there is more than one SRC. An
    existing file is replaced, in one step. If DST itself is a symbolic link, its target is replaced; a device or pipe,
    such as /dev/stdout, is written to. Nothing is ever written outside of DST: symbolic links in a folder are neither
    followed nor replaced.

    \b
    Exit status:
      0  done
      1  a file is missing, damaged, or could not be written
      2  the command line is wrong, or the database does not answer
    """
    if destination in ("", "-"):
        raise click.UsageError("DST must be a file or a folder; to write to the standard output use flask gridfs cat")
    with transferring(prefix, bucket) as transfers:
        store = transfers.bucket
        names = [spelled(store, name) for name in sources]
        into_folder = len(names) > 1 or destination.endswith(("/", os.sep)) or os.path.isdir(destination)
        if into_folder or is_folder(store, names[0]):
            check_folder(destination)
        top = Destination(destination, store)
        for one in prefetched(store, stored_files(store, names, transfers.report)):
            with transfers.report.trying(one.name):
                ensure_named(one.file)
                if one.file.marks_folder:
                    top.make(one.file, one.rest)
                elif into_folder or one.within:
                    transfers.get(one.file, top.open(top.path_of(one.file, one.rest), one.file))
                else:
                    transfers.get(one.file, writing(destination, one.file.upload_date))


@gridfs.command("put")
@click.argument("sources", nargs=-1, required=True, type=local_path, metavar="SRC...")
@click.argument("destination", type=new_name, metavar="DST")
@bucket_options
def put_command(sources: tuple[str, ...], destination: str, bucket: str, prefix: str | None) -> None:
    """Store local files as DST, a name or folder in the store.

    Nothing is replaced: under a name that is taken the file becomes the newest version. If SRC is - it is the standard
    input. As with rsync, SRC/ is the contents of a folder, SRC the folder itself; symbolic links in it are left out.
    DST is a folder if it ends with a slash, if there is such a folder, or if there is more than one SRC; / is the top
    folder.

    \b
    Exit status:
      0  done
      1  a file could not be read, or has a name that is not UTF-8
      2  the command line is wrong, or the database does not answer
    """
    with transferring(prefix, bucket) as transfers:
        into_folder = len(sources) > 1 or is_folder(transfers.bucket, destination)
        if "-" in sources and into_folder:
            raise click.UsageError("the standard input has no name: DST must be the name of a file, and - the only SRC")
        if "-" in sources and sys.stdin is None:
            raise Failure("the standard input is closed")
        if "-" in sources:
            with transfers.report.trying("-"):
                transfers.put(sys.stdin.buffer, name_into(destination, LocalMatch("-", "-"), into_folder), None)
            return
        found = local_files(sources, transfers.report)
        for _ in transfers.put_files(_with_names(found, destination, into_folder, transfers.report)):
            pass


def _with_names(
    files: Iterable[LocalMatch], destination: str, into_folder: bool, report: Report
) -> Iterator[tuple[str, str]]:
    for one in files:
        with report.trying(one.path):
            yield one.path, name_into(destination, one, into_folder)
