"""Empty documents whose names end with a slash, by which Flysystem and others mark folders, at every door."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import gridfs
import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.http.filenames import unpackable
from flask_gridfs_pymongo.store import Bucket

from ..conftest import HTML, JSON, Client, everyone
from ..helpers.commands import call, tree
from ..helpers.drive import mounting

FILES, MARKERS = ["docs/a.txt", "docs/sub/b.txt", "top.txt"], ["docs/", "docs/empty/", "docs/sub/", "lone/"]


@pytest.fixture
def bucket(real: PyMongo) -> Bucket:
    """As Flysystem's GridFS adapter writes them, one by another tool, and one twice."""
    driver = gridfs.GridFSBucket(real.db)
    for name in FILES:
        driver.upload_from_stream(name, io.BytesIO(name.encode()))
    for name in [*MARKERS, "docs/"]:
        marked: dict[str, Any] = {} if name == "lone/" else {"metadata": {"flysystem_directory": True}}
        driver.upload_from_stream(name, io.BytesIO(b""), **marked)
    return real.bucket()


def names(bucket: Bucket) -> list[str]:
    return sorted(bucket.files.distinct("filename"))


def moved(old: str, new: str) -> list[str]:
    return sorted(new + name.removeprefix(old) if name.startswith(old) else name for name in FILES + MARKERS)


def copied(old: str, new: str) -> list[str]:
    return sorted({*FILES, *MARKERS, *moved(old, new)})


def test_pages_and_json(client: Client, bucket: Bucket) -> None:
    uploads, markers = client(authorize=everyone), bucket.files.distinct("_id", {"filename": {"$in": MARKERS}})
    listed = {
        "?folder=": (["docs/", "lone/"], ["top.txt"]),
        "docs/": (["docs/empty/", "docs/sub/"], ["docs/a.txt"]),
        "docs/sub/": ([], ["docs/sub/b.txt"]),
        "docs/empty/": ([], []),
        "?flat": ([], FILES),
        "?order=size": ([], ["docs/sub/b.txt", "docs/a.txt", "top.txt"]),
        "?q=DOCS": ([], FILES[:2]),
        "?prefix=lone": ([], []),
    }
    for query, (folders, files) in listed.items():
        found = uploads.get(f"/uploads/{query}", headers=JSON).get_json()
        assert [row["name"] for row in found["folders"]] == folders
        assert [row["filename"] for row in found["files"]] == files
        page = uploads.get(f"/uploads/{query}", headers=HTML)
        assert page.status_code == 200
        assert not any(str(marker) in page.text for marker in markers)
    assert uploads.get("/uploads/lone").status_code == 308
    assert uploads.get("/uploads/none/").status_code == 404


def test_archives(client: Client, bucket: Bucket) -> None:
    uploads = client()
    whole = [*MARKERS[1:], *FILES]
    for query, expected in (
        ("?zip", ["docs/", *whole]),
        ("?folder=docs/&zip", [n[5:] for n in whole if n[:5] == "docs/"]),
    ):
        with zipfile.ZipFile(io.BytesIO(uploads.get(f"/uploads/{query}").data)) as found:
            assert sorted(found.namelist()) == sorted(expected)
    assert uploads.get("/uploads/?folder=lone/&zip").status_code == 404
    assert unpackable(["a", "a/", "b*/c/", "b*/c/d"]) == ["a (2)", "a/", "b_/c/", "b_/c/d"]


def test_by_its_id_it_is_moved_and_copied_as_a_folder(client: Client, bucket: Bucket) -> None:
    uploads = client(authorize=everyone)
    (marker,) = (row.file.key for row in bucket.list(prefix="docs/empty/").rows)
    copied = uploads.post(f"/uploads/?id={marker}&copy=more/full", headers=JSON)
    assert (copied.status_code, copied.get_json()["filename"]) == (201, "more/full/")
    moved = uploads.post("/uploads/?move=new", data={"id": marker}, headers=JSON)
    assert [file["filename"] for file in moved.get_json()["files"]] == ["new/empty/"]
    assert uploads.get("/uploads/new/", headers=JSON).get_json()["folders"][0]["name"] == "new/empty/"


