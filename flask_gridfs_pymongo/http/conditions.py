"""Preconditions of requests (RFC 9110 section 13): If-Match, If-None-Match and their like.

::

    evaluate("GET", {"If-None-Match": '"abc"'}, "abc")  # Outcome.NOT_MODIFIED

Field values are parsed strictly by the RFC's grammar: an invalid tag or date matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum

from werkzeug.datastructures import Headers

Fields = Headers | Mapping[str, str]

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_WEEKDAY, _LONG_WEEKDAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)", "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH, _TIME = f"(?P<month>{'|'.join(_MONTHS)})", r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES = [
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"{_WEEKDAY}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",  # IMF-fixdate
        rf"{_LONG_WEEKDAY}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",  # RFC 850
        rf"{_WEEKDAY} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",  # asctime
    )
]
_ETAG = r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"'
# Servers that compress responses (Apache, ...) append this to the tag, and do not remove it from later requests.
_CODING_SUFFIX = re.compile(r"(?:-(?:gzip|br|zstd)|;gzip)\Z")
_ETAGS = re.compile(rf"[ \t,]*{_ETAG}(?:[ \t]*,[ \t,]*{_ETAG})*[ \t,]*")


class Outcome(Enum):
    """What follows from the preconditions: perform the method, or answer 304 or 412."""

    PERFORM = 200
    NOT_MODIFIED = 304
    FAILED = 412


def parse_date(value: str, now: datetime | None = None) -> datetime | None:
    """Parse an HTTP-date in any of its three formats (RFC 9110 section 5.6.7); None for anything else.

    :param now: the reference for a year of two digits; None: the present
    """
    for pattern in _DATES:
        if match := pattern.fullmatch(value):
            break
    else:
        return None
    year = int(match["year"])
    day, hour, minute, second = (int(match[part]) for part in ("day", "hour", "minute", "second"))
    second -= second == 60  # a leap second
    rest = (_MONTHS.index(match["month"]) + 1, day, hour, minute, second)
    if len(match["year"]) == 2:
        now = now or datetime.now(UTC)
        year += now.year // 100 * 100
        if (year - 50, *rest) > now.timetuple()[:6]:  # more than 50 years ahead means the past century
            year -= 100
    try:
        return datetime(year, *rest, tzinfo=UTC)
    except ValueError:
        return None


def parse_tags(value: str) -> list[tuple[bool, str]]:
    """Parse a list of entity tags (RFC 9110 section 8.8.3) into pairs of "is weak" and opaque tag.

    The result is empty if any part of the list is invalid: then no tag of it matches.
    """
    if not _ETAGS.fullmatch(value):
        return []
    return [(bool(weak), tag) for weak, tag in re.findall(_ETAG, value)]


def names_tag(headers: Fields) -> bool:
    """Whether If-Match has an entity tag; ``*`` is none (RFC 9110 section 13.1.1)."""
    return bool(parse_tags(_field(headers, "If-Match") or ""))


def last_modified(date: datetime) -> datetime:
    """Return the Last-Modified of a change at *date*: in whole seconds, and never after the Date that the server sends.

    Both are by this machine's clock (section 8.8.2.1), so preconditions are about the *date* itself.
    """
    return min(date, datetime.now(UTC)).replace(microsecond=0)


def evaluate(method: str, headers: Fields, etag: str | None, modified: datetime | None = None) -> Outcome:
    """Evaluate If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of section 13.2.2.

    Only in the If-None-Match of a GET or HEAD, a tag also matches if a proxy appended ``-gzip`` or the like.

    :param headers: the request's header fields
    :param etag: the opaque tag of the current representation's strong validator; empty: it has none; None: there is no
        representation
    :param modified: when it last changed; whole seconds count
    """
    reading, modified = method in ("GET", "HEAD"), _seconds(modified)
    if (value := _field(headers, "If-Match")) is not None:
        if not _matches(value, etag, weakly=False):
            return Outcome.FAILED
    elif (since := _date(headers, "If-Unmodified-Since")) and modified and modified > since:
        return Outcome.FAILED
    if (value := _field(headers, "If-None-Match")) is not None:
        if _matches(value, etag, weakly=True, ignore_coding=reading):
            return Outcome.NOT_MODIFIED if reading else Outcome.FAILED
    elif reading and (since := _date(headers, "If-Modified-Since")) and modified and modified <= since:
        return Outcome.NOT_MODIFIED
    return Outcome.PERFORM


def range_applies(headers: Fields, etag: str, modified: datetime | None) -> bool:
    """Whether the Range field counts: If-Range is missing or holds (RFC 9110 section 13.1.5).

    The comparison is strong for a tag and exact for a date.

    :param modified: when it last changed; None if that is not a strong validator (section 8.8.2.2)
    """
    value = _field(headers, "If-Range")
    if value is None:
        return True
    if (date := parse_date(value)) is not None:
        return date == _seconds(modified)
    return value == f'"{etag}"'


def _matches(value: str, etag: str | None, weakly: bool, ignore_coding: bool = False) -> bool:
    if etag is None:
        return False
    tags = [(weak, _CODING_SUFFIX.sub("", tag) if ignore_coding else tag) for weak, tag in parse_tags(value)]
    return value == "*" or any(etag and tag == etag and (weakly or not weak) for weak, tag in tags)


def _seconds(date: datetime | None) -> datetime | None:
    return date and date.replace(microsecond=0)


def _date(headers: Fields, name: str) -> datetime | None:
    value = _field(headers, name)
    return parse_date(value) if value is not None else None


def _field(headers: Fields, name: str) -> str | None:
    value = headers.get(name)
    return value.strip(" \t") if value is not None else None  # not every server strips whitespace (section 5.5)
