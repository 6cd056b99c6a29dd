"""``flask gridfs copy``: both buckets are the same, byte by byte, whatever happens meanwhile."""

from __future__ import annotations

import io
import random
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event
from typing import Any

import pymongo
import pytest
from bson import Binary, Decimal128
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from flask import Flask
from gridfs import GridFSBucket
from pymongo.server_api import ServerApi

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, Check, Mirror
from flask_gridfs_pymongo.store.maintenance import mirror

from ..conftest import put
from ..helpers.commands import call
from ..helpers.kills import killed_at_each_write

RAW = CodecOptions[RawBSONDocument](document_class=RawBSONDocument)


@pytest.fixture
def bucket(real: PyMongo) -> Bucket:
    return real.bucket()


@pytest.fixture
def to(uri: str) -> str:
    return f"{uri}:moved"


def dump(bucket: Bucket) -> list[bytes]:
    """Both collections, sorted."""
    found = (bucket.files, bucket.chunks)
    return [raw for one in found for raw in sorted(bytes(document.raw) for document in one.with_options(RAW).find())]


def odd(bucket: Bucket) -> None:
    """Files as several tools write them, sound and damaged."""
    for _ in range(3):
        put(bucket, "versions.txt", random.Random(1).randbytes(600_000))
    bucket.save("ours", io.BytesIO(b"x"), fields={"tags": ["a"], "metadata": {"title": "Notes"}})
    driver = GridFSBucket(bucket.files.database, chunk_size_bytes=5)
    for file_id in ("meteor", 5, {"a": 1, "b": [2]}, Binary(b"b"), Binary(uuid.uuid4().bytes, 4), Decimal128("1"), 2.5):
        driver.upload_from_stream_with_id(file_id, "driver", b"0123456789x", metadata={"_contentType": "text/plain"})
    rows: list[dict[str, Any]] = [
        {"_id": ObjectId()},
        {"_id": ObjectId(), "filename": None, "length": 5.0, "chunkSize": Int64(5), "aliases": ["a"], "md5": "x"},
        {"_id": ObjectId(), "zz": 1, "filename": "no chunks", "length": 10, "uploadDate": datetime(2010, 1, 1)},
    ]
    bucket.files.insert_many(rows)
    bucket.chunks.insert_many([{"files_id": rows[1]["_id"], "n": n, "data": Binary(b"12345")} for n in (0, 7)])


def test_all_kinds_of_files_and_a_second_run(app: Flask, real: PyMongo, bucket: Bucket, to: str) -> None:
    odd(bucket)
    moved, before = real.bucket("moved"), dump(bucket)
    total = bucket.files.count_documents({})
    dry = call(app, "copy", "--to", to, "--dry-run")
    assert (dry.status, len(dry.lines), moved.files.count_documents({})) == (0, total + 1, 0)
    assert call(app, "copy", "--to", to).lines[-1].endswith(f"{total} copied, 0 updated, 0 were the same")
    assert dump(moved) == dump(bucket) == before
    assert moved.files.index_information().keys() >= {"filename_1_uploadDate_1"}
    assert call(app, "copy", "--to", to).lines[-1].endswith(f"0 copied, 0 updated, {total} were the same")
    with moved.open("versions.txt", 1) as file:
        assert len(file.read()) == 600_000


def test_what_has_changed(app: Flask, real: PyMongo, bucket: Bucket, to: str) -> None:
    for name in ("a", "b", "c", "d"):
        put(bucket, name, name.encode() * 300_000)
    call(app, "copy", "--to", to)
    moved = real.bucket("moved")
    bucket.rename("a", "renamed")
    bucket.update_metadata("b", {"title": "new"})
    bucket.delete("c")
    put(bucket, "d", b"second")
    put(moved, "theirs", b"1")
    assert call(app, "copy", "--to", to).lines[-1].endswith("1 copied, 2 updated, 1 were the same")
    assert set(moved.files.distinct("filename")) == {"renamed", "b", "c", "d", "theirs"}
    dry = call(app, "copy", "--to", to, "--delete", "--dry-run").lines
    assert sorted(dry[:-1]) == ["delete c", "delete theirs"]
    assert call(app, "copy", "--to", to, "--delete").lines[-1].endswith("0 updated, 2 deleted, 4 were the same")
    assert dump(moved) == dump(bucket)


