"""Cross-origin resource sharing (Fetch standard, section 3.2): what pages of trusted origins may send and read.

::

    fields("GET", request.headers, {"https://app.example"})
    fields("OPTIONS", request.headers, {"https://app.example"}, allow="GET, PUT")  # also a preflight
"""

from __future__ import annotations

import re
from collections.abc import Collection

from . import tus
from .conditions import Fields

REQUEST_FIELDS = (
    *("Accept", "Authorization", "Cache-Control", "Content-Digest", "Content-MD5", "Content-Type"),
    *("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since"),
    *("Range", "Repr-Digest", "Want-Repr-Digest"),
    *("X-CSRFToken", "X-CSRF-Token", "X-Requested-With"),
    *("Baggage", "Sentry-Trace", "Traceparent", "Tracestate", "X-Correlation-ID", "X-Request-ID", "X-Trace-ID"),
    *tus.REQUEST_FIELDS,
)
"""The request fields that a page of a trusted origin may set, besides ``X-Metadata-KEY``"""
EXPOSED_FIELDS = (
    *("Accept-Ranges", "Allow", "Content-Disposition", "Content-Length", "Content-Location", "Content-Range"),
    *("ETag", "Last-Modified", "Location", "Repr-Digest", "Retry-After"),
    *tus.ANSWER_FIELDS,
)
"""The response fields that its script may read"""
_MAX_AGE = 3600  # seconds for which a browser may keep a preflight's answer


def fields(method: str, headers: Fields, trusted: Collection[str], allow: str | None = None) -> dict[str, str]:
    """Return the fields that let a page of a trusted origin read this response, also to a request with cookies.

    :param headers: the request's header fields
    :param trusted: origins (``https://example.com``)
    :param allow: the response's Allow, for a preflight
    :return: empty for any other origin
    """
    origin = headers.get("Origin")
    if origin is None or origin not in trusted:
        return {}
    found = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": ", ".join(EXPOSED_FIELDS),
    }
    if method == "OPTIONS" and "Access-Control-Request-Method" in headers:
        found |= {
            "Access-Control-Allow-Methods": allow or "",
            "Access-Control-Allow-Headers": ", ".join([*REQUEST_FIELDS, *_metadata_fields(headers)]),
            "Access-Control-Max-Age": str(_MAX_AGE),
        }
    return found


def _metadata_fields(headers: Fields) -> list[str]:
    asked = re.split(r"[ \t]*,[ \t]*", headers.get("Access-Control-Request-Headers") or "")
    return [name for name in asked if re.fullmatch("x-metadata-[a-z0-9_-]+", name)]
