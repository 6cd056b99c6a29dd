"""How each figure is taken: real sockets, real processes."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import flask_pymongo
import pymongo
from bson.objectid import ObjectId
from flask import Flask
from pymongo import monitoring
from werkzeug.test import EnvironBuilder

import flask_gridfs_pymongo
from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.store.rows import Key

ROOT = Path(__file__).parent.parent
BLOCK = os.urandom(1024 * 1024)
CHUNK = 255 * 1024


class Server(NamedTuple):
    pid: int
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=120)


@contextmanager
def serving(application: str, uri: str) -> Iterator[Server]:
    """gunicorn with 40 threads for one application of :mod:`.apps`."""
    command = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "-k", "gthread", "--threads", "40"]
    command += ["--keep-alive", "60", "--timeout", "300", f"benchmarks.apps:{application}()"]
    environ = {**os.environ, "BENCHMARK_URI": uri}
    with subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = next(int(found[1]) for line in process.stderr if (found := re.search(r"Listening at: .*:(\d+)", line)))
        try:
            yield Server(process.pid, port)
        finally:
            process.terminate()


class _Commands(monitoring.CommandListener):
    """Keeps the last command that was sent."""

    last: Any = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.last = event.command

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


def own_times(uri: str, name: str, etag: str | None, n: int) -> tuple[float, float]:
    """Microseconds of a request to our blueprint in this process: with all that it does, and for its query alone.

    The second is a Flask view that sends the command that ours sends, and answers nothing.
    """
    app, bare, sent = Flask("own"), Flask("bare"), _Commands()
    mongo = flask_gridfs_pymongo.PyMongo(app, uri=uri, event_listeners=[sent])
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", authorize=lambda action, filename: True))
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri)
    database = client.get_default_database()

    @bare.get("/uploads/<path:name>")
    def query(name: str) -> str:
        database.command(command)
        return ""

    environ = EnvironBuilder(f"/uploads/{name}", headers={} if etag is None else {"If-None-Match": etag}).get_environ()
    _answer(app, environ)
    command = {key: value for key, value in sent.last.items() if key not in ("lsid", "$db", "$clusterTime")}
    times = []
    for each in (app, bare):
        start = time.perf_counter()
        for _ in range(n):
            _answer(each, environ)
        times.append((time.perf_counter() - start) / n * 1_000_000)
    client.close()
    mongo.cx.close()
    return times[0], times[1]


def _answer(app: Flask, environ: dict[str, Any]) -> None:
    answer: Any = app(dict(environ), lambda status, headers, error=None: lambda data: None)
    for _ in answer:
        pass
    answer.close()


class Blocks(io.RawIOBase):
    """A file of so many bytes, made on the way."""

    def __init__(self, length: int) -> None:
        self.left = length

    def read(self, size: int = -1) -> bytes:
        size = min(size if size > 0 else len(BLOCK), self.left, len(BLOCK))
        self.left -= size
        return BLOCK[:size]


def store(uri: str, name: str, length: int, writers: tuple[str, ...] = ("ours", "peer", "limit")) -> None:
    """Store a file once by each writer's own code, as ``name-writer``."""
    with pymongo.MongoClient(uri) as client:
        db = client.get_default_database()
        for writer in writers:
            filename = f"{name}-{writer}"
            if db["fs.files"].find_one({"filename": filename}):
                continue
            if writer == "peer":
                theirs = flask_pymongo.PyMongo()
                theirs.cx, theirs.db = client, db
                theirs.save_file(filename, Blocks(length))
            else:
                Bucket(db).save(filename, Blocks(length))


