"""http/ranges.py: RFC 9110 section 14, row by row and against slicing."""

from __future__ import annotations

import email
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_gridfs_pymongo.http.ranges import MAX_RANGES, ByteRange, closing, parse_range, part_head

examples = settings(derandomize=True, max_examples=500, deadline=None, database=None)
HUGE = "9" * 300
IGNORED = None
UNSATISFIABLE: list[tuple[int, int]] = []

ROWS = [  # a Range field, a length, the ranges as (start, stop)
    # Section 14.1.2, the representation of 10000 bytes
    ("bytes=0-499", 10_000, [(0, 500)]),
    ("bytes=500-999", 10_000, [(500, 1000)]),
    ("bytes=-500", 10_000, [(9500, 10_000)]),
    ("bytes=9500-", 10_000, [(9500, 10_000)]),
    ("bytes=0-0,-1", 10_000, [(0, 1), (9999, 10_000)]),
    ("bytes= 0-999, 4500-5499, -1000", 10_000, [(0, 1000), (4500, 5500), (9000, 10_000)]),
    ("bytes=500-600,601-999", 10_000, [(500, 1000)]),
    ("bytes=500-700,601-999", 10_000, [(500, 1000)]),
    # One range
    ("bytes=0-0", 10, [(0, 1)]),
    ("bytes=0-0", 1, [(0, 1)]),
    ("bytes=9-9", 10, [(9, 10)]),
    ("bytes=0-9", 10, [(0, 10)]),
    ("bytes=0-", 10, [(0, 10)]),
    ("bytes=0-", 1, [(0, 1)]),
    ("bytes=5-", 10, [(5, 10)]),
    ("bytes=9-", 10, [(9, 10)]),
    ("bytes=3-6", 10, [(3, 7)]),
    ("bytes=3-9", 10, [(3, 10)]),
    ("bytes=3-10", 10, [(3, 10)]),  # an end behind the end
    ("bytes=3-99999", 10, [(3, 10)]),
    (f"bytes=0-{HUGE}", 10, [(0, 10)]),
    ("bytes=-1", 10, [(9, 10)]),
    ("bytes=-10", 10, [(0, 10)]),
    ("bytes=-11", 10, [(0, 10)]),  # a suffix longer than the representation
    (f"bytes=-{HUGE}", 10, [(0, 10)]),
    ("bytes=00000-00004", 10, [(0, 5)]),
    ("bytes=-0005", 10, [(5, 10)]),
    (f"bytes=-{2**63}", 10, [(0, 10)]),
    ("bytes=5-5", 2**40, [(5, 6)]),
    (f"bytes={2**40 - 1}-", 2**40, [(2**40 - 1, 2**40)]),
    # None can be satisfied
    ("bytes=10-", 10, UNSATISFIABLE),
    ("bytes=10-20", 10, UNSATISFIABLE),
    ("bytes=10-10", 10, UNSATISFIABLE),
    (f"bytes={HUGE}-", 10, UNSATISFIABLE),
    (f"bytes={HUGE}-{HUGE}", 10, UNSATISFIABLE),
    ("bytes=-0", 10, UNSATISFIABLE),
    ("bytes=-00", 10, UNSATISFIABLE),
    ("bytes=-0,-0", 10, UNSATISFIABLE),
    ("bytes=10-,11-12,-0", 10, UNSATISFIABLE),
    ("bytes=1-", 1, UNSATISFIABLE),
    # Some can
    ("bytes=10-,0-0", 10, [(0, 1)]),
    ("bytes=-0,0-0", 10, [(0, 1)]),
    ("bytes=0-0,-0,10-20,-1", 10, [(0, 1), (9, 10)]),
    # Several: the order is kept
    ("bytes=0-1,4-5", 10, [(0, 2), (4, 6)]),
    ("bytes=4-5,0-1", 10, [(4, 6), (0, 2)]),
    ("bytes=-1,0-0", 10, [(9, 10), (0, 1)]),
    ("bytes=8-8,4-4,6-6,2-2", 10, [(8, 9), (4, 5), (6, 7), (2, 3)]),
    # Overlapping and adjacent ones become one, at the place of the first
    ("bytes=0-4,3-6", 10, [(0, 7)]),
    ("bytes=3-6,0-4", 10, [(0, 7)]),
    ("bytes=0-4,5-6", 10, [(0, 7)]),
    ("bytes=5-6,0-4", 10, [(0, 7)]),
    ("bytes=0-3,5-6", 10, [(0, 4), (5, 7)]),  # one byte between them
    ("bytes=0-9,3-4", 10, [(0, 10)]),
    ("bytes=3-4,0-9", 10, [(0, 10)]),
    ("bytes=0-0,0-0,0-0", 10, [(0, 1)]),
    ("bytes=0-,0-,0-,-10", 10, [(0, 10)]),
    ("bytes=8-9,0-1,7-7", 10, [(7, 10), (0, 2)]),
    ("bytes=0-1,8-9,2-2", 10, [(0, 3), (8, 10)]),
    ("bytes=8-8,0-1,4-4,2-3", 10, [(8, 9), (0, 5)]),
    ("bytes=4-4,8-8,0-1,2-3", 10, [(0, 5), (8, 9)]),
    ("bytes=0-1,4-5,2-3", 10, [(0, 6)]),
    ("bytes=-3,5-", 10, [(5, 10)]),
    ("bytes=2-4,-3", 10, [(2, 5), (7, 10)]),
    # White space and empty elements (section 5.6.1.2)
    (" bytes=0-1", 10, [(0, 2)]),
    ("\tbytes=0-1 \t", 10, [(0, 2)]),
    ("bytes= 0-1", 10, [(0, 2)]),
    ("bytes=0-1 , 4-5", 10, [(0, 2), (4, 6)]),
    ("bytes=0-1\t,\t4-5\t", 10, [(0, 2), (4, 6)]),
    ("bytes=,0-1", 10, [(0, 2)]),
    ("bytes=0-1,", 10, [(0, 2)]),
    ("bytes=, ,0-1,,\t,4-5, ,", 10, [(0, 2), (4, 6)]),
    # The unit has no case
    ("Bytes=0-1", 10, [(0, 2)]),
    ("BYTES=0-1", 10, [(0, 2)]),
    ("bYtEs=0-1", 10, [(0, 2)]),
    # Other units, broken syntax
    ("items=0-1", 10, IGNORED),
    ("items=99-", 10, IGNORED),
    ("byte=0-1", 10, IGNORED),
    ("bytess=0-1", 10, IGNORED),
    ("none=0-1", 10, IGNORED),
    ("xbytes=0-1", 10, IGNORED),
    ("byteſ=0-1", 10, IGNORED),  # a long s: bytes only if upper case is asked of all of Unicode
    ("=0-1", 10, IGNORED),
    ("0-1", 10, IGNORED),
    ("", 10, IGNORED),
    ("bytes", 10, IGNORED),
    ("bytes=", 10, IGNORED),
    ("bytes= ", 10, IGNORED),
    ("bytes=,", 10, IGNORED),
    ("bytes=, ,", 10, IGNORED),
    ("bytes 0-1", 10, IGNORED),
    ("bytes:0-1", 10, IGNORED),
    ("bytes =0-1", 10, IGNORED),
    ("bytes==0-1", 10, IGNORED),
    ("bytes=-", 10, IGNORED),
    ("bytes=0-1,-", 10, IGNORED),
    ("bytes=--", 10, IGNORED),
    ("bytes=--1", 10, IGNORED),
    ("bytes=-1-", 10, IGNORED),
    ("bytes=-1-2", 10, IGNORED),
    ("bytes=0--1", 10, IGNORED),
    ("bytes=0-1-2", 10, IGNORED),
    ("bytes=5", 10, IGNORED),
    ("bytes=5,0-1", 10, IGNORED),
    ("bytes=abc", 10, IGNORED),
    ("bytes=a-b", 10, IGNORED),
    ("bytes=0-b", 10, IGNORED),
    ("bytes=0x0-0x1", 10, IGNORED),
    ("bytes=+0-1", 10, IGNORED),
    ("bytes=0-+1", 10, IGNORED),
    ("bytes=0.0-1", 10, IGNORED),
    ("bytes=1e0-", 10, IGNORED),
    ("bytes=1_0-11", 20, IGNORED),
    ("bytes=0 -1", 10, IGNORED),
    ("bytes=0- 1", 10, IGNORED),
    ("bytes=- 1", 10, IGNORED),
    ("bytes=0 1-2", 10, IGNORED),
    ("bytes=0-1;4-5", 10, IGNORED),
    ("bytes=0-1 4-5", 10, IGNORED),
    ("bytes=0-1/10", 10, IGNORED),
    ("bytes=0-1/*", 10, IGNORED),
    ("bytes=*", 10, IGNORED),
    ("bytes=0–1", 10, IGNORED),  # an en dash
    ("bytes=٠-١", 10, IGNORED),  # other digits
    ("bytes=²-", 10, IGNORED),
    ("bytes=0-1\n", 10, IGNORED),
    ("bytes=0-1\r\nX: y", 10, IGNORED),
    ("bytes=\n0-1", 10, IGNORED),
    ("bytes=0-1\0", 10, IGNORED),
    ("bytes=\xa00-1", 10, IGNORED),
    ('bytes="0-1"', 10, IGNORED),
    ("bytes=0-1, bytes=4-5", 10, IGNORED),  # two header lines
    ("bytes=0-1,items=4-5", 10, IGNORED),
    # Last before first: the whole field is invalid (section 14.1.2)
    ("bytes=5-2", 10, IGNORED),
    ("bytes=1-0", 10, IGNORED),
    ("bytes=0-1,5-2", 10, IGNORED),
    ("bytes=5-2,0-1", 10, IGNORED),
    ("bytes=99-98", 10, IGNORED),
    (f"bytes={HUGE}1-{HUGE}0", 10, IGNORED),
    # Nothing can be selected of an empty representation
    *[
        (field, 0, IGNORED)
        for field in ("bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-6", "bytes=0-0,-1", "bytes=abc")
    ],
]


