"""``GET /NAME?variant=thumb``: a smaller picture of a file, made when it is asked for and kept.

What strangers upload is decoded here, so little of it happens at once: two pictures in each process, and a client
waits for five seconds at most.
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
from ...images import JPEG, MOST_BYTES, MOST_PIXELS, TYPES, TooLarge, Undecodable, Variant, make
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
    """The variants that show all of a picture, and their widths, the smallest first; none without Pillow."""
    whole = [(name, variant.width) for name, variant in options.all_variants.items() if not variant.crop]
    return sorted(whole, key=lambda found: found[1]) if is_available() else []


def get(options: Options, request: Request, target: Target) -> Response:
    """Answer with the variant ``?variant`` of the picture that the URL names."""
    file = select(options, request, target, "read")
    variant = options.all_variants.get(request.args["variant"])
    if variant is None:
        names = ", ".join(sorted(options.all_variants))
        abort(404, Message("There is no such variant; there are: %(names)s.", names=names))
    if file.content_type.partition(";")[0].strip().lower() not in TYPES:
        abort(415, Message("No pictures are made of %(type)s.", type=file.content_type))
    if not is_available():
        abort(501, "Variants of pictures need an extra: pip install 'flask-gridfs-pymongo[images]'.")
    wanted = picture_type(request.accept_mimetypes)
    tag = hashlib.sha256(f"{file.etag} {variant.recipe} {wanted}".encode()).hexdigest()[:32]
    picture = StoredVariant(wanted or JPEG, b"")  # a 304 or 412 has none
    if evaluate(request.method, request.headers, tag) is Outcome.PERFORM:
        picture = _get_or_make(options, file, variant, wanted, tag)
    answer = _answer(options, request, target, file, picture, tag)
    return pages.explain(answer) if answer.status_code >= 400 else answer


def _get_or_make(options: Options, file: StoredFile, variant: Variant, wanted: str | None, tag: str) -> StoredVariant:
    bucket, keeps = options.bucket(), not options.read_only
    if kept := bucket.variants.get(tag, note=keeps):
        return kept
    making = _workers(os.getpid()).submit(_make, bucket, file, variant, wanted, tag, keeps)
    try:
        return making.result(_RENDER_TIMEOUT)
    except TimeoutError:
        making.cancel()  # one that has begun goes on, and is kept for the next request
        abort(503, "Too many pictures are made just now; try again.", retry_after=max(1, int(_RENDER_TIMEOUT)))
    except TooLarge:
        limits = {"pixels": number(MOST_PIXELS), "size": size(MOST_BYTES)}
        abort(422, Message("Pictures are made of at most %(pixels)s pixels and %(size)s.", **limits))
    except Undecodable:
        abort(422, "This picture cannot be decoded.")


def _make(
    bucket: Bucket, file: StoredFile, variant: Variant, wanted: str | None, tag: str, keeps: bool
) -> StoredVariant:
    if kept := bucket.variants.get(tag, note=False):  # somebody else wanted it, too
        return kept
    if file.length > MOST_BYTES:
        raise TooLarge(f"the picture has {file.length} bytes")
    picture = make(b"".join(bucket.read(file)), variant, wanted)
    if keeps:
        bucket.variants.put(tag, file.id, *picture)
    return StoredVariant(*picture)


@lru_cache(maxsize=1)
def _workers(process: int) -> ThreadPoolExecutor:
    """The threads of this process: those that it had before it was forked are not there."""
    return ThreadPoolExecutor(_MAX_WORKERS, "gridfs-pictures")


def _caching(options: Options, target: Target) -> Caching:
    """As the file itself, and for a day at most: an application may change the recipe of a variant."""
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
