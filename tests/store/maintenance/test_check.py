"""``flask gridfs check`` and ``flask gridfs index``: all damage is found, and nothing that is whole is touched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import gridfs
import pymongo
import pytest
from bson import Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.tz_util import utc
from flask import Flask
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.store.listing import by_value as orders
from flask_gridfs_pymongo.store.maintenance import check, walk
from flask_gridfs_pymongo.store.maintenance.check import Check
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE

from ...conftest import ROOT, Commands
from ...helpers.renames import break_off
from ...helpers.replica import direct, standalone, until
from ...helpers.tus import lapse

DATA = random.Random(3).randbytes(2 * CHUNK_SIZE + 1)
DIGITS = b"0123456789"  # the driver's files, in chunks of 4


def call(app: Flask, *arguments: str) -> tuple[int, list[str]]:
    """The exit status of ``flask gridfs``, and the lines it prints."""
    result = app.test_cli_runner().invoke(args=["gridfs", *arguments])
    return result.exit_code, result.output.splitlines()


def put(db: Any, files_id: Any, *numbers: float, minutes: int = 61) -> Any:
    """Add chunks that were written so long ago."""
    date = ObjectId.from_datetime(datetime.now(UTC) - timedelta(minutes=minutes)).binary[:4]
    new = [ObjectId(date + ObjectId().binary[4:]) for _ in numbers]
    documents = [
        {"_id": _id, "files_id": files_id, "n": n, "data": b"data"} for _id, n in zip(new, numbers, strict=True)
    ]
    db.fs.chunks.insert_many(documents)
    return db


def chunk(db: Any, number: int, **fields: Any) -> Any:
    assert db.fs.chunks.update_one({"files_id": "it", "n": number}, {"$set": fields}).modified_count
    return db


def file(db: Any, **fields: Any) -> Any:
    assert db.fs.files.update_one({"_id": "it"}, {"$set": fields}).modified_count
    return db


def lose(db: Any, *numbers: int) -> Any:
    assert db.fs.chunks.delete_many({"files_id": "it", "n": {"$in": numbers}}).deleted_count == len(numbers)
    return db


def reindex(db: Any, collection: str, **options: bool) -> Any:
    db.fs[collection].drop_indexes()
    if options:
        db.fs[collection].create_index([("files_id", 1), ("n", 1)], **options)
    return db


def reverse(db: Any) -> None:
    """Store the chunks in the order opposite to that of their numbers."""
    chunks = list(db.fs.chunks.find().sort("n", -1))
    db.fs.chunks.delete_many({})
    db.fs.chunks.insert_many(chunks)


def contents(db: Any) -> list[Any]:
    """Every document and every index of the bucket."""
    return [(list(each.find().sort("_id", 1)), each.index_information()) for each in (db.fs.files, db.fs.chunks)]


@pytest.fixture
def db(real: PyMongo) -> Any:
    """A bucket of whole files, ours and the driver's; ``it`` is to be damaged."""
    for name, data in (("ours", DATA), ("ours, empty", b"")):
        real.save_file(name, io.BytesIO(data))
    driver = gridfs.GridFSBucket(real.db, chunk_size_bytes=4)
    for file_id in (5, "empty", "it", "md5", ObjectId(), "zero"):
        driver.upload_from_stream_with_id(file_id, "name", io.BytesIO(b"" if file_id == "empty" else DIGITS))
    md5 = hashlib.md5(DIGITS, usedforsecurity=False).hexdigest().upper()
    real.db.fs.files.update_one({"_id": "md5"}, {"$set": {"md5": md5}})
    file(real.db, sha256=hashlib.sha256(DIGITS).hexdigest())
    real.db.fs.chunks.insert_one({"files_id": "empty", "n": 0, "data": b""})  # some drivers do
    return real.db


