"""What the engine asks the server for, and what it does where the server refuses."""

from __future__ import annotations

import io
import random
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Semaphore
from typing import Any
from urllib.parse import urlsplit

import pymongo
import pytest
from bson.objectid import ObjectId
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, TrashKey
from flask_gridfs_pymongo.store.listing.by_value import ORDERS
from flask_gridfs_pymongo.store.listing.page import Key
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE

from ..conftest import Commands, Serve
from ..helpers.replica import standalone

LARGE = random.Random(7).randbytes(40 * CHUNK_SIZE + 11)


def stages(plan: Any) -> set[str]:
    """The names of all stages that an explanation's winning plans hold."""
    if isinstance(plan, dict):
        own = {plan["stage"]} if isinstance(plan.get("stage"), str) else set()
        return own.union(*(stages(value) for key, value in plan.items() if key != "rejectedPlans"))
    return set().union(*map(stages, plan)) if isinstance(plan, list) else set()


def pages(store: Bucket, order: str) -> None:
    """Two pages, with the index that an application may add."""
    field, direction, _ = ORDERS[order]
    store.files.create_index([(field, direction), ("filename", 1)])
    page = store.list(order, limit=2)
    assert page.next
    store.list(order, page.next, 2)


def binned(store: Bucket) -> Bucket:
    """The same bucket with a trash, and something in it."""
    found = Bucket(store.files.database, trash=60)
    found.delete("b")
    return found


QUERIES: dict[str, Callable[[Bucket], Any]] = {
    "the newest version": lambda store: store.find("b"),
    "the newest version with its first chunk": lambda store: store.find("b", first_chunk=True),
    "an older version": lambda store: store.find("b", -3),
    "the first version": lambda store: store.find("b", 0),
    "what a writer follows": lambda store: store.newest("b"),
    "by id": lambda store: store.get(ObjectId()),
    "all versions": lambda store: store.versions("b", limit=3),
    "the first page": lambda store: store.list(limit=2),
    "a later page": lambda store: store.list(after=Key("b"), limit=2),
    "a folder": lambda store: store.list(folded=True, limit=2),
    "a part of the name": lambda store: store.list(part="B"),
    "newest first": lambda store: pages(store, "newest"),
    "by size": lambda store: pages(store, "size"),
    "by type": lambda store: pages(store, "type"),
    "the trash": lambda store: binned(store).trash(limit=1),
    "a later page of the trash": lambda store: binned(store).trash("b", TrashKey(datetime.now(UTC), "a"), 1),
    "what is restored together": lambda store: binned(store).in_trash(
        [row.file.id for row in binned(store).trash().rows]
    ),
    "files without a name beside the trash": lambda store: binned(store).list("-name"),
    "the chunks": lambda store: [list(store.read(file)) for file in [store.find("large")] if file],
    "some chunks": lambda store: [list(store.read(file, 9, CHUNK_SIZE * 3)) for file in [store.find("large")] if file],
}


PROTOCOL = ("lsid", "$db", "$readPreference", "$clusterTime")


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_walks_an_index_and_sorts_nothing(app: Flask, uri: str, query: str) -> None:
    recorder = Commands()
    mongo = PyMongo(app, uri=uri, event_listeners=[recorder])
    store = Bucket(mongo.db)
    for name in "abbbbc":
        store.save(name, [name.encode()])
    store.save("large", [LARGE])
    recorder.all.clear()
    QUERIES[query](store)
    commands = [
        {name: value for name, value in command.items() if name not in PROTOCOL}
        for command in recorder.all
        if next(iter(command)) in ("find", "aggregate", "count")
    ]
    assert commands
    for command in commands:
        explained = mongo.db.command("explain", command, verbosity="queryPlanner")
        found = stages(explained)
        assert not found & {"COLLSCAN", "SORT"}, (command, found)
        assert found & {"IXSCAN", "IDHACK", "COUNT_SCAN", "EOF", "DISTINCT_SCAN"}, (command, found)
    mongo.cx.close()


@pytest.fixture(scope="module")
def refusing() -> Iterator[pymongo.MongoClient[Any]]:
    """A server that can be told to refuse commands."""
    with (
        standalone("--setParameter", "enableTestCommands=1") as server,
        pymongo.MongoClient("127.0.0.1", server.port) as client,
    ):
        yield client


def refuse(client: pymongo.MongoClient[Any], mode: Any, **data: Any) -> None:
    client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)


@pytest.mark.parametrize(("code", "reason"), [(28769, "$lookup from a sharded collection"), (40324, "unknown stage")])
def test_a_server_without_the_join_is_asked_in_plain_queries(
    refusing: pymongo.MongoClient[Any], code: int, reason: str
) -> None:
    store = Bucket(refusing[f"join{code}"])
    saved = store.save("a", [b"content"])
    refuse(refusing, "alwaysOn", failCommands=["aggregate"], errorCode=code)
    try:
        for _ in range(2):
            for found in (store.find("a", first_chunk=True), store.get(saved.id, first_chunk=True)):
                assert found is not None
                assert found.first_chunk is None
                assert b"".join(store.read(found)) == b"content"
    finally:
        refuse(refusing, "off")


@pytest.mark.parametrize("code", [50, 24, 13, 11600])
def test_a_join_that_failed_once_is_asked_for_again(refusing: pymongo.MongoClient[Any], code: int) -> None:
    store = Bucket(refusing[f"again{code}"])
    store.save("a", [b"content"])
    refuse(refusing, {"times": 1}, failCommands=["aggregate"], errorCode=code)
    for _ in range(2):
        found = store.find("a", first_chunk=True)
        assert found is not None
    assert found.first_chunk == b"content"


