"""``flask gridfs index``: creating the indexes of a bucket."""

from __future__ import annotations

import re
import sys

import click
from pymongo import ASCENDING

from ..store import ORDERS, Collections, Index, build_index, index_problem
from .group import bucket_options, gridfs, open_bucket, plain


def _index_for(query: str) -> Index:
    if query in ORDERS:
        field, direction, _ = ORDERS[query]
        return Index("files", [(field, direction), ("filename", ASCENDING)], {})
    if re.fullmatch(r"metadata\.[^.$\0]+", query):
        return Index("files", [(query, ASCENDING), ("filename", ASCENDING), ("uploadDate", ASCENDING)], {})
    raise click.BadParameter(f"{query!r} is neither one of {', '.join(ORDERS)} nor metadata.KEY")


@gridfs.command("index")
@click.argument("queries", nargs=-1, metavar="[newest|size|type|metadata.KEY]...", type=_index_for)
@bucket_options
def index_command(queries: tuple[Index, ...], bucket: str, prefix: str | None) -> None:
    """Create the indexes of a bucket.

    Those that every bucket needs are always created. In buckets with many files, newest, size and type create the
    index for listings in that order, and metadata.KEY the one for listings with that metadata.

    \b
    Exit status:
      0  all indexes exist
      1  one could not be created
      2  the command line is wrong, or the database does not answer
    """
    with open_bucket(prefix, bucket) as store:
        done = [_make_index(store.collections, index) for index in (*store.collections.indexes.needed, *queries)]
    sys.exit(0 if all(done) else 1)


def _make_index(collections: Collections, index: Index) -> bool:
    collection = collections.of(index)
    name = f"index {collection.full_name!r} {', '.join(field for field, _ in index.keys)!r}"
    problem = index_problem(collection.index_information(), index)
    if problem is None:
        click.echo(f"{name}: exists")
        return True
    error = build_index(collections, index)
    if error:
        advice = "; drop the old one first" if problem == "other options" else ""
        click.echo(plain(f"{name}: {problem}, not created: {error}{advice}"), err=True)
    else:
        click.echo(f"{name}: created")
    return not error
