"""http/conditions.py: RFC 9110 sections 5.6.7, 8.8 and 13, row by row."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from flask_gridfs_pymongo.http.conditions import Outcome, evaluate, last_modified, parse_date, parse_tags, range_applies

PERFORM, NOT_MODIFIED, FAILED = Outcome.PERFORM, Outcome.NOT_MODIFIED, Outcome.FAILED
UTC = UTC
ETAG = "e"
MODIFIED = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
SAME = "Sun, 06 Nov 1994 08:49:37 GMT"
OLDER, NEWER = "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
NOW = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
examples = settings(derandomize=True, max_examples=300, deadline=None, database=None)


def http_date(date: datetime) -> str:
    """IMF-fixdate, written without the library that the code could have been written with."""
    day, month = "Mon Tue Wed Thu Fri Sat Sun".split(), "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    return f"{day[date.weekday()]}, {date.day:02} {month[date.month - 1]} {date.year:04} {date:%H:%M:%S} GMT"


# The precedence matrix: each field's values with what the field says of the representation that exists,
# None where it is absent or to be ignored.
IF_MATCH = {None: None, '"e"': True, '"x", "e"': True, "*": True, 'W/"e"': False, '"x"': False, "e": False}
IF_UNMODIFIED_SINCE = {None: None, SAME: True, NEWER: True, OLDER: False, "yesterday": None}
IF_NONE_MATCH = {None: None, '"e"': False, '"x",W/"e"': False, "*": False, 'W/"x"': True, '"x"': True, "e": True}
IF_MODIFIED_SINCE = {None: None, SAME: False, NEWER: False, OLDER: True, "yesterday": None}
NAMES = ("If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since")


def oracle(method: str, exists: bool, values: tuple[str | None, ...]) -> Outcome:
    """Section 13.2.2, step by step."""
    match, unmodified, none_match, modified = values
    safe = method in ("GET", "HEAD")
    step_1 = None if match is None else exists and IF_MATCH[match]
    if step_1 is False:
        return FAILED
    step_2 = IF_UNMODIFIED_SINCE[unmodified] if match is None and exists else None
    if step_2 is False:
        return FAILED
    step_3 = None if none_match is None else not exists or IF_NONE_MATCH[none_match]
    if step_3 is False:
        return NOT_MODIFIED if safe else FAILED
    step_4 = IF_MODIFIED_SINCE[modified] if none_match is None and safe and exists else None
    return NOT_MODIFIED if step_4 is False else PERFORM


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("exists", [True, False])
def test_the_precedence_matrix(method: str, exists: bool) -> None:
    etag, modified = (ETAG, MODIFIED) if exists else (None, None)
    rows = list(itertools.product(IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE))
    assert len(rows) == 1225
    wrong = []
    for row in rows:
        fields = {name: value for name, value in zip(NAMES, row, strict=True) if value is not None}
        found, expected = evaluate(method, fields, etag, modified), oracle(method, exists, row)
        if found is not expected:
            wrong.append((fields, found, expected))
    assert wrong == []


MATCHES = [  # a list of tags, whether it matches the tag "e" strongly, weakly
    ('"e"', True, True),
    ('W/"e"', False, True),
    ("*", True, True),
    (" * ", True, True),
    ("\t*\t", True, True),
    (' "e"\t', True, True),
    ('"x"', False, False),
    ('W/"x"', False, False),
    ('"E"', False, False),  # opaque tags are case-sensitive
    ('"ee"', False, False),
    ('" e"', False, False),
    ('""', False, False),
    ('"x","e"', True, True),
    ('"x" , "e"', True, True),
    ('"x"\t,\t"e"', True, True),
    ('"e","x"', True, True),
    ('"a", "b", "c", "d", "e"', True, True),
    ('W/"e", "e"', True, True),
    ('W/"e", "x"', False, True),
    ('"x", W/"e"', False, True),
    ('"x",W/"y"', False, False),
    (',"e"', True, True),  # empty elements of a list (section 5.6.1.2)
    (', ,"e", ,', True, True),
    ('"x",,"e"', True, True),
    ('"x,e"', False, False),  # a comma inside a tag
    ('"x,","e"', True, True),
    ('"e,","x"', False, False),
    ('"x, W/", "e"', False, False),  # a space inside a tag: broken
    # broken: no tag of it matches
    ("", False, False),
    (" ", False, False),
    (",", False, False),
    (", ,", False, False),
    ("e", False, False),
    ("'e'", False, False),
    ('"e', False, False),
    ('e"', False, False),
    ('"', False, False),
    ('"""', False, False),
    ('"e""e"', False, False),
    ('"e" "e"', False, False),
    ('"e";"e"', False, False),
    ('"e", x', False, False),
    ('x, "e"', False, False),
    ('"e", "x', False, False),
    ('"x, "e"', False, False),
    ('"e"x', False, False),
    ('x"e"', False, False),
    ('w/"e"', False, False),  # W/ is case-sensitive
    ('W "e"', False, False),
    ('W/ "e"', False, False),
    ('W/"e', False, False),
    ("W/e", False, False),
    ("W/", False, False),
    ('W/W/"e"', False, False),
    ("W/*", False, False),
    ('"e\\"', False, False),
    ('"\\e"', False, False),  # no backslash escapes in a tag
    ('"e", *', False, False),
    ('*, "e"', False, False),
    ("*, *", False, False),
    ("**", False, False),
    ("*,", False, False),
    ('"*"', False, False),
    ('*"e"', False, False),
    ('"e" ', True, True),
    ('"e"\n', False, False),
    ('"e"\r', False, False),
    ('\xa0"e"', False, False),
    ("\xa0*", False, False),  # a no-break space is no white space here
    ("*\x85", False, False),
    ("*\n", False, False),
    ('"e\x7f"', False, False),
    ('"e\x00"', False, False),
]


