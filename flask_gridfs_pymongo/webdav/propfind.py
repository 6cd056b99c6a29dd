"""PROPFIND (RFC 4918 section 9.1), without WsgiDAV, which reads more than the client asks for.

The order of calls::

    propfind(found, deep=True)
        _asked                      the body: all properties, all names, or some properties
        read_ahead                  what base.dav has on all members, in one round trip, if needed
        members                     with Depth 1
        get_properties              of each, by WsgiDAV: the methods of File and Folder, then the two caches
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flask import abort
from werkzeug.wrappers import Response
from wsgidav.util import add_property_response, parse_xml_body
from wsgidav.xml_tools import make_multistatus_el, xml_to_bytes

from ..store import MAX_PROPERTIES, MAX_READ, QuotaExceeded
from .files import File
from .folders import Folder

_MAX_NAMES_LENGTH = 4000  # characters of all names together: each of perhaps 10,000 files repeats them
_QUERIES = {"{DAV:}allprop": "allprop", "{DAV:}propname": "name", "{DAV:}prop": "named"}


class _Asked(NamedTuple):
    mode: str
    """``allprop``, ``name`` or ``named``"""
    names: list[str]
    """of single properties; with ``allprop`` those to include as well"""


def propfind(found: File | Folder, *, deep: bool) -> Response:
    """Return the properties of a file or folder, and if *deep* of what is directly in it."""
    found.check_if()
    asked = _asked(found.environ)
    dead = [name for name in asked.names if not name.startswith("{DAV:}")]
    if asked.mode != "named" or dead or "{DAV:}lockdiscovery" in asked.names:
        names, values = dead if asked.mode == "named" else None, asked.mode != "name"
        found.provider.read_ahead(found, deep=deep, names=names, values=values)
    root, size = make_multistatus_el(), 0
    for member in [found, *(found.members() if deep and isinstance(found, Folder) else [])]:
        properties = [] if asked.mode == "named" else member.get_properties(asked.mode)
        there = {name for name, _ in properties}
        properties += member.get_properties("named", name_list=[name for name in asked.names if name not in there])
        size += sum(len(name) for name, _ in properties)
        if size > MAX_READ:
            raise QuotaExceeded(f"the answer would have more than {MAX_READ} bytes: ask for fewer properties")
        add_property_response(root, member.get_href(), properties)
    return multistatus(root)


def multistatus(root: Any) -> Response:
    """Return a 207 with this XML."""
    return Response(xml_to_bytes(root), 207, content_type="application/xml; charset=utf-8")


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
    return _Asked(modes.pop() if modes else "named", names)
