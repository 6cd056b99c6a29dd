"""Upload URLs: a signature lets somebody store one file under one name, once.

Nothing is stored for it before it is used: ``base.links`` then has a document for it, until it has expired.

::

    token = sign(bucket, "uploads", "avatars/ann.png", expires_in=60, max_size=None, types=None)
    verify(bucket, "uploads", token)  # the Link, or None
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import UTC, datetime

from ...store import Bucket, Link
from ..read.signed_links import expiry, loads, serializer

_SALT = "flask-gridfs-pymongo.upload.v1"


def sign(
    bucket: Bucket, blueprint: str, name: str, expires_in: int, max_size: int | None, types: Collection[str] | None
) -> str:
    """Return the token of a new URL.

    :raises RuntimeError: without a ``SECRET_KEY``
    """
    expires, listed = expiry(bucket, expires_in), None if types is None else [*types]
    what = [bucket.files.full_name, secrets.token_urlsafe(12), name, expires, max_size, listed]
    return str(serializer(blueprint, _SALT).dumps(what))


def verify(bucket: Bucket, blueprint: str, token: str) -> Link | None:
    """Return what *token* grants, used up or not; None if it was not made here."""
    signed = loads(bucket, blueprint, _SALT, token)
    if signed is None:
        return None
    nonce, name, expires, max_size, types = signed
    return bucket.links.signed(nonce, name, blueprint, datetime.fromtimestamp(expires, UTC), max_size, types)
