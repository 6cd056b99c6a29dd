"""``flask gridfs expire``: deleting old and expired versions."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import click

from ..signals import file_deleted, send
from ..store import Sweep
from .group import bucket_options, gridfs, open_bucket


def age(value: str) -> timedelta:
    """Read a number and a unit: the type of a click option."""
    match = re.fullmatch("([0-9]{1,5})([smhdw])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not a number and a unit: 90s, 15m, 12h, 30d or 4w")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[match[2]]
    return timedelta(**{unit: int(match[1])})


@gridfs.command("expire")
@bucket_options
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Keep the N newest versions of each name.")
@click.option("--older-than", type=age, metavar="AGE", help="Also treat versions of this age as expired: 12h, 30d, 4w.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def expire_command(
    bucket: str, prefix: str | None, keep: int | None, older_than: timedelta | None, dry_run: bool, as_json: bool
) -> None:
    """Delete versions that have expired, those beyond the newest ones, and what is past its time in the trash.

    The bytes of expired uploads go, too. All is deleted for good.

    Run it every hour or so, while the bucket is in use. A version that has expired is no longer served; its content
    is deleted an hour later, and so is a superseded version, as downloads of it may still be running.

    \b
    Exit status:
      0  done
      2  the command line is wrong, or the database does not answer
    """
    counts = {"expired": 0, "superseded": 0, "bytes": 0}
    with open_bucket(prefix, bucket) as store:
        counts |= {"trashed": 0} if store.collections.trash else {}
        for upload in () if dry_run else store.uploads.expired():
            store.uploads.remove(upload)
        sweep = Sweep(store, keep, older_than, dry_run)
        for file, reason in sweep.run():
            counts[reason] = counts.get(reason, 0) + 1
            counts["bytes"] += file.length
            if not dry_run and reason != "trashed":  # whose signal was sent when it was deleted
                send(file_deleted, file=file, versions=1)
    if as_json:
        click.echo(json.dumps({"bucket": store.collections.name, **counts, "waiting": sweep.waiting}))
        return
    what = f"{counts['expired']:,} expired and {counts['superseded']:,} superseded versions"
    if counts.get("trashed"):
        what += f", and {counts['trashed']:,} in the trash,"
    done = "to delete" if dry_run else "deleted"
    later = f"; {sweep.waiting:,} more have expired within the last hour" if sweep.waiting else ""
    click.echo(f"{store.collections.name}: {what} {done} ({counts['bytes']:,} bytes){later}")
