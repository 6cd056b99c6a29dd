"""The group ``flask gridfs``, and what its commands share: their options, and opening the bucket.

::

    @gridfs.command("count")
    @bucket_options
    def count_command(bucket: str, prefix: str | None) -> None:
        with open_bucket(prefix, bucket) as store:
            click.echo(store.files.estimated_document_count())
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

import click
from flask import current_app
from flask.cli import AppGroup
from pymongo.errors import PyMongoError

from ..connection import AppState
from ..store import Bucket, IndexConflict, Unsupported, reason

_MODULES = "cache changes check copy expire export indexes links listing sync transfers trash unowned".split()


def _prepare() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal's encoding may lack characters of a name
        sys.stdout.reconfigure(errors="backslashreplace")


class _Commands(AppGroup):
    """Loads the modules that have the commands when one is asked for, as a server never does."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._load()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        self._load()
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader has enough
            raise
        except OSError as error:  # those of a single file are reported with it, and have its name
            if error.strerror is None or error.filename is not None:
                raise
            raise Failure(f"the standard output: {error.strerror}") from None

    def _load(self) -> None:
        for name in _MODULES:
            import_module(f".{name}", __package__)


gridfs = _Commands("gridfs", help="Manage the files in GridFS.", callback=_prepare)


def ensure_output() -> None:
    """End a command that only prints if the standard output is closed."""
    if sys.stdout is None:
        raise Failure("the standard output is closed")


def plain(text: str) -> str:
    """Escape control characters, which names may contain and a terminal would obey."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class Failure(click.ClickException):
    """An error that ends a command with the status 2."""

    exit_code = 2

    def format_message(self) -> str:
        return plain(self.message)


def prefix_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--config-prefix``."""
    prefix_help = "The config_prefix of the PyMongo object.  [default: MONGO, or the only one]"
    return click.option("--config-prefix", "prefix", help=prefix_help)(command)


def bucket_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--bucket`` and ``--config-prefix``, which is also taken by its old name ``--prefix``."""
    command = prefix_option(command)
    command = click.option("--prefix", "_", hidden=True, is_eager=True, expose_value=False, callback=_renamed)(command)
    return click.option("--bucket", default="fs", show_default=True, help="The name of the bucket.")(command)


def _renamed(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        click.echo("Warning: --prefix is now called --config-prefix.", err=True)
        context.default_map = {"prefix": value}


def state_of(prefix: str | None) -> AppState:
    """Return the state of the PyMongo object with this *prefix*."""
    states: dict[str, AppState] = current_app.extensions["pymongo"]
    if prefix is None:
        prefix = next(iter(states)) if len(states) == 1 else "MONGO"
    if prefix not in states:
        known = ", ".join(sorted(states))
        raise click.UsageError(f"the app has no PyMongo object with the config_prefix {prefix!r}, only with: {known}")
    return states[prefix]


@contextmanager
def open_bucket(prefix: str | None, name: str) -> Iterator[Bucket]:
    """Open the bucket *name* of the PyMongo object with this *prefix*; a database error ends the command."""
    state = state_of(prefix)
    if state.settings.mongomock:
        raise Failure("mongomock keeps files in the memory of one process: this command would see none")
    try:
        yield state.connection.bucket(state.settings.dbname, name)
    except PyMongoError as error:
        raise Failure(f"{state.settings.dbname}.{name}: {reason(error)}") from None
    except (IndexConflict, Unsupported) as error:
        raise Failure(f"{state.settings.dbname}.{name}: {error}") from None