IT = "file 'name' 'it': 1 "
NO_END = "; not repaired: it has no hash to show where it ends"
GONE = "chunks 'fs.chunks' {}: 1 unreferenced, 4 bytes; repaired"
INDEX = "index 'fs.chunks' 'files_id, n': "
DAMAGES: list[tuple[Callable[[Any], object], list[str]]] = [  # and what --repair says of it
    (lambda db: lose(db, 0), [IT + "missing (first: 0)"]),
    (lambda db: lose(db, 2), [IT + "missing (first: 2)"]),
    (lambda db: lose(db, 0, 1), ["file 'name' 'it': 2 missing (first: 0)"]),
    (lambda db: lose(db, 0, 1, 2), ["file 'name' 'it': 3 missing (first: 0)"]),
    (lambda db: chunk(db, 1, data=b"456"), [IT + "short (first: 1)"]),
    (lambda db: chunk(db, 2, data=b"8"), [IT + "short (first: 2)"]),
    (lambda db: chunk(db, 1, data="4567"), [IT + "short (first: 1)"]),
    (lambda db: chunk(db, 1, data=b"45678"), [IT + "long (first: 1)"]),
    (lambda db: chunk(db, 2, data=b"89A"), [IT + "long (first: 2)"]),
    (lambda db: chunk(chunk(db, 0, data=b"01234"), 1, data=b"5"), [IT + "long (first: 0), 1 short (first: 1)"]),
    (lambda db: chunk(db, 1, n="1"), [IT + "missing (first: 1), 1 misnumbered (first: '1')"]),
    (lambda db: chunk(db, 0, n=-1), [IT + "misnumbered (first: -1), 1 missing (first: 0)"]),
    (lambda db: put(db, "it", 0.5), [IT + "misnumbered (first: 0.5)"]),
    (lambda db: chunk(db, 2, n=2.0), []),
    (lambda db: file(db, length=10.0), []),
    (lambda db: file(db, length=-1), [IT + "invalid document"]),
    (lambda db: file(db, length="10"), [IT + "invalid document"]),
    (lambda db: file(db, length=9.5), [IT + "invalid document"]),
    (lambda db: file(db, length=True), [IT + "invalid document"]),
    (lambda db: file(db, chunkSize=0), [IT + "invalid document"]),
    (lambda db: file(db, length=8), [IT + "extra (first: 2), 1 sha256 mismatch"]),
    (lambda db: put(db, "it", 3), [IT + "extra (first: 3); repaired"]),
    (lambda db: put(db, "it", 3, 7), ["file 'name' 'it': 2 extra (first: 3); repaired"]),
    (lambda db: put(db, "md5", 3), ["file 'name' 'md5': 1 extra (first: 3); repaired"]),
    (lambda db: put(db, 5, 3), ["file 'name' 5: 1 extra (first: 3)" + NO_END]),
    (lambda db: put(file(db, sha256="?"), "it", 3), [IT + "extra (first: 3)" + NO_END]),
    (lambda db: put(lose(db, 0), "it", 3), [IT + "missing (first: 0), 1 extra (first: 3)"]),
    (lambda db: put(db, "gone", 0, 1), ["chunks 'fs.chunks' 'gone': 2 unreferenced, 8 bytes; repaired"]),
    (lambda db: [put(db, n, 0) for n in range(100, 107)], [GONE.format(n) for n in range(100, 107)]),
    (
        lambda db: put(put(put(db, 100, 0), 101, 0), 102, *range(6)),
        [GONE.format(100), GONE.format(101), "chunks 'fs.chunks' 102: 6 unreferenced, 24 bytes; repaired"],
    ),
    (lambda db: put(db, None, 0), [GONE.format(None)]),
    (
        lambda db: db.fs.chunks.insert_one({"_id": 1, "files_id": "gone", "data": b"data"}),
        [GONE.format("'gone'").replace("; ", "; not ") + ": their age is unknown"],
    ),
    (lambda db: put(db, "soon", 0, minutes=58), []),
    (lambda db: put(put(db, "soon", 0), "soon", 1, minutes=58), []),
    (lambda db: reindex(db, "chunks"), [INDEX + "missing; repaired"]),
    (lambda db: reverse(reindex(db, "chunks")), [INDEX + "missing; repaired"]),
    (
        lambda db: reindex(db, "files"),
        [f"index 'fs.files' '{keys}': missing; repaired" for keys in ("filename, uploadDate", "previous")],
    ),
    (lambda db: reindex(db, "chunks", unique=False), [INDEX + "other options; not repaired: An "]),
    (lambda db: reindex(db, "chunks", unique=True, sparse=True), [INDEX + "other options; not repaired: An "]),
    (
        lambda db: put(reindex(db, "chunks"), "it", 1),
        [INDEX + "missing; not repaired: ", IT + "duplicate (first: 1)"],
    ),
]


