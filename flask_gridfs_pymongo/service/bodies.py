"""A request's body: read with a bound in time, and read to its end before the answer goes out.

::

    with Body(request, timeout=60) as body:
        while block := body.read(65536):
            ...

A proxy or client that is still sending takes a connection that closes for a failure, and never sees the answer (502
from nginx and Apache, 503 from Varnish). So :func:`drain` reads what a refusal left, and drops it.
"""

from __future__ import annotations

import io
import socket
from contextlib import ExitStack, suppress
from threading import Timer
from typing import IO, Any, cast

from flask import Request, abort
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout

from .formparser import has_loaded
from .texts import Message

READ_SIZE = 64 * 1024  # bytes; Werkzeug's form parser is fastest with reads of this size
_MAX_FORM_BYTES = 1024 * 1024  # bytes
MAX_DRAINED_BYTES = 128 * 1024 * 1024
DRAIN_TIMEOUT = 20
IDLE_TIMEOUT = 3
"""seconds without a byte"""


class Body:
    """The request's body, read with errors that tell the client what is wrong, for *timeout* seconds at most.

    :param outcome: what the errors say of the bytes that came
    :param idle_timeout: for how many seconds a read may wait, where the server tells its socket
    """

    def __init__(
        self,
        request: Request,
        timeout: float | None,
        outcome: str = "nothing was stored",
        *,
        idle_timeout: float | None = None,
    ) -> None:
        self._outcome, self._limit = outcome, request.max_content_length
        # Werkzeug takes a body that the server does not decode (uWSGI) for an empty one.
        if "Transfer-Encoding" in request.headers and not request.environ.get("wsgi.input_terminated"):
            abort(411, f"This server does not decode bodies in chunks: send a Content-Length; {outcome}.")
        try:
            self._stream = request.stream
        except RequestEntityTooLarge:
            raise self._too_large() from None
        self._timeout = timeout
        self._bounds = ExitStack()
        self._deadline = _Deadline(connection_of(request), timeout)
        self._socket_timeout = _SocketTimeout(connection_of(request), idle_timeout)

    def __enter__(self) -> Body:
        self._bounds.enter_context(self._deadline)
        self._bounds.enter_context(self._socket_timeout)
        return self

    def __exit__(self, *exception: object) -> None:
        self._bounds.close()

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes, none at the end.

        :raises werkzeug.exceptions.HTTPException: 400 where it broke off, 408 past the timeout, 413 past the limit
        """
        try:
            data = self._stream.read(size)
        except RequestEntityTooLarge:
            raise self._too_large() from None
        except Exception:  # servers have their own for a chunked body that breaks the rules
            self._check()
            raise BadRequest(f"The body broke off; {self._outcome}.") from None
        self._check()
        return data

    def _too_large(self) -> RequestEntityTooLarge:
        return RequestEntityTooLarge(f"A request may have at most {self._limit} bytes; {self._outcome}.")

    def _check(self) -> None:
        if self._deadline.passed:
            raise RequestTimeout(f"The body took longer than {self._timeout} seconds; {self._outcome}.")


def read_all(request: Request, timeout: float | None, max_bytes: int) -> bytes:
    """Return the body: all of it, or abort with 400, 408 or 413.

    :param timeout: in seconds, for the whole body
    :param max_bytes: bytes
    """
    request.max_content_length = min(request.max_content_length or max_bytes, max_bytes)
    with Body(request, timeout, "nothing was changed") as body:
        data = b"".join(iter(lambda: body.read(READ_SIZE), b""))
    if request.content_length not in (None, len(data)):  # a server may take a client's going away for the end
        abort(400, "The body broke off; nothing was changed.")
    return data


def small_form(request: Request, timeout: float | None, max_bytes: int = _MAX_FORM_BYTES) -> MultiDict[str, str]:
    """Return the fields of a form without files, read as by :func:`read_all`.

    Werkzeug bounds the memory for a form's fields only if it is multipart/form-data.
    """
    if has_loaded(request, "form"):
        return request.form
    try:
        data = read_all(request, timeout, max_bytes)
    except RequestEntityTooLarge:
        abort(413, Message("This form may have at most %(size)s bytes: choose fewer files.", size=max_bytes))
    parser = request.make_form_data_parser()
    form: MultiDict[str, str] = parser.parse(io.BytesIO(data), request.mimetype, len(data), request.mimetype_params)[1]
    return form


def drain(request: Request) -> None:
    """Read what is left of the body and drop it: :data:`MAX_DRAINED_BYTES` at most, for :data:`DRAIN_TIMEOUT`, until
    nothing came for :data:`IDLE_TIMEOUT`. What is longer is not touched: its client would not wait for the answer.

    A client that sent ``Expect: 100-continue`` holds its body back while nothing asks for it (RFC 9110 section 10.1.1).
    """
    left = _left(request)
    if not left or left > MAX_DRAINED_BYTES:
        return
    # Past request.stream, which refuses to read on beyond its limit.
    stream, connection = cast("IO[bytes]", request.environ["wsgi.input"]), connection_of(request)
    with (
        suppress(Exception),
        _SocketTimeout(connection, IDLE_TIMEOUT),
        _Deadline(connection, DRAIN_TIMEOUT) as deadline,
    ):
        while left > 0 and not deadline.passed and (block := stream.read(min(left, READ_SIZE))):
            left -= len(block)


def _left(request: Request) -> int:
    """How many bytes of the body may be left; 0 where none may be read."""
    length, terminated = request.content_length, bool(request.environ.get("wsgi.input_terminated"))
    if length is None and not (terminated and "Transfer-Encoding" in request.headers):
        return 0
    if not has_loaded(request, "stream"):
        waits = request.headers.get("Expect", "").strip().lower() == "100-continue"
        return 0 if waits else MAX_DRAINED_BYTES if length is None else length
    return MAX_DRAINED_BYTES if terminated or length is None else length - request.stream.tell()


def connection_of(request: Request) -> Any:
    """Return the socket to the client, where the server tells (gunicorn, Werkzeug); else None."""
    return request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")


class _Deadline:
    """Ends reading after some seconds.

    A server's read may wait for more bytes for as long as a client trickles them. Where the server tells its socket,
    a timer ends that wait from outside; elsewhere *passed* is looked at between two reads.
    """

    def __init__(self, connection: Any, seconds: float | None) -> None:
        self.passed = False
        self._connection = connection
        self._timer = None if seconds is None else Timer(seconds, self._pass)

    def __enter__(self) -> _Deadline:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _pass(self) -> None:
        self.passed = True
        if self._connection is not None:
            with suppress(OSError):
                # Past SSLSocket's own method, which would leave the answer unencrypted.
                socket.socket.shutdown(self._connection, socket.SHUT_RD)


class _SocketTimeout:
    """Lets a read from *connection* wait for no longer than *seconds*; None: for as long as the server lets it."""

    def __init__(self, connection: Any, seconds: float | None) -> None:
        self._connection = None if seconds is None else connection
        self._seconds = seconds
        self._before = None

    def __enter__(self) -> None:
        if self._connection is not None:
            self._before = self._connection.gettimeout()
            self._connection.settimeout(self._seconds)

    def __exit__(self, *exception: object) -> None:
        if self._connection is not None:
            self._connection.settimeout(self._before)
