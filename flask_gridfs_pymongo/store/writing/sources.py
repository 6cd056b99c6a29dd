"""Sources of content: file objects, also in non-blocking mode, paths, and iterables of bytes.

::

    for block in blocks(io.BytesIO(b"Buy milk")):
        writer.write(block)
"""

from __future__ import annotations

import os
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


def blocks(source: Readable | Iterable[bytes] | os.PathLike[str]) -> Iterator[bytes]:
    """Read *source* to its end.

    :raises TypeError: if it is none of these
    :raises BlockingIOError: if it has returned None for 30 seconds
    """
    if isinstance(source, os.PathLike):
        with open(source, "rb") as file:
            yield from blocks(file)
        return
    read = getattr(source, "read", None)
    if read is None:
        if isinstance(source, (str, bytes, bytearray, memoryview)) or not isinstance(source, Iterable):
            raise TypeError(
                f"source must be a binary file object, a path or an iterable of bytes, not {type(source).__name__}; "
                "use io.BytesIO for bytes"
            )
        yield from source
        return
    deadline = time.monotonic() + _IDLE_TIMEOUT
    while (block := read(_READ_SIZE)) != b"":
        if block is not None:
            yield block
            deadline = time.monotonic() + _IDLE_TIMEOUT
        elif time.monotonic() > deadline:
            raise BlockingIOError(f"the source's read() has returned None for {_IDLE_TIMEOUT} seconds")
        else:
            time.sleep(_PAUSE)  # in non-blocking mode, None: no bytes are available now (io.RawIOBase.read)
