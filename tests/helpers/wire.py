"""Requests on a socket, and all combinations of conditional fields."""

from __future__ import annotations

import http.client
import random

DATA = random.Random(0).randbytes(700_000)


N = len(DATA)


OLD, LATER = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


CONDITIONS = [  # header fields, the status for GET and HEAD; {etag} and {date} are the file's own
    ({"If-None-Match": "{etag}"}, 304),
    ({"If-None-Match": 'W/{etag}, "x"'}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"x"'}, 200),
    ({"If-None-Match": '{tag}-gzip"'}, 304),  # Apache compressed it
    ({"If-None-Match": 'W/{tag}-br", "x"'}, 304),
    ({"If-None-Match": '"x", {tag}-zstd"'}, 304),
    ({"If-None-Match": '{tag};gzip"'}, 304),
    ({"If-None-Match": '{tag}-gzip-gzip"'}, 200),
    ({"If-None-Match": '{tag}-xz"'}, 200),
    ({"If-None-Match": '"-gzip"'}, 200),
    ({"If-Match": '{tag}-gzip"'}, 412),
    ({"If-None-Match": '"x"', "If-Modified-Since": LATER}, 200),
    ({"If-Modified-Since": "{date}"}, 304),
    ({"If-Modified-Since": LATER}, 304),
    ({"If-Modified-Since": OLD}, 200),
    ({"If-Modified-Since": "Sat, 01 Jan 99999 00:00:00 GMT"}, 200),
    ({"If-Match": "{etag}"}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": "W/{etag}"}, 412),
    ({"If-Match": '"x"'}, 412),
    ({"If-Match": '"x"', "If-None-Match": "{etag}"}, 412),
    ({"If-Match": "{etag}", "If-None-Match": "{etag}"}, 304),
    ({"If-Unmodified-Since": OLD}, 412),
    ({"If-Unmodified-Since": "{date}"}, 200),
    ({"If-Unmodified-Since": OLD, "If-Match": "{etag}"}, 200),
    ({"Range": "bytes=0-1", "If-None-Match": "{etag}"}, 304),
    ({"Range": "bytes=0-1", "If-Match": '"x"'}, 412),
    ({"Range": f"bytes={N}-", "If-Match": '"x"'}, 412),
]


def call(netloc: str, method: str, target: str, body: bytes | None = None) -> int:
    """The status of a request of its own."""
    client = http.client.HTTPConnection(netloc, timeout=60)
    try:
        client.request(method, target, body)
        answer = client.getresponse()
        answer.read() if method != "GET" else None
        return answer.status
    finally:
        client.close()
