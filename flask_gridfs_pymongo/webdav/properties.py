"""WsgiDAV's dead properties (RFC 4918 section 4.2), stored in the bucket's ``base.dav``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ..service.options import Rules

_CACHE = "flask_gridfs_pymongo.properties"


class PropertyManager:
    """The storage of properties that clients set; WsgiDAV asks for them by URL.

    WsgiDAV asks for them one by one, so they are read before and given to :meth:`know`.
    """

    def __init__(self, options: Rules) -> None:
        self._options = options

    def know(self, properties: Mapping[str, Mapping[str, bytes]], environ: dict[str, Any]) -> None:
        """Use these properties, by path and name, for the rest of the request."""
        environ[_CACHE] = properties

    def has_none(self, path: str, environ: dict[str, Any]) -> bool:
        """Whether a file or folder is known to have no properties."""
        return path not in environ[_CACHE]

    def get_properties(self, url: str, environ: dict[str, Any]) -> list[str]:
        """Return the names of a resource's properties."""
        return list(self._of(url, environ))

    def get_property(self, url: str, name: str, environ: dict[str, Any]) -> bytes | None:
        """Return the XML of a property, or None."""
        return self._of(url, environ).get(name)

    def write_property(self, url: str, name: str, value: bytes, dry_run: bool, environ: dict[str, Any]) -> None:
        """Set a property; also delete a few properties whose files were deleted."""
        if not dry_run:
            dav = self._options.bucket().dav
            dav.set_property(_path_of(url), name, value)
            dav.sweep()

    def remove_property(self, url: str, name: str, dry_run: bool, environ: dict[str, Any]) -> None:
        """Delete a property, if it exists."""
        if not dry_run:
            self._options.bucket().dav.remove_property(_path_of(url), name)

    def copy_properties(self, *arguments: Any) -> None:
        """Do nothing: WsgiDAV only checks that this method exists."""

    def _of(self, url: str, environ: dict[str, Any]) -> Mapping[str, bytes]:
        found: Mapping[str, bytes] = environ[_CACHE].get(_path_of(url), {})
        return found


def _path_of(url: str) -> str:
    return unquote(url).lstrip("/")
