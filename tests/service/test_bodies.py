"""service/bodies.py: a refusal gets through to a client that is still sending, directly and behind a real nginx."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from select import select
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service import bodies
from flask_gridfs_pymongo.store.resumable.lease import LEASE_TTL

from ..conftest import start_gunicorn
from ..helpers.blocks import named
from ..helpers.nginx import running_nginx

PIECE, PIECES, MORE = bytes(1024 * 1024), 8, 12
LENGTH, LIMIT = len(PIECE) * PIECES, len(PIECE) * (PIECES + 1)
APP = f"tests.helpers.live:create_app(max_size={LIMIT}, max_request_size={LIMIT + 1000})"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
# What is refused before the whole body is read: the request, its fields, the status
REFUSALS: list[tuple[str, str, dict[str, str], int]] = [
    ("PUT", "/uploads/taken", {"If-None-Match": "*"}, 412),
    ("PUT", "/uploads/a//b", {}, 400),
    ("PUT", "/uploads/a/../b", {}, 400),
    ("PUT", "/uploads/other", {"Origin": "https://other.example"}, 403),
    ("PUT", "/uploads/form", FORM, 415),
    ("PUT", "/uploads/coded", {"Content-Encoding": "gzip"}, 415),
    ("POST", "/uploads/", {"Content-Type": "application/json"}, 400),
    ("POST", "/uploads/", FORM, 413),
    ("PROPFIND", "/uploads/taken", {}, 405),
    ("DELETE", "/uploads/taken", {}, 403),
]


@pytest.fixture(scope="module")
def server(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = f"{mongod}/test_bodies"
    with Flask("bodies").app_context() as context:
        mongo = PyMongo(context.app, uri=database)
        mongo.cx.drop_database("test_bodies")
        log = tmp_path_factory.mktemp("bodies") / "log"
        with start_gunicorn(APP, log, LIVE_URI=database) as address:
            assert ask(address, "PUT", "/uploads/taken", {}, [b"x"], 1) == 201
            yield address
        mongo.cx.drop_database("test_bodies")
        mongo.cx.close()


def ask(address: str, method: str, target: str, fields: dict[str, str], body: Any, length: int | None) -> int:
    """The status of the answer to a request whose body is sent as a whole before anything is read."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    try:
        connection.request(method, target, body, {**fields, **framing}, encode_chunked=length is None)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("method", "target", "fields", "status"), REFUSALS)
def test_a_refusal_arrives_though_its_client_sends_on(
    server: str, framing: str, method: str, target: str, fields: dict[str, str], status: int
) -> None:
    length = LENGTH if framing == "length" else None
    assert ask(server, method, target, fields, (PIECE for _ in range(PIECES)), length) == status


def test_so_does_one_for_more_than_a_file_or_a_request_may_have(server: str) -> None:
    for method, target, fields in (("PUT", "/uploads/large", {}), ("POST", "/uploads/", FORM)):
        for length in (len(PIECE) * MORE, None):
            assert ask(server, method, target, fields, (PIECE for _ in range(MORE)), length) == 413


