"""``flask gridfs sync``: after it there is nothing left to do, and nothing was lost."""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gridfs
import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ..conftest import put, read
from ..helpers.commands import call, plant, tree

# The order by names is not that of folders: "a-b" stands before "a/b", and that before "a0".
NAMES = ["a", "a-b", "b/c", "b-", "b0", "b/c/d", "é/\U0001f600", "é/\uffee", "z z/\n\x1b[31m"]


def stored(bucket: Bucket, top: str = "") -> dict[str, bytes]:
    rows = [row for page in bucket.pages(prefix=top) for row in page.rows]
    return {row.file.filename.removeprefix(top): read(bucket, row.file) for row in rows}


def both_ways(app: Flask, here: Path, top: str = "top") -> list[list[str]]:
    return [call(app, "sync", *pair).lines for pair in ((here, f"gridfs:{top}"), (f"gridfs:{top}", here))]


def test_both_ways_until_nothing_is_left(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket, here = real.bucket(), plant(tmp_path / "here", "local", "a", "b-", "b/c", "z z/\n\x1b[31m")
    driver = gridfs.GridFSBucket(real.db, chunk_size_bytes=3)
    for name in ("a", "b-", "b0", "é/\U0001f600", "é/\uffee", "c/d", "b/a"):
        driver.upload_from_stream(f"top/{name}", io.BytesIO(name.encode()))
    driver.upload_from_stream("top/b/c", io.BytesIO(b"c/d"))  # as long as the one here
    driver.upload_from_stream("topmost", io.BytesIO(b""))
    driver.upload_from_stream("top", io.BytesIO(b""))
    sent, brought = both_ways(app, here)
    assert sent == ["put top/b/c", "put top/local", "put top/z z/\\n\\x1b[31m"]
    assert brought == ["get top/b/a", "get top/b0", "get top/c/d", "get top/é/\uffee", "get top/é/\U0001f600"]
    assert both_ways(app, here) == [[], []]
    assert tree(here) == stored(bucket, "top/")
    assert read(bucket, bucket.find("top/b/c", 0)) == b"c/d"
    assert tree(here)["b/c"] == b"b/c"
    assert bucket.files.count_documents({}) == 13


def test_what_changed_is_replaced_here_and_a_version_there(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket, here = real.bucket(), plant(tmp_path / "here", *NAMES[:4])
    assert both_ways(app, here) == [[f"put top/{name}" for name in ("a", "a-b", "b-", "b/c")], []]
    (here / "a").write_bytes(b"A")
    put(bucket, "top/b-", b"B-")
    before = tree(here)
    assert call(app, "sync", "--dry-run", here, "gridfs:top") == (0, ["put top/a", "put top/b-"], [])
    assert call(app, "sync", "--dry-run", "gridfs:top", here) == (0, ["get top/a", "get top/b-"], [])
    assert (tree(here), bucket.files.count_documents({})) == (before, 5)
    assert call(app, "sync", "gridfs:top/", f"{here}/") == (0, ["get top/a", "get top/b-"], [])
    assert both_ways(app, here) == [[], []]
    (here / "a-b").unlink()
    assert call(app, "sync", here, "gridfs:top") == (0, [], [])
    assert stored(bucket, "top/") == {"a": b"a", "a-b": b"a-b", "b-": b"B-", "b/c": b"b/c"}


def test_the_whole_bucket(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    here = plant(tmp_path / "here", *NAMES[:4])
    assert both_ways(app, here, "") == [[f"put {name}" for name in ("a", "a-b", "b-", "b/c")], []]
    assert call(app, "sync", "gridfs:", tmp_path / "new" / "there").status == 0
    assert tree(tmp_path / "new" / "there") == tree(here)


def test_a_damaged_file_is_mended_from_here(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket, here = real.bucket(), plant(tmp_path / "here", "a", "b")
    file_id = gridfs.GridFSBucket(real.db).upload_from_stream("a", io.BytesIO(b"1"))
    put(bucket, "b", b"b")
    real.db.fs.chunks.delete_one({"files_id": file_id})
    assert call(app, "sync", here, "gridfs:").lines == ["put a"]
    assert both_ways(app, here, "") == [[], []]


def test_two_at_once_make_one_version_of_each_file(
    app: Flask, real: PyMongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, here, begin, others = real.bucket(), plant(tmp_path, *"abc"), Bucket.writer, list[list[str]]()

    def writer(self: Bucket, *arguments: Any) -> Any:
        if not others:  # the other one overtakes this one
            others.append([])
            others[0] += call(app, "sync", here, "gridfs:").lines
        return begin(self, *arguments)

    monkeypatch.setattr(Bucket, "writer", writer)
    assert call(app, "sync", here, "gridfs:") == (0, [], [])
    assert others == [["put a", "put b", "put c"]]
    assert (bucket.files.count_documents({}), bucket.chunks.count_documents({})) == (3, 3)


def test_what_has_expired_is_not_there(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket = real.bucket()
    bucket.save("a", [b"1"], expires_at=datetime(2000, 1, 1, tzinfo=UTC))
    assert call(app, "sync", "gridfs:", tmp_path / "here") == (0, [], [])
    assert call(app, "sync", plant(tmp_path / "here", "a"), "gridfs:").lines == ["put a"]


@pytest.mark.parametrize(
    "arguments", [["a", "b"], ["gridfs:a", "gridfs:b"], ["a"], ["gridfs:\udcff", "a"], ["a", "gridfs:\udcff"]]
)
def test_usage(app: Flask, real: PyMongo, arguments: list[str]) -> None:
    assert call(app, "sync", *arguments).status == 2


def test_many_files(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    """10,000 by hand: 75 s up, 20 s down, and 3.5 s to see that there is nothing to do, in 49 MB."""
    chance = random.Random(19)
    names = {
        "/".join(chance.choice(["a", "b-", "b", "é", "c.d", " "]) for _ in range(chance.randrange(1, 6)))
        for _ in range(200)
    }
    names = {f"{name}/{number}" for number, name in enumerate(sorted(names))}
    here = plant(tmp_path / "here", *names)
    bucket = real.bucket()
    for number, name in enumerate(sorted(names)):
        if number % 3 == 0:
            put(bucket, name, name.encode())
        elif number % 3 == 1:
            put(bucket, name, b"x" * len(name.encode()))
    assert len(call(app, "sync", here, "gridfs:").lines) == len(names) - -(-len(names) // 3)
    assert both_ways(app, here, "") == [[], []]
    assert call(app, "sync", "gridfs:", tmp_path / "there").status == 0
    assert tree(tmp_path / "there") == tree(here) == stored(bucket)
