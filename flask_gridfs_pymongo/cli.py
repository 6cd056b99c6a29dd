"""``flask gridfs``: the commands that look after a bucket."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup
from pymongo import ASCENDING
from pymongo.errors import PyMongoError

from .connection import AppState
from .signals import file_deleted
from .store import Bucket
from .store.check import Check, Finding
from .store.claims import build_index
from .store.collections import INDEXES, Collections, Index, index_problem
from .store.lifetime import Sweep
from .store.listing import ORDERS

gridfs = AppGroup("gridfs", help="Look after the files in GridFS.")


def _plain(text: str) -> str:
    """Escape what a terminal would obey: names, and errors that quote them, may have any character."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class _Failure(click.ClickException):
    exit_code = 2

    def format_message(self) -> str:
        return _plain(self.message)


def _bucket_options(command: Callable[..., None]) -> Callable[..., None]:
    prefix_help = "The config_prefix of the PyMongo object.  [default: MONGO, or the only one]"
    command = click.option("--prefix", help=prefix_help)(command)
    return click.option("--bucket", default="fs", show_default=True, help="The name of the bucket.")(command)


def _state(prefix: str | None) -> AppState:
    states: dict[str, AppState] = current_app.extensions["pymongo"]
    if prefix is None:
        prefix = next(iter(states)) if len(states) == 1 else "MONGO"
    if prefix not in states:
        known = ", ".join(sorted(states))
        raise click.UsageError(f"the app has no PyMongo object with the prefix {prefix!r}; --prefix is one of: {known}")
    return states[prefix]


@contextmanager
def _bucket(prefix: str | None, name: str) -> Iterator[Bucket]:
    state = _state(prefix)
    if state.settings.mongomock:
        raise _Failure("mongomock keeps files in the memory of one process; there is nothing to look after")
    try:
        yield state.connection.bucket(state.settings.dbname, name)
    except PyMongoError as error:
        reason = str(error).partition(", Topology Description")[0].partition(", full error")[0]
        raise _Failure(f"{state.settings.dbname}.{name}: {reason}") from None


@contextmanager
def _collections(prefix: str | None, name: str) -> Iterator[Collections]:
    with _bucket(prefix, name) as bucket:
        yield bucket.collections