@pytest.fixture(scope="module", params=["as in the docs", "by default"])
def proxied(server: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server behind nginx."""
    location = named("nginx-proxy") if request.param == "as in the docs" else PLAIN
    location = location.replace("http://127.0.0.1:8000", server)
    with running_nginx(tmp_path_factory.mktemp("nginx"), location) as address:
        yield address


PLAIN = "location / { client_max_body_size 0; proxy_pass http://127.0.0.1:8000; }"


@pytest.mark.clients
def test_behind_nginx_each_refusal_arrives(proxied: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda case: ask(proxied, *case[:3], (PIECE for _ in range(PIECES)), LENGTH), REFUSALS))
    assert found == [status for *_, status in REFUSALS]


@pytest.mark.clients
def test_our_own_page_is_no_stranger_behind_nginx(proxied: str, request: pytest.FixtureRequest) -> None:
    """Over plain HTTP a browser sends no Sec-Fetch-Site."""
    named = {"Origin": "http://files_of.example:8080", "Host": "files_of.example:8080"}
    documented = "docs" in request.node.callspec.params["proxied"]
    assert ask(proxied, "PUT", "/uploads/own", named, [b"x"], 1) == (201 if documented else 403)


def begin(stack: ExitStack, address: str, *lines: str) -> socket.socket:
    parts = urlsplit(address)
    connection = stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=30))
    head = "\r\n".join(["PUT /uploads/a//b HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""])
    connection.sendall(head.encode() + b"some")
    return connection


def answered(connection: socket.socket) -> float:
    """Seconds until the answer came."""
    start = time.monotonic()
    received = b""
    while b" 400 " not in received:
        data = connection.recv(65536)
        assert data
        received += data
    return time.monotonic() - start


@pytest.mark.parametrize(
    ("lines", "at_least", "at_most"),
    [
        (["Content-Length: 1000000"], 2, 10),  # who falls silent is answered after three seconds
        (["Transfer-Encoding: chunked"], 2, 10),
        (["Content-Length: 1000000", "Expect: 100-continue"], 0, 2),  # who waits for us is not waited for
        (["Content-Length: 1000000000"], 0, 2),  # nor who has more than would be read
    ],
)
def test_how_long_a_refusal_waits(server: str, lines: list[str], at_least: float, at_most: float) -> None:
    with ExitStack() as stack:
        assert at_least <= answered(begin(stack, server, *lines)) <= at_most


URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(1100)
OCTETS = "application/offset+octet-stream"
XML = b"<propfind xmlns='DAV:'>"
# Requests whose bodies begin with this and go on too slowly: method, target, Content-Type, status.
SLOW: list[tuple[str, str, str, bytes, int]] = [
    ("PUT", "/closed/a", "text/plain", b"", 403),
    ("DELETE", "/closed/a", "text/plain", b"", 403),
    ("POST", "/closed/", FORM["Content-Type"], b"", 408),
    ("POST", "/closed/", FORM["Content-Type"], b'--b\r\nContent-Disposition: form-data; name="t"\r\n\r\n', 408),
    ("POST", "/closed/", FORM["Content-Type"], MULTIPART, 403),
    ("POST", "/closed/", "text/plain", b"", 400),
    ("POST", "/closed/a?move", URLENCODED, b"to=b", 403),
    ("POST", "/closed/?upload=none", OCTETS, b"", 405),
    ("PROPFIND", "/uploads/a", "text/plain", b"", 405),
    *(("POST", f"/uploads/{query}", URLENCODED, b"id=a&to=", 408) for query in ("?zip", "?delete", "?move")),
    *(("POST", f"/uploads/taken?{flag}", URLENCODED, b"to=", 408) for flag in ("move", "copy", "metadata")),
    ("PATCH", "/uploads/taken", "application/merge-patch+json", b"{", 408),
    *((method, "/dav/taken", "text/xml", XML, 408) for method in ("PROPFIND", "PROPPATCH", "LOCK", "DELETE", "COPY")),
    ("PUT", "/uploads/slow", "text/plain", b"", 408),
    ("POST", "/uploads/slow", FORM["Content-Type"], MULTIPART, 408),
    ("POST", "/uploads/", FORM["Content-Type"], MULTIPART, 408),
    ("POST", "/uploads/slow", f"{OCTETS}\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 1000000", b"", 408),
    ("PUT", "/dav/slow", "text/plain", b"", 408),
    *((method, "/closed-dav/new", "text/plain", b"", 404) for method in ("PROPPATCH", "DELETE", "COPY", "PROPFIND")),
    ("MOVE", "/closed-dav/taken", "text/plain\r\nDestination: /closed-dav/b", b"", 404),
    *((method, "/closed-dav/new", "text/plain", b"", 403) for method in ("PUT", "MKCOL", "LOCK", "UNLOCK")),
    *((method, "/closed-dav/new", "text/xml\r\nIf-None-Match: *", b"", 403) for method in ("PUT", "MKCOL", "LOCK")),
    # What nobody reads is not left to the server, which would read it at any rate.
    *(("GET", target, "text/plain", b"", 200) for target in ("/uploads/", "/uploads/taken", "/dav/", "/dav/taken")),
    *(("OPTIONS", target, "text/plain", b"", status) for target, status in (("/uploads/", 204), ("/dav/", 200))),
    ("HEAD", "/uploads/taken", "text/plain", b"", 200),
    ("DELETE", "/uploads/other", "text/plain", b"", 204),
    ("PUT", "/closed/a", "text/plain\r\nExpect: 100-continue", b"", 403),
    ("PUT", "/closed/a", "text/plain\r\nContent-Length: 1000000000", b"", 403),
    ("PUT", "/closed/a", "text/plain\r\nTransfer-Encoding: chunked", b"", 403),
]


def test_clients_that_trickle_lose_their_connections(mongod: str, tmp_path: Path) -> None:
    """As many of them as the server has threads, each at another door; they do not stop when they are answered."""
    threads, uri = ("--threads", str(len(SLOW))), f"{mongod}/test_bodies"
    application = "tests.helpers.live:impatient_app()"
    with ExitStack() as stack, start_gunicorn(application, tmp_path / "log", *threads, LIVE_URI=uri) as address:
        parts = urlsplit(address)
        assert [ask(address, "PUT", f"/uploads/{name}", {}, [b"x"], 1) < 300 for name in ("taken", "other")]
        clients = [
            stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=30)) for _ in SLOW
        ]
        for client, (method, target, fields, body, _) in zip(clients, SLOW, strict=True):
            framing = "" if "\r\nContent-Length" in fields or "chunked" in fields else "Content-Length: 2000\r\n"
            head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{framing}Content-Type: {fields}\r\n\r\n"
            client.sendall(head.encode() + body)
        received, connected = dict.fromkeys(clients, b""), set(clients)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(ask, address, "GET", "/ping", {}, None, 0)
            end = time.monotonic() + 30
            while connected and time.monotonic() < end:
                for client in select(connected, [], [], 0.1)[0]:
                    with suppress(OSError):
                        data = client.recv(65536)
                        received[client] += data
                    connected -= set() if data else {client}
                for client in connected:
                    with suppress(OSError):
                        client.sendall(b"1" if b"chunked" in received[client] else b".")
            assert other.result() == 200
        for row, answer in zip(SLOW, received.values(), strict=True):
            last = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert (int(last.split()[1]), row) == (row[-1], row)
        assert not [row for row, client in zip(SLOW, clients, strict=True) if client in connected]
        assert ask(address, "GET", "/uploads/slow", {}, None, 0) == 404
    assert "Traceback" not in (tmp_path / "log").read_text()


class Arriving:
    """A body of which *burst* bytes come at once, again and again; a read waits as WSGI servers do, by a clock of its
    own."""

    def __init__(self, burst: int, pause: float, bursts: int) -> None:
        self.now = 0.0
        self._burst, self._pause, self._left, self._taken = burst, pause, burst * bursts, 0

    def monotonic(self) -> float:
        return self.now

    def read(self, size: int) -> bytes:
        size = min(size, self._left)
        self._left -= size
        self._taken += size
        self.now = max(self.now, (-(-self._taken // self._burst) - 1) * self._pause)
        return b"x" * size


@pytest.mark.parametrize(
    ("burst", "pause"),
    [
        *[(1, 1 / rate) for rate in (100, 1000, 8_000, 20_000, 30_000, 100_000, 10_000_000)],  # bytes in a second
        *[(1000, 1), (8192, 1), (20_000, 1), (16_384, 1.5), (500, 1.9)],
    ],
)
def test_a_slow_sender_is_heard_while_its_bytes_come(monkeypatch: pytest.MonkeyPatch, burst: int, pause: float) -> None:
    body = Arriving(burst, pause, 200_000 if burst == 1 else 20)
    monkeypatch.setattr(bodies, "time", body)
    source, heard = bodies._Input(body.read, None, None, bodies.STORED), [0.0]
    while source.read(65536):
        heard.append(body.now)
    assert not source.late
    assert max(later - earlier for earlier, later in pairwise(heard)) < LEASE_TTL


@pytest.mark.parametrize(
    ("rate", "burst", "pause", "late"),
    [
        (bodies.SMALL, 16 * 1024, 2.9, False),
        (bodies.SMALL, 16 * 1024, 3.1, True),
        (bodies.SMALL, 1000, 0.17, False),
        (bodies.SMALL, 1000, 0.19, True),
        (bodies.STORED, 2048, 29, False),
        (bodies.STORED, 1024, 31, True),
        (bodies.STORED, 1, 0.028, False),
        (bodies.STORED, 1, 0.031, True),
        (bodies.STORED, 400_000, 29, False),
        (bodies.STORED, 400_000, 31, True),
    ],
)
@pytest.mark.parametrize("busy", [0, 100])
def test_who_is_below_the_rate_is_late(
    monkeypatch: pytest.MonkeyPatch, rate: bodies.Rate, burst: int, pause: float, late: bool, busy: int
) -> None:
    """What the server does with the bytes meanwhile takes no time of the client, if others come then."""
    body = Arriving(burst, pause, 50_000 // burst + 5)
    monkeypatch.setattr(bodies, "time", body)
    source = bodies._Input(body.read, None, None, rate)
    while source.read(65536) and not source.late:
        body.now += busy
    assert bool(source.late) is (late and not busy)


def test_a_form_that_was_cut_off_does_nothing(server: str) -> None:
    """A server may call it whole: half of a name is a name, too."""
    parts = urlsplit(server)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        head = "POST /uploads/taken?copy HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 15\r\n"
        connection.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nto=photos".encode())
        connection.shutdown(socket.SHUT_WR)
        assert b" 400 " in connection.makefile("rb").readline()
    assert ask(server, "GET", "/uploads/photos", {}, None, 0) == 404
