"""store/reader.py: a stored file as a file object."""

from __future__ import annotations

import csv
import io
import random
import zipfile
from typing import Any

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, CorruptFile
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE

from ..conftest import Commands, content, put

SIZES = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 5 * CHUNK_SIZE + 7]


@pytest.mark.parametrize("size", SIZES)
def test_it_reads_like_a_file_in_memory(store: Bucket, size: int) -> None:
    data = content(size)
    put(store, "a", data)
    chance = random.Random(size)
    with store.open("a") as file, io.BytesIO(data) as expected:
        assert isinstance(file, io.BufferedIOBase)
        for _ in range(60):
            offset, length = chance.randrange(size + 3), chance.choice([0, 1, 100, CHUNK_SIZE, CHUNK_SIZE + 1])
            whence = chance.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
            if whence == io.SEEK_END:
                offset -= min(offset, size)
            assert file.seek(offset, whence) == expected.seek(offset, whence)
            assert file.read(length) == expected.read(length)
            assert file.tell() == expected.tell()
        file.seek(size // 2)
        expected.seek(size // 2)
        assert file.read() == expected.read()
        file.seek(0)
        expected.seek(0)
        assert list(file) == list(expected)
    assert file.closed


def test_libraries_take_it(store: Bucket) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("large.bin", content(700_000))
        archive.writestr("table.csv", "name,size\r\nü,1\r\n")
    saved = put(store, "papers.zip", packed.getvalue())
    with store.open(id=saved.id) as file:
        assert (file.name, file.file) == ("papers.zip", saved)
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            with archive.open("table.csv") as table:
                assert list(csv.reader(io.TextIOWrapper(table, "utf-8"))) == [["name", "size"], ["ü", "1"]]


def test_versions_and_what_is_not_there(store: Bucket) -> None:
    first, second = put(store, "a", b"first"), put(store, "a", b"second")
    for arguments, expected in (
        ({"filename": "a"}, b"second"),
        ({"filename": "a", "version": 0}, b"first"),
        ({"id": first.id}, b"first"),
        ({"id": second.id}, b"second"),
    ):
        with store.open(**arguments) as file:
            assert file.read() == expected
    for missing in ({"filename": "b"}, {"filename": "a", "version": 2}, {"id": "b"}):
        with pytest.raises(FileNotFoundError, match="fs has no file"):
            store.open(**missing)
    for wrong in ({}, {"filename": "a", "id": first.id}):
        with pytest.raises(TypeError, match="either a filename or an id"):
            store.open(**wrong)
    with store.open("a") as file, pytest.raises(ValueError, match="before the beginning"):
        file.seek(-1)


def test_a_damaged_file_is_an_error_and_never_short(store: Bucket) -> None:
    saved = put(store, "a", content(3 * CHUNK_SIZE))
    store.chunks.delete_one({"files_id": saved.id, "n": 2})
    with store.open("a") as file:
        assert len(file.read(10)) == 10
        with pytest.raises(CorruptFile):
            file.read()


def test_it_asks_for_the_chunks_it_needs_and_holds_no_cursor(app: Flask, real: PyMongo, uri: str) -> None:
    class Listener(Commands):
        def succeeded(self, event: Any) -> None:
            if event.command_name in ("find", "getMore"):
                assert event.reply["cursor"]["id"] == 0

    put(Bucket(real.db), "a", content(20 * CHUNK_SIZE + 5))
    listening = PyMongo(app, "OTHER", uri=uri, event_listeners=[listener := Listener()])
    with listening.bucket().open("a") as file:
        file.seek(-3, io.SEEK_END)
        assert len(file.read()) == 3
        listener.all.clear()
        file.seek(7 * CHUNK_SIZE + 1)
        file.read(100)
        asked = [command["filter"]["n"] for command in listener.all if "find" in command]
        assert asked == [{"$gte": 7, "$lte": 8}]
        listener.all.clear()
        for _ in range(7 * CHUNK_SIZE // 1000):
            file.read(1000)
        assert 3 <= len(listener.all) <= 4
    listening.cx.close()


class TestBucketOfAnApplication:
    def test_it_is_the_bucket_that_the_extension_uses(self, mongo: PyMongo) -> None:
        file_id = mongo.save_file("a.txt", io.BytesIO(b"x"), base="papers", owner="me", metadata={"title": "A"})
        file = mongo.bucket("papers").find("a.txt")
        assert file is not None
        assert (file.id, file.fields, dict(file.metadata)) == (
            file_id,
            {"owner": "me"},
            {"title": "A", "contentType": "text/plain"},
        )
        assert mongo.bucket().find("a.txt") is None

    @pytest.mark.parametrize(("arguments", "name"), [({"base": 1}, "base"), ({"db": b"x"}, "db")])
    def test_arguments(self, mongo: PyMongo, arguments: dict[str, Any], name: str) -> None:
        with pytest.raises(TypeError, match=name):
            mongo.bucket(**arguments)
