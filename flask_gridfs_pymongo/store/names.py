"""Names in the server's order, which is that of their UTF-8, also of names that are not UTF-8.

The driver gives what is not UTF-8 as lone surrogates (``errors="surrogateescape"``), and cannot send it back.
"""

from __future__ import annotations

from bisect import bisect_left


def octets(name: str) -> bytes:
    """The bytes that the server has, by which it orders names."""
    return name.encode(errors="surrogateescape")


def successor(prefix: str) -> str:
    """The least string behind all that begin with *prefix*; empty where there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return ""
    code = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if code == 0xD800 else code)


def bound_before(name: str) -> str:
    """A text that the server orders before *name*, which is not UTF-8, and as close to it as texts go."""
    raw = octets(name)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        sound, rest = raw[: error.start].decode(), raw[error.start :]
    code = bisect_left(range(0x110000), rest, key=lambda code: chr(code).encode(errors="surrogatepass")) - 1
    return sound + chr(0xD7FF if 0xD800 <= code < 0xE000 else code)
