"""``flask gridfs export``: all versions of all files in a folder, for programs that know no GridFS."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import bson
import click
from bson import json_util
from bson.raw_bson import RawBSONDocument

from ..http.filenames import numbered, shortened, unpackable
from ..store import Bucket, StoredFile, pages
from .group import Failure, bucket_options, gridfs, open_bucket
from .paths import local_path
from .report import Report

_CONTENT, _DOCUMENTS, _SUMS = "files", "files.jsonl", "SHA256SUMS"
_MAX_NUMBERS = 10_000  # names in memory
_MAX_PATH = 2048  # bytes below DIR: Linux has 4096 for all


@gridfs.command("export")
@bucket_options
@click.argument("folder", metavar="DIR", type=local_path)
@click.option("--dry-run", is_flag=True, help="Only count what would be exported.")
def export_command(bucket: str, prefix: str | None, folder: str, dry_run: bool) -> None:
    """Write every version of every file into DIR, which must be empty or new.

    files/ has the content, under the names that are stored; another version has a number. files.jsonl has a line for
    each: its path, and its document in MongoDB's Extended JSON. SHA256SUMS is for "sha256sum -c".

    \b
    Exit status:
      0  all is exported
      1  a file is damaged, and was left out
      2  the command line is wrong, the database does not answer, or DIR cannot be written
    """
    with open_bucket(prefix, bucket) as store, Report() as report:
        found = _files(store)
        if dry_run:
            sizes = [file.length for file, _ in found]
            report.line(f"{store.collections.name}: {len(sizes):,} versions ({sum(sizes):,} bytes) to export")
            return
        count = _export(store, found, Path(folder), report)
        report.line(f"{store.collections.name}: {count:,} versions exported to {folder}")
    sys.exit(report.status)


def _files(store: Bucket) -> Iterator[tuple[StoredFile, RawBSONDocument]]:
    """The files, and their documents, of which the application's codec options change nothing."""
    options = store.collections.codec_options
    for page in pages(store):
        for document in page:
            yield StoredFile.from_document(bson.decode(document.raw, options), options=options), document


def _export(store: Bucket, found: Iterator[tuple[StoredFile, RawBSONDocument]], folder: Path, report: Report) -> int:
    count, numbers = 0, dict[str, int]()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Failure(f"{folder} is not empty")
        with (
            open(folder / _DOCUMENTS, "x", encoding="utf-8") as documents,
            open(folder / _SUMS, "x", encoding="utf-8", newline="\n") as sums,
        ):
            for file, document in found:
                with report.trying(file.filename or str(file.key)):
                    path, digest = _written(store, file, folder, numbers, report)
                    line = {"path": path, "document": document}
                    documents.write(json_util.dumps(line, json_options=json_util.CANONICAL_JSON_OPTIONS) + "\n")
                    sums.write(f"{digest}  {path}\n")
                    count += 1
    except OSError as error:
        raise Failure(f"{error.filename or folder}: {error.strerror}") from None
    return count


def _written(store: Bucket, file: StoredFile, folder: Path, numbers: dict[str, int], report: Report) -> tuple[str, str]:
    """Write the content, and return its path below *folder*, and its SHA-256."""
    file.ensure_sound()
    path, hashed = _claimed(folder, file, numbers), hashlib.sha256()
    try:
        with open(folder / path, "wb") as output, closing(store.read(file, keep=False)) as pieces:
            for piece in report.counted(file.filename, file.length, pieces):
                hashed.update(piece)
                output.write(piece)
    except BaseException:
        (folder / path).unlink()
        raise
    date = file.upload_date.timestamp()
    with suppress(OSError, OverflowError):  # a date that the file system does not have
        os.utime(folder / path, (date, date))
    return path, hashed.hexdigest()


def _claimed(folder: Path, file: StoredFile, numbers: dict[str, int]) -> str:
    """Create an empty file under the stored name, or with a number if there is one already; return its path.

    :param numbers: the last one that was given to a name
    """
    (name,) = unpackable([file.filename.rstrip("/")])
    if len(name.encode()) > _MAX_PATH:
        name = _flat(name)
    while True:
        number = numbers.get(name, 1)
        path = f"{_CONTENT}/{name if number == 1 else numbered(name, number)}"
        try:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch(exist_ok=False)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            if not (folder / path).parent.is_dir():  # a file has the name of the folder
                name = _flat(name)
            else:
                if len(numbers) == _MAX_NUMBERS:
                    numbers.clear()  # what is forgotten is found again
                numbers[name] = number + 1
        else:
            return path


def _flat(name: str) -> str:
    return shortened(name.replace("/", "_"), 240)
