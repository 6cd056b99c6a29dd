"""``flask gridfs cat``, ``get`` and ``put``: content between the store and this machine."""

from __future__ import annotations

import codecs
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import BinaryIO

import click

from ..signals import file_saved, tell
from ..store import Bucket, CorruptFile, StoredFile
from .group import bucket_options, gridfs, open_bucket, plain
from .interrupts import Interrupts
from .local import BLOCK, replacing
from .places import check_folder, is_folder, local, name_given, name_into, name_of, path_into, stored, version_of
from .report import Report


class Transfers:
    """Whole files in and out: what is interrupted, or goes wrong, leaves nothing."""

    def __init__(self, bucket: Bucket, report: Report, interrupts: Interrupts) -> None:
        self.bucket = bucket
        self.report = report
        self._interrupts = interrupts

    def put(self, source: BinaryIO, name: str, size: int | None) -> None:
        """Store what *source* reads as the newest version of *name*; *size* is in bytes."""
        blocks = iter(partial(source.read, BLOCK), b"")
        with self.bucket.writer(name) as writer:
            for block in self.report.counted(name, size, blocks):
                writer.write(block)
            with self._interrupts.held():
                file = writer.commit().file
        tell(file_saved, file=file)

    def put_file(self, path: str, name: str) -> None:
        """Store a file of this machine."""
        with open(path, "rb") as source:
            self.put(source, name, os.fstat(source.fileno()).st_size or None)

    def get(self, file: StoredFile, path: str) -> None:
        """Write a stored file to *path*, in place of what is there.

        :raises CorruptFile: where it is damaged
        """
        hashed = hashlib.sha256()
        with closing(self.bucket.read(file)) as pieces, replacing(path) as target:
            for piece in self.report.counted(name_of(file), file.length, pieces):
                hashed.update(piece)
                target.write(piece)
            if file.sha256 not in (None, hashed.hexdigest()):
                raise CorruptFile("its content has another SHA-256 than it was stored with")


@contextmanager
def transferring(prefix: str | None, bucket: str) -> Iterator[Transfers]:
    """A block that moves files, and ends the command with its exit status."""
    with open_bucket(prefix, bucket) as store, Interrupts() as interrupts, Report() as report:
        yield Transfers(store, report, interrupts)
    sys.exit(report.status)


@gridfs.command("cat")
@click.argument("names", nargs=-1, required=True, type=name_given, metavar="NAME...")
@click.option("--version", type=int, default=-1, show_default=True, help="0 is the first one, -1 the newest.")
@bucket_options
def cat_command(names: tuple[str, ...], version: int, bucket: str, prefix: str | None) -> None:
    """Write the content of files to the standard output.

    A terminal gets text alone: other characters are escaped.

    \b
    Exit status:
      0  done
      1  a file is not there, or damaged
      2  the command line is wrong, or the database does not answer
    """
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
@click.argument("place", metavar="DST")
@bucket_options
def get_command(sources: tuple[str, ...], place: str, bucket: str, prefix: str | None) -> None:
    """Write the newest versions of stored files to DST, a file or folder of this machine.

    As with rsync, SRC/ is the contents of a folder, SRC the file of this name, else the folder itself; / is everything.
    DST is a folder where it ends with a slash, where there is one, and for more than one file. A file that is there
    is replaced, in one step. Nothing is ever written outside of DST.

    \b
    Exit status:
      0  done
      1  a file is not there, damaged, or could not be written
      2  the command line is wrong, or the database does not answer
    """
    if place in ("", "-"):
        raise click.UsageError("DST is a file or a folder; flask gridfs cat writes to the standard output")
    with transferring(prefix, bucket) as transfers:
        is_place = len(sources) > 1 or place.endswith(("/", os.sep)) or os.path.isdir(place)
        if is_place or is_folder(transfers.bucket, sources[0]):
            check_folder(place)
        for one in stored(transfers.bucket, sources, transfers.report):
            with transfers.report.trying(one.name):
                one.ensure_named()
                transfers.get(one.file, path_into(place, one, is_place))


@gridfs.command("put")
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.argument("place", type=name_given, metavar="DST")
@bucket_options
def put_command(sources: tuple[str, ...], place: str, bucket: str, prefix: str | None) -> None:
    """Store files of this machine as DST, a name or folder of the store.

    Nothing is replaced: under a name that is taken it becomes the newest version. SRC - is the standard input. As with
    rsync, SRC/ is the contents of a folder, SRC the folder itself; symbolic links in it are left out. DST is a folder
    where it ends with a slash, where there is one, and for more than one file; / is the top folder.

    \b
    Exit status:
      0  done
      1  a file could not be read, or has a name that is not UTF-8
      2  the command line is wrong, or the database does not answer
    """
    with transferring(prefix, bucket) as transfers:
        is_place = len(sources) > 1 or is_folder(transfers.bucket, place)
        if "-" in sources and is_place:
            raise click.UsageError("the standard input has no name: give DST as the name of a file, and no other SRC")
        for one in local(sources, transfers.report):
            with transfers.report.trying(one.path):
                name = name_into(place, one, is_place)
                if one.path == "-":
                    transfers.put(sys.stdin.buffer, name, None)
                else:
                    transfers.put_file(one.path, name)