@pytest.mark.parametrize(("value", "strongly", "weakly"), MATCHES)
def test_if_match_compares_strongly(value: str, strongly: bool, weakly: bool) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        expected = PERFORM if strongly else FAILED
        assert evaluate(method, {"If-Match": value}, ETAG, MODIFIED) is expected
        assert evaluate(method, {"If-Match": value}, None) is FAILED


@pytest.mark.parametrize(("value", "strongly", "weakly"), MATCHES)
def test_if_none_match_compares_weakly(value: str, strongly: bool, weakly: bool) -> None:
    for method, outcome in {"GET": NOT_MODIFIED, "HEAD": NOT_MODIFIED, "PUT": FAILED, "DELETE": FAILED}.items():
        expected = outcome if weakly else PERFORM
        assert evaluate(method, {"If-None-Match": value}, ETAG, MODIFIED) is expected
        assert evaluate(method, {"If-None-Match": value}, None) is PERFORM


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
@pytest.mark.parametrize("ending", ["-gzip", "-br", "-zstd", ";gzip"])
def test_a_tag_that_a_proxy_changed_is_ours_for_reading_alone(method: str, ending: str) -> None:
    changed = {"If-None-Match": f'"abc{ending}"'}
    assert evaluate("GET", changed, "abc") is evaluate("HEAD", changed, "abc") is Outcome.NOT_MODIFIED
    assert evaluate(method, changed, "abc") is Outcome.PERFORM
    for reading in ("GET", "HEAD", method):
        assert evaluate(reading, {"If-Match": f'"abc{ending}"'}, "abc") is Outcome.FAILED
    assert not range_applies({"If-Range": f'"abc{ending}"'}, "abc", None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"a"', [(False, "a")]),
        ('W/"a"', [(True, "a")]),
        ('""', [(False, "")]),
        ('W/""', [(True, "")]),
        ('"a", W/"b" ,"c"', [(False, "a"), (True, "b"), (False, "c")]),
        (',, "a",\t, "b" ,', [(False, "a"), (False, "b")]),
        ('"a,b"', [(False, "a,b")]),
        ('"W/"', [(False, "W/")]),
        ('"W/","b"', [(False, "W/"), (False, "b")]),
        ('"\x21\x23\x7e\x80\xff"', [(False, "\x21\x23\x7e\x80\xff")]),
        ('"!#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~"', [(False, "!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")]),
        ('"\x20"', []),
        ('"\x7f"', []),
        ('"\u0100"', []),
        ("*", []),
        ('"a", *', []),
    ],
)
def test_parse_tags(value: str, expected: list[tuple[bool, str]]) -> None:
    assert parse_tags(value) == expected


