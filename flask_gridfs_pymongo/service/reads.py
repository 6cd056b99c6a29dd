"""Tells :data:`.signals.file_read` how much of a file was sent, if anybody listens.

::

    tell = teller(bucket)
    body = pieces if tell is None else Told(pieces, file, tell)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flask import copy_current_request_context, current_app

from ..signals import file_read, send
from ..store import Bucket, StoredFile

Tell = Callable[[StoredFile, int | None], None]


def teller(bucket: Bucket) -> Tell | None:
    """Return a function that sends the signal, also when this request is over; None if nobody listens."""
    if not file_read.receivers:
        return None

    @copy_current_request_context
    def tell(file: StoredFile, sent: int | None) -> None:
        try:
            send(file_read, file=bucket.original(file), sent=sent)
        except Exception:  # the answer is on its way, or there already
            current_app.logger.exception("a receiver of file_read failed for %a", file.filename)

    return tell


class Told:
    """A body, or a part of one, that tells when it has ended or its client has left.

    :param pieces: the bytes of *file*; closed with this
    """

    def __init__(self, pieces: Iterable[bytes], file: StoredFile, tell: Tell) -> None:
        self._pieces, self._file, self._tell = pieces, file, tell
        self._sent, self._open = 0, True

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece
            self._sent += len(piece)  # the server has taken it

    def close(self) -> None:
        """Close the pieces, and tell."""
        if not self._open:
            return
        self._open = False
        try:
            if close := getattr(self._pieces, "close", None):
                close()
        finally:
            self._tell(self._file, self._sent)
