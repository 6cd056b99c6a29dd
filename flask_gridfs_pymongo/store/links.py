"""Links, in ``base.links``: who has one uses a folder or a file without a login, within its limits.

The database has the hash of a link's token, so that nobody can use what is read there::

    link = bucket.links.create("upload", "inbox/", "uploads", lifetime=86_400, max_files=5)
    bucket.links.find(link.token).status  # "valid"
    if bucket.links.take(link, [file_id]):  # one of the five, just before the commit of a file
        commit()
        bucket.links.settle(link, [file_id])

What is taken is counted when its files are stored, and given back when they are not. If a process dies in between,
:data:`TAKEN_TTL` later the next one who needs a place looks whether its files are stored.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from .clock import aware
from .collections import Collections
from .indexes import Index
from .listing.names import beginning_with
from .retry import retry

TAKEN_TTL = timedelta(minutes=10)
"""how long a commit may take; afterwards its files are stored, or never will be"""
EXPIRED_TTL = timedelta(days=7)
"""how long an expired link is remembered"""
LINK_INDEXES = (Index("links", [("expires", ASCENDING)], {"expireAfterSeconds": int(EXPIRED_TTL.total_seconds())}),)
_TOKEN_BYTES = 24
_FIELDS = ("kind", "path", "blueprint", "created", "expires", "max_size", "max_files", "types", "maker")
Kind = Literal["upload", "share", "put"]
"""``upload``: adds files to a folder; ``share``: reads a folder or a file; ``put``: stores one file under one name"""
Status = Literal["valid", "revoked", "expired", "used up"]


@dataclass(frozen=True)
class Link:
    """A link."""

    id: str
    """by which it is revoked; the token cannot be found from it"""
    kind: Kind
    path: str
    """a folder with a slash at its end, or the name of a file; empty: the top"""
    blueprint: str
    """the name of the blueprint that it is for"""
    created: datetime
    """in UTC"""
    expires: datetime
    """in UTC"""
    max_size: int | None = None
    """bytes in a file; None: no limit of its own"""
    max_files: int | None = None
    """files in all; None: no limit"""
    types: tuple[str, ...] | None = None
    """media types that files may have; None: no limit of its own"""
    maker: str | None = None
    """who made it, as the application says"""
    files: int = 0
    """how many came through it"""
    status: Status = "valid"
    """by the database server's clock when it was read; ``used up``: it has no place left"""
    token: str = field(default="", compare=False, repr=False)
    """for :meth:`Links.find`; only :meth:`Links.create` returns it"""

    def facts(self) -> dict[str, Any]:
        """Return all but the token, for JSON."""
        dates = {name: getattr(self, name).isoformat(timespec="milliseconds") for name in ("created", "expires")}
        return {name: value for name, value in vars(self).items() if name != "token"} | dates