def test_another_file_with_the_same_id_is_left(app: Flask, real: PyMongo, bucket: Bucket, to: str) -> None:
    moved, date = real.bucket("moved"), datetime(2020, 1, 1)
    for number, theirs in enumerate(
        ({"length": 6}, {"chunkSize": 6}, {"sha256": "b" * 64}, {"sha256": None, "uploadDate": datetime(2021, 1, 1)})
    ):
        base = {
            "_id": number,
            "filename": f"{number}",
            "length": 5,
            "chunkSize": 5,
            "uploadDate": date,
            "sha256": "a" * 64,
        }
        for one, changes in ((bucket, {}), (moved, theirs)):
            document = {name: value for name, value in {**base, **changes}.items() if value is not None}
            one.files.insert_one(document)
            one.chunks.insert_one({"files_id": number, "n": 0, "data": Binary(one.collections.name.encode()[-5:])})
    put(bucket, "good", b"1")
    before = dump(moved)
    status, lines, errors = call(app, "copy", "--to", to)
    assert (status, len(errors)) == (1, 4)
    assert all("another file has the _id" in error for error in errors)
    assert lines[-1].endswith("1 copied, 0 updated, 0 were the same")
    assert set(before) <= set(dump(moved))


def test_killed_at_each_write(real: PyMongo, uri: str, bucket: Bucket) -> None:
    for number in range(3):
        put(bucket, f"{number}", bytes(300_000 + number))
    real.bucket("moved").collections.indexes.ensure()
    code = "list(Mirror(store, Bucket(store.files.database, 'moved'), delete=True).run())"
    moved = real.bucket("moved")
    for _ in killed_at_each_write(uri, "from flask_gridfs_pymongo.store import Mirror\n" + code):
        for document in moved.files.find():  # none of them lacks bytes
            with moved.open(id=document["_id"]) as file:
                assert len(file.read()) == document["length"]
        put(bucket, "another", b"1")
        bucket.update_metadata("0", {"turn": moved.files.count_documents({})})
    list(Mirror(bucket, moved, delete=True).run())
    assert dump(moved) == dump(bucket)


def test_chunks_that_another_run_has_copied(real: PyMongo, bucket: Bucket) -> None:
    """Neither a run at the same time nor one that was killed makes a file lose its bytes."""
    for number in range(3):
        put(bucket, f"{number}", bytes(300_000 + number))
    moved = real.bucket("moved")

    class Slow(Mirror):
        def _copy_chunks(self, file_ids: Sequence[Any]) -> list[Any]:
            assert [step.kind for step in Mirror(bucket, moved).run()] == ["copied"] * 3
            return super()._copy_chunks(file_ids)

        def _documents(self, of: Bucket, file_ids: Sequence[Any]) -> Any:
            if of is bucket:  # its chunks are there
                bucket.delete("2")
            return super()._documents(of, file_ids)

    assert [step.kind for step in Slow(bucket, moved).run()] == ["copied"] * 2
    for number in range(3):
        with moved.open(f"{number}") as file:
            assert len(file.read()) == 300_000 + number
    moved.files.delete_many({})
    moved.chunks.update_one({"n": 1}, {"$set": {"data": Binary(b"other")}})
    assert sorted(step.kind for step in Mirror(bucket, moved).run()) == ["copied", "failed"]
    assert [step.kind for step in Mirror(bucket, moved, delete=True).run()] == ["copied"]


