"""Both ways with other GridFS tools: PyMongo's gridfs, Flask-PyMongo 3.0.1, mongoengine, OpenDAL and Node's driver."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import flask_pymongo
import gridfs
import mongoengine
import opendal
import pytest
from bson.objectid import ObjectId
from flask import Flask
from flask.testing import FlaskClient
from mongoengine.fields import GridFSProxy
from PIL import Image

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ..conftest import HTML, JSON, everyone, missing

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
        plain = real.db.fs.files.find({"contentType": "text/plain"}).sort("uploadDate", 1)
        assert [document.get("charset") for document in plain] == ["utf-8", None]
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
    date = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
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


class Note(mongoengine.Document):  # type: ignore[misc]
    """What an application that uses mongoengine declares."""

    attachment = mongoengine.FileField()
    photo = mongoengine.ImageField(size=(300, 200, False), thumbnail_size=(30, 20, False))


class TestMongoengine:
    """The bucket of its FileField is ``fs``, that of its ImageField ``images``, whose files have no names."""

    @pytest.fixture
    def note(self, uri: str) -> Iterator[Note]:
        mongoengine.connect(host=uri, uuidRepresentation="standard")
        yield Note()
        mongoengine.disconnect()

    @pytest.fixture
    def uploads(self, app: Flask, real: PyMongo) -> FlaskClient:
        for base in ("fs", "images"):
            app.register_blueprint(real.uploads_blueprint(base, url_prefix=f"/{base}", base=base, authorize=everyone))
        return app.test_client()

    def test_a_file_field(self, uploads: FlaskClient, note: Note) -> None:
        note.attachment.put(DATA, filename="a.csv", content_type="text/csv", author="Ann")
        note.save()
        (row,) = uploads.get("/fs/", headers=JSON).json["files"]
        assert (row["filename"], row["content_type"], row["length"]) == ("a.csv", "text/csv", len(DATA))
        for url in (row["url"], row["permanent_url"]):
            answer = uploads.get(url)
            assert (answer.data, answer.headers["Content-Type"]) == (DATA, "text/csv; charset=utf-8")
            assert uploads.get(url, headers={"Range": "bytes=-5"}).data == DATA[-5:]
        assert uploads.put("/fs/a.csv", data=b"new").status_code == 204
        assert uploads.get("/fs/a.csv").data == b"new"
        versions = uploads.get("/fs/a.csv?versions", headers=JSON).json["versions"]
        assert [version["length"] for version in versions] == [3, len(DATA)]
        assert Note.objects.get().attachment.read() == DATA  # it goes by the _id
        note.attachment.replace(b"theirs", filename="a.csv")
        note.save()
        assert uploads.get("/fs/a.csv").data == b"theirs"
        assert uploads.delete("/fs/a.csv").status_code == 204
        assert uploads.get("/fs/", headers=JSON).json["files"] == []

    def test_an_image_field(self, uploads: FlaskClient, note: Note) -> None:
        pytest.importorskip("magic")
        picture = io.BytesIO()
        Image.new("RGB", (600, 400), "navy").save(picture, "PNG")
        picture.seek(0)
        note.photo.put(picture)
        note.save()
        rows = uploads.get("/images/", headers=JSON).json["files"]
        assert [row["filename"] for row in rows] == ["", ""]  # the picture and its thumbnail
        assert uploads.get("/images/", headers=HTML).status_code == 200
        answers = {row["id"]: uploads.get(row["url"]) for row in rows}
        assert {answer.headers["Content-Type"] for answer in answers.values()} == {"image/png"}
        assert all(answer.headers["Content-Disposition"].startswith("inline") for answer in answers.values())
        own, thumbnail = (answers[str(one)].data for one in (note.photo.grid_id, note.photo.thumbnail._id))
        assert (Image.open(io.BytesIO(own)).size, Image.open(io.BytesIO(thumbnail)).size) == ((300, 200), (30, 20))
        for row in rows:
            assert uploads.delete(row["url"]).status_code == 204
            assert uploads.get(row["url"]).status_code == 404
        assert uploads.get("/images/", headers=JSON).json["files"] == []

    @pytest.mark.usefixtures("note")
    def test_its_proxy_reads_our_files(self, real: PyMongo) -> None:
        proxy = GridFSProxy(real.save_file("a.txt", io.BytesIO(DATA)))
        assert (proxy.filename, proxy.length, proxy.read()) == ("a.txt", len(DATA), DATA)


NODE = """
const { MongoClient, GridFSBucket } = require("./node_modules/mongodb");
const { Readable } = require("stream"), { pipeline } = require("stream/promises");
const [uri, steps] = [process.argv[1], JSON.parse(process.argv[2])];

