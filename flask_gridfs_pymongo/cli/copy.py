"""``flask gridfs copy``: a bucket that moves to another server, database or name."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from ..store import Bucket, Mirror, reason
from .group import Failure, bucket_options, gridfs, open_bucket
from .report import Report

_DESTINATION = re.compile(r"(mongodb(?:\+srv)?://.+):([^:/?@]+)")
_VERBS = {"copied": "copy", "updated": "update", "deleted": "delete"}


@gridfs.command("copy")
@bucket_options
@click.option("--to", "destination", required=True, metavar="URI:BASE", help="mongodb://other/shop:fs, for example.")
@click.option("--delete", is_flag=True, help="Delete there what is not here.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
def copy_command(bucket: str, prefix: str | None, destination: str, delete: bool, dry_run: bool) -> None:
    """Copy a bucket to another server, database or name, with ids, dates, versions, metadata and types.

    A second run copies what is missing or has changed; run it again after it was interrupted, or while the bucket is in
    use until the application uses the other one. A file that has the _id of another one there is left.

    \b
    Exit status:
      0  all files are there
      1  a file was left out
      2  the command line is wrong, or a database does not answer
    """
    counts: Counter[str] = Counter()
    with open_bucket(prefix, bucket) as source, _opened(destination) as target, Report() as report:
        if _identity(source) == _identity(target):
            raise Failure("--to is the bucket itself")
        if delete and source.files.find_one({}, {"_id": 1}) is None:
            raise Failure(
                f"{source.collections.name} has no files, and --delete would delete all there: is it the right one?"
            )
        mirror = Mirror(source, target, delete, dry_run)
        for step in mirror.run():
            counts[step.kind] += 1
            name = step.file.filename or str(step.file.key)
            if step.kind == "left":
                report.failed(name, f"another file has the _id {step.file.key} there; it was left")
            elif step.kind == "failed":
                report.failed(name, "a unique index there refuses it")
            elif dry_run:
                report.line(f"{_VERBS[step.kind]} {name}")
            report.advance(1)
    done = ", ".join(f"{counts[kind]:,} {kind}" for kind in _VERBS if kind != "deleted" or delete)
    click.echo(f"{source.collections.name} to {target.collections.name}: {done}, {mirror.same:,} were the same")
    sys.exit(report.status)


@contextmanager
def _opened(destination: str) -> Iterator[Bucket]:
    match = _DESTINATION.fullmatch(destination)
    form = Failure("--to must be a MongoDB URI with a database, a colon and the bucket: mongodb://other/shop:fs")
    if not match:
        raise form
    try:
        database = parse_uri(match[1], connect_timeout=5)["database"]
        client = MongoClient[dict[str, Any]](match[1])
    except (PyMongoError, OSError, ValueError) as error:
        raise Failure(f"--to: {error}") from None
    with closing(client):
        if not database:
            raise form
        try:
            client.admin.command("ping")
            yield Bucket(client[database], match[2])
        except PyMongoError as error:
            raise Failure(f"{database}.{match[2]}: {reason(error)}") from None


def _identity(bucket: Bucket) -> tuple[object, str]:
    """The same for one bucket, whatever the URIs."""
    hello = bucket.files.database.client.admin.command("hello")
    process = hello.get("topologyVersion", {}).get("processId")
    return (hello.get("setName") and sorted(hello["hosts"])) or process, bucket.collections.name
