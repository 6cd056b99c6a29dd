"""Sends :data:`.signals.file_read` with how much of a file was sent, if anybody listens.

::

    report = reporter(bucket)
    body = pieces if report is None else Counted(pieces, file, report)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flask import copy_current_request_context, current_app

from ..signals import file_read, send
from ..store import Bucket, StoredFile

Report = Callable[[StoredFile, int | None], None]


def reporter(bucket: Bucket) -> Report | None:
    """Return a function that sends the signal, also when this request is over; None if nobody listens."""
    if not file_read.receivers:
        return None

    @copy_current_request_context
    def report(file: StoredFile, sent: int | None) -> None:
        try:
            send(file_read, file=bucket.original(file), sent=sent)
        except Exception:  # the answer is on its way, or there already
            current_app.logger.exception("a receiver of file_read failed for %a", file.filename)

    return report


class Counted:
    """A body, or a part of one, that counts what is sent, and reports it when it has ended or its client has left.

    :param pieces: the bytes of *file*; closed with this
    """

    def __init__(self, pieces: Iterable[bytes], file: StoredFile, report: Report) -> None:
        self._pieces, self._file, self._report = pieces, file, report
        self._sent, self._open = 0, True

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece
            self._sent += len(piece)  # the server has taken it

    def close(self) -> None:
        """Close the pieces, and report what was sent."""
        if not self._open:
            return
        self._open = False
        try:
            if close := getattr(self._pieces, "close", None):
                close()
        finally:
            self._report(self._file, self._sent)
