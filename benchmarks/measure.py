"""How a figure is taken: real processes, real sockets, and what is common to all rows."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import flask_pymongo
import pymongo
from flask import Flask
from pymongo import monitoring
from werkzeug.test import EnvironBuilder

import flask_gridfs_pymongo
from flask_gridfs_pymongo.store import Bucket

ROOT = Path(__file__).parent.parent
MIB = 1024 * 1024
BLOCK = os.urandom(MIB)


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


def in_process(uri: str, name: str, *, conditional: bool, times: int) -> dict[str, float]:
    """Microseconds of a request for a stored file in this process, the best of *times*, with our memory and without."""
    apps = {"ours": Flask("ours"), "no memory": Flask("no memory"), "peer": Flask("peer")}
    mongos: dict[str, Any] = {"peer": flask_pymongo.PyMongo(apps["peer"], uri)}
    mongos["ours"] = flask_gridfs_pymongo.PyMongo(apps["ours"], uri=uri)
    mongos["no memory"] = flask_gridfs_pymongo.PyMongo(apps["no memory"], uri=uri, memory_cache=0)
    best = dict.fromkeys(apps, float("inf"))
    environs = {}
    for each, app in apps.items():
        app.add_url_rule("/<path:name>", "send", lambda name, mongo=mongos[each]: mongo.send_file(name))
        etag = app.test_client().get(f"/{name}").headers["ETag"] if conditional else None
        environs[each] = EnvironBuilder(f"/{name}", headers={"If-None-Match": etag} if etag else {}).get_environ()
    for _ in range(times):
        for each, app in apps.items():
            start = time.perf_counter()
            _answer(app, environs[each])
            best[each] = min(best[each], time.perf_counter() - start)
    for mongo in mongos.values():
        mongo.cx.close()
    return {each: seconds * 1_000_000 for each, seconds in best.items()}


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


def repeat(server: Server, path: str, times: int, etag: str | None = None, *lines: str) -> float:
    """Milliseconds for a request on one kept connection.

    :param lines: further header fields
    """
    return repeat_message(server, request(server, path, *([f"If-None-Match: {etag}"] if etag else []), *lines), times)


def repeat_message(server: Server, message: bytes, times: int) -> float:
    """Milliseconds for a request on one kept connection."""
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
