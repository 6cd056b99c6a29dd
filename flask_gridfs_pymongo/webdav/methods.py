"""Methods answered without WsgiDAV: DELETE, COPY and MOVE, by :mod:`.changes`, UNLOCK, and GET of a folder.

PROPFIND is in :mod:`.propfind`.
"""

from __future__ import annotations

from typing import Any

from flask import Request, abort
from markupsafe import Markup, escape
from werkzeug.exceptions import BadGateway, HTTPException
from werkzeug.wrappers import Response
from wsgidav.dav_error import DAVError, PRECONDITION_CODE_LockTokenMismatch

from ..http import dav
from ..http.headers import NO_PAGE, PAGE
from ..service.rights import permit
from .changes import delete, moved_before, transfer
from .files import File
from .folders import Folder, Member
from .names import spelled
from .propfind import multistatus, response, status

_MAX_LINKS = 1000  # on the page of a folder


def change(current: Request, found: Member) -> Response:
    """Answer DELETE, COPY or MOVE."""
    if not current.path.strip("/"):
        abort(403, "The top cannot be changed.")
    depth, is_copy = current.headers.get("Depth", "infinity").lower(), current.method == "COPY"
    if isinstance(found, Folder) and depth != "infinity" and not (is_copy and depth == "0"):
        abort(400, f"The Depth of {current.method} for a folder is infinity{', or 0' if is_copy else ''}.")
    if current.method == "DELETE":
        if found.environ["CONTENT_LENGTH"] != "0":
            abort(415, "DELETE has no body.")
        replaced, errors = True, delete(found)
    else:
        overwrite = current.headers.get("Overwrite", "T").upper()
        if overwrite not in ("T", "F"):
            abort(400, "Overwrite is T or F.")
        path, deep = _destination(current), depth == "infinity"
        replaced, errors = transfer(found, path, is_move=not is_copy, overwrite=overwrite == "T", deep=deep)
    if [*errors] == [found]:
        raise errors[found]
    if not errors:
        return Response(status=204 if replaced else 201)
    return multistatus(response(member.get_href(), status(error)) for member, error in errors.items())


def repeated_move(current: Request, environ: dict[str, Any]) -> bool:
    """Complete a MOVE that broke off when its source was deleted, and is repeated; return whether there was one."""
    if not (name := spelled(current.path)):
        return False
    try:
        return moved_before(File(f"/{name}", environ, None), _destination(current))
    except (DAVError, HTTPException):  # what is missing is a 404
        return False


def unlock(current: Request, member: Member) -> Response:
    """Remove a lock (RFC 4918 section 9.11); if its file was deleted, so was the lock, which is no error."""
    token, locks = current.headers.get("Lock-Token", "").strip(" <>"), member.provider.lock_manager
    if not token:
        abort(400, "Lock-Token is missing.")
    if member.prevent_locking():
        abort(403, "Only those who may write here may remove a lock.")
    member.check_if()
    if locks.is_url_locked_by_token(member.get_ref_url(), token):
        if not locks.is_token_locked_by_user(token, member.environ["wsgidav.user_name"]):
            abort(403, "This is the lock of another user.")
        locks.release(token)
    elif isinstance(member, Folder) or member.file:
        raise DAVError(409, "It is not locked by this token.", err_condition=PRECONDITION_CODE_LockTokenMismatch)
    return Response(status=204)


def page(current: Request, folder: Folder) -> Response:
    """Return links to what is in a folder: some clients use GET or HEAD to list it, or to see whether it exists."""
    permit(folder.options, "list", folder.stored_name or None)
    members = folder.first_members(_MAX_LINKS) if current.method == "GET" else []
    links = (
        Markup('<li><a href="{}">{}</a>\n').format(
            one.get_href(), one.path.strip("/").rpartition("/")[2] + ("/" if one.is_collection else "")
        )
        for one in members
    )
    title = escape(folder.path)
    content = [
        f"<!DOCTYPE html>\n<meta charset=utf-8>\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n",
        *links,
        "</ul>\n",
    ]
    fields = {**PAGE, "Content-Security-Policy": NO_PAGE}
    # An iterator, so that the answer to a HEAD has no wrong length.
    return Response(iter(content), headers=fields, mimetype="text/html")


def _destination(current: Request) -> str:
    if "Destination" not in current.headers:
        abort(400, "Destination is missing.")
    value, host = as_utf8(current.environ["HTTP_DESTINATION"]), current.headers.get("Host", "")
    try:
        path = dav.destination(value, host, current.script_root)
    except dav.Elsewhere as error:
        raise BadGateway(f"{error}.") from None
    except ValueError as error:
        abort(400, f"Destination is not the URL of a file: {error}.")
    if path == "/":
        abort(403, "The top cannot be changed.")
    return path


def as_utf8(field: str) -> str:
    """Decode a header field in which URLs may be UTF-8, not percent-encoded."""
    try:
        return field.encode("latin-1").decode()
    except UnicodeError:
        abort(400, "A header field is not UTF-8.")
