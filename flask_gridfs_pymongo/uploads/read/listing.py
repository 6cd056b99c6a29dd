"""Listings of files, as the query string asks for them, in pages.

``GET /?folder=photos/&order=newest`` begins a listing; the ``next`` of each page is the URL of the next page.
"""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import abort
from werkzeug.datastructures import MultiDict

from ...http.metadata import Keys
from ...http.paths import relative
from ...service.operations import is_folder
from ...service.texts import Message, ngettext, size
from ...service.texts import number as digits
from ...store import ORDERS, Bucket, Page, Visibility
from ..arguments import folder, number, text
from ..pages import render as pages
from ..pages import urls
from ..target import Kind, Target
from . import cursor

_PAGE_SIZE, _MAX_PAGE_SIZE = 100, 1000  # names
_PROGRAMS_PAGE = 5000  # names: wget, rclone and pip do not follow the link to the next page
_KEPT = ("q", "prefix", "folder", "order", "view", "flat")
_MAX_URL_LENGTH = 2000  # characters: gunicorn accepts a request line of 4,094


def listing_query(args: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of a query string that leads back to a listing: its folder, order and view."""
    return {name: args[name] for name in _KEPT if args.get(name)}


def build(
    bucket: Bucket, args: MultiDict[str, str], target: Target, keys: Keys, shown: Visibility, *, sort: bool
) -> dict[str, Any]:
    """Return one page of a listing, as JSON and pages need it.

    :param args: the query: *order*, *q*, *prefix*, *folder*, *metadata.KEY* and *limit*; the page begins after *cursor*
    :param keys: of the metadata
    :param shown: which files and folders it may show; it does not reveal any others
    :param sort: sort a folder as people do, which programs do not expect; *unsorted* says if it has too many names
    :raises werkzeug.exceptions.NotFound: for the URL of a folder in which nothing may be shown
    """
    order = args.get("order", "name")
    orders = ("name", *ORDERS)
    if order.removeprefix("-") not in orders:
        abort(400, Message("?order must be one of %(orders)s, or - and one of them.", orders=", ".join(orders)))
    top = _folder(args, target)
    wanted = filters(args, top, keys)
    limit, page = _limit(args, order), None
    sort = sort and top is not None and not wanted["part"]
    if sort and "unsorted" not in args:
        after = cursor.read(bucket, order.removeprefix("-"), args, top, shown)
        page = bucket.folder(top or "", order, after, limit, metadata=wanted["metadata"], shown=shown)
    unsorted = sort and page is None
    if page is None:
        order = "-name" if unsorted and order == "-name" else "name" if unsorted else order
        after = cursor.read(bucket, order.removeprefix("-"), args, None if wanted["part"] else top, shown)
        page = bucket.list(order, after, limit, folded=top is not None, shown=shown, **wanted)
    own = target.folder if target.kind is Kind.FOLDER else None
    if own and not (page.rows or page.folders or is_folder(bucket, own, shown)):
        abort(404, "There is no such folder.")
    root = urls.index()

    def folder_url(path: str) -> str:
        return urls.file(path) if own and urls.can_name(path[:-1]) else urls.with_query(root, {"folder": path})

    return {
        "files": [pages.describe(row.file, versions=row.versions) for row in page.rows if not row.file.marks_folder],
        "folders": [{"name": path, "url": folder_url(path)} for path in page.folders],
        "next": _next(bucket, page, {**args, "unsorted": "1"} if unsorted else args, wanted["metadata"], own),
        "order": order,
        "folder": top,
        "metadata": wanted["metadata"],
        "prefix": args.get("prefix", ""),
        "q": wanted["part"],
        **({"unsorted": unsorted} if sort else {}),
    }


def filters(args: MultiDict[str, str], top: str | None, keys: Keys) -> dict[str, Any]:
    """Return which files a query asks for, as arguments of :meth:`.Bucket.list`.

    :param top: the folder
    """
    texts = {name: text(args, name) for name in ("q", "prefix")}
    try:
        metadata = keys.of_query(args.items(multi=True))
    except ValueError as error:
        abort(400, f"{error}.")
    return {"prefix": top or texts["prefix"], "part": unicodedata.normalize("NFC", texts["q"]), "metadata": metadata}


def index_command(bucket: Bucket, args: Mapping[str, str], keys: Keys) -> str:
    """Return the command that creates the indexes for a listing with many files."""
    order = args.get("order", "").removeprefix("-")
    try:
        queries = [f"metadata.{key}" for key in keys.of_query(args.items())]
    except ValueError:  # not the query of a listing
        queries = []
    queries += [order] if order in ORDERS else []
    base = bucket.collections.name.partition(".")[2]
    return shlex.join(["flask", "gridfs", "index", *queries, *(["--bucket", base] if base != "fs" else [])])


def links(args: Mapping[str, str], data: Mapping[str, Any], carried: Mapping[str, str]) -> dict[str, Any]:
    """Return what pages show in addition to the JSON of a listing: *rows* for files, and *children* for folders.

    Each has a link *href*; on the own URL of a folder it is relative, so that mirrors are complete. A row also has the
    *name* within the folder, the URLs of *details* and *history*, and the *size* as text.

    :param carried: the query that leads back to this listing
    """
    folder: str = data["folder"] or ""
    is_own = data["folder"] is not None and "folder" not in args and bool(folder or not pages.is_browser())
    query = f"&{urlencode(carried)}" if carried else ""

    def row(file: dict[str, Any]) -> dict[str, Any]:
        name, url, length = file["filename"], file["url"] or "", file["length"]
        joint = "&" if "?" in url else "?"
        return file | {
            "name": name[len(folder) :],
            "href": (relative(folder, name) if is_own and not file["damaged"] and urls.can_name(name) else None) or url,
            "details": f"{url}{joint}details{query}",
            "history": f"{url}{joint}versions{query}",
            "size": None if length is None else size(length),
            "bytes": ngettext("%(count)s byte", "%(count)s bytes", length or 0, count=digits(length or 0)),
        }

    def child(path: dict[str, str]) -> dict[str, str]:
        survives = is_own and urls.can_name(path["name"].removesuffix("/"))
        return path | {"href": (relative(folder, path["name"]) if survives else None) or path["url"]}

    return {"rows": [row(file) for file in data["files"]], "children": [child(path) for path in data["folders"]]}


def _folder(args: Mapping[str, str], target: Target) -> str | None:
    """The folder to show, by default the top; None: all names, by default for JSON and for searches of programs."""
    given = folder(target)
    others = {"prefix", "flat"} if pages.is_browser() else {"prefix", "flat", "q", "order"}
    return "" if given is None and not args.keys() & others and not pages.prefers_json() else given


def _limit(args: Mapping[str, str], order: str) -> int:
    limit = number(args.get("limit"), "limit")
    if limit is None:
        program = order == "name" and not pages.is_browser() and not pages.prefers_json()
        return _PROGRAMS_PAGE if program else _PAGE_SIZE
    if limit < 1:
        abort(400, "?limit must be 1 or more.")
    return min(limit, _MAX_PAGE_SIZE)


def _next(
    bucket: Bucket, page: Page, args: Mapping[str, str], metadata: Mapping[str, list[str]], own: str | None
) -> str | None:
    if page.next is None:
        return None
    query = listing_query(args) | {name: args.get(name) for name in ("folder", "format", "limit", "unsorted")}
    query |= {f"metadata.{key}": values for key, values in metadata.items()}

    def url(after: Mapping[str, Any]) -> str:
        return urls.file(own, {**query, **after}) if own else urls.index({**query, **after})

    after = cursor.write(bucket, page.next)
    if not after["cursor"] or len(url(after)) > _MAX_URL_LENGTH:
        after = cursor.write_short(bucket, page.next) or after
    return url(after)
