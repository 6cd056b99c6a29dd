"""Inspection of an upload by the application, such as a virus scan, before anybody else can see it.

::

    def inspect(file, read):
        if file.content_type == "application/x-msdownload":
            raise Refused("Programs are not accepted.")

    mongo.uploads_blueprint(inspect=inspect)

Until its files document is inserted nobody can find a file in GridFS: so far its chunks are in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from time import monotonic

from flask import abort, current_app
from werkzeug.exceptions import ServiceUnavailable, UnsupportedMediaType

from ..mimetype import Types
from ..store import Bucket, StoredFile
from .options import Rules
from .texts import Message


class Refused(Exception):
    """Raised by an ``inspect`` function to refuse an upload; its text is the detail of the 422."""


def inspect(options: Rules, bucket: Bucket, file: StoredFile) -> None:
    """Check the type of *file*, which nobody else can see yet, and let the application inspect it.

    :raises werkzeug.exceptions.HTTPException: 415 for a type that is not among ``types``; 422 if the application raises
        :class:`Refused`; 503 if it fails otherwise, or takes longer than ``inspect_timeout``
    """
    check_accepted(options.accepted, file)
    if options.inspect is None:
        return
    deadline = monotonic() + options.inspect_timeout
    reads = ExitStack()

    def read() -> Iterator[bytes]:
        for piece in reads.enter_context(closing(bucket.read(file, keep=False))):  # it may be refused
            _check_time(deadline)
            yield piece

    try:
        with reads:
            options.inspect(file, read)
        _check_time(deadline)
    except Refused as error:
        abort(422, str(error) or "This file is refused.")
    except Exception:
        current_app.logger.exception("inspect failed for %a", file.filename)
        reason = Message("The file could not be inspected; nothing was stored.")
        raise ServiceUnavailable(reason, retry_after=5) from None


def check_accepted(accepted: Types | None, file: StoredFile) -> None:
    """Abort with 415 if the type of *file* is not among *accepted*; None: all are."""
    if accepted is not None and file.content_type not in accepted:
        raise refused_type(accepted, file.content_type)


def refused_type(accepted: Types, content_type: str) -> UnsupportedMediaType:
    """Return the 415 for a file of this type."""
    values = {"type": content_type, "types": accepted}
    return UnsupportedMediaType(Message("Files of the type %(type)s are not accepted here; send %(types)s.", **values))


def _check_time(deadline: float) -> None:
    if monotonic() > deadline:
        raise TimeoutError("inspect took longer than inspect_timeout")
