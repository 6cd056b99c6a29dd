"""``flask gridfs trash``: what was deleted, restoring it, and deleting it for good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ..signals import file_saved, send
from ..store import Bucket, Row, TrashKey
from .expire import age
from .group import bucket_options, ensure_output, gridfs
from .paths import TOP, name_given, name_of
from .transfers import Transfers, transferring

_PAGE = 500  # rows


@gridfs.command("trash")
@click.option("--restore", "names", multiple=True, type=name_given, metavar="NAME", help="Restore a file, or FOLDER/.")
@click.option("--merge", is_flag=True, help="With --restore: as older versions, if there is another file by now.")
@click.option("--empty", is_flag=True, help="Delete what is in the trash for good.")
@click.option("--older-than", type=age, metavar="AGE", help="With --empty: what was deleted so long ago: 12h, 7d.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@bucket_options
def trash_command(
    names: tuple[str, ...],
    merge: bool,
    empty: bool,
    older_than: timedelta | None,
    as_json: bool,
    bucket: str,
    prefix: str | None,
) -> None:
    """List what is in the trash, what was deleted last first, or restore or empty it.

    Each line is a name that was deleted, with the number of versions, when it was deleted, and until when it can be
    restored (in UTC). --restore restores what was deleted last under a name, or under each name in a folder.

    \b
    Exit status:
      0  done
      1  a file is not in the trash, or there is another one with its name
      2  the command line is wrong, or the database does not answer
    """
    if names and empty:
        raise click.UsageError("give --restore or --empty")
    if (merge and not names) or (older_than is not None and not empty):
        raise click.UsageError("--merge belongs to --restore, and --older-than to --empty")
    ensure_output()
    with transferring(prefix, bucket) as transfers:
        if empty:
            _empty(transfers, older_than or timedelta())
        for name in names:
            _restore(transfers, name, merge=merge)
        if not names and not empty:
            _show(transfers, as_json=as_json)


def _pages(bucket: Bucket, prefix: str = "") -> Iterator[list[Row]]:
    after: TrashKey | None = None
    while True:
        page = bucket.trash(prefix, after, _PAGE)
        yield page.rows
        if (after := page.next) is None:
            return


def _show(transfers: Transfers, *, as_json: bool) -> None:
    printed = 0
    for row in (row for rows in _pages(transfers.bucket) for row in rows):
        facts = _facts(row)
        if as_json:
            click.echo(("," if printed else "[") + f"\n{json.dumps(facts)}", nl=False)
        else:
            dates = "  ".join(facts[name][:16].replace("T", " ") for name in ("at", "until"))
            by = f" ({facts['by']})" if facts["by"] else ""
            transfers.report.line(f"{dates}  {row.versions:>5}  {row.file.length:>15,}  {name_of(row.file)}{by}")
        printed += 1
    if as_json:
        click.echo("\n]" if printed else "[]")


def _facts(row: Row) -> dict[str, Any]:
    file, trashed = row.file, row.file.trashed
    dates = (None, None) if trashed is None else (_iso(trashed.at), _iso(trashed.until))
    return {
        "filename": file.filename if file.named else None,
        "id": file.key,
        "length": None if file.damage else file.length,
        "versions": row.versions,
        "at": dates[0],
        "until": dates[1],
        "by": trashed and trashed.by,
    }


def _iso(date: datetime) -> str:
    return date.astimezone(UTC).isoformat(timespec="milliseconds")


def _restore(transfers: Transfers, name: str, *, merge: bool) -> None:
    """Restore what was deleted last under a name, or below a folder."""
    bucket, report = transfers.bucket, transfers.report
    prefix = "" if name in TOP else name
    last: dict[str, Any] = {}
    for row in (row for rows in _pages(bucket, prefix) for row in rows):
        if row.file.filename == name or prefix.endswith("/") or not prefix:
            last.setdefault(row.file.filename, row.file.id)
    if not last:
        report.failed(name, "it is not in the trash")
    wanted = list(last.values())
    for start in range(0, len(wanted), _PAGE):
        with transfers.interrupts.deferred():
            outcomes = bucket.restore_many(wanted[start : start + _PAGE], merge=merge)
        for file, outcome in outcomes:
            if isinstance(outcome, FileExistsError):
                report.failed(
                    name_of(file), "there is another file with this name; --merge makes these its older versions"
                )
                continue
            with report.trying(name_of(file)):
                if isinstance(outcome, Exception):
                    raise outcome
                send(file_saved, file=outcome)
        report.advance(len(outcomes))


def _empty(transfers: Transfers, age: timedelta) -> None:
    bucket, versions = transfers.bucket, 0
    before = bucket.collections.clock.now() - age
    for rows in _pages(bucket):
        old = [row.file.id for row in rows if row.file.trashed and row.file.trashed.at <= before]
        with transfers.interrupts.deferred():
            versions += bucket.empty_trash(old)
        transfers.report.advance(len(old))
    transfers.report.line(f"{bucket.collections.name}: {versions:,} versions deleted for good")
