"""Header fields that depend on numbers and types alone: caching, and the guard around content from strangers.

::

    content_headers("text/html", "a.html")["Content-Disposition"]  # 'attachment; filename="a.html"'
    cache_control(60, public=True)  # "public, max-age=60"
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from ..mimetype import INLINE_TYPES, UNKNOWN, parse
from .filenames import content_disposition

IMMUTABLE = 31_536_000
"""seconds: a year, as long as any cache keeps anything"""
NO_STORE = "no-store"

_LOCKED = "default-src 'none'; sandbox"
_SHOWN = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; sandbox"
# With sandbox Chromium's media document has the origin "null" and may not fetch its own file.
_PLAYED = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'"
# What <script src> and <link rel=stylesheet> take; with nosniff they take nothing else.
_ACTIVE = re.compile(r"(?:text|application)/(?:x-)?(?:java|ecma|live|j)script[0-9.]*|text/css")
_PDF = "application/pdf"  # which Safari does not show in a sandbox either

NO_PAGE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of what is neither a page nor a file."""
_PAGE_POLICY = {
    **{"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'"},
    **{"media-src": "'self'", "connect-src": "'self'", "form-action": "'self'"},
    **{"base-uri": "'none'", "frame-ancestors": "'none'"},
}
PAGE = {"Referrer-Policy": "same-origin", "Cache-Control": NO_STORE}
"""The header fields of our own pages and of our JSON, beside their :func:`page_policy`."""
_DIRECTIVE = re.compile(r"[a-z]+(-[a-z]+)*")
_SOURCES = re.compile(r"[\x21-\x2b\x2d-\x3a\x3c-\x7e]+( [\x21-\x2b\x2d-\x3a\x3c-\x7e]+)*")  # no comma, no semicolon


def page_policy(*additions: Mapping[str, str]) -> str:
    """Build the Content-Security-Policy of our own pages.

    :param additions: sources to add, by directive: ``{"script-src": "https://cdn.example 'nonce-abc'"}``
    :raises ValueError: for what is no directive, or no list of sources with single spaces between them
    """
    policy = dict(_PAGE_POLICY)
    for added in additions:
        for directive, sources in added.items():
            if not _DIRECTIVE.fullmatch(directive) or not _SOURCES.fullmatch(sources):
                raise ValueError(f"csp: {directive!r}: {sources!r} must be a directive and its sources")
            present = policy.get(directive, "'none'")
            policy[directive] = sources if present == "'none'" else f"{present} {sources}"
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


class Caching(NamedTuple):
    """For how long a file may be kept: see :func:`cache_control`."""

    max_age: int | None
    public: bool = False
    immutable: bool = False


def cache_control(max_age: int | None, public: bool = False, immutable: bool = False) -> str:
    """Build a Cache-Control (RFC 9111 section 5.2.2).

    :param max_age: seconds; None: keep it, and ask each time whether it is still the one
    """
    directives = ["public" if public else "private", "no-cache" if max_age is None else f"max-age={max_age}"]
    return ", ".join([*directives, "immutable"] if immutable else directives)


def media_type(stored: str, charset: str | None = "utf-8") -> tuple[str, str]:
    """Make a stored content type fit for a header.

    :param charset: that of text which names none; None: it stays unnamed
    :return: the bare type in lower case, and the field's value with its parameters; both
        ``application/octet-stream`` where what is stored is no media type
    """
    parsed = parse(stored)
    if parsed is None:
        return UNKNOWN, UNKNOWN
    bare, parameters = parsed
    if charset and bare.startswith("text/") and "charset" not in dict(parameters):
        parameters.append(("charset", charset))
    return bare, "; ".join([bare, *(f"{name}={value}" for name, value in parameters)])


def check_inline_types(types: Collection[str]) -> None:
    """Check the types that an application wants shown.

    :raises ValueError: for what is no media type without parameters, in lower case
    """
    if isinstance(types, str):
        raise TypeError("inline_types must be a list of media types, not one str")
    for given in types:
        if media_type(given)[0] != given or media_type(given)[1].partition(";")[0] != given:
            raise ValueError(f"inline_types: {given!r} is not a media type such as 'application/pdf'")


def is_shown(stored_type: str, inline_types: Collection[str] = ()) -> bool:
    """Whether a browser shows a file of this type, or saves it.

    :param inline_types: what the application wants shown, beside :data:`INLINE_TYPES`
    """
    bare = media_type(stored_type)[0]
    return bare in INLINE_TYPES or bare in inline_types


@lru_cache(maxsize=1024)  # of small texts; a file is asked for again and again
def content_headers(
    stored_type: str,
    name: str,
    as_attachment: bool | None = None,
    inline_types: frozenset[str] = frozenset(),
    *,
    own_frames_only: bool = False,
    charset: str | None = "utf-8",
) -> Mapping[str, str]:
    """The header fields that keep a stranger's file from acting in the application's origin.

    A script or a style sheet that is not shown on purpose is called plain text, so that no page can use it.

    :param stored_type: the file's content type as stored
    :param name: what the file is to be called when it is saved
    :param as_attachment: None: inline only for :data:`INLINE_TYPES` and *inline_types*; True and False are the
        caller's decision
    :param inline_types: what the application wants shown, too. No script runs in it when it is opened; but a file of a
        script's type is run by any page of the same origin that names it in ``<script src>``.
    :param own_frames_only: whether no page of another origin may have it in a frame
    :param charset: as in :func:`media_type`
    """
    bare, value = media_type(stored_type, charset)
    shown = is_shown(stored_type, inline_types)
    attachment = not shown if as_attachment is None else as_attachment
    if attachment and _ACTIVE.fullmatch(bare):
        value = "text/plain; charset=utf-8"
    if attachment or not (shown or bare == _PDF):
        policy = _LOCKED
    else:
        policy = _PLAYED if bare.startswith(("audio/", "video/", _PDF)) else _SHOWN
    if own_frames_only:
        policy += "; frame-ancestors 'self'"
    fields = {
        "Content-Type": value,
        "Content-Disposition": content_disposition("attachment" if attachment else "inline", name),
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
    }
    return MappingProxyType(fields)
