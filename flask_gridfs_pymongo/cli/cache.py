"""``flask gridfs cache``: the file cache of this machine."""

from __future__ import annotations

import click

from .group import Failure, gridfs, plain, prefix_option, state_of


@gridfs.command("cache")
@click.option("--clear", is_flag=True, help="Remove all files.")
@prefix_option
def cache_command(clear: bool, prefix: str | None) -> None:
    """Show the files, bytes and hits of the file cache on this machine.

    A hit is each time that content was read from it, or handed over to a web server, since it was made or cleared.

    \b
    Exit status:
      0  it was shown, or cleared
      2  the command line is wrong, or there is no file cache, or it cannot be read
    """
    disk = state_of(prefix).connection.disk
    if disk is None:
        raise Failure("there is no file cache: set MONGO_FILE_CACHE, or PyMongo(file_cache=...)")
    folder = disk.folder
    try:
        sizes, hits = [row.size for row in folder.rows()], folder.hits()
        if clear:
            folder.clear()
    except OSError as error:
        raise Failure(f"{folder.path}: {error.strerror}") from None
    removed = "; removed" if clear else ""
    click.echo(plain(f"{folder.path}: {len(sizes)} files ({sum(sizes)} of {folder.size} bytes), {hits} hits{removed}"))
