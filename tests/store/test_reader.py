"""store/reader.py: damaged files are never taken for whole ones."""

from __future__ import annotations

import time
from threading import Semaphore
from typing import Any

import pymongo
import pytest
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo.store import Bucket, CorruptFile
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE

from ..conftest import content, put


def test_a_database_that_went_after_the_document_was_read_costs_one_selection_timeout(
    store: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = put(store, "large", bytes(5_000_000))
    with pymongo.MongoClient[Any]("mongodb://127.0.0.1:1/a?serverSelectionTimeoutMS=500") as lost:
        start = time.monotonic()
        assert [Bucket(lost.get_default_database()).variants.get("x") for _ in range(5)] == [None] * 5
        for streams in (0, 1):
            with pytest.raises(AutoReconnect):
                Bucket(lost.get_default_database(), streams=Semaphore(streams)).read(saved)
        assert time.monotonic() - start < 2
        monkeypatch.setattr("flask_gridfs_pymongo.store.retry._OUTAGE_MEMORY", 0)
        for streams in (0, 1):
            start = time.monotonic()
            with pytest.raises(AutoReconnect):
                Bucket(lost.get_default_database(), streams=Semaphore(streams)).read(saved)
            assert time.monotonic() - start < 5


class TestCorruption:
    @pytest.mark.parametrize(
        "damage",
        [
            lambda chunks, id: chunks.delete_one({"files_id": id, "n": 0}),
            lambda chunks, id: chunks.delete_one({"files_id": id, "n": 1}),
            lambda chunks, id: chunks.delete_one({"files_id": id, "n": 2}),
            lambda chunks, id: chunks.delete_many({"files_id": id}),
            lambda chunks, id: chunks.update_one({"files_id": id, "n": 1}, {"$set": {"data": b"short"}}),
            lambda chunks, id: chunks.update_one({"files_id": id, "n": 2}, {"$set": {"data": bytes(CHUNK_SIZE + 1)}}),
        ],
        ids=["first gone", "middle gone", "last gone", "all gone", "one short", "last too long"],
    )
    def test_it_is_never_taken_for_the_file(self, store: Bucket, damage: Any) -> None:
        whole = content(3 * CHUNK_SIZE)
        saved = put(store, "a", whole)
        damage(store.chunks, saved.id)
        begun: list[bytes] = []
        with pytest.raises(CorruptFile, match=str(saved.id)):
            begun.extend(store.read(saved))  # keeps what came before the error
        assert whole.startswith(b"".join(begun))

    def test_a_missing_first_chunk_is_known_before_the_first_byte(self, store: Bucket) -> None:
        saved = put(store, "a", b"x")
        store.chunks.delete_many({})
        with pytest.raises(CorruptFile):
            store.read(saved)