class TestCommands:
    def test_they_show_and_write_folders(self, app: Flask, bucket: Bucket, tmp_path: Path) -> None:
        assert call(app, "ls").lines == ["docs/", "lone/", "top.txt"]
        assert call(app, "ls", "docs").lines == ["docs/empty/", "docs/sub/", "docs/a.txt"]
        assert call(app, "ls", "lone") == call(app, "ls", "lone/") == (0, [], [])
        assert sorted(call(app, "ls", "-R").lines) == sorted(FILES + MARKERS)
        used = [" ".join(line.split()) for line in call(app, "du", "docs", "lone/", "/").lines]
        assert used == [
            "24 bytes files 2 versions 2 docs",
            "0 bytes files 0 versions 0 lone/",
            "31 bytes files 3 versions 3 /",
        ]
        assert call(app, "get", "/", tmp_path / "all") == (0, [], [])
        assert call(app, "get", "docs", tmp_path) == (0, [], [])
        assert call(app, "get", "lone/", tmp_path / "lone") == (0, [], [])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "docs", "lone"]
        for here in (tmp_path / "all", tmp_path / "synced"):
            for dry_run in (["--dry-run"], []):
                printed = call(app, "sync", *dry_run, "gridfs:", here)
                assert printed == (0, [] if here.name == "all" else [f"get {name}" for name in FILES], [])
            assert tree(here) == {name: name.encode() for name in FILES}
            assert (here / "lone").is_dir()
            assert (here / "docs" / "empty").is_dir()
            assert call(app, "sync", here, "gridfs:") == (0, [], [])
        (tmp_path / "in the way").mkdir()
        (tmp_path / "in the way" / "lone").write_text("")
        for dry_run in (["--dry-run"], []):
            status, _, errors = call(app, "sync", *dry_run, "gridfs:", tmp_path / "in the way")
            assert (status, len(errors), errors[0].startswith("lone/: File exists")) == (1, 1, True)

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ("mv docs new", moved("docs/", "new/docs/")),
            ("mv docs/ new", moved("docs/", "new/")),
            ("mv docs lone", moved("docs/", "lone/docs/")),
            ("mv docs/ lone/", moved("docs/", "lone/")),
            ("mv docs/ /", moved("docs/", "")),
            ("cp docs/ new/", copied("docs/", "new/")),
            ("rm -r --yes --all-versions docs", ["lone/", "top.txt"]),
            ("rm -r --yes --all-versions docs/ lone", ["top.txt"]),
        ],
    )
    def test_they_move_copy_and_delete(self, app: Flask, bucket: Bucket, arguments: str, expected: list[str]) -> None:
        assert call(app, *arguments.split()) == (0, [], [])
        assert names(bucket) == sorted({name for name in expected if name})


def test_the_drive(app: Flask, real: PyMongo, bucket: Bucket) -> None:
    drive = mounting(app, real)()
    assert drive.found() == ["/dav/", "/dav/docs/", "/dav/lone/", "/dav/top.txt"]
    assert drive.found("docs/") == ["/dav/docs/", "/dav/docs/empty/", "/dav/docs/sub/", "/dav/docs/a.txt"]
    assert drive.found("lone/") == ["/dav/lone/"]
    assert drive.status("MKCOL", "lone/") == 405
    assert drive.status("COPY", "docs/", to="copy/") == 201
    assert names(bucket) == copied("docs/", "copy/")
    assert drive.status("MOVE", "copy/", to="lone/") == 204
    assert names(bucket) == sorted({*copied("docs/", "lone/")})
    assert drive.found("lone/") == ["/dav/lone/", "/dav/lone/empty/", "/dav/lone/sub/", "/dav/lone/a.txt"]
    assert drive.status("DELETE", "lone/") == 204
    assert drive.status("DELETE", "docs/") == 204
    assert names(bucket) == ["top.txt"]
    assert drive.found() == ["/dav/", "/dav/top.txt"]