@pytest.mark.parametrize(("field", "length", "expected"), ROWS)
def test_select(field: str, length: int, expected: list[tuple[int, int]] | None) -> None:
    assert parse_range(field, length) == expected


def spaced(count: int) -> str:
    return "bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(count))


@pytest.mark.parametrize("count", [1, 2, 15, 16])
def test_up_to_the_cap(count: int) -> None:
    assert parse_range(spaced(count), 1000) == [(n * 2, n * 2 + 1) for n in range(count)]


@pytest.mark.parametrize("count", [17, 100])
def test_beyond_the_cap_the_field_is_ignored(count: int) -> None:
    assert parse_range(spaced(count), 1000) is None


def test_the_cap_counts_what_is_sent() -> None:
    assert parse_range("bytes=" + ",".join(["0-1"] * 50), 10) == [(0, 2)]
    assert parse_range("bytes=" + ",".join(["10-"] * 50 + ["0-1"]), 10) == [(0, 2)]
    assert parse_range(spaced(50), 3) == [(0, 1), (2, 3)]


def test_a_field_of_more_than_1024_characters_is_ignored() -> None:
    for blanks, expected in ((1024 - 9, [(0, 1)]), (1025 - 9, None)):
        assert parse_range("bytes=" + " " * blanks + "0-0", 10) == expected
    assert parse_range("bytes=0-" + "9" * 5000, 10) is None  # int() refuses so many digits


