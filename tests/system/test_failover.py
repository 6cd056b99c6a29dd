"""The database goes away in the middle of downloads and uploads, and stays away: for real, on real mongods."""

from __future__ import annotations

import hashlib
import http.client
import io
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import count, takewhile
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import gridfs
import pymongo
import pytest
from bson.objectid import ObjectId
from pymongo import ReadPreference
from pymongo.read_concern import ReadConcern

from examples import mongod as binary
from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.store.maintenance.check import Check
from flask_gridfs_pymongo.store.resumable import completion as ending

from ..conftest import Serve, missing
from ..helpers.drive import LOCK
from ..helpers.replica import TIMEOUTS, Mongod, ReplicaSet, direct, replica_set, standalone, until

pytestmark = pytest.mark.replica

LARGE = random.Random(5).randbytes(40_000_000)  # far more than all buffers between the server and a client take
UPLOADS = [random.Random(seed).randbytes(5_000_000) for seed in range(4)]
SELECTION = 15  # seconds, as TIMEOUTS has it


@pytest.fixture(scope="module")
def replicas() -> Iterator[ReplicaSet]:
    try:
        binary.find()
    except SystemExit as error:
        missing(str(error))
    with replica_set() as found:
        yield found


@contextmanager
def connected(address: str, *, buffer: int | None = None) -> Iterator[socket.socket]:
    parts = urlsplit(address)
    with socket.socket() as connection:
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(90)
        connection.connect((parts.hostname, parts.port))
        yield connection


def answer_of(connection: socket.socket) -> http.client.HTTPResponse:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer


def download(address: str, begun: threading.Semaphore, go_on: threading.Event) -> tuple[bool, float]:
    """Read a little of the large file, wait, and read the rest with pauses.

    Returns whether that is the file, and how many seconds passed at most without a byte.
    """
    with connected(address, buffer=32 * 1024) as connection:
        connection.sendall(b"GET /uploads/large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with answer_of(connection) as answer:
            assert answer.status == 200
            received, silence = io.BytesIO(answer.read(100_000)), 0.0
            received.seek(0, io.SEEK_END)
            begun.release()
            go_on.wait()
            while True:
                start = time.monotonic()
                piece = answer.read1(1_000_000)
                silence = max(silence, time.monotonic() - start)
                if not piece:
                    return received.getvalue() == LARGE, silence
                received.write(piece)
                time.sleep(0.0005)


def upload(address: str, number: int, begun: threading.Semaphore, go_on: threading.Event) -> int:
    """Send half of a body, wait, and send the rest in pieces with pauses; returns the status."""
    content = UPLOADS[number]
    if number % 2:
        head = f"PUT /uploads/up{number} HTTP/1.1\r\n"
    else:
        part = f'--b\r\nContent-Disposition: form-data; name="file"; filename="up{number}"\r\n\r\n'
        content = part.encode() + content + b"\r\n--b--\r\n"
        head = "POST /uploads/ HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    head += f"Host: x\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    with connected(address) as connection:
        half = len(content) // 2
        connection.sendall(head.encode() + content[:half])
        begun.release()
        go_on.wait()
        for start in range(half, len(content), 200_000):
            connection.sendall(content[start : start + 200_000])
            time.sleep(0.1)
        with answer_of(connection) as answer:
            return answer.status


def ask(address: str, method: str, target: str, body: bytes = b"", fields: str = "") -> tuple[int, bytes, float]:
    """A whole request of its own: status, body and how many seconds it took."""
    start = time.monotonic()
    with connected(address) as connection:
        fields += f"Host: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(f"{method} {target} HTTP/1.1\r\n{fields}".encode() + body)
        with answer_of(connection) as answer:
            assert answer.status != 503 or answer.headers["Retry-After"]
            return answer.status, answer.read(), time.monotonic() - start


def keep_asking(address: str, name: str, stop: threading.Event) -> list[tuple[int, float]]:
    """New requests, twenty times a second, until *stop*: reads of a file that exists, and writes."""
    seen = []
    for number in takewhile(lambda _: not stop.wait(0.05), count()):
        for method, target in (("GET", "/uploads/small"), ("PUT", f"/uploads/{name}{number}")):
            status, body, seconds = ask(address, method, target, b"new" if method == "PUT" else b"")
            assert status in ((200, 503) if method == "GET" else (201, 503)), (method, status, body)
            seen.append((status, seconds))
    return seen


def survives(serve: Serve, logs: Path, uri: str, disturb: Callable[[], Any], *options: str, longest: float = 5) -> None:
    """Eight downloads and four uploads are under way, and new requests come, while *disturb* does what it does.

    No download is silent for more than the *longest* seconds.

    Half of the pool streams, so that two of the downloads read in plain finds.
    """
    with pymongo.MongoClient(uri) as client:
        store = Bucket(client.get_default_database())
        store.save("large", [LARGE])
        store.save("small", [b"small"])
        address = serve("tests.helpers.live:create_app()", "--threads", "32", *options, LIVE_URI=uri)
        begun, go_on, stop = threading.Semaphore(0), threading.Event(), threading.Event()
        with ThreadPoolExecutor(16) as pool:
            downloads: list[Future[Any]] = [pool.submit(download, address, begun, go_on) for _ in range(8)]
            uploads = [pool.submit(upload, address, number, begun, go_on) for number in range(4)]
            try:
                for _ in range(12):
                    assert begun.acquire(timeout=30)
                asking = [pool.submit(keep_asking, address, name, stop) for name in ("a", "b")]
                disturb()
            finally:
                go_on.set()
            outcome = [one.exception() or one.result() for one in downloads]
            statuses = [one.exception() or one.result() for one in uploads]
            stop.set()
            asked = [answer for one in asking for answer in one.result()]
        log = "".join(path.read_text() for path in logs.glob("gunicorn-*.log"))
        assert [one[0] for one in outcome] == [True] * 8, (outcome, log)
        assert max(silence for _, silence in outcome) < longest
        assert statuses == [201] * 4, log
        assert "Traceback" not in log
        database = client.get_database(read_preference=ReadPreference.PRIMARY, read_concern=ReadConcern("majority"))
        files, chunks = database.fs.files, database.fs.chunks
        for number, content in enumerate(UPLOADS):
            document = files.find_one({"filename": f"up{number}"})
            assert document is not None
            assert document["sha256"] == hashlib.sha256(content).hexdigest()
            assert ask(address, "GET", f"/uploads/up{number}")[:2] == (200, content)
        assert files.count_documents({"filename": "up0"}) == 1
        owned = files.distinct("_id")
        assert chunks.count_documents({"files_id": {"$nin": owned}}) == 0
    assert max(seconds for _, seconds in asked) < SELECTION + 5


def freeze(member: Mongod) -> None:
    member.signal(signal.SIGSTOP)


def step_down(member: Mongod) -> None:
    with direct(member) as client:
        client.admin.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5)


