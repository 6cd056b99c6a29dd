"""Header fields of WebDAV (RFC 4918 section 10) that name resources by their URLs, and its XML.

::

    destination("https://example.com/dav/a%20b.txt", "example.com", "/dav")  # "/a b.txt"
"""

from __future__ import annotations

import base64
import re
from urllib.parse import quote, unquote, urlsplit

_TAG = re.compile(r"<([^<>]*)>(?=[ \t]*\()")
# At most 100 of [<URL>] and a list of ["Not"] <token> or [entity tag], in linear time.
_CONDITION = r"(?:Not\s*+)?(?:<[^<>]*+>|\[[^\[\]]*+\])\s*+"
_IF = re.compile(rf"\s*+(?:(?:<[^<>]*+>\s*+)?\(\s*+(?:{_CONDITION})++\)\s*+){{1,100}}+", re.IGNORECASE)
# An end that is missing is the end of the text, so that this takes time in proportion to it.
_NO_CONTENT = re.compile(r"(<!\[CDATA\[.*?(?:\]\]>|\Z))|(<!DOCTYPE)|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)", re.DOTALL)
_NESTING = re.compile(r"<!\[CDATA\[.*?(?:\]\]>|\Z)|(</|/>)|<", re.DOTALL)
_MAX_DEPTH = 100  # elements in each other; lxml takes 255, others any number
_DEFAULT_PORT = re.compile(":(?:80|443)$")


class Elsewhere(ValueError):
    """The URL belongs to another host, or to another application on this one."""


def destination(value: str, host: str, root: str) -> str:
    """Return the path that a Destination names, decoded and relative to the application's *root*.

    The scheme is not compared: a proxy may have terminated TLS. The rest is as the client sees it, as in Host.

    :param host: the request's Host field
    :param root: the path at which the application is mounted, without a trailing slash
    :raises Elsewhere: for another host, or a path outside of *root*
    :raises ValueError: for an invalid URL, or a path that is not UTF-8
    """
    value = value.strip()
    # A client that does not quote names would reach another one. urlsplit() leaves out tabs.
    if re.search("[?#\t]", value):
        raise ValueError("Destination has a query, a fragment or a tab")
    parts = urlsplit(value)
    if parts.netloc and _plain(parts.netloc) != _plain(host):
        raise Elsewhere(f"Destination names the host {parts.netloc[:255]!r}, this is {host[:255]!r}")
    path = unquote(parts.path, errors="strict")
    if re.search("[\0-\x1f\x7f]", path):
        raise ValueError("Destination has control characters")
    if not path.startswith(f"{root}/"):
        raise Elsewhere(f"Destination must lie below {root}/")
    return re.sub("/+", "/", path[len(root) :])


def is_if(value: str) -> bool:
    """Whether *value* is an If field (section 10.4) of at most 100 lists: WsgiDAV's time is quadratic."""
    return _IF.fullmatch(value) is not None


def tags_as_paths(value: str, host: str, root: str) -> str:
    """Return an If field with each resource tag (section 10.4.3) below *root* replaced by its quoted path."""

    def path(tag: re.Match[str]) -> str:
        try:
            return f"<{quote(destination(tag[1], host, root))}>"
        except ValueError:
            return tag[0]

    return _TAG.sub(path, value)


def credentials_as_utf8(field: str) -> str:
    """Return an Authorization field; Basic credentials that are not UTF-8 are Latin-1: old clients send that."""
    scheme, _, encoded = field.partition(" ")
    if scheme.lower() == "basic":
        try:
            data = base64.b64decode(encoded)
            data.decode()
        except UnicodeError:
            return f"{scheme} {base64.b64encode(data.decode('latin-1').encode()).decode()}"
        except ValueError:  # no base64, for which Werkzeug has an error of its own
            return ""
    return field


def plain_xml(body: bytes) -> bytes:
    """Return a body as UTF-8 without what XML parsers treat differently: declarations, comments, instructions.

    :raises ValueError: if it is not UTF-8 or UTF-16 (section 8.2), has a DTD, or is nested too deep
    """

    def kept(part: re.Match[str]) -> str:
        if part[2]:
            raise ValueError("The XML has a DTD, which is refused")
        return part[1] or ""

    try:
        text = body.decode("utf-16" if body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeError:
        raise ValueError("The XML is neither UTF-8 nor UTF-16") from None
    text, depth = _NO_CONTENT.sub(kept, text), 0
    for sign in _NESTING.finditer(text):
        depth += -1 if sign[1] else 1 if sign[0] == "<" else 0
        if depth > _MAX_DEPTH:
            raise ValueError(f"The XML is nested deeper than {_MAX_DEPTH} elements")
    return text.encode()


def _plain(netloc: str) -> str:
    return _DEFAULT_PORT.sub("", netloc.rpartition("@")[2].lower())
