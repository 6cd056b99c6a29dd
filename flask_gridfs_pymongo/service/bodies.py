"""A request's body: read with a time limit, and drained before an error is sent.

::

    with Body(request, timeout=60) as body:
        while block := body.read(65536):
            ...

If the connection closes while a proxy or client is still sending, it reports a failure of its own instead of the
response (502 from nginx and Apache, 503 from Varnish). So :func:`drain` reads and drops the rest of the body.
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

from .formparser import FORM, cached_body, has_loaded
from .texts import Message

READ_SIZE = 64 * 1024  # bytes; Werkzeug's form parser is fastest with reads of this size
_MAX_FORM_BYTES = 1024 * 1024  # bytes
MAX_DRAINED_BYTES = 128 * 1024 * 1024
DRAIN_TIMEOUT = 20
IDLE_TIMEOUT = 3
"""seconds without a byte"""


class Body:
    """The request's body, read within *timeout* seconds; errors tell the client what is wrong.

    :param outcome: what the errors say about the bytes received
    :param idle_timeout: seconds that a single read may wait, if the server gives access to its socket
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
        # If the server does not decode the body (uWSGI), Werkzeug sees an empty one.
        if "Transfer-Encoding" in request.headers and not request.environ.get("wsgi.input_terminated"):
            abort(411, f"This server does not decode bodies in chunks: send a Content-Length; {outcome}.")
        try:
            self._stream = _stream_of(request)
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
        """Return at most *size* bytes; empty at the end.

        :raises werkzeug.exceptions.HTTPException: 400 if the body was cut off, 408 past the timeout, 413 past the limit
        """
        try:
            data = self._stream.read(size)
        except RequestEntityTooLarge:
            raise self._too_large() from None
        except Exception:  # each server has its own for an invalid chunked body
            self._check()
            raise BadRequest(f"The body was cut off; {self._outcome}.") from None
        self._check()
        return data

    def _too_large(self) -> RequestEntityTooLarge:
        return RequestEntityTooLarge(f"A request may have at most {self._limit} bytes; {self._outcome}.")

    def _check(self) -> None:
        if self._deadline.passed:
            raise RequestTimeout(f"The body took longer than {self._timeout} seconds; {self._outcome}.")


def _stream_of(request: Request) -> IO[bytes]:
    """Return the body, also if the application has read it before, in a ``before_request`` function for example.

    :raises RuntimeError: if the application did not keep it
    """
    if not has_loaded(request, "stream"):
        return request.stream
    if has_loaded(request, "form") and request.mimetype == FORM:  # what a client may call any body
        request.stream.seek(0)
        return request.stream
    if (data := cached_body(request)) is not None:
        return io.BytesIO(data)
    if hasattr(request.stream, "tell") and request.stream.tell():
        raise RuntimeError("the application has read the request's body: read it by request.get_data(), which keeps it")
    return request.stream


def read_all(request: Request, timeout: float | None, max_bytes: int) -> bytes:
    """Return the whole body, or abort with 400, 408 or 413.

    :param timeout: seconds for the whole body
    :param max_bytes: bytes in the body
    """
    request.max_content_length = min(request.max_content_length or max_bytes, max_bytes)
    with Body(request, timeout, "nothing was changed") as body:
        data = b"".join(iter(lambda: body.read(READ_SIZE), b""))
    if request.content_length not in (None, len(data)):  # some servers report a lost connection as the end
        abort(400, "The body was cut off; nothing was changed.")
    return data


def small_form(request: Request, timeout: float | None, max_bytes: int = _MAX_FORM_BYTES) -> MultiDict[str, str]:
    """Return the fields of a form without files, read as by :func:`read_all`.

    Werkzeug limits the memory for the fields of a form only if it is multipart/form-data.
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
    """Read and drop the rest of the body.

    It stops after :data:`MAX_DRAINED_BYTES`, :data:`DRAIN_TIMEOUT` seconds, or :data:`IDLE_TIMEOUT` without a byte. A
    body known to be longer is not read: its client would not wait for the response. Nor is one with ``Expect:
    100-continue``: its client only sends it when it is read (RFC 9110 section 10.1.1).
    """
    left = _left(request)
    if not left or left > MAX_DRAINED_BYTES:
        return
    # Not request.stream, which refuses to read beyond its limit.
    stream, connection = cast("IO[bytes]", request.environ["wsgi.input"]), connection_of(request)
    with (
        suppress(Exception),
        _SocketTimeout(connection, IDLE_TIMEOUT),
        _Deadline(connection, DRAIN_TIMEOUT) as deadline,
    ):
        while left > 0 and not deadline.passed and (block := stream.read(min(left, READ_SIZE))):
            left -= len(block)


def _left(request: Request) -> int:
    """Return how many bytes of the body may be left; 0 if it must not be read."""
    length, terminated = request.content_length, bool(request.environ.get("wsgi.input_terminated"))
    if length is None and not (terminated and "Transfer-Encoding" in request.headers):
        return 0
    if not has_loaded(request, "stream"):
        waits = request.headers.get("Expect", "").strip().lower() == "100-continue"
        return 0 if waits else MAX_DRAINED_BYTES if length is None else length
    return MAX_DRAINED_BYTES if terminated or length is None else length - request.stream.tell()


def connection_of(request: Request) -> Any:
    """Return the socket to the client if the server gives access to it (gunicorn, Werkzeug); else None."""
    return request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")


class _Deadline:
    """A time limit for reading a body.

    A single read of a server may last as long as a client keeps trickling bytes. If the server gives access to its
    socket, a timer ends that read from outside; otherwise *passed* is checked between two reads.
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
                # Not SSLSocket's own method, after which the response would be sent unencrypted.
                socket.socket.shutdown(self._connection, socket.SHUT_RD)


class _SocketTimeout:
    """Limits a read from *connection* to *seconds*; None: the server's own limit stays."""

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
