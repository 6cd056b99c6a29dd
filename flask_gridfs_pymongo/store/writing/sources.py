"""Where content comes from: file objects, also in non-blocking mode, and iterables of bytes.

::

    for block in blocks(io.BytesIO(b"Buy milk")):
        writer.write(block)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Protocol

_READ_SIZE = 256 * 1024  # bytes
_IDLE_TIMEOUT = 30  # seconds for which a source may have nothing
_PAUSE = 0.01  # seconds before it is asked again


class Readable(Protocol):
    """A file object in binary mode."""

    def read(self, size: int, /) -> bytes | None:
        """Return the next bytes, none at the end; None if there is nothing just now."""


def blocks(source: Readable | Iterable[bytes]) -> Iterator[bytes]:
    """Read *source* to its end.

    :raises BlockingIOError: if it has had nothing for 30 seconds
    """
    if not hasattr(source, "read"):
        yield from source
        return
    deadline = time.monotonic() + _IDLE_TIMEOUT
    while (block := source.read(_READ_SIZE)) != b"":
        if block is not None:
            yield block
            deadline = time.monotonic() + _IDLE_TIMEOUT
        elif time.monotonic() > deadline:
            raise BlockingIOError(f"the source's read() has returned None for {_IDLE_TIMEOUT} seconds")
        else:
            time.sleep(_PAUSE)  # it is in non-blocking mode, and has nothing just now (io.RawIOBase.read)
