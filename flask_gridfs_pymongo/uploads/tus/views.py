"""tus 1.0.0, resumable uploads: a function for each method.

A POST with Tus-Resumable creates an upload. HEAD of its URL, ``/?upload=TOKEN``, returns its offset, PATCH appends
bytes, DELETE terminates it. With the last byte it is committed like any other upload.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from flask import Request, Response
from flask import request as current_request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ...http import tus
from ...http.filenames import clean
from ...service.clients import owner_of
from ...service.guard import is_same_origin
from ...service.operations import check_preconditions
from ...service.options import Options
from ...service.quota import Limit, check_space, count, limit_of, too_large
from ...service.receive import fields_of, or_400
from ...service.rights import may, permit
from ...store import Upload, completion
from ..arguments import folder
from ..pages import render as pages
from ..pages import urls
from ..target import Target, target_of
from ..write.file import clean_or_400
from . import errors
from .append import lease, receive, set_length
from .complete import finish, state_of_stored

_CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since")
_MAX_REMOVALS, _MAX_CHUNKS = 2, 400  # expired uploads, and chunks of each, that each new upload removes


def is_creation(request: Request) -> bool:
    """Whether a request creates an upload."""
    return request.method == "POST" and "Tus-Resumable" in request.headers


def mark(response: Response) -> Response:
    """Add the fields that every response to a tus client must have, also an error."""
    if target_of(current_request).upload is not None or is_creation(current_request):
        response.headers.update(tus.ANSWER)
    return response


def create(options: Options, request: Request, target: Target) -> Response:
    """Create an upload, with its first bytes if the request has a body."""
    _check_version(request)
    pages.check_reached(options)
    length, found = or_400(tus.length, request.headers), or_400(tus.metadata, request.headers)
    name = _name(target, found)
    permit(options, "write", name)
    if length is not None and options.max_size is not None and length > options.max_size:
        raise too_large(options.max_size)
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    if has_body and request.mimetype != tus.CONTENT_TYPE:
        raise errors.wrong_type()
    conditions = {field: request.headers[field] for field in _CONDITIONS if field in request.headers}
    details = {
        "metadata": request.headers.get("Upload-Metadata", ""),
        "fields": fields_of(or_400(options.keys.of_form, found.items()), or_400(tus.type_of, found)),
        "conditions": conditions,
        "via": options.via,
    }
    bucket = options.bucket()
    if conditions:
        check_preconditions("PUT", conditions, bucket.newest(name))
    check_space(options, [(name, length or 0)])
    owner = owner_of(options, request)
    _make_room(options, owner)
    upload = bucket.uploads.create(name, length, lifetime=options.upload_expires, details=details, owner=owner)
    count(options, name, length or 0)
    fields = tus.state(0, length, upload.expires)
    if has_body or length == 0:
        try:
            fields = _append(options, request, upload, 0)
        except HTTPException:  # the client will never learn its URL
            with suppress(HTTPException), lease(options, upload) as writer:
                completion.terminate(writer)
            raise
    return pages.empty(201, {"Location": urls.index({"upload": upload.token})} | fields)


def answer(options: Options, request: Request, target: Target) -> Response:
    """Answer a request for an upload's URL."""
    method = request.method
    if method == "POST":
        method = request.headers.get("X-HTTP-Method-Override", method).upper()
    allowed = [*_METHODS, "OPTIONS"]
    if method == "OPTIONS":
        return pages.empty(204, {"Allow": ", ".join(allowed)} | tus.options(options.max_size))
    if method not in _METHODS:
        raise MethodNotAllowed(allowed)
    if not is_same_origin(request, options.trusted_origins, "PATCH"):
        raise errors.unknown()
    _check_version(request)
    pages.check_reached(options)
    upload = options.bucket().uploads.find(target.upload or "")
    if upload is None or not may(options, "write", upload.filename):
        raise errors.unknown()
    if upload.details and upload.details.get("via") != options.via:  # those of one that was terminated are empty
        raise errors.unknown()
    if upload.state == "gone" and not (method == "DELETE" and upload.ended):
        raise errors.gone()
    return _METHODS[method](options, request, upload)


