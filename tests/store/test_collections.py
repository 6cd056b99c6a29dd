"""store/collections.py: the options and the indexes of a bucket."""

from __future__ import annotations

from typing import Any

import pymongo.collection
import pytest
from flask import Flask
from pymongo.errors import ExecutionTimeout
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ..conftest import Client, everyone, form, put
from ..helpers.commands import call
from ..helpers.replica import until
from ..helpers.tus import TUS, patch


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


def test_a_write_is_confirmed_within_twenty_seconds_unless_the_application_decided(mongod: str) -> None:
    for options, expected in {"": 20_000, "?wtimeoutMS=3000": 3000, "?w=1&wtimeoutMS=0": 0, "?w=2": 20_000}.items():
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
    assert max(asked) <= 20_000
    assert sum("cannot create the index" in record.message for record in caplog.records) == 3


def test_resumable_uploads_need_the_unique_index_of_the_chunks(
    client: Client, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, two requests that append do not notice each other. What is stored stays."""
    monkeypatch.setattr("flask_gridfs_pymongo.store.indexes._CHECK_INTERVAL", 0.05)
    http, chunks = client(authorize=everyone), mongo.db.fs.chunks
    fields = {**TUS, "Upload-Length": "600000", "Upload-Metadata": "filename eA=="}
    url = http.post("/uploads/", headers=fields).headers["Location"]
    assert patch(http, url, 0, bytes(550_000)).status_code == 204
    chunks.drop_index("files_id_1_n_1")
    chunks.create_index([("files_id", 1), ("n", 1)])
    answer = until(lambda: refused(patch(http, url, 550_000)))
    assert "flask gridfs index" in answer.json["detail"]
    assert http.post("/uploads/", headers=fields).status_code == 501
    assert http.put("/uploads/y", data=b"y").status_code == 201
    chunks.drop_index("files_id_1_n_1")
    chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
    until(lambda: patch(http, url, 550_000, bytes(50_000)).status_code == 204)
    assert http.get("/uploads/x").data == bytes(600_000)


def refused(answer: TestResponse) -> TestResponse | None:
    return answer if answer.status_code == 501 else None


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_a_collation_that_ignores_case_is_refused(app: Flask, client: Client, mongo: PyMongo, strength: int) -> None:
    """As a.txt and A.TXT would be versions of one name; any other than the simple one is told by check."""
    mongo.db.fs.files.drop()
    mongo.db.create_collection("fs.files", collation={"locale": "en", "strength": strength})
    is_refused = strength < 3
    http = client(authorize=everyone)
    status = http.put("/uploads/a.txt", data=b"a").status_code
    assert status == (501 if is_refused else 201)
    mongo.db.fs.files.insert_many([{"filename": name, "length": 0, "chunkSize": 5} for name in ("b.txt", "B.TXT", "e")])
    posted = http.post("/uploads/", data=form((b"d", "d")))
    for change in (posted, http.post("/uploads/B.TXT?move=c.txt"), http.delete("/uploads/e")):
        if is_refused:
            assert change.status_code == 501
            assert "ignores" in change.json["detail"]
        else:
            assert change.status_code < 300
    status, lines, _ = call(app, "check")
    assert status == 1
    assert len([line for line in lines if "sorts names otherwise" in line]) == 1
    assert mongo.db.fs.files.count_documents({"filename": {"$in": ["b.txt", "B.TXT"]}}) == (2 if is_refused else 1)
    assert call(app, "put", __file__, "f").status == (2 if is_refused else 0)
