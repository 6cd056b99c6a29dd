"""Flash messages: what an action did, for the next page. They are in a cookie, so that no session is needed.

::

    return flash.redirect(urls.index(), gettext("%(name)s was deleted.", name=filename))
"""

from __future__ import annotations

from urllib.parse import quote, unquote

import flask
from flask import after_this_request, request
from werkzeug.wrappers import Response

from . import urls

_COOKIE = "uploads_notice"
_MAX_TEXT_LENGTH = 300  # characters; in a cookie each may take twelve
_TTL = 60  # seconds


def redirect(url: str, text: str) -> Response:
    """Redirect with 303 to *url*, a page that shows *text* once."""
    response = flask.redirect(url, 303)
    short = text if len(text) <= _MAX_TEXT_LENGTH else text[: _MAX_TEXT_LENGTH - 1] + "…"
    response.set_cookie(
        _COOKIE, quote(short), max_age=_TTL, path=urls.index(), secure=request.is_secure, httponly=True, samesite="Lax"
    )
    return response


def take() -> str:
    """Return the message for this page, once; empty if there is none to show."""
    message = request.cookies.get(_COOKIE)
    if message is None:
        return ""

    @after_this_request
    def forget(response: flask.Response) -> flask.Response:
        response.delete_cookie(_COOKIE, path=urls.index())
        return response

    return unquote(message)
