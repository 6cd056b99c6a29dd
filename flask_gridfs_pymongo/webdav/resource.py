"""What files and folders have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import quote

from flask import abort, request
from wsgidav.dav_error import DAVError
from wsgidav.dav_provider import DAVProvider
from wsgidav.lock_man.lock_manager import normalize_lock_root
from wsgidav.util import get_uri_parent, parse_if_header_dict, test_if_header_dict
from wsgidav.xml_tools import etree

from ..service.clients import owner_of
from ..service.options import Rules
from ..service.rights import may, permit
from ..store import MAX_PROPERTIES, Dav, StoredFile
from .errors import as_dav_error
from .locks import LockStorage, active


class BucketProvider(DAVProvider):
    """A provider with the options of the blueprint."""

    def __init__(self, options: Rules, locks: LockStorage) -> None:
        super().__init__()
        self.options, self.locks = options, locks
        self.verbose = 0  # else it prints tracebacks

    def read_ahead(self, found: Resource, *, deep: bool, names: Collection[str] | None, values: bool) -> None:
        """Read the locks and the properties of a file or folder, for the rest of the request.

        :param deep: also the properties of what is directly in it
        :param names: of the properties to read; None: all
        :param values: whether to read the values, too
        """
        kept = found.dav.read(found.stored_name, deep=deep, names=names, values=values)
        self.locks.known = kept.locks
        self.prop_manager.know(kept.properties, found.environ)


class Resource:
    """A file or folder of a bucket, for one request."""

    path: str
    environ: dict[str, Any]
    provider: BucketProvider
    file: StoredFile | None = None
    """the newest version of a file, if one is stored"""
    get_ref_url: Callable[[], str]
    """of WsgiDAV: returns the quoted path"""
    _changes = 0  # of properties

    @property
    def options(self) -> Rules:
        return self.provider.options

    @property
    def owner(self) -> str | None:
        """The client, for bounds."""
        return owner_of(self.options, request, self.environ["wsgidav.user_name"])

    @property
    def dav(self) -> Dav:
        return self.options.bucket().dav

    @property
    def stored_name(self) -> str:
        """The name of a file, the path of a folder with a slash at its end, or empty for the top."""
        return self.path[1:]

    def check_again(self) -> None:
        """Check preconditions again, just before a change; only those of a file may fail by now."""

    def check_if(self) -> None:
        """Abort with 412 if the request's If field is false for this resource (RFC 4918 section 10.4)."""
        parse_if_header_dict(self.environ)
        url, conditions = self.get_ref_url(), self.environ["wsgidav.conditions.if"]
        if conditions is not None:
            user = self.environ["wsgidav.user_name"]
            held = self.provider.lock_manager.get_indirect_url_lock_list(url, principal=user)
            tokens, etag = [lock["token"] for lock in held], self.file.etag if self.file else "[]"
            if not test_if_header_dict(self, conditions, url, tokens, etag):
                abort(412, "The condition in If does not hold; nothing was changed.")

    def check_unlocked(self, depth: str = "0", *, again: bool = False) -> None:
        """Make sure that the request has the tokens of all locks on this resource.

        :param depth: ``infinity``: also of locks on what is in this folder
        :param again: read the locks again, as one may have been made since the request began
        :raises wsgidav.dav_error.DAVError: 423 if it does not
        """
        if again:
            self.provider.locks.known = None
        self._check_unlocked(self.get_ref_url(), depth)

    def check_parent_unlocked(self) -> None:
        """Make sure that the folder that contains this is not locked: see :meth:`check_unlocked`."""
        self._check_unlocked(get_uri_parent(self.get_ref_url()), "0")

    def _check_unlocked(self, url: str, depth: str) -> None:
        parse_if_header_dict(self.environ)
        self.provider.lock_manager.check_write_permission(
            url=url,
            depth=depth,
            token_list=self.environ["wsgidav.ifLockTokenList"],
            principal=self.environ["wsgidav.user_name"],
        )

    def _lockdiscovery(self) -> Any:
        """The locks on this and, unlike in WsgiDAV, those on a folder above that include it (section 15.8)."""
        element = etree.Element("{DAV:}lockdiscovery")
        if self.provider.locks.known == []:
            return element
        own = normalize_lock_root(self.get_ref_url())
        for lock in self.provider.lock_manager.get_indirect_url_lock_list(own):
            above = quote(request.script_root) + lock["root"].rstrip("/") + "/"
            element.append(active(lock, self.get_href() if lock["root"] == own else above))
        return element

    # The methods below are called by WsgiDAV.

    def get_href(self) -> str:
        """Return the URL; the next request may come under another prefix."""
        return quote(request.script_root + self.path, safe="/!*'(),$-_|.")

    def prevent_locking(self) -> bool:
        """Whether the client may not lock it, as it may not write."""
        name = self.stored_name
        return self.options.read_only or not name or not may(self.options, "write", name)

    def set_property_value(self, name: str, value: Any, *, dry_run: bool = False) -> None:
        try:
            if not self.stored_name:
                abort(403, "Properties of the top cannot be changed.")
            permit(self.options, "write", self.stored_name)
            if dry_run:  # WsgiDAV tries all changes before it makes any
                self._changes += 1
            else:
                self.check_again()
            if self._changes > MAX_PROPERTIES:
                abort(400, f"Change at most {MAX_PROPERTIES} properties at once.")
            super().set_property_value(name, value, dry_run=dry_run)  # type: ignore[misc]
        except Exception as error:  # WsgiDAV reports a DAVError for each property
            raise as_dav_error(error) from error

    def get_property_value(self, name: str) -> Any:
        if name == "{DAV:}supportedlock" and self.prevent_locking():
            return etree.Element(name)
        if name == "{DAV:}lockdiscovery":
            return self._lockdiscovery()
        if not name.startswith("{DAV:}") and self.provider.prop_manager.has_none(self.stored_name, self.environ):
            raise DAVError(404)
        value = super().get_property_value(name)  # type: ignore[misc]
        if value is None:  # else WsgiDAV would answer that it exists and is empty
            raise DAVError(404)
        return value
