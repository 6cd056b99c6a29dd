"""``flask gridfs ls``, ``stat`` and ``du``."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import gridfs
import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ..conftest import put
from ..helpers.commands import call

NAMES = ["a.txt", "b", "b/c.txt", "b/d/e.txt", "b.txt", "c/d", "//x"]


@pytest.fixture
def bucket(real: PyMongo) -> Bucket:
    bucket = real.bucket()
    for name in NAMES:
        put(bucket, name, name.encode())
    return bucket


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], ["/", "b/", "c/", "a.txt", "b", "b.txt"]),
        (["/"], ["/", "b/", "c/", "a.txt", "b", "b.txt"]),
        (["b"], ["b"]),
        (["b/"], ["b/d/", "b/c.txt"]),
        (["c"], ["c/d"]),
        (["-R"], sorted(NAMES)),
        (["-R", "b/"], ["b/c.txt", "b/d/e.txt"]),
        (["b/d/e.txt"], ["b/d/e.txt"]),
    ],
)
def test_ls_shows_folders_as_folders(app: Flask, bucket: Bucket, arguments: list[str], printed: list[str]) -> None:
    status, lines, errors = call(app, "ls", *arguments)
    assert (status, sorted(lines), errors) == (0, sorted(printed), [])


@pytest.mark.parametrize("path", ["d", "d/", "a", "a.txt/", "b/c"])
def test_what_is_not_there_is_told(app: Flask, bucket: Bucket, path: str) -> None:
    assert call(app, "ls", path) == (1, [], [f"{path}: there is no such file or folder"])
    assert call(app, "du", path) == (1, [], [f"{path}: there is no such file or folder"])
    assert call(app, "stat", path, "b") == (
        1,
        call(app, "stat", "b").lines,
        [f"{path}: there is no such file or version"],
    )


def test_an_empty_bucket_is_empty(app: Flask, real: PyMongo) -> None:
    assert call(app, "ls") == call(app, "ls", "/") == (0, [], [])
    assert call(app, "ls", "--json") == (0, ["[]"], [])
    assert call(app, "du") == (0, ["              0 bytes  files 0  versions 0  /"], [])


def test_versions_have_their_numbers(app: Flask, real: PyMongo) -> None:
    bucket = real.bucket()
    for number in range(120):
        put(bucket, "a", b"1" * number)
    put(bucket, "b", b"")
    lines = call(app, "ls", "--versions").lines
    assert lines == [*(f"{number:>5}  a" for number in reversed(range(120))), "    0  b"]
    found = json.loads("".join(call(app, "ls", "--versions", "--json").lines))
    assert [(one["version"], one["length"]) for one in found[:2]] == [(119, 119), (118, 118)]
    assert call(app, "stat", "a", "--version", "3").lines[2] == "    size: 3 bytes"
    assert call(app, "stat", "a", "--version", "120").status == 1
    assert call(app, "du", "a").lines == ["          7,140 bytes  files 1  versions 120  a"]


def test_what_is_shown_of_a_file(app: Flask, real: PyMongo) -> None:
    bucket = real.bucket()
    expires = datetime(2100, 1, 1, tzinfo=UTC)
    file = bucket.save("a/x.png", [bytes(1234)], fields={"metadata": {"tags": ["red"]}}, expires_at=expires)
    date = f"{file.upload_date:%Y-%m-%d %H:%M:%S}"
    assert call(app, "ls", "-l", "a/").lines == [f"          1,234  {date}  image/png                 a/x.png"]
    assert json.loads("".join(call(app, "ls", "--json", "a/").lines)) == [
        {
            "filename": "a/x.png",
            "id": str(file.id),
            "length": 1234,
            "upload_date": file.upload_date.isoformat(timespec="milliseconds"),
            "content_type": "image/png",
            "charset": None,
            "sha256": file.sha256,
        }
    ]
    assert json.loads("".join(call(app, "ls", "--json").lines)) == [{"folder": "a/"}]
    assert call(app, "stat", "a/x.png").lines == [
        "    name: a/x.png",
        f"      id: {file.id}",
        "    size: 1,234 bytes",
        "    type: image/png",
        f"uploaded: {file.upload_date.isoformat(sep=' ', timespec='milliseconds')}",
        " expires: 2100-01-01 00:00:00+00:00",
        " version: 0, counted from 0",
        "versions: 1",
        f"  sha256: {file.sha256}",
        'metadata: {"tags": ["red"], "expiresAt": {"$date": "2100-01-01T00:00:00Z"}, "contentType": "image/png"}',
    ]


def test_files_of_others(app: Flask, real: PyMongo) -> None:
    """Of the driver, without a name, with names that are control characters or not UTF-8, and what cannot be right."""
    driver = gridfs.GridFSBucket(real.db, chunk_size_bytes=4)
    driver.upload_from_stream_with_id({"k": 1}, "theirs", io.BytesIO(b"0123456789"), metadata={"a": b"\xff"})
    driver.upload_from_stream("a\x1b[31m\r\nforged\u202e", io.BytesIO(b""))
    real.db.fs.files.insert_many(
        [
            {"_id": "x", "length": 0, "chunkSize": 1},
            {"filename": "broken", "length": -1, "chunkSize": 1},
        ]
    )
    status, lines, errors = call(app, "ls")
    assert (status, errors) == (0, [])
    assert lines == ["a\\x1b[31m\\r\\nforged\\u202e", "broken", "theirs", "(no name, id ~EAAAAAJfaWQAAgAAAHgAAA)"]
    assert call(app, "ls", "-l", "broken").lines[0].startswith("        damaged  ")
    found = json.loads("".join(call(app, "ls", "--json").lines))
    assert [one["filename"] for one in found] == ["a\x1b[31m\r\nforged\u202e", "broken", "theirs", None]
    lines = call(app, "stat", "theirs").lines
    assert lines[1] == '      id: {"k": 1}'
    assert lines[-2:] == ["  sha256: not stored", 'metadata: {"a": {"$binary": {"base64": "/w==", "subType": "00"}}}']
    assert "    size: damaged: its length is not a number of bytes" in call(app, "stat", "broken").lines
    assert call(app, "du").lines == ["             10 bytes  files 4  versions 4  /"]


def test_du_sums_up_all_versions(app: Flask, bucket: Bucket) -> None:
    put(bucket, "b/c.txt", b"1" * 1000)
    bucket.save("b/gone", [b"1"], expires_at=datetime.now(UTC) - timedelta(hours=1))
    assert call(app, "du", "b/", "b", "c", "/").lines == [
        "          1,017 bytes  files 3  versions 4  b/",
        "              1 bytes  files 1  versions 1  b",
        "              3 bytes  files 1  versions 1  c",
        "          1,034 bytes  files 8  versions 9  /",
    ]


def test_a_long_listing_goes_on_to_its_end(app: Flask, real: PyMongo) -> None:
    documents: list[dict[str, Any]] = [
        {"filename": f"{folder}/{number:05}", "length": 0, "chunkSize": 1, "uploadDate": datetime.now(UTC)}
        for folder in "ab"
        for number in range(1500)
    ]
    real.db["fs.files"].insert_many(documents)
    assert call(app, "ls", "-R").lines == [document["filename"] for document in documents]
    assert call(app, "ls", "-R", "b") == (0, [document["filename"] for document in documents[1500:]], [])
    assert call(app, "ls").lines == ["a/", "b/"]


def test_a_bucket_and_a_prefix_of_its_own(app: Flask, uri: str) -> None:
    mongo = PyMongo(app, config_prefix="OTHER", uri=uri)
    mock = PyMongo(app, uri="mongomock://localhost/shop")
    put(mongo.bucket("pictures"), "a", b"")
    assert call(app, "ls", "--bucket", "pictures", "--config-prefix", "OTHER") == (0, ["a"], [])
    assert call(app, "ls", "--config-prefix", "OTHER") == (0, [], [])
    assert call(app, "ls").status == call(app, "ls", "--config-prefix", "NO").status == 2
    assert call(app, "ls", "--config-prefix", "OTHER", "--bucket", "a..b").status == 2
    warning = "Warning: --prefix is now called --config-prefix."
    assert call(app, "ls", "--bucket", "pictures", "--prefix", "OTHER") == (0, ["a"], [warning])
    assert call(app, "ls", "--bucket", "pictures", "--prefix", "NO", "--config-prefix", "OTHER").lines == ["a"]
    assert " --prefix" not in "".join(call(app, "ls", "--help").lines)
    mongo.cx.close()
    mock.cx.close()
