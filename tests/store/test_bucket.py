"""store/bucket.py: saving, reading and deleting."""

from __future__ import annotations

import hashlib
import io
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import bson
import pymongo
import pytest
from bson import Int64, ObjectId, Regex
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_saved
from flask_gridfs_pymongo.store import Bucket, NewFile, StoredFile
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE

from ..conftest import BIG, Commands, content, put, read

SIZES = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 4 * CHUNK_SIZE, 9 * CHUNK_SIZE + 7]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_saved_is_read(store: Bucket, size: int) -> None:
    data = content(size)
    saved = put(store, "a", data)
    assert saved == store.find("a") == store.get(saved.id)
    assert read(store, saved) == data
    assert (saved.length, saved.sha256) == (size, hashlib.sha256(data).hexdigest())
    chunks = list(store.chunks.find({"files_id": saved.id}).sort("n", 1))
    assert [len(chunk["data"]) for chunk in chunks] == [saved.chunk_length(n) for n in range(-(-size // CHUNK_SIZE))]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 0),
        (0, 1),
        (5, 5),
        (CHUNK_SIZE - 1, CHUNK_SIZE + 1),
        (CHUNK_SIZE, 2 * CHUNK_SIZE),
        (3 * CHUNK_SIZE + 6, 3 * CHUNK_SIZE + 7),
        (1, 3 * CHUNK_SIZE + 7),
    ],
)
def test_a_range_is_read_as_it_is_sliced(store: Bucket, start: int, stop: int) -> None:
    data = content(3 * CHUNK_SIZE + 7)
    assert read(store, put(store, "a", data), start, stop) == data[start:stop]


def test_the_document_is_what_the_specification_says_and_a_little_more(store: Bucket) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    saved = store.save("a.txt", [b"x" * 10], fields={"owner": "me", "metadata": {"k": 1}})
    document = store.files.find_one({"_id": saved.id})
    date = document.pop("uploadDate")
    assert before <= date <= datetime.now(UTC)
    assert isinstance(document.pop("previousAt"), Timestamp)
    assert document == {
        "_id": saved.id,
        "filename": "a.txt",
        "length": 10,
        "chunkSize": CHUNK_SIZE,
        "contentType": "text/plain",
        "charset": "utf-8",
        "metadata": {"k": 1, "contentType": "text/plain"},
        "sha256": hashlib.sha256(b"x" * 10).hexdigest(),
        "previous": {"name": "a.txt", "_id": None},
        "owner": "me",
    }


def test_a_source_that_has_nothing_just_now_has_not_ended(store: Bucket) -> None:
    pieces = iter([b"a", None, None, b"b", None, b""])

    class Source:
        def read(self, size: int) -> bytes | None:
            return next(pieces)

    assert read(store, store.save("a", Source())) == b"ab"


def test_a_source_that_never_has_anything_is_given_up(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    class Source:
        def read(self, size: int) -> None:
            return None

    monkeypatch.setattr("flask_gridfs_pymongo.store.writing.sources._IDLE_TIMEOUT", 0.1)
    with pytest.raises(BlockingIOError):
        store.save("a", Source())
    assert store.chunks.count_documents({}) == 0


WRONG: dict[str, tuple[Callable[[Bucket], Any], type[Exception]]] = {
    "a name that is a number": (lambda store: store.save(5, [b"x"]), TypeError),  # type: ignore[arg-type]
    "a name that is a query": (lambda store: store.save({"$gt": ""}, [b"x"]), TypeError),  # type: ignore[arg-type]
    "a new name that is a number": (lambda store: store.rename("a", 5), TypeError),  # type: ignore[arg-type]
    "a copy's name": (lambda store: store.copy("a", None), TypeError),  # type: ignore[arg-type]
    "a name to find": (lambda store: store.find({"$gt": ""}), TypeError),  # type: ignore[arg-type]
    "a name of versions": (lambda store: store.versions(b"a"), TypeError),  # type: ignore[arg-type]
    "bare bytes": (lambda store: store.save("a", b"x"), TypeError),
    "a text": (lambda store: store.save("a", "x"), TypeError),  # type: ignore[arg-type]
    "a date that is none": (lambda store: store.save("a", [b"x"], expires_at="later"), TypeError),  # type: ignore[arg-type]
    "a name in place of a file": (lambda store: store.read("a"), TypeError),  # type: ignore[arg-type]
    "a name to delete": (lambda store: store.delete_all("a"), TypeError),  # type: ignore[arg-type]
    "an empty page": (lambda store: store.list(limit=0), ValueError),
    "an order": (lambda store: store.list("colour"), ValueError),
    "a text for a list": (lambda store: store.list(metadata={"tags": "red"}), TypeError),
    "a key that is a number": (lambda store: store.update_metadata("a", {5: 1}), ValueError),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_a_caller_does_wrong_is_an_error_and_changes_nothing(store: Bucket, wrong: str) -> None:
    before = put(store, "a", b"before")
    call, error = WRONG[wrong]
    with pytest.raises(error):
        call(store)
    assert store.find("a") == before
    assert store.files.count_documents({}) == store.chunks.count_documents({}) == 1


def test_a_busy_pool_is_waited_for(uri: str) -> None:
    with pymongo.MongoClient(f"{uri}?maxPoolSize=1&waitQueueTimeoutMS=20") as client:
        bucket = Bucket(client.get_default_database())
        put(bucket, "0", content(5 * CHUNK_SIZE))

        def use(number: int) -> bool:
            found = bucket.find("0")
            put(bucket, f"{number}", b"content")
            return read(bucket, found) == content(5 * CHUNK_SIZE)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(use, range(1, 17)))


def test_the_hash_of_a_file_that_has_none_is_that_of_its_content(store: Bucket) -> None:
    file = put(store, "a", content(3 * CHUNK_SIZE))
    expected = hashlib.sha256(content(3 * CHUNK_SIZE)).hexdigest()
    assert store.sha256(file) == expected
    store.files.update_one({"_id": file.id}, {"$unset": {"sha256": ""}})
    bare = store.get(file.id)
    assert bare is not None
    assert (bare.sha256, store.sha256(bare)) == (None, expected)


def test_what_is_stored_is_counted(store: Bucket) -> None:
    for name in ("a", "a/b", "a/c", "a/c", "ab"):
        put(store, name, name.encode())
    assert store.usage() == (4, 5, 12)
    assert store.usage("a/") == (2, 3, 9)
    assert store.usage("a") == (1, 1, 1)
    assert store.usage("b/") == store.usage("b") == (0, 0, 0)


def test_versions_are_counted_up_to_a_limit(store: Bucket) -> None:
    for _ in range(3):
        put(store, "a", b"")
    assert [store.count("a"), store.count("a", 2), store.count("a", limit=9), store.count("none")] == [3, 2, 3, 0]


def test_pages_go_to_the_end(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_gridfs_pymongo.store.reading._PAGE", 2)
    names = ["a/1", "a/2", "a/3", "b/1", "c"]
    for name in names:
        put(store, name, b"")
    assert [[row.file.filename for row in page.rows] for page in store.pages()] == [names[:2], names[2:4], names[4:]]
    assert [len(page.rows) for page in store.pages(prefix="a/")] == [2, 1]
    assert [page.folders for page in store.pages(folded=True)] == [["a/", "b/"], []]


def test_many_versions_are_deleted_in_batches_and_no_majority_confirms_what_nobody_sees(uri: str) -> None:
    commands = Commands()
    with pymongo.MongoClient(uri, event_listeners=[commands]) as client:
        bucket = Bucket(client.get_default_database())
        put(bucket, "a", b"newest")
        older = {"filename": "a", "length": 0, "chunkSize": 5, "uploadDate": datetime(2020, 1, 1)}
        bucket.files.insert_many([dict(older) for _ in range(99)])
        assert bucket.delete("a") == 100
    deletes = [(one["delete"], one["writeConcern"]["w"]) for one in commands.all if "delete" in one]
    assert [one for one in deletes if one[0] != "fs.variants"] == [("fs.files", "majority"), ("fs.chunks", 1)]


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda bucket: bucket.find("a", "0"), "version must be int, not str"),
        (lambda bucket: bucket.find(ObjectId()), "filename must be str, not ObjectId; an _id is given as id="),
        (lambda bucket: bucket.open("a", None), "version must be int, not NoneType"),
        (lambda bucket: bucket.copy("a", "b", "0"), "version must be int"),
        (lambda bucket: bucket.copy("a", 5), "new must be str, not int"),
        (lambda bucket: bucket.rename("a", b"b"), "new must be str, not bytes"),
        (lambda bucket: bucket.delete("a", "0"), "version must be int"),
        (lambda bucket: bucket.delete_many("abc"), "ids must be list or tuple, not str"),
        (lambda bucket: bucket.count("a", "5"), "limit must be int"),
        (lambda bucket: bucket.versions("a", "5"), "before must be int or None"),
        (lambda bucket: bucket.list(None), "order must be str, not NoneType"),
        (lambda bucket: bucket.list(limit="5"), "limit must be int"),
        (lambda bucket: bucket.list(prefix=b"a"), "prefix must be str"),
        (lambda bucket: bucket.list(part=5), "part must be str"),
        (lambda bucket: bucket.list(metadata=["a"]), "metadata must be Mapping or None, not list"),
        (lambda bucket: bucket.usage(None), "path must be str"),
        (lambda bucket: bucket.read(bucket.find("a"), "0"), "start must be int"),
        (lambda bucket: bucket.read(bucket.find("a"), 0, 1.5), "stop must be int or None"),
        (lambda bucket: bucket.update_metadata("a", [("k", 1)]), "changes must be Mapping"),
        (lambda bucket: bucket.writer("a", "9"), "max_size must be int or None"),
        (lambda bucket: bucket.save("a", [], content_type=b"text/plain"), "content_type must be str or None"),
        (lambda bucket: bucket.save("a", [], fields=["x"]), "fields must be Mapping or None"),
        (lambda bucket: bucket.save("a", [], fields={"metadata": "x"}), "metadata must be Mapping or None"),
        (lambda bucket: bucket.save("a", [], expires_at="tomorrow"), "expires_at must be datetime or None"),
        (
            lambda bucket: bucket.save("a", "text"),
            "source must be a binary file object, a path or an iterable of bytes",
        ),
        (lambda bucket: bucket.save("a", b"text"), "source must be .*, not bytes; use io.BytesIO"),
        (lambda bucket: bucket.save("a", 5), "source must be .*, not int"),
        (lambda bucket: bucket.save("a", ["text"]), "the content must be bytes, not str"),
        (lambda bucket: bucket.save("a", io.StringIO("text")), "the content must be bytes, not str"),
    ],
)
def test_a_wrong_type_names_its_argument(store: Bucket, call: Callable[[Any], Any], argument: str) -> None:
    put(store, "a", b"1")
    with pytest.raises(TypeError, match=f"^{argument}"):
        call(store)
    assert (store.count("a"), store.files.count_documents({}), store.chunks.count_documents({})) == (1, 1, 1)


