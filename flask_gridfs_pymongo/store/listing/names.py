"""Names in the server's order, which is that of their bytes, even if these are not UTF-8.

The driver returns bytes that are not UTF-8 as lone surrogates (``errors="surrogateescape"``), and cannot send these::

    edge = Edge.after("photos/", folder=True)
    edge.has_passed("photos/a.jpg")  # True
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple


def octets(name: str) -> bytes:
    """Return the bytes of a name, by which the server sorts."""
    return name.encode(errors="surrogateescape")


def folders_of(path: str) -> list[str]:
    """Return the folders that contain *path*, the outermost first, and *path* itself if it is a folder."""
    return [path[: found.end()] for found in re.finditer("/", path)]


def parent_of(path: str) -> str:
    """Return the folder that contains a file or folder; empty for the top."""
    return path[: path.removesuffix("/").rfind("/") + 1]


def successor(prefix: str) -> str:
    """Return the least string greater than all that begin with *prefix*; empty if none is."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return ""
    code = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if code == 0xD800 else code)


def beginning_with(prefix: str) -> dict[str, str]:
    """Return a condition for texts that begin with *prefix*."""
    end = successor(prefix)
    return {"$gte": prefix, **({"$lt": end} if end else {})}


class Edge(NamedTuple):
    """A place between two names, at which a walk through the names continues."""

    octets: bytes
    backwards: bool

    @classmethod
    def after(cls, name: str, backwards: bool = False, *, folder: bool = False) -> Edge:
        """Return the edge directly after *name*, or if it is a *folder* after all that it contains."""
        if backwards:  # a folder comes after its contents
            return cls(octets(name), True)
        return cls(octets(successor(name) if folder else name + "\0"), False)

    @classmethod
    def at(cls, name: str, backwards: bool = False) -> Edge:
        """Return the edge directly before *name*."""
        return cls(octets(name + "\0" if backwards else name), backwards)

    def has_passed(self, name: str) -> bool:
        """Whether the walk has passed *name*."""
        return (octets(name) >= self.octets) if self.backwards else octets(name) < self.octets

    def is_behind(self, other: Edge) -> bool:
        """Whether a walk passes *other* before this edge."""
        return (self.octets < other.octets) if self.backwards else self.octets > other.octets

    @property
    def is_exact(self) -> bool:
        """Whether :attr:`bound` is exactly this place."""
        return self.bound is not None and octets(self.bound) == self.octets

    @property
    def bound(self) -> str | None:
        """The text for comparisons in a query: this place, or the nearest one before it in the walk.

        None if there is no such text.
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
