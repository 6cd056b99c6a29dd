"""Dot segments and relative references in the paths of URLs.

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

    :return: None if it leads above its beginning
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
    """Return the relative reference (RFC 3986 section 4.2) from the URL of *folder* to *path*, directly in it.

    :return: None for a path that a relative reference cannot express
    """
    segment = path[len(folder) :].removesuffix("/")
    if not segment or "/" in segment or segment in (".", ".."):
        return None
    return quote(segment, safe="") + ("/" if path.endswith("/") else "")
