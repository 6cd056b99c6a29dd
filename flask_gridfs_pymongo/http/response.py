"""Turns preconditions, ranges and header fields into a response.

::

    return respond(request, representation, app.response_class)
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol, TypeVar

from werkzeug.http import http_date as format_date
from werkzeug.wrappers import Request, Response

from . import conditions, ranges
from .conditions import Fields, Outcome
from .ranges import ByteRange

http_date = lru_cache(maxsize=1024)(format_date)
_NOT_IN_304 = ("Content-Type", "Content-Disposition", "Repr-Digest")
PRECONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
"""the request fields that may lead to a 304 or 412"""
_PLAIN_RANGE = re.compile(r"bytes=(\d{1,18}-\d{0,18}|-\d{1,18})")


def is_conditional(fields: Fields) -> bool:
    """Whether a request has preconditions (RFC 9110 section 13.1)."""
    return any(name in fields for name in PRECONDITIONS)


R = TypeVar("R", bound=Response)


class Pieces(Protocol):
    """The bytes of a body: an iterable that must be closed."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Representation:
    """A stored file as HTTP sees it (RFC 9110 section 3.2)."""

    etag: str
    """the opaque tag, without quotes"""
    modified: datetime | None
    """when it last changed; None: send no Last-Modified"""
    date_is_strong: bool
    """whether no other version has a date in the same second (RFC 9110 section 8.8.2.2)"""
    length: int
    """bytes"""
    headers: Mapping[str, str]
    """the representation's own header fields, Content-Type among them"""
    read: Callable[[int, int], Pieces]
    """``read(start, stop)``: the bytes from *start* to *stop* (exclusive)"""


def sends_all(request: Request) -> bool:
    """Whether this is a GET without preconditions and ranges, which is answered with the whole representation."""
    fields = request.headers
    return request.method == "GET" and "Range" not in fields and not is_conditional(fields)


def may_hand_over(request: Request, length: int) -> bool:
    """Whether nginx answers this request as :func:`respond` does: a GET of all, or of one range that exists.

    :param length: bytes of the file
    """
    if request.method != "GET" or any(name.lower().startswith("if-") for name in request.headers.keys()):  # noqa: SIM118
        return False
    field = request.headers.get("Range")
    return field is None or bool(_PLAIN_RANGE.fullmatch(field) and ranges.parse_range(field, length))


def hand_over(representation: Representation, url: str, response_class: type[R]) -> R:
    """Let nginx answer with the file at *url*, and the header fields of the whole representation."""
    headers = {**representation.headers, **_validators(representation), "X-Accel-Redirect": url}
    return response_class(None, 200, headers)


def _validators(representation: Representation) -> dict[str, str]:
    validators = {"ETag": f'"{representation.etag}"'}
    if representation.modified is not None:
        validators["Last-Modified"] = http_date(conditions.last_modified(representation.modified))
    return validators


def respond(request: Request, representation: Representation, response_class: type[R]) -> R:
    """Answer a GET or HEAD: 200, 206, 304, 412 or 416, in the order of RFC 9110 section 13.2.2."""
    validators, modified = _validators(representation), representation.modified
    outcome = conditions.evaluate(request.method, request.headers, representation.etag, modified)
    if outcome is Outcome.NOT_MODIFIED:
        # Section 15.4.5: the fields of a 200 that caches need, and none about the content.
        kept = {name: value for name, value in representation.headers.items() if name not in _NOT_IN_304}
        return _bare(response_class, 304, kept | {"ETag": validators["ETag"]})
    guard = {"X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes"}
    if outcome is Outcome.FAILED:
        return _bare(response_class, 412, guard | validators)

    headers = {**representation.headers, **validators, "Accept-Ranges": "bytes"}
    length = representation.length
    field = request.headers.get("Range") if request.method == "GET" else None
    strong_date = modified if representation.date_is_strong else None
    if field is not None and not conditions.range_applies(request.headers, representation.etag, strong_date):
        field = None
    selected = None if field is None else ranges.parse_range(field, length)
    if selected == []:
        return _bare(response_class, 416, guard | validators | {"Content-Range": f"bytes */{length}"})
    if selected is not None and len(selected) > 1:
        return _multipart(representation, selected, headers, response_class)
    whole = ByteRange(0, length)
    part = selected[0] if selected else whole
    if selected:
        headers["Content-Range"] = part.content_range(length)
    headers["Content-Length"] = str(part.stop - part.start)
    body = () if request.method == "HEAD" else representation.read(*part)
    return response_class(body, 206 if selected else 200, headers, direct_passthrough=True)


def _bare(response_class: type[R], status: int, headers: Mapping[str, str]) -> R:
    response = response_class(None, status, headers)
    response.headers.remove("Content-Type")
    return response


def _multipart(
    representation: Representation, parts: list[ByteRange], headers: dict[str, str], response_class: type[R]
) -> R:
    """Answer with several ranges (section 14.6): each part has a Content-Range, the response has none."""
    boundary, content_type, length = secrets.token_hex(16), headers["Content-Type"], representation.length
    heads = [ranges.part_head(boundary, content_type, part, length) for part in parts]
    end = ranges.closing(boundary)
    total = sum(map(len, heads)) + sum(part.stop - part.start for part in parts) + len(end)
    headers |= {"Content-Type": f"multipart/byteranges; boundary={boundary}", "Content-Length": str(total)}

    def body() -> Generator[bytes, None, None]:
        for head, part in zip(heads, parts, strict=True):
            yield head
            with closing(representation.read(*part)) as pieces:
                yield from pieces
        yield end

    return response_class(body(), 206, headers, direct_passthrough=True)
