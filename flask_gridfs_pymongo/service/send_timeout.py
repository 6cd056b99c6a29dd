"""Ends downloads whose clients have stopped reading: each blocks a thread, and maybe a connection to the database.

::

    blueprint.after_request(lambda response: bound(60, request.path, response))
"""

from __future__ import annotations

import _socket
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from threading import Event, Thread
from typing import Any

from flask import Response, request

from .bodies import connection_of

_logger = logging.getLogger("flask_gridfs_pymongo")


def bound(seconds: float, path: str, response: Response) -> Response:
    """Limit the time for each piece of a streamed *response*, if the server gives access to its socket.

    :param seconds: for a piece
    :param path: what is downloaded, for the log
    """
    connection = connection_of(request)
    if response.direct_passthrough and connection is not None:
        response.response = _Pieces(response.response, seconds, connection, path)
    return response


class _Pieces:
    """The pieces of a body: an iterable that closes *connection* if the next piece is not requested in time."""

    def __init__(self, pieces: Iterable[Any], seconds: float, connection: Any, path: str) -> None:
        self._pieces, self._iterator = pieces, iter(pieces)
        self._seconds, self._connection, self._path = seconds, connection, path
        self._since: float | None = None  # when the server began to send the current piece
        self._watch: Thread | None = None
        self._over = Event()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._since = None
        piece = next(self._iterator)
        self._since = time.monotonic()
        if self._watch is None:
            self._watch = Thread(target=self._end_in_time, daemon=True)
            self._watch.start()
        return piece

    def close(self) -> None:
        self._over.set()
        if hasattr(self._pieces, "close"):
            self._pieces.close()

    def _end_in_time(self) -> None:
        left = self._seconds
        while not self._over.wait(left):
            since = self._since
            left = self._seconds if since is None else since + self._seconds - time.monotonic()
            if left <= 0:
                _logger.warning("closing the download of %a: the client has stopped reading", self._path)
                with suppress(OSError):
                    _shut_down(self._connection)
                return


def _shut_down(connection: Any) -> None:
    # Not the connection's own method: SSLSocket's waits for the client, and gevent's raises while the server sends.
    with closing(_socket.socket(fileno=os.dup(connection.fileno()))) as twin:
        twin.shutdown(_socket.SHUT_RDWR)