@contextmanager
def away(member: Mongod) -> Iterator[None]:
    """Start *member* anew, whatever happened to it, but only in the end."""
    try:
        yield
    finally:
        member.kill()
        member.start()


@pytest.mark.parametrize(
    ("disturb", "state", "preference", "options"),
    [
        (Mongod.kill, "PRIMARY", "primary", ""),
        (Mongod.kill, "PRIMARY", "primary", "-k gevent"),
        (Mongod.kill, "PRIMARY", "primary", "--preload --workers 2"),
        (Mongod.kill, "PRIMARY", "secondaryPreferred", ""),
        (Mongod.kill, "SECONDARY", "secondaryPreferred", ""),
        (freeze, "PRIMARY", "primary", ""),
        (freeze, "SECONDARY", "secondaryPreferred", ""),
        (step_down, "PRIMARY", "primary", ""),
    ],
)
def test_a_replica_set_loses_a_member(
    replicas: ReplicaSet,
    serve: Serve,
    tmp_path: Path,
    disturb: Callable[[Mongod], None],
    state: str,
    preference: str,
    options: str,
) -> None:
    """It stays away until all downloads and uploads have ended."""
    until(replicas.is_whole)
    uri = f"{replicas.uri}/{uuid4().hex}?replicaSet=tests&readPreference={preference}&maxPoolSize=12&{TIMEOUTS}"
    member = replicas.one(state)
    with away(member):
        survives(serve, tmp_path, uri, lambda: disturb(member), *options.split())