@gridfs.command("check")
@_bucket_options
@click.option("--repair", is_flag=True, help="Repair what can be repaired.")
@click.option("--verify", is_flag=True, help="Read all content, and compare SHA-256 and MD5.")
@click.option("--idle", is_flag=True, help="Nobody writes to the bucket: nothing unfinished is spared.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check_command(bucket: str, prefix: str | None, repair: bool, verify: bool, idle: bool, as_json: bool) -> None:
    """Find what is wrong in a bucket, while it is in use.

    That is: missing indexes; files with missing, short, long, duplicate, misnumbered or extra chunks; chunks that no
    file owns. Where the newest of these is younger than an hour they may be of an upload that goes on, and are no
    problem.

    --repair makes the indexes, and deletes chunks that no file owns, and extra ones past the end of a file where its
    hash shows that they are not of it.

    --idle says that nobody writes to the bucket, as before a backup: chunks without a file are then dead whatever
    their age, and with --repair the marks by which writers order the versions are removed, too.

    \b
    Exit status:
      0  nothing is wrong, or everything was repaired
      1  something is wrong
      2  the command line is wrong, or the database does not answer
    """
    found = repaired = 0
    with _collections(prefix, bucket) as collections, _progress(collections) as bar:
        check = Check(collections, repair, verify, idle, advance=bar.update if bar else int)
        for finding in check.findings():
            if bar:
                click.echo("\r\x1b[K", nl=False, err=True)
            if as_json:  # printed as it comes: there may be a million
                click.echo(("," if found else '{"findings": [') + f"\n{_json(finding)}", nl=False)
            else:
                click.echo(_plain(_text(finding)))
            found += 1
            repaired += finding.repaired
    if as_json:
        counts = {"files": check.files, "chunks": check.chunks, "bytes": check.bytes, "uploading": check.uploading}
        totals = {"bucket": collections.name, **counts, "found": found, "repaired": repaired}
        click.echo(("\n" if found else '{"findings": [') + f"], {json.dumps(totals)[1:]}")
    else:
        seen = f"{check.files:,} files ({check.bytes:,} bytes), {check.chunks:,} chunks"
        running = f" ({check.uploading:,} of uploads that go on)" if check.uploading else ""
        click.echo(_plain(f"{collections.name}: {seen}{running}; {found:,} problems, {repaired:,} repaired"))
    sys.exit(1 if found > repaired else 0)


def _listed(context: click.Context, parameter: click.Parameter, queries: tuple[str, ...]) -> tuple[Index, ...]:
    return tuple(_index_for(query) for query in queries)


def _index_for(query: str) -> Index:
    if query in ORDERS:
        field, direction, _ = ORDERS[query]
        return Index("files", [(field, direction), ("filename", ASCENDING)], {})
    if re.fullmatch(r"metadata\.[^.$\0]+", query):
        return Index("files", [(query, ASCENDING), ("filename", ASCENDING), ("uploadDate", ASCENDING)], {})
    raise click.BadParameter(f"{query!r} is none of {', '.join(ORDERS)}, and not metadata.KEY")


@gridfs.command("index")
@click.argument("queries", nargs=-1, metavar="[newest|size|type|metadata.KEY]...", callback=_listed)
@_bucket_options
def index_command(queries: tuple[Index, ...], bucket: str, prefix: str | None) -> None:
    """Create the indexes of a bucket.

    Always those that every bucket has; for each of the orders newest, size and type the one that a listing in this
    order needs where there are many files; and for metadata.KEY the one for listings with that metadata.

    \b
    Exit status:
      0  they are there
      1  one could not be created
      2  the command line is wrong, or the database does not answer
    """
    with _collections(prefix, bucket) as collections:
        done = [_make_index(collections, index) for index in (*INDEXES, *queries)]
    sys.exit(0 if all(done) else 1)


def _make_index(collections: Collections, index: Index) -> bool:
    collection = collections.of(index)
    name = f"index {collection.full_name!r} {', '.join(field for field, _ in index.keys)!r}"
    problem = index_problem(collection.index_information(), index)
    if problem is None:
        click.echo(f"{name}: is there")
        return True
    error = build_index(collections, index)
    if error:
        advice = "; drop the old one first" if problem == "other options" else ""
        click.echo(_plain(f"{name}: {problem}, not created: {error}{advice}"), err=True)
    else:
        click.echo(f"{name}: created")
    return not error


def _age(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    match = re.fullmatch("([0-9]{1,5})([smhdw])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not a number and a unit: 90s, 15m, 12h, 30d or 4w")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[match[2]]
    return timedelta(**{unit: int(match[1])})


@gridfs.command("expire")
@_bucket_options
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Keep the N newest versions of each name.")
@click.option("--older-than", callback=_age, metavar="AGE", help="Let versions of this age expire: 12h, 30d, 4w.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def expire_command(
    bucket: str, prefix: str | None, keep: int | None, older_than: timedelta | None, dry_run: bool, as_json: bool
) -> None:
    """Delete versions that have expired, and those beyond the newest ones.

    Run it every hour or so, while the bucket is in use. What has expired cannot be found from that second on. Its
    content is deleted an hour later, and so is what was superseded, as somebody may still be reading it.

    \b
    Exit status:
      0  done
      2  the command line is wrong, or the database does not answer
    """
    counts = {"expired": 0, "superseded": 0, "bytes": 0}
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    with _bucket(prefix, bucket) as store:
        sweep = Sweep(store, keep, older_than, dry_run)
        for file, reason in sweep.run():
            counts[reason] += 1
            counts["bytes"] += file.length
            if not dry_run:
                file_deleted.send(app, file=file, versions=1)
    if as_json:
        click.echo(json.dumps({"bucket": store.collections.name, **counts, "waiting": sweep.waiting}))
        return
    what = f"{counts['expired']:,} expired and {counts['superseded']:,} superseded versions"
    done = "to delete" if dry_run else "deleted"
    later = f"; {sweep.waiting:,} more have expired within the last hour" if sweep.waiting else ""
    click.echo(f"{store.collections.name}: {what} {done} ({counts['bytes']:,} bytes){later}")


def _progress(collections: Collections) -> Any:
    """A bar on a terminal; elsewhere None."""
    if not sys.stderr.isatty():
        return nullcontext()
    steps = collections.files.estimated_document_count() + 2 * collections.chunks.estimated_document_count()
    return click.progressbar(length=max(1, steps), file=sys.stderr, update_min_steps=1 + steps // 1000)


def _text(finding: Finding) -> str:
    problems = []
    for problem in finding.problems:
        text = problem.kind if finding.subject == "index" else f"{problem.count:,} {problem.kind}"
        problems.append(text if problem.first is None else f"{text} (first: {problem.first!r})")
    size = f", {finding.bytes:,} bytes" if finding.subject in ("chunks", "upload") else ""
    outcome = "; repaired" if finding.repaired else f"; not repaired: {finding.note}" if finding.note else ""
    return f"{finding.subject} {finding.name!r} {finding.id!r}: {', '.join(problems)}{size}{outcome}"


def _json(finding: Finding) -> str:
    problems = [asdict(problem) for problem in finding.problems]
    return json.dumps({**finding._asdict(), "problems": problems}, default=str)
