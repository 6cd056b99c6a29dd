"""``GET /NAME?variant=thumb``: a variant of a picture, made when it is first requested, and stored.

Uploads of strangers are decoded by :mod:`...decoder`. What cannot be decoded is remembered, so that each visitor of a
listing does not try it again.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from typing import NoReturn

from flask import Request, Response, abort, current_app

from ...cache.memory import Memory
from ...decoder.errors import Busy, Undecodable, Unfinished
from ...decoder.limits import CPU_SECONDS, MAX_MEMORY
from ...decoder.pool import Slot, slot
from ...http.conditions import Outcome, evaluate
from ...http.headers import Caching, content_headers
from ...http.negotiation import picture_type
from ...http.response import Representation, respond
from ...images import HEIF, JPEG, LARGE, LIMITS, PNG, TYPES, WEBP, Variant
from ...pixels import Size, stored_size
from ...service.download import bounded, shown_type
from ...service.errors import RETRY_AFTER
from ...service.options import Options
from ...service.texts import Message, number, size
from ...store import Bucket, FailedVariant, StoredFile, StoredVariant
from ..pages import render as pages
from ..selection import select
from ..target import Target
from .file import caching_of

_MAX_AGE = 86_400  # seconds
_UNFINISHED = "unfinished"
_MAX_TRIES = 3  # of a picture whose decoding does not end
_failures = Memory(1024 * 1024)  # for a process that may not write to the database


def is_available() -> bool:
    """Whether Pillow is installed."""
    return find_spec("PIL") is not None


def types() -> frozenset[str]:
    """Return the media types of which variants can be made here."""
    return TYPES if _has_heif() else TYPES - HEIF


def _has_heif() -> bool:
    return find_spec("pillow_heif") is not None


def uncropped_widths(options: Options) -> list[tuple[str, int]]:
    """Return the names and widths of variants for tiles, which show whole pictures, by width; empty without Pillow."""
    variants = options.all_variants.items()
    whole = [(name, variant.width) for name, variant in variants if not variant.crop and variant is not LARGE]
    return sorted(whole, key=lambda found: found[1]) if is_available() else []


def get(options: Options, request: Request, target: Target) -> Response:
    """Send the variant ``?variant`` of the picture that the URL names."""
    file = select(options, request, target, "read")
    variant = options.all_variants.get(request.args["variant"])
    if variant is None:
        names = ", ".join(sorted(options.all_variants))
        abort(404, Message("There is no such variant; the variants are: %(names)s.", names=names))
    kind = shown_type(request, options.bucket(), file).partition(";")[0].strip().lower()
    if kind not in types():
        abort(415, Message("There are no variants of files of the type %(type)s.", type=kind))
    if not is_available():
        abort(501, "Variants of pictures need an extra: pip install 'flask-gridfs-pymongo[images]'.")
    wanted = picture_type(request.accept_mimetypes)
    tag = hashlib.sha256(f"{file.etag} {variant.recipe} {wanted}".encode()).hexdigest()[:32]
    picture = StoredVariant(wanted or JPEG, b"")  # unused in a 304 or 412
    if evaluate(request.method, request.headers, tag) is Outcome.PERFORM:
        try:
            picture = _get_or_make(options, file, variant, wanted, tag)
        except Undecodable as error:
            _refuse(error)
        except (Busy, Unfinished):
            abort(503, "Too many pictures are being made; try again.", retry_after=int(RETRY_AFTER))
    answer = _answer(options, request, target, file, picture, tag)
    return pages.explain(answer) if answer.status_code >= 400 else answer


def _get_or_make(options: Options, file: StoredFile, variant: Variant, wanted: str | None, tag: str) -> StoredVariant:
    bucket, may_store = options.bucket(), not options.read_only
    known = _known(bucket, variant, tag, note=may_store)
    if isinstance(known, StoredVariant):
        return known
    if file.length > LIMITS["bytes"]:
        raise Undecodable("bytes", LIMITS["bytes"])
    with slot() as decoder:
        known = _known(bucket, variant, tag, note=False)
        if isinstance(known, StoredVariant):  # another request has made it
            return known
        try:
            made, pixels = _make(decoder, bucket, file, variant, wanted)
        except (Undecodable, Unfinished) as error:
            reason, most = (error.reason, error.most) if isinstance(error, Undecodable) else (_UNFINISHED, 0)
            failed = FailedVariant(reason, _maker(variant), known.times + 1 if known else 1, most)
            _failures.put(tag, failed, len(failed.maker))
            if may_store:
                bucket.variants.put(tag, file.id, failed)
            raise
    if may_store:
        bucket.variants.put(tag, file.id, made)
        bucket.variants.measured(file, pixels)
    return made


def _known(bucket: Bucket, variant: Variant, tag: str, *, note: bool) -> StoredVariant | FailedVariant | None:
    """Return the stored variant, or a failure after which it is tried again; raise Undecodable after another one."""
    known: StoredVariant | FailedVariant | None = bucket.variants.get(tag, note=note) or _failures.get(tag)
    if not isinstance(known, FailedVariant):
        return known
    if known.maker != _maker(variant):
        return None
    if known.reason != _UNFINISHED or known.times >= _MAX_TRIES:
        raise Undecodable(known.reason, known.most)
    return known


def _make(
    decoder: Slot, bucket: Bucket, file: StoredFile, variant: Variant, wanted: str | None
) -> tuple[StoredVariant, Size]:
    arguments = {**asdict(variant), "content_type": wanted}
    answer, data = decoder.perform("picture", arguments, bucket.read(file), file.length)
    content_type, pixels = answer.get("content_type"), stored_size(answer.get("pixels"))
    # A decoder that a picture has taken over may say anything.
    if content_type not in (JPEG, PNG, WEBP) or pixels is None:
        raise Undecodable("undecodable")
    return StoredVariant(content_type, data), pixels


def _maker(variant: Variant) -> str:
    """Return what decides whether a picture can be decoded: another library or other limits try again."""
    libraries = [version(name) for name in ("pillow", *(["pillow-heif"] if _has_heif() else []))]
    return f"{libraries}, {LIMITS}, {variant.max_pixels}, {CPU_SECONDS}, {MAX_MEMORY}"


def _refuse(error: Undecodable) -> NoReturn:
    most = number(error.most)
    if error.reason == "bytes":
        abort(422, Message("Variants are made of pictures with at most %(size)s.", size=size(error.most)))
    if error.reason in ("pixels", "baseline"):
        abort(422, Message("Variants are made of pictures with at most %(number)s pixels.", number=most))
    if error.reason in LIMITS:
        abort(422, Message("Variants are made of pictures with at most %(number)s segments or strips.", number=most))
    if error.reason in ("cpu", "memory"):
        abort(422, "This picture takes too much time or memory.")
    abort(422, "This picture cannot be decoded.")


def _caching(options: Options, target: Target) -> Caching:
    """Like the file itself, but for a day at most: an application may change the recipe of a variant."""
    max_age = caching_of(options, target).max_age
    return Caching(None if max_age is None else min(max_age, _MAX_AGE), options.public)


def _answer(
    options: Options, request: Request, target: Target, file: StoredFile, picture: StoredVariant, tag: str
) -> Response:
    name = file.filename.rpartition("/")[2]
    title = f"{name.rpartition('.')[0] or name}.{picture.content_type.removeprefix('image/')}"
    attachment = True if request.args.get("download", "0") != "0" else None
    representation = Representation(
        etag=tag,
        modified=None,
        date_is_strong=False,
        length=len(picture.data),
        headers={
            **content_headers(picture.content_type, title, attachment, own_frames_only=True),
            "Cache-Control": str(bounded(_caching(options, target), file)),
            "Vary": "Accept",
        },
        read=lambda start, stop: (piece for piece in (picture.data[start:stop],)),
    )
    response_class: type[Response] = current_app.response_class
    return respond(request, representation, response_class)
