"""``flask gridfs cat``, ``get`` and ``put``: what goes in comes out, under the names that rsync would give it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import bson
import gridfs
import pytest
from bson.raw_bson import RawBSONDocument
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_saved
from flask_gridfs_pymongo.store import Bucket, StoredFile

from ..conftest import BIG, put, read
from ..helpers.commands import call, plant, tree

STORED = ["a", "b", "d/e", "d/f/g"]
NEITHER = ["no", "d/no"]


@pytest.fixture
def bucket(real: PyMongo) -> Bucket:
    bucket = real.bucket()
    for name in STORED:
        put(bucket, name, name.encode())
    return bucket


def names(bucket: Bucket) -> list[str]:
    return sorted(row.file.filename for page in bucket.pages() for row in page.rows)


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("a new", "new:a"),
        ("a new/", "new/a:a"),
        ("a old", "old/a:a"),
        ("a deep/er/new", "deep/er/new:a"),
        ("a b new", "new/a:a new/b:b"),
        ("d/e new", "new:d/e"),
        ("d/e old", "old/e:d/e"),
        ("d new", "new/d/e:d/e new/d/f/g:d/f/g"),
        ("d/ new", "new/e:d/e new/f/g:d/f/g"),
        ("d/f new", "new/f/g:d/f/g"),
        ("d/ old/", "old/e:d/e old/f/g:d/f/g"),
        ("/ new", "new/a:a new/b:b new/d/e:d/e new/d/f/g:d/f/g"),
    ],
)
def test_where_get_writes(app: Flask, bucket: Bucket, tmp_path: Path, arguments: str, written: str) -> None:
    (tmp_path / "old").mkdir()
    *sources, place = arguments.split()
    assert call(app, "get", *sources, f"{tmp_path}/{place}") == (0, [], [])
    assert tree(tmp_path) == {name: data.encode() for name, data in (one.split(":") for one in written.split())}


@pytest.mark.parametrize(
    ("arguments", "stored"),
    [
        ("a new", "new"),
        ("a new/", "new/a"),
        ("a d", "d/a"),
        ("a d/e", "d/e"),
        ("a /", "a"),
        ("a b new", "new/a new/b"),
        ("d new", "new/d/e new/d/f/g"),
        ("d/ new", "new/e new/f/g"),
        ("d/. new", "new/e new/f/g"),
        ("d/f/g new", "new"),
        ("d /", "d/e d/f/g"),
        ("d/ /", "e f/g"),
        ("link new", "new"),
        ("folder/ new", "new/e new/f/g"),
    ],
)
def test_where_put_stores(
    app: Flask, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, stored: str
) -> None:
    monkeypatch.chdir(plant(tmp_path, *STORED))
    Path("link").symlink_to("a")
    Path("folder").symlink_to("d")
    before = {name: bucket.count(name) for name in names(bucket)}
    assert call(app, "put", *arguments.split()) == (0, [], [])
    after = {name: bucket.count(name) for name in names(bucket)}
    assert after == before | {name: before.get(name, 0) + 1 for name in stored.split()}


@pytest.mark.parametrize("place", ["/x", "/x/", "../x", "a//x", "x/."])
def test_what_get_would_refuse_is_not_stored(app: Flask, real: PyMongo, tmp_path: Path, place: str) -> None:
    here = plant(tmp_path, "a")
    for command in (["put", here / "a", place], ["put", "-", place], ["sync", here, f"gridfs:{place}"]):
        if command[1] != "-" or not place.endswith("/"):
            status, _, errors = call(app, *command, stdin=b"1")
            assert (status, len(errors), ": not written: " in errors[0]) == (1, 1, True)
    assert names(real.bucket()) == []


def test_put_adds_a_version_and_tells_the_application(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket, source, told = real.bucket(), tmp_path / "a.png", list[str]()

    def listen(sender: Flask, file: StoredFile) -> None:
        told.append(file.filename)

    with file_saved.connected_to(listen, app):
        for data in (BIG, b"", b"new"):
            source.write_bytes(data)
            assert call(app, "put", source, "pictures/") == (0, [], [])
    assert [read(bucket, bucket.find("pictures/a.png", number)) for number in range(3)] == [BIG, b"", b"new"]
    assert told == ["pictures/a.png"] * 3
    assert call(app, "cat", "pictures/a.png", "pictures/a.png").lines == ["newnew"]


def test_the_standard_input(app: Flask, real: PyMongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = real.bucket()
    assert call(app, "put", "-", "a", stdin=BIG) == (0, [], [])
    assert read(bucket, bucket.find("a")) == BIG
    monkeypatch.chdir(plant(tmp_path, "-"))
    for arguments in (["-", "b/"], ["-", "/"], ["-", "x", "b"], ["-", "-", "b"]):
        assert call(app, "put", *arguments).status == 2
    assert call(app, "put", "./-", "b/").status == 0
    assert names(bucket) == ["a", "b/-"]
    for place in ("-", ""):
        assert "flask gridfs cat" in call(app, "get", "a", place).errors[-1]


def test_round_trips_with_the_driver(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    driver = gridfs.GridFSBucket(real.db, chunk_size_bytes=1000)
    there = {"theirs": BIG, "d/empty": b"", "d/é 日本": b"x" * 1000}
    for name, data in there.items():
        driver.upload_from_stream(name, io.BytesIO(data))
    assert call(app, "get", "/", tmp_path / "here") == (0, [], [])
    assert tree(tmp_path / "here") == there
    assert call(app, "put", f"{tmp_path}/here/", "ours") == (0, [], [])
    for name, data in there.items():
        assert driver.open_download_stream_by_name(f"ours/{name}").read() == data


@pytest.mark.parametrize("damage", ["chunk", "hash", "length"])
def test_what_is_damaged_is_not_written(app: Flask, bucket: Bucket, tmp_path: Path, damage: str) -> None:
    file = put(bucket, "c", BIG)
    if damage == "chunk":
        bucket.chunks.delete_one({"files_id": file.id, "n": 1})
    else:
        changed = {"hash": {"sha256": "0" * 64}, "length": {"length": -1}}[damage]
        bucket.files.update_one({"_id": file.id}, {"$set": changed})
    here = plant(tmp_path, "c")
    for command in (["get", "/"], ["sync", "gridfs:"]):
        status, _, errors = call(app, *command, here)
        assert (status, len(errors), errors[0].startswith("c: ")) == (1, 1, True)
        assert tree(here) == {"c": b"c", **{name: name.encode() for name in STORED}}


def test_what_is_not_there_is_told_and_the_rest_goes_on(app: Flask, bucket: Bucket, tmp_path: Path) -> None:
    here = plant(tmp_path, "here/x")
    for command, missing in (
        (["get", "no", "a", "d/no/", tmp_path / "out"], ["no", "d/no/"]),
        (["put", here / "no", here / "here" / "x", here / "gone" / "", "up"], [f"{here}/no", f"{here}/gone"]),
        (["cat", "no", "a", "d"], ["no", "d"]),
        (["cat", "--version", "1", "a"], ["a"]),
    ):
        status, _, errors = call(app, *command)
        assert (status, [line.partition(": ")[0] for line in errors]) == (1, missing)
    assert tree(tmp_path / "out") == {"a": b"a"}
    assert names(bucket) == [*STORED, "up/x"]


def test_names_that_are_not_utf8(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    """Here and in the store: a line each, and the others go on."""
    bucket, here = real.bucket(), plant(tmp_path / "here", "fine")
    (here / os.fsdecode(b"latin-\xe9")).write_bytes(b"1")
    (here / os.fsdecode(b"\xff")).mkdir()
    (here / os.fsdecode(b"\xff") / "x").write_bytes(b"1")
    told = [f"{here}/latin-\\udce9: its name is not UTF-8", f"{here}/\\udcff/x: its name is not UTF-8"]
    for command in (["put", f"{here}/", "a"], ["sync", here, "gridfs:b"]):
        status, _, errors = call(app, *command)
        assert (status, sorted(errors)) == (1, sorted(told))
    assert names(bucket) == ["a/fine", "b/fine"]
    for command in (["ls", os.fsdecode(b"\xff")], ["put", here / "fine", os.fsdecode(b"\xff")]):
        status, _, errors = call(app, *command)
        assert (status, errors[-1]) == (2, "Error: Invalid value for '" + errors[-1].partition("'")[2])
        assert errors[-1].endswith("'\\udcff': its name is not UTF-8")
    raw = bson.encode({"filename": "a/latin-?", "length": 0, "chunkSize": 1})
    real.db["fs.files"].insert_one(RawBSONDocument(raw.replace(b"latin-?", b"latin-\xe9")))
    for get in (["get", "a/"], ["sync", "gridfs:a"]):
        status, _, errors = call(app, *get, tmp_path / "out")
        assert (status, errors) == (1, ["a/latin-\ufffd: it has no name, or one that is not UTF-8"])
        assert tree(tmp_path / "out") == {"fine": b"fine"}


class TestInsideFolders:
    def test_links_and_pipes_are_left_out(self, app: Flask, real: PyMongo, tmp_path: Path) -> None:
        here = plant(tmp_path / "here", "a", "d/b")
        (here / "link").symlink_to("a")
        (here / "d" / "loop").symlink_to("..")
        os.mkfifo(here / "pipe")
        status, _, errors = call(app, "put", here, "x")
        assert (status, sorted(line.rpartition("/")[2] for line in errors)) == (
            0,
            [
                "link: left out: a symbolic link",
                "loop: left out: a symbolic link",
                "pipe: left out: not a regular file",
            ],
        )
        assert names(real.bucket()) == ["x/here/a", "x/here/d/b"]

    def test_a_folder_that_cannot_be_read_is_told(self, app: Flask, real: PyMongo, tmp_path: Path) -> None:
        here = plant(tmp_path / "here", "a")
        (here / "long").mkdir()
        deep = here / "long"
        for command in (["put", f"{deep / ('x' * 300)}/", "x"], ["sync", deep / ("x" * 300), "gridfs:x"]):
            status, _, errors = call(app, *command)
            assert (status, ": File name too long" in errors[0]) == (1, True)