def test_renames_that_broke_off(app: Flask, real: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of another tool's field of this name are left alone."""
    monkeypatch.setattr(check, "_PAUSE", 0)
    store = real.bucket()
    for name in ("early", "late"):
        for data in (b"0", b"1", b"2"):
            store.save(name, [data])
        with monkeypatch.context() as broken:
            break_off(broken, early=name == "early")
            with pytest.raises(AutoReconnect):
                store.rename(name, f"new {name}")
    theirs = store.save("theirs", [b"x"], fields={"renamedFrom": 5})
    lines = [
        f"rename 'new {name}' {store.find(f'new {name}').id!r}: {left} left under the name {name!r}"  # type: ignore[union-attr]
        for name, left in (("early", 2), ("late", 0))
    ]
    before = contents(real.db)
    assert call(app, "check")[1][:-1] == lines
    assert contents(real.db) == before
    status, output = call(app, "check", "--repair", "--idle")
    assert (status, output[:-1]) == (0, [f"{line}; repaired" for line in lines])
    assert call(app, "check")[0] == 0
    assert [store.count(name) for name in ("early", "new early", "late", "new late")] == [0, 3, 0, 3]
    assert store.get(theirs.id) == theirs


@pytest.mark.parametrize(("damage", "reports"), DAMAGES)
def test_damage_is_found_and_what_is_whole_is_left_alone(
    app: Flask, db: Any, damage: Callable[[Any], object], reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (check, walk):
        monkeypatch.setattr(module, "_BATCH", 3)  # the bucket has several
    monkeypatch.setattr(check, "_PAUSE", 0)
    whole = contents(db)
    damage(db)
    broken = contents(db)
    found = [report.partition("; ")[0] for report in reports]
    remaining = [report.partition("; ")[0] for report in reports if not report.endswith("; repaired")]

    def look(*options: str, left: list[str]) -> list[str]:
        status, output = call(app, "check", *options)
        *lines, total = (line.replace(f"{db.name}.", "") for line in output)
        assert total.startswith("fs: 8 files ")
        assert total.endswith(f"; {len(lines)} problems, {len(lines) - len(left)} repaired")
        assert status == (1 if left else 0)
        return lines if lines and lines[0].startswith("index") else sorted(lines)  # chunks come in any order

    assert [line.partition("; ")[0] for line in look(left=found)] == found
    assert contents(db) == broken
    for line, report in zip(look("--repair", left=remaining), reports, strict=True):
        assert line.startswith(report) if report.startswith("index") else line == report
    assert contents(db) == (broken if remaining or not reports else whole)
    assert [line.partition("; ")[0] for line in look("--repair", left=remaining)] == remaining


@pytest.mark.parametrize(
    ("name", "n", "kind"), [("it", 2, "sha256"), ("md5", 0, "md5"), ("ours", 1, "sha256"), ("ours", 2, "sha256")]
)
def test_verify_reads_the_content(app: Flask, db: Any, name: str, n: int, kind: str) -> None:
    found = db.fs.files.find_one({"$or": [{"_id": name}, {"filename": name}]})
    part = db.fs.chunks.find_one({"files_id": found["_id"], "n": n})
    db.fs.chunks.update_one({"_id": part["_id"]}, {"$set": {"data": part["data"][:-1] + b"!"}})
    broken = contents(db)
    assert call(app, "check")[0] == 0
    status, lines = call(app, "check", "--verify", "--repair")
    assert (status, lines[:-1]) == (1, [f"file {found['filename']!r} {found['_id']!r}: 1 {kind} mismatch"])
    assert contents(db) == broken


def test_what_is_whole_is_clean(app: Flask, db: Any) -> None:
    for options in ((), ("--verify",), ("--repair", "--verify"), ("--config-prefix", "MONGO")):
        said = f"{db.name}.fs: 8 files ({len(DATA) + 50:,} bytes), 19 chunks; 0 problems, 0 repaired"
        assert call(app, "check", *options) == (0, [said])
    said = f"{db.name}.none: 0 files (0 bytes), 0 chunks; 0 problems, 0 repaired"
    assert call(app, "check", "--bucket", "none") == (0, [said])
    gridfs.GridFSBucket(db, "theirs").upload_from_stream("name", io.BytesIO(DATA))
    assert call(app, "check", "--bucket", "theirs", "--verify")[0] == 0
    assert "none.files" not in db.list_collection_names()


def test_json_is_one_document(app: Flask, db: Any) -> None:
    none = {"findings": [], "bucket": f"{db.name}.fs", "files": 8, "chunks": 19, "bytes": len(DATA) + 50}
    status, lines = call(app, "check", "--json")
    assert (status, json.loads("".join(lines))) == (0, {**none, "uploading": 0, "found": 0, "repaired": 0})
    lose(db, 1)
    put(db, "soon", 0, minutes=1)
    put(db, oid := ObjectId(), 0)
    status, lines = call(app, "check", "--json", "--repair")
    wanted: list[dict[str, Any]] = [
        {"subject": "file", "id": "it", "name": "name", "bytes": 10, "repaired": False, "note": ""},
        {"subject": "chunks", "id": str(oid), "name": f"{db.name}.fs.chunks", "bytes": 4, "repaired": True, "note": ""},
    ]
    wanted[0]["problems"] = [{"kind": "missing", "count": 1, "first": 1}]
    wanted[1]["problems"] = [{"kind": "unreferenced", "count": 1, "first": None}]
    totals = {"chunks": 20, "findings": wanted, "uploading": 1, "found": 2, "repaired": 1}
    assert (status, json.loads("".join(lines))) == (1, {**none, **totals})


def test_a_running_upload_is_left_alone_and_then_is_whole(app: Flask, real: PyMongo) -> None:
    store = Bucket(real.db)
    with store.writer("running") as writer:
        writer.write(DATA * 2)
        until(lambda: store.chunks.count_documents({}) == 4)
        said = "fs: 0 files (0 bytes), 4 chunks (4 of uploads in progress); 0 problems, 0 repaired"
        assert call(app, "check", "--repair") == (0, [f"{real.db.name}.{said}"])
        writer.write(DATA)
        saved, _ = writer.commit()
    assert b"".join(store.read(saved)) == DATA * 3
    assert call(app, "check", "--verify")[0] == 0


def test_an_upload_that_can_go_on_is_left_alone_and_an_expired_one_goes(app: Flask, real: PyMongo) -> None:
    store, started = Bucket(real.db), ObjectId.from_datetime(datetime(2026, 1, 1, tzinfo=UTC))
    token = store.uploads.create("film", 10 * CHUNK_SIZE).token
    upload = store.uploads.find(token)
    assert upload is not None
    with store.uploads.open_for_append(upload) as holder:
        holder.write(DATA)
    for chunk in list(store.chunks.find()):  # an hour ago
        store.chunks.delete_one({"_id": chunk["_id"]})
        store.chunks.insert_one({**chunk, "_id": ObjectId(started.binary[:4] + chunk["_id"].binary[4:])})
    status, lines = call(app, "check", "--repair")
    assert (status, lines[-1].partition("; ")[0]) == (
        0,
        f"{real.db.name}.fs: 0 files (0 bytes), 2 chunks (2 of uploads in progress)",
    )
    lapse(store, "expires")
    said = f"upload 'film' {upload.id!r}: 1 expired, {len(DATA):,} bytes"
    assert call(app, "check")[1][0] == said
    assert call(app, "check", "--repair") == (
        0,
        [f"{said}; repaired", f"{real.db.name}.fs: 0 files (0 bytes), 0 chunks; 1 problems, 1 repaired"],
    )
    assert not store.chunks.count_documents({})
    lapse(store, "expires")
    assert call(app, "check", "--repair")[0] == 0
    assert not store.uploads.collection.count_documents({})


@pytest.mark.parametrize("verify", [False, True])
def test_the_order_of_all_types_of_ids(db: Any, uri: str, verify: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files with chunks, files without and chunks without a file alternate, and lie across batches."""
    monkeypatch.setattr(walk, "_BATCH", 4)
    monkeypatch.setattr(check, "_PAUSE", 0)
    driver, files, gone = gridfs.GridFSBucket(db, chunk_size_bytes=4), [], []
    of_types: list[Callable[[int], Any]] = [
        int,
        lambda n: n + 0.5,
        lambda n: Decimal128(f"{n}.25"),
        lambda n: Int64(10**12 + n),
        lambda n: f"text {n}",
        lambda n: {"path": n},
        lambda n: bytes([n]),
        lambda n: ObjectId(f"{n:024x}"),
        lambda n: bool(n % 2) if n < 2 else Timestamp(n, 1),
        lambda n: datetime(2026, 1, 1 + n, tzinfo=utc),
        lambda n: Regex(f"^{n}"),
    ]
    for make in of_types:
        for n in range(20, 31) if make is int else range(12):
            if n % 4 == 3 or isinstance(file_id := make(n), Regex):
                put(db, make(n), 0)
                gone.append(repr(make(n)))
            else:
                driver.upload_from_stream_with_id(file_id, "name", io.BytesIO(DIGITS if n % 4 else b""))
                files.append(file_id)
    damaged = [
        repr(files[place]) for place in range(1, len(files), 7) if db.fs.chunks.find_one({"files_id": files[place]})
    ]
    for file_id in files[1::7]:
        db.fs.chunks.delete_many({"files_id": file_id})
    listener = Commands()
    with pymongo.MongoClient[Any](uri, event_listeners=[listener]) as client:
        looking = Check(Bucket(client.get_default_database()).collections, verify=verify)
        found = [(finding.subject, repr(finding.id)) for finding in looking.findings()]
    read = [command for command in listener.all if command.get("find") == "fs.chunks"]
    assert len(read) == (looking.files if verify else len(damaged))  # nothing whole was suspected
    assert sorted(found) == sorted([("file", one) for one in damaged] + [("chunks", one) for one in gone])
    assert looking.files == len(files) + 8
    assert looking.chunks == db.fs.chunks.count_documents({})


@pytest.mark.usefixtures("no_indexes")
def test_collections_of_different_collations(real: PyMongo, uri: str) -> None:
    """The server sorts by a collection's own collation if it is not told another one."""
    listener = Commands()
    real.db.create_collection("fs.files", collation={"locale": "en", "strength": 2})
    driver = gridfs.GridFSBucket(real.db)
    for file_id in ("B", "_", "a", "C", "d"):
        driver.upload_from_stream_with_id(file_id, "name", io.BytesIO(DIGITS))
    with pymongo.MongoClient[Any](uri, event_listeners=[listener]) as client:
        looking = Check(Bucket(client.get_default_database()).collections)
        assert {finding.subject for finding in looking.findings()} == {"index"}
    assert not [command for command in listener.all if "find" in command and command["find"] == "fs.chunks"]


@pytest.mark.usefixtures("no_indexes")
def test_round_trips_do_not_grow_with_the_files(real: PyMongo, uri: str) -> None:
    listener = Commands()
    ids = [ObjectId() for _ in range(2500)]
    real.db.fs.files.insert_many([{"_id": one, "filename": "a", "length": 4, "chunkSize": 4} for one in ids])
    real.db.fs.chunks.insert_many([{"files_id": one, "n": 0, "data": b"data"} for one in ids])
    with pymongo.MongoClient[Any](uri, event_listeners=[listener]) as client:
        looking = Check(Bucket(client.get_default_database()).collections, repair=True)
        assert {finding.subject for finding in looking.findings()} == {"index"}
        assert (looking.files, looking.chunks) == (2500, 2500)
    assert len(listener.all) < 40


def test_cursors_that_the_server_closes(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does so with those that are not asked for ten minutes, as while a large file is read."""
    monkeypatch.setattr(walk, "_BATCH", 3)
    monkeypatch.setattr(check, "_PAUSE", 0)
    put(lose(db, 1), "gone", *range(7))
    admin, killed = db.client.admin, 0

    def kill(count: int) -> None:
        nonlocal killed
        if count == 1:  # of the content, which is read as a whole again
            return
        for idle in admin.aggregate([{"$currentOp": {"idleCursors": True}}, {"$match": {"type": "idleCursor"}}]):
            base, _, collection = idle["ns"].partition(".")
            if base == db.name:
                db.client[base].command("killCursors", collection, cursors=[idle["cursor"]["cursorId"]])
                killed += 1

    looking = Check(Bucket(db).collections, verify=True, advance=kill)
    assert [(finding.subject, finding.id) for finding in looking.findings()] == [("file", "it"), ("chunks", "gone")]
    assert (looking.files, looking.chunks, killed > 5) == (8, 25, True)


class TestOthersAtWork:
    """What others do between two looks; they do it when *advance* is called, or during the pause."""

    @pytest.mark.parametrize("moment", ["advance", "pause"])
    @pytest.mark.parametrize(("event", "left"), [("owned", 2), ("vanishes", 0), ("grows", 3), ("shrinks", 1)])
    def test_chunks_that_somebody_works_on(
        self, db: Any, moment: str, event: str, left: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(db, "busy", 0, 1)

        def act(_: float) -> None:
            if event == "owned":
                db.fs.files.insert_one({"_id": "busy", "length": 8, "chunkSize": 4})
            elif event == "grows":
                put(db, "busy", 2, minutes=0)
            else:
                db.fs.chunks.delete_many({"files_id": "busy", "n": {"$gte": int(event == "shrinks")}})

        looking = Check(Bucket(db).collections, repair=True)
        if moment == "pause":
            monkeypatch.setattr(check, "time", SimpleNamespace(sleep=act))  # the driver's threads sleep, too
        else:
            monkeypatch.setattr(check, "_PAUSE", 0)
            looking.advance = lambda _: act(0) if looking.chunks else None
        dead = (moment, event) == ("advance", "shrinks")  # a delete that did not go on
        assert [finding.repaired for finding in looking.findings()] == [True] * dead
        assert db.fs.chunks.count_documents({"files_id": "busy"}) == (0 if dead else left)

    def test_a_file_that_is_stored_while_its_chunks_are_deleted(
        self, db: Any, uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As after the sleep of a machine: nobody can say that all was repaired."""
        monkeypatch.setattr(check, "_PAUSE", 0)
        put(db, "late", 0)
        late = {"_id": "late", "filename": "late", "length": 4, "chunkSize": 4}
        listener = Commands(lambda command: "delete" in command and db.fs.files.insert_one(late))
        with pymongo.MongoClient[Any](uri, event_listeners=[listener]) as client:
            (finding,) = Check(Bucket(client.get_default_database()).collections, repair=True).findings()
        assert (finding.id, finding.repaired) == ("late", False)
        assert "stored while" in finding.note

    @pytest.mark.parametrize("verify", [False, True])
    def test_a_file_that_is_deleted_meanwhile_is_no_damage(
        self, db: Any, verify: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(walk, "_BATCH", 3)  # "it" is the last of the first, and "md5" the next one
        store = Bucket(db)
        lose(db, 0)
        put(db, "md5", 3)
        findings = Check(store.collections, verify=verify, advance=lambda _: store.delete(id="it")).findings()
        assert [finding.id for finding in findings] == ["md5"]

    @pytest.mark.slow
    def test_no_finding_and_no_loss_while_files_come_and_go(self, app: Flask, real: PyMongo) -> None:
        call(app, "index")
        for old in range(900):
            put(real.db, old, 0)
        real.db.fs.files.insert_many({"_id": old, "filename": "old", "length": 4, "chunkSize": 4} for old in range(900))
        kept: dict[str, bytes] = {}
        enough = Event()

        def work(number: int) -> None:
            store, driver, chance = Bucket(real.db), gridfs.GridFSBucket(real.db), random.Random(number)
            for turn in count():
                name, data = f"{number} {turn % 7}", chance.randbytes(chance.choice([0, 1, 9999, 5 * CHUNK_SIZE + 1]))
                replaced = store.newest(name)
                if len(data) == 9999:
                    driver.upload_from_stream(name, io.BytesIO(data), chunk_size_bytes=1000)
                else:
                    store.save(name, [data])
                kept[name] = data
                if replaced:
                    store.delete(id=replaced.id)
                store.delete(id=3 * turn + number)
                if enough.is_set() and turn >= 7:
                    return

        with ThreadPoolExecutor(3) as pool:
            workers = [pool.submit(work, number) for number in range(3)]
            try:
                for options in 3 * [["--repair"], ["--repair", "--verify"]]:
                    status, lines = call(app, "check", *options)
                    assert (status, len(lines)) == (0, 1), lines
            finally:
                enough.set()
        assert [worker.result() for worker in workers] == [None] * 3
        store = Bucket(real.db)
        assert {name: b"".join(store.read(found)) for name in kept if (found := store.find(name))} == kept
        assert call(app, "check", "--verify")[0] == 0


@pytest.mark.replica
def test_the_primary_is_asked(app: Flask) -> None:
    """A secondary that lags would show chunks without the file that has them; here there is none to ask."""
    with standalone("--replSet", "one") as server:
        with direct(server) as client:
            client.admin.command("replSetInitiate", {"_id": "one", "members": [{"_id": 0, "host": server.address}]})
            until(lambda: client.admin.command("hello")["isWritablePrimary"])
        options = "replicaSet=one&readPreference=secondary&serverSelectionTimeoutMS=2000"
        mongo = PyMongo(app, uri=f"mongodb://{server.address}/shop?{options}")
        mongo.save_file("name", io.BytesIO(DATA))
        put(mongo.db, "gone", 0)
        status, lines = call(app, "check", "--verify", "--repair")
        mongo.cx.close()
    assert (status, lines[0]) == (0, "chunks 'shop.fs.chunks' 'gone': 1 unreferenced, 4 bytes; repaired")


def test_the_command_line(db: Any, uri: str) -> None:
    """A process of its own; on a terminal with a bar."""

    def flask(*arguments: str, stderr: int = subprocess.PIPE) -> Any:
        app = "tests.helpers.live:open_app"
        command = [Path(sys.executable).with_name("flask"), "--app", app, "gridfs", *arguments]
        environ = {**os.environ, "LIVE_URI": uri}
        return subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=stderr, text=True)

    lose(db, 1)
    ours, theirs = os.openpty()
    run = flask("check", stderr=theirs)
    assert (run.returncode, run.stdout.splitlines()[0]) == (1, "file 'name' 'it': 1 missing (first: 1)")
    assert b"100%" in os.read(ours, 100_000)
    os.close(ours)
    os.close(theirs)
    db.fs.files.delete_one({"_id": "it"})
    run = flask("check")
    assert (run.returncode, run.stderr) == (0, "")
    assert "(2 of uploads in progress)" in run.stdout
    assert flask("check", "--config-prefix", "NO").returncode == 2


@pytest.mark.parametrize("command", [["check"], ["check", "--repair", "--json"], ["index", "size"]])
class TestFailure:
    def test_no_answer(self, app: Flask, command: list[str]) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and does not listen
            address = f"127.0.0.1:{nobody.getsockname()[1]}"
            mongo = PyMongo(app, uri=f"mongodb://{address}/shop?serverSelectionTimeoutMS=100")
            status, lines = call(app, *command)
            mongo.cx.close()
        assert (status, len(lines)) == (2, 1)
        assert lines[0].startswith(f"Error: shop.fs: {address}: [Errno 111] Connection refused")
        assert "Topology" not in lines[0]

    def test_usage(self, app: Flask, uri: str, command: list[str]) -> None:
        PyMongo(app, config_prefix="OTHER", uri="mongomock://localhost/other")
        mongo = PyMongo(app, uri=uri)
        for prefix, said in (("MY", "'MY', only with: MONGO, OTHER"), ("", "'', only with: MONGO")):
            status, lines = call(app, *command, "--config-prefix", prefix)
            assert (status, said in lines[-1]) == (2, True)
        assert call(app, *command, "--what")[0] == 2
        assert call(app, *command, "--bucket", "a..b")[0] == 2
        assert call(app, *command)[0] == 0
        mongo.cx.close()
        alone = Flask("alone")
        mongo = PyMongo(alone, config_prefix="ALONE", uri=uri)
        assert call(alone, *command)[0] == 0
        mongo.cx.close()

    def test_mongomock(self, app: Flask, command: list[str]) -> None:
        PyMongo(app, uri="mongomock://localhost/shop")
        status, lines = call(app, *command)
        assert (status, len(lines), "mongomock" in lines[0]) == (2, 1, True)


class TestIndex:
    @pytest.mark.usefixtures("no_indexes")
    def test_listings_use_them(self, app: Flask, real: PyMongo) -> None:
        store = Bucket(real.db)
        for said in ("created", "exists"):
            status, lines = call(app, "index", *orders.ORDERS)
            assert (status, [line.endswith(f": {said}") for line in lines]) == (0, [True] * 6)
        assert real.db.fs.chunks.index_information()["files_id_1_n_1"]["unique"]
        real.save_file("a", io.BytesIO(b"1"))
        for order, (field, direction, _) in orders.ORDERS.items():
            real.db.command("profile", 2)
            assert len(store.list(order).rows) == len(store.list(f"-{order}").rows) == 1
            real.db.command("profile", 0)
            plan = f"IXSCAN {{ {field}: {direction}, filename: 1 }}"
            queries = {"ns": store.files.full_name, "planSummary": plan, "command.sort": {"$exists": True}}
            assert {tuple(found["command"]["sort"].items()) for found in real.db.system.profile.find(queries)} >= {
                ((field, direction), ("filename", 1)),
                ((field, -direction), ("filename", -1)),
            }
        assert (
            real.db.system.profile.count_documents({"$or": [{"hasSortStage": True}, {"planSummary": "COLLSCAN"}]}) == 0
        )

    def test_without_orders_there_are_the_three_that_every_bucket_has(self, app: Flask, real: PyMongo) -> None:
        assert [len(lines) for _, lines in [call(app, "index", "--bucket", "b")]] == [3]
        real.save_file("a", io.BytesIO(b"1"), base="b")
        assert call(app, "check", "--bucket", "b")[0] == 0
        assert call(app, "index", "age")[0] == 2

    @pytest.mark.parametrize("name", ["a\x1b[31m\r\nforged line", "a\u202eb\u2028c\x9bd"])
    def test_nothing_of_a_name_reaches_the_terminal_as_it_is(self, app: Flask, real: PyMongo, name: str) -> None:
        """MongoDB's errors quote the values that are in the way of an index."""
        store = Bucket(real.db)
        for _ in range(2):
            store.save(name, [name.encode()])
        for index, base in (("previous_1", "files"), ("files_id_1_n_1", "chunks")):
            real.db.fs[base].drop_index(index)
        real.db.fs.files.update_many({}, {"$set": {"previous": {"name": name, "_id": None}}})
        for command in (["index"], ["check"], ["check", "--repair"], ["check", "--json", "--repair"]):
            put(put(real.db, name, 1), name, 1)
            result = app.test_cli_runner().invoke(args=["gridfs", *command])
            assert result.exit_code == 1
            assert all(line.isprintable() for line in result.output.split("\n")), command
            assert "\nforged" not in result.output

    def test_one_that_is_in_the_way(self, app: Flask, db: Any) -> None:
        reindex(db, "chunks", unique=False)
        status, lines = call(app, "index")
        assert status == 1
        (line,) = [line for line in lines if not line.endswith("exists")]
        assert f"index '{db.name}.fs.chunks' 'files_id, n': other options, not created: An existing index" in line
        assert line.endswith("; drop the old one first")
        assert "full error" not in line
        put(reindex(db, "chunks"), "it", 1)
        status, lines = call(app, "index")
        (line,) = [line for line in lines if not line.endswith("exists")]
        assert (status, "E11000 duplicate key" in line, "drop" in line) == (1, True, False)
