"""Folders as things: moved, renamed, copied, deleted, downloaded and counted, as far as the client may see them."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from flask.testing import FlaskClient

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ...conftest import HTML, JSON, Client, everyone

NAMES = {"a/1.txt", "a/b/2.txt", "c/1.txt", "top.txt"}


@pytest.fixture
def stored(mongo: PyMongo) -> PyMongo:
    for name in sorted(NAMES):
        mongo.save_file(name, io.BytesIO(name.encode()))
    mongo.save_file("a/1.txt", io.BytesIO(b"again"))
    return mongo


def names(mongo: PyMongo) -> set[str]:
    return set(mongo.db["fs.files"].distinct("filename"))


def key_of(uploads: FlaskClient, name: str) -> str:
    return str(uploads.get(f"/uploads/{name}?details", headers=JSON).json["id"])


@pytest.mark.parametrize(
    ("action", "fields", "gone", "new", "taken"),
    [
        ("move", {"folder": "a/", "to": "c/"}, {"a/1.txt", "a/b/2.txt"}, {"c/a/1.txt", "c/a/b/2.txt"}, []),
        ("move", {"folder": "a/b/", "to": ""}, {"a/b/2.txt"}, {"b/2.txt"}, []),
        (
            "move",
            {"folder": ["a/", "a/b/"], "to": "d/e"},
            {"a/1.txt", "a/b/2.txt"},
            {"d/e/a/1.txt", "d/e/a/b/2.txt"},
            [],
        ),
        ("move", {"folder": "a/", "to": "", "name": "new"}, {"a/1.txt", "a/b/2.txt"}, {"new/1.txt", "new/b/2.txt"}, []),
        ("move", {"folder": "a/", "to": "", "name": "c"}, {"a/b/2.txt"}, {"c/b/2.txt"}, ["c/1.txt"]),
        ("move", {"id": "top.txt", "to": "", "name": "x.txt"}, {"top.txt"}, {"x.txt"}, []),
        ("move", {"id": "a/1.txt", "to": "c"}, set(), set(), ["c/1.txt"]),
        ("copy", {"folder": "a/", "to": "c/"}, set(), {"c/a/1.txt", "c/a/b/2.txt"}, []),
        ("copy", {"folder": "a/", "id": "top.txt", "to": "z"}, set(), {"z/a/1.txt", "z/a/b/2.txt", "z/top.txt"}, []),
        ("copy", {"id": "a/1.txt", "to": "c"}, set(), set(), ["c/1.txt"]),
    ],
)
def test_moving_and_copying(
    client: Client,
    stored: PyMongo,
    action: str,
    fields: dict[str, Any],
    gone: set[str],
    new: set[str],
    taken: list[str],
) -> None:
    uploads = client(authorize=everyone)
    data = {**fields, **({"id": key_of(uploads, fields["id"])} if "id" in fields else {})}
    answer = uploads.post(f"/uploads/?{action}", data=data, headers=JSON)
    assert answer.status_code == 200
    assert answer.json["taken"] == taken
    assert {file["filename"] for file in answer.json["files"]} == new
    assert names(stored) == (NAMES - gone) | new
    moved = "c/a/1.txt"
    if moved in new:
        assert uploads.get(f"/uploads/{moved}").data == b"again"
        versions = stored.db["fs.files"].count_documents({"filename": moved})
        assert versions == (2 if action == "move" else 1)


@pytest.mark.parametrize(
    ("action", "fields", "status"),
    [
        ("move", {"folder": "a/", "to": "a/b"}, 400),
        ("copy", {"folder": "a/", "to": "a"}, 400),
        ("move", {"folder": "a", "to": "c"}, 400),
        ("move", {"folder": "none/", "to": "c"}, 404),
        ("delete", {"folder": "none/"}, 404),
        ("move", {"folder": ["a/", "c/"], "to": "", "name": "x"}, 400),
        ("move", {"folder": "a/", "to": "", "name": "/"}, 400),
        ("delete", {"folder": "\0/"}, 400),
        ("delete", {"folder": "x" * 1001 + "/"}, 400),
        ("zip", {"folder": "none/"}, 404),
        ("zip", {"folder": ""}, 400),  # the whole listing, which is a right of its own
        ("zip", {"folder": "a"}, 400),
        ("zip", {"folder": [f"{number}/" for number in range(1001)]}, 400),
        ("delete", {"folder": [f"{number}/" for number in range(1001)]}, 400),
        ("copy", {}, 400),
    ],
)
def test_what_is_refused_changes_nothing(
    client: Client, stored: PyMongo, action: str, fields: dict[str, Any], status: int
) -> None:
    answer = client(authorize=everyone).post(f"/uploads/?{action}", data=fields, headers=JSON)
    assert answer.status_code == status, answer.text
    assert names(stored) == NAMES


def test_only_what_the_client_may_see_is_touched_and_counted(client: Client, stored: PyMongo) -> None:
    def hides_b(action: str, filename: str | None) -> bool:
        return not (filename or "").startswith("a/b/") and not (action == "delete" and filename == "c/1.txt")

    uploads = client(authorize=hides_b)
    assert uploads.get("/uploads/?count&folder=a/").json == {"files": 1, "more": False}
    assert uploads.post("/uploads/?delete", data={"folder": ["a/", "c/"]}, headers=JSON).status_code == 403
    assert names(stored) == NAMES
    archive = uploads.post("/uploads/?zip", data={"folder": "a/"})
    assert zipfile.ZipFile(io.BytesIO(archive.data)).namelist() == ["a/1.txt"]
    assert uploads.post("/uploads/?delete", data={"folder": "a/b/"}, headers=JSON).status_code == 403
    assert uploads.post("/uploads/?delete", data={"folder": "a/"}, headers=JSON).status_code == 204
    assert names(stored) == {"a/b/2.txt", "c/1.txt", "top.txt"}


def test_a_folder_is_listed_once_if_those_below_it_are_selected_too(
    client: Client, stored: PyMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    pages = Bucket.pages
    monkeypatch.setattr(Bucket, "pages", lambda bucket, **more: listed.append(more["prefix"]) or pages(bucket, **more))
    uploads, fields = client(authorize=everyone), {"folder": ["a/b/", "a/", "a/b/c/", "a/"]}
    assert len(zipfile.ZipFile(io.BytesIO(uploads.post("/uploads/?zip", data=fields).data)).namelist()) == 2
    assert uploads.post("/uploads/?delete", data=fields).status_code == 204
    assert listed == ["a/", "a/"]


def test_a_question_names_each_file_that_its_folder_does_not_list(client: Client, stored: PyMongo) -> None:
    uploads = client(authorize=lambda action, name: (action, name) != ("read", "a/b/2.txt"))
    file = stored.bucket().find("a/b/2.txt")
    assert file is not None
    asked = uploads.get(f"/uploads/?delete&selected={file.key}&folders=a/", headers=JSON).json
    assert [one["filename"] for one in asked["files"]] == ["a/b/2.txt"]
    assert asked["folders"] == [{"name": "a/", "count": 1}]


def test_an_archive_and_a_count(client: Client, stored: PyMongo) -> None:
    uploads = client(read_only=True)
    fields = {"folder": ["a/", "c/"], "id": key_of(uploads, "top.txt")}
    archive = zipfile.ZipFile(io.BytesIO(uploads.post("/uploads/?zip", data=fields).data))
    assert sorted(archive.namelist()) == sorted(NAMES)
    inside = zipfile.ZipFile(io.BytesIO(uploads.post("/uploads/?zip", data={"folder": "a/b/"}).data))
    assert inside.namelist() == ["b/2.txt"]
    assert uploads.get("/uploads/?count&folder=a/").json == {"files": 2, "more": False}
    stored.db["fs.files"].insert_many([{"filename": f"a/{n}", "length": 0, "chunkSize": 1} for n in range(1000)])
    assert uploads.get("/uploads/?count&folder=a/").json == {"files": 1000, "more": True}
    assert "1,000" not in uploads.get("/uploads/", headers=HTML).text


def test_a_browser_chooses_a_place(client: Client, stored: PyMongo) -> None:
    """From folder to folder, without script; what is moved is no place for itself."""
    uploads = client(authorize=everyone)
    asked = uploads.post("/uploads/?move&view=table", data={"folder": "a/"}, headers=HTML)
    assert asked.status_code == 303
    page = uploads.get(asked.location, headers=HTML).text
    assert 'name="in" value="c/"' in page
    assert 'name="in" value="a/"' not in page
    deeper = uploads.post("/uploads/?move&view=table", data={"folder": "a/", "to": "", "in": "c/"}, headers=HTML)
    page = uploads.get(deeper.location, headers=HTML).text
    assert 'name="to" value="c/"' in page
    done = uploads.post("/uploads/?move&view=table", data={"folder": "a/", "to": "c/"}, headers=HTML)
    assert (done.status_code, done.location) == (303, "/uploads/?view=table")
    assert "2 files were moved." in uploads.get(done.location, headers=HTML).text
    assert names(stored) == {"c/a/1.txt", "c/a/b/2.txt", "c/1.txt", "top.txt"}
