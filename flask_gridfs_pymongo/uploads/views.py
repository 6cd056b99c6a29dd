"""The view of both rules: methods, preconditions, and who may do what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Response, abort, current_app, redirect, request, send_from_directory, url_for
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as BaseResponse

from ..http import origin
from ..http.conditions import Outcome, evaluate, last_modified
from ..http.filenames import clean
from ..http.headers import IMMUTABLE, cache_control
from ..http.response import sends_all
from ..store import FileStore, StoredFile
from . import listings, pages
from .arguments import number, object_id
from .downloads import send
from .receive import save_body, save_form

Authorize = Callable[[str, "str | None"], Any]

_STATIC = Path(__file__).parent.parent / "static"
_PAGE_SIZE = 100  # versions
_LIMITS = {"max_form_parts": 100, "max_form_memory_size": 128 * 1024}  # less breaks Werkzeug's 64 KiB reads


@dataclass(frozen=True)
class Uploads:
    """The view of one blueprint, and what its application decided; :meth:`.PyMongo.uploads_blueprint` explains each."""

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

    def __post_init__(self) -> None:
        for argument in ("max_size", "max_request_size", "cache_for"):
            value = getattr(self, argument)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise TypeError(f"{argument} must be an int or None, not {value!r}")
            if value is not None and value < 0:
                raise ValueError(f"{argument} must be 0 or more, not {value}")
        if self.authorize is not None and not callable(self.authorize):
            raise TypeError("authorize must be a function of (action, filename)")
        origin.check_trusted(self.trusted_origins)

    def view(self, filename: str | None = None) -> BaseResponse:
        """Answer every request: for one name, or for the root where *filename* is None."""
        if not origin.allowed(request.method, request.headers, request.host, self.trusted_origins):
            abort(403, "Pages of another origin may not change anything here.")
        methods: dict[str, Callable[[str | None], BaseResponse]] = {"GET": self._get, "HEAD": self._get}
        if not self.read_only:
            methods["POST"] = self._post
            if filename is not None:
                methods |= {"PUT": self._put, "DELETE": self._delete}
        if request.method == "OPTIONS":
            return _empty(204, {"Allow": ", ".join([*methods, "OPTIONS"])})
        if request.method not in methods:
            raise MethodNotAllowed([*methods, "OPTIONS"])
        return methods[request.method](filename)

    def _get(self, filename: str | None) -> Response:
        if filename is None and (asset := request.args.get("asset")) is not None:
            return send_from_directory(_STATIC, asset, max_age=3600)
        if filename is None and "id" not in request.args:
            return self._listing()
        if "delete" in request.args:
            return self._confirmation(filename)
        page = "versions" in request.args or "details" in request.args
        file = self._find(filename, "read", first_chunk=not page and sends_all(request))
        if "versions" in request.args:
            return self._versions(file.filename)
        if "details" in request.args:
            return pages.page("details.html", pages.describe(file), **self._rights(file.filename))
        if "id" in request.args:
            caching = cache_control(IMMUTABLE, public=self.public, immutable=True)
        else:
            caching = cache_control(self.cache_for, public=self.public)
        attach = True if "download" in request.args else None
        answer = send(self.store(), file, cache_control=caching, as_attachment=attach)
        return pages.explain(answer) if answer.status_code >= 400 else answer

    def _listing(self) -> Response:
        self._permit("list", request.args.get("folder") or None)
        data = listings.build(self.store(), request.args, self._may)
        return pages.page(
            "listing.html",
            data,
            read_only=self.read_only,
            may_write=not self.read_only,
            max_size=self.max_size,
        )

    def _versions(self, filename: str) -> Response:
        before = number(request.args, "before")
        found = self.store().versions(filename, before, _PAGE_SIZE)
        more = bool(found) and found[-1].number > 0
        data = {
            "filename": filename,
            "versions": [pages.describe(version.file, version=version.number) for version in found],
            "next": pages.versions_url(found[-1].file, found[-1].number) if more else None,
        }
        return pages.page("versions.html", data, **self._rights(filename))

    def _confirmation(self, filename: str | None) -> Response:
        """Ask before a form deletes anything, where a page runs no script."""
        if self.read_only:
            abort(403, "Nothing can be deleted here: the application made it read_only.")
        file = self._find(filename, "delete")
        single = "id" in request.args or "version" in request.args
        versions = 1 if single else self.store().count(file.filename)
        return pages.page("delete.html", pages.describe(file, versions=versions, single=single))

    def _put(self, filename: str | None) -> Response:
        name = _clean_or_400(filename)
        if name != filename:
            abort(400, f"PUT does not rewrite names: this one would be stored as {name!r}.")
        if "Content-Range" in request.headers or "version" in request.args or "id" in request.args:
            abort(400, "PUT stores a whole new version: send it without Content-Range, ?version and ?id.")
        self._permit("write", name)
        followed: list[StoredFile | None] = []

        def check(newest: StoredFile | None) -> None:
            _check_preconditions(newest)
            followed.append(newest)

        saved = save_body(request, self.store(), name, max_size=self.max_size, check=check)
        fields = {"Content-Location": pages.permanent_url(saved) or "", "ETag": f'"{saved.etag}"'}
        if followed[-1] is None:
            return _empty(201, fields | {"Location": pages.url_of(saved)})
        return _empty(204, fields)

    def _delete(self, filename: str | None) -> Response:
        file = self._find(filename, "delete")
        _check_preconditions(file)
        if "id" in request.args or "version" in request.args:
            deleted = self.store().delete(file.id)
        else:
            deleted = self.store().delete_all(file) > 0
        if not deleted:
            abort(404, "It was deleted meanwhile.")
        return _empty(204)

    def _post(self, filename: str | None) -> BaseResponse:
        folder = request.args.get("folder", "")
        if "delete" in request.args:
            deleted = self._delete(filename)
            return redirect(url_for(".index"), 303) if pages.is_browser() else deleted
        if "restore" in request.args:
            file = self._find(filename, "write")
            store = self.store()
            saved = [store.save(file.filename, store.read(file), content_type=file.content_type)]
        else:
            saved = save_form(
                request,
                self.store(),
                filename=None if filename is None else _clean_or_400(filename),
                folder=folder,
                permit=lambda name: self._permit("write", name),
                max_size=self.max_size,
                check=_check_preconditions if filename is not None else None,
            )
        if pages.is_browser():
            return redirect(url_for(".index", folder=folder or None), 303)
        data = {"files": [pages.describe(file) for file in saved]}
        return pages.created(data, pages.url_of(saved[0]) if len(saved) == 1 else None)

    def _find(self, filename: str | None, action: str, *, first_chunk: bool = False) -> StoredFile:
        """The revision that the URL selects, or 404; *action* on its name is permitted, or 403."""
        if filename is not None:
            self._permit(action, filename)
        version, file_id = number(request.args, "version"), object_id(request.args, "id")
        if file_id is not None:
            if version is not None:
                abort(400, "Give ?id or ?version, not both.")
            file = self.store().get(file_id, first_chunk=first_chunk)
        elif filename is None:
            abort(400, "Give ?id.")
        else:
            file = self.store().find(filename, -1 if version is None else version, first_chunk=first_chunk)
        if file is None or filename not in (None, file.filename):
            abort(404, "There is no such file or version.")
        self._permit(action, file.filename)
        return file

    def _permit(self, action: str, filename: str | None) -> None:
        if self.authorize is None and action == "delete":
            abort(403, "Deleting is refused: the application gave uploads_blueprint() no authorize function.")
        if not self._authorized(action, filename):
            abort(403, "This is not permitted.")

    def _may(self, action: str, filename: str | None) -> bool:
        """Like :meth:`_permit`, for what is left out of a page where it is refused."""
        try:
            self._permit(action, filename)
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

    def _rights(self, filename: str) -> dict[str, bool]:
        """Which buttons a page of this name has."""
        writable = not self.read_only
        return {
            "may_write": writable and self._may("write", filename),
            "may_delete": writable and self._may("delete", filename),
        }

    def context(self) -> dict[str, Any]:
        """What every template gets; ``_`` is the one place that all their texts go through."""
        translate = current_app.jinja_env.globals.get("gettext", str)  # Flask-Babel sets it
        return {"title": self.title, "stylesheet": self.stylesheet, "_": translate}

    def limit(self, endpoint: str | None, values: dict[str, Any] | None) -> None:
        """Set the request's limits before anybody, also an application's ``before_request``, parses its form."""
        for name, bound in {"max_content_length": self.max_request_size, **_LIMITS}.items():
            current = getattr(request, name)
            if bound is not None and (current is None or bound < current):
                setattr(request, name, bound)


def _empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    response = current_app.response_class(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response


def _clean_or_400(filename: str | None) -> str:
    cleaned = clean(filename or "")
    if not cleaned:
        abort(400, f"The file name {filename!r} has nothing left when it is cleaned; choose another one.")
    return cleaned


def _check_preconditions(current: StoredFile | None) -> None:
    etag = current.etag if current else None
    modified = last_modified(current.upload_date) if current else None
    if evaluate(request.method, request.headers, etag, modified) is Outcome.FAILED:
        abort(412, "The file is not (or no longer) what the request's preconditions say; nothing was changed.")
