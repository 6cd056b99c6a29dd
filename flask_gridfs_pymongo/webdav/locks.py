"""WsgiDAV's locks, stored in the bucket's ``base.dav``, so that processes and machines share them.

Conflicts are checked again in the atomic update that makes a lock: WsgiDAV's own check works only in one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from flask import request
from werkzeug.exceptions import TooManyRequests
from wsgidav.dav_error import HTTP_LOCKED, DAVError, DAVErrorCondition, PRECONDITION_CODE_LockConflict
from wsgidav.lock_man.lock_manager import generate_lock_token, normalize_lock_root
from wsgidav.util import is_child_uri
from wsgidav.xml_tools import etree, string_to_xml

from ..service.clients import owner_of
from ..service.options import Rules
from ..store import Lock, QuotaExceeded
from .errors import as_dav_error

MAX_LOCK_TIMEOUT = 3600
"""seconds: the longest time for which a lock is made or refreshed"""
_MAX_OWN, _MAX_SHARED = 32, 100  # locks of a client, and on a file or folder
_Locks = list[Lock]


class LockStorage:
    """The storage of WsgiDAV's LockManager; each request reads the locks once."""

    def __init__(self, options: Rules) -> None:
        self._options = options
        self._key = f"flask_gridfs_pymongo.locks.{id(self)}"

    def open(self) -> None:
        """Do nothing (WsgiDAV calls this): the driver connects."""

    def close(self) -> None:
        """Do nothing (WsgiDAV calls this at its end)."""

    def get(self, token: str) -> dict[str, Any] | None:
        """Return the lock with this token, or None."""
        return next((self._for_wsgidav(lock) for lock in self._locks() if lock["token"] == token), None)

    def get_lock_list(
        self, path: str, *, include_root: bool, include_children: bool, token_only: bool
    ) -> list[dict[str, Any]]:
        """Return the locks on *path* (*include_root*), and those below it (*include_children*).

        Locks on deleted files and folders end: other tools delete files without ending them.
        """
        root = normalize_lock_root(path)
        found = list(self._by_root.get(root, ())) if include_root else []
        if include_children:
            found += [lock for lock in self._locks() if is_child_uri(root, lock["root"])]
        if gone := {lock["root"] for lock in found} - {lock["root"] for lock in found if self._holds(lock)}:
            self._change(lambda locks: [lock for lock in locks if lock["root"] not in gone])
        found = [lock for lock in found if lock["root"] not in gone]
        return [self._for_wsgidav(lock) for lock in found]

    def create(self, path: str, lock: dict[str, Any]) -> dict[str, Any]:
        """Make a lock, and return *lock* with its root, token and timeout.

        :raises wsgidav.dav_error.DAVError: 423 if another lock conflicts with it
        """
        timeout = _bounded(lock["timeout"])
        lock |= {"root": normalize_lock_root(path), "token": generate_lock_token(), "timeout": timeout}
        owner = owner_of(self._options, request, lock["principal"])
        stored = {**lock, "expires": self._expires(timeout), "client": owner}

        def change(locks: _Locks) -> Iterable[Lock]:
            others = [other for other in locks if other["token"] != lock["token"]]
            _check_room(others, lock["root"], owner)
            if conflicting := [other["root"] for other in others if _conflict(lock, other)]:
                condition = DAVErrorCondition(PRECONDITION_CODE_LockConflict)
                for root in conflicting:
                    condition.add_href(root)
                raise DAVError(HTTP_LOCKED, err_condition=condition)
            return [*others, stored]

        self._change(change)
        lock["expire"] = time.time() + timeout
        return lock

    def refresh(self, token: str, *, timeout: float) -> dict[str, Any]:
        """Make a lock expire in *timeout* seconds from now.

        :raises wsgidav.dav_error.DAVError: 412 if it does not exist, or is another user's
        """
        known = self.get(token)
        if known is None or known["principal"] != request.environ["wsgidav.auth.user_name"]:
            raise DAVError(412, "You have no such lock.")
        timeout = _bounded(timeout)
        expires = self._expires(timeout)
        changed = {"timeout": timeout, "expires": expires}
        self._change(lambda locks: [{**lock, **changed} if lock["token"] == token else lock for lock in locks])
        found = self.get(token)
        if found is None:
            raise DAVError(412, "The lock has expired.")
        return found

    def delete(self, token: str) -> bool:
        """Remove a lock; return whether it existed."""
        found = self.get(token) is not None
        if found:
            self._change(lambda locks: [lock for lock in locks if lock["token"] != token])
        return found

    def release(self, urls: Iterable[str]) -> None:
        """Remove the locks on files and folders that were deleted."""
        roots = {normalize_lock_root(url) for url in urls}
        if any(lock["root"] in roots for lock in self._locks()):
            self._change(lambda locks: [lock for lock in locks if lock["root"] not in roots])

    @property
    def known(self) -> _Locks | None:
        """The locks that this request has read, or None."""
        known: _Locks | None = request.environ.get(self._key)
        return known

    @known.setter
    def known(self, locks: _Locks | None) -> None:
        request.environ[self._key] = locks

    def _holds(self, lock: Lock) -> bool:
        """Whether there is the file or folder that is locked; what this request has found is not asked for again."""
        there: set[str] = request.environ.setdefault(f"{self._key}.there", set())
        if (root := lock["root"]) not in there:
            names = {each["root"]: unquote(each["root"])[1:] for each in [lock, *self._locks()]}
            files = self._options.bucket().dav.there(names.values())
            there |= {each for each, name in names.items() if name in files}
            if root not in there and self._options.bucket().dav.exists(f"{names[root]}/"):
                there.add(root)
        return root in there

    @property
    def _by_root(self) -> Mapping[str, _Locks]:
        locks, key = self._locks(), f"{self._key}.by_root"
        kept: tuple[_Locks, dict[str, _Locks]] | None = request.environ.get(key)
        if kept is None or kept[0] is not locks:
            by_root: dict[str, _Locks] = {}
            for lock in locks:
                by_root.setdefault(lock["root"], []).append(lock)
            request.environ[key] = kept = locks, by_root
        return kept[1]

    def _locks(self) -> _Locks:
        if self.known is None:
            self.known = self._options.bucket().dav.locks.all()
        return self.known

    def _change(self, change: Callable[[_Locks], Iterable[Lock]]) -> None:
        self._options.bucket().dav.locks.change(change)
        self.known = None

    def _expires(self, timeout: float) -> Any:
        return self._options.bucket().dav.now() + timedelta(seconds=timeout)

    def _for_wsgidav(self, lock: Lock) -> dict[str, Any]:
        """The lock for WsgiDAV, which needs its expiry by this machine's clock."""
        left = (lock["expires"] - self._options.bucket().dav.now()).total_seconds()
        return {**lock, "expire": time.time() + left}


