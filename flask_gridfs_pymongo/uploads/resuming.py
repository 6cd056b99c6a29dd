"""tus 1.0.0: uploads that go on where they stopped.

A POST with Tus-Resumable creates one; HEAD, PATCH and DELETE of its URL, ``/?upload=TOKEN``, ask for its offset, add
bytes and end it. With the last byte it is committed like any other upload.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flask import Request, Response, url_for
from flask import request as current_request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ..http import origin, tus
from ..http.filenames import clean
from ..store import (
    CorruptFile,
    FileTooLarge,
    Holder,
    IndexConflict,
    Overtaken,
    StoredFile,
    Upload,
    UploadBusy,
    UploadEnded,
)
from . import pages
from .arguments import folder
from .bodies import Body
from .inspection import inspect
from .options import Options
from .receive import READ_SIZE, expiring, fields_of, too_large, valid
from .rights import may, permit
from .selection import check_preconditions
from .writing import clean_or_400, stored

_CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since")
_UNKNOWN = "There is no such upload."
_GONE = "This upload was ended, or its time is over; start again."
_AT_ONCE = 8  # expired uploads that go with each new one
_SILENCE = 30  # seconds without a byte, after which the connection is taken for dead: nothing is lost with it
_SLOW = 0.1  # seconds
_SLOW_READ = 1024  # bytes


class _Refusal(HTTPException):
    """An error for a program that speaks tus, which is why its text is not translated.

    :param fields: header fields, with ``_`` for ``-``
    """

    def __init__(self, code: int, description: str, **fields: str) -> None:
        super().__init__(description)
        self.code = code
        self._fields = [(name.replace("_", "-"), value) for name, value in fields.items()]

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return super().get_headers(*args, **kwargs) + self._fields


def is_creation(request: Request) -> bool:
    """Whether a request is to create an upload."""
    return request.method == "POST" and "Tus-Resumable" in request.headers


def is_upload(request: Request, filename: str | None) -> bool:
    """Whether the URL is that of an upload; *filename* is None at the root."""
    return filename is None and "upload" in request.args


def mark(response: Response) -> Response:
    """Give each answer to a tus client, errors too, the fields that it must have."""
    if "upload" in current_request.args or is_creation(current_request):
        response.headers.update(tus.ANSWER)
    return response


def create(options: Options, request: Request, filename: str | None) -> Response:
    """Begin an upload, with its first bytes where the request has a body."""
    _check_version(request)
    length, found = valid(tus.length, request.headers), valid(tus.metadata, request.headers)
    name = _name(request, filename, found)
    permit(options, "write", name)
    if length is not None and options.max_size is not None and length > options.max_size:
        raise too_large(options.max_size)
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    if has_body and request.mimetype != tus.CONTENT_TYPE:
        raise _Refusal(415, f"The body of an upload has the type {tus.CONTENT_TYPE}.")
    conditions = {field: request.headers[field] for field in _CONDITIONS if field in request.headers}
    details = {
        "metadata": request.headers.get("Upload-Metadata", ""),
        "fields": fields_of(valid(options.metadata.of_form, found.items()), tus.type_of(found)),
        "conditions": conditions,
    }
    bucket = options.bucket()
    check_preconditions("PUT", conditions, bucket.newest(name))
    _make_room(options)
    token = bucket.uploads.create(name, length, lifetime=options.upload_expires, details=details)
    upload = bucket.uploads.find(token)
    assert upload is not None  # noqa: S101 (it was stored just now)
    told = tus.state(0, length, upload.expires)
    if has_body or length == 0:
        try:
            told = _append(options, request, upload, 0)
        except HTTPException:  # its client will never know its URL
            with suppress(HTTPException), _turn(options, upload) as holder:
                holder.terminate()
            raise
    return pages.empty(201, {"Location": url_for(".index", upload=token)} | told)


def answer(options: Options, request: Request) -> Response:
    """Answer a request for an upload's URL."""
    method = request.method
    if method == "POST":
        method = request.headers.get("X-HTTP-Method-Override", method).upper()
    allowed = [*_METHODS, "OPTIONS"]
    if method == "OPTIONS":
        return pages.empty(204, {"Allow": ", ".join(allowed)} | tus.options(options.max_size))
    if method not in _METHODS:
        raise MethodNotAllowed(allowed)
    if not origin.allowed("PATCH", request.headers, request.headers.get("Host", ""), options.trusted_origins):
        raise _Refusal(404, _UNKNOWN)
    _check_version(request)
    upload = options.bucket().uploads.find(request.args["upload"])
    if upload is None or not may(options, "write", upload.filename):
        raise _Refusal(404, _UNKNOWN)
    if upload.state == "gone":
        raise _Refusal(410, _GONE)
    return _METHODS[method](options, request, upload)


