"""The view of both rules: methods, preconditions, and who may do what."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from blinker import Signal
from bson.objectid import ObjectId
from flask import Response, abort, current_app, redirect, request, send_from_directory, url_for
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Response as BaseResponse

from ..http import origin
from ..http.conditions import Outcome, evaluate, last_modified
from ..http.filenames import clean, survives_url
from ..http.headers import IMMUTABLE, cache_control
from ..http.response import sends_all
from ..signals import file_deleted, file_saved
from ..store import StoredFile
from . import links, listings, pages
from .arguments import number, object_id
from .downloads import send
from .options import Options
from .receive import save_body, save_form

_STATIC = Path(__file__).parent.parent / "static"


class Uploads(Options):
    """The view of one blueprint."""

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
        if filename is None and not {"id", "signed"} & request.args.keys():
            return self._listing()
        if "delete" in request.args:
            return self._confirmation(filename)
        if "signed" in request.args:
            return self._linked(filename, request.args["signed"])
        page = "versions" in request.args or "details" in request.args
        file = self._find(filename, "read", first_chunk=not page and sends_all(request))
        if "versions" in request.args:
            found = pages.versions(self.store(), file.filename, number(request.args, "before"))
            return pages.page("versions.html", found, **self.rights(file.filename))
        if "details" in request.args:
            return pages.details(self.store(), file, self.rights(file.filename))
        if "id" in request.args:
            caching = cache_control(IMMUTABLE, public=self.public, immutable=True)
        else:
            caching = cache_control(self.cache_for, public=self.public)
        attach = True if "download" in request.args else None
        return self._send(file, caching, attach)

    def _send(self, file: StoredFile, caching: str, as_attachment: bool | None) -> Response:
        answer = send(
            self.store(), file, cache_control=caching, as_attachment=as_attachment, inline_types=self.inline_types
        )
        return pages.explain(answer) if answer.status_code >= 400 else answer

    def _linked(self, filename: str | None, token: str) -> Response:
        """Answer with what a signed link is good for; the signature stands in for ``authorize``."""
        store = self.store()
        link = links.verify(store.files.full_name, token)
        file = store.get(link.file_id, first_chunk=sends_all(request))
        if file is None or filename not in (None, file.filename):
            abort(404, "There is no such file or version.")
        answer = self._send(file, cache_control(int(link.expires - time.time())), link.as_attachment)
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    def _listing(self) -> Response:
        self.permit("list", request.args.get("folder") or None)
        data = listings.build(self.store(), request.args, self.may)
        return pages.page(
            "listing.html",
            data,
            read_only=self.read_only,
            may_write=not self.read_only,
            max_size=self.max_size,
        )

    def signed_url(
        self, endpoints: str, filename: str, version: int, expires_in: int, as_attachment: bool | None
    ) -> str:
        """Build what :meth:`.PyMongo.uploads_url` documents; *endpoints* is the blueprint's name."""
        store = self.store()
        file = store.find(filename, version)
        if file is None:
            abort(404, "There is no such file or version.")
        if not isinstance(file.id, ObjectId):
            raise ValueError(f"a link needs a file whose _id is an ObjectId, not {type(file.id).__name__}")
        link = links.Link(file.id, as_attachment, int(time.time()) + expires_in)
        signed = links.sign(store.files.full_name, link)
        if survives_url(filename):
            return url_for(f"{endpoints}.file", filename=filename, signed=signed)
        return url_for(f"{endpoints}.index", signed=signed)

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
        self.permit("write", name)
        followed: list[StoredFile | None] = []

        def check(newest: StoredFile | None) -> None:
            _check_preconditions(newest)
            followed.append(newest)

        saved = save_body(request, self.store(), name, max_size=self.max_size, timeout=self.upload_timeout, check=check)
        _tell(file_saved, file=saved)
        fields = {"Content-Location": pages.permanent_url(saved) or "", "ETag": f'"{saved.etag}"'}
        if followed[-1] is None:
            return _empty(201, fields | {"Location": pages.url_of(saved)})
        return _empty(204, fields)

    def _delete(self, filename: str | None) -> Response:
        file = self._find(filename, "delete")
        _check_preconditions(file)
        if "id" in request.args or "version" in request.args:
            deleted = int(self.store().delete(file.id))
        else:
            deleted = self.store().delete_all(file)
        if not deleted:
            abort(404, "It was deleted meanwhile.")
        _tell(file_deleted, file=file, versions=deleted)
        return _empty(204)

    def _post(self, filename: str | None) -> BaseResponse:
        folder = request.args.get("folder", "")
        if "delete" in request.args:
            deleted = self._delete(filename)
            if not pages.is_browser():
                return deleted
            left = filename is not None and self.store().count(filename, limit=1)
            after = url_for(".file", filename=filename, details="") if left else url_for(".index")
            return redirect(after, 303)
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
                permit=lambda name: self.permit("write", name),
                max_size=self.max_size,
                timeout=self.upload_timeout,
                check=_check_preconditions if filename is not None else None,
            )
        for file in saved:
            _tell(file_saved, file=file)
        if pages.is_browser():
            restored = "restore" in request.args
            after = pages.url_of(saved[0], details="") if restored else url_for(".index", folder=folder or None)
            return redirect(after, 303)
        data = {"files": [pages.describe(file) for file in saved]}
        return pages.created(data, pages.url_of(saved[0]) if len(saved) == 1 else None)

    def _find(self, filename: str | None, action: str, *, first_chunk: bool = False) -> StoredFile:
        """The revision that the URL selects, or 404; *action* on its name is permitted, or 403."""
        if filename is not None:
            self.permit(action, filename)
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
        self.permit(action, file.filename)
        return file

    def context(self) -> dict[str, Any]:
        """What every template gets; ``_`` is the one place that all their texts go through."""
        translate = current_app.jinja_env.globals.get("gettext", str)  # Flask-Babel sets it
        return {"title": self.title, "stylesheet": self.stylesheet, "_": translate}


def _tell(signal: Signal, **facts: Any) -> None:
    signal.send(current_app._get_current_object(), **facts)  # type: ignore[attr-defined]


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
