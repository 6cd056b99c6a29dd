"""URLs of the blueprint: Flask builds the path, and the query is appended.

So that no key of a query is taken for an argument of ``url_for``, such as ``_external``, or for a variable of a
``url_prefix``::

    index({"folder": "photos/", "view": None})  # "/uploads/?folder=photos/"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from flask import current_app, request, url_for

from ...http.filenames import survives_url

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_PATH_SAFE = "!$&'()*+,/:;=@"  # in a path (RFC 3986 section 3.3), as Werkzeug leaves them
_SAFE_CHARS = "!$'()*,/:;?@"  # in a query (RFC 3986 section 3.4)
LINK = r"[A-Za-z0-9_-]{32}|\.?[A-Za-z0-9_-]{50,}\.[A-Za-z0-9_-]{43}"
"""what follows ``/~`` in the URL of a link: the token of a stored one, or a signed one"""
_LINK = re.compile(f"~({LINK})(/|$)")
_embedded: ContextVar[str | None] = ContextVar("embedded", default=None)


@contextmanager
def of(blueprint: str) -> Iterator[None]:
    """Within it URLs are those of *blueprint*, in whatever page of the application."""
    token = _embedded.set(blueprint)
    try:
        yield
    finally:
        _embedded.reset(token)


def blueprint() -> str:
    """Return the name of the blueprint that URLs belong to: of the request, or of :func:`of`."""
    return _embedded.get() or request.blueprint or ""


def index(query: Mapping[str, Any] = _EMPTY, endpoint: str = ".index") -> str:
    """Return the URL of a listing.

    :param query: a value may be a list; None is left out
    :param endpoint: ``.index`` is that of :func:`blueprint`
    """
    return with_query(_url_for(f"{blueprint()}{endpoint}" if endpoint.startswith(".") else endpoint), query)


def file(filename: str, query: Mapping[str, Any] = _EMPTY) -> str:
    """Return the URL of a file, or of a folder if *filename* ends with a slash; *query* is as for :func:`index`."""
    prefix = _prefix()
    if prefix is None:
        return with_query(_url_for(f"{blueprint()}.file", filename=filename), query)
    return with_query(prefix + quote(filename, safe=_PATH_SAFE), query)


def _prefix() -> str | None:
    """What the URLs of all names begin with in this request: a router takes its time for each.

    None if a function of the application's own (``url_defaults``) may have a say in them.
    """
    name = blueprint()
    key = f"flask_gridfs_pymongo.prefix.{name}"
    if key not in request.environ:
        functions, above = current_app.url_default_functions, accumulate(name.split("."), "{}.{}".format)
        is_fixed = sum(len(functions.get(one, ())) for one in (None, *above)) == 1  # the blueprint's own
        request.environ[key] = _url_for(f"{name}.file", filename="x")[:-1] if is_fixed else None
    prefix: str | None = request.environ[key]
    return prefix


def _url_for(endpoint: str, **values: Any) -> str:
    """Build a URL, which in a request by a link stays below that link; the application's own ``url_for`` leaves it."""
    token = (request.view_args or {}).get("link_token")
    if token is not None and endpoint.rpartition(".")[0] == request.blueprint:
        values["link_token"] = token
    return url_for(endpoint, **values)


def can_name(filename: str) -> bool:
    """Whether the URL of this name means it: clients send it back unchanged, and it is not that of a link."""
    return survives_url(filename) and not _LINK.match(filename)


def here() -> str:
    """Return the path of the current request, with its query."""
    path = quote(request.script_root + request.path, safe=_PATH_SAFE)
    return f"{path}?{request.query_string.decode('ascii', 'replace')}".rstrip("?")


def with_query(url: str, query: Mapping[str, Any]) -> str:
    """Return *url* with *query* appended; it is as for :func:`index`."""
    text = urlencode({name: value for name, value in query.items() if value is not None}, doseq=True, safe=_SAFE_CHARS)
    if not text:
        return url
    return f"{url}{'&' if '?' in url else '?'}{text}"
