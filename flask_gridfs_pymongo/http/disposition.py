"""The file name in a form part's Content-Disposition (RFC 7578 section 4.2), as old and new clients write it.

::

    filename_of('form-data; name="file"; filename="EUR.txt"; filename*=UTF-8\\'\\'%e2%82%ac.txt')  # "€.txt"
"""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote

_MAX_NAME_LENGTH = 1024  # characters of an encoded name
_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'(.+)", re.IGNORECASE)
_ENCODED = re.compile(r"\s*(?:=\?[\w-]+\?[BbQq]\?[^?]*\?=\s*)+")
_ESCAPE = re.compile(r'\\([\\"])')


def filename_of(disposition: str, otherwise: str | None = None) -> str | None:
    """Read the file name of a part.

    ``filename*`` (RFC 8187) takes precedence over ``filename``; encoded words (RFC 2047) are decoded; in the full paths
    that old browsers send (``C:\\docs\\a.txt``) a backslash is a separator.

    :param otherwise: what to return if the field has no file name in one of these forms
    """
    parameters = {name.lower(): value.strip() for name, value in _PARAMETER.findall(disposition)}
    if extended := _EXTENDED.fullmatch(parameters.get("filename*", "").strip('"')):
        try:
            return unquote(extended[2], encoding=extended[1], errors="strict")
        except UnicodeDecodeError:
            pass
    plain = parameters.get("filename")
    return otherwise if plain is None else _decoded(_unquoted(plain))


def _unquoted(value: str) -> str:
    if len(value) < 2 or not value.startswith('"'):
        return value
    text = value[1:-1].replace("%22", '"')  # the HTML standard's escape
    # A backslash before any other character means that the client does not escape.
    return text if "\\" in _ESCAPE.sub("", text) else _ESCAPE.sub(r"\1", text)


def _decoded(name: str) -> str:
    if len(name) > _MAX_NAME_LENGTH or not _ENCODED.fullmatch(name):
        return name
    try:
        return str(make_header(decode_header(name)))
    except (HeaderParseError, LookupError, ValueError):
        return name
