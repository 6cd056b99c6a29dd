"""Downloads and uploads under way, and members of a replica set that stop, freeze or step down meanwhile."""

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
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymongo
from pymongo import ReadPreference
from pymongo.read_concern import ReadConcern

from flask_gridfs_pymongo.store import Bucket

from ..conftest import Serve
from .replica import Mongod, direct

LARGE = random.Random(5).randbytes(40_000_000)  # far more than all buffers between the server and a client take
UPLOADS = [random.Random(seed).randbytes(5_000_000) for seed in range(4)]
SELECTION = 15  # seconds, as TIMEOUTS has it


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


def survives(
    serve: Serve, logs: Path, uri: str, disturb: Callable[[], Any], *options: str, longest: float = 10
) -> None:
    """Eight downloads and four uploads are under way, and new requests come, while *disturb* does what it does.

    Downloads are silent for the *longest* seconds at most; one whose server is lost just as it asks for more, for 15.

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
        silences = sorted(silence for _, silence in outcome)
        assert silences[-3] < longest
        assert silences[-1] < SELECTION + 5
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
    assert max(seconds for _, seconds in asked) < SELECTION + 15  # a write also waits for a majority


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
