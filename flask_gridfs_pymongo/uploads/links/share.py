"""Reading by a link: what is below a folder, by names without its path, or the newest version of a file.

A link to a folder has the views of every other request, on a bucket that contains nothing else (:class:`.Within`): no
name, id, search or cursor leads out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from flask import Request, abort

from ...http.filenames import MAX_CHARACTERS, survives_url
from ...service.options import Options
from ...store import Bucket, Link, Within, check_type
from ..read import file, variant
from ..target import Kind, Target
from ..views import ROUTES, Route
from . import manage
from .rights import ByLink, by

_FLAGS = (None, "asset", "count", "details", "variant", "versions", "zip")
FOLDER_ROUTES = tuple(route for route in ROUTES if not route.changes and route.flag in _FLAGS)
FILE_ROUTES = (
    Route("GET", (Kind.FILE,), "variant", variant.get, False),
    Route("GET", (Kind.FILE,), None, file.get, False),
)


@dataclass(frozen=True)
class OfFolder(ByLink):
    """The options for a request by a link to a folder."""

    def bucket(self) -> Bucket:
        """Return what is in the folder."""
        return Within(super().bucket(), self.link.path)


def make(options: Options, blueprint: str, path: str, expires_in: int, maker: str | None) -> Link:
    """Make a link by which anybody may read a folder, if *path* ends with a slash, or a file.

    :raises TypeError, ValueError: naming the argument that is wrong
    :raises werkzeug.exceptions.NotFound: if there is no such file
    """
    check_type("path", path, str)
    manage.check_made(expires_in, maker)
    if len(path) > MAX_CHARACTERS or "\0" in path:
        raise ValueError(f"path must have at most {MAX_CHARACTERS} characters, none of them NUL, not {path!r}")
    bucket = options.bucket()
    if is_file(path) and bucket.find(path) is None:
        abort(404, "There is no such file or version.")
    return bucket.links.create("share", path, blueprint, lifetime=expires_in, maker=maker)


def url_of(blueprint: str, link: Link, **variables: str) -> str:
    """Return the URL of a new link; that of a file ends with its name."""
    url, name = manage.url_of(blueprint, link.token, **variables), link.path.rpartition("/")[2]
    return f"{url}/{quote(name, safe='') if survives_url(name) else ''}"


def is_file(path: str) -> bool:
    """Whether a link to *path* is one to a file."""
    return path != "" and not path.endswith("/")


def reading_folder(options: Options, link: Link) -> ByLink:
    """Return the options by which a link reads a folder."""
    title = link.path.rstrip("/").rpartition("/")[2] or options.title
    return by(options, link, lambda action, name: action in ("list", "read"), OfFolder, resumable=False, title=title)


def reading_file(options: Options, link: Link) -> ByLink:
    """Return the options by which a link reads a file."""
    return by(options, link, lambda action, name: (action, name) == ("read", link.path), resumable=False)


def newest(options: ByLink, request: Request, target: Target) -> Target:
    """Return the newest version of the link's file, which the URL may name."""
    path = options.link.path
    if target.is_version or target.path not in ("", path.rpartition("/")[2]):
        abort(404, "There is no such file or version.")
    return Target(Kind.FILE, path)
