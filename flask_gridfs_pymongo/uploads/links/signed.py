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

from flask import current_app
from itsdangerous import BadData

from ...store import Bucket, Link
from ..read.links import expiry, serializer

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
    if not current_app.secret_key:
        return None
    try:
        signed_bucket, nonce, name, expires, max_size, types = serializer(blueprint, _SALT).loads(token)
    except BadData:
        return None
    if signed_bucket != bucket.files.full_name:
        return None
    return bucket.links.signed(nonce, name, blueprint, datetime.fromtimestamp(expires, UTC), max_size, types)