def test_a_client_that_leaves_holds_no_thread_though_the_primary_is_gone(replicas: ReplicaSet, serve: Serve) -> None:
    until(replicas.is_whole)
    uri = f"{replicas.uri}/leave?replicaSet=tests&maxPoolSize=1&{TIMEOUTS}"
    with pymongo.MongoClient(uri) as client:
        bucket = Bucket(client.get_default_database())
        bucket.save("large", [LARGE])
        bucket.save("small", [b"small"])
    address = serve("tests.helpers.live:create_app()", "--threads", "2", LIVE_URI=uri)
    primary = replicas.one("PRIMARY")
    with away(primary):
        with connected(address, buffer=32 * 1024) as first, connected(address, buffer=32 * 1024) as second:
            for connection in (first, second):
                connection.sendall(b"GET /uploads/large HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(1000)
            primary.kill()
            replicas.one("PRIMARY")
        status, _, seconds = ask(address, "GET", "/uploads/small")
        assert (status, seconds < 10) == (200, True)


def test_a_restore_outlives_the_primary(replicas: ReplicaSet) -> None:
    until(replicas.is_whole)
    with pymongo.MongoClient(f"{replicas.uri}/restore?replicaSet=tests&{TIMEOUTS}") as client:
        bucket = Bucket(client.get_default_database(), streams=threading.Semaphore(1))
        reader = bucket.read(bucket.save("large", [LARGE]))
        primary = replicas.one("PRIMARY")
        with away(primary), bucket.open("large") as file:
            assert file.read(10) == LARGE[:10]

            def source() -> Iterator[bytes]:
                yield next(reader)
                primary.kill()
                assert file.read() == LARGE[10:]
                yield from reader

            start = time.monotonic()
            restored = bucket.save("large", source())
            assert time.monotonic() - start < SELECTION
            assert restored.sha256 == hashlib.sha256(LARGE).hexdigest()


@pytest.mark.parametrize("disturb", [Mongod.kill, step_down])
def test_an_upload_goes_on_without_the_primary(replicas: ReplicaSet, disturb: Callable[[Mongod], None]) -> None:
    """It goes in the middle of one request, which ends well; another process does the rest."""
    until(replicas.is_whole)
    content = UPLOADS[0]
    with pymongo.MongoClient(f"{replicas.uri}/{uuid4().hex}?replicaSet=tests&{TIMEOUTS}") as client:
        first, second = (Bucket(client.get_default_database()) for _ in range(2))
        token = first.uploads.create("film", len(content)).token
        upload, primary = first.uploads.find(token), replicas.one("PRIMARY")
        assert upload is not None
        with away(primary):
            with first.uploads.open_for_append(upload) as holder:
                holder.write(content[:2_000_000])
                disturb(primary)
                holder.write(content[2_000_000:4_000_000])
            with second.uploads.open_for_append(upload) as holder:
                assert holder.offset == 4_000_000
                holder.write(content[4_000_000:])
                file, _ = ending.finish(holder)
            assert file.sha256 == hashlib.sha256(content).hexdigest()
            assert b"".join(second.read(file)) == content


def test_a_drive_outlives_the_primary(replicas: ReplicaSet, serve: Serve) -> None:
    """It dies in the middle of a PUT, and stays dead: that one is stored, and a lock that was made before holds."""
    until(replicas.is_whole)
    uri = f"{replicas.uri}/{uuid4().hex}?replicaSet=tests&{TIMEOUTS}"
    address = serve("tests.helpers.live:drive_app()", LIVE_URI=uri)
    assert ask(address, "PUT", "/dav/locked", b"x")[0] == 201
    assert ask(address, "LOCK", "/dav/locked", LOCK)[0] == 200
    primary, content = replicas.one("PRIMARY"), UPLOADS[0]
    with away(primary), connected(address) as connection:
        head = f"PUT /dav/film HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + content[:3_000_000])
        primary.kill()
        connection.sendall(content[3_000_000:])
        with answer_of(connection) as answer:
            assert answer.status == 201
        assert ask(address, "MOVE", "/dav/film", fields="Destination: /dav/moved\r\n")[0] == 201
        assert ask(address, "GET", "/dav/moved")[:2] == (200, content)
        assert ask(address, "PUT", "/dav/locked", b"y")[0] == 423


def test_checks_outlive_the_primary(replicas: ReplicaSet) -> None:
    """It dies while they look at sizes, at the content, and at the owners of 2,501 chunks."""
    until(replicas.is_whole)
    with pymongo.MongoClient(f"{replicas.uri}/check?replicaSet=tests&{TIMEOUTS}") as client:
        collections = Bucket(client.get_default_database()).collections
        collections.indexes.ensure()
        content = random.Random(7).randbytes(25_000)
        sha256 = hashlib.sha256(content).hexdigest()
        collections.files.insert_one({"_id": 1, "filename": "a", "length": 25_000, "chunkSize": 10, "sha256": sha256})
        numbered = [{"files_id": 1, "n": n, "data": content[10 * n : 10 * n + 10]} for n in range(2500)]
        old = ObjectId.from_datetime(datetime(2000, 1, 1))
        collections.chunks.insert_many([*numbered, {"_id": old, "files_id": 2, "n": 0, "data": b"x"}])
        arrived, go_on = threading.Barrier(4), threading.Event()

        def look(verify: bool, pause: int) -> tuple[int, list[tuple[str, Any]]]:
            seen = 0

            def advance(count: int) -> None:
                nonlocal seen
                if seen < pause <= seen + count:
                    arrived.wait(30)
                    go_on.wait(30)
                seen += count

            check = Check(collections, verify=verify, advance=advance)
            found = [(finding.subject, finding.id) for finding in check.findings()]
            return check.chunks, found

        with ThreadPoolExecutor(3) as pool:
            looks = [pool.submit(look, *when) for when in ((False, 1500), (True, 1500), (True, 2600))]
            arrived.wait(30)
            primary = replicas.one("PRIMARY")
            with away(primary):
                primary.kill()
                replicas.one("PRIMARY")
                start = time.monotonic()
                go_on.set()
                assert [one.result() for one in looks] == [(2501, [("chunks", 2)])] * 3
                assert time.monotonic() - start < 10


def test_without_a_majority_there_is_a_503_in_time(replicas: ReplicaSet, serve: Serve) -> None:
    """Both secondaries lag: what is written is there whole or not at all, and comes when they have caught up."""
    until(replicas.is_whole)
    uri = f"{replicas.uri}/{uuid4().hex}?replicaSet=tests&wtimeoutMS=1000&{TIMEOUTS}"
    address = serve("tests.helpers.live:open_app()", LIVE_URI=uri)
    assert ask(address, "PUT", "/uploads/before", b"content")[0] == 201
    lagging = [member for member in replicas.members if replicas.states()[member.address] == "SECONDARY"]
    with ExitStack() as stack:
        for member in lagging:
            client = stack.enter_context(direct(member))
            client.admin.command("fsync", lock=True)
            stack.callback(client.admin.command, "fsyncUnlock")
        for method in ("PUT", "DELETE"):
            status, body, seconds = ask(address, method, "/uploads/before", b"new" if method == "PUT" else b"")
            assert (status, seconds < 12) == (503, True)
            assert (b"may still appear" in body) == (method == "DELETE")  # the PUT ended with its first chunk
    until(replicas.is_whole)
    assert ask(address, "GET", "/uploads/before")[0] in (200, 404)
    with pymongo.MongoClient(uri) as client:
        files = client.get_default_database().fs.files
        for document in files.find():
            assert ask(address, "GET", f"/uploads/?id={document['_id']}")[0] == 200


def test_an_index_is_built_though_a_member_is_dead(replicas: ReplicaSet, serve: Serve) -> None:
    """In a bucket that has files of another tool."""
    until(replicas.is_whole)
    uri = f"{replicas.uri}/{uuid4().hex}?replicaSet=tests&{TIMEOUTS}"
    with pymongo.MongoClient(uri) as client:
        database = client.get_default_database()
        gridfs.GridFSBucket(database).upload_from_stream("theirs", b"content")
        secondary = replicas.one("SECONDARY")
        with away(secondary):
            secondary.kill()
            address = serve("tests.helpers.live:create_app()", LIVE_URI=uri)
            status, _, seconds = ask(address, "PUT", "/uploads/ours", b"content")
            assert (status, seconds < 12) == (201, True)
            assert "previous_1" in database.fs.files.index_information()


def test_what_was_just_stored_is_found_though_a_secondary_lags(replicas: ReplicaSet, serve: Serve) -> None:
    """Files documents come from the primary, chunks from a secondary; those that it lacks from the primary, too."""
    until(replicas.is_whole)
    uri = f"{replicas.uri}/lag?replicaSet=tests&readPreference=secondary&{TIMEOUTS}"
    address = serve("tests.helpers.live:create_app()", LIVE_URI=uri)
    body = UPLOADS[0][:700_000]
    assert ask(address, "PUT", "/uploads/first", body)[0] == 201
    with direct(replicas.one("SECONDARY")) as lagging:
        lagging.admin.command("fsync", lock=True)
        try:
            for number in range(12):  # the driver chooses a secondary each time
                assert ask(address, "PUT", f"/uploads/{number}", body)[0] == 201
                assert ask(address, "GET", f"/uploads/{number}")[:2] == (200, body)
                assert ask(address, "GET", f"/uploads/{number}?version=0")[:2] == (200, body)
                assert f"/uploads/{number}".encode() in ask(address, "GET", "/uploads/?order=newest")[1]
        finally:
            lagging.admin.command("fsyncUnlock")


def test_a_single_server_starts_again(serve: Serve, tmp_path: Path) -> None:
    def restart() -> None:
        server.kill()
        Timer(1, server.start).start()

    with standalone() as server:
        uri = f"mongodb://{server.address}/restart?maxPoolSize=12&{TIMEOUTS}"
        survives(serve, tmp_path, uri, restart, longest=SELECTION)  # it takes its time to start
