"""What the URL of a request names, parsed once.

::

    target = target_of(request)
    if target.kind is Kind.FILE:
        print(target.name, target.version)

A target is what the URL says. :func:`.selection.select` finds out whether there is such a file, and in which spelling
of its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from flask import Request, request

_KEY = "flask_gridfs_pymongo.target"


class Kind(Enum):
    """The kinds of targets."""

    ROOT = auto()
    """``/``"""
    FOLDER = auto()
    """``/photos/2026/``"""
    FILE = auto()
    """``/notes.txt``, also with ``?version`` or ``?id``"""
    ID = auto()
    """``/?id=ID``: a file with any name, or without one"""
    UPLOAD = auto()
    """``/?upload=TOKEN``"""


@dataclass(frozen=True)
class Target:
    """What a URL names; all values are as the client sent them."""

    kind: Kind
    name: str | None = None
    """of a :attr:`Kind.FILE`"""
    folder: str | None = None
    """the path of a :attr:`Kind.FOLDER`, with a trailing slash; else ``?folder``, or None"""
    id: str | None = None
    """``?id``"""
    version: str | None = None
    """``?version``"""
    upload: str | None = None
    """``?upload``"""

    @property
    def is_version(self) -> bool:
        """Whether it is a single version of a file, and not all of them."""
        return self.id is not None or self.version is not None

    @property
    def path(self) -> str:
        """The path of the file or folder; empty: the top."""
        return self.name or self.folder or ""


def parse(filename: str | None, args: Mapping[str, str]) -> Target:
    """Parse a URL.

    :param filename: its path below the blueprint; None at the root
    :param args: its query
    """
    query = {"id": args.get("id"), "version": args.get("version"), "upload": args.get("upload")}
    if filename and filename.endswith("/"):
        return Target(Kind.FOLDER, folder=filename, **query)
    if filename:
        kind = Kind.FILE
    elif "upload" in args:
        kind = Kind.UPLOAD
    else:
        kind = Kind.ID if "id" in args else Kind.ROOT
    return Target(kind, filename or None, args.get("folder"), **query)


def target_of(request: Request) -> Target:
    """Return what the URL of *request* names."""
    found = request.environ.get(_KEY)
    return found if isinstance(found, Target) else parse((request.view_args or {}).get("filename"), request.args)


def remember(endpoint: str | None, values: Mapping[str, Any] | None) -> None:
    """Parse the URL of the current request: a ``url_value_preprocessor``."""
    request.environ[_KEY] = parse((values or {}).get("filename"), request.args)


def retarget(request: Request, target: Target) -> None:
    """Let *request* be about *target* from now on, whatever its URL says."""
    request.environ[_KEY] = target
