"""store/bucket.py: saving, reading and deleting, on mongod and on mongomock."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone

import pytest
from bson.timestamp import Timestamp

from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.store.writer import CHUNK_SIZE

from .conftest import content, put, read

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
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    saved = store.save("a.txt", [b"x" * 10], fields={"owner": "me", "metadata": {"k": 1}})
    document = store.files.find_one({"_id": saved.id})
    date = document.pop("uploadDate")
    assert before <= date <= datetime.now(timezone.utc)
    assert isinstance(document.pop("previousAt"), Timestamp)
    assert document == {
        "_id": saved.id,
        "filename": "a.txt",
        "length": 10,
        "chunkSize": CHUNK_SIZE,
        "contentType": "text/plain",
        "metadata": {"k": 1, "contentType": "text/plain"},
        "sha256": hashlib.sha256(b"x" * 10).hexdigest(),
        "previous": {"name": "a.txt", "_id": None},
        "owner": "me",
    }
