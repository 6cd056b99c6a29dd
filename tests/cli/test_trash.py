"""``flask gridfs trash``, and what ``rm`` and ``expire`` do with a trash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_deleted, file_saved
from flask_gridfs_pymongo.store import Bucket

from ..conftest import put
from ..helpers.commands import call

DAY = 86_400


@pytest.fixture
def mongo(app: Flask, uri: str) -> Iterator[PyMongo]:
    app.config["MONGO_TRASH"] = timedelta(days=30)
    mongo = PyMongo(app, uri=uri)
    yield mongo
    mongo.cx.close()


@pytest.fixture
def bin(mongo: PyMongo) -> Bucket:
    return mongo.bucket()


def names(bucket: Bucket) -> list[str]:
    return [row.file.filename for row in bucket.trash().rows]


def test_list_restore_and_empty(app: Flask, bin: Bucket) -> None:
    told: list[str] = []

    def saved(sender: Flask, file: object) -> None:
        told.append(file.filename)  # type: ignore[attr-defined]

    for name in ("a", "a", "in/b", "in/c", "in/c.txt"):
        put(bin, name, b"12345")
    assert call(app, "trash") == (0, [], [])
    assert call(app, "rm", "--yes", "-r", "--all-versions", "a", "in")[0] == 0
    status, lines, errors = call(app, "trash")
    assert (status, errors) == (0, [])
    assert [line.split()[-3:] for line in lines] == [
        ["2", "5", "a"],
        ["1", "5", "in/b"],
        ["1", "5", "in/c"],
        ["1", "5", "in/c.txt"],
    ]
    listed = json.loads("".join(call(app, "trash", "--json")[1]))
    assert (listed[0]["filename"], listed[0]["versions"], listed[0]["by"]) == ("a", 2, None)
    with file_saved.connected_to(saved, app):
        assert call(app, "trash", "--restore", "in/c") == (0, [], [])
        put(bin, "a", b"another")
        status, lines, errors = call(app, "trash", "--restore", "a", "--restore", "in/", "--restore", "none")
        assert (status, lines) == (1, [])
        assert [error.partition(":")[0] for error in errors] == ["a", "none"]
        assert "--merge" in errors[0]
        assert bin.count("a") == 1
        assert call(app, "trash", "--restore", "a", "--merge") == (0, [], [])
    assert told == ["in/c", "in/b", "in/c.txt", "a"]
    assert [bin.count(name) for name in ("a", "in/b", "in/c", "in/c.txt")] == [3, 1, 1, 1]
    assert call(app, "rm", "--yes", "a", "in/b")[0] == 0
    bin.files.update_many({"trashed.name": "a"}, {"$set": {"trashed.at": bin.collections.clock.now() - timedelta(2)}})
    assert call(app, "trash", "--empty", "--older-than", "1d")[1][0].endswith(": 1 versions deleted for good")
    assert names(bin) == ["in/b"]
    assert call(app, "trash", "--empty")[1][0].endswith(": 1 versions deleted for good")
    assert names(bin) == []
    assert bin.chunks.count_documents({}) == bin.files.count_documents({}) == 4


def test_what_was_deleted_last_is_restored(app: Flask, bin: Bucket) -> None:
    for content in (b"first", b"second"):
        put(bin, "a", content)
        bin.delete("a")
    assert call(app, "trash", "--restore", "a")[0] == 0
    assert b"".join(bin.read(bin.find("a"))) == b"second"  # type: ignore[arg-type]
    assert names(bin) == ["a"]


@pytest.mark.parametrize("options", [["--restore", "a", "--empty"], ["--merge"], ["--older-than", "1d"]])
def test_options_that_do_not_fit(app: Flask, bin: Bucket, options: list[str]) -> None:
    put(bin, "a", b"x")
    bin.delete("a")
    assert call(app, "trash", *options)[0] == 2
    assert names(bin) == ["a"]


def test_expire_removes_what_is_past_its_time(app: Flask, bin: Bucket) -> None:
    told: list[str] = []

    def deleted(sender: Flask, file: object, **more: object) -> None:
        told.append(file.filename)  # type: ignore[attr-defined]

    for name in ("a", "b"):
        put(bin, name, b"12345")
        bin.delete(name)
    bin.files.update_many({"trashed.name": "a"}, {"$set": {"trashed.until": bin.collections.clock.now()}})
    with file_deleted.connected_to(deleted, app):
        dry = json.loads("".join(call(app, "expire", "--json", "--dry-run")[1]))
        assert (dry["trashed"], dry["expired"], dry["bytes"]) == (1, 0, 5)
        [line] = call(app, "expire")[1]
    assert "0 expired and 0 superseded versions, and 1 in the trash, deleted (5 bytes)" in line
    assert told == []
    assert names(bin) == ["b"]


def test_export_has_it_under_the_name_that_it_had(app: Flask, bin: Bucket, tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        put(bin, "a.txt", content)
        bin.delete("a.txt")
    put(bin, "a.txt", b"live")
    assert call(app, "export", str(tmp_path / "all"))[0] == 0
    files = list((tmp_path / "all" / "files").iterdir())
    assert {path.read_bytes() for path in files} == {b"old", b"new", b"live"}
    assert all(path.name.startswith("a") and path.suffix == ".txt" for path in files)


def test_rm_without_a_trash_and_unowned(app: Flask, bin: Bucket, mongo: PyMongo) -> None:
    named = put(bin, "named", b"x")
    put(bin, "unowned", b"x")
    mongo.db.owners.insert_one({"file": named.id})
    assert call(app, "unowned", "--refs", "owners.file", "--older-than", "0s", "--delete")[0] == 0
    assert names(bin) == ["unowned"]
    mongo.db.owners.delete_many({})
    mongo.db.owners.insert_one({"file": named.id})
    assert call(app, "unowned", "--refs", "owners.file", "--older-than", "0s", "--delete")[1][-1].startswith(
        f"{bin.collections.name}: 0 "
    )
