"""WsgiDAV's dead properties (RFC 4918 section 4.2), stored in the bucket's ``base.dav``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..store import Dav

_CACHE = "flask_gridfs_pymongo.properties"


class PropertyManager:
    """The storage of properties that clients set; WsgiDAV asks for them by URL.

    WsgiDAV asks for them one by one, so they are read before and given to :meth:`know`.

    :param dav: returns the :class:`.Dav` of the bucket
    :param path_of: returns the path for a URL
    """

    def __init__(self, dav: Callable[[], Dav], path_of: Callable[[str], str]) -> None:
        self._dav, self._path_of = dav, path_of

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
        """Set a property; also delete a few properties whose files are gone."""
        if not dry_run:
            self._dav().set_property(self._path_of(url), name, value)
            self._dav().sweep()

    def remove_property(self, url: str, name: str, dry_run: bool, environ: dict[str, Any]) -> None:
        """Delete a property, if it exists."""
        if not dry_run:
            self._dav().remove_property(self._path_of(url), name)

    def copy_properties(self, *arguments: Any) -> None:
        """Do nothing: WsgiDAV only checks that this method exists."""

    def _of(self, url: str, environ: dict[str, Any]) -> Mapping[str, bytes]:
        found: Mapping[str, bytes] = environ[_CACHE].get(self._path_of(url), {})
        return found
