"""The listing of a folder as people sort it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.decimal128 import Decimal128

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, Row, Visibility
from flask_gridfs_pymongo.store.listing import in_folder
from flask_gridfs_pymongo.store.listing.in_folder import natural

START = datetime(2026, 1, 1, tzinfo=UTC)


def insert(bucket: Bucket, *files: tuple[str | None, Any, str | None]) -> None:
    """Insert a document for each name, with a length and a type; each is a day younger than the one before."""
    documents = [
        {"filename": name, "length": length, "chunkSize": 5, "uploadDate": START + timedelta(days=day)}
        | ({"contentType": content_type} if content_type else {})
        for day, (name, length, content_type) in enumerate(files)
    ]
    bucket.files.insert_many([{key: value for key, value in one.items() if value is not None} for one in documents])


@pytest.fixture
def bucket(mongo: PyMongo) -> Bucket:
    bucket = Bucket(mongo.db)
    insert(
        bucket,
        ("d/file 10.txt", 1, "text/plain"),
        ("d/file 2.txt", 30, "text/plain"),
        ("d/Éa.png", 5, "image/png"),
        ("d/f.bin", 5, None),
        ("d/odd", Decimal128("7"), "a/b"),
        ("d/sub 10/x", 1, "x/y"),
        ("d/sub 9/x", 1, "x/y"),
        ("d/wrong", "long", "z/z"),
        ("other/y", 1, "x/y"),
        ("z.txt", 1, "x/y"),
        (None, 3, None),
    )
    return bucket


FOLDERS = ["sub 9/", "sub 10/"]
ORDERED = {
    "name": [*FOLDERS, "Éa.png", "f.bin", "file 2.txt", "file 10.txt", "odd", "wrong"],
    "-name": [*FOLDERS[::-1], "wrong", "odd", "file 10.txt", "file 2.txt", "f.bin", "Éa.png"],
    "newest": [*FOLDERS, "wrong", "odd", "f.bin", "Éa.png", "file 2.txt", "file 10.txt"],
    "-newest": [*FOLDERS, "file 10.txt", "file 2.txt", "Éa.png", "f.bin", "odd", "wrong"],
    "size": [*FOLDERS, "file 2.txt", "odd", "Éa.png", "f.bin", "file 10.txt", "wrong"],
    "-size": [*FOLDERS, "wrong", "file 10.txt", "f.bin", "Éa.png", "odd", "file 2.txt"],
    "type": [*FOLDERS, "f.bin", "odd", "Éa.png", "file 2.txt", "file 10.txt", "wrong"],
    "-type": [*FOLDERS, "wrong", "file 10.txt", "file 2.txt", "Éa.png", "odd", "f.bin"],
}


def pages(bucket: Bucket, folder: str, order: str, limit: int, gone: str = "") -> list[str]:
    """All names of a folder, page by page; *gone* is deleted after the page that ends with it."""
    names, after = [], None
    for _ in range(20):
        page = bucket.folder(folder, order, after, limit)
        assert page is not None
        assert len(page.rows) + len(page.folders) <= limit
        names += [*page.folders, *(row.file.filename for row in page.rows)]
        if page.next is None:
            break
        after = page.next
        if names[-1] == folder + gone:
            bucket.files.delete_many({"filename": {"$regex": f"^{folder}{gone}"}})
    return [name.removeprefix(folder) for name in names]


@pytest.mark.parametrize("order", ORDERED)
def test_folders_come_first_in_every_order_page_by_page(bucket: Bucket, order: str) -> None:
    for limit in (1, 2, 3, 100):
        assert pages(bucket, "d/", order, limit) == ORDERED[order], limit
        folders = ["other/", "d/"] if order == "-name" else ["d/", "other/"]
        assert pages(bucket, "", order, limit) == [*folders, "z.txt", ""], limit


def test_a_page_begins_after_what_is_gone(bucket: Bucket) -> None:
    for order, gone in (("size", "odd"), ("name", "sub 9/"), ("-type", "Éa.png")):
        kept = list(bucket.files.find())
        assert pages(bucket, "d/", order, 1, gone) == ORDERED[order]
        bucket.files.delete_many({})
        bucket.files.insert_many(kept)


def test_names_as_people_sort_them() -> None:
    """Numbers by their value, letters without case and accents; names that differ by these alone in a fixed order."""
    expected = ["01", "1", "2", "10", "A", "a", "ä", "a.txt", "a1.txt", "B.txt", "img9.png", "IMG10.png", "photos/"]
    expected += ["photos2/", "ß" * 600 + "9" * 5000, "v1.9", "v1.10", "Z", "\udcff"]
    assert sorted(sorted(expected), key=natural) == expected


def test_too_many_names_and_what_is_hidden(mongo: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(mongo.db)
    monkeypatch.setattr(in_folder, "MAX_SORTED", 300)
    insert(bucket, *((f"{number}.bin", 1, None) for number in range(300)))
    page = bucket.folder(limit=300)
    assert page is not None
    assert [row.file.filename for row in page.rows] == [f"{number}.bin" for number in range(300)]
    insert(bucket, ("secret/1", 1, None), ("x.bin", 1, None))
    assert bucket.folder() is None
    hidden = bucket.folder(
        limit=300, shown=Visibility(lambda name: name != "x.bin", lambda folder: folder != "secret/")
    )
    assert hidden is not None
    assert hidden.next is None
    assert (len(hidden.rows), hidden.folders) == (300, [])


def test_many_large_folders(mongo: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes some reading: above a limit the folder that they are in is not sorted."""
    bucket = Bucket(mongo.db)
    monkeypatch.setattr(in_folder, "_MAX_READ", 4 * 128)
    for folder in ("c 10", "c 9", "c 8"):
        insert(bucket, *((f"{folder}/{number}", 1, None) for number in range(200)))
    page = bucket.folder()
    assert page is not None
    assert page.folders == ["c 8/", "c 9/", "c 10/"]
    insert(bucket, *((f"d/{number}", 1, None) for number in range(200)))
    assert bucket.folder() is None


def test_all_versions_are_one_row(mongo: PyMongo) -> None:
    bucket = Bucket(mongo.db)
    insert(bucket, *[("a", 1, None)] * 150, *[("b", 2, None)] * 3)
    page = bucket.folder(order="size")
    assert page is not None
    assert [(row.file.filename, row.versions) for row in page.rows if isinstance(row, Row)] == [("b", 3), ("a", 100)]
