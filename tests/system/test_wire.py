"""The same rules once more as bytes on a socket: gunicorn, mongod, the blueprint and ``send_file``."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ..conftest import Serve, start_gunicorn

DATA = random.Random(3).randbytes(300_000)
N = len(DATA)


@dataclass
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes


def ask(address: str, method: str, target: str, *lines: str, body: bytes = b"") -> Answer:
    """Send a request with these header lines; read all that comes until the server closes."""
    parts = urlsplit(address)
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: test.example", "Connection: close", *lines, "", ""])
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(head.encode("latin-1") + body)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    while received.startswith(b"HTTP/1.1 100"):
        received = received.split(b"\r\n\r\n", 1)[1]
    top, _, content = received.partition(b"\r\n\r\n")
    status, *fields = top.decode("latin-1").split("\r\n")
    named = [line.split(": ", 1) for line in fields]
    names = [name for name, _ in named]
    assert sorted(names) == sorted(set(names)), f"a field came twice: {names}"
    return Answer(int(status.split()[1]), dict(named), content)


def put(address: str, target: str, body: bytes, *lines: str) -> Answer:
    return ask(address, "PUT", target, f"Content-Length: {len(body)}", *lines, body=body)


@pytest.fixture(scope="module")
def server(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two processes on one bucket that holds ``file`` in two versions, and ``empty``."""
    database = f"{mongod}/test_wire"
    app = Flask("wire")
    mongo = PyMongo(app, uri=database)
    mongo.cx.drop_database("test_wire")
    for name, content in (("file", b"old"), ("file", DATA), ("empty", b"")):
        mongo.save_file(name, io.BytesIO(content), content_type="video/mp4")
    log = tmp_path_factory.mktemp("wire") / "log"
    with start_gunicorn("tests.helpers.live:create_app()", log, "--workers", "2", LIVE_URI=database) as address:
        yield address
    mongo.cx.drop_database("test_wire")
    mongo.cx.close()


@pytest.mark.parametrize("target", ["/uploads/file", "/sent/file"])
class TestReading:
    def test_a_whole_file(self, server: str, target: str) -> None:
        answer = ask(server, "GET", target)
        assert (answer.status, answer.body) == (200, DATA)
        assert answer.fields["Content-Length"] == str(N)
        assert answer.fields["Accept-Ranges"] == "bytes"
        modified, date = (parsedate_to_datetime(answer.fields[name]) for name in ("Last-Modified", "Date"))
        assert modified <= date
        digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
        assert answer.fields["Repr-Digest"] == f"sha-256=:{digest}:"

    @pytest.mark.parametrize("wanted", [("sha-256=0", False), ("sha-256=10", True), ("sha-512=3", True), ("x", True)])
    def test_want_repr_digest(self, server: str, target: str, wanted: tuple[str, bool]) -> None:
        answer = ask(server, "HEAD", target, f"Want-Repr-Digest: {wanted[0]}")
        assert ("Repr-Digest" in answer.fields) == wanted[1]

    @pytest.mark.parametrize(
        ("name", "line", "status", "content"),
        [
            ("file", "Range: bytes=260000-262000", 206, DATA[260_000:262_001]),
            ("file", f"Range: bytes=-{N * 2}", 206, DATA),
            ("file", "Range: bytes=5-2", 200, DATA),
            ("file", f"Range: bytes={N}-", 416, None),
            ("file", "If-None-Match: {etag}", 304, b""),
            ("file", "If-Modified-Since: {date}", 304, b""),
            ("file", 'If-Match: "other"', 412, None),
            ("empty", "Range: bytes=0-", 200, b""),
            ("none", "Range: bytes=0-", 404, None),
        ],
    )
    def test_an_answer_is_as_long_as_it_says(
        self, server: str, target: str, name: str, line: str, status: int, content: bytes | None
    ) -> None:
        own = ask(server, "HEAD", target).fields
        line = line.format(etag=own["ETag"], date=own["Last-Modified"])
        got, head = (ask(server, method, target.replace("file", name), line) for method in ("GET", "HEAD"))
        assert (got.status, head.body) == (status, b"")
        assert head.status == (200 if line.startswith("Range") and status != 404 else status)
        assert got.fields.get("Content-Length") == (None if status == 304 else str(len(got.body)))
        if content is None:
            assert DATA[:20] not in got.body
        else:
            assert got.body == content
        if status == 206:
            start = DATA.index(content or b"")
            assert got.fields["Content-Range"] == f"bytes {start}-{start + len(got.body) - 1}/{N}"

    @pytest.mark.parametrize("field", ["If-None-Match", "If-Match"])
    def test_a_field_on_two_lines_is_one_list(self, server: str, target: str, field: str) -> None:
        etag = ask(server, "HEAD", target).fields["ETag"]
        expected = 304 if field == "If-None-Match" else 200
        assert ask(server, "GET", target, f'{field}: "x"', f"{field}: {etag}").status == expected

    def test_several_ranges_have_the_length_that_they_say(self, server: str, target: str) -> None:
        answer = ask(server, "GET", target, "Range: bytes=299990-, 0-9")
        assert answer.status == 206
        assert answer.fields["Content-Length"] == str(len(answer.body))
        assert answer.body.index(DATA[-10:]) < answer.body.index(DATA[:10])

    def test_head_has_the_fields_of_get(self, server: str, target: str) -> None:
        for path in (target, f"{target}?x", target.replace("file", "none")):
            got, head = ask(server, "GET", path), ask(server, "HEAD", path)
            for answer in (got, head):
                answer.fields.pop("Date")
            assert (head.status, head.fields, head.body) == (got.status, got.fields, b"")


