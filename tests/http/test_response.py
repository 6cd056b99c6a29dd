"""http/response.py through ``send_file``: status, fields and bytes of a file's answer."""

from __future__ import annotations

import email
import io
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, request
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo

from ..conftest import Commands
from ..helpers.wire import CONDITIONS, DATA, LATER, OLD, N

SMALL = b"small"
Get = Callable[..., TestResponse]


@pytest.fixture
def get(app: Flask, mongo: PyMongo) -> Get:
    """``get(Range="bytes=0-1")`` on a file; ``method=`` and ``path=`` choose another request."""

    @app.route("/<path:name>", methods=["GET", "HEAD"])
    def send(name: str) -> Response:
        return mongo.send_file(name, version=request.args.get("version", -1, int))

    with app.test_request_context():
        mongo.save_file("file", io.BytesIO(DATA), content_type="video/mp4")
        mongo.save_file("empty", io.BytesIO(b""))

    def get(method: str = "GET", path: str = "/file", **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.test_client().open(path, method=method, headers=named)

    return get


def test_a_whole_file(get: Get) -> None:
    answer = get()
    assert (answer.status_code, answer.data) == (200, DATA)
    assert answer.headers["Content-Length"] == str(N)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000"
    assert "Date" not in answer.headers  # the server's


@pytest.mark.parametrize(
    ("field", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, N),
        ("bytes=-5", N - 5, N),
        (f"bytes=-{N + 1}", 0, N),
        (f"BYTES=261119-{N * 9}", 261119, N),
        ("bytes=261119-261120", 261119, 261121),
        (f"bytes={N - 1}-{N - 1}", N - 1, N),
        ("bytes=10-19,15-29,30-39", 10, 40),
        (f"bytes={N}-,0-3", 0, 4),
    ],
)
def test_one_range(get: Get, field: str, start: int, stop: int) -> None:
    answer = get(Range=field)
    assert (answer.status_code, answer.data) == (206, DATA[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{N}"
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.content_type == "video/mp4"


@pytest.mark.parametrize("field", ["items=0-1", "bytes=abc", "bytes=5-2", "bytes=", "bytes 0-1", "bytes=0-1;2-3", "x"])
def test_a_range_that_means_nothing_is_ignored(get: Get, field: str) -> None:
    answer = get(Range=field)
    assert (answer.status_code, answer.data) == (200, DATA)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("field", [f"bytes={N}-", "bytes=-0", f"bytes={N}-{N + 5},-0", "bytes=99999999999999999999-"])
def test_a_range_that_cannot_be_satisfied(get: Get, field: str) -> None:
    answer = get(Range=field)
    assert (answer.status_code, answer.data) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{N}"


@pytest.mark.parametrize("field", ["bytes=0-0", "bytes=-1", "bytes=0-", "bytes=5-6"])
def test_an_empty_file_is_sent_whole_whatever_the_range(get: Get, field: str) -> None:
    answer = get(path="/empty", Range=field)
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    "spans", [[(0, 1), (5, 7)], [(600_000, 600_003), (1, 2)], [(n * 40_000, n * 40_000 + 3) for n in range(16)]]
)
def test_several_ranges(get: Get, spans: list[tuple[int, int]]) -> None:
    answer = get(Range="bytes=" + ", ".join(f"{start}-{stop - 1}" for start, stop in spans))
    assert answer.status_code == 206
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert "Content-Range" not in answer.headers
    message = email.message_from_bytes(f"Content-Type: {answer.content_type}\r\n\r\n".encode() + answer.data)
    parts: Any = message.get_payload()
    assert [(part["Content-Range"], part["Content-Type"]) for part in parts] == [
        (f"bytes {start}-{stop - 1}/{N}", "video/mp4") for start, stop in spans
    ]
    for (start, stop), piece in zip(spans, answer.data.split(b"\r\n\r\n")[1:], strict=True):
        assert piece.startswith(DATA[start:stop] + b"\r\n--")


def test_more_ranges_than_sixteen_are_the_whole_file(get: Get) -> None:
    answer = get(Range="bytes=" + ",".join(f"{n * 10}-{n * 10}" for n in range(17)))
    assert (answer.status_code, answer.data) == (200, DATA)


@pytest.mark.parametrize(("fields", "status"), CONDITIONS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_preconditions(get: Get, method: str, fields: dict[str, str], status: int) -> None:
    wanted = {"Want-Repr-Digest": "sha-256=1"}
    own = get(**wanted)
    named = {
        name: value.replace("{etag}", own.headers["ETag"])
        .replace("{tag}", own.headers["ETag"][:-1])
        .replace("{date}", own.headers["Last-Modified"])
        for name, value in fields.items()
    }
    answer = get(method, **named, **wanted)
    assert answer.status_code == status
    assert answer.headers["ETag"] == own.headers["ETag"]
    if status == 304:
        assert answer.headers["Cache-Control"] == own.headers["Cache-Control"]
        about = {"Content-Length", "Content-Type", "Content-Disposition", "Repr-Digest", "Last-Modified"}
        assert about <= set(own.headers.keys())
        assert not about & set(answer.headers.keys())
    if status != 200 or method == "HEAD":
        assert answer.data == b""


@pytest.mark.parametrize(
    ("condition", "status"),
    [("{etag}", 206), ("{date}", 206), ("W/{etag}", 200), ('"x"', 200), (OLD, 200), (LATER, 200), ("x", 200)],
)
def test_if_range(get: Get, condition: str, status: int) -> None:
    own = get().headers
    condition = condition.replace("{etag}", own["ETag"]).replace("{date}", own["Last-Modified"])
    assert get(Range="bytes=0-1", If_Range=condition).status_code == status


@pytest.mark.parametrize("fields", [{}, {"Range": "bytes=0-1"}, {"Range": f"bytes={N}-"}, {"If-Match": '"x"'}])
def test_head_has_the_fields_of_get(get: Get, fields: dict[str, str]) -> None:
    """... of a GET without Range, which HEAD ignores (RFC 9110 section 14.2)."""
    head = get("HEAD", **fields)
    fields.pop("Range", None)
    plain = get(**fields)
    assert (head.status_code, dict(head.headers)) == (plain.status_code, dict(plain.headers))
    assert head.data == b""


@pytest.mark.parametrize(("version", "status"), [(0, 200), (1, 404), (-1, 200), (-2, 404), (2**70, 404)])
def test_versions(get: Get, version: int, status: int) -> None:
    assert get(path=f"/file?version={version}").status_code == status


def test_an_unknown_name(get: Get) -> None:
    assert get(path="/nothing").status_code == 404


class TestArguments:
    def test_cache_for_and_attachment_and_download_name(self, app: Flask, mongo: PyMongo) -> None:
        with app.test_request_context():
            mongo.save_file("dir/page.html", io.BytesIO(b"<p>"))
            plain = mongo.send_file("dir/page.html").headers
            chosen = mongo.send_file("dir/page.html", cache_for=0, as_attachment=False, download_name="x.htm").headers
        assert plain["Content-Disposition"] == 'attachment; filename="page.html"'
        assert chosen["Content-Disposition"] == 'inline; filename="x.htm"'
        assert chosen["Cache-Control"] == "public, max-age=0"

    def test_base_and_db_and_response_class(self, app: Flask, mongo: PyMongo) -> None:
        class Mine(Response):
            pass

        app.response_class = Mine
        with app.test_request_context():
            mongo.save_file("a", io.BytesIO(b"1"), base="photos", db="elsewhere")
            answer = mongo.send_file("a", base="photos", db="elsewhere")
            assert isinstance(answer, Mine)
            assert b"".join(answer.response) == b"1"  # type: ignore[arg-type]
            assert mongo.cx.elsewhere["photos.files"].find_one()["filename"] == "a"
        mongo.cx.drop_database("elsewhere")


@pytest.mark.parametrize(
    ("method", "fields", "chunk_queries"),
    [
        ("GET", {}, 0),  # its chunks come along with the document
        ("GET", {"If-None-Match": '"x"'}, 1),
        ("HEAD", {}, 0),
        ("GET", {"If-None-Match": "*"}, 0),
        ("GET", {"If-Match": '"x"'}, 0),
        ("GET", {"Range": f"bytes={N}-"}, 0),
        ("GET", {"Range": "bytes=-10"}, 1),
    ],
)
def test_an_answer_reads_only_what_it_sends(
    app: Flask, uri: str, method: str, fields: dict[str, str], chunk_queries: int
) -> None:
    commands = Commands()
    mongo = PyMongo(app, uri=uri, event_listeners=[commands])
    app.add_url_rule("/<name>", "send", lambda name: mongo.send_file(name), methods=["GET", "HEAD"])
    mongo.save_file("file", io.BytesIO(DATA if fields else SMALL))
    commands.all.clear()
    app.test_client().open("/file", method=method, headers=fields)
    collections = [next(iter(command.values())) for command in commands.all]
    assert collections.count("fs.chunks") == chunk_queries
    assert collections.count("fs.files") == 1
    mongo.cx.close()
