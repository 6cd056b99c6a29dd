"""Changes to the metadata of a stored file: PATCH, and ``POST /NAME?metadata`` with the form of its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Request, Response, abort
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.wrappers import Response as BaseResponse

from ...http.metadata import PATCH_TYPE, Value
from ...service.bodies import read_all, small_form
from ...service.options import Options
from ...service.receive import or_400
from ...service.rights import may, permit
from ...service.texts import Message, gettext
from ...signals import file_changed, send
from ...store import StoredFile
from ..pages import flash, urls
from ..pages import render as pages
from ..read.listing import listing_query
from ..selection import check_again, select
from ..target import Target

_MAX_BODY_BYTES = 256 * 1024  # of a patch, or of a form


class _NoPatch(UnsupportedMediaType):
    def get_headers(self, *arguments: Any, **options: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*arguments, **options), ("Accept-Patch", PATCH_TYPE)]


def patch(options: Options, request: Request, target: Target) -> BaseResponse:
    """Apply a JSON merge patch (RFC 7396) to the metadata of a version.

    Preconditions are about the version's content, whose entity tag does not change (RFC 5789, RFC 9110 section 13).
    """
    file = select(options, request, target, "change")
    if request.mimetype != PATCH_TYPE:
        raise _NoPatch(
            Message("PATCH takes %(type)s: an object of metadata keys and their new values.", type=PATCH_TYPE)
        )
    body = read_all(request, _MAX_BODY_BYTES)
    changed = _change(options, request, target, file, or_400(options.keys.of_patch, body))
    return _changed(options, changed)


def edit(options: Options, request: Request, target: Target) -> BaseResponse:
    """Change the metadata by the form of a file's page: its fields are keys, and an empty one removes its key."""
    file = select(options, request, target, "change")
    form = small_form(request, _MAX_BODY_BYTES)
    changed = _change(options, request, target, file, or_400(options.keys.of_edit, form.items(multi=True)))
    if pages.is_browser():
        query = {"details": "", "id": target.id, "version": target.version, **listing_query(request.args)}
        url = urls.index(query) if target.name is None else urls.file(target.name, query)
        return flash.redirect(url, gettext("Saved."))
    return _changed(options, changed)


def _change(
    options: Options, request: Request, target: Target, file: StoredFile, changes: Mapping[str, Value | None]
) -> StoredFile:
    permit(options, "change", file.filename, again=True)
    check_again(options, request, target, file)
    try:
        changed = options.bucket().update_metadata(file, changes)
    except FileNotFoundError:
        abort(404, "The file was deleted meanwhile.")
    except TypeError as error:
        abort(409, Message("Nothing was changed: %(error)s.", error=error))
    if changes:
        send(file_changed, file=changed)
    return changed


def _changed(options: Options, file: StoredFile) -> Response:
    """Describe the changed file in the response, if the client may read it."""
    if may(options, "read", file.filename):
        return pages.json_of(pages.describe_one(options.bucket(), file))
    return pages.empty(204)