def request(server: Server, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: benchmark", *lines, "", ""]).encode()


def download(server: Server, path: str, length: int, span: tuple[int, int] | None = None) -> tuple[float, float]:
    """Seconds to the first byte, and to the last."""
    lines = ["Connection: close", *([f"Range: bytes={span[0]}-{span[1]}"] if span else [])]
    buffer = bytearray(1024 * 1024)
    start = time.perf_counter()
    with server.connect() as connection:
        connection.sendall(request(server, path, *lines))
        received = connection.recv_into(buffer)
        first = time.perf_counter() - start
        while size := connection.recv_into(buffer):
            received += size
    total = time.perf_counter() - start
    assert received > length, f"{path}: only {received} bytes came"
    return first, total


def answer(reader: io.BufferedReader) -> dict[bytes, bytes]:
    """Read one answer to its end; gives its header fields."""
    reader.readline()
    fields = {}
    while (line := reader.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip()
    reader.read(int(fields.get(b"content-length", 0)))
    return fields


def repeat(server: Server, path: str, times: int, etag: str | None = None) -> float:
    """Milliseconds for a request on one kept connection."""
    message = request(server, path, *([f"If-None-Match: {etag}"] if etag else []))
    with server.connect() as connection, connection.makefile("rb") as reader:
        start = time.perf_counter()
        for _ in range(times):
            connection.sendall(message)
            answer(reader)
        return (time.perf_counter() - start) / times * 1000


def etag(server: Server, path: str) -> str:
    with server.connect() as connection, connection.makefile("rb") as reader:
        connection.sendall(request(server, path))
        return answer(reader)[b"etag"].decode()


def memory(pid: int) -> float:
    """MiB that a process and its children hold for themselves."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = sum(int(kb) for kb in re.findall(r"^Private_\w+: +(\d+) kB", rollup, re.MULTILINE)) / 1024
    return own + sum(memory(int(child)) for child in children)


def settled(pid: int) -> float:
    """The memory once it has stopped growing."""
    last = memory(pid)
    for _ in range(60):
        time.sleep(0.25)
        now = memory(pid)
        if abs(now - last) < 0.5:
            return now
        last = now
    return last


def stalled_downloads(server: Server, path: str, clients: int) -> float:
    """MiB for each of so many clients that read a little and stop."""
    download(server, path, 0)  # what the first request loads is not counted
    before = settled(server.pid)
    with ExitStack() as stack:
        for _ in range(clients):
            connection = stack.enter_context(server.connect())
            connection.sendall(request(server, path))
            connection.recv(1024)
        return (settled(server.pid) - before) / clients


BOUNDARY = "benchmark"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="upload"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


def begin_upload(server: Server, connection: socket.socket, length: int) -> None:
    total = len(HEAD) + length + len(TAIL)
    fields = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {total}\r\nConnection: close"
    connection.sendall(f"POST /uploads/ HTTP/1.1\r\nHost: benchmark\r\n{fields}\r\n\r\n".encode() + HEAD)


def form_upload(server: Server, length: int) -> float:
    """Seconds from the first byte of a form to its answer."""
    start = time.perf_counter()
    with server.connect() as connection:
        begin_upload(server, connection, length)
        for _ in range(length // len(BLOCK)):
            connection.sendall(BLOCK)
        connection.sendall(TAIL)
        status = connection.recv(65536).split(b" ", 2)[1]
        assert status in (b"200", b"201"), status
        return time.perf_counter() - start


def put_upload(server: Server, length: int) -> float:
    """Seconds for one PUT."""
    start = time.perf_counter()
    with server.connect() as connection, connection.makefile("rb") as reader:
        send(connection, "PUT /uploads/upload", length)
        assert answer(reader)[b"etag"]
    return time.perf_counter() - start


def tus_upload(server: Server, length: int, piece: int) -> float:
    """Seconds for an upload that could go on, from its creation to the answer to its last piece."""
    start = time.perf_counter()
    with server.connect() as connection, connection.makefile("rb") as reader:
        send(connection, "POST /uploads/upload", 0, "Tus-Resumable: 1.0.0", f"Upload-Length: {length}")
        url = answer(reader)[b"location"].decode()
        for offset in range(0, length, piece):
            fields = ("Content-Type: application/offset+octet-stream", f"Upload-Offset: {offset}")
            send(connection, f"PATCH {url}", min(piece, length - offset), "Tus-Resumable: 1.0.0", *fields)
            told = answer(reader)
        assert told[b"etag"]
    return time.perf_counter() - start


def send(connection: socket.socket, target: str, length: int, *lines: str) -> None:
    """Send a request with a body of so many bytes."""
    head = [f"{target} HTTP/1.1", "Host: benchmark", f"Content-Length: {length}", *lines, "", ""]
    connection.sendall("\r\n".join(head).encode())
    for start in range(0, length, len(BLOCK)):
        connection.sendall(BLOCK[: length - start])


def bare_insert(uri: str, length: int) -> float:
    """Seconds in which the driver alone inserts the same chunks, with the same write concern and index."""
    with pymongo.MongoClient(uri, w="majority") as client:
        chunks = client.get_default_database()["bare.chunks"]
        chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
        file_id, data, count = ObjectId(), BLOCK[:CHUNK], -(-length // CHUNK)
        start = time.perf_counter()
        for first in range(0, count, 4):
            some = range(first, min(first + 4, count))
            chunks.insert_many([{"_id": ObjectId(), "files_id": file_id, "n": n, "data": data} for n in some])
        took = time.perf_counter() - start
        chunks.delete_many({"files_id": file_id})
        return took


def stalled_uploads(server: Server, length: int, clients: int) -> float:
    """MiB for each of so many uploads that have sent half and stop."""
    form_upload(server, length)
    before = settled(server.pid)
    with ExitStack() as stack:
        for _ in range(clients):
            connection = stack.enter_context(server.connect())
            begin_upload(server, connection, length)
            for _ in range(length // len(BLOCK) // 2):
                connection.sendall(BLOCK)
        return (settled(server.pid) - before) / clients


LISTINGS = ("newest version", "first page", "late page", "past a name of many versions", "newest first")
_START = datetime(2020, 1, 1, tzinfo=timezone.utc)


class Filled(NamedTuple):
    store: Bucket
    names: int


@contextmanager
def filled(uri: str, names: int, versions: int) -> Iterator[tuple[Filled, Filled]]:
    """Two buckets of one shape: with ten names and versions more than a page, and with very many."""
    with pymongo.MongoClient(uri) as client:
        db = client.get_default_database()

        def fill(base: str, names: int, versions: int) -> Filled:
            bucket = Bucket(db, base)
            bucket.writer("").abort()  # makes the indexes
            bucket.files.create_index([("uploadDate", -1), ("filename", 1)])  # flask gridfs index newest
            same = {"length": 0, "chunkSize": CHUNK, "contentType": "text/plain"}
            all_names = [f"n{n:06}" for n in range(names)] + ["m"] * versions
            documents = (
                {"filename": name, "uploadDate": _START + timedelta(seconds=n), **same}
                for n, name in enumerate(all_names)
            )
            while some := list(islice(documents, 10_000)):
                bucket.files.insert_many(some)
            return Filled(bucket, names)

        yield fill(f"few{uuid.uuid4().hex}", 120, 10), fill(f"many{uuid.uuid4().hex}", names, versions)


def list_time(bucket: Filled, case: str) -> float:
    """Milliseconds for one of :data:`LISTINGS`, the mean of ten."""
    late = f"n{bucket.names - 101:06}"
    start = time.perf_counter()
    for _ in range(10):
        if case == "newest version":
            assert bucket.store.find("m")
        elif case == "first page":
            assert len(bucket.store.list(after=Key("m")).rows) == 100
        elif case == "newest first":
            assert len(bucket.store.list("newest", Key("n", _START + timedelta(seconds=bucket.names))).rows) == 100
        elif case == "late page":
            assert len(bucket.store.list(after=Key(late)).rows) == 100
        else:
            assert len(bucket.store.list().rows) == 100
    return (time.perf_counter() - start) / 10 * 1000