def test_a_refused_stream_is_a_plain_cursor(app: Flask, refusing: pymongo.MongoClient[Any]) -> None:
    host, port = refusing.address or ("", 0)
    mongo = PyMongo(app, uri=f"mongodb://{host}:{port}/streams")
    mongo.save_file("large", io.BytesIO(LARGE))
    app.add_url_rule("/<name>", "send", lambda name: mongo.send_file(name))
    refuse(refusing, {"times": 1}, failCommands=["find"], errorCode=9, namespace="streams.fs.chunks")
    try:
        assert app.test_client().get("/large").data == LARGE
    finally:
        refuse(refusing, "off")
    mongo.cx.close()


@pytest.mark.parametrize(("command", "streams"), [("getMore", 1), ("find", 0)])
def test_a_server_that_is_silent_for_too_long_is_asked_anew(
    refusing: pymongo.MongoClient[Any], monkeypatch: pytest.MonkeyPatch, command: str, streams: int
) -> None:
    """As one that is frozen, which the driver takes half a minute to notice."""
    monkeypatch.setattr("flask_gridfs_pymongo.store.reader._ANSWER_TIMEOUT", 0.3)
    store = Bucket(refusing["silent"], streams=Semaphore(streams))
    saved = store.save("large", [LARGE])
    refuse(refusing, {"times": 1}, failCommands=[command], blockConnection=True, blockTimeMS=2000)
    start = time.monotonic()
    try:
        assert b"".join(store.read(saved)) == LARGE
        assert time.monotonic() - start < 1.9
    finally:
        refuse(refusing, "off")


def test_a_server_that_is_slow_at_first_is_there(app: Flask, refusing: pymongo.MongoClient[Any]) -> None:
    """As one on a busy machine: only a server that is not found at all is refused after a second."""
    host, port = refusing.address or ("", 0)
    mongo = PyMongo(app, uri=f"mongodb://{host}:{port}/slow")
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))
    refuse(refusing, {"times": 1}, failCommands=["ping"], blockConnection=True, blockTimeMS=2000)
    try:
        assert app.test_client().put("/uploads/a", data=b"content").status_code == 201
    finally:
        refuse(refusing, "off")
    mongo.cx.close()


@pytest.mark.parametrize("large", [False, True])
def test_the_first_chunk_comes_along(real: PyMongo, large: bool) -> None:
    store = Bucket(real.db)
    data = LARGE if large else b"small"
    for _ in range(2):
        store.save("a", [data])
    found = store.find("a", first_chunk=True)
    assert found is not None
    assert found == store.find("a")
    assert found.first_chunk == data[:CHUNK_SIZE]
    assert b"".join(store.read(found)) == data
    assert b"".join(store.read(found, 3, 5)) == data[3:5]


def test_versions_of_one_date_are_told_apart_though_the_chunk_comes_along(real: PyMongo) -> None:
    store = Bucket(real.db)
    for _ in range(2):
        store.save("a", [b"x"])
    dates = store.files.distinct("uploadDate")
    store.files.update_many({}, {"$set": {"uploadDate": dates[0]}, "$unset": {"previous": ""}})
    assert store.find("a", first_chunk=True) == store.find("a", 1)


def test_stalled_downloads_leave_the_pool_to_others(serve: Serve, uri: str) -> None:
    """40 clients that read nothing, on ten connections."""
    with pymongo.MongoClient(uri) as client:
        store = Bucket(client.get_default_database())
        store.save("large", [LARGE] * 3)
        store.save("small", [b"small"])
    separator = "&" if "?" in uri else "?"
    options = ("--threads", "48")
    address = urlsplit(serve("tests.helpers.live:create_app()", *options, LIVE_URI=f"{uri}{separator}maxPoolSize=10"))

    def ask(stack: ExitStack, name: str) -> socket.socket:
        connection = stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=30))
        connection.sendall(f"GET /sent/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return connection

    with ExitStack() as stack:
        for _ in range(40):
            assert ask(stack, "large").recv(1)
        start = time.monotonic()
        connection = ask(stack, "small")
        assert b"".join(iter(lambda: connection.recv(65536), b"")).endswith(b"small")
        assert time.monotonic() - start < 10


def test_a_download_that_ends_early_gives_its_connection_back(app: Flask, uri: str) -> None:
    mongo = PyMongo(app, uri=uri, maxPoolSize=2)
    mongo.save_file("large", io.BytesIO(LARGE * 3))
    with app.test_request_context():
        for _ in range(20):
            answer = mongo.send_file("large")
            assert next(iter(answer.response))
            answer.close()
    assert mongo.db.command("ping")["ok"] == 1
    mongo.cx.close()


def test_an_upload_is_bounded_in_memory(real: PyMongo) -> None:
    """However slow the server is, no more than two inserts wait."""
    store = Bucket(real.db)
    waiting: list[int] = []
    insert = store.chunks.insert_many

    class Chunks:
        def __getattr__(self, name: str) -> Any:
            return getattr(real.db["fs.chunks"], name)

        def insert_many(self, documents: list[dict[str, Any]]) -> Any:
            waiting.append(len(documents))
            return insert(documents)

    store.collections.chunks = Chunks()
    held: list[int] = []
    with store.writer("a") as writer:
        tracemalloc.start()
        try:
            for _ in range(200):
                writer.write(LARGE[:100_000])
                held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        writer.commit()
    assert max(waiting) <= 4
    assert max(held) < 16 * CHUNK_SIZE


def test_benchmarks_draw_their_rows(tmp_path: Path) -> None:
    from benchmarks.__main__ import line
    from benchmarks.picture import draw
    from benchmarks.rows import Result

    results = [Result("a < b", "ms", 1.0, 2.0, None, ""), Result("c", "s", 0.0, None, 3.0, "")]
    assert "0.50" in line(results[0])
    assert "a &lt; b (ms)" in draw(results, "here")