def test_no_cursor_waits_while_files_are_read(real: PyMongo, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server ends one after ten minutes."""
    monkeypatch.setattr(mirror, "_BATCH", 2)
    odd(bucket)
    idle = [{"$currentOp": {"idleCursors": True}}, {"$match": {"type": "idleCursor", "ns": bucket.files.full_name}}]
    steps = Mirror(bucket, real.bucket("moved")).run()
    next(steps)
    assert list(real.cx.admin.aggregate(idle)) == []
    bucket.delete("ours")  # maybe the one after which the next page starts
    list(steps)
    list(Mirror(bucket, real.bucket("moved"), delete=True).run())
    assert dump(real.bucket("moved")) == dump(bucket)


def test_the_stable_api_is_enough(uri: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_BATCH", 2)
    odd(bucket)
    with pymongo.MongoClient[Any](uri, server_api=ServerApi("1", strict=True)) as client:
        database = client.get_default_database()
        moved = Bucket(database, "moved")
        found = [step.kind for step in Mirror(Bucket(database), moved).run()]
        assert found == ["copied"] * bucket.files.count_documents({})
        assert dump(moved) == dump(bucket)


def test_what_is_deleted_there_meanwhile(real: PyMongo, bucket: Bucket) -> None:
    """A document is not written again without its chunks."""
    moved = real.bucket("moved")
    put(bucket, "a", b"1")
    list(Mirror(bucket, moved).run())
    bucket.update_metadata("a", {"title": "new"})
    steps, deleted = Mirror(bucket, moved), list[bool]()

    def documents(of: Bucket, file_ids: Sequence[Any]) -> Any:
        found = Mirror._documents(steps, of, file_ids)
        deleted.append(bool(moved.delete("a")))
        return found

    steps._documents = documents  # type: ignore[method-assign]
    list(steps.run())
    assert (deleted, moved.find("a")) == ([True], None)
    assert [step.kind for step in Mirror(bucket, moved).run()] == ["copied"]


def test_an_empty_source_deletes_nothing(app: Flask, real: PyMongo, bucket: Bucket, to: str) -> None:
    put(real.bucket("moved"), "theirs", b"1")
    for dry in ([], ["--dry-run"]):
        status, lines, errors = call(app, "copy", "--bucket", "typo", "--to", to, "--delete", *dry)
        assert (status, lines, "typo has no files" in errors[0]) == (2, [], True)
    assert real.bucket("moved").find("theirs")


def test_a_source_in_use(real: PyMongo, bucket: Bucket) -> None:
    moved, over = real.bucket("moved"), Event()

    def write(number: int) -> None:
        chance, turn = random.Random(number), 0
        while not over.is_set():
            turn += 1
            put(bucket, f"{number}/{turn}", chance.randbytes(chance.randrange(400_000)))
            if turn > 3:
                bucket.delete(f"{number}/{turn - 3}")
            if turn % 3 == 0:
                bucket.rename(f"{number}/{turn}", f"{number}/renamed {turn}")

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, number) for number in range(2)]
        try:
            for _ in range(4):
                steps = [step.kind for step in Mirror(bucket, moved, delete=True).run()]
                assert not {"left", "failed"} & set(steps)
                problems = [finding for finding in Check(moved.collections).findings() if finding.subject == "file"]
                assert problems == []
        finally:
            over.set()
        for writer in writers:
            writer.result()
    list(Mirror(bucket, moved, delete=True).run())
    assert dump(moved) == dump(bucket)


@pytest.mark.parametrize(
    ("destination", "told"),
    [
        ("moved", "--to must be"),
        ("mongodb://localhost/shop", "--to must be"),
        ("mongodb://localhost:27017", "--to must be"),
        ("mongodb://localhost:27017:fs", "--to must be"),
        ("mongodb://:::/x:fs", "--to"),
        ("mongodb://localhost/x?tls=true&tlsCAFile=/missing:fs", "--to"),
        ("mongodb://localhost/x?minPoolSize=2&maxPoolSize=1:fs", "--to"),
        ("mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=200:fs", "x.fs"),
        (None, "the bucket itself"),
    ],
)
def test_destinations_that_are_none(app: Flask, bucket: Bucket, uri: str, destination: str | None, told: str) -> None:
    status, lines, errors = call(app, "copy", "--to", destination or f"{uri}:fs")
    assert (status, lines) == (2, [])
    assert told in " ".join(errors)
