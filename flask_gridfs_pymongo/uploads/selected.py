"""``POST /?delete``: what a form does with several files that somebody selected in the listing.

Its ``id`` fields name revisions; each stands for its name with all versions. A person is asked first, by a page whose
form sends the same with the field ``sure``.
"""

from __future__ import annotations

from flask import Request, abort, current_app, url_for
from werkzeug.wrappers import Response

from ..signals import file_deleted
from ..store import StoredFile
from . import notices, pages
from .arguments import file_id
from .listings import kept
from .options import Options
from .rights import permit
from .texts import ngettext

_MOST = 1000  # files


def delete(options: Options, request: Request) -> Response:
    """Delete all versions of the files that the form names; all of them are permitted before the first one goes."""
    bucket = options.bucket()
    files = _files(options, request)
    for file in files:
        permit(options, "delete", file.filename)
    if pages.is_browser() and "sure" not in request.form:
        named = [pages.identify(file, key=file.key) for file in files]
        return pages.page("selected.html", {"files": named}, kept=kept(request.args))
    for file in files:
        if count := bucket.delete_all(file):
            app = current_app._get_current_object()  # type: ignore[attr-defined]
            file_deleted.send(app, file=file, versions=count)
    if not pages.is_browser():
        return pages.empty(204)
    text = ngettext("%(num)s file was deleted.", "%(num)s files were deleted.", len(files))
    return notices.redirect(url_for(".index", **kept(request.args)), text)


def _files(options: Options, request: Request) -> list[StoredFile]:
    bucket = options.bucket()
    keys = request.form.getlist("id")
    if not 1 <= len(keys) <= _MOST:
        abort(400, "Select at least one file, and not more than 1000.")
    found = [bucket.get(file_id({"id": key}, "id", bucket)) for key in dict.fromkeys(keys)]
    files = {file.filename: file for file in found if file}
    if not files:
        abort(404, "There is no such file or version.")
    return list(files.values())
