"""What an application decided for a blueprint, and whom that lets do what."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from flask import abort, request
from werkzeug.exceptions import HTTPException

from ..http import origin
from ..http.headers import check_inline_types
from ..store import FileStore

Authorize = Callable[[str, "str | None"], Any]

_LIMITS = {"max_form_parts": 100, "max_form_memory_size": 128 * 1024}  # less breaks Werkzeug's 64 KiB reads


@dataclass(frozen=True)
class Options:
    """The arguments of :meth:`.PyMongo.uploads_blueprint`, which explains each; checked."""

    store: Callable[[], FileStore]
    authorize: Authorize | None
    read_only: bool
    max_size: int | None
    max_request_size: int | None
    cache_for: int | None
    public: bool
    trusted_origins: Collection[str]
    title: str
    stylesheet: str | None
    inline_types: Collection[str]
    upload_timeout: float | None

    def __post_init__(self) -> None:
        for argument in ("max_size", "max_request_size", "cache_for"):
            value = getattr(self, argument)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise TypeError(f"{argument} must be an int or None, not {value!r}")
            if value is not None and value < 0:
                raise ValueError(f"{argument} must be 0 or more, not {value}")
        if self.upload_timeout is not None and not self.upload_timeout > 0:
            raise ValueError(
                f"upload_timeout must be a number of seconds above 0, or None, not {self.upload_timeout!r}"
            )
        check_inline_types(self.inline_types)
        if self.authorize is not None and not callable(self.authorize):
            raise TypeError("authorize must be a function of (action, filename)")
        origin.check_trusted(self.trusted_origins)

    def permit(self, action: str, filename: str | None) -> None:
        """Abort with 403, or as the application wants, where *action* on *filename* is refused."""
        if self.authorize is None and action == "delete":
            abort(403, "Deleting is refused: the application gave uploads_blueprint() no authorize function.")
        if not self._authorized(action, filename):
            abort(403, "This is not permitted.")

    def may(self, action: str, filename: str | None) -> bool:
        """Like :meth:`permit`, for what is left out of a page where it is refused."""
        try:
            self.permit(action, filename)
        except HTTPException:
            return False
        return True

    def _authorized(self, action: str, filename: str | None) -> bool:
        """Ask the application, once in a request for each action and name."""
        if self.authorize is None:
            return True
        # Not flask.g: an application context may outlive the request.
        decided = request.environ.setdefault("flask_gridfs_pymongo.authorized", {})
        key = id(self), action, filename
        if key not in decided:
            decided[key] = bool(self.authorize(action, filename))
        return bool(decided[key])

    def rights(self, filename: str) -> dict[str, bool]:
        """Which buttons a page of this name has."""
        writable = not self.read_only
        return {
            "may_write": writable and self.may("write", filename),
            "may_delete": writable and self.may("delete", filename),
        }

    def limit(self, endpoint: str | None, values: dict[str, Any] | None) -> None:
        """Set the request's limits before anybody, also an application's ``before_request``, parses its form."""
        for name, bound in {"max_content_length": self.max_request_size, **_LIMITS}.items():
            current = getattr(request, name)
            if bound is not None and (current is None or bound < current):
                setattr(request, name, bound)
