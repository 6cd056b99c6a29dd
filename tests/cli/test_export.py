"""``flask gridfs export``: what it writes is all there is, for programs that know no GridFS."""

from __future__ import annotations

import hashlib
import subprocess
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import DatetimeMS, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from flask import Flask
from gridfs import GridFSBucket

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.cli import export
from flask_gridfs_pymongo.store import Bucket

from ..conftest import put
from ..helpers.commands import call
from ..helpers.docs import close


@pytest.fixture
def bucket(real: PyMongo) -> Bucket:
    return real.bucket()


def test_everything_is_there(app: Flask, bucket: Bucket, tmp_path: Path) -> None:
    names = [
        "a.txt",
        "a.txt",
        "a.txt",
        "d/x",
        "d",
        "d/x/y",
        "../../etc/passwd",
        "/abs",
        "n\n\\l",
        "CON",
        "\u00e4 b",
        "A.txt",
        "e/",
    ]
    contents = {(name, number): f"{name} {number}".encode() for number, name in enumerate(names)}
    for (name, _), data in contents.items():
        put(bucket, name, data)
    driver = GridFSBucket(bucket.files.database)
    driver.upload_from_stream_with_id({"a": 1}, "", b"no name", metadata={"x": [1, {"y": datetime(2020, 1, 1)}]})
    put(bucket, "large", bytes(1_000_000))
    target = tmp_path / "out"
    dry = call(app, "export", "--dry-run", target)
    assert (dry.status, target.exists()) == (0, False)
    status, lines, errors = call(app, "export", target)
    assert (status, errors) == (0, [])
    assert lines[0].endswith(f"fs: {len(names) + 2} versions exported to {target}")
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=target, check=True)
    written = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    told = [json_util.loads(line) for line in (target / "files.jsonl").read_text().splitlines()]
    assert written == {"files.jsonl", "SHA256SUMS"} | {line["path"] for line in told}
    options = json_util.JSONOptions(tz_aware=True)
    told = [json_util.loads(line, json_options=options) for line in (target / "files.jsonl").read_text().splitlines()]
    for line in told:
        document: Any = bucket.files.find_one({"_id": line["document"]["_id"]})
        assert line["document"] == document
        path = target / line["path"]
        assert path.stat().st_mtime == pytest.approx(document["uploadDate"].timestamp())
        with bucket.open(id=document["_id"]) as file:
            assert path.read_bytes() == file.read()
    assert written >= {"files/a.txt", "files/a (2).txt", "files/a (3).txt"}
    assert not (tmp_path / "etc").exists()


def test_many_versions_of_some_names(
    app: Flask, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a version is not searched from the first one."""
    touched, touch = list[Path](), Path.touch

    def counted(path: Path, exist_ok: bool = True) -> None:
        touched.append(path)
        touch(path, exist_ok=exist_ok)

    monkeypatch.setattr(export, "_MAX_NUMBERS", 2)
    monkeypatch.setattr(Path, "touch", counted)
    row = {"filename": "a", "length": 0, "chunkSize": 5, "uploadDate": datetime(2020, 1, 1)}
    bucket.files.insert_many([row | {"filename": name} for name in ("a", "b", "c", "b")])
    bucket.files.insert_many([row | {"_id": number} for number in range(40)])
    assert call(app, "export", tmp_path / "out").status == 0
    assert len(list((tmp_path / "out" / "files").iterdir())) == 44
    assert len(touched) < 100


def test_a_folder_that_is_not_empty_or_cannot_be(app: Flask, bucket: Bucket, tmp_path: Path) -> None:
    put(bucket, "a", b"1")
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path, tmp_path / "file", tmp_path / "file" / "x"):
        status, _, errors = call(app, "export", folder)
        assert (status, len(errors)) == (2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_damaged_file_is_told_and_left_out(app: Flask, bucket: Bucket, tmp_path: Path) -> None:
    lost = put(bucket, "lost", bytes(600_000))
    bucket.chunks.delete_one({"files_id": lost.id, "n": 1})
    bucket.files.insert_one({"filename": "odd", "length": "5"})
    put(bucket, "good", b"good")
    status, lines, errors = call(app, "export", tmp_path / "out")
    assert (status, len(errors)) == (1, 2)
    assert "1 versions exported" in lines[0]
    assert [path.name for path in (tmp_path / "out" / "files").iterdir()] == ["good"]
    hashed = hashlib.sha256(b"good").hexdigest()
    assert (tmp_path / "out" / "SHA256SUMS").read_text() == f"{hashed}  files/good\n"


def test_documents_are_as_they_are_stored(uri: str, tmp_path: Path) -> None:
    """Whatever the application makes of them; and names that are too long for a path, or another file's folder."""
    app = Flask("tests")
    app.config["MONGO_FILE_CACHE"] = str(tmp_path / "cache")
    mongo = PyMongo(app, uri=f"{uri}?uuidRepresentation=standard")
    bucket, long = mongo.bucket("odd"), "/".join(["d" * 100] * 8)
    put(bucket, "d" * 100, b"1")
    put(bucket, long, b"2")
    put(bucket, "/".join(["\U0001f600" * 50] * 20), b"3")
    mongo.db["odd.files"].update_many({}, {"$set": {"metadata": {"id": uuid.uuid4(), "date": DatetimeMS(-(10**15))}}})
    documents = list(mongo.db["odd.files"].with_options(CodecOptions(document_class=RawBSONDocument)).find())
    status, _, errors = call(app, "export", "--bucket", "odd", tmp_path / "out")
    assert (status, errors) == (0, [])
    options = json_util.JSONOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    text = (tmp_path / "out" / "files.jsonl").read_text()
    lines = [json_util.loads(line, json_options=options)["document"] for line in text.splitlines()]
    assert [bson.encode(line) for line in lines] == [document.raw for document in documents]
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "out", check=True)
    assert not (tmp_path / "cache").exists()  # it is for visitors
    close(app)
