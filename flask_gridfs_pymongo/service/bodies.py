"""A request's body: read at a least rate and in a limited time, and drained before an error is sent.

::

    with Body(request, timeout=60) as body:
        while block := body.read(65536):
            ...

A client that trickles bytes would keep a thread of the server. So what is stored has to come at the rate
:data:`STORED`, and what is small or refused at the rate :data:`SMALL`.

If the connection closes while a proxy or client is still sending, it reports a failure of its own instead of the
response (502 from nginx and Apache, 503 from Varnish). So :func:`drain` reads and drops the rest of the body. It is not
left to the server either: gunicorn would read it at any rate.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from threading import Event, Thread
from typing import IO, Any, NamedTuple, cast

from flask import Request, abort
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout
from werkzeug.wrappers import Response

from .formparser import FORM, cached_body, has_loaded
from .texts import Message

READ_SIZE = 64 * 1024  # bytes; Werkzeug's form parser is fastest with reads of this size
_MAX_FORM_BYTES = 1024 * 1024  # bytes
_MAX_FORM_FIELDS = 10_100  # an id for each of 10,000 files, and a few others
_SLOW_READ = 32  # bytes
_PAUSE = 0.1  # seconds
MAX_DRAINED_BYTES = 128 * 1024 * 1024
DRAIN_TIMEOUT = 20
SMALL_TIMEOUT = 10
"""seconds for a whole body that is small"""


class Rate(NamedTuple):
    """The least rate of a body: whoever brings less loses the connection."""

    size: int
    """bytes"""
    seconds: float
    """in which so many bytes have to come, or the rest of the body"""
    read_size: int
    """bytes that a read asks for, at most"""


SMALL = Rate(16 * 1024, 3, 16 * 1024)
"""of bodies that are small or refused"""
STORED = Rate(1024, 30, READ_SIZE)
"""of bodies that are stored"""


class Body:
    """The request's body, read within *timeout* seconds and at a least rate; errors say what is wrong.

    :param outcome: what the errors say about the bytes received
    :param small: whether its rate is :data:`SMALL`, not :data:`STORED`
    """

    def __init__(
        self, request: Request, timeout: float | None, outcome: str = "nothing was stored", *, small: bool = False
    ) -> None:
        self._outcome, self._limit = outcome, request.max_content_length
        # If the server does not decode the body (uWSGI), Werkzeug sees an empty one.
        if "Transfer-Encoding" in request.headers and not request.environ.get("wsgi.input_terminated"):
            abort(411, f"This server does not decode bodies in chunks: send a Content-Length; {outcome}.")
        try:
            self._stream = _stream_of(request)
        except RequestEntityTooLarge:
            raise self._too_large() from None
        self._input = _Input(self._stream.read, connection_of(request), timeout, SMALL if small else STORED)

    def __enter__(self) -> Body:
        self._input.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._input.__exit__()

    def relax(self, timeout: float | None) -> None:
        """From now on the body is one to store: *timeout* seconds in all, and the rate :data:`STORED`."""
        self._input.limit(timeout, STORED)

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes; empty at the end.

        :raises werkzeug.exceptions.HTTPException: 400 if the body was cut off, 408 if it is slow, 413 past the limit
        """
        self._check()
        try:
            data = self._input.read(size)
        except RequestEntityTooLarge:
            raise self._too_large() from None
        except Exception:  # each server has its own for an invalid chunked body
            self._check()
            raise BadRequest(f"The body was cut off; {self._outcome}.") from None
        if not data:
            self._check()
        return data

    def _too_large(self) -> RequestEntityTooLarge:
        return RequestEntityTooLarge(f"A request may have at most {self._limit} bytes; {self._outcome}.")

    def _check(self) -> None:
        if self._input.late:
            raise RequestTimeout(f"{self._input.late}; {self._outcome}.")


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


def read_all(request: Request, max_bytes: int) -> bytes:
    """Return the whole body, of at most *max_bytes*, or abort with 400, 408 or 413."""
    limit = request.max_content_length
    request.max_content_length = max_bytes if limit is None else min(limit, max_bytes)
    with Body(request, SMALL_TIMEOUT, "nothing was changed", small=True) as body:
        data = b"".join(iter(lambda: body.read(READ_SIZE), b""))
    if request.content_length not in (None, len(data)):  # some servers report a lost connection as the end
        abort(400, "The body was cut off; nothing was changed.")
    return data


def small_form(request: Request, max_bytes: int = _MAX_FORM_BYTES) -> MultiDict[str, str]:
    """Return the fields of a form without files, read as by :func:`read_all`.

    Werkzeug limits the memory for the fields of a form only if it is multipart/form-data.
    """
    if has_loaded(request, "form"):
        return request.form
    try:
        data = read_all(request, max_bytes)
    except RequestEntityTooLarge:
        abort(413, Message("This form may have at most %(size)s bytes: choose fewer files.", size=max_bytes))
    if request.mimetype == FORM and data.count(b"&") >= _MAX_FORM_FIELDS:  # parsing half a million takes half a second
        abort(413, Message("This form may have at most %(count)s fields: choose fewer files.", count=_MAX_FORM_FIELDS))
    parser = request.make_form_data_parser()
    form: MultiDict[str, str]
    _, form, files = parser.parse(io.BytesIO(data), request.mimetype, len(data), request.mimetype_params)
    for file in chain.from_iterable(files.listvalues()):
        file.close()
    return form


