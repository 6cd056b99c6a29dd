"""Flash messages: what an action did, for the page after it. In a cookie, which needs neither a session nor a script.

::

    return flash.redirect(urls.index(), gettext("%(name)s was deleted.", name=filename))
"""

from __future__ import annotations

from urllib.parse import quote, unquote

import flask
from flask import after_this_request, request
from werkzeug.wrappers import Response

from .. import urls

_COOKIE = "uploads_notice"
_MAX_TEXT_LENGTH = 300  # characters; in a cookie each may take twelve
_TTL = 60  # seconds


def redirect(url: str, text: str) -> Response:
    """Redirect with 303 to *url*, where the page shows *text* once."""
    response = flask.redirect(url, 303)
    short = text if len(text) <= _MAX_TEXT_LENGTH else text[: _MAX_TEXT_LENGTH - 1] + "…"
    response.set_cookie(
        _COOKIE,
        quote(short),
        max_age=_TTL,
        path=urls.index(),
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return response


def take() -> str:
    """Return the text to show on this page, once; empty where there is none."""
    told = request.cookies.get(_COOKIE)
    if told is None:
        return ""

    @after_this_request
    def forget(response: flask.Response) -> flask.Response:
        response.delete_cookie(_COOKIE, path=urls.index())
        return response

    return unquote(told)
