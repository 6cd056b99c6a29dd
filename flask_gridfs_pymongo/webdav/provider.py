"""Finds the file or folder at a path, if this request may know of it.

::

    provider.get_resource_inst("/photos/", environ)  # a Folder, or None
"""

from __future__ import annotations

from typing import Any

from flask import request
from werkzeug.exceptions import Forbidden

from ..http.filenames import compose, survives_url
from ..service.operations import is_folder
from ..service.options import Rules
from ..service.rights import permit, visibility_of
from ..store import folders_of
from .files import File
from .folders import MAX_NAMES, Folder, is_shown
from .names import spelled
from .resource import BucketProvider

_FEW = 20  # folders


class Provider(BucketProvider):
    """WsgiDAV's provider: it returns the resource at a path."""

    def get_resource_inst(self, path: str, environ: dict[str, Any]) -> File | Folder | None:
        """Return what is at *path*, or None; a file comes before a folder, unless *path* ends with a slash."""
        given = spelled(path)
        if not given:
            return Folder("/", environ)
        bucket = self.options.bucket()
        find = bucket.find if request.method in ("GET", "HEAD", "PROPFIND") else bucket.newest  # reads the primary
        for name in dict.fromkeys((given, compose(given))):
            if path.endswith("/") and self._has_folder(name):
                return Folder(f"/{name}/", environ)
            if not _hidden(self.options, "read", name) and (file := find(name)):
                return File(f"/{name}", environ, file)
            if not path.endswith("/") and self._has_folder(name):
                return Folder(f"/{name}/", environ)
        return None

    def _has_folder(self, name: str) -> bool:
        path, visible = f"{name}/", visibility_of(self.options)
        if not survives_url(name) or any(_hidden(self.options, "list", folder) for folder in folders_of(path)):
            return False
        bucket = self.options.bucket()
        if is_folder(bucket, path, visible):
            return True
        remembered, self.locks.known = bucket.dav.folders_and_locks(path, _FEW)
        if len(remembered) == _FEW and not any(is_shown(self.options, folder) for folder in remembered):
            remembered = list(bucket.dav.folders(path, MAX_NAMES))
        return any(is_shown(self.options, folder) for folder in remembered)


def _hidden(options: Rules, action: str, name: str) -> bool:
    """Whether *action* is forbidden; any other error of the application, such as 401, is raised."""
    try:
        permit(options, action, name)
    except Forbidden:
        return True
    return False
