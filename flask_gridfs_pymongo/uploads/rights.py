"""Who may do what: the application's ``authorize`` function, asked once in a request for each action and name.

::

    permit(options, "read", "notes.txt")  # goes on, or aborts with 403
"""

from __future__ import annotations

from functools import partial

from flask import abort, request
from werkzeug.exceptions import HTTPException

from ..store.listing import Shown
from .options import Options


def permit(options: Options, action: str, filename: str | None) -> None:
    """Abort with 403, or as the application wants, where *action* on *filename* is refused."""
    if options.authorize is None:
        if action == "delete":
            abort(403, "Deleting is refused: the application gave uploads_blueprint() no authorize function.")
        return
    # Not flask.g: an application context may outlive the request.
    decided = request.environ.setdefault("flask_gridfs_pymongo.authorized", {})
    key = id(options), action, filename
    if key not in decided:
        decided[key] = bool(options.authorize(action, filename))
    if not decided[key]:
        abort(403, "This is not permitted.")


def may(options: Options, action: str, filename: str | None) -> bool:
    """Like :func:`permit`, for what is left out of a page where it is refused."""
    try:
        permit(options, action, filename)
    except HTTPException:
        return False
    return True


def shown(options: Options) -> Shown:
    """What a listing may show: files that may be read, in folders that may be listed."""
    return Shown(partial(may, options, "read"), partial(may, options, "list"))


def buttons(options: Options, filename: str) -> dict[str, bool]:
    """Which buttons a page of this name has."""
    writable = not options.read_only
    return {
        "may_write": writable and may(options, "write", filename),
        "may_delete": writable and may(options, "delete", filename),
    }
