"""``flask gridfs cache``: the file cache of this machine, and whether nginx sends its files as it should."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http.client import HTTPException
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin
from urllib.request import Request, urlopen

import click

from ..mimetype import is_passive
from .group import Failure, gridfs, plain, prefix_option, state_of

if TYPE_CHECKING:
    from ..cache.disk import Disk

_TIMEOUT = 60  # seconds
_OWN = {"connection", "date", "keep-alive", "server", "transfer-encoding"}  # fields of the web server itself
_VARYING = {"set-cookie"}


@gridfs.command("cache")
@click.option("--clear", is_flag=True, help="Remove all files.")
@click.option("--test", "url", metavar="URL", help="Fetch a file through nginx, and show what its configuration lacks.")
@prefix_option
def cache_command(clear: bool, url: str | None, prefix: str | None) -> None:
    """Show the files, bytes and hits of the file cache on this machine.

    A hit is each time that content was read from it, or handed over to nginx, since it was made or cleared.

    \b
    Exit status:
      0  it was shown or cleared, or nginx is configured well
      1  nginx is not
      2  the command line is wrong, or there is no file cache, or it cannot be read
    """
    disk = state_of(prefix).connection.disk
    if disk is None:
        raise Failure("there is no file cache: set MONGO_FILE_CACHE, or PyMongo(file_cache=...)")
    try:
        lines = [_shown(disk, clear)] if url is None else list(_problems(disk, url))
    except OSError as error:
        raise Failure(f"{disk.folder.path}: {error.strerror or error}") from None
    if url is not None and not lines:
        click.echo(plain(f"{url}: nginx sends it with all header fields"))
    for line in lines:
        click.echo(plain(line), err=url is not None)
    sys.exit(1 if url is not None and lines else 0)


def _shown(disk: Disk, clear: bool) -> str:
    folder = disk.folder
    sizes, hits = [row.size for row in folder.rows()], folder.hits()
    if clear:
        folder.clear()
    removed = "; removed" if clear else ""
    return f"{folder.path}: {len(sizes)} files ({sum(sizes)} of {folder.size} bytes), {hits} hits{removed}"


class _Answer(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


def _get(url: str, **fields: str) -> _Answer:
    try:
        try:
            answer = urlopen(Request(url, headers=fields), timeout=_TIMEOUT)  # noqa: S310  who calls it names the URL
        except HTTPError as error:
            answer = error
        with answer:
            found = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
            return _Answer(answer.status, found, answer.read())
    except (URLError, HTTPException, ValueError, TimeoutError) as error:
        raise Failure(f"{url}: {getattr(error, 'reason', error)}") from None


def _problems(disk: Disk, url: str) -> Iterator[str]:
    """Yield what is wrong; a precondition makes the application itself answer, which nginx's answer must equal."""
    if disk.accel is None:
        raise Failure("no file is handed over to nginx: set MONGO_ACCEL, or PyMongo(accel=...)")
    own = _get(url, **{"If-Match": "*"})
    if own.status != 200 or not is_passive(own.fields.get("Content-Type", "")):
        kind = f"a {own.status} of the type {own.fields.get('Content-Type')}"
        yield f"{url}: the answer is {kind}, which nginx never sends; name a picture"
        return
    _get(url)  # it is in the cache from now on
    before = disk.folder.hits()
    sent = _get(url)
    if "X-Accel-Redirect" in sent.fields:
        yield f"{url}: X-Accel-Redirect comes through: this is not nginx"
    elif disk.folder.hits() == before:
        yield f"{url}: it did not come from the file cache of this machine"
    elif (sent.status, sent.body) != (200, own.body):
        wrong = f"a {sent.status} with {len(sent.body)} bytes in place of {len(own.body)}"
        yield f"{url}: {wrong}: check the location {disk.accel} and its alias"
    else:
        yield from _lost(own.fields, sent.fields)
        yield from _open(disk, url)


def _lost(own: dict[str, str], sent: dict[str, str]) -> Iterator[str]:
    known = {name.lower(): value for name, value in sent.items()}
    for name, value in own.items():
        variable = f"$upstream_http_{name.lower().replace('-', '_')}"
        if name.lower() not in known:
            yield f"{name} is missing: add_header {name} {variable} always;"
        elif known[name.lower()] != value and name.lower() not in _VARYING:
            yield f"{name} is {known[name.lower()]!r} in place of {value!r}"


def _open(disk: Disk, url: str) -> Iterator[str]:
    row = next(disk.folder.rows(), None)
    if row is not None:
        inner = urljoin(url, f"{disk.accel}{row.name[:2]}/{row.name}")
        if (status := _get(inner).status) not in (403, 404):
            yield f"{inner} is a {status}: anybody can read it; its location must be internal"