def active(lock: Mapping[str, Any], root: str) -> Any:
    """Return the ``activelock`` element of a lock as WsgiDAV has it (RFC 4918 section 14.1).

    :param root: the URL of what is locked
    """
    element = etree.Element("{DAV:}activelock")
    for name, kind in (("locktype", lock["type"]), ("lockscope", lock["scope"])):
        etree.SubElement(etree.SubElement(element, f"{{DAV:}}{name}"), f"{{DAV:}}{kind}")
    etree.SubElement(element, "{DAV:}depth").text = lock["depth"]
    if lock["owner"]:
        element.append(string_to_xml(lock["owner"]))
    etree.SubElement(element, "{DAV:}timeout").text = f"Second-{int(lock['expire'] - time.time())}"
    for name, url in (("locktoken", lock["token"]), ("lockroot", root)):
        etree.SubElement(etree.SubElement(element, f"{{DAV:}}{name}"), "{DAV:}href").text = url
    return element


def _check_room(locks: _Locks, root: str, owner: str | None) -> None:
    if owner is not None and sum(lock.get("client") == owner for lock in locks) >= _MAX_OWN:
        text = f"A client has at most {_MAX_OWN} locks: remove one, or try again later."
        raise as_dav_error(TooManyRequests(text, retry_after=60))
    if sum(lock["root"] == root for lock in locks) >= _MAX_SHARED:
        raise QuotaExceeded(f"a file or folder has at most {_MAX_SHARED} locks")


def _bounded(timeout: float | None) -> float:
    return MAX_LOCK_TIMEOUT if timeout is None or not 0 < timeout <= MAX_LOCK_TIMEOUT else timeout


def _conflict(lock: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two locks conflict (RFC 4918 section 6.1)."""
    if lock["scope"] == other["scope"] == "shared":
        return False
    return lock["root"] == other["root"] or _covers(lock, other["root"]) or _covers(other, lock["root"])


def _covers(lock: Mapping[str, Any], path: str) -> bool:
    return lock["depth"] == "infinity" and bool(is_child_uri(lock["root"], path))
