"""PROPFIND (RFC 4918 section 9.1), without WsgiDAV, which reads more than the client asks for.

The order of calls::

    propfind(found)
        _asked                      the body: all properties, all names, or some properties
        read_ahead                  what base.dav has on all members, in one round trip, if needed
        members                     with Depth 1
        get_properties              of each, by WsgiDAV: the methods of File and Folder, then the two caches
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from flask import abort, request
from werkzeug.wrappers import Response
from wsgidav.dav_error import DAVError, PRECONDITION_CODE_PropfindFiniteDepth, get_http_status_string
from wsgidav.util import parse_xml_body
from wsgidav.xml_tools import etree, is_etree_element

from ..store import MAX_PROPERTIES, MAX_READ, QuotaExceeded
from .folders import Folder, Member

_MAX_NAMES_LENGTH = 4000  # characters of all names together: each of perhaps 10,000 files repeats them
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
# A response without a status is not valid (RFC 4918 section 14.24).
_NOTHING = "<D:propstat><D:prop/><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
_QUERIES = {"{DAV:}allprop": "allprop", "{DAV:}propname": "name", "{DAV:}prop": "named"}
_LIVE = {
    f"{{DAV:}}{name}"
    for name in (
        "creationdate displayname getcontentlength getcontenttype getetag getlastmodified lockdiscovery "
        "quota-available-bytes quota-used-bytes resourcetype supportedlock"
    ).split()
}
"""that a file or folder may have without being given them"""


class _Asked(NamedTuple):
    mode: str
    """``allprop``, ``name`` or ``named``"""
    names: list[str]
    """of single properties; with ``allprop`` those to include as well"""


def propfind(found: Member) -> Response:
    """Return the properties of a file or folder, and with ``Depth: 1`` of what is directly in it.

    :raises wsgidav.dav_error.DAVError: 403 for a folder with ``Depth: infinity``
    """
    depth = request.headers.get("Depth", "1").lower()  # the default in RFC 4918 is infinity, which is refused
    if depth not in ("0", "1", "infinity"):
        abort(400, "Depth is 0 or 1.")
    if depth == "infinity" and isinstance(found, Folder):
        raise DAVError(403, err_condition=PRECONDITION_CODE_PropfindFiniteDepth)
    found.check_if()
    asked = _asked(found.environ)
    dead = [name for name in asked.names if not name.startswith("{DAV:}")]
    live = [name for name in asked.names if name in _LIVE]
    if asked.mode != "named" or dead or "{DAV:}lockdiscovery" in asked.names:
        names, values = dead if asked.mode == "named" else None, asked.mode != "name"
        found.provider.read_ahead(found, deep=depth == "1", names=names, values=values)
    lacking = _propstats([(name, DAVError(404)) for name in asked.names if name not in _LIVE])
    responses, size = list[str](), 0
    for member in [found, *(found.members() if depth == "1" and isinstance(found, Folder) else [])]:
        properties = [] if asked.mode == "named" else member.get_properties(asked.mode)
        bare = not dead or member.provider.prop_manager.has_none(member.stored_name, member.environ)
        there = {name for name, _ in properties}
        names = [name for name in (live if bare else asked.names) if name not in there]
        properties += member.get_properties("named", name_list=names)
        size += sum(len(name) for name, _ in properties) + (len(lacking) if bare else 0)
        if size > MAX_READ:
            raise QuotaExceeded(f"the answer would have more than {MAX_READ} bytes: ask for fewer properties")
        found_or_not = _propstats(properties) + (lacking if bare else "")
        responses.append(response(member.get_href(), found_or_not or _NOTHING))
    return multistatus(responses)


def multistatus(responses: Iterable[str]) -> Response:
    """Return a 207 with these elements (RFC 4918 section 13): as text, as there may be thousands."""
    text = f'{_DECLARATION}\n<D:multistatus xmlns:D="DAV:">{"".join(responses)}</D:multistatus>'
    return Response(text, 207, content_type="application/xml; charset=utf-8")


def response(href: str, content: str) -> str:
    """Return the element about one file or folder."""
    return f"<D:response><D:href>{escape(href)}</D:href>{content}</D:response>"


def status(error: DAVError | None) -> str:
    """Return the element with the status of *error*; None: it is a 200."""
    return f"<D:status>HTTP/1.1 {get_http_status_string(error) if error else '200 OK'}</D:status>"


def _propstats(properties: list[tuple[str, Any]]) -> str:
    """Return an element for each status, with the properties that have it."""
    grouped: dict[str, list[str]] = {}
    for name, value in properties:
        error = value if isinstance(value, DAVError) else None
        grouped.setdefault(status(error), []).append(_element(name, None if error else value))
    return "".join(
        f"<D:propstat><D:prop>{''.join(found)}</D:prop>{each}</D:propstat>" for each, found in grouped.items()
    )


def _element(name: str, value: Any) -> str:
    if is_etree_element(value):
        return str(etree.tostring(value, encoding="unicode"))
    namespace, _, local = name.removeprefix("{").rpartition("}")
    tag, declared = (f"D:{local}", "") if namespace == "DAV:" else (local, f" xmlns={quoteattr(namespace)}")
    return f"<{tag}{declared}>{escape(value)}</{tag}>" if value else f"<{tag}{declared}/>"


def _asked(environ: dict[str, Any]) -> _Asked:
    body = parse_xml_body(environ, allow_empty=True)
    if body is None:
        return _Asked("allprop", [])
    modes = {_QUERIES[element.tag] for element in body if element.tag in _QUERIES}
    if body.tag != "{DAV:}propfind" or len(modes) > 1:
        abort(400, "PROPFIND needs one of allprop, propname and prop.")
    names = [name.tag for element in body if element.tag in ("{DAV:}prop", "{DAV:}include") for name in element]
    if len(names) > MAX_PROPERTIES or sum(map(len, names)) > _MAX_NAMES_LENGTH:
        abort(400, f"Ask for at most {MAX_PROPERTIES} properties of {_MAX_NAMES_LENGTH} characters in all.")
    return _Asked(modes.pop() if modes else "named", list(dict.fromkeys(names)))
