"""A folder for WsgiDAV: what names begin with, up to a slash.

It is there where a file is in it that may be read, or where ``base.dav`` remembers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from flask import abort, request
from wsgidav.dav_error import HTTP_LOCKED, DAVError
from wsgidav.dav_provider import DAVCollection

from ..service.operations import after_save
from ..service.receive import with_expiry
from ..service.rights import permit, visibility_of
from ..signals import file_changed, file_deleted, send
from ..store import Page, QuotaExceeded, StoredFile, folders_of
from .errors import as_dav_error, told
from .files import File
from .names import is_addressable, is_path, storable
from .resource import Resource

MOST_NAMES = 10_000
"""in a folder that is listed, and below one that is moved, copied or deleted"""
_PAGE = 1000  # names
_BATCH = 500  # files


class Folder(Resource, DAVCollection):
    """A folder, or the top."""

    def get_member_names(self) -> list[str]:
        return [member.name for member in self.get_member_list()]

    def get_member_list(self) -> list[File | Folder]:
        """Return the files and folders that this one shows.

        :raises QuotaExceeded: where they are more than :data:`MOST_NAMES`
        """
        top, visible = self.stored_name, visibility_of(self.options)
        permit(self.options, "list", top or None)
        remembered = self.dav.folders(top, MOST_NAMES + 1)
        below = {top + path[len(top) :].partition("/")[0] + "/" for path in remembered if path != top}
        folders, files = {*filter(visible.folder, below)}, []
        for page in self._pages(folded=True):
            folders.update(page.folders)
            files += [row.file for row in page.rows if is_addressable(row.file)]
            if len(files) + len(folders) > MOST_NAMES:
                raise QuotaExceeded(f"a folder of more than {MOST_NAMES} names is not listed")
        self.provider.prop_manager.read_ahead(top, self.environ)
        return [
            *(Folder(f"/{folder}", self.environ) for folder in sorted(folders) if is_path(folder[:-1])),
            *(File(f"/{file.filename}", self.environ, file) for file in files),
        ]

    def get_descendants(self, *, depth: str = "infinity", depth_first: bool = False, **options: Any) -> list[Any]:
        """Return what is in this folder; all that is below it in one walk along the index."""
        if depth != "infinity":
            found: list[Any] = super().get_descendants(depth=depth, depth_first=depth_first, **options)
            return found
        if options.get("add_self") and request.method == "COPY" and self.environ["HTTP_DEPTH"] == "0":
            return [self]  # WsgiDAV asks for all whatever the Depth
        members = sorted(self._below(), key=lambda member: member.path)  # a folder comes before what is in it
        members = [*([self] if options.get("add_self") else []), *members]
        return members[::-1] if depth_first else members

    def _below(self) -> Iterator[File | Folder]:
        top, visible, count = self.stored_name, visibility_of(self.options), 0
        remembered = self.dav.folders(top, MOST_NAMES + 1)
        folders = {path for path in remembered if path != top and not visible.hidden_folder(path)}
        for page in self._pages(folded=False):
            for file, versions in (row for row in page.rows if is_addressable(row.file)):
                folders.update(folder for folder in folders_of(file.filename) if len(folder) > len(top))
                count += 1
                yield File(f"/{file.filename}", self.environ, file, versions)
            if count + len(folders) > MOST_NAMES:
                raise QuotaExceeded(
                    f"more than {MOST_NAMES} files and folders are not moved, copied or deleted at once"
                )
        yield from (Folder(f"/{path}", self.environ) for path in folders)

    def _pages(self, *, folded: bool) -> Iterator[Page]:
        """The names that begin with this folder's path; each page may take the time of one."""
        bucket, visible, after = self.options.bucket(), visibility_of(self.options), None
        while True:
            page = bucket.list(after=after, limit=_PAGE, prefix=self.stored_name, folded=folded, shown=visible)
            yield page
            after = page.next
            if after is None:
                return

    def create_collection(self, name: str) -> None:
        folder = storable(self.path + name) + "/"
        permit(self.options, "write", folder)
        self.dav.remember(folder)

    def create_empty_resource(self, name: str) -> File:
        """Return a file that a PUT is about to store, or store an empty one, for a LOCK."""
        made = File(f"/{storable(self.path + name)}", self.environ, None)
        permit(self.options, "write", made.stored_name)
        if request.method == "LOCK":
            self.ensure_unlocked()
            if self.provider.lock_manager.get_indirect_url_lock_list(made.get_ref_url()):
                raise DAVError(HTTP_LOCKED)
            fields = with_expiry(self.options, {})
            made.file = self.options.bucket().save(made.stored_name, [], fields=fields, check=_ensure_free)
            after_save(self.options, made.file)
        return made

    def support_recursive_delete(self) -> bool:
        return True

    def delete(self) -> list[tuple[str, DAVError]]:
        """Delete all below, and the folder; returns which of them could not be, and why."""
        with told():
            errors: _Errors = {}
            members = self.get_descendants(depth_first=True, add_self=True)
            allowed = _attempt(members, lambda member: permit(self.options, "delete", member.stored_name), errors)
            if errors and request.method != "DELETE":  # WsgiDAV does not look at what is returned, and goes on
                raise next(iter(errors.values()))
            single = [member for member in allowed if isinstance(member, File) and member.versions == 1]
            for start in range(0, len(single), _BATCH):
                self._delete_single(single[start : start + _BATCH])
            others = set(allowed).difference(single)
            _attempt([member for member in allowed if member in others], lambda member: member.remove(), errors)
            self._end(single)
            return [(member.get_href(), error) for member, error in errors.items()]

    def _delete_single(self, files: list[File]) -> None:
        if self.options.bucket().delete_many([file.stored.id for file in files]):
            for file in files:
                send(file_deleted, file=file.stored, versions=1)

    def _end(self, gone: list[File]) -> None:
        """Drop what belonged to files that are gone from below here."""
        with_properties = self.dav.paths_with_properties(self.stored_name)
        for file in gone:
            if file.stored_name in with_properties:
                self.dav.remove_properties(file.stored_name)
        urls, locks = {file.get_ref_url() for file in gone}, self.provider.lock_manager
        for lock in locks.get_url_lock_list(self.get_ref_url(), recursive=True):
            if lock["root"] in urls:
                locks.release(lock["token"])
        self.keep_parent()

    def copy_move_single(self, dest_path: str, *, is_move: bool) -> None:
        with told():
            folder = storable(dest_path) + "/"
            permit(self.options, "write", folder)
            self.dav.remember(folder)
            self.dav.copy_properties(self.stored_name, folder)

    def move_recursive(self, dest_path: str) -> list[tuple[str, DAVError]]:
        """Move the folder and all below; returns which of them could not be, and why."""
        with told():
            errors: _Errors = {}
            new = storable(dest_path) + "/"
            members = self.get_descendants(add_self=True)
            targets = {member: new + member.stored_name[len(self.stored_name) :] for member in members}
            allowed = _attempt(members, lambda member: member.ensure_may_go(targets[member], is_move=True), errors)
            files = [member for member in allowed if isinstance(member, File)]
            moved: list[File] = []
            for start in range(0, len(files), _BATCH):
                moved += self._rename(files[start : start + _BATCH], targets)
            others = set(allowed).difference(moved)
            _attempt(
                [member for member in allowed if member in others],
                lambda member: member.move_to(targets[member]),
                errors,
            )
            self._end(moved)
            return [(member.get_href(), error) for member, error in errors.items()]

    def _rename(self, files: list[File], targets: Mapping[Resource, str]) -> list[File]:
        """Give those of *files* new names that are free; returns them."""
        names = {file.stored_name: targets[file] for file in files}
        renamed = set(self.options.bucket().rename_many(names))
        with_properties = self.dav.paths_with_properties(self.stored_name)
        done = [file for file in files if file.stored_name in renamed]
        for file in done:
            if file.stored_name in with_properties:
                self.dav.copy_properties(file.stored_name, targets[file])
            document = {**file.stored.document, "filename": targets[file]}
            send(file_changed, file=replace(file.stored, filename=targets[file], document=document))
        return done

    def remove(self) -> None:
        permit(self.options, "delete", self.stored_name)
        self.dav.forget(self.stored_name)
        self.free()

    def move_to(self, new: str) -> None:
        self.dav.remember(new)
        self.dav.copy_properties(self.stored_name, new)
        self.dav.forget(self.stored_name)
        self.free()


_Errors = dict[Any, DAVError]


def _attempt(members: Iterable[Any], change: Callable[[Any], None], errors: _Errors) -> list[Any]:
    """Change one after the other; returns those that were. A folder stays where something in it does."""
    changed = []
    for member in members:
        if member.is_collection and any(other.stored_name.startswith(member.stored_name) for other in errors):
            continue
        try:
            change(member)
        except Exception as error:
            errors[member] = as_dav_error(error)
        else:
            changed.append(member)
    return changed


def _ensure_free(newest: StoredFile | None) -> None:
    if newest is not None:
        abort(409, "This name is taken.")