def test_a_path_is_read(mongo: PyMongo, app: Flask, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(BIG)
    bucket = mongo.bucket()
    assert read(bucket, bucket.save("a.txt", tmp_path / "a.txt")) == BIG
    assert read(bucket, bucket.get(mongo.save_file("b.txt", tmp_path / "a.txt"))) == BIG
    for save in (bucket.save, mongo.save_file):
        with pytest.raises(FileNotFoundError):
            save("c", tmp_path / "none")
        with pytest.raises(IsADirectoryError):
            save("c", tmp_path)
        with pytest.raises(TypeError, match="must be a"):
            save("c", str(tmp_path / "a.txt"))
    assert bucket.files.count_documents({}) == 2


def test_what_was_stored_is_told(mongo: PyMongo, app: Flask) -> None:
    """To the caller, to ``inspect``, and to those who listen: dates have milliseconds, and there are no tuples."""
    bucket, told = mongo.bucket(), list[StoredFile]()
    given = {
        "at": datetime(2026, 1, 2, 3, 4, 5, 678901),
        "there": datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
        "tags": ("a", ("b",)),
        "map": OrderedDict(x=Int64(1)),
        "raw": RawBSONDocument(bson.encode({"x": 1})),
        "regex": re.compile("a"),
    }
    fields = {"metadata": given, "owner": ("ann",)}
    saved = bucket.save("a", [b"1"], fields=fields, inspect=told.append, expires_at=datetime(2100, 1, 1, 0, 0, 0, 1))

    def listen(sender: Flask, file: StoredFile) -> None:
        told.append(file)

    with file_saved.connected_to(listen, app):
        mongo.save_file("b", io.BytesIO(b"1"), **fields)
    many = bucket.save_many(
        [NewFile("c", [b"1"], None, fields), NewFile("d", [b"1"], None, {"metadata": {"a": object()}})]
    )
    assert isinstance(many[0], StoredFile)
    for file in (saved, told[0], told[1], many[0]):
        found = bucket.find(file.filename)
        assert found is not None
        assert repr((file.metadata, file.fields)) == repr((found.metadata, found.fields))
    assert isinstance(many[1], bson.errors.InvalidDocument)
    assert saved.metadata["at"] == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def test_many_versions_by_their_ids(store: Bucket) -> None:
    """A pattern and an operator match nothing."""
    saved = [put(store, name, b"x") for name in ("a", "b", "b")]
    pattern, number = Regex("^a"), Int64(5)
    for other in ("abc", number, {"a": 1}):
        store.files.insert_one({"_id": other, "filename": "other", "length": 0, "chunkSize": 1})
    asked = [
        saved[2].id,
        saved[0].id,
        ObjectId(),
        pattern,
        re.compile("a"),
        5.0,
        {"$gt": 1},
        {"a": {"$gt": 0}},
        {"a": 1},
    ]
    found = store.get_many(asked)
    assert len(found) == 4
    assert {file.id for file in found if isinstance(file.id, ObjectId)} == {saved[0].id, saved[2].id}
    assert "abc" not in [file.id for file in found]
    assert store.get_many([]) == []
