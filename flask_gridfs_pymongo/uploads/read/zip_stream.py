"""A ZIP archive that is made while it is sent; nothing is compressed, so that its length is known in advance.

::

    entries = [Entry("a.txt", 5, date, lambda: iter([b"Hello"]))]
    size(entries)
    b"".join(stream(entries))

The layout is that of PKWARE's APPNOTE 6.3: an entry's checksum follows its content, and a number that does not fit is
in a Zip64 field. Dates are in UTC; the extended timestamp, which most programs prefer, says so.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

_FULL_32, _FULL_16 = 0xFFFFFFFF, 0xFFFF  # "see the Zip64 field"
_FIRST, _LAST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
_VERSION, _VERSION_64, _UNIX = 20, 45, 3 << 8
_FLAGS = 0x0808  # the checksum follows the content; the name is UTF-8
_FILE, _FOLDER = 0o100644 << 16, 0o040755 << 16 | 0x10  # that everybody may read; MS-DOS has a bit for folders


class Entry(NamedTuple):
    """A file of an archive, or a folder."""

    name: str
    """of a folder with a slash at its end"""
    length: int
    """of its content, in bytes"""
    date: datetime
    content: Callable[[], Iterable[bytes]]


def size(entries: Sequence[Entry]) -> int:
    """Return the length of the archive, in bytes."""
    offset = directory = 0
    for entry in entries:
        directory += len(_directory_entry(entry, offset, 0))
        offset += len(_header(entry)) + entry.length + len(_descriptor(entry, 0))
    return offset + directory + len(_end(len(entries), directory, offset))


def stream(entries: Sequence[Entry]) -> Iterator[bytes]:
    """Yield the archive.

    :raises ValueError: if a content does not have the length that its entry says
    """
    offset, directory = 0, []
    for entry in entries:
        yield (header := _header(entry))
        checksum = length = 0
        for piece in entry.content():
            checksum, length = zlib.crc32(piece, checksum), length + len(piece)
            yield piece
        if length != entry.length:
            raise ValueError(f"{entry.name!r} has {length} bytes, not {entry.length}")
        yield (descriptor := _descriptor(entry, checksum))
        directory.append(_directory_entry(entry, offset, checksum))
        offset += len(header) + length + len(descriptor)
    yield from directory
    yield _end(len(entries), sum(map(len, directory)), offset)


def _header(entry: Entry) -> bytes:
    large, name = entry.length >= _FULL_32, entry.name.encode()
    # The lengths follow the content, too; but Info-ZIP takes these for those of the directory.
    extra = (struct.pack("<HHQQ", 1, 16, entry.length, entry.length) if large else b"") + _timestamp(entry.date)
    version, lengths = (_VERSION_64, _FULL_32) if large else (_VERSION, 0)
    fields = (version, _FLAGS, 0, *_dos(entry.date), 0, lengths, lengths, len(name), len(extra))
    return b"PK\3\4" + struct.pack("<HHHHHLLLHH", *fields) + name + extra


def _descriptor(entry: Entry, checksum: int) -> bytes:
    layout = "<LQQ" if entry.length >= _FULL_32 else "<LLL"
    return b"PK\7\x08" + struct.pack(layout, checksum, entry.length, entry.length)


def _directory_entry(entry: Entry, offset: int, checksum: int) -> bytes:
    name = entry.name.encode()
    large = entry.length >= _FULL_32 or offset >= _FULL_32
    # All three, though one may be small: Info-ZIP looks for those that were 2**32 - 1 in the entry before, too.
    extra = struct.pack("<HHQQQ", 1, 24, entry.length, entry.length, offset) if large else b""
    extra += _timestamp(entry.date)
    mode = _FOLDER if entry.name.endswith("/") else _FILE
    length, place, version = (_FULL_32, _FULL_32, _VERSION_64) if large else (entry.length, offset, _VERSION)
    fields = (_UNIX | version, version, _FLAGS, 0, *_dos(entry.date), checksum, length, length, len(name), len(extra))
    return b"PK\1\2" + struct.pack("<HHHHHHLLLHH", *fields) + struct.pack("<HHHLL", 0, 0, 0, mode, place) + name + extra


def _end(count: int, directory: int, offset: int) -> bytes:
    end = b""
    if count >= _FULL_16 or directory >= _FULL_32 or offset >= _FULL_32:
        versions = (_UNIX | _VERSION_64, _VERSION_64)
        end = b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, *versions, 0, 0, count, count, directory, offset)
        end += b"PK\6\7" + struct.pack("<LQL", 0, offset + directory, 1)
    count = min(count, _FULL_16)
    fields = (0, 0, count, count, min(directory, _FULL_32), min(offset, _FULL_32), 0)
    return end + b"PK\5\6" + struct.pack("<HHHHLLH", *fields)


def _dos(date: datetime) -> tuple[int, int]:
    """The time and the date as MS-DOS has them, from 1980 to 2107."""
    date = min(max(date.astimezone(UTC), _FIRST), _LAST)
    time = date.hour << 11 | date.minute << 5 | date.second // 2
    return time, (date.year - 1980) << 9 | date.month << 5 | date.day


def _timestamp(date: datetime) -> bytes:
    """Info-ZIP's extended timestamp, which has the seconds since 1970 in 32 bits; otherwise nothing."""
    seconds = int(date.timestamp())
    return struct.pack("<HHBl", 0x5455, 5, 1, seconds) if 0 <= seconds < 2**31 else b""