def _head(options: Options, request: Request, upload: Upload) -> Response:
    """Tell the offset: from now on nobody else moves it. An upload that is complete is finished."""
    told = {"Upload-Metadata": upload.details["metadata"]} if upload.details["metadata"] else {}
    if upload.state == "stored":
        return pages.empty(200, told | _state_of_stored(options, upload))
    with _turn(options, upload) as holder:
        finished = _finish(options, upload, holder) if holder.offset == holder.length else {}
    return pages.empty(200, told | tus.state(holder.offset, holder.length, holder.expires) | finished)


def _patch(options: Options, request: Request, upload: Upload) -> Response:
    """Add the body at the offset."""
    if request.mimetype != tus.CONTENT_TYPE:
        raise _Refusal(415, f"The body of a PATCH has the type {tus.CONTENT_TYPE}.")
    offset = valid(lambda fields: tus.number(fields, "Upload-Offset"), request.headers)
    if offset is None:
        raise _Refusal(400, "A PATCH needs Upload-Offset; HEAD tells it.")
    if upload.state == "stored" and offset == upload.length and not request.content_length:
        return pages.empty(204, _state_of_stored(options, upload))
    return pages.empty(204, _append(options, request, upload, offset))


def _delete(options: Options, request: Request, upload: Upload) -> Response:
    """End the upload; a file that it became stays."""
    if upload.state == "stored":
        options.bucket().uploads.forget(upload)
    else:
        with _turn(options, upload) as holder:
            holder.terminate()
    return pages.empty(204)


_METHODS: dict[str, Callable[[Options, Request, Upload], Response]] = {
    "HEAD": _head,
    "PATCH": _patch,
    "DELETE": _delete,
}


def _check_version(request: Request) -> None:
    if request.headers.get("Tus-Resumable") != tus.VERSION:
        raise _Refusal(412, f"Send Tus-Resumable: {tus.VERSION}.", Tus_Version=tus.VERSION)


def _name(request: Request, filename: str | None, found: dict[str, str]) -> str:
    """The name of a new upload: the URL's, or that of its metadata in the URL's folder."""
    if filename is not None:
        return clean_or_400(filename)
    own = clean(valid(tus.name_of, found))
    if not own:
        raise _Refusal(400, "The upload needs a name: in the URL, or as filename in Upload-Metadata.")
    return clean_or_400(f"{folder(request) or ''}/{own}")


def _make_room(options: Options) -> None:
    """Remove a few expired uploads; abort with 429 where too many are unfinished."""
    uploads = options.bucket().uploads
    for expired in uploads.expired(_AT_ONCE):
        uploads.remove(expired)
    if uploads.count(options.max_uploads) >= options.max_uploads:
        raise _Refusal(429, f"There are {options.max_uploads} unfinished uploads; try again later.", Retry_After="60")


@contextmanager
def _turn(options: Options, upload: Upload, *, checked: bool = False) -> Iterator[Holder]:
    """Take the turn; what is in the way of it becomes an error that tells the client how to go on."""
    uploads = options.bucket().uploads
    try:
        with uploads.hold(upload, limit=options.max_size, checked=checked) as holder:
            yield holder
    except UploadBusy:
        raise _busy() from None
    except (Overtaken, UploadEnded):
        current = uploads.get(upload.id)
        if current is None or current.state == "gone":
            raise _Refusal(410, _GONE) from None
        if current_request.method == "HEAD":  # it will find this out when it asks again
            raise _busy() from None
        raise _conflict(current.offset) from None


def _busy() -> _Refusal:
    return _Refusal(423, "Another request is sending bytes of this upload; try again.", Retry_After="1")


