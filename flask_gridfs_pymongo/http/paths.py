"""Paths of URLs as every server reads them.

::

    resolve_dot_segments("repo/./a/../Packages")  # "repo/Packages"
"""

from __future__ import annotations

from urllib.parse import quote


def has_dot_segments(path: str) -> bool:
    """Whether a segment of *path* is ``.`` or ``..``, which clients and servers resolve."""
    return not {".", ".."}.isdisjoint(path.split("/"))


def resolve_dot_segments(path: str) -> str | None:
    """Resolve the segments ``.`` and ``..`` (RFC 3986 section 5.2.4) of a path without a leading slash.

    :return: None where it leads out of where it begins
    """
    segments = path.split("/")
    resolved: list[str] = []
    for segment in segments:
        if segment == "..":
            if not resolved:
                return None
            resolved.pop()
        elif segment != ".":
            resolved.append(segment)
    if segments[-1] in (".", "..") and resolved:
        resolved.append("")  # it names a folder
    return "/".join(resolved)


def relative(folder: str, path: str) -> str | None:
    """The reference (RFC 3986 section 4.2) to *path*, directly in *folder*, from the folder's own URL.

    :return: None for a path that no such reference can carry
    """
    segment = path[len(folder) :].removesuffix("/")
    if not segment or "/" in segment or segment in (".", ".."):
        return None
    return quote(segment, safe="") + ("/" if path.endswith("/") else "")
