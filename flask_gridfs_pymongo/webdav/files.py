"""A file: the newest version of a name, found by ``provider.get_resource_inst("/a.txt", environ)``.

The order of calls of a PUT, all by WsgiDAV::

    get_resource_inst                   the file, and its folder
    Folder.create_empty_resource        if there is no file yet
    File.begin_write, _Put.writelines   reads the body from the request, and stores it
    File.get_etag                       for the response
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Request, request
from wsgidav.dav_provider import DAVNonCollection
from wsgidav.util import get_rfc3339_time

from ..http.conditions import last_modified
from ..http.filenames import compose
from ..http.headers import media_type
from ..http.response import http_date, is_conditional
from ..service.operations import after_save, check_preconditions
from ..service.receive import save_body
from ..service.rights import permit
from ..store import StoredFile
from .names import spelled, storable
from .resource import Resource
from .saves import filled, note


class File(Resource, DAVNonCollection):
    """A file, which may not be stored yet.

    :param file: its newest version; None before it is stored
    :param versions: how many there are, if known
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

    def check_again(self) -> None:
        """Abort with 412 unless the request's preconditions still hold, just before the change of this file."""
        if is_conditional(request.headers) and compose(spelled(request.path)) == compose(self.stored_name):
            check_preconditions(request.method, request.headers, self.options.bucket().newest(self.stored_name))

    def tree(self) -> list[Any]:
        """Return this file alone; see :meth:`.Folder.tree`."""
        return [self]

    # The methods below are called by WsgiDAV.

    def get_content_length(self) -> int:
        return self.stored.length

    def get_etag(self) -> str | None:
        return self.file.etag if self.file else None

    def support_etag(self) -> bool:
        return True

    def get_property_names(self, *, is_allprop: bool) -> list[str]:
        locking = [] if self.prevent_locking() else ["{DAV:}lockdiscovery", "{DAV:}supportedlock"]
        return [*_LIVE, *locking, *self.provider.prop_manager.get_properties(self.get_ref_url(), self.environ)]

    def get_property_value(self, name: str) -> Any:
        live = _LIVE.get(name)
        return super().get_property_value(name) if live is None else live(self)

    def get_content(self) -> None:
        """Never called, but WsgiDAV requires it: it does not answer GET here."""
        raise NotImplementedError

    def begin_write(self, *, content_type: str | None = None) -> _Put:
        return _Put(self)


# Unlike in WsgiDAV, an entity tag has quotes (RFC 4918 section 15.6), and a date is that of a GET (section 15.7).
_LIVE: Mapping[str, Callable[[File], str]] = {
    "{DAV:}creationdate": lambda file: get_rfc3339_time(file.stored.upload_date.timestamp()),
    "{DAV:}displayname": lambda file: file.get_display_name(),
    "{DAV:}getcontentlength": lambda file: str(file.get_content_length()),
    "{DAV:}getcontenttype": lambda file: media_type(file.stored.media_type, None if file.stored.sha256 else "utf-8")[1],
    "{DAV:}getetag": lambda file: f'"{file.stored.etag}"',
    "{DAV:}getlastmodified": lambda file: http_date(last_modified(file.stored.upload_date)),
    "{DAV:}resourcetype": lambda file: "",
}


class _Put:
    """The object to which WsgiDAV writes a body; it reads the request itself, with the checks of the blueprint."""

    def __init__(self, resource: File) -> None:
        self._resource = resource

    def writelines(self, blocks: Iterable[bytes]) -> None:
        options, name = self._resource.options, storable(self._resource.path)
        permit(options, "write", name)
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        made = note(self._resource.dav)
        saved, before = save_body(current, options, name, check=self._check, note=made)
        self._resource.file = saved
        after_save(options, saved, filled(before, made), is_placeholder=not saved.length)

    def close(self) -> None:
        """Do nothing: the file is stored."""

    def _check(self, newest: StoredFile | None) -> None:
        check_preconditions("PUT", request.headers, newest)
        self._resource.check_unlocked(again=True)
