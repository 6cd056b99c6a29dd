"""PROPFIND (RFC 4918 section 9.1), without WsgiDAV, which reads more than the client asks for.

The order of calls::

    propfind(found)
        _asked                      the body: all properties, all names, or some properties
        read_ahead                  what base.dav has on all members, in one round trip, if needed
        members                     with Depth 1
        get_properties              of each, by WsgiDAV: the methods of File and Folder, then the two caches
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

from flask import abort, request
from werkzeug.wrappers import Response
from wsgidav.dav_error import DAVError, PRECONDITION_CODE_PropfindFiniteDepth
from wsgidav.util import add_property_response, parse_xml_body
from wsgidav.xml_tools import make_multistatus_el, xml_to_bytes

from ..store import MAX_PROPERTIES, MAX_READ, QuotaExceeded
from .folders import Folder, Member

_MAX_NAMES_LENGTH = 4000  # characters of all names together: each of perhaps 10,000 files repeats them
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
    lacking = _not_found([name for name in asked.names if name not in _LIVE])
    root, size, each = make_multistatus_el(), 0, len(xml_to_bytes(lacking))
    for member in [found, *(found.members() if depth == "1" and isinstance(found, Folder) else [])]:
        properties = [] if asked.mode == "named" else member.get_properties(asked.mode)
        bare = not dead or member.provider.prop_manager.has_none(member.stored_name, member.environ)
        there = {name for name, _ in properties}
        names = [name for name in (live if bare else asked.names) if name not in there]
        properties += member.get_properties("named", name_list=names)
        size += sum(len(name) for name, _ in properties) + (each if bare else 0)
        if size > MAX_READ:
            raise QuotaExceeded(f"the answer would have more than {MAX_READ} bytes: ask for fewer properties")
        add_property_response(root, member.get_href(), properties)
        if bare:
            root[-1].extend(deepcopy(lacking))
    return multistatus(root)


def _not_found(names: list[str]) -> Any:
    """Return what the responses of all files without any of these properties contain, which may be thousands."""
    root = make_multistatus_el()
    add_property_response(root, "", [(name, DAVError(404)) for name in names])
    response = root[0]
    response.remove(response[0])  # the URL
    return response


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
    return _Asked(modes.pop() if modes else "named", list(dict.fromkeys(names)))
