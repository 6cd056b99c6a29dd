"""``flask gridfs links``: the links that people have made."""

from __future__ import annotations

import json

import click

from .group import Failure, bucket_options, ensure_output, gridfs, open_bucket, plain
from .paths import TOP, name_given


@gridfs.command("links")
@click.argument("path", required=False, type=name_given)
@click.option("--revoke", metavar="ID", help="Make the link with this id useless, also for uploads that are under way.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@bucket_options
def links_command(path: str | None, revoke: str | None, as_json: bool, bucket: str, prefix: str | None) -> None:
    """List the valid links to files and folders whose names begin with PATH; without it, all.

    A line has the id, the kind, the path, when it expires, and how many files came through it, of how many. The URL of
    a link is known to whoever made it: the database has only a hash of it.

    \b
    Exit status:
      0  done
      2  the command line is wrong, the database does not answer, or there is no link with this ID
    """
    if revoke is None:
        ensure_output()
    with open_bucket(prefix, bucket) as store:
        if revoke is not None:
            if not store.links.revoke(revoke):
                raise Failure(f"{store.collections.name}: there is no link with the id {revoke!r}")
            return
        found = store.links.list("" if path in (None, *TOP) else path)
    if as_json:
        click.echo(json.dumps([link.facts() for link in found]))
        return
    for link in found:
        most = "" if link.max_files is None else f" of {link.max_files:,}"
        counted = f"  {link.files:,}{most} received" if link.kind == "upload" else ""
        click.echo(
            plain(f"{link.id}  {link.kind:<6}  until {link.expires:%Y-%m-%d %H:%M} UTC{counted}  {link.path or '/'}")
        )