TAG = st.tuples(st.booleans(), st.text(st.sampled_from('!#W/,*aZ\\~\x80\xff"'.replace('"', "")), max_size=4))


@examples
@given(st.lists(TAG, min_size=1, max_size=6), st.lists(st.sampled_from([",", ", ", " ,", "\t,\t", ",,", " , ,"])))
def test_any_list_of_tags_is_read_back(tags: list[tuple[bool, str]], commas: list[str]) -> None:
    between = itertools.chain(commas, itertools.repeat(","))
    value = "".join(f'{"W/" if weak else ""}"{tag}"{next(between)}' for weak, tag in tags)
    assert parse_tags(value) == tags


@examples
@given(st.text(st.sampled_from('"W/*, \te\n')))
def test_any_text_is_a_list_of_tags_or_nothing(value: str) -> None:
    remains = value.split('"')
    well_formed = len(remains) > 1 and len(remains) % 2 == 1
    well_formed = well_formed and all(set(between) <= set(" \t,W/") for between in remains[::2])
    found = parse_tags(value)
    if not well_formed:
        assert found == []
    elif found:
        assert [tag for _, tag in found] == remains[1::2]


def test_a_long_broken_list_costs_little() -> None:
    for value in ('"a",' * 20_000 + "x", '"a"' * 20_000, "," * 80_000 + "x", '"a"' + " ," * 40_000 + "x", '"' * 80_001):
        before = datetime.now(UTC)
        assert parse_tags(value) == []
        assert datetime.now(UTC) - before < timedelta(seconds=1)


