"""The signals that an application can connect to; their sender is the application.

See https://flask.palletsprojects.com/signals/.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from blinker import Namespace, Signal
from flask import current_app

if TYPE_CHECKING:
    from .store import Bucket, StoredFile

_signals = Namespace()

file_saved = _signals.signal("file-saved")
"""A file was stored, or restored from the trash; arguments: *file*, a :class:`.StoredFile`."""

file_deleted = _signals.signal("file-deleted")
"""A file was deleted; arguments: *file*, a :class:`.StoredFile`, and *versions*, the number of deleted versions; 0 if
they became older versions of another file; and *trashed*, True, if they went into the trash: then nothing is sent when
they are deleted for good, and :data:`file_saved` when they are restored."""

file_changed = _signals.signal("file-changed")
"""The metadata or the name of a file was changed; arguments: *file*, the changed :class:`.StoredFile`."""

file_read = _signals.signal("file-read")
"""The body of a GET has ended, or its client has left; arguments: *file*, a :class:`.StoredFile`, and *sent*, the
number of bytes that the server took; None if nginx sends the file. Of an archive it is sent for each file. Receivers
run in a copy of the request's context; what ``g`` had is not in it."""

request_refused = _signals.signal("request-refused")
"""A request was refused; arguments: *status*, *reason*, and *filename*, which is None at the root."""


def send_deleted(bucket: Bucket, files: Iterable[StoredFile], counts: Iterable[int]) -> None:
    """Send :data:`file_deleted` for each of *files* that were deleted, into the trash if *bucket* has one.

    :param counts: the number of deleted versions of each, which may be 0
    """
    for file, count in zip(files, counts, strict=True):
        if count:
            send(file_deleted, file=file, versions=count, **trashed(bucket))


def trashed(bucket: Bucket) -> dict[str, Any]:
    """Return the argument *trashed* of :data:`file_deleted`; nothing for a bucket without a trash."""
    return {"trashed": True} if bucket.collections.trash else {}


def send(signal: Signal, **facts: Any) -> None:
    """Send *signal* for the current application, with *facts* as arguments."""
    signal.send(current_app._get_current_object(), **facts)  # type: ignore[attr-defined]
