"""A folder: the beginning of names, up to a slash.

It exists if it contains a file that may be read, or if ``base.dav`` remembers it. :mod:`.propfind` and :mod:`.changes`
ask it for its members; WsgiDAV makes new ones, for MKCOL, PUT and LOCK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cached_property, partial
from typing import Any, NamedTuple

from flask import abort, request
from wsgidav.dav_error import HTTP_LOCKED, DAVError
from wsgidav.dav_provider import DAVCollection

from ..service.inspection import inspect
from ..service.operations import after_save, check_preconditions
from ..service.options import Rules
from ..service.quota import Quota, quota_for
from ..service.receive import with_expiry
from ..service.rights import may, permit, visibility_of
from ..store import QuotaExceeded, StoredFile, folders_of
from .files import File
from .names import is_addressable, is_path, storable
from .resource import Resource
from .saves import note

MAX_NAMES = 10_000
"""files and folders in a folder that is listed, or below one that is moved, copied or deleted"""


# RFC 4331 sections 3 and 4; not of the members of a listing, each of which may have a quota of its own
_QUOTA: Mapping[str, Callable[[Quota], int]] = {
    "{DAV:}quota-available-bytes": lambda quota: quota.left,
    "{DAV:}quota-used-bytes": lambda quota: quota.used,
}
_MAX_DATED = 1000  # versions below a folder that are read for its date


class _Listed(NamedTuple):
    remembered: Mapping[str, datetime | None]
    files: list[tuple[str, datetime]]
    """names and dates"""
    last: str | None
    """the last name that was read; None: there are no more"""


class Folder(Resource, DAVCollection):
    """A folder, or the top.

    :param within: the folder that lists it
    """

    def __init__(self, path: str, environ: dict[str, Any], within: Folder | None = None) -> None:
        super().__init__(path, environ)
        self._within = within
        self.marker: StoredFile | None = None
        """the document of another tool that marks this folder, once :meth:`tree` has read it"""
        self._listed: _Listed | None = None

    def members(self) -> list[File | Folder]:
        """Return the files and folders that this one shows.

        :raises QuotaExceeded: if there are more than :data:`MAX_NAMES`
        """
        members = self.first_members(MAX_NAMES + 1)
        if len(members) > MAX_NAMES:
            raise QuotaExceeded(f"a folder of more than {MAX_NAMES} names is not listed")
        return members

    def first_members(self, limit: int) -> list[File | Folder]:
        """Return at most *limit* of the files and folders that this one shows, folders first."""
        top, visible = self.stored_name, visibility_of(self.options)
        permit(self.options, "list", top or None)
        remembered = self._remembered()
        below = {top + path[len(top) :].partition("/")[0] + "/" for path in remembered if path != top}
        folders, files = below, []
        for page in self.options.bucket().pages(prefix=top, folded=True, shown=visible):
            folders.update(page.folders)
            files += [row.file for row in page.rows if is_addressable(row.file)]
            if len(files) + len(folders) >= limit:
                break
        if not folders:  # else what is below them counts, too
            self._listed = _Listed(remembered, [(file.filename, file.upload_date) for file in files], None)
        members: list[File | Folder] = [
            *(Folder(f"/{folder}", self.environ, self) for folder in sorted(folders) if is_path(folder[:-1])),
            *(File(f"/{file.filename}", self.environ, file) for file in files),
        ]
        return members[:limit]

    def tree(self) -> list[Any]:
        """Return this folder and all that is below it, by one listing; a folder comes before its members.

        :raises QuotaExceeded: if there are more than :data:`MAX_NAMES`
        """
        return [self, *sorted(self._below(), key=lambda member: member.path)]

    def _below(self) -> Iterator[File | Folder]:
        top, visible, count = self.stored_name, visibility_of(self.options), 0
        folders = {path for path in self._remembered() if path != top}
        markers: dict[str, StoredFile] = {}
        for page in self.options.bucket().pages(prefix=top, shown=visible):
            markers.update({row.file.filename: row.file for row in page.rows if row.file.marks_folder})
            for file, versions in (row for row in page.rows if is_addressable(row.file)):
                folders.update(folder for folder in folders_of(file.filename) if len(folder) > len(top))
                count += 1
                yield File(f"/{file.filename}", self.environ, file, versions)
            if count + len(folders) + len(markers) > MAX_NAMES:
                raise QuotaExceeded(f"more than {MAX_NAMES} files and folders are not moved, copied or deleted at once")
        self.marker = markers.pop(top, None)
        for path in markers:
            folders.update(folder for folder in folders_of(path) if len(folder) > len(top) and is_path(path[:-1]))
        for path in folders:
            below = Folder(f"/{path}", self.environ)
            below.marker = markers.get(path)
            yield below

    @cached_property
    def _dates(self) -> dict[str, datetime]:
        """The dates of this folder and of those below it: of the newest file that is visible there, or of an empty one.

        Folders of which not all names were read are left out.
        """
        remembered, files, last = self._listed or self._first_below()
        dates = dict[str, datetime]()
        for path, date in [*((path, date) for path, date in remembered.items() if date), *files]:
            for folder in ("", *folders_of(path)):
                dates[folder] = max(date, dates.get(folder, date))
        return {path: date for path, date in dates.items() if last is None or path < last[: len(path)]}

    def _first_below(self) -> _Listed:
        dates, last = self.options.bucket().dates(self.stored_name, _MAX_DATED)
        visible = visibility_of(self.options)
        return _Listed(self._remembered(), [pair for pair in dates if visible.named(pair[0])], last)

    def _remembered(self) -> dict[str, datetime | None]:
        """Return the folders in it, and itself, that are remembered and may be shown, with their dates."""
        found = self.dav.folders(self.stored_name, MAX_NAMES + 1)
        return {path: date for path, date in found.items() if is_shown(self.options, path)}

    # The methods below are called by WsgiDAV.

    def get_property_value(self, name: str) -> Any:
        if name in _QUOTA and self._within is None and (quota := quota_for(self.options, self.stored_name)) is not None:
            return str(_QUOTA[name](quota))
        return super().get_property_value(name)

    def get_last_modified(self) -> float:
        """Return the date of the newest version in it, or the present if it has too many names to tell."""
        date = (self._within or self)._dates.get(self.stored_name)
        return (date or self.dav.now()).timestamp()

    def get_member_names(self) -> None:
        """Never called, but WsgiDAV requires it: it does not answer PROPFIND here."""
        raise NotImplementedError

    def create_collection(self, name: str) -> None:
        folder = storable(self.path + name) + "/"
        permit(self.options, "write", folder)
        self.dav.remember(folder, owner=self.owner)

    def create_empty_resource(self, name: str) -> File:
        """Return a file that a PUT is about to store; for a LOCK store an empty one."""
        made = File(f"/{storable(self.path + name)}", self.environ, None)
        permit(self.options, "write", made.stored_name)
        if request.method == "LOCK":
            self.check_unlocked(again=True)
            if self.provider.lock_manager.get_indirect_url_lock_list(made.get_ref_url()):
                raise DAVError(HTTP_LOCKED)
            options, bucket = self.options, self.options.bucket()
            fields = {**with_expiry(options, {}), **note(self.dav)}
            made.file = bucket.save(
                made.stored_name, [], fields=fields, check=_ensure_free, inspect=partial(inspect, options, bucket)
            )
            after_save(self.options, made.file)
        return made


Member = File | Folder


def is_shown(options: Rules, path: str) -> bool:
    """Whether the client may know of a remembered folder: only who may write or read in it."""
    visible = not visibility_of(options).hidden_folder(path)
    return visible and any(may(options, action, path) for action in ("write", "read"))


def _ensure_free(newest: StoredFile | None) -> None:
    check_preconditions(request.method, request.headers, newest)
    if newest is not None:
        abort(409, "This name is taken.")