@pytest.mark.parametrize(
    "field",
    [
        "bytes=" + ",".join(["0-"] * 339),
        "bytes=" + ",".join(f"{n}-" for n in range(200)),
        "bytes=0-," + "," * 1000,
        "bytes=" + "-," * 500,
        "bytes=" + "0-," * 400_000,
        "bytes=" + " " * 1_000_000,
        "bytes=" + "0-1" * 300_000,
        "b" * 1_000_000,
        " " * 1_000_000 + "x",
    ],
)
def test_a_field_built_to_amplify_costs_little(field: str) -> None:
    before = time.perf_counter()
    for _ in range(10):
        found = parse_range(field, 10**9)
    assert time.perf_counter() - before < 5
    assert sum(part.stop - part.start for part in found or []) <= 10**9


Spec = tuple[int | None, int | None]
number = st.integers(0, 70) | st.integers(0, 10**30)
specs = st.lists(st.tuples(st.none() | number, st.none() | number).filter(lambda spec: spec != (None, None)))


def slices(wanted: list[Spec], length: int) -> list[tuple[int, int]]:
    """The parts, found by slicing the numbers of all bytes."""
    everything = range(length)
    sets = []
    for first, last in wanted:
        if first is None:
            chosen = everything[-last:] if last else everything[:0]
        else:
            chosen = everything[first : None if last is None else last + 1]
        sets.append(set(chosen))
    union = set().union(*sets)
    runs: list[list[int]] = []
    for position in sorted(union):
        if runs and runs[-1][-1] == position - 1:
            runs[-1].append(position)
        else:
            runs.append([position])
    first_asked = [min(place for place, chosen in enumerate(sets) if chosen & set(run)) for run in runs]
    return [(run[0], run[-1] + 1) for _, run in sorted(zip(first_asked, runs, strict=True))]


