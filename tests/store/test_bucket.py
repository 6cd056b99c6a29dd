"""store/bucket.py: saving, reading and deleting."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from bson.timestamp import Timestamp
from pymongo import monitoring

from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE

from ..conftest import content, put, read

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
    monkeypatch.setattr("flask_gridfs_pymongo.store.bucket._PAGE", 2)
    names = ["a/1", "a/2", "a/3", "b/1", "c"]
    for name in names:
        put(store, name, b"")
    assert [[row.file.filename for row in page.rows] for page in store.pages()] == [names[:2], names[2:4], names[4:]]
    assert [len(page.rows) for page in store.pages(prefix="a/")] == [2, 1]
    assert [page.folders for page in store.pages(folded=True)] == [["a/", "b/"], []]


class Deletes(monitoring.CommandListener):
    """The collection and the write concern of each delete."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "delete":
            self.seen.append((event.command["delete"], event.command["writeConcern"]["w"]))

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def test_many_versions_are_deleted_in_batches_and_no_majority_confirms_what_nobody_sees(uri: str) -> None:
    deletes = Deletes()
    with pymongo.MongoClient(uri, event_listeners=[deletes]) as client:
        bucket = Bucket(client.get_default_database())
        put(bucket, "a", b"newest")
        older = {"filename": "a", "length": 0, "chunkSize": 5, "uploadDate": datetime(2020, 1, 1)}
        bucket.files.insert_many([dict(older) for _ in range(99)])
        assert bucket.delete("a") == 100
        assert [one for one in deletes.seen if one[0] != "fs.variants"] == [("fs.files", "majority"), ("fs.chunks", 1)]