async function read(bucket, name, options) {
  const pieces = [];
  for await (const piece of bucket.openDownloadStreamByName(name, options)) pieces.push(piece);
  return Buffer.concat(pieces).toString("base64");
}
const ACTIONS = {
  upload: (bucket, name, size, options) =>
    pipeline(Readable.from(size ? [Buffer.alloc(size, name)] : []), bucket.openUploadStream(name, options)),
  uploadWithId: (bucket, id, name, text) =>
    pipeline(Readable.from([Buffer.from(text)]), bucket.openUploadStreamWithId(id, name)),
  read,
  lengths: async (bucket, query) => (await bucket.find(query).toArray()).map((file) => file.length),
  rename: async (bucket, name, to) => bucket.rename((await bucket.find({ filename: name }).next())._id, to),
  remove: async (bucket, name) => bucket.delete((await bucket.find({ filename: name }).next())._id),
};
(async () => {
  const client = await MongoClient.connect(uri), found = [];
  const bucket = new GridFSBucket(client.db());
  for (const [action, ...rest] of steps) found.push(await ACTIONS[action](bucket, ...rest) ?? null);
  await client.close();
  console.log(JSON.stringify(found));
})();
"""


@pytest.mark.clients
@pytest.mark.slow
class TestNode:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        npm = shutil.which("npm")
        if npm is None:
            missing("install npm, which brings MongoDB's driver for Node")
        options = ("--no-audit", "--no-fund", "--silent", "--prefix", str(tmp_path))
        subprocess.run([npm, "install", *options, "mongodb@6"], cwd=tmp_path, check=True, timeout=120)
        return tmp_path

    def run(self, folder: Path, uri: str, *steps: Any) -> list[Any]:
        command = ["node", "-e", NODE, uri, json.dumps(steps)]
        output = subprocess.run(command, cwd=folder, check=True, timeout=60, stdout=subprocess.PIPE).stdout
        found: list[Any] = json.loads(output)
        return found

    def test_both_ways(self, app: Flask, real: PyMongo, uri: str, folder: Path) -> None:
        app.register_blueprint(real.uploads_blueprint(url_prefix="/fs", authorize=everyone))
        uploads = app.test_client()
        tagged = {"contentType": "image/png", "tags": ["red"]}
        self.run(
            folder,
            uri,
            ["upload", "a", 600_000, {"metadata": tagged}],
            ["upload", "small", 2500, {"chunkSizeBytes": 1000}],
            ["upload", "empty", 0, {}],
            ["uploadWithId", {"tenant": 1}, "own _id", "mine"],
            ["uploadWithId", "some/id", "own _id", "mine too"],
        )
        rows = {row["filename"]: row for row in uploads.get("/fs/", headers=JSON).json["files"]}
        assert {name: (row["length"], row["versions"], row["damaged"]) for name, row in rows.items()} == {
            "a": (600_000, 1, False),
            "empty": (0, 1, False),
            "own _id": (8, 2, False),
            "small": (2500, 1, False),
        }
        for url in (rows["a"]["url"], rows["a"]["permanent_url"]):
            answer = uploads.get(url)
            assert (answer.headers["Content-Type"], answer.data) == ("image/png", b"a" * 600_000)
        assert uploads.get("/fs/small", headers={"Range": "bytes=998-1001"}).data == b"llsm"
        assert uploads.get("/fs/empty").data == b""
        assert [uploads.get(f"/fs/own _id?version={n}").data for n in (0, 1)] == [b"mine", b"mine too"]
        assert self.contents(uploads, "own _id") == [b"mine too", b"mine"]

        assert uploads.put("/fs/a", data=b"ours").status_code == 204
        assert uploads.delete(rows["own _id"]["permanent_url"]).status_code == 204
        assert self.run(
            folder,
            uri,
            ["read", "a"],
            ["read", "a", {"revision": 0, "start": 599_999, "end": 600_000}],
            ["read", "own _id"],
            ["lengths", {"filename": "a"}],
            ["rename", "small", "renamed"],
            ["remove", "empty"],
            ["upload", "a", 5, {}],
        ) == ["b3Vycw==", "YQ==", "bWluZQ==", [600_000, 4], None, None, None]
        assert self.contents(uploads, "a") == [b"aaaaa", b"ours", b"a" * 600_000]
        assert uploads.get("/fs/renamed").data == b"small" * 500
        for name in ("a", "renamed", "own _id"):
            assert uploads.delete(f"/fs/{name}").status_code == 204
        assert real.db.fs.files.count_documents({}) == real.db.fs.chunks.count_documents({}) == 0

    def contents(self, uploads: FlaskClient, name: str) -> list[bytes]:
        """Those of all versions, newest first."""
        versions = uploads.get(f"/fs/{name}?versions", headers=JSON).json["versions"]
        return [uploads.get(version["permanent_url"]).data for version in versions]


def test_opendal(app: Flask, real: PyMongo, uri: str) -> None:
    store, database = real.bucket(), uri.rpartition("/")[2]
    for name, data in (("ours/a.bin", DATA), ("ours/empty", b""), ("ours/é 日本", b"1")):
        real.save_file(name, io.BytesIO(data))
    files = opendal.Operator("gridfs", connection_string=uri, database=database, bucket="fs", root="/")
    assert [bytes(files.read(f"ours/{name}")) for name in ("a.bin", "empty", "é 日本")] == [DATA, b"", b"1"]
    assert files.stat("ours/a.bin").content_length == len(DATA)
    with files.open("ours/a.bin", "rb") as file:
        file.seek(300_000)
        assert file.read(10) == DATA[300_000:300_010]
    files.write("theirs/b.txt", b"first")
    files.write("theirs/b.txt", DATA)
    app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads", authorize=everyone))
    client = app.test_client()
    answer = client.get("/uploads/theirs/b.txt")
    assert (answer.data, answer.mimetype) == (DATA, "text/plain")
    assert client.get("/uploads/theirs/b.txt", headers={"Range": "bytes=-5"}).data == DATA[-5:]
    assert [row.file.filename for row in store.list(prefix="theirs/").rows] == ["theirs/b.txt"]
    assert client.put("/uploads/theirs/b.txt", data=b"newer").status_code == 204
    assert client.get("/uploads/theirs/b.txt").data == b"newer"
    assert bytes(files.read("theirs/b.txt")) == DATA  # the oldest version, as the recipe says
    files.delete("ours/a.bin")
    assert client.get("/uploads/ours/a.bin").status_code == 404
    assert app.test_cli_runner().invoke(args=["gridfs", "check"]).exit_code == 0
