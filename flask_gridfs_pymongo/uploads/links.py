"""Signed links: a revision for whoever has the link, until it expires."""

from __future__ import annotations

import hashlib
import time
from typing import NamedTuple

from bson.objectid import ObjectId
from flask import abort, current_app
from itsdangerous import BadData, URLSafeSerializer

_SALT = "flask-gridfs-pymongo.link.v1"


class Link(NamedTuple):
    """What a link is good for; as_attachment is :meth:`.PyMongo.send_file`'s."""

    file_id: ObjectId
    as_attachment: bool | None
    expires: int
    """seconds since 1970"""


def sign(bucket: str, link: Link) -> str:
    """Return the token of *link* for one bucket (the full name of its files collection)."""
    return str(_serializer().dumps([bucket, str(link.file_id), link.as_attachment, link.expires]))


def verify(bucket: str, token: str) -> Link:
    """Return what *token* is good for: 404 where it was not made here, 410 where its time is over."""
    if not current_app.secret_key:  # none was ever made
        abort(404, "This link is not valid.")
    try:
        signed_bucket, file_id, as_attachment, expires = _serializer().loads(token)
    except BadData:
        abort(404, "This link is not valid.")
    if signed_bucket != bucket:
        abort(404, "This link is not valid.")
    if expires <= time.time():
        abort(410, "This link has expired.")
    return Link(ObjectId(file_id), as_attachment, expires)


def _serializer() -> URLSafeSerializer:
    if not current_app.secret_key:
        raise RuntimeError("signed links need a secret: set app.secret_key (SECRET_KEY)")
    keys = [*(current_app.config.get("SECRET_KEY_FALLBACKS") or []), current_app.secret_key]
    return URLSafeSerializer(
        keys, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    )