class Links:
    """The links of one bucket: ``mongo.bucket().links``."""

    def __init__(self, collections: Collections) -> None:
        self._collection, self._files = collections.links, collections.primary.files
        self._indexes, self._clock = collections.indexes, collections.clock

    def create(
        self,
        kind: Kind,
        path: str,
        blueprint: str,
        *,
        lifetime: float,
        max_size: int | None = None,
        max_files: int | None = None,
        types: Collection[str] | None = None,
        maker: str | None = None,
    ) -> Link:
        """Make a link; the parameters are the fields of :class:`Link`.

        :param lifetime: seconds
        """
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock.now()
        link = Link(
            id=id_of(token),
            kind=kind,
            path=path,
            blueprint=blueprint,
            created=now,
            expires=now + timedelta(seconds=lifetime),
            max_size=max_size,
            max_files=max_files,
            types=None if types is None else tuple(types),
            maker=maker,
            token=token,
        )
        self._store(link)
        return link

    def find(self, token: str) -> Link | None:
        """Return the link with this *token*, or None."""
        return self.get(id_of(token))

    def signed(
        self,
        token: str,
        path: str,
        blueprint: str,
        expires: datetime,
        max_size: int | None,
        types: Collection[str] | None,
    ) -> Link:
        """Return the link ``put`` with this *token*, which is stored when it is used; the parameters are its fields."""
        now = self._clock.now()
        return self.find(token) or Link(
            id=id_of(token),
            kind="put",
            path=path,
            blueprint=blueprint,
            created=now,
            expires=expires,
            max_size=max_size,
            max_files=1,
            types=None if types is None else tuple(types),
            status="expired" if expires <= now else "valid",
        )

    def get(self, link_id: str) -> Link | None:
        """Return the link with this id, or None."""
        document = self._read(link_id)
        if document is not None and document["left"] <= 0 and self._resolve_old(document):
            document = self._read(link_id)
        return self._link(document) if document else None

    def list(self, path: str = "", *, exact: bool = False, limit: int = 0) -> Sequence[Link]:
        """Return the valid links to what begins with *path*, or with *exact* to *path* itself, in order of their paths.

        :param limit: how many, at most; 0: all
        """
        valid: dict[str, Any] = {"expires": {"$gt": self._clock.now()}, "revoked": None, "kind": {"$ne": "put"}}
        found = {**valid, "path": path if exact else beginning_with(path)}
        order = [("path", ASCENDING), ("created", ASCENDING)]
        documents = retry(self._collection, lambda: [*self._collection.find(found).sort(order).limit(limit)])
        return [self._link(document) for document in documents]

    def revoke(self, link_id: str) -> bool:
        """Make a link useless from now on; return False if no link has this id."""
        return self._changed({"_id": link_id}, {"$set": {"revoked": self._clock.now()}})

    def take(self, link: Link, ids: Sequence[Any]) -> bool:
        """Take places for the files *ids*, which are about to be committed: all of them or none.

        :return: False if so many are not left, or the link was revoked or has expired; :meth:`get` tells which
        """
        if link.kind == "put":
            self._store(link)
        now, wanted = self._clock.now(), len(ids)
        usable = {"_id": link.id, "revoked": None, "expires": {"$gt": now}}
        free = {**usable, "left": {"$gte": wanted}, "taken.id": {"$nin": [*ids]}}
        places = [{"id": file_id, "at": now} for file_id in ids]
        change = {"$inc": {"left": -wanted}, "$push": {"taken": {"$each": places}}}
        if self._changed(free, change):
            return True
        document = self._read(link.id)
        if document is None or self._link(document).status in ("revoked", "expired"):
            return False
        if {*ids} <= {place["id"] for place in document["taken"]}:  # by an attempt whose answer was lost
            return True
        return self._resolve_old(document) and self._changed(free, change)

    def settle(self, link: Link, ids: Sequence[Any]) -> None:
        """Count the files *ids*, whose places were taken: they are stored."""
        self._release(link.id, ids, "files")

    def resolve(self, link_id: str, ids: Sequence[Any]) -> None:
        """Count those of the files *ids* that are stored, and give the places of the others back."""
        selection = {"_id": {"$in": [*ids]}}
        stored = {found["_id"] for found in retry(self._files, lambda: [*self._files.find(selection, {"_id": 1})])}
        self._release(link_id, [file_id for file_id in ids if file_id in stored], "files")
        self._release(link_id, [file_id for file_id in ids if file_id not in stored], "left")

    def _release(self, link_id: str, ids: Sequence[Any], counter: Literal["files", "left"]) -> None:
        if ids:
            taken = {"_id": link_id, "taken.id": {"$all": ids}}
            self._changed(taken, {"$pull": {"taken": {"id": {"$in": ids}}}, "$inc": {counter: len(ids)}})

    def _resolve_old(self, document: Mapping[str, Any]) -> bool:
        """Resolve the places that processes left behind; return whether there were any."""
        before = self._clock.now() - TAKEN_TTL
        old = [place["id"] for place in document["taken"] if aware(place["at"]) < before]
        self.resolve(document["_id"], old)
        return bool(old)

    def _changed(self, selection: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
        return bool(retry(self._collection, lambda: self._collection.update_one(selection, change)).matched_count)

    def _store(self, link: Link) -> None:
        """Store a link unless it is there already."""
        self._indexes.ensure(LINK_INDEXES)
        left = math.inf if link.max_files is None else link.max_files
        fields = {name: getattr(link, name) for name in _FIELDS}
        document = {**fields, "revoked": None, "files": 0, "left": left, "taken": []}
        with suppress(DuplicateKeyError):  # another request stored it at this moment
            retry(
                self._collection,
                lambda: self._collection.update_one({"_id": link.id}, {"$setOnInsert": document}, upsert=True),
            )

    def _read(self, link_id: str) -> dict[str, Any] | None:
        return retry(self._collection, lambda: self._collection.find_one({"_id": link_id}))

    def _link(self, document: Mapping[str, Any]) -> Link:
        fields = {name: document[name] for name in (*_FIELDS, "files")}
        fields |= {name: aware(document[name]) for name in ("created", "expires")}
        fields["types"] = None if document["types"] is None else tuple(document["types"])
        return Link(document["_id"], **fields, status=self._status(document, fields["expires"]))

    def _status(self, document: Mapping[str, Any], expires: datetime) -> Status:
        if document["revoked"] is not None:
            return "revoked"
        if expires <= self._clock.now():
            return "expired"
        return "used up" if document["left"] <= 0 else "valid"


def id_of(token: str) -> str:
    """Return the id of the link with this *token*."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()[:32]
