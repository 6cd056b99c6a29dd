"""``GET /NAME?variant=thumb``: a variant of a picture, made when it is first requested, and stored.

As uploads of strangers are decoded here, the load is limited: each process makes two pictures at once, and a client
waits for at most five seconds.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from functools import lru_cache
from importlib.util import find_spec

from flask import Request, Response, abort, current_app

from ...http.conditions import Outcome, evaluate
from ...http.headers import Caching, cache_control, content_headers
from ...http.negotiation import picture_type
from ...http.response import Representation, respond
from ...images import JPEG, MAX_BYTES, MAX_PIXELS, TYPES, TooLarge, Undecodable, Variant, make
from ...service.download import bounded
from ...service.options import Options
from ...service.texts import Message, number, size
from ...store import Bucket, StoredFile, StoredVariant
from .. import pages
from ..selection import select
from ..target import Target
from .file import caching_of

_MAX_AGE = 86_400  # seconds
_MAX_WORKERS = 2  # pictures in each process
_RENDER_TIMEOUT = 5  # seconds


def is_available() -> bool:
    """Whether Pillow is installed."""
    return find_spec("PIL") is not None


def uncropped_widths(options: Options) -> list[tuple[str, int]]:
    """Return the names and widths of variants that show the whole picture, by width; empty without Pillow."""
    whole = [(name, variant.width) for name, variant in options.all_variants.items() if not variant.crop]
    return sorted(whole, key=lambda found: found[1]) if is_available() else []


def get(options: Options, request: Request, target: Target) -> Response:
    """Send the variant ``?variant`` of the picture that the URL names."""
    file = select(options, request, target, "read")
    variant = options.all_variants.get(request.args["variant"])
    if variant is None:
        names = ", ".join(sorted(options.all_variants))
        abort(404, Message("There is no such variant; the variants are: %(names)s.", names=names))
    if file.content_type.partition(";")[0].strip().lower() not in TYPES:
        abort(415, Message("There are no variants of files of the type %(type)s.", type=file.content_type))
    if not is_available():
        abort(501, "Variants of pictures need an extra: pip install 'flask-gridfs-pymongo[images]'.")
    wanted = picture_type(request.accept_mimetypes)
    tag = hashlib.sha256(f"{file.etag} {variant.recipe} {wanted}".encode()).hexdigest()[:32]
    picture = StoredVariant(wanted or JPEG, b"")  # unused in a 304 or 412
    if evaluate(request.method, request.headers, tag) is Outcome.PERFORM:
        picture = _get_or_make(options, file, variant, wanted, tag)
    answer = _answer(options, request, target, file, picture, tag)
    return pages.explain(answer) if answer.status_code >= 400 else answer


def _get_or_make(options: Options, file: StoredFile, variant: Variant, wanted: str | None, tag: str) -> StoredVariant:
    bucket, may_store = options.bucket(), not options.read_only
    if stored := bucket.variants.get(tag, note=may_store):
        return stored
    making = _workers(os.getpid()).submit(_make, bucket, file, variant, wanted, tag, may_store)
    try:
        return making.result(_RENDER_TIMEOUT)
    except TimeoutError:
        making.cancel()  # if it runs already it continues, and is stored for the next request
        abort(503, "Too many pictures are being made; try again.", retry_after=max(1, int(_RENDER_TIMEOUT)))
    except TooLarge:
        limits = {"pixels": number(MAX_PIXELS), "size": size(MAX_BYTES)}
        abort(422, Message("Variants are made of pictures with at most %(pixels)s pixels and %(size)s.", **limits))
    except Undecodable:
        abort(422, "This picture cannot be decoded.")


def _make(
    bucket: Bucket, file: StoredFile, variant: Variant, wanted: str | None, tag: str, may_store: bool
) -> StoredVariant:
    if stored := bucket.variants.get(tag, note=False):  # another request has made it
        return stored
    if file.length > MAX_BYTES:
        raise TooLarge(f"the picture has {file.length} bytes")
    picture = make(b"".join(bucket.read(file)), variant, wanted)
    if may_store:
        bucket.variants.put(tag, file.id, *picture)
    return StoredVariant(*picture)


@lru_cache(maxsize=1)
def _workers(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process: after a fork the parent's do not exist."""
    return ThreadPoolExecutor(_MAX_WORKERS, "gridfs-pictures")


def _caching(options: Options, target: Target) -> Caching:
    """Like the file itself, but for a day at most: an application may change the recipe of a variant."""
    max_age = caching_of(options, target).max_age
    return Caching(None if max_age is None else min(max_age, _MAX_AGE), options.public)


def _answer(
    options: Options, request: Request, target: Target, file: StoredFile, picture: StoredVariant, tag: str
) -> Response:
    stem, extension = file.filename.rpartition(".")[0] or file.filename, picture.content_type.removeprefix("image/")
    attachment = True if request.args.get("download", "0") != "0" else None
    representation = Representation(
        etag=tag,
        modified=None,
        date_is_strong=False,
        length=len(picture.data),
        headers={
            **content_headers(picture.content_type, f"{stem}.{extension}", attachment, own_frames_only=True),
            "Cache-Control": cache_control(*bounded(_caching(options, target), file)),
            "Vary": "Accept",
        },
        read=lambda start, stop: (piece for piece in (picture.data[start:stop],)),
    )
    response_class: type[Response] = current_app.response_class
    return respond(request, representation, response_class)
