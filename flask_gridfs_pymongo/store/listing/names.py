"""Names in the server's order, which is that of their UTF-8, also of names that are not UTF-8.

The driver gives what is not UTF-8 as lone surrogates (``errors="surrogateescape"``), and cannot send it back::

    edge = Edge.after("photos/", folder=True)
    edge.has_passed("photos/a.jpg")  # True
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple


def octets(name: str) -> bytes:
    """The bytes that the server has, by which it orders names."""
    return name.encode(errors="surrogateescape")


def folders_of(path: str) -> list[str]:
    """Return the folders that hold *path*, the outermost first, and *path* itself if it is a folder."""
    return [path[: found.end()] for found in re.finditer("/", path)]


def parent_of(path: str) -> str:
    """Return the folder that a file or folder is in; empty: the top."""
    return path[: path.removesuffix("/").rfind("/") + 1]


def successor(prefix: str) -> str:
    """Return the least string above all that begin with *prefix*; empty where there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return ""
    code = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if code == 0xD800 else code)


class Edge(NamedTuple):
    """The place from which a walk through the names goes on."""

    octets: bytes
    backwards: bool

    @classmethod
    def after(cls, name: str, backwards: bool = False, *, folder: bool = False) -> Edge:
        """Return the edge that *name* has just passed, and where it is a *folder* all that it holds."""
        if backwards:  # what a folder holds comes before the folder itself
            return cls(octets(name), True)
        return cls(octets(successor(name) if folder else name + "\0"), False)

    @classmethod
    def at(cls, name: str, backwards: bool = False) -> Edge:
        """Return the edge that *name* is the first one after."""
        return cls(octets(name + "\0" if backwards else name), backwards)

    def has_passed(self, name: str) -> bool:
        """Whether the walk has passed *name*."""
        return (octets(name) >= self.octets) if self.backwards else octets(name) < self.octets

    def is_behind(self, other: Edge) -> bool:
        """Whether a walk reaches *other* before this place."""
        return (self.octets < other.octets) if self.backwards else self.octets > other.octets

    @property
    def is_exact(self) -> bool:
        """Whether :attr:`bound` is this very place."""
        return self.bound is not None and octets(self.bound) == self.octets

    @property
    def bound(self) -> str | None:
        """The text that the server can compare names with: this place, or the nearest one that the walk has passed.

        None: there is none.
        """
        try:
            return self.octets.decode()
        except UnicodeDecodeError as error:
            sound, rest = self.octets[: error.start].decode(), self.octets[error.start :]
        code = bisect_left(range(0x110000), rest, key=lambda code: chr(code).encode(errors="surrogatepass"))
        if not self.backwards:
            return sound + chr(0xD7FF if 0xD800 < code <= 0xE000 else code - 1)
        if code == 0x110000:
            return successor(sound) or None
        return sound + chr(0xE000 if 0xD800 <= code < 0xE000 else code)
