"""Access control: the application's ``authorize`` function, called once per request for each action and name.

::

    permit(options, "read", "notes.txt")  # aborts with 403 if it is refused

Before a commit it is called again: a body may take an hour, and the right may be withdrawn meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import abort, request, url_for
from werkzeug.exceptions import HTTPException

from ..http.filenames import MAX_CHARACTERS
from ..store import Visibility, folders_of
from .options import Rules


def permit(options: Rules, action: str, filename: str | None, *, again: bool = False) -> None:
    """Abort with 403, or as the application does, if *action* on *filename* is refused.

    :param action: ``list``, ``read``, ``write`` or ``delete``, as in ``authorize``; or ``change`` for a change of a
        stored version: ``authorize`` is asked for ``write``, but without it nobody may
    :param again: call ``authorize`` even if this request has its answer already
    """
    if filename is not None and _is_reserved(filename):
        abort(403, "Names under .well-known are reserved at the root of a host: give uploads_blueprint() a url_prefix.")
    if options.authorize is None:
        if action == "delete":
            abort(403, "Deleting is refused: the application gave uploads_blueprint() no authorize function.")
        if action == "change":
            abort(
                403,
                "Changing what is stored is refused: the application gave uploads_blueprint() no authorize function.",
            )
        return
    action = "write" if action == "change" else action
    # Not flask.g: an application context may outlive the request.
    decided = request.environ.setdefault("flask_gridfs_pymongo.authorized", {})
    key = id(options), action, filename
    if again or key not in decided:
        decided[key] = bool(options.authorize(action, filename))
    if not decided[key]:
        abort(403, "This is not permitted.")


def _is_reserved(filename: str) -> bool:
    """Whether this URL speaks for the owner of the host (RFC 8615), for example to a certificate authority."""
    if filename.partition("/")[0] != ".well-known":
        return False
    return (url_for(".index") if request.blueprint else f"{request.script_root}/") == "/"


def may(options: Rules, action: str, filename: str | None) -> bool:
    """Whether *action* on *filename* is permitted: :func:`permit` without the error."""
    try:
        permit(options, action, filename)
    except HTTPException:
        return False
    return True


def listable(options: Rules, path: str) -> str | None:
    """Return the nearest folder above *path* that may be listed; empty: the top; None: no folder may."""
    above = ["", *folders_of(path[:MAX_CHARACTERS])]
    return next((folder for folder in reversed(above) if may(options, "list", folder or None)), None)


def visibility_of(options: Rules) -> Visibility:
    """Return what a listing may show: files that may be read, in folders that may be listed."""
    return Visibility(partial(may, options, "read"), partial(may, options, "list"))


def buttons(options: Rules, filename: str) -> dict[str, Any]:
    """Return which buttons the pages of this name have."""
    writable = not options.read_only
    return {
        "may_write": writable and may(options, "write", filename),
        "may_change": writable and may(options, "change", filename),
        "may_delete": writable and may(options, "delete", filename),
    }
