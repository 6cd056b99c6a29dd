"""store/collections.py: the options and the indexes of a bucket."""

from __future__ import annotations

from typing import Any

import pymongo.collection
import pytest
from flask import Flask
from pymongo.errors import ExecutionTimeout

from flask_gridfs_pymongo.store import Bucket

from ..conftest import put
from ..helpers.replica import until


def test_the_indexes_of_the_specification_exist(store: Bucket) -> None:
    put(store, "a", b"1")
    files, chunks = store.files.index_information(), store.chunks.index_information()
    assert files["filename_1_uploadDate_1"]["key"] == [("filename", 1), ("uploadDate", 1)]
    assert chunks["files_id_1_n_1"]["unique"]


def test_writes_wait_for_a_majority_unless_the_application_decided(app: Flask, mongod: str) -> None:
    for options, expected in {"": "majority", "?w=1": 1, "?w=0": "majority", "?journal=true": "majority"}.items():
        with pymongo.MongoClient(f"{mongod}/{options}", connect=False) as client:
            store = Bucket(client.some)
            concerns = [collection.write_concern.document["w"] for collection in (store.files, store.chunks)]
            assert concerns == [expected, expected], options


def test_a_write_is_confirmed_within_ten_seconds_unless_the_application_decided(mongod: str) -> None:
    for options, expected in {"": 10_000, "?wtimeoutMS=3000": 3000, "?w=1&wtimeoutMS=0": 0, "?w=2": 10_000}.items():
        with pymongo.MongoClient(f"{mongod}/{options}", connect=False) as client:
            store = Bucket(client.some)
            concerns = [collection.write_concern.document["wtimeout"] for collection in (store.files, store.chunks)]
            assert concerns == [expected, expected], options


def test_a_bucket_that_was_dropped_gets_its_indexes_again(real_store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the background, some seconds after a write."""
    monkeypatch.setattr("flask_gridfs_pymongo.store.indexes._CHECK_INTERVAL", 0.1)
    put(real_store, "a", b"1")
    before = real_store.files.index_information(), real_store.chunks.index_information()
    for drop in (real_store.files.database.client.drop_database, lambda name: real_store.files.drop()):
        drop(real_store.files.database.name)
        real_store.chunks.drop()
        until(lambda: put(real_store, "a", b"2") and real_store.files.index_information() == before[0])
        until(lambda: real_store.chunks.index_information() == before[1])


@pytest.mark.usefixtures("no_indexes")
def test_an_index_that_takes_too_long_is_a_warning(
    real_store: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[float] = []

    def slow(self: Any, indexes: Any, **options: Any) -> None:
        asked.append(options["maxTimeMS"])
        raise ExecutionTimeout("operation exceeded time limit", 50)

    monkeypatch.setattr(pymongo.collection.Collection, "create_indexes", slow)
    for content in (b"1", b"2"):
        put(real_store, "a", content)
    assert len(asked) == 3
    assert max(asked) <= 10_000
    assert sum("cannot create the index" in record.message for record in caplog.records) == 3
