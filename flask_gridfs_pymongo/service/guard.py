"""Checks of every request, and header fields of every response, of the blueprint and of the network drive.

::

    check_encoding(request)
    check_origin(request)
    guard(request, response)
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from flask import Request, abort
from werkzeug.wrappers import Response

from ..http import origin
from ..http.headers import NO_PAGE, NO_STORE
from .bodies import drain


def check_encoding(request: Request) -> None:
    """Abort with 400 if the URL is not UTF-8: Werkzeug would replace every such byte by the same U+FFFD."""
    try:
        request.environ["PATH_INFO"].encode("latin-1").decode()  # bytes as WSGI has them (PEP 3333)
        unquote_to_bytes(request.query_string).decode()
    except UnicodeError:
        abort(400, "The URL is not UTF-8.")


def is_same_origin(request: Request, trusted: Collection[str], method: str | None = None) -> bool:
    """Whether the request comes from a page of this origin or a *trusted* one, or not from a page at all (CSRF).

    :param method: replaces the request's own
    """
    return origin.allowed(method or request.method, request.headers, _host(request), trusted)


def check_origin(request: Request, trusted: Collection[str] = ()) -> None:
    """Abort with 403 unless :func:`is_same_origin`."""
    if not is_same_origin(request, trusted):
        abort(403, origin.refusal(request.headers, _host(request)))


def _host(request: Request) -> str:
    return request.headers.get("Host", "")  # Request.host is empty for a name with an underscore


def guard(request: Request, response: Response, resource_policy: str = "same-origin") -> None:
    """Add the header fields of every response, and let the client of a refusal finish sending.

    :param resource_policy: the value of ``Cross-Origin-Resource-Policy``
    """
    fields = response.headers
    fields["X-Content-Type-Options"] = "nosniff"
    if response.mimetype != "text/html" or response.location:  # a login page of the application has its own policy
        fields.setdefault("Content-Security-Policy", NO_PAGE)
    if request.method not in ("GET", "HEAD"):
        fields.setdefault("Cache-Control", NO_STORE)
    fields["Cross-Origin-Resource-Policy"] = resource_policy
    for name in ("Connection", "Date"):  # the server's own
        fields.pop(name, None)
    drain(request, response)
