"""Limits per user: the bytes below a prefix of names, by the application's ``quota``.

::

    limit = limit_of(options, "ann/film.mp4", request.content_length)  # aborts with 507 if it does not fit
    with bucket.writer("ann/film.mp4", limit.size) as writer:
        ...

Ask for rights first: a refusal may say how much is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from flask import request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from .options import Rules
from .rights import may
from .texts import Message

T = TypeVar("T")


class Quota(NamedTuple):
    """What the application allows below a prefix of names."""

    prefix: str
    limit: int
    """bytes"""
    used: int
    """bytes"""

    @property
    def left(self) -> int:
        """Bytes."""
        return max(0, self.limit - self.used)


class OverQuota(HTTPException):
    """What does not fit into a quota.

    :param quota: None: the client may not know it
    """

    code = 507

    def __init__(self, quota: Quota | None) -> None:
        self.members = {} if quota is None else quota._asdict()
        text: str = Message("There is no space left for this; nothing was stored.")
        if quota is not None:
            values = {"used": quota.used, "limit": quota.limit}
            text = Message("%(used)s of %(limit)s bytes are used, so this does not fit; nothing was stored.", **values)
        super().__init__(text)


@dataclass(frozen=True)
class Limit:
    """How many bytes an upload may have, by ``max_size`` and by its quota."""

    options: Rules
    quota: Quota | None = None

    @property
    def size(self) -> int | None:
        """Bytes; None: there is no limit."""
        limits = (self.options.max_size, self.quota and self.quota.left)
        return min((limit for limit in limits if limit is not None), default=None)

    def after(self, names_and_lengths: Iterable[tuple[str, int]]) -> Limit:
        """Return the limit after these are stored."""
        if (quota := self.quota) is None:
            return self
        more = sum(length for name, length in names_and_lengths if name.startswith(quota.prefix))
        return replace(self, quota=quota._replace(used=quota.used + more))

    def covers(self, path: str) -> bool:
        """Whether the quota is for *path* and everything below it."""
        return self.quota is not None and path.startswith(self.quota.prefix)

    def check(self, length: int | None) -> None:
        """Abort with 507 if *length* bytes do not fit into the quota; None: they are counted as they arrive."""
        if self.quota is not None and length is not None and length > self.quota.left:
            raise _refusal(self.options, self.quota)

    def refusal(self) -> HTTPException:
        """Return the 413 or 507 for an upload that has more bytes than :attr:`size`."""
        quota, max_size = self.quota, self.options.max_size
        if quota is None or (max_size is not None and max_size <= quota.left):
            return too_large(max_size)
        return _refusal(self.options, quota)


def limit_of(options: Rules, filename: str, most: int | None) -> Limit:
    """Return how many bytes an upload may have.

    :param most: bytes that will come, at most; None: unknown
    """
    if options.quota is None or (quota := _quota_of(options, filename)) is None:
        return Limit(options)
    if most is None or most > quota.left:
        quota = _measured_anew(options, quota)
    return Limit(options, quota)


def check_space(options: Rules, files: Iterable[tuple[str, int]]) -> None:
    """Abort with 507 unless more *files* fit into their quotas: the name and the bytes of each."""
    for quota, lengths in _by_quota(options, files):
        _check(options, quota, sum(lengths))


def check_renames(options: Rules, renames: Iterable[tuple[str, str]]) -> None:
    """Abort with 507 unless all versions of the renamed files fit into the quotas of their new names.

    :param renames: the old and the new name of each; what stays below a prefix needs no more space there
    """
    bucket = options.bucket()
    for quota, names in _by_quota(options, ((new, old) for old, new in renames)):
        length = bucket.bytes_of([name for name in names if not name.startswith(quota.prefix)])
        _check(options, quota, length)
        count(options, quota.prefix, length)


def quota_for(options: Rules, folder: str) -> Quota | None:
    """Return the quota of a folder if the client may add files and may know it, else None.

    :param folder: with a slash at its end; empty: the top
    """
    if options.quota is None or options.read_only or not may(options, "write", folder):
        return None
    try:
        found = _asked(options, folder)
    except HTTPException:  # an upload gets this answer; a page is shown without a quota
        return None
    if found is None or not folder.startswith(found[0]):
        return None
    quota = _used(options, *found)
    return quota if _may_know(options, quota) else None


def count(options: Rules, filename: str, length: int) -> None:
    """Count bytes that this process has stored: what is used is measured once a minute."""
    if options.quota is not None:
        options.bucket().taken.add(filename, length)


def too_large(max_size: int | None) -> RequestEntityTooLarge:
    """Return the 413 for a file of more than *max_size* bytes."""
    return RequestEntityTooLarge(Message("A file may have at most %(size)s bytes; nothing was stored.", size=max_size))


def _asked(options: Rules, filename: str) -> tuple[str, int] | None:
    """Ask the application for a prefix and the bytes below it."""
    match options.quota and options.quota(filename):
        case None:
            return None
        case (str(prefix), int(limit)) if limit >= 0 and not isinstance(limit, bool):
            return prefix, limit
        case found:
            raise ValueError(f"quota must return a prefix and a number of bytes of at least 0, or None, not {found!r}")


def _quota_of(options: Rules, filename: str) -> Quota | None:
    found = _asked(options, filename)
    if found is None:
        return None
    if not filename.startswith(found[0]):
        raise ValueError(f"quota must return a prefix of {filename!r}, not {found[0]!r}")
    return _used(options, *found)


def _used(options: Rules, prefix: str, limit: int) -> Quota:
    return Quota(prefix, limit, options.bucket().taken.below(prefix))


def _measured_anew(options: Rules, quota: Quota) -> Quota:
    """Measure again before a refusal, once in a request: something may have been deleted."""
    measured: set[str] = request.environ.setdefault("flask_gridfs_pymongo.measured", set())
    if quota.prefix in measured:
        return quota
    measured.add(quota.prefix)
    return quota._replace(used=options.bucket().taken.below(quota.prefix, anew=True))


def _check(options: Rules, quota: Quota, length: int) -> None:
    if length > quota.left:
        quota = _measured_anew(options, quota)
    if length > quota.left:
        raise _refusal(options, quota)


def _refusal(options: Rules, quota: Quota) -> OverQuota:
    return OverQuota(quota if _may_know(options, quota) else None)


def _may_know(options: Rules, quota: Quota) -> bool:
    """Whether the client may know how much is stored below the prefix: if it may list that folder."""
    return may(options, "list", quota.prefix[: quota.prefix.rfind("/") + 1] or None)


def _by_quota(options: Rules, things: Iterable[tuple[str, T]]) -> Iterable[tuple[Quota, list[T]]]:
    """Group *things*, each with a name, by the quotas of the names."""
    groups: dict[str, tuple[Quota, list[T]]] = {}
    for name, thing in things if options.quota is not None else ():
        if (quota := _quota_of(options, name)) is not None:
            groups.setdefault(quota.prefix, (quota, []))[1].append(thing)
    return groups.values()