ODD = [
    "%41",
    "a%2Fb",
    "100%",
    "q?x=1",
    "h#h",
    "sp ace",
    "semi;colon",
    "plus+",
    "é",
    "e\u0301",
    "日本",
    "\U0001f600",
    "a//b",
]


class TestUrls:
    @pytest.mark.parametrize("name", ODD)
    def test_exactly_the_file_of_that_name(self, server: str, name: str, mongod: str) -> None:
        with Flask("urls").app_context() as context:
            mongo = PyMongo(context.app, uri=f"{mongod}/test_wire")
            mongo.save_file(name, io.BytesIO(name.encode()))
            mongo.cx.close()
        target = f"/uploads/{quote(name)}"
        assert ask(server, "GET", target).body == name.encode()
        assert ask(server, "GET", f"/uploads/{quote(name, safe='')}").body == name.encode()

    @pytest.mark.parametrize(
        ("target", "statuses"),
        [
            ("/uploads/../file", {404}),
            ("/uploads/%2e%2e/file", {404}),
            ("/uploads//file", {404}),
            ("/uploads/file/", {404}),
            ("/uploads/File", {404}),
            ("/uploads/fil%65", {200}),
            ("/uploads/%00", {404}),
            ("/uploads/%FF", {400}),
            ("/uploads/%", {404}),
            ("/uploads/" + "x" * 3000, {404}),
            ("/uploads/?cursor=%FF%00", {400}),
            ("/uploads/file?version=%00", {400}),
            ("/uploads", {308}),
            ("/uploads/" + "x" * 5000, {400, 414}),  # what a server left unread would reset the connection
        ],
    )
    def test_nothing_else(self, server: str, target: str, statuses: set[int]) -> None:
        assert ask(server, "GET", target).status in statuses


