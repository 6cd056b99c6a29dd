"""Reading values of the query string, and the folder of a URL; an invalid one is a 400 that says what is wrong.

::

    limit = number(request.args.get("limit"), "limit")  # of ?limit=10: 10; without one: None
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flask import abort

from ..http import origin
from ..service.texts import Message
from ..store import Bucket, StoredFile, ids
from .target import Target

MAX_SELECTED = 1000  # things
_MAX_LENGTHS = {"q": 100, "prefix": 1000}  # characters


def text(args: Mapping[str, str], name: str) -> str:
    """Read ``?q`` or ``?prefix``: what names contain, or begin with; empty without it."""
    value, most = args.get(name, ""), _MAX_LENGTHS[name]
    if len(value) > most or "\0" in value:
        abort(400, Message("?%(name)s may have at most %(count)s characters, none of them NUL.", name=name, count=most))
    return value


def number(value: str | None, name: str) -> int | None:
    """Read a whole number of at most 64 bits; None if there is no *value*.

    :param name: the parameter's, for the error
    """
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,19}", value) or not -(2**63) <= int(value) < 2**63:
        abort(400, Message("?%(name)s must be a whole number of at most 64 bits.", name=name))
    return int(value)


def file_id(text: str, name: str, bucket: Bucket) -> Any:
    """Read the ``_id`` of a file in *bucket*, which may have any type: see :func:`.ids.to_text`.

    :param name: the parameter's, for the error
    """
    try:
        return ids.from_text(text, bucket.collections.codec_options)
    except ValueError:
        abort(400, Message("?%(name)s must be an id: 24 hexadecimal digits, or ~ and an encoded one.", name=name))


def files_of(texts: Iterable[str], bucket: Bucket) -> list[StoredFile]:
    """Return the versions that the ``id`` fields of a form name, in their order."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    found = bucket.get_many([file_id(text, "id", bucket) for text in places])
    return sorted(found, key=lambda file: places.get(file.key or "", len(places)))


def outer_folders(texts: Iterable[str]) -> list[str]:
    """Return the folders that the ``folder`` fields of a form name, without those below others of them."""
    outer: list[str] = []
    for path in sorted(set(texts)):
        if not path.endswith("/") or len(path) > 1000 or "\0" in path:
            abort(400, "A folder must end with a slash, and have at most 1000 characters, none of them NUL.")
        if not outer or not path.startswith(outer[-1]):
            outer.append(path)
    if len(outer) > MAX_SELECTED:
        abort(400, Message("Select at least one file, and not more than %(count)s.", count=MAX_SELECTED))
    return outer


def folder(target: Target) -> str | None:
    """Return the folder that a URL names, by its path or by ``?folder``, with its trailing slash.

    Empty: the top; None: the URL names no folder.
    """
    value = target.folder
    if value is None:
        return None
    if len(value) > 1000 or "\0" in value:
        abort(400, "?folder may have at most 1000 characters, none of them NUL.")
    if value and not value.endswith("/"):
        abort(400, "?folder must end with a slash, or be empty.")
    return value


def following(args: Mapping[str, str]) -> str | None:
    """Return the page that comes next, which is one of this site: ``?next``."""
    place = args.get("next")
    if place is not None and not origin.is_local(place):
        abort(400, "?next must be a path of this site, such as /profile.")
    return place
