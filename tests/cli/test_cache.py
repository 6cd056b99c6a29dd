"""``flask gridfs cache``."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo

from ..conftest import put, read
from ..helpers.commands import call


def test_it_counts_and_clears(app: Flask, uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    mongo = PyMongo(app, uri=uri, file_cache=folder, file_cache_size=1000)
    assert call(app, "cache") == (0, [f"{folder}: 0 files (0 of 1000 bytes), 0 hits"], [])
    assert call(app, "cache", "--clear").lines[0].endswith("hits; removed")
    bucket = mongo.bucket()
    files = [put(bucket, name, b"content") for name in "ab"]
    for _ in range(3):
        for file in files:
            assert read(bucket, file) == b"content"
    for arguments, ending in ((["--config-prefix", "MONGO"], ""), (["--clear"], "; removed")):
        assert call(app, "cache", *arguments) == (0, [f"{folder}: 2 files (14 of 1000 bytes), 4 hits{ending}"], [])
    assert call(app, "cache") == (0, [f"{folder}: 0 files (0 of 1000 bytes), 0 hits"], [])
    assert read(bucket, files[0]) == b"content"
    assert call(app, "cache").lines == [f"{folder}: 1 files (7 of 1000 bytes), 0 hits"]
    mongo.cx.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, "there is no file cache: set MONGO_FILE_CACHE"), ({"file_cache": "/dev/null/x"}, "/dev/")],
)
def test_without_one_it_says_so(app: Flask, uri: str, options: dict[str, str], said: str) -> None:
    mongo = PyMongo(app, uri=uri, **options)  # type: ignore[arg-type]
    for arguments, expected in (([], said), (["--test", "http://localhost/"], said if not options else "MONGO_ACCEL")):
        status, lines, errors = call(app, "cache", *arguments)
        assert (status, lines) == (2, [])
        assert expected in errors[0]
    mongo.cx.close()
