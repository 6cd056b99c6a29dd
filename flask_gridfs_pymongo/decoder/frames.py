"""What a process and its child send each other: a JSON object and bytes.

JSON, because a child that a hostile file has taken over must not be able to do anything with its answer.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import IO, Any

_LENGTHS = struct.Struct(">IQ")  # of the JSON and of the bytes
_MAX_HEAD = 65_536  # bytes


class Ended(Exception):
    """The other process has ended, or sends what is no frame."""


def send(stream: IO[bytes], head: dict[str, Any], pieces: Iterable[bytes] = (), length: int = 0) -> None:
    """Send a frame.

    :param length: of all *pieces*, in bytes
    :raises Ended: if the other process has ended
    """
    text = json.dumps(head).encode()
    _write(stream, _LENGTHS.pack(len(text), length) + text)
    for piece in pieces:
        _write(stream, piece)
    try:
        stream.flush()
    except OSError as error:
        raise Ended from error


def receive(stream: IO[bytes], most: int) -> tuple[dict[str, Any], bytes]:
    """Receive a frame.

    :param most: bytes, besides the JSON
    :raises Ended: if the other process has ended, or the frame is invalid
    """
    try:
        head_length, length = _LENGTHS.unpack(_read(stream, _LENGTHS.size))
        if head_length > _MAX_HEAD or length > most:
            raise Ended
        head = json.loads(_read(stream, head_length))
        if not isinstance(head, dict):
            raise Ended
        return head, _read(stream, length)
    except (OSError, ValueError, RecursionError) as error:
        raise Ended from error


def _write(stream: IO[bytes], data: bytes) -> None:
    try:
        stream.write(data)
    except OSError as error:
        raise Ended from error


def _read(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise Ended
    return data
