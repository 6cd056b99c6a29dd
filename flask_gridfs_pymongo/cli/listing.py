"""``flask gridfs ls``, ``stat`` and ``du``: showing what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import click

from ..store import Bucket, StoredFile, Version, ids
from .group import bucket_options, ensure_output, gridfs
from .paths import TOP, folder, is_folder, name_given, name_of, spelled, version_of
from .transfers import transferring


@gridfs.command("ls")
@click.argument("path", default="/", type=name_given)
@click.option("-l", "long", is_flag=True, help="Show sizes in bytes, dates in UTC, and types.")
@click.option("-R", "recursive", is_flag=True, help="Show the contents of folders, too.")
@click.option("--versions", "all_versions", is_flag=True, help="Show all versions, with their numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@bucket_options
def ls_command(
    path: str, long: bool, recursive: bool, all_versions: bool, as_json: bool, bucket: str, prefix: str | None
) -> None:
    """List a folder or a file. Without PATH, list the top folder. Names of folders end with a slash.

    \b
    Exit status:
      0  done
      1  there is no such file or folder
      2  the command line is wrong, or the database does not answer
    """
    ensure_output()
    with transferring(prefix, bucket) as transfers:
        store, report, printed = transfers.bucket, transfers.report, 0
        name = spelled(store, path)
        for row in _rows(store, name, recursive, all_versions):
            if as_json:  # printed one by one: there may be a million
                click.echo(("," if printed else "[") + f"\n{json.dumps(_facts(row))}", nl=False)
            elif isinstance(row, str):
                report.line(row)
            else:
                report.line(_line(row, long, all_versions))
            printed += 1
        if as_json:
            click.echo("\n]" if printed else "[]")
        if not printed and path not in TOP and not store.list(prefix=folder(name), limit=1).rows:
            report.failed(path, "there is no such file or folder")


def _rows(bucket: Bucket, path: str, recursive: bool, all_versions: bool) -> Iterator[Version | str]:
    """Yield the folders and files that *path* means; with *all_versions*, the versions of each file."""
    for found in _found(bucket, path, recursive):
        if isinstance(found, str):
            yield found
        elif all_versions and found.named:
            yield from _versions(bucket, found.filename)
        else:
            yield Version(-1, found)


def _found(bucket: Bucket, path: str, recursive: bool) -> Iterator[StoredFile | str]:
    if path in TOP or path.endswith("/") or (file := bucket.find(path)) is None:
        for page in bucket.pages(prefix=folder(path), folded=not recursive):
            yield from page.folders
            for row in page.rows:
                if not row.file.marks_folder:
                    yield row.file
                elif row.file.filename != folder(path):
                    yield row.file.filename
    else:
        yield file


def _versions(bucket: Bucket, filename: str) -> Iterator[Version]:
    before = None
    while page := bucket.versions(filename, before):
        yield from page
        before = page[-1].number


def _line(row: Version, long: bool, numbered: bool) -> str:
    file = row.file
    number = [f"{row.number if file.named else 0:>5}"] if numbered else []
    size = "damaged" if file.damage else f"{file.length:,}"
    details = [f"{size:>15}", f"{file.upload_date.astimezone(UTC):%Y-%m-%d %H:%M:%S}", f"{file.content_type:<24}"]
    return "  ".join([*number, *(details if long else ()), name_of(file)])


def _facts(row: Version | str) -> dict[str, Any]:
    if isinstance(row, str):
        return {"folder": row}
    file = row.file
    return {
        "filename": file.filename if file.named else None,
        "id": ids.to_json(file.id, file.options),
        "length": None if file.damage else file.length,
        "upload_date": file.upload_date.astimezone(UTC).isoformat(timespec="milliseconds"),
        "content_type": file.content_type,
        "charset": file.charset,
        "sha256": file.sha256,
        **({} if row.number < 0 else {"version": row.number}),
    }


@gridfs.command("stat")
@click.argument("names", nargs=-1, required=True, type=name_given, metavar="NAME...")
@click.option("--version", type=int, default=-1, show_default=True, help="0 is the first one, -1 the newest.")
@bucket_options
def stat_command(names: tuple[str, ...], version: int, bucket: str, prefix: str | None) -> None:
    """Show everything about files.

    \b
    Exit status:
      0  done
      1  a file or version is missing
      2  the command line is wrong, or the database does not answer
    """
    ensure_output()
    with transferring(prefix, bucket) as transfers:
        for name in names:
            with transfers.report.trying(name):
                for label, value in _details(transfers.bucket, version_of(transfers.bucket, name, version)).items():
                    transfers.report.line(f"{label:>8}: {value}")


def _details(bucket: Bucket, file: StoredFile) -> dict[str, Any]:
    return {
        "name": file.filename,
        "id": json.dumps(ids.to_json(file.id, file.options)).strip('"'),
        "size": f"{file.length:,} bytes" if file.damage is None else f"damaged: {file.damage}",
        "type": file.media_type,
        "uploaded": file.upload_date.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds"),
        "expires": "never" if file.expires_at is None else file.expires_at.isoformat(sep=" ", timespec="seconds"),
        "version": f"{bucket.number(file)}, counted from 0",
        "versions": bucket.count(file.filename),
        "sha256": file.sha256 or "not stored",
        "metadata": json.dumps(ids.to_json(file.fields.get("metadata", file.metadata), file.options)),
    }


@gridfs.command("du")
@click.argument("paths", nargs=-1, type=name_given, metavar="[PATH]...")
@bucket_options
def du_command(paths: tuple[str, ...], bucket: str, prefix: str | None) -> None:
    """Add up the bytes of folders or files, with all versions. Without PATH, show the whole bucket.

    \b
    Exit status:
      0  done
      1  there is no such file or folder
      2  the command line is wrong, or the database does not answer
    """
    ensure_output()
    with transferring(prefix, bucket) as transfers:
        store, report = transfers.bucket, transfers.report
        for path in paths or TOP[1:]:
            name = spelled(store, path)
            used = store.usage(folder(name) if is_folder(store, name) else name)
            if used.versions or path in TOP or store.list(prefix=folder(name), limit=1).rows:
                report.line(f"{used.bytes:>15,} bytes  files {used.names:,}  versions {used.versions:,}  {path}")
            else:
                report.failed(path, "there is no such file or folder")
