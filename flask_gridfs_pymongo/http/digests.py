"""Digest fields (RFC 9530), and the obsolete Content-MD5.

::

    repr_digest("00ff")  # "sha-256=:AP8=:"
    expected({"Content-MD5": "AP8="})  # [Expected("Content-MD5", "md5", b"\\x00\\xff")]
"""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

from werkzeug.http import parse_dict_header

from .conditions import Fields

_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}  # the active ones of RFC 9530 section 5


class Expected(NamedTuple):
    """A digest of its content that a request states."""

    field: str
    algorithm: str
    """as :mod:`hashlib` calls it"""
    digest: bytes


def repr_digest(sha256: str) -> str:
    """Build a Repr-Digest from a hash in hexadecimal.

    :raises ValueError: for anything else
    """
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def is_wanted(headers: Fields) -> bool:
    """Whether the client wants sha-256: it does unless Want-Repr-Digest says otherwise (section 4)."""
    field = headers.get("Want-Repr-Digest")
    if field is None:
        return True
    wanted = parse_dict_header(field)
    return re.sub(";.*", "", wanted.get("sha-256") or "1").strip() != "0"


def expected(headers: Fields) -> list[Expected]:
    """Read Repr-Digest, Content-Digest and Content-MD5 of a request; unknown algorithms are ignored.

    :raises ValueError: naming the field, for a digest that is not base64
    """
    found = []
    for field in ("Repr-Digest", "Content-Digest"):
        for algorithm, value in parse_dict_header(headers.get(field) or "").items():
            if algorithm.lower() in _ALGORITHMS:
                sequence = re.fullmatch(":([^:]*):", re.sub(";.*", "", value or "").strip())
                found.append(Expected(field, _ALGORITHMS[algorithm.lower()], _decode(field, sequence and sequence[1])))
    if (md5 := headers.get("Content-MD5")) is not None:
        found.append(Expected("Content-MD5", "md5", _decode("Content-MD5", md5.strip())))
    return found


def _decode(field: str, text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "?", validate=True)
    except ValueError:
        raise ValueError(f"{field} is invalid: its digest is not base64") from None
