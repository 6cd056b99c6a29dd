"""Both ways with other GridFS tools: PyMongo's gridfs and Flask-PyMongo 3.0.1."""

from __future__ import annotations

import hashlib
import io
import random
from datetime import datetime, timezone
from typing import Any

import flask_pymongo
import gridfs
import pytest
from bson.objectid import ObjectId
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

DATA = random.Random(0).randbytes(600_000)


@pytest.fixture
def bucket(real: PyMongo) -> gridfs.GridFSBucket:
    return gridfs.GridFSBucket(real.db)


class TestTheDriverOnOurFiles:
    def test_it_reads_and_lists(self, real: PyMongo, bucket: gridfs.GridFSBucket) -> None:
        for data in (b"first", DATA):
            real.save_file("a.txt", io.BytesIO(data), metadata={"k": 1})
        assert bucket.open_download_stream_by_name("a.txt", revision=0).read() == b"first"
        newest = bucket.open_download_stream_by_name("a.txt")
        assert newest.read() == DATA
        assert newest.metadata == {"k": 1, "contentType": "text/plain"}  # its bytes are not UTF-8
        types = [document["contentType"] for document in real.db.fs.files.find().sort("uploadDate", 1)]
        assert types == ["text/plain; charset=utf-8", "text/plain"]
        assert [file.length for file in bucket.find({"filename": "a.txt"}).sort("uploadDate", 1)] == [5, len(DATA)]

    def test_it_renames_uploads_and_deletes_and_we_go_on(self, real: PyMongo, bucket: gridfs.GridFSBucket) -> None:
        store = Bucket(real.db)
        first = real.save_file("a", io.BytesIO(b"1"))
        bucket.rename(first, "b")
        real.save_file("a", io.BytesIO(b"2"))
        bucket.upload_from_stream("a", io.BytesIO(b"3"))
        real.save_file("a", io.BytesIO(b"4"))
        real.save_file("b", io.BytesIO(b"5"))
        contents = {name: [b"".join(store.read(v.file)) for v in store.versions(name)] for name in "ab"}
        assert contents == {"a": [b"4", b"3", b"2"], "b": [b"5", b"1"]}
        bucket.delete(first)
        assert store.count("b") == 1
        assert store.chunks.count_documents({"files_id": first}) == 0

    def test_flask_pymongo_serves_them(self, real: PyMongo, uri: str) -> None:
        real.save_file("a.txt", io.BytesIO(DATA))
        app = Flask("theirs")
        theirs = flask_pymongo.PyMongo(app, uri)
        app.add_url_rule("/<name>", view_func=lambda name: theirs.send_file(name), endpoint="send")
        assert app.test_client().get("/a.txt").data == DATA
        assert theirs.cx is not None
        theirs.cx.close()


def by_driver(db: Any, data: bytes = DATA, **options: Any) -> Any:
    return gridfs.GridFSBucket(db, **options).upload_from_stream("a.txt", data)


def by_flask_pymongo(db: Any) -> Any:
    theirs = flask_pymongo.PyMongo()
    theirs.cx, theirs.db = db.client, db
    return theirs.save_file("a.txt", io.BytesIO(DATA))


def with_md5(db: Any) -> Any:
    """As drivers before 4.0 wrote them."""
    file_id = by_driver(db)
    db["fs.files"].update_one({"_id": file_id}, {"$set": {"md5": hashlib.md5(DATA).hexdigest()}})  # noqa: S324
    return file_id


def by_hand(db: Any, data: bytes, identity: Any, **fields: Any) -> Any:
    """The least that the specification asks for."""
    date = datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    document = {"_id": identity, "filename": "a.txt", "length": len(data), "chunkSize": 1000, "uploadDate": date}
    db["fs.files"].insert_one(document | fields)
    for n in range(-(-len(data) // 1000)):
        db["fs.chunks"].insert_one({"files_id": identity, "n": n, "data": data[n * 1000 : (n + 1) * 1000]})
    return identity


FOREIGN = {
    "the driver": (by_driver, DATA),
    "the driver, chunks of a byte": (lambda db: by_driver(db, b"tiny", chunk_size_bytes=1), b"tiny"),
    "the driver, 7 MB chunks": (lambda db: by_driver(db, chunk_size_bytes=7_000_000), DATA),
    "Flask-PyMongo, with sha1": (by_flask_pymongo, DATA),
    "an old driver, with md5": (with_md5, DATA),
    "an empty file": (lambda db: by_hand(db, b"", ObjectId()), b""),
    "an _id of another type": (lambda db: by_hand(db, DATA[:2500], "some/id"), DATA[:2500]),
    "numbers as doubles": (lambda db: by_hand(db, DATA[:2500], 7.5, length=2500.0, chunkSize=1000.0), DATA[:2500]),
}


@pytest.mark.parametrize("writer", FOREIGN)
def test_we_serve_what_others_wrote(app: Flask, real: PyMongo, writer: str) -> None:
    write, expected = FOREIGN[writer]
    write(real.db)
    app.add_url_rule("/<name>", view_func=lambda name: real.send_file(name), endpoint="send")
    client = app.test_client()
    answer = client.get("/a.txt")
    assert (answer.status_code, answer.data) == (200, expected)
    assert answer.content_type == "text/plain; charset=utf-8"
    etag = answer.headers["ETag"]
    assert not etag.startswith("W/")
    again = client.get("/a.txt", headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    middle = client.get("/a.txt", headers={"Range": "bytes=-2"})
    assert middle.data == expected[-2:]
