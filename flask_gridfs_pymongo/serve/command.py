"""The command: it opens the database and the port, says what is open to whom, and serves."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from pymongo.errors import PyMongoError

from ..store import reason
from . import servers
from .app import create_app, in_url
from .mongod import running
from .users import Users


@click.command()
@click.argument("uri", envvar="MONGO_URI", required=False, metavar="mongodb://HOST/DATABASE")
@click.option("--base", default="fs", show_default=True, help="The name of the bucket.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", envvar="PORT", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free one."
)
@click.option("--writable", is_flag=True, help="Clients may also add, change and delete files.")
@click.option("--users", "file", type=Path, metavar="FILE", help="Only these may do anything: lines NAME:HASH.")
@click.option("--dav", is_flag=True, help="Also serve a network drive at /dav/, in place of a folder of this name.")
@click.option("--demo", is_flag=True, help="Add sample files to an empty bucket, and start a MongoDB if none is named.")
def main(
    uri: str | None, base: str, host: str, port: int, writable: bool, file: Path | None, dav: bool, demo: bool
) -> None:
    """Serve the files of a bucket: pages and the API at /. By default nobody can change any.

    MONGO_URI in the environment also names the database, so that no list of processes shows its password.
    """
    writable = writable or demo
    with ExitStack() as stack:
        if uri is None and demo:
            uri = stack.enter_context(_demo_database())
        if uri is None or not _parts(uri)[1]:
            raise click.ClickException("name a database, as mongodb://HOST/DATABASE, or try --demo")
        with _failures(uri):
            run = servers.choose()
            users = None if file is None else Users(file)
            listener = stack.enter_context(_listen(host, port))
            address = ipaddress.ip_address(listener.getsockname()[0])
            app = create_app(
                uri,
                base,
                writable=writable,
                users=users,
                dav=dav,
                address=address if address.is_loopback else None,
                demo=demo,
            )
        who = f"the users in {file}" if users else "everybody on this machine"
        if not address.is_loopback:
            who = f"{who}, over HTTP without encryption," if users else "everybody who reaches this address"
        what = "read, add, change and delete" if writable else "read"
        url = f"http://{in_url(address)}:{listener.getsockname()[1]}/"
        drive = f", and as a network drive at {url}dav/" if dav else ""
        click.echo(f"At {url} {who} may {what} files{drive}. Ctrl-C ends it.")
        sys.stdout.flush()
        run(app, listener)


@contextmanager
def _demo_database() -> Iterator[str]:
    """Run a MongoDB server of its own, whose files are deleted at the end; yields the URI of a database."""
    with (
        TemporaryDirectory(prefix="gridfs-demo-") as folder,
        running(Path(folder), "--wiredTigerCacheSizeGB", "0.25") as port,
    ):
        click.echo("A MongoDB server of its own has the files, until the demo ends.")
        yield f"mongodb://127.0.0.1:{port}/demo"


def _listen(host: str, port: int) -> socket.socket:
    try:
        if ":" not in host:
            return socket.create_server((host, port))
        both = socket.has_dualstack_ipv6()  # "::" is all addresses, as with other servers
        return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=both)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}, port {port}: {error.strerror}") from None


def _parts(uri: str) -> tuple[str, str]:
    """Return the hosts of a URI, and the database."""
    hosts, _, name = uri.partition("://")[2].partition("?")[0].rpartition("@")[2].partition("/")
    return hosts, name


@contextmanager
def _failures(uri: str) -> Iterator[None]:
    """End the command with one line, which does not have the password of *uri*."""
    try:
        yield
    except PyMongoError as error:
        hosts, _ = _parts(uri)
        why = reason(error).partition(" (configured timeouts")[0]
        raise click.ClickException(f"the database at {hosts} cannot be used: {why}") from None
    except (ImportError, OSError, TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