def drain(request: Request, response: Response) -> None:
    """Read and drop the rest of the body, before the server does so without a limit, as for its next request.

    It stops after :data:`MAX_DRAINED_BYTES` or :data:`DRAIN_TIMEOUT` seconds, or below the rate :data:`SMALL`; then the
    connection is not read again. A refusal is sent first if the client has more to send, as it would not wait for it,
    or ``Expect: 100-continue``, as it only sends the body when it is read (RFC 9110 section 10.1.1).
    """
    left, refused = _left(request), response.status_code >= 300
    if not left or (has_loaded(request, "stream") and not refused):
        return
    waits = not has_loaded(request, "stream") and request.headers.get("Expect", "").strip().lower() == "100-continue"
    # Not request.stream, which refuses to read beyond its limit.
    drop = partial(_drop, cast("IO[bytes]", request.environ["wsgi.input"]), connection_of(request), left)
    if refused and (waits or left > MAX_DRAINED_BYTES):
        response.call_on_close(drop)
    else:
        drop()


def _drop(stream: IO[bytes], connection: Any, left: int) -> None:
    dropped = 0
    with suppress(Exception), _Input(stream.read, connection, DRAIN_TIMEOUT, SMALL) as rest:
        while dropped < min(left, MAX_DRAINED_BYTES) and not rest.late:
            if not (block := rest.read(left - dropped)):
                return
            dropped += len(block)
    if dropped < left or left == MAX_DRAINED_BYTES:
        _stop_reading(connection)


def _left(request: Request) -> int:
    """Return how many bytes of the body may be left."""
    length, terminated = request.content_length, bool(request.environ.get("wsgi.input_terminated"))
    if length is None and not (terminated and "Transfer-Encoding" in request.headers):
        return 0
    if not has_loaded(request, "stream"):
        return MAX_DRAINED_BYTES if length is None else length
    return MAX_DRAINED_BYTES if terminated or length is None else length - request.stream.tell()


def connection_of(request: Request) -> Any:
    """Return the socket to the client if the server gives access to it (gunicorn, Werkzeug); else None."""
    return request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")


def _stop_reading(connection: Any) -> None:
    if connection is not None:
        with suppress(OSError):
            # Not SSLSocket's own method, after which the response would be sent unencrypted.
            socket.socket.shutdown(connection, socket.SHUT_RD)


class _Input:
    """What a client sends, read in pieces; a thread ends a read that takes too long.

    A read of a server waits for all bytes that it asked for, however slowly they come. So each asks for little in
    comparison with what came since the last pause, of which as much may come after the next. If the server gives access
    to its socket, the read is ended from outside; otherwise the time is checked after each.

    :param read: of the server
    :param connection: the socket, or None
    """

    def __init__(self, read: Callable[[int], bytes], connection: Any, timeout: float | None, rate: Rate) -> None:
        self.late = ""
        """why no more may be read"""
        self._read, self._connection = read, connection
        self._begin = self._since = self._ended = time.monotonic()
        self._came = self._flowing = 0  # bytes, since self._since and since the last pause
        self._reading, self._over, self._changed = False, False, Event()
        self.limit(timeout, rate)

    def limit(self, timeout: float | None, rate: Rate) -> None:
        """Set the limits: *timeout* seconds since the beginning, and the least *rate*."""
        self._timeout, self._rate = timeout, rate
        self._changed.set()

    def __enter__(self) -> _Input:
        if self._connection is not None:
            Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over = True
        self._changed.set()

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes."""
        started = time.monotonic()
        self._since += started - self._ended  # what is done with the bytes meanwhile takes no time of the client
        self._reading = True
        try:
            data = self._read(min(size, max(self._flowing // 2, _SLOW_READ), self._rate.read_size))
        finally:
            self._reading, self._ended = False, time.monotonic()
        self._flowing = len(data) + (self._flowing if self._ended - started < _PAUSE else 0)
        self._came += len(data)
        self._left(self._ended)
        if self._came >= self._rate.size:
            self._since, self._came = self._ended, 0
        return data

    def _left(self, now: float) -> float:
        """Return for how many seconds the present read may last; if none are left, note why."""
        size, seconds, _ = self._rate
        rate_left = self._since + seconds - now
        left = rate_left if self._timeout is None else min(rate_left, self._begin + self._timeout - now)
        if left <= 0:
            slow = f"The body came too slowly: fewer than {size} bytes in {seconds} seconds"
            self.late = slow if left == rate_left else f"The body took longer than {self._timeout} seconds"
        return left

    def _watch(self) -> None:
        while not self._over:
            left = self._left(time.monotonic()) if self._reading else _PAUSE
            if left > 0:
                self._changed.wait(left)
                self._changed.clear()
            elif not self._over:
                _stop_reading(self._connection)
                return