def _head(options: Options, request: Request, upload: Upload) -> Response:
    """Return the offset, which no earlier request can change any more; complete the upload if all bytes are there."""
    fields = {"Upload-Metadata": upload.details["metadata"]} if upload.details["metadata"] else {}
    if upload.state == "stored":
        return pages.empty(200, fields | state_of_stored(options, upload))
    if not upload.leased and upload.offset != upload.length:
        return pages.empty(200, fields | tus.state(upload.offset, upload.length, upload.expires))
    with lease(options, upload, lost=lambda offset: errors.busy()) as writer:
        finished = finish(options, upload, writer) if writer.offset == writer.length else {}
    return pages.empty(200, fields | tus.state(writer.offset, writer.length, writer.lease.upload_expires) | finished)


def _patch(options: Options, request: Request, upload: Upload) -> Response:
    """Append the body at the offset."""
    if request.mimetype != tus.CONTENT_TYPE:
        raise errors.wrong_type()
    offset = or_400(lambda fields: tus.number(fields, "Upload-Offset"), request.headers)
    if offset is None:
        raise errors.Refusal(400, "A PATCH needs Upload-Offset; HEAD returns it.")
    if upload.state == "stored":
        fields = state_of_stored(options, upload)
        if offset != upload.length:
            raise errors.conflict(upload.offset)
        if request.content_length:
            raise errors.too_long(offset, offset)
        return pages.empty(204, fields)
    return pages.empty(204, _append(options, request, upload, offset))


def _delete(options: Options, request: Request, upload: Upload) -> Response:
    """Terminate the upload; if it is completed, its file stays. A client that had no answer may repeat this."""
    if upload.state == "gone":
        options.bucket().uploads.clear(upload)
    elif upload.state == "stored":
        options.bucket().uploads.forget(upload)
    else:
        with lease(options, upload) as writer:
            completion.terminate(writer)
    return pages.empty(204)


_METHODS: dict[str, Callable[[Options, Request, Upload], Response]] = {
    "HEAD": _head,
    "PATCH": _patch,
    "DELETE": _delete,
}


def _check_version(request: Request) -> None:
    if request.headers.get("Tus-Resumable") != tus.VERSION:
        raise errors.version()


def _name(target: Target, found: dict[str, str]) -> str:
    """Return the name of a new upload: the URL's, or that of its metadata in the URL's folder."""
    if target.name is not None:
        return clean_or_400(target.name)
    own = clean(or_400(tus.name_of, found))
    if not own:
        raise errors.Refusal(400, "The upload needs a name: in the URL, or as filename in Upload-Metadata.")
    return clean_or_400(f"{folder(target) or ''}/{own}")


def _make_room(options: Options, owner: str | None) -> None:
    """Remove some expired uploads; refuse a new one if too many are unfinished, or this client has too many of them."""
    uploads = options.bucket().uploads
    for expired in uploads.expired(_MAX_REMOVALS):
        uploads.remove(expired, _MAX_CHUNKS)
    count, share = uploads.count(options.max_uploads), max(1, options.max_uploads // 10)
    if count >= options.max_uploads:
        raise errors.too_many(options.max_uploads)
    if owner is not None and count > options.max_uploads / 2 and uploads.count(share, owner) >= share:
        raise errors.too_many_of_one()


def _append(options: Options, request: Request, upload: Upload, offset: int) -> dict[str, str]:
    """Append the body at *offset*; return the fields that describe the progress."""
    checksum = or_400(tus.checksum, request.headers)
    length = or_400(lambda fields: tus.number(fields, "Upload-Length"), request.headers)
    limit = Limit(options)
    if upload.length is None:  # its quota counts the bytes that it has already
        limit = limit_of(options, upload.filename, None).after([(upload.filename, -upload.offset)])
    with lease(options, upload, limit=limit.size, checked=checksum is not None) as writer:
        if writer.offset != offset:
            raise errors.conflict(writer.offset)
        if length is not None:
            set_length(options, writer, length)
        receive(request, writer, checksum, limit)
        finished = finish(options, upload, writer) if writer.offset == writer.length else {}
    return tus.state(writer.offset, writer.length, writer.lease.upload_expires) | finished
