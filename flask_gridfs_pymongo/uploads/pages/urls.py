"""URLs of the blueprint: Flask builds the path, and the query is appended.

So that no key of a query is taken for an argument of ``url_for``, such as ``_external``, or for a variable of a
``url_prefix``::

    index({"folder": "photos/", "view": None})  # "/uploads/?folder=photos/"
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from flask import current_app, request, url_for

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_PATH_SAFE = "!$&'()*+,/:;=@"  # in a path (RFC 3986 section 3.3), as Werkzeug leaves them
_SAFE_CHARS = "!$'()*,/:;?@"  # in a query (RFC 3986 section 3.4)


def index(query: Mapping[str, Any] = _EMPTY, endpoint: str = ".index") -> str:
    """Return the URL of a listing.

    :param query: a value may be a list; None is left out
    """
    return with_query(url_for(endpoint), query)


def file(filename: str, query: Mapping[str, Any] = _EMPTY) -> str:
    """Return the URL of a file, or of a folder if *filename* ends with a slash; *query* is as for :func:`index`."""
    prefix = _prefix()
    path = url_for(".file", filename=filename) if prefix is None else prefix + quote(filename, safe=_PATH_SAFE)
    return with_query(path, query)


def _prefix() -> str | None:
    """What the URLs of all names begin with in this request: a router takes its time for each.

    None if a function of the application's own (``url_defaults``) may have a say in them.
    """
    key = "flask_gridfs_pymongo.prefix"
    if key not in request.environ:
        functions = current_app.url_default_functions
        is_fixed = sum(len(functions.get(name, ())) for name in (None, *request.blueprints)) == 1  # the blueprint's own
        request.environ[key] = url_for(".file", filename="x")[:-1] if is_fixed else None
    prefix: str | None = request.environ[key]
    return prefix


def with_query(url: str, query: Mapping[str, Any]) -> str:
    """Return *url* with *query* appended; it is as for :func:`index`."""
    text = urlencode({name: value for name, value in query.items() if value is not None}, doseq=True, safe=_SAFE_CHARS)
    if not text:
        return url
    return f"{url}{'&' if '?' in url else '?'}{text}"
