"""Appending to a resumable upload: acquire its lease, and store the bytes of the body.

::

    with lease(options, upload) as writer:
        receive(options, request, writer, checksum)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Request

from ...http import tus
from ...service.bodies import READ_SIZE, Body
from ...service.options import Options
from ...service.quota import Limit, check_space, count, too_large
from ...store import FileTooLarge, LeaseLost, Upload, UploadBusy, UploadEnded, UploadWriter
from . import errors


@contextmanager
def lease(
    options: Options,
    upload: Upload,
    *,
    limit: int | None = None,
    checked: bool = False,
    lost: Callable[[int], errors.Refusal] = errors.conflict,
) -> Iterator[UploadWriter]:
    """Acquire the lease of *upload*; if this is impossible the error tells the client how to continue.

    :param limit: as in :meth:`.ResumableUploads.open_for_append`, as is *checked*
    :param lost: returns the error for a lease that was lost to another request, given the current offset
    """
    uploads = options.bucket().uploads
    try:
        with uploads.open_for_append(upload, limit=limit, checked=checked) as writer:
            yield writer
    except UploadBusy:
        raise errors.busy() from None
    except (LeaseLost, UploadEnded):
        current = uploads.get(upload.id)
        if current is None or current.state == "gone":
            raise errors.gone() from None
        raise lost(current.offset) from None


def set_length(options: Options, writer: UploadWriter, length: int) -> None:
    """Set the length of an upload that was created without one."""
    if writer.length is None:
        if options.max_size is not None and length > options.max_size:
            raise too_large(options.max_size)
        check_space(options, [(writer.filename, length - writer.offset)])
        try:
            writer.set_length(length)
        except FileTooLarge:
            raise errors.too_long(writer.offset, length) from None
        count(options, writer.filename, length - writer.offset)
    elif length != writer.length:
        raise errors.Refusal(400, f"The length of this upload is {writer.length}, and cannot change.")


def receive(request: Request, writer: UploadWriter, checksum: tus.Checksum | None, limit: Limit) -> None:
    """Store the body: if it has a checksum, all or nothing; else whatever arrives.

    :param limit: of the whole upload, if it has no length
    """
    options, start, announced = limit.options, writer.offset, request.content_length
    most = limit.size if writer.length is None else writer.length
    too_long = errors.too_long(start, most) if most in (writer.length, options.max_size) else limit.refusal()
    if announced is not None and most is not None and start + announced > most:
        raise too_long
    kept = "the bytes received are kept" if checksum is None else "none of its bytes are kept"
    computed = hashlib.new(checksum.algorithm) if checksum else None
    with Body(request, options.upload_timeout, kept) as body:
        try:
            while block := body.read(READ_SIZE):  # in small pieces if it is slow, so that the lease is renewed
                writer.write(block)
                if computed is not None:
                    computed.update(block)
        except FileTooLarge:
            writer.rewind()
            raise too_long from None
    if announced is not None and writer.offset - start != announced:
        raise errors.Refusal(400, f"The body ended after {writer.offset - start} of {announced} bytes; {kept}.")
    if checksum is not None and computed is not None and computed.digest() != checksum.digest:
        raise errors.wrong_checksum()
    writer.accept()
