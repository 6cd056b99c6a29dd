"""A database for a demo: a MongoDB server of its own, whose files are deleted when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from .mongod import running


@contextmanager
def database() -> Iterator[str]:
    """Run the server; gives the URI of a database."""
    with (
        TemporaryDirectory(prefix="gridfs-demo-") as folder,
        running(Path(folder), "--wiredTigerCacheSizeGB", "0.25") as port,
    ):
        click.echo("A MongoDB server of its own has the files, until the demo ends.")
        yield f"mongodb://127.0.0.1:{port}/demo"
