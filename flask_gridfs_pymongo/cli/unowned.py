"""``flask gridfs unowned``: files that no document of the application names."""

from __future__ import annotations

import json
from datetime import timedelta

import click

from ..signals import send_deleted
from ..store import StoredFile, Unowned, ids
from .expire import age
from .group import Failure, bucket_options, gridfs, open_bucket, plain


@gridfs.command("unowned")
@bucket_options
@click.option(
    "--refs",
    multiple=True,
    required=True,
    metavar="COLLECTION.FIELD",
    help="Where documents have the ids of files; may be given several times.",
)
@click.option(
    "--older-than",
    type=age,
    default="1d",
    show_default=True,
    metavar="AGE",
    help="Leave out younger files: 12h, 30d, 4w.",
)
@click.option("--delete", is_flag=True, help="Delete them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def unowned_command(
    bucket: str, prefix: str | None, refs: tuple[str, ...], older_than: timedelta, delete: bool, as_json: bool
) -> None:
    """Find the files that no document names, while the bucket is in use.

    A field has the id of a file, or an array or a sub-document with ids, also in texts such as URLs; mongoengine's
    FileField and ImageField (--bucket images) are such fields. Name every field that has ids of files: a file that
    none of them names is listed, and deleted with --delete.

    \b
    Exit status:
      0  done
      2  the command line is wrong, the database does not answer, or there is a --refs under which nothing is found
    """
    count = size = 0
    with open_bucket(prefix, bucket) as store:
        try:
            with Unowned(store, refs, older_than) as unowned:
                for file in unowned.delete() if delete else unowned.files():
                    if as_json:
                        click.echo(("," if count else '{"unowned": [') + f"\n{_json(file)}", nl=False)
                    else:
                        click.echo(
                            plain(f"{file.key}  {file.length:>12}  {file.upload_date:%Y-%m-%d %H:%M}  {file.filename}")
                        )
                    count, size = count + 1, size + file.length
                    if delete:
                        send_deleted(store, [file], [1])
        except LookupError as error:
            raise Failure(str(error)) from None
    if as_json:
        totals = {"bucket": store.collections.name, "found": count, "bytes": size, "deleted": count if delete else 0}
        click.echo(("\n" if count else '{"unowned": [') + f"], {json.dumps(totals)[1:]}")
    else:
        done = "unowned files deleted" if delete else "unowned files"
        click.echo(f"{store.collections.name}: {count:,} {done} ({size:,} bytes)")


def _json(file: StoredFile) -> str:
    return json.dumps(
        {
            "id": ids.to_json(file.id, file.options),
            "filename": file.filename,
            "length": file.length,
            "upload_date": file.upload_date.isoformat(timespec="milliseconds"),
        }
    )
