"""A file: the newest version of a name, found by ``provider.get_resource_inst("/a.txt", environ)``.

The order of calls of a PUT, in which WsgiDAV calls what is here::

    get_resource_inst                   the file, and its folder
    Folder.create_empty_resource        if there is none yet
    File.begin_write, _Put.writelines   reads the request itself, and stores
    File.get_etag                       for the answer
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from flask import Request, request
from wsgidav.dav_provider import DAVNonCollection

from ..http.headers import media_type
from ..service.operations import after_save, check_preconditions
from ..service.receive import save_body
from ..service.rights import permit
from ..store import StoredFile
from .names import storable
from .resource import Resource

_JUST_BEFORE = timedelta(minutes=10)


class File(Resource, DAVNonCollection):
    """A file, or one that is about to be made.

    :param file: its newest version; None before it is stored
    :param versions: how many there are, if that is known
    """

    def __init__(
        self, path: str, environ: dict[str, Any], file: StoredFile | None, versions: int | None = None
    ) -> None:
        super().__init__(path, environ)
        self.file, self.versions = file, versions

    @property
    def stored(self) -> StoredFile:
        if self.file is None:
            raise RuntimeError(f"{self.path!r} is not stored yet")
        return self.file

    def tree(self) -> list[Any]:
        """Return this file, as a folder returns all that is in it."""
        return [self]

    # The others are called by WsgiDAV.

    def get_content_length(self) -> int:
        return self.stored.length

    def get_content_type(self) -> str:
        return media_type(self.stored.media_type, None if self.stored.sha256 else "utf-8")[1]

    def get_creation_date(self) -> float:
        return self.stored.upload_date.timestamp()

    get_last_modified = get_creation_date

    def get_etag(self) -> str | None:
        return self.file.etag if self.file else None

    def support_etag(self) -> bool:
        return True

    def get_property_value(self, name: str) -> Any:
        if name == "{DAV:}getetag":  # WsgiDAV's own has no quotes (RFC 4918 section 15.6)
            return f'"{self.stored.etag}"'
        return super().get_property_value(name)

    def get_content(self) -> None:
        """WsgiDAV wants this method, and does not call it: it answers no GET."""
        raise NotImplementedError

    def begin_write(self, *, content_type: str | None = None) -> _Put:
        return _Put(self)


class _Put:
    """Where WsgiDAV writes a body to. It is read from the request itself, with all that the blueprint looks at."""

    def __init__(self, resource: File) -> None:
        self._resource = resource

    def writelines(self, blocks: Iterable[bytes]) -> None:
        options, name = self._resource.options, storable(self._resource.path)
        permit(options, "write", name)
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        saved, before = save_body(current, options, name, check=self._check)
        self._resource.file, bucket = saved, options.bucket()
        after_save(options, saved)
        # Finder and Explorer make every file as an empty one, which is no version that anybody wants back.
        if before and _is_empty(before, saved) and bucket.count(name, limit=3) == 2:
            bucket.delete_many([before.id])

    def close(self) -> None:
        """Do nothing: the file is stored."""

    def _check(self, newest: StoredFile | None) -> None:
        check_preconditions("PUT", request.headers, newest)
        self._resource.check_unlocked(again=True)


def _is_empty(before: StoredFile, saved: StoredFile) -> bool:
    """Whether *before* is an empty file that was made just before *saved*."""
    return before.length == 0 and before.damage is None and saved.upload_date - before.upload_date < _JUST_BEFORE