def _conflict(offset: int) -> _Refusal:
    return _Refusal(409, f"The offset of this upload is {offset}; go on from there.", Upload_Offset=str(offset))


def _append(options: Options, request: Request, upload: Upload, offset: int) -> dict[str, str]:
    """Add the body at *offset*; returns the fields that tell how far the upload is."""
    checksum = valid(tus.checksum, request.headers)
    length = valid(lambda fields: tus.number(fields, "Upload-Length"), request.headers)
    with _turn(options, upload, checked=checksum is not None) as holder:
        if holder.offset != offset:
            raise _conflict(holder.offset)
        if length is not None:
            _set_length(options, holder, length)
        _receive(options, request, holder, checksum)
        finished = _finish(options, upload, holder) if holder.offset == holder.length else {}
    return tus.state(holder.offset, holder.length, holder.expires) | finished


def _set_length(options: Options, holder: Holder, length: int) -> None:
    if holder.length is None:
        if options.max_size is not None and length > options.max_size:
            raise too_large(options.max_size)
        try:
            holder.set_length(length)
        except FileTooLarge:
            raise _too_long(holder, length) from None
    elif length != holder.length:
        raise _Refusal(400, f"The length of this upload is {holder.length}, and does not change.")


def _receive(options: Options, request: Request, holder: Holder, checksum: tus.Checksum | None) -> None:
    """Take the body: all of it where it has a checksum, else what comes."""
    begin, announced = holder.offset, request.content_length
    limit = options.max_size if holder.length is None else holder.length
    if announced is not None and limit is not None and begin + announced > limit:
        raise _too_long(holder, limit)
    kept = "what came is kept" if checksum is None else "nothing of it is kept"
    computed = hashlib.new(checksum.algorithm) if checksum else None
    with Body(request, options.upload_timeout, kept, silence=_SILENCE) as body:
        try:
            for block in _blocks(body):
                holder.write(block)
                if computed is not None:
                    computed.update(block)
        except FileTooLarge:
            holder.rewind()
            raise _too_long(holder, limit) from None
    if announced is not None and holder.offset - begin != announced:
        raise _Refusal(400, f"The body ended after {holder.offset - begin} of {announced} bytes; {kept}.")
    if checksum is not None and computed is not None and computed.digest() != checksum.digest:
        raise _Refusal(460, "The body does not match Upload-Checksum; nothing of it is kept.")
    holder.accept()


def _blocks(body: Body) -> Iterator[bytes]:
    """Read *body*; where bytes come slowly in small pieces, since a read waits until it has got all of its size."""
    size, asked = READ_SIZE, time.monotonic()
    while block := body.read(size):
        size = READ_SIZE if time.monotonic() - asked < _SLOW else _SLOW_READ
        yield block
        asked = time.monotonic()


def _too_long(holder: Holder, limit: int | None) -> _Refusal:
    detail = (
        f"This upload may have {limit} bytes; with the body it would have more. Its offset is still {holder.offset}."
    )
    return _Refusal(413, detail, Upload_Offset=str(holder.offset))


def _finish(options: Options, upload: Upload, holder: Holder) -> dict[str, str]:
    """Commit the upload; returns what the answer tells of the file."""

    def check(newest: StoredFile | None) -> None:
        permit(options, "write", upload.filename, again=True)
        check_preconditions("PUT", upload.details["conditions"], newest)

    try:
        file, first = holder.commit(
            fields=expiring(options, upload.details["fields"]),
            check=check,
            inspect=lambda unseen: inspect(options, options.bucket(), unseen),
        )
    except CorruptFile:
        holder.terminate()
        raise _Refusal(410, _GONE) from None
    except IndexConflict:
        holder.terminate()
        raise
    except HTTPException as refusal:
        if refusal.code is None or refusal.code < 500:  # it would be refused again
            holder.terminate()
        raise
    if first:
        stored(options, file)
    return _facts(file)


def _facts(file: StoredFile) -> dict[str, str]:
    return {"ETag": f'"{file.etag}"', "Content-Location": pages.permanent_url(file) or ""}


def _state_of_stored(options: Options, upload: Upload) -> dict[str, str]:
    file = options.bucket().get(upload.id)
    return tus.state(upload.offset, upload.length, None) | (_facts(file) if file else {})
