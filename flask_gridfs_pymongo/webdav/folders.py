"""A folder for WsgiDAV: what names begin with, up to a slash.

It is there where a file is in it that may be read, or where ``base.dav`` remembers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import abort, request
from wsgidav.dav_error import HTTP_LOCKED, DAVError
from wsgidav.dav_provider import DAVCollection

from ..store import StoredFile
from ..store.dav import Full
from ..uploads.rights import permit, shown
from ..uploads.writing import stored
from .errors import as_dav_error, told
from .files import File
from .names import folders_of, is_addressable, is_path, storable
from .resource import Resource

MOST_NAMES = 10_000
"""in a folder that is listed, and below one that is moved, copied or deleted"""
_PAGE = 1000  # names


class Folder(Resource, DAVCollection):
    """A folder, or the top."""

    def get_member_names(self) -> list[str]:
        return [member.name for member in self.get_member_list()]

    def get_member_list(self) -> list[File | Folder]:
        """Return the files and folders that this one shows.

        :raises Full: where they are more than :data:`MOST_NAMES`
        """
        top, bucket, visible = self.stored_name, self.options.bucket(), shown(self.options)
        permit(self.options, "list", top or None)
        page = bucket.list(limit=MOST_NAMES, prefix=top, folded=True, shown=visible)
        remembered = self.dav.folders(top, MOST_NAMES + 1)
        below = {top + path[len(top) :].partition("/")[0] + "/" for path in remembered if path != top}
        folders = {*page.folders, *filter(visible.folder, below)}
        if page.next or len(page.rows) + len(folders) > MOST_NAMES:
            raise Full(f"a folder of more than {MOST_NAMES} names is not listed")
        self.provider.prop_manager.read_ahead(top, self.environ)
        files = (row.file for row in page.rows if is_addressable(row.file))
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
        top, bucket, visible = self.stored_name, self.options.bucket(), shown(self.options)
        remembered = self.dav.folders(top, MOST_NAMES + 1)
        folders, names = {path for path in remembered if path != top and not visible.hidden_folder(path)}, 0
        page = bucket.list(limit=_PAGE, prefix=top, shown=visible)
        while True:
            for file in (row.file for row in page.rows if is_addressable(row.file)):
                folders.update(folder for folder in folders_of(file.filename) if len(folder) > len(top))
                names += 1
                yield File(f"/{file.filename}", self.environ, file)
            if names + len(folders) > MOST_NAMES:
                raise Full(f"more than {MOST_NAMES} files and folders are not moved, copied or deleted at once")
            if page.next is None:
                break
            page = bucket.list(after=page.next, limit=_PAGE, prefix=top, shown=visible)
        yield from (Folder(f"/{path}", self.environ) for path in folders)

    def create_collection(self, name: str) -> None:
        folder = storable(self.path + name) + "/"
        permit(self.options, "write", folder)
        self.dav.remember(folder)

    def create_empty_resource(self, name: str) -> File:
        """Return a file that a PUT is about to store, or store an empty one, for a LOCK."""
        made = File(f"/{storable(self.path + name)}", self.environ, None)
        permit(self.options, "write", made.stored_name)
        if request.method == "LOCK":
            if self.provider.lock_manager.get_indirect_url_lock_list(made.get_ref_url()):
                raise DAVError(HTTP_LOCKED)
            made.file = self.options.bucket().save(made.stored_name, [], check=_ensure_free)
            stored(self.options, made.file)
        return made

    def support_recursive_delete(self) -> bool:
        return True

    def delete(self) -> list[tuple[str, DAVError]]:
        """Delete all below, and the folder; returns which of them could not be, and why."""
        with told():
            members = self.get_descendants(depth_first=True, add_self=True)
            if request.method != "DELETE":  # WsgiDAV does not look at what is returned, and goes on
                for member in members:
                    permit(self.options, "delete", member.stored_name)
            errors = _errors(members, lambda member: member.remove())
            self.keep_parent()
            return errors

    def copy_move_single(self, dest_path: str, *, is_move: bool) -> None:
        with told():
            folder = storable(dest_path) + "/"
            permit(self.options, "write", folder)
            self.dav.remember(folder)
            self.dav.copy_properties(self.stored_name, folder)

    def move_recursive(self, dest_path: str) -> list[tuple[str, DAVError]]:
        """Move the folder and all below; returns which of them could not be, and why."""
        with told():
            new, length = storable(dest_path) + "/", len(self.stored_name)
            members = self.get_descendants(add_self=True)
            errors = _errors(members, lambda member: member.move_to(new + member.stored_name[length:]))
            self.keep_parent()
            return errors

    def remove(self) -> None:
        permit(self.options, "delete", self.stored_name)
        self.dav.forget(self.stored_name)
        self.free()

    def move_to(self, new: str) -> None:
        permit(self.options, "delete", self.stored_name)
        permit(self.options, "write", new)
        self.dav.remember(new)
        self.dav.copy_properties(self.stored_name, new)
        self.dav.forget(self.stored_name)
        self.free()


def _errors(members: Iterable[File | Folder], change: Callable[[File | Folder], None]) -> list[tuple[str, DAVError]]:
    """Change one after the other; a folder stays where something in it does."""
    errors: list[tuple[str, DAVError]] = []
    stay: set[str] = set()
    for member in members:
        if member.stored_name in stay:
            continue
        try:
            change(member)
        except Exception as error:
            errors.append((member.get_href(), as_dav_error(error)))
            stay.update(folders_of(member.stored_name))
    return errors


def _ensure_free(newest: StoredFile | None) -> None:
    if newest is not None:
        abort(409, "This name is taken.")
