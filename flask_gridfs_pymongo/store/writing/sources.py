"""Sources of content: file objects, also in non-blocking mode, and iterables of bytes.

::

    for block in blocks(io.BytesIO(b"Buy milk")):
        writer.write(block)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Protocol

_READ_SIZE = 256 * 1024  # bytes
_IDLE_TIMEOUT = 30  # seconds for which a source may return None
_PAUSE = 0.01  # seconds before the next read


class Readable(Protocol):
    """A file object in binary mode."""

    def read(self, size: int, /) -> bytes | None:
        """Return the next bytes, ``b""`` at the end; None if none are available now."""


def blocks(source: Readable | Iterable[bytes]) -> Iterator[bytes]:
    """Read *source* to its end.

    :raises BlockingIOError: if it has returned None for 30 seconds
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
            time.sleep(_PAUSE)  # in non-blocking mode, None: no bytes are available now (io.RawIOBase.read)
