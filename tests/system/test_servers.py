"""The file server under every WSGI server that people run it with: the same answers, nothing held or half stored."""

from __future__ import annotations

import http.client
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import pytest

from flask_gridfs_pymongo.store import Bucket

from ..helpers.replica import until
from ..helpers.servers import APP, COMMANDS, GUNICORN, running

pytestmark = [pytest.mark.clients, pytest.mark.slow]

LARGE = random.Random(8).randbytes(20_000_011)
UPLOAD = LARGE[:5_000_001]
CONNECTIONS = {"sync": 6, "werkzeug": 6, "waitress": 2}  # for six requests; waitress closes after each 304
BUFFERING = ("waitress",)  # the application runs when the whole body is there


@dataclass
class Server:
    name: str
    address: str
    store: Bucket

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, timeout=20)

    def ask(self, method: str, target: str, body: Any = None, **fields: str) -> tuple[int, Any, bytes]:
        """Status, header and body of the answer to a request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, target, body, {name.replace("_", "-"): text for name, text in fields.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def send(self, stack: ExitStack, data: bytes) -> socket.socket:
        """A connection that has sent *data* and takes in as little as it can."""
        connection = stack.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        host, _, port = self.address.partition(":")
        connection.connect((host, int(port)))
        connection.sendall(data)
        return connection

    def begin_download(self, stack: ExitStack) -> socket.socket:
        connection = self.send(stack, b"GET /sent/film HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1)
        return connection

    def open_cursors(self) -> int:
        """The cursors of this bucket's chunks; other tests have theirs on the same server."""
        admin = self.store.files.database.client.admin
        found = admin.aggregate(
            [{"$currentOp": {"idleCursors": True}}, {"$match": {"ns": self.store.chunks.full_name}}]
        )
        return len({operation["cursor"]["cursorId"] for operation in found if "cursor" in operation})

    def orphans(self) -> int:
        """Chunks that no file owns."""
        return int(self.store.chunks.count_documents({"files_id": {"$nin": self.store.files.distinct("_id")}}))


@pytest.fixture(scope="module")
def store(mongod: str) -> Iterator[Bucket]:
    """A bucket with ``large`` and, twice as long, ``film``."""
    with pymongo.MongoClient(mongod) as client:
        client.drop_database("test_servers")
        store = Bucket(client["test_servers"])
        store.save("large", [LARGE])
        store.save("film", [LARGE, LARGE])
        store.save("small", [b"small"])
        yield store
        client.drop_database("test_servers")


@pytest.fixture(autouse=True)
def clean(store: Bucket) -> Iterator[None]:
    """What a failed test left is not the next one's failure."""
    yield
    store.files.delete_many({"filename": {"$in": ["broken", "endless"]}})
    store.chunks.delete_many({"files_id": {"$nin": store.files.distinct("_id")}})


def address_of(mongod: str) -> str:
    """On a pool of four, where a request that gets no connection fails."""
    return f"{mongod}/test_servers?maxPoolSize=4&waitQueueTimeoutMS=5000"