GOOD_DATES = [
    (SAME, MODIFIED),
    ("Sunday, 06-Nov-94 08:49:37 GMT", MODIFIED),
    ("Sun Nov  6 08:49:37 1994", MODIFIED),
    ("Sun Nov 06 08:49:37 1994", MODIFIED),
    ("Wed, 16 Nov 1994 08:49:37 GMT", MODIFIED + timedelta(days=10)),
    ("Wed Nov 16 08:49:37 1994", MODIFIED + timedelta(days=10)),
    ("Thu, 01 Jan 1970 00:00:00 GMT", datetime(1970, 1, 1, tzinfo=UTC)),
    ("Wed, 31 Dec 1969 23:59:59 GMT", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("Mon, 01 Jan 1900 00:00:00 GMT", datetime(1900, 1, 1, tzinfo=UTC)),
    ("Mon, 01 Jan 0001 00:00:00 GMT", datetime(1, 1, 1, tzinfo=UTC)),
    ("Fri, 31 Dec 9999 23:59:59 GMT", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("Fri Dec 31 23:59:59 9999", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("Tue, 29 Feb 2000 12:00:00 GMT", datetime(2000, 2, 29, 12, tzinfo=UTC)),
    ("Sat, 31 Dec 2016 23:59:60 GMT", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),  # a leap second
    ("Saturday, 31-Dec-16 23:59:60 GMT", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("Sat Dec 31 23:59:60 2016", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("Mon, 06 Nov 1994 08:49:37 GMT", MODIFIED),  # another day's name: the grammar does not forbid it
    # Two-digit years, read on 1 July 2026 at noon
    ("Thursday, 01-Jan-70 00:00:00 GMT", datetime(2070, 1, 1, tzinfo=UTC)),
    ("Saturday, 01-Jan-00 00:00:00 GMT", datetime(2000, 1, 1, tzinfo=UTC)),
    ("Wednesday, 01-Jan-25 00:00:00 GMT", datetime(2025, 1, 1, tzinfo=UTC)),
    ("Thursday, 01-Jan-26 00:00:00 GMT", datetime(2026, 1, 1, tzinfo=UTC)),
    ("Friday, 01-Jan-27 00:00:00 GMT", datetime(2027, 1, 1, tzinfo=UTC)),
    ("Wednesday, 01-Jul-76 12:00:00 GMT", datetime(2076, 7, 1, 12, tzinfo=UTC)),  # 50 years ahead, not more
    ("Thursday, 01-Jul-76 12:00:01 GMT", datetime(1976, 7, 1, 12, 0, 1, tzinfo=UTC)),
    ("Friday, 31-Dec-76 23:59:59 GMT", datetime(1976, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("Saturday, 01-Jan-77 00:00:00 GMT", datetime(1977, 1, 1, tzinfo=UTC)),
    ("Friday, 31-Dec-99 23:59:59 GMT", datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("Friday, 29-Feb-80 00:00:00 GMT", datetime(1980, 2, 29, tzinfo=UTC)),
]
BAD_DATES = [
    *["", " ", "0", "-1", "yesterday", "GMT", "784111777", "1994-11-06", "1994-11-06T08:49:37Z"],
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 08:49:37 gmt",
    "sun, 06 Nov 1994 08:49:37 GMT",  # an HTTP-date is case-sensitive
    "SUN, 06 NOV 1994 08:49:37 GMT",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT; length=5",
    "Sun, 06 Nov 1994 08:49:37 GMT GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT\n",
    f"{SAME}, {SAME}",  # two header lines
    f"{SAME},",
    f'"{SAME}"',
    "Sun 06 Nov 1994 08:49:37 GMT",
    "Sun,06 Nov 1994 08:49:37 GMT",
    "Sun,  06 Nov 1994 08:49:37 GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun,  6 Nov 1994 08:49:37 GMT",
    "Sun, 006 Nov 1994 08:49:37 GMT",
    "Sun, 06 November 1994 08:49:37 GMT",
    "Sun, 06 11 1994 08:49:37 GMT",
    "Sun, 06 Foo 1994 08:49:37 GMT",
    "Foo, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06 Nov 1994 08:49:37 GMT",
    "06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT",
    "Sun, 06 Nov 994 08:49:37 GMT",
    "Sun, 06 Nov 19940 08:49:37 GMT",
    "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
    "Sun, 06 Nov -994 08:49:37 GMT",
    "Sun, 06 Nov 0000 08:49:37 GMT",  # RFC 5322: no such year
    "Sun, 06-Nov-1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06 Nov 1994 08:49 GMT",
    "Sun, 06 Nov 1994 08:49:37.5 GMT",
    "Sun, 06 Nov 1994 08.49.37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06 Nov 1994 08:49:99 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 32 Dec 1994 08:49:37 GMT",
    "Wed, 29 Feb 1995 08:49:37 GMT",
    "Thu, 29 Feb 1900 08:49:37 GMT",
    "Sun, ٠٦ Nov ١٩٩٤ 08:49:37 GMT",  # other digits
    "Sun,\xa006 Nov 1994 08:49:37 GMT",  # a no-break space
    "\xa0Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06-Nov-94 08:49:37 GMT",  # RFC 850 wants the day's long name
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sunday, 06-Nov-094 08:49:37 GMT",
    "Sunday, 6-Nov-94 08:49:37 GMT",
    "Sunday 06-Nov-94 08:49:37 GMT",
    "Sunday, 06 Nov 94 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37",
    "Sunday, 06-Nov-94 24:49:37 GMT",
    "Thursday, 29-Feb-01 00:00:00 GMT",
    "Sun Nov 6 08:49:37 1994",  # asctime pads the day with a space
    "Sun Nov  0 08:49:37 1994",
    "Sun Nov   6 08:49:37 1994",
    "Sun Nov 31 08:49:37 1994",
    "Sun Nov  6 08:49:37 94",
    "Sun Nov  6 08:49:37 0000",
    "Sun Nov  6 08:49:37 1994 GMT",
    "Sun, Nov  6 08:49:37 1994",
    "Sunday Nov  6 08:49:37 1994",
    "Sun Nov\t6 08:49:37 1994",
    "Sun Nov  6 08:49:37 1994\n",
]


@pytest.mark.parametrize(("value", "expected"), GOOD_DATES)
def test_dates(value: str, expected: datetime) -> None:
    assert parse_date(value, NOW) == expected


@pytest.mark.parametrize("value", BAD_DATES)
def test_what_is_no_date_is_ignored(value: str) -> None:
    assert parse_date(value, NOW) is None
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        fields = {"If-Unmodified-Since": value, "If-Modified-Since": value}
        assert evaluate(method, fields, ETAG, MODIFIED) is PERFORM
    assert not range_applies({"If-Range": value}, ETAG, MODIFIED)


@pytest.mark.parametrize(
    ("now", "year", "expected"),
    [(1999, 49, 1949), (1999, 50, 1950), (2000, 50, 2050), (2000, 51, 1951), (2026, 76, 2076), (2049, 99, 2099)],
)
def test_two_digit_years_move_with_the_present(now: int, year: int, expected: int) -> None:
    found = parse_date(f"Monday, 01-Jan-{year:02} 00:00:00 GMT", datetime(now, 6, 1, tzinfo=UTC))
    assert found == datetime(expected, 1, 1, tzinfo=UTC)


def test_two_digit_years_are_read_today_unless_told() -> None:
    this_year = datetime.now(UTC).year
    assert parse_date(f"Monday, 01-Jan-{this_year % 100:02} 00:00:00 GMT") == datetime(this_year, 1, 1, tzinfo=UTC)


@examples
@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_any_date_is_read_back(date: datetime) -> None:
    date = date.replace(microsecond=0)
    assert parse_date(http_date(date)) == date
    day, number, month, year, clock, _ = http_date(date).split()
    assert parse_date(f"{day[:3]} {month} {date.day:2} {clock} {year}") == date
    if 1977 <= date.year <= 2026:
        assert parse_date(f"{date:%A}, {number}-{month}-{year[2:]} {clock} GMT", NOW) == date


@examples
@given(st.text() | st.text(st.sampled_from("SunNov069 :-,GMT")))
def test_any_text_is_a_date_or_none(value: str) -> None:
    found = parse_date(value)
    assert found is None or found.tzinfo is UTC


SINCE = [  # a date against MODIFIED, whether it was modified since
    (SAME, False),
    (NEWER, False),
    (OLDER, True),
    (f" {SAME}\t", False),  # a server may leave white space around a value
    (f"\t{OLDER} ", True),
    ("Sunday, 06-Nov-94 08:49:37 GMT", False),
    ("Sunday, 06-Nov-94 08:49:36 GMT", True),
    ("Sun Nov  6 08:49:37 1994", False),
    ("Sun Nov  6 08:49:36 1994", True),
    ("Fri, 31 Dec 9999 23:59:59 GMT", False),
    ("Mon, 01 Jan 0001 00:00:00 GMT", True),
    ("Thu, 01 Jan 1970 00:00:00 GMT", True),
]


@pytest.mark.parametrize(("value", "modified"), SINCE)
def test_if_modified_since(value: str, modified: bool) -> None:
    for method in ("GET", "HEAD"):
        expected = PERFORM if modified else NOT_MODIFIED
        assert evaluate(method, {"If-Modified-Since": value}, ETAG, MODIFIED) is expected
        assert evaluate(method, {"If-Modified-Since": value}, ETAG, None) is PERFORM
    for method in ("PUT", "DELETE", "POST"):
        assert evaluate(method, {"If-Modified-Since": value}, ETAG, MODIFIED) is PERFORM


@pytest.mark.parametrize(("value", "modified"), SINCE)
def test_if_unmodified_since(value: str, modified: bool) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "POST"):
        expected = FAILED if modified else PERFORM
        assert evaluate(method, {"If-Unmodified-Since": value}, ETAG, MODIFIED) is expected
        assert evaluate(method, {"If-Unmodified-Since": value}, ETAG, None) is PERFORM
        assert evaluate(method, {"If-Unmodified-Since": value}, None, None) is PERFORM


IF_RANGE = [
    (None, True),
    ('"e"', True),
    (' "e"\t', True),
    ('W/"e"', False),  # a weak tag never matches strongly
    ('"x"', False),
    ('"E"', False),
    ('"e', False),
    ("e", False),
    ('"e", "e"', False),  # one tag, no list
    ('"x", "e"', False),
    ('"e",', False),
    ("*", False),
    ('"*"', False),
    ("", False),
    ('""', False),
    ('w/"e"', False),
    ('\xa0"e"', False),
    ('"e"\n', False),
    (SAME, True),
    (f" {SAME} ", True),
    ("Sunday, 06-Nov-94 08:49:37 GMT", True),
    ("Sun Nov  6 08:49:37 1994", True),
    (OLDER, False),
    (NEWER, False),  # later does not do: the match is exact
    ("Fri, 31 Dec 9999 23:59:59 GMT", False),
    (f"{SAME}, {SAME}", False),
    (f'"e", {SAME}', False),
    (f'"{SAME}"', False),
]


@pytest.mark.parametrize(("value", "applies"), IF_RANGE)
def test_if_range(value: str | None, applies: bool) -> None:
    fields = {} if value is None else {"If-Range": value}
    assert range_applies(fields, ETAG, MODIFIED) is applies
    # Without a strong date only a tag can match.
    assert range_applies(fields, ETAG, None) is (applies and not (value or "").strip().startswith("Sun"))


def test_lines_of_the_same_field_are_one_list() -> None:
    lines = Headers([("If-None-Match", '"x"'), ("If-None-Match", '"e"')])
    headers = EnvironBuilder(headers=lines).get_request().headers
    assert evaluate("GET", headers, ETAG, MODIFIED) is NOT_MODIFIED
    assert evaluate("GET", EnvironBuilder(headers=lines[:1]).get_request().headers, ETAG) is PERFORM


def test_field_names_have_no_case() -> None:
    headers = Headers({"if-match": '"x"', "if-range": '"x"'})
    assert evaluate("GET", headers, ETAG, MODIFIED) is FAILED
    assert not range_applies(headers, ETAG, MODIFIED)


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(seconds=1), timedelta(days=9999)])
def test_last_modified_is_in_whole_seconds(ago: timedelta) -> None:
    date = datetime(2026, 1, 1, 1, 1, 1, 999_999, tzinfo=UTC) - ago
    assert last_modified(date) == date.replace(microsecond=0)


def test_last_modified_is_never_in_the_future() -> None:
    """But what a precondition compares is: this machine's clock may be wrong, and another version follow."""
    before = datetime.now(UTC).replace(microsecond=0)
    for date in (datetime.now(UTC) + timedelta(days=1), datetime(9999, 12, 31, tzinfo=UTC)):
        told = last_modified(date)
        assert before <= told <= datetime.now(UTC)
        for since, unmodified in ((told, False), (date - timedelta(seconds=2), False), (date, True)):
            fields = {name: http_date(since) for name in ("If-Modified-Since", "If-Unmodified-Since", "If-Range")}
            assert evaluate("GET", {"If-Modified-Since": fields["If-Modified-Since"]}, ETAG, date) is (
                NOT_MODIFIED if unmodified else PERFORM
            )
            assert evaluate("PUT", {"If-Unmodified-Since": fields["If-Unmodified-Since"]}, ETAG, date) is (
                PERFORM if unmodified else FAILED
            )
            assert range_applies(fields, ETAG, date) is unmodified
