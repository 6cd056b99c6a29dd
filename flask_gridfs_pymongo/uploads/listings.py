"""The listing: which page of which names the query string asks for."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from flask import abort, url_for
from werkzeug.datastructures import MultiDict

from ..http.metadata import Keys
from ..store import Bucket
from ..store.listing import ORDERS, Key, Page, Shown
from . import pages
from .arguments import number

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PAGE_SIZE = 100
_KEPT = ("q", "prefix", "folder", "order", "view", "flat")
_LONGEST = {"q": 100, "prefix": 1000, "folder": 1000, "after": 16_000}  # characters


def kept(args: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of a query string that says which listing somebody came from: its folder, order and view."""
    return {name: args[name] for name in _KEPT if args.get(name)}


def build(bucket: Bucket, args: MultiDict[str, str], keys: Keys, shown: Shown) -> dict[str, Any]:
    """Return a listing as our JSON and our page have it.

    :param args: the query string: *order*, *q*, *prefix*, *folder*, *metadata.KEY*; *after* and *at* say where the page
        begins
    :param keys: of the metadata
    :param shown: which files and folders it may show; of the others nothing tells
    """
    order = args.get("order", "name")
    if order != "name" and order not in ORDERS:
        abort(400, f"?order must be one of name, {', '.join(ORDERS)}.")
    texts = {name: _text(args, name, longest) for name, longest in _LONGEST.items()}
    folder = texts["folder"] if "folder" in args else None
    if folder and not folder.endswith("/"):
        abort(400, "?folder must end with a slash, or be empty.")
    try:
        metadata = keys.of_query(args.items(multi=True))
    except ValueError as error:
        abort(400, f"{error}.")
    part, prefix = texts["q"], folder or texts["prefix"]
    after = texts["after"] if "after" in args else None
    key = None if after is None else Key(after, None if order == "name" else _value(order, args))
    folded = folder is not None
    page = bucket.list(order, key, _PAGE_SIZE, prefix=prefix, part=part, folded=folded, metadata=metadata, shown=shown)
    return {
        "files": [pages.describe(row.file, versions=row.versions) for row in page.rows],
        "folders": [{"name": path, "url": url_for(".index", folder=path)} for path in page.folders],
        "next": _next(page, order, args, metadata),
        "order": order,
        "folder": folder,
        "metadata": metadata,
        "prefix": texts["prefix"],
        "q": part,
    }


def _text(args: Mapping[str, str], name: str, longest: int) -> str:
    value = args.get(name, "")
    if len(value) > longest or "\0" in value:
        abort(400, f"?{name} may have at most {longest} characters, none of them NUL.")
    return unicodedata.normalize("NFC", value) if name == "q" else value


def _value(order: str, args: Mapping[str, str]) -> datetime | int | str | None:
    """Where a page begins in an order other than by name: milliseconds since 1970, bytes or a media type."""
    if order == "type":
        return args.get("at")
    found = number(args, "at")
    if found is None:
        abort(400, "?after needs ?at in this order.")
    try:
        return _EPOCH + timedelta(milliseconds=found) if order == "newest" else found
    except OverflowError:
        abort(400, "?at is no time in milliseconds since 1970.")


def _next(page: Page, order: str, args: Mapping[str, str], metadata: Mapping[str, list[str]]) -> str | None:
    if page.next is None:
        return None
    value = page.next.value
    if isinstance(value, datetime):
        value = (value - _EPOCH) // timedelta(milliseconds=1)
    query = (
        kept(args) | {"folder": args.get("folder")} | {f"metadata.{key}": values for key, values in metadata.items()}
    )
    return url_for(".index", **query | {"at": value, "after": page.next.filename})
