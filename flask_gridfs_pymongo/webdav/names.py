"""Names in the bucket for the paths of URLs.

::

    storable("/photos/a.jpg")  # "photos/a.jpg"
"""

from __future__ import annotations

import re

from flask import abort

from ..http.filenames import clean, compose, survives_url
from ..store import StoredFile


def spelled(path: str) -> str:
    """Return the name for a path, without a slash at its end; empty for the top."""
    return re.sub("/+", "/", path).strip("/")


def storable(path: str) -> str:
    """Return the name for a new file or folder at *path*; abort with 400 if cleaning would change it."""
    name = compose(spelled(path))
    if (cleaned := clean(name)) != name or not name:
        abort(400, f"Names are not rewritten: this one would be stored as {cleaned!r}.")
    return name


def is_addressable(file: StoredFile) -> bool:
    """Whether a client can reach *file* by a path."""
    return file.named and is_path(file.filename)


def is_path(name: str) -> bool:
    """Whether URLs and XML can contain the path *name*."""
    return survives_url(name) and "//" not in name and not re.search("[\ufffe\uffff]", name)
