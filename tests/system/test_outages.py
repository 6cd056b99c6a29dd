"""What else goes on while the database is away, or a part of it: uploads, checks, the drive, indexes, a restart."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from threading import Timer
from typing import Any
from uuid import uuid4

import gridfs
import pymongo
import pytest
from bson.objectid import ObjectId

from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.store.maintenance.check import Check
from flask_gridfs_pymongo.store.resumable import completion as ending

from ..conftest import Serve
from ..helpers.drive import LOCK
from ..helpers.outages import (
    LARGE,
    SELECTION,
    UPLOADS,
    answer_of,
    ask,
    away,
    connected,
    step_down,
    survives,
)
from ..helpers.replica import TIMEOUTS, Mongod, ReplicaSet, direct, standalone, until

pytestmark = pytest.mark.replica


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