class TestPut:
    def stored(self, mongod: str, name: str) -> list[bytes]:
        app = Flask("stored")
        mongo = PyMongo(app, uri=f"{mongod}/test_wire")
        store = Bucket(mongo.db)
        contents = [b"".join(store.read(version.file)) for version in store.versions(name)]
        owned = store.files.distinct("_id")
        assert store.chunks.count_documents({"files_id": {"$nin": owned}}) == 0
        mongo.cx.close()
        return contents

    @pytest.mark.parametrize("condition", ["If-None-Match: *", "If-Match: {etag}"])
    def test_of_32_clients_at_two_processes_one_wins(self, server: str, mongod: str, condition: str) -> None:
        name = "race-" + condition[:8].lower()
        before = []
        if "{etag}" in condition:
            made = put(server, f"/uploads/{name}", b"first")
            condition = condition.format(etag=made.fields["ETag"])
            before = [b"first"]
        bodies = [f"{n}".encode() * 100_000 for n in range(32)]
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda body: put(server, f"/uploads/{name}", body, condition), bodies))
        won = [body for body, answer in zip(bodies, answers, strict=True) if answer.status in (201, 204)]
        assert sorted(answer.status for answer in answers) == sorted([204 if before else 201] + [412] * 31)
        assert self.stored(mongod, name) == won + before

    def test_without_a_condition_every_upload_of_a_race_is_kept(self, server: str, mongod: str) -> None:
        bodies = [f"{n}".encode() for n in range(32)]
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda body: put(server, "/uploads/crowd", body), bodies))
        assert sorted(answer.status for answer in answers) == [201] + [204] * 31
        assert sorted(self.stored(mongod, "crowd")) == sorted(bodies)

    @pytest.mark.parametrize(
        ("line", "status"),
        [
            ("Repr-Digest: sha-256=:{sha256}:", 201),
            ("Content-Digest: sha-512=:{sha512}:", 201),
            ("Content-Digest: sha-256=:{sha256}:, sha-512=:{sha512}:", 201),
            ("Content-MD5: {md5}", 201),
            ("Repr-Digest: md5=:AAAA:, unixsum=1", 201),
            ("Repr-Digest: sha-256=:AAAA:", 400),
            ("Content-Digest: sha-256=:{sha256}:, sha-512=:AAAA:", 400),
            ("Content-Digest: SHA-256=:AAAA:", 400),
            ("Content-MD5: AAAA", 400),
            ("Content-MD5: ", 400),
            ("Repr-Digest: sha-256=broken", 400),
            ("Content-Encoding: gzip", 415),
            ("Content-Encoding: identity", 201),
            ("Content-Range: bytes 0-1/2", 400),
        ],
    )
    def test_a_body_that_is_not_what_it_says_is_not_stored(
        self, server: str, mongod: str, line: str, status: int
    ) -> None:
        body = DATA[:280_000]
        hashes = {
            name: base64.b64encode(hashlib.new(name, body).digest()).decode() for name in ("md5", "sha256", "sha512")
        }
        name = f"digest {line}".replace("/", "")
        assert put(server, f"/uploads/{quote(name)}", body, line.format(**hashes)).status == status
        assert self.stored(mongod, name) == ([body] if status == 201 else [])

    def test_a_body_in_chunks(self, server: str, mongod: str) -> None:
        coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (b"one ", b"two ", b"three")) + b"0\r\n\r\n"
        answer = ask(server, "PUT", "/uploads/coded", "Transfer-Encoding: chunked", body=coded)
        assert (answer.status, self.stored(mongod, "coded")) == (201, [b"one two three"])

    def test_a_body_that_breaks_off(self, server: str, mongod: str) -> None:
        parts = urlsplit(server)
        for framing in ("Content-Length: 500000", "Transfer-Encoding: chunked"):
            head = f"PUT /uploads/broken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{framing}\r\n\r\n"
            with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
                connection.sendall(head.encode() + b"40000\r\n" + DATA[:100_000])
                connection.shutdown(socket.SHUT_WR)
                received = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))
            assert b" 400 " in received.split(b"\r\n")[0], framing
            assert self.stored(mongod, "broken") == []

    @pytest.mark.parametrize(
        ("target", "line", "status"),
        [
            ("/uploads/refused", "Origin: https://evil.example", 403),
            ("/uploads/file", "If-None-Match: *", 412),
            ("/uploads/..%2Fx", "X: y", 400),
        ],
    )
    def test_it_is_refused_before_the_body_is_read(self, server: str, target: str, line: str, status: int) -> None:
        answer = ask(server, "PUT", target, line, "Expect: 100-continue", "Content-Length: 1000000000")
        assert answer.status == status


def test_options_and_405(server: str) -> None:
    assert ask(server, "OPTIONS", "/uploads/file").fields["Allow"] == "GET, HEAD, POST, PUT, DELETE, OPTIONS"
    answer = ask(server, "PROPFIND", "/uploads/file")
    assert (answer.status, answer.fields["Allow"]) == (405, "GET, HEAD, POST, PUT, DELETE, OPTIONS")


def test_a_date_tells_nothing_where_a_second_saw_two_versions(serve: Serve, uri: str) -> None:
    server = serve("tests.helpers.live:create_app()", LIVE_URI=uri)
    for content in (b"first", b"other"):
        put(server, "/uploads/a", content)
    own = ask(server, "GET", "/uploads/a").fields
    first = ask(server, "GET", "/uploads/a?version=0").fields
    same_second = own["Last-Modified"] == first["Last-Modified"]
    for condition, status in ((own["Last-Modified"], 200 if same_second else 206), (own["ETag"], 206)):
        assert ask(server, "GET", "/uploads/a", "Range: bytes=0-1", f"If-Range: {condition}").status == status