@examples
@given(st.lists(st.tuples(number, number).map(sorted).map(tuple), min_size=1, max_size=12), st.integers(1, 64))
def test_closed_ranges_are_slices(wanted: list[Spec], length: int) -> None:
    check(wanted, length)


@examples
@given(specs.filter(len), st.integers(1, 64))
def test_any_ranges_are_slices(wanted: list[Spec], length: int) -> None:
    check(wanted, length)


def check(wanted: list[Spec], length: int) -> None:
    field = "bytes=" + ",".join(f"{'' if a is None else a}-{'' if b is None else b}" for a, b in wanted)
    found = parse_range(field, length)
    expected = slices(wanted, length)
    if (
        len(field) > 1024
        or any(a is not None and b is not None and b < a for a, b in wanted)
        or len(expected) > MAX_RANGES
    ):
        assert found is None
    else:
        assert found == expected


@examples
@given(st.text(st.sampled_from("0123-, \t")), st.integers(0, 40))
def test_any_field_selects_by_the_grammar(value: str, length: int) -> None:
    wanted: list[Spec] = []
    valid = bool(length)
    for element in filter(None, (element.strip(" \t") for element in value.split(","))):
        first, dash, last = element.partition("-")
        valid &= dash == "-" and bool(first + last) and (first + last).isdigit()
        valid &= not first or not last or (last.isdigit() and first.isdigit() and int(first) <= int(last))
        if valid:
            wanted.append((int(first) if first else None, int(last) if last else None))
    found = parse_range(f"bytes={value}", length)
    assert found == (slices(wanted, length) if valid and wanted else None)


@examples
@given(st.text() | st.text().map("bytes={}".format), st.integers(0, 2**40))
def test_any_text_is_answered(field: str, length: int) -> None:
    found = parse_range(field, length) or []
    assert len(found) <= MAX_RANGES
    assert all(0 <= part.start < part.stop <= length for part in found)


@pytest.mark.parametrize(
    ("part", "length", "expected"),
    [((0, 1), 1, "bytes 0-0/1"), ((0, 500), 1234, "bytes 0-499/1234"), ((734, 1234), 1234, "bytes 734-1233/1234")],
)
def test_content_range(part: tuple[int, int], length: int, expected: str) -> None:
    assert ByteRange(*part).content_range(length) == expected


def test_the_frame_of_several_parts_to_the_byte() -> None:
    data = b"0123456789"
    body = b"".join(
        part_head("SEP", "text/plain; charset=utf-8", part, len(data)) + data[part.start : part.stop]
        for part in (ByteRange(7, 10), ByteRange(0, 2))
    ) + closing("SEP")
    assert body == (
        b"\r\n--SEP\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 7-9/10\r\n\r\n789"
        b"\r\n--SEP\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
        b"\r\n--SEP--\r\n"
    )


@examples
@given(st.lists(st.binary(max_size=40).filter(lambda data: b"--SEP" not in data), min_size=2, max_size=5))
def test_any_bytes_come_out_of_the_frame(pieces: list[bytes]) -> None:
    heads = [part_head("SEP", "image/png", ByteRange(n, n + 1), 99) for n in range(len(pieces))]
    body = b"".join(head + piece for head, piece in zip(heads, pieces, strict=True)) + closing("SEP")
    preamble, *parts, end = body.split(b"\r\n--SEP")
    assert (preamble, end) == (b"", b"--\r\n")
    assert [part.partition(b"\r\n\r\n")[2] for part in parts] == pieces
    message: Any = email.message_from_bytes(b"Content-Type: multipart/byteranges; boundary=SEP\r\n\r\n" + body)
    assert [part["Content-Range"] for part in message.get_payload()] == [f"bytes {n}-{n}/99" for n in range(len(parts))]
