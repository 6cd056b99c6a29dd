"""What files and folders have in common for WsgiDAV."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import abort, request
from wsgidav.dav_provider import DAVProvider

from ..service.options import Rules
from ..service.rights import may, permit
from ..store import MOST_PROPERTIES, Dav, parent_of
from .errors import told
from .locks import LockStorage
from .names import storable

_LONGEST_NAMES = 4000  # characters of all properties that are asked for


class BucketProvider(DAVProvider):
    """A provider that knows what the application decided."""

    def __init__(self, options: Rules, locks: LockStorage) -> None:
        super().__init__()
        self.options, self.locks = options, locks
        self.verbose = 0  # else it prints tracebacks

    def is_readonly(self) -> bool:
        return self.options.read_only


class Resource:
    """A file or folder of a bucket, for one request."""

    path: str
    environ: dict[str, Any]
    provider: BucketProvider
    _changes = 0  # of properties

    @property
    def options(self) -> Rules:
        return self.provider.options

    @property
    def dav(self) -> Dav:
        return self.options.bucket().dav

    @property
    def stored_name(self) -> str:
        """A file's name, a folder's path with a slash at its end, or empty for the top."""
        return self.path[1:]

    def get_href(self) -> str:
        """Return the URL; the application may live elsewhere in the next request."""
        return quote(request.script_root + self.path, safe="/!*'(),$-_|.")

    def prevent_locking(self) -> bool:
        """Whether the client may not lock it: only who may write may lock."""
        return not self.stored_name or not may(self.options, "write", self.stored_name)

    def set_property_value(self, name: str, value: Any, *, dry_run: bool = False) -> None:
        with told():
            if not self.stored_name:
                abort(403, "The top has no properties of its own.")
            permit(self.options, "write", self.stored_name)
            self._changes += dry_run
            if self._changes > MOST_PROPERTIES:
                abort(400, f"Change at most {MOST_PROPERTIES} properties at once.")
            super().set_property_value(name, value, dry_run=dry_run)  # type: ignore[misc]

    def get_properties(self, mode: str, *, name_list: list[str] | None = None) -> list[tuple[str, Any]]:
        asked = name_list or []
        # Each of perhaps 10,000 files tells them.
        if len(asked) > MOST_PROPERTIES or sum(map(len, asked)) > _LONGEST_NAMES:
            abort(400, f"Ask for at most {MOST_PROPERTIES} properties of {_LONGEST_NAMES} characters in all.")
        found: list[tuple[str, Any]] = super().get_properties(mode, name_list=name_list)  # type: ignore[misc]
        return found

    def ensure_unlocked(self) -> None:
        """Look once more, just before something is stored: a lock may have been made since WsgiDAV looked.

        :raises wsgidav.dav_error.DAVError: 423
        """
        self.provider.locks.refreshed()
        self.provider.lock_manager.check_write_permission(
            url=self.get_ref_url(),  # type: ignore[attr-defined]
            depth="0",
            token_list=self.environ["wsgidav.ifLockTokenList"],
            principal=self.environ["wsgidav.user_name"],
        )

    def support_recursive_move(self, dest_path: str) -> bool:
        return True

    def handle_copy(self, dest_path: str, *, depth_infinity: bool) -> bool:
        self.ensure_replaces(dest_path, is_move=False)
        return False

    def handle_move(self, dest_path: str) -> bool:
        self.ensure_replaces(dest_path, is_move=True)
        return False

    def ensure_replaces(self, dest_path: str, *, is_move: bool) -> None:
        """Look before WsgiDAV deletes what is at *dest_path*: it would be gone though nothing took its place."""
        with told():
            own, new = self.stored_name.removesuffix("/"), storable(dest_path)
            if f"{own}/".startswith(f"{new}/") or f"{new}/".startswith(f"{own}/"):
                abort(403, "Nothing goes onto itself, into itself, or onto a folder that it is in.")
            if self.provider.get_resource_inst(dest_path, self.environ):
                for member in self.get_descendants(add_self=True):  # type: ignore[attr-defined]
                    member.ensure_may_go(new + member.stored_name[len(own) :], is_move=is_move)

    def ensure_may_go(self, new: str, *, is_move: bool) -> None:
        """Refuse a copy or move to *new* that is not permitted, or not to a clean name; a move also deletes here."""
        if is_move:
            permit(self.options, "delete", self.stored_name)
        permit(self.options, "write", new)
        storable(new)

    def remove(self) -> None:
        """Delete this one alone."""
        raise NotImplementedError

    def move_to(self, new: str) -> None:
        """Give this one alone another name; it is movable there."""
        raise NotImplementedError

    def free(self) -> None:
        """Drop the properties and locks of a path that nothing is at any more."""
        self.remove_all_properties(recursive=True)  # type: ignore[attr-defined]
        self.remove_all_locks(recursive=False)  # type: ignore[attr-defined]

    def keep_parent(self) -> None:
        """Keep the folder that this was in, though it may be empty now."""
        self.dav.remember(parent_of(self.stored_name))