@pytest.fixture(scope="module", params=COMMANDS)
def server(
    request: pytest.FixtureRequest, mongod: str, store: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    with running(COMMANDS[request.param], log, LIVE_URI=address_of(mongod)) as (address, _):
        yield Server(request.param, address, store)


@pytest.mark.parametrize("target", ["/sent/large", "/uploads/large"])
def test_reading(server: Server, target: str) -> None:
    status, fields, body = server.ask("GET", target)
    assert (status, fields["Content-Length"]) == (200, str(len(LARGE)))
    assert body == LARGE
    assert server.ask("GET", target, Range="bytes=1000000-9000000")[::2] == (206, LARGE[1_000_000:9_000_001])
    assert server.ask("GET", target, If_None_Match=fields["ETag"])[::2] == (304, b"")
    status, head, body = server.ask("HEAD", target)
    assert (status, head["Content-Length"], head["ETag"], body) == (200, str(len(LARGE)), fields["ETag"], b"")


def test_an_asset_of_the_pages(server: Server) -> None:
    status, fields, body = server.ask("GET", "/uploads/?asset=types.svg")
    expected = Path(__file__).parents[2] / "flask_gridfs_pymongo/static/types.svg"
    assert (status, body) == (200, expected.read_bytes())
    assert fields["Content-Type"].startswith("image/svg+xml")


def test_keep_alive(server: Server) -> None:
    """Every answer ends where it says, so that the next one on the connection begins there."""
    etag = server.ask("HEAD", "/uploads/large")[1]["ETag"]
    requests: list[tuple[str, str, dict[str, str], int, bytes]] = [
        ("HEAD", "/uploads/large", {}, 200, b""),
        ("GET", "/uploads/large", {}, 200, LARGE),
        ("GET", "/sent/large", {"If-None-Match": etag}, 304, b""),
        ("GET", "/uploads/large", {"Range": "bytes=-5"}, 206, LARGE[-5:]),
        ("PUT", f"/uploads/kept-{server.name}", {}, 201, b""),
        ("GET", "/sent/small", {}, 200, b"small"),
    ]
    connection = server.connect()
    used = set()
    for method, target, fields, status, body in requests:
        connection.request(method, target, b"x" if method == "PUT" else None, fields)
        used.add(connection.sock)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (status, body)
    connection.close()
    assert len(used) == CONNECTIONS.get(server.name, 1)


FORM_TYPE = "multipart/form-data; boundary=limit"


def form(name: str, content: bytes) -> bytes:
    head = f'--limit\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n--limit--\r\n"


def test_uploads(server: Server) -> None:
    put, posted = f"put-{server.name}", f"form-{server.name}"
    assert server.ask("PUT", f"/uploads/{put}", UPLOAD)[0] == 201
    assert server.ask("POST", "/uploads/", form(posted, UPLOAD), Content_Type=FORM_TYPE)[0] == 201
    for name in (put, posted):
        assert server.ask("GET", f"/uploads/{name}")[2] == UPLOAD
    assert server.orphans() == 0


def test_a_body_in_chunks_is_stored_or_refused(server: Server) -> None:
    """uWSGI does not decode one; what is taken for an empty body would lose a file."""
    status = server.ask("PUT", f"/uploads/coded-{server.name}", iter([b"one ", b"two"]))[0]
    stored = server.ask("GET", f"/uploads/coded-{server.name}")[::2]
    if server.name == "uwsgi":
        assert (status, stored[0]) == (411, 404)
    else:
        assert (status, stored) == (201, (200, b"one two"))


def test_a_client_that_goes_away_holds_nothing(server: Server) -> None:
    """More clients than the pool has connections."""
    for _ in range(6):
        with ExitStack() as stack:
            server.begin_download(stack)
            until(lambda: server.open_cursors() == 1, 10)  # the first chunk needs none
        until(lambda: server.open_cursors() == 0, 10)
    assert server.ask("GET", "/sent/small")[2] == b"small"


LINES = {
    "length": f"PUT /uploads/broken HTTP/1.1\r\nHost: x\r\nContent-Length: {len(UPLOAD)}\r\n\r\n".encode(),
    "chunked": b"PUT /uploads/broken HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(UPLOAD),
    "form": (
        f"POST /uploads/ HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM_TYPE}\r\nContent-Length: {len(UPLOAD)}\r\n\r\n"
    ).encode()
    + form("broken", b"")[:-13],
}


@pytest.mark.parametrize("gone", [False, True], ids=["half closed", "gone"])
@pytest.mark.parametrize("framing", LINES)
def test_an_upload_that_breaks_off_leaves_nothing(server: Server, framing: str, gone: bool) -> None:
    undecoded = server.name == "uwsgi" and framing == "chunked"
    with ExitStack() as stack:
        connection = server.send(stack, LINES[framing] + UPLOAD[: 1000 if undecoded else 3_000_000])
        if server.name not in BUFFERING and not undecoded:
            until(lambda: server.orphans() > 0, 5)
        if not gone:
            connection.shutdown(socket.SHUT_WR)
            line = connection.makefile("rb").readline()
            expected = b"" if server.name in BUFFERING else b" 411 " if undecoded else b" 400 "
            assert expected in line
    until(lambda: server.orphans() == 0, 5)
    assert server.ask("GET", "/uploads/broken")[0] == 404


def test_a_form_without_its_end_is_refused(server: Server) -> None:
    body = form("endless", UPLOAD)[:-13]
    assert server.ask("POST", "/uploads/", body, Content_Type=FORM_TYPE)[0] == 400
    assert server.orphans() == 0
    assert server.ask("GET", "/uploads/endless")[0] == 404


def test_a_file_is_not_given_to_the_servers_file_wrapper(mongod: str, store: Bucket, tmp_path: Path) -> None:
    """uWSGI's raises a TypeError for what has no file descriptor."""
    app = "tests.helpers.servers:refusing_the_file_wrapper()"
    command = tuple(app if word == APP else word for word in COMMANDS["uwsgi"])
    with running(command, tmp_path / "log", LIVE_URI=address_of(mongod)) as (address, _):
        server = Server("uwsgi", address, store)
        for target in ("/sent/large", "/uploads/large", "/sent/small"):
            assert server.ask("GET", target)[0] == 200
        assert server.ask("GET", "/sent/large", Range="bytes=-5")[2] == LARGE[-5:]
        assert server.ask("GET", "/real")[0] == 500  # Flask's own send_file uses it


def resident(process: int) -> int:
    """Bytes of memory that a process and those that it started have."""
    own = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(own.split()[1]) * 1024 + sum(resident(int(child)) for child in children)


def test_200_stalled_downloads(mongod: str, store: Bucket, tmp_path: Path) -> None:
    """On ten connections, in two batches of memory for each at most; others are answered meanwhile."""
    command = (*GUNICORN, "gthread", "--threads", "210")
    address = f"{mongod}/test_servers?maxPoolSize=10&waitQueueTimeoutMS=20000"
    with ExitStack() as stack:
        listening, process = stack.enter_context(running(command, tmp_path / "log", LIVE_URI=address))
        server = Server("gthread", listening, store)
        assert server.ask("GET", "/sent/small")[2] == b"small"
        before = resident(process.pid)
        for _ in range(200):
            server.begin_download(stack)
        grown = [0, resident(process.pid) - before]

        def settled() -> bool:
            grown.append(resident(process.pid) - before)
            return abs(grown[-1] - grown[-10:][0]) < 1024 * 1024 and len(grown) > 20

        until(settled, 20)
        start = time.monotonic()
        assert server.ask("GET", "/sent/small")[2] == b"small"
        waited = time.monotonic() - start
    print(f"200 stalled downloads: {max(grown) / 2**20:.1f} MiB more; a small file took {waited * 1000:.0f} ms")
    assert max(grown) / 200 < 2 * 1024 * 1024
    assert waited < 10
