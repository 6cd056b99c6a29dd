"""Values of the query string, and the folder of a URL; what is wrong with one is a 400 that says so.

::

    limit = number(request.args, "limit")  # of ?limit=10: 10; without one: None
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import Request, abort

from ..service.texts import Message
from ..store import Bucket, ids


def number(args: Mapping[str, str], name: str) -> int | None:
    """A whole number of at most 64 bits, or None where it is not given."""
    value = args.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,19}", value) or not -(2**63) <= int(value) < 2**63:
        abort(400, Message("?%(name)s must be a whole number of at most 64 bits.", name=name))
    return int(value)


def file_id(args: Mapping[str, str], name: str, bucket: Bucket) -> Any:
    """The ``_id`` of a file of *bucket*, of any type: see :func:`.ids.to_text`."""
    try:
        return ids.from_text(args[name], bucket.collections.codec_options)
    except ValueError:
        abort(400, Message("?%(name)s must be an id: 24 hexadecimal digits, or ~ and an encoded one.", name=name))


def folder(request: Request) -> str | None:
    """The folder that a path with a slash at its end names, else ``?folder``; it ends with a slash.

    Empty: the top; None where none is given.
    """
    path = folder_of_path(request)
    value = request.args.get("folder") if path is None else path
    if value is None:
        return None
    if len(value) > 1000 or "\0" in value:
        abort(400, "?folder may have at most 1000 characters, none of them NUL.")
    if value and not value.endswith("/"):
        abort(400, "?folder must end with a slash, or be empty.")
    return value


def folder_of_path(request: Request) -> str | None:
    """The folder whose own URL this is; None for a name, and for the root."""
    path: str = (request.view_args or {}).get("filename") or ""
    return path if path.endswith("/") else None
