"""Signed links: whoever has the link may read a version, until the link expires by the database server's clock.

::

    url = signed_url(bucket, "uploads", file, expiry(bucket, 3600), None)
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flask import Request, Response, abort, current_app, url_for
from itsdangerous import BadData, URLSafeSerializer

from ...service.options import Options
from ...store import Bucket, StoredFile, ids
from ..pages import render as pages
from ..pages import urls
from ..selection import select
from ..target import Target

_SALT = "flask-gridfs-pymongo.link.v1"


class SignedLink(NamedTuple):
    """What a link grants; *as_attachment* is as in :meth:`.PyMongo.send_file`."""

    file_id: Any
    as_attachment: bool | None
    left: int
    """seconds for which it is valid"""


def expiry(bucket: Bucket, seconds: int) -> int:
    """Return when a link expires that is valid for *seconds* from now, in seconds since 1970."""
    return int(bucket.collections.clock.now().timestamp()) + seconds


def signed_url(
    bucket: Bucket, blueprint: str, file: StoredFile, expires: int, as_attachment: bool | None, **variables: Any
) -> str:
    """Build a link to a version; it is valid for this blueprint only, since others may show other types.

    :param blueprint: the name that its endpoints begin with
    :param expires: see :func:`expiry`
    :param as_attachment: as in :meth:`.PyMongo.uploads_url`
    :param variables: those of its ``url_prefix``
    :raises ValueError: if the ``_id`` is too long for a URL
    """
    if file.key is None:
        raise ValueError(
            f"the _id of this file is too long for a link: it may have at most {ids.MAX_ID_LENGTH} characters"
        )
    signed = str(serializer(blueprint, _SALT).dumps([bucket.files.full_name, file.key, as_attachment, expires]))
    if file.named and urls.can_name(file.filename):
        url = url_for(f"{blueprint}.file", filename=file.filename, **variables)
    else:
        url = url_for(f"{blueprint}.index", **variables)
    return urls.with_query(url, {"signed": signed})


def share(options: Options, request: Request, target: Target) -> Response:
    """Make a link to the version that the URL names; the response has its ``url``, and when it ``expires``."""
    if options.share is None:
        abort(403, "Signed links are disabled: the application gave uploads_blueprint() no share.")
    file = select(options, request, target, "read", changes=False)
    expires = expiry(options.bucket(), options.share)
    url = signed_url(options.bucket(), str(request.blueprint), file, expires, None)
    return pages.json_of({"url": url, "expires": datetime.fromtimestamp(expires, UTC).isoformat()})


def verify(bucket: Bucket, blueprint: str, token: str) -> SignedLink:
    """Return what *token* grants; abort with 404 if it was not made here, with 410 if it has expired."""
    signed = loads(bucket, blueprint, _SALT, token)
    if signed is None:
        abort(404, "This link is not valid.")
    key, as_attachment, expires = signed
    left = expires - expiry(bucket, 0)
    if left <= 0:
        abort(410, "This link has expired.")
    return SignedLink(ids.from_text(key, bucket.collections.codec_options), as_attachment, left)


def loads(bucket: Bucket, blueprint: str, salt: str, token: str) -> list[Any] | None:
    """Return what :func:`serializer` has signed after the name of this bucket; None if *token* was not made here."""
    try:
        name, *signed = serializer(blueprint, salt).loads(token)
    except (BadData, RuntimeError):  # without a SECRET_KEY none was made
        return None
    return signed if name == bucket.files.full_name else None


def serializer(blueprint: str, salt: str) -> URLSafeSerializer:
    """Return what signs links of one kind, which *salt* names, for this blueprint.

    :raises RuntimeError: without a ``SECRET_KEY``
    """
    if not current_app.secret_key:
        raise RuntimeError("signed links need a secret: set app.secret_key (SECRET_KEY)")
    keys = [*(current_app.config.get("SECRET_KEY_FALLBACKS") or []), current_app.secret_key]
    how = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    return URLSafeSerializer(keys, salt=f"{salt}/{blueprint}", signer_kwargs=how)
