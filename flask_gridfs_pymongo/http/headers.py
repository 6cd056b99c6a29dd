"""Header fields for caching, and those that make content from strangers harmless.

::

    content_headers("text/html", "a.html")["Content-Disposition"]  # 'attachment; filename="a.html"'
    str(Caching(60, public=True))  # "public, max-age=60"
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from ..mimetype import INLINE_TYPES, UNKNOWN, meaning, parse
from .filenames import content_disposition

IMMUTABLE = 31_536_000
"""seconds: a year; no cache keeps anything longer"""
NO_STORE = "no-store"

_LOCKED = "default-src 'none'; sandbox"
_SHOWN = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; sandbox"
# no sandbox: in one, Chromium's page for media has the origin "null" and may not fetch its own file
_PLAYED = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'"
# With nosniff, <script src> and <link rel=stylesheet> accept only these.
_ACTIVE = re.compile(r"(?:text|application)/(?:x-)?(?:java|ecma|live|j)script[0-9.]*|text/css")
_PDF = "application/pdf"  # not in a sandbox either: Safari would not show it

NO_PAGE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of answers that are neither pages nor files"""
_PAGE_POLICY = {
    **{"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'"},
    **{"media-src": "'self'", "connect-src": "'self'", "form-action": "'self'"},
    **{"base-uri": "'none'", "frame-ancestors": "'none'"},
}
PAGE = {"Referrer-Policy": "same-origin", "Cache-Control": NO_STORE}
"""The header fields of our own pages and JSON, with those of :func:`page_policy`"""
_DIRECTIVE = re.compile(r"[a-z]+(-[a-z]+)*")
_SOURCES = re.compile(r"[\x21-\x2b\x2d-\x3a\x3c-\x7e]+( [\x21-\x2b\x2d-\x3a\x3c-\x7e]+)*")  # no comma, no semicolon


def page_policy(*additions: Mapping[str, str]) -> str:
    """Build the Content-Security-Policy of our own pages.

    :param additions: sources to add, by directive: ``{"script-src": "https://cdn.example 'nonce-abc'"}``
    :raises ValueError: if a directive is invalid, or its sources are not separated by single spaces
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
    """How caches may keep a file; as text it is a Cache-Control (RFC 9111 section 5.2.2)."""

    max_age: int | None
    """seconds; None: caches must revalidate it each time"""
    public: bool = False
    immutable: bool = False

    def __str__(self) -> str:
        age = "no-cache" if self.max_age is None else f"max-age={self.max_age}"
        directives = ["public" if self.public else "private", age]
        return ", ".join([*directives, "immutable"] if self.immutable else directives)


def media_type(stored: str, charset: str | None = "utf-8") -> tuple[str, str]:
    """Return a stored content type as a valid one for a header field.

    :param charset: for text without one; None: add none
    :return: the bare type in lower case, and the field's value with parameters; both are
        ``application/octet-stream`` if what is stored is not a media type
    """
    parsed = parse(meaning(stored))
    if parsed is None:
        return UNKNOWN, UNKNOWN
    bare, parameters = parsed
    if charset and bare.startswith("text/") and "charset" not in dict(parameters):
        parameters.append(("charset", charset))
    return bare, "; ".join([bare, *(f"{name}={value}" for name, value in parameters)])


def check_inline_types(types: Collection[str]) -> None:
    """Check the option *inline_types*.

    :raises ValueError: if a type is not a media type in lower case without parameters
    """
    if isinstance(types, str):
        raise TypeError("inline_types must be a list of media types, not one str")
    for given in types:
        if (parse(given) or ("",))[0] != given:
            raise ValueError(f"inline_types: {given!r} is not a media type such as 'application/pdf'")


def is_shown(stored_type: str, inline_types: Collection[str]) -> bool:
    """Whether browsers may show a file of this type, rather than save it.

    :param inline_types: types to show in addition to :data:`INLINE_TYPES`
    """
    bare = media_type(stored_type)[0]
    return bare in INLINE_TYPES or bare in map(meaning, inline_types)


@lru_cache(maxsize=1024)  # the same files are requested again and again
def content_headers(
    stored_type: str,
    name: str,
    as_attachment: bool | None = None,
    inline_types: frozenset[str] = frozenset(),
    *,
    own_frames_only: bool = False,
    charset: str | None = "utf-8",
) -> Mapping[str, str]:
    """Return the header fields that keep a stranger's file from acting in the application's origin.

    Scripts and style sheets that are saved, not shown, are sent as plain text, so that no page can use them.

    :param stored_type: the file's content type as stored
    :param name: the name under which browsers save the file
    :param as_attachment: whether browsers save the file; None: unless its type is in :data:`INLINE_TYPES` or
        *inline_types*
    :param inline_types: types to show in addition. No script runs in such a file when it is opened; but any page of the
        same origin can run a file of a script's type by ``<script src>``.
    :param own_frames_only: whether only pages of the same origin may show it in a frame
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
