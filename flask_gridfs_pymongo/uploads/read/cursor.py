"""The place at which a page of a listing starts, in a query string.

``after`` is the name of the row before it, and ``at`` its value in another order than by name, or ``odd`` where the
order does not go by its value. A name that is not UTF-8 is in ``after_bytes``, the id of a file without one in
``after_id``. Servers bound a URL's length: for what is long, ``after_file`` is the id of a revision in this place.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import json_util
from flask import abort

from ...store import ORDERS, Bucket, Key, Shown, ids, is_utf8, key_of
from ..arguments import file_id, number

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(bucket: Bucket, order: str, args: Mapping[str, str], folder: str | None, shown: Shown) -> Key | None:
    """Return the key after which the page starts; None where the query string has none.

    :param folder: as in :func:`.by_value.key_of`
    """
    order = order.removeprefix("-")
    if "after_file" in args:
        file = bucket.get(file_id(args["after_file"], "after_file", bucket))
        if file is None or not file.key or not shown.named(file.filename):
            abort(404, "The file with which this page begins is gone: start the listing again.")
        return key_of(order, file, folder)
    if "after_id" in args:
        return Key(None, file_id(args["after_id"], "after_id", bucket))
    if "after_bytes" in args:
        try:
            after = urlsafe_b64decode(args["after_bytes"]).decode(errors="surrogateescape")
        except ValueError:
            abort(400, "?after_bytes is not base64url.")
    elif "after" in args:
        after = args["after"]
    else:
        return None
    if order == "name" or "odd" in args:
        return Key(after, odd=order != "name")
    return Key(after, _VALUES[order](args))


def write_short(bucket: Bucket, key: Key) -> dict[str, Any]:
    """Return the place for :func:`read` by the id of a file in it; empty where that is too long for a URL."""
    try:
        text = ids.to_text(key.file_id, bucket.collections.codec_options)
    except UnicodeEncodeError:
        text = None
    return {"after_file": text} if text else {}


def write(bucket: Bucket, order: str, key: Key) -> dict[str, Any]:
    """Return the place for :func:`read`, by name and value."""
    order = order.removeprefix("-")
    if key.filename is None:
        return {"after_id": ids.to_text(key.value, bucket.collections.codec_options)}
    if is_utf8(key.filename):
        after = {"after": key.filename}
    else:
        after = {"after_bytes": urlsafe_b64encode(key.filename.encode(errors="surrogateescape")).decode()}
    if order == "name":
        return after
    return {**after, **({"odd": ""} if key.odd else {"at": _text(key.value)})}


def _date(args: Mapping[str, str]) -> datetime:
    """A time in milliseconds since 1970."""
    found = number(args.get("at"), "at")
    if found is None:
        abort(400, "?after needs ?at in this order.")
    try:
        return _EPOCH + timedelta(milliseconds=found)
    except OverflowError:
        abort(400, "?at is no time in milliseconds since 1970.")


def _length(args: Mapping[str, str]) -> Any:
    """A number of bytes, in Extended JSON: other tools leave all sorts of numbers."""
    if "at" not in args:
        abort(400, "?after needs ?at in this order.")
    try:
        found = ORDERS["size"][2].place(json_util.loads(args["at"][:100]))
    except (ArithmeticError, TypeError, ValueError):
        found = None
    return abort(400, "?at is no number of bytes.") if found is None else found


_VALUES: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "newest": _date,
    "size": _length,
    "type": lambda args: args.get("at"),
}


def _text(value: Any) -> str | int | None:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(milliseconds=1)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json_util.dumps(value, json_options=json_util.RELAXED_JSON_OPTIONS)
