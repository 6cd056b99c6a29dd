"""Flash messages: what an action did, for the next page. They are in a cookie, so that no session is needed.

::

    return flash.redirect(urls.index(), gettext("%(name)s was deleted.", name=filename))
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, unquote

import flask
from flask import after_this_request, request
from werkzeug.wrappers import Response

from . import urls

_COOKIE = "uploads_notice"
_MAX_TEXT_LENGTH = 300  # characters; in a cookie each may take twelve
_TTL = 60  # seconds


class Notice(NamedTuple):
    """A message for a page; both are empty without one."""

    text: str = ""
    deleted: str = ""
    """the date of the deletion that it tells of, which can be undone"""


def redirect(url: str, text: str, deleted: datetime | None = None) -> Response:
    """Redirect with 303 to *url*, a page that shows *text* once.

    :param deleted: when a deletion was that put something into the trash; the page can undo it
    """
    response = flask.redirect(url, 303)
    short = text if len(text) <= _MAX_TEXT_LENGTH else text[: _MAX_TEXT_LENGTH - 1] + "…"
    value = "&".join(map(quote, Notice(short, deleted.isoformat(timespec="milliseconds") if deleted else "")))
    response.set_cookie(
        _COOKIE, value, max_age=_TTL, path=urls.index(), secure=request.is_secure, httponly=True, samesite="Lax"
    )
    return response


def take() -> Notice:
    """Return the message for this page, once."""
    message = request.cookies.get(_COOKIE)
    if message is None:
        return Notice()

    @after_this_request
    def forget(response: flask.Response) -> flask.Response:
        response.delete_cookie(_COOKIE, path=urls.index())
        return response

    return Notice(*map(unquote, message.split("&", 1)))
