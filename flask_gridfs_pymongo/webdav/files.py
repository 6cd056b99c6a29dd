"""A file for WsgiDAV: the newest version of a name, found by ``provider.get_resource_inst("/a.txt", environ)``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from flask import Request, abort, request
from wsgidav.dav_error import DAVError
from wsgidav.dav_provider import DAVNonCollection

from ..http.headers import media_type
from ..service.operations import after_save, check_preconditions, rename
from ..service.receive import save_body, save_copy
from ..service.rights import permit
from ..signals import file_deleted, send
from ..store import FileReader, StoredFile
from .errors import told
from .names import storable
from .resource import Resource

_JUST_BEFORE = timedelta(minutes=10)


class File(Resource, DAVNonCollection):
    """A file, or one that is about to be made.

    :param file: its newest version; None before it is stored
    :param versions: how many there are, where that is known
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

    def support_ranges(self) -> bool:
        return True

    def get_property_value(self, name: str) -> Any:
        if name == "{DAV:}getetag":  # WsgiDAV's own has no quotes (RFC 4918 section 15.6)
            return f'"{self.stored.etag}"'
        return super().get_property_value(name)

    def get_content(self) -> FileReader:
        return self.options.bucket().open(id=self.stored.id)

    def begin_write(self, *, content_type: str | None = None) -> _Put:
        return _Put(self)

    def handle_delete(self) -> bool:
        """Delete it here: WsgiDAV then looks whether nothing is at the path, where a folder may be still."""
        with told():
            self.ensure_unlocked()
        self.delete()
        return True

    def delete(self) -> None:
        with told():
            self.remove()
            self.keep_parent()

    def handle_copy(self, dest_path: str, *, depth_infinity: bool) -> bool:
        """Copy onto another file, which gets one more version; returns False where there is none."""
        return self._over_a_file(dest_path, is_move=False)

    def handle_move(self, dest_path: str) -> bool:
        """Move onto another file, which gets one more version and keeps its own; returns False where there is none."""
        return self._over_a_file(dest_path, is_move=True)

    def _over_a_file(self, path: str, *, is_move: bool) -> bool:
        self.ensure_replaces(path, is_move=is_move)
        if not isinstance(self.provider.get_resource_inst(path, self.environ), File):
            return False
        self.copy_move_single(path, is_move=is_move)
        return True

    def move_recursive(self, dest_path: str) -> list[tuple[str, DAVError]]:
        self.copy_move_single(dest_path, is_move=True)
        return []

    def copy_move_single(self, dest_path: str, *, is_move: bool) -> None:
        with told():
            new = storable(dest_path)
            if is_move:
                self.ensure_may_go(new, is_move=True)
                self.move_to(new)
                self.keep_parent()
            else:
                self._copy_to(new)

    def remove(self) -> None:
        permit(self.options, "delete", self.stored_name)
        if deleted := self.options.bucket().delete_all(self.stored):
            send(file_deleted, file=self.stored, versions=deleted)
        self.free()

    def move_to(self, new: str) -> None:
        try:
            rename(self.options, self.stored, new)
        except FileExistsError:
            self._copy_to(new)
            self.remove()
        except FileNotFoundError:
            abort(404, "It was deleted meanwhile.")
        else:
            self.dav.copy_properties(self.stored_name, new)
            self.free()

    def _copy_to(self, new: str) -> None:
        def check(newest: StoredFile | None) -> None:
            if newest is not None and self.environ["HTTP_OVERWRITE"] == "F":
                abort(412, "There is a file already; nothing was changed.")
            File(f"/{new}", self.environ, newest).ensure_unlocked()

        permit(self.options, "write", new)
        after_save(self.options, save_copy(self.options, self.stored, new, check))
        self.dav.copy_properties(self.stored_name, new)


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
        self._resource.ensure_unlocked()


def _is_empty(before: StoredFile, saved: StoredFile) -> bool:
    """Whether *before* is an empty file that was made just before *saved*."""
    return before.length == 0 and before.damage is None and saved.upload_date - before.upload_date < _JUST_BEFORE
