"""What is in the trash is hidden by every door, comes back by ``?restore``, and is told by signals."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_deleted, file_saved
from flask_gridfs_pymongo.store import Bucket

from ..conftest import HTML, JSON, ROOT, Client, everyone, form, missing, put
from ..helpers.clocks import faketime
from ..helpers.drive import Client as Drive

DAY = 86_400


@pytest.fixture(params=[DAY, 0], ids=["with the setting", "without"])
def mongo(app: Flask, uri: str, request: pytest.FixtureRequest) -> Iterator[PyMongo]:
    app.secret_key = "secret"
    mongo = PyMongo(app, uri=uri, trash=request.param)
    yield mongo
    mongo.cx.close()


with_trash = pytest.mark.parametrize("mongo", [DAY], indirect=True, ids=["with the setting"])


@pytest.fixture
def told(app: Flask) -> Iterator[list[Any]]:
    """What is told of files: the name, how many versions, and whether it is in the trash; or that it was saved."""
    found: list[Any] = []

    def deleted(sender: Flask, file: Any, versions: int, **more: Any) -> None:
        found.append((file.filename, versions, more))

    def saved(sender: Flask, file: Any) -> None:
        found.append(file.filename)

    with file_deleted.connected_to(deleted, app), file_saved.connected_to(saved, app):
        yield found


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (800, 20), "red").save(buffer, "PNG")
    return buffer.getvalue()


def test_every_door_hides_it_with_and_without_the_setting(app: Flask, mongo: PyMongo, client: Client) -> None:
    http = client(authorize=everyone, share=60, resumable=True)
    blueprint = app.blueprints["uploads"]
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": mongo.webdav_app(rules=blueprint)})  # type: ignore[method-assign]
    drive, store, trash = Drive(http), mongo.bucket(), Bucket(mongo.db, trash=DAY)
    http.put("/uploads/in/a.png", data=picture())
    http.put("/uploads/in/b.txt", data=b"stays")
    file = store.find("in/a.png")
    assert file is not None
    by_id = f"/uploads/?id={file.key}"
    link = http.post("/uploads/in/a.png?share").json["url"]
    mongo.db.users.insert_one({"_id": 1, "avatar": file.id})
    avatar = mongo.attachment("users", "avatar")
    urls = [
        "/uploads/in/a.png",
        "/uploads/in/a.png?details",
        "/uploads/in/a.png?versions",
        "/uploads/in/a.png?variant=thumb",
        f"/uploads/in/a.png?id={file.key}",
        f"/uploads/in/a.png?id={file.key}&variant=thumb",
        by_id,
        f"{by_id}&variant=thumb",
        f"{by_id}&details",
        link,
    ]
    for url in urls:
        assert http.get(url, headers=JSON).status_code == 200, url
    with app.test_request_context():
        assert mongo.send_file(id=file.id).status_code == 200
    assert trash.delete("in/a.png") == 1

    for url in urls:
        assert http.get(url, headers=JSON).status_code == 404, url
    with app.test_request_context():
        for choice in ({"filename": "in/a.png"}, {"id": file.id}):
            with pytest.raises(NotFound):
                mongo.send_file(**choice)
        with pytest.raises(NotFound):
            mongo.uploads_url("in/a.png")
        with pytest.raises(FileNotFoundError):
            avatar.open({"_id": 1, "avatar": file.id})
    for order in ("name", "newest", "size", "type", "-newest", "-size"):
        for query in ("flat", "q=a", "prefix=in/", "folder=in/"):
            found = http.get(f"/uploads/?order={order}&{query}", headers=JSON).json["files"]
            assert [one["filename"] for one in found] in (["in/b.txt"], []), (order, query)
    assert "a.png" not in http.get("/uploads/?folder=in/", headers=HTML).text
    assert http.get("/uploads/?count&folder=in/").json["files"] == 1
    assert http.post("/uploads/?zip", data={"id": [file.key]}).status_code == 404
    assert http.post("/uploads/?delete", data={"id": [file.key]}).status_code == 404
    assert http.post(f"{by_id}&metadata", data={}).status_code in (403, 404)
    assert http.delete(by_id).status_code == 404
    assert http.post(f"{by_id}&restore").status_code == 404
    assert http.post("/uploads/?move=x/", data={"id": [file.key]}).status_code == 404
    assert drive.found("in/") == ["/dav/in/", "/dav/in/b.txt"]
    assert drive.status("GET", "in/a.png") == 404
    assert drive.status("MOVE", "in/a.png", to="in/c.png") == 404
    assert drive.status("MOVE", "in/b.txt", to="in/a.png") == 201
    assert [store.count(name) for name in ("in/a.png", "in/b.txt")] == [1, 0]
    runner = app.test_cli_runner()
    assert file.key not in runner.invoke(args=["gridfs", "ls", "-l"]).output
    mongo.db.owners.insert_one({"file": store.newest("in/a.png").id})  # type: ignore[union-attr]
    unowned = runner.invoke(args=["gridfs", "unowned", "--refs", "owners.file", "--older-than", "0s"])
    assert unowned.exit_code == 0
    assert str(file.key) not in unowned.output
    assert "; 0 problems" in runner.invoke(args=["gridfs", "check"]).output
    assert len(trash.trash().rows) == 1


# How a file is deleted, by each door: the name of the file is a.
DOORS: dict[str, Callable[[Flask, FlaskClient, PyMongo, str], Any]] = {
    "DELETE": lambda app, http, mongo, key: http.delete("/uploads/a"),
    "DELETE ?id": lambda app, http, mongo, key: http.delete(f"/uploads/?id={key}"),
    "POST ?delete": lambda app, http, mongo, key: http.post("/uploads/a?delete"),
    "selected": lambda app, http, mongo, key: http.post("/uploads/?delete", data={"id": [key]}),
    "drive": lambda app, http, mongo, key: http.delete("/dav/a"),
    "rm": lambda app, http, mongo, key: app.test_cli_runner().invoke(args=["gridfs", "rm", "--yes", "a"]),
    "rm all": lambda app, http, mongo, key: app.test_cli_runner().invoke(
        args=["gridfs", "rm", "--all-versions", "--yes", "a"]
    ),
    "attachment": lambda app, http, mongo, key: mongo.attachment("users", "avatar").purge(1),
}


@with_trash
def test_each_door_deletes_into_the_trash(app: Flask, mongo: PyMongo, client: Client, told: list[Any]) -> None:
    http = client(authorize=everyone, client_of=lambda request: "Ann \ud800")
    app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, {"/dav": mongo.webdav_app(rules=app.blueprints["uploads"])}
    )
    store = mongo.bucket()
    for door, delete in DOORS.items():
        file = put(store, "a", b"content")
        mongo.db.users.replace_one({"_id": 1}, {"avatar": file.id}, upsert=True)
        told.clear()
        with app.app_context():
            delete(app, http, mongo, str(file.key))
        assert told == [("a", 1, {"trashed": True})], door
        assert store.find("a") is None
        [row] = store.trash().rows
        by = "Ann ?" if door.split()[0] in ("DELETE", "POST", "selected", "drive") else None
        assert (row.file.trashed and row.file.trashed.by) == by, door
        assert store.restore(row.file.id).filename == "a"
        assert store.delete("a", for_good=True) == 1


@with_trash
def test_what_nobody_deleted_does_not_go_there(app: Flask, mongo: PyMongo, client: Client, told: list[Any]) -> None:
    http = client(authorize=everyone, keep_versions=1, inspect=lambda file, read: None)
    app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, {"/dav": mongo.webdav_app(rules=app.blueprints["uploads"])}
    )
    store, drive = mongo.bucket(), Drive(http)
    put(store, "a", b"old")
    put(store, "b", b"one")
    store.files.update_one(
        {"filename": "a"}, {"$set": {"uploadDate": store.files.find_one()["uploadDate"].replace(2020)}}
    )  # type: ignore[index]
    put(store, "a", b"newer")
    store.files.update_many({"filename": "a"}, [{"$set": {"uploadDate": {"$subtract": ["$uploadDate", 10_000_000]}}}])
    assert http.put("/uploads/a", data=b"newest").status_code == 204
    assert store.count("a") < 3
    assert drive.status("MOVE", "b", to="a") == 204
    assert drive.status("COPY", "a", to="c") == 201
    assert http.post("/uploads/", data=form((b"1", "d"), (b"2", "d" * 2000))).status_code in (201, 400, 413)
    assert store.trash().rows == []
    assert all(more == {} for _, _, more in (one for one in told if isinstance(one, tuple)))


@with_trash
def test_the_trash_over_http(mongo: PyMongo, client: Client, told: list[Any]) -> None:
    denied, secret = {"d"}, set[str | None]()

    def authorize(action: str, filename: str | None) -> bool:
        return not (filename in denied and action in ("delete", "read")) and (action, filename) not in [
            ("read", name) for name in secret
        ]

    http = client(authorize=authorize)
    for name in ("a", "b", "b", "c", "d"):
        put(mongo.bucket(), name, name.encode())
    hidden = mongo.bucket().find("d")
    for name in ("c", "d", "b"):
        mongo.bucket().delete(name)
    assert hidden is not None
    told.clear()
    listed = http.get("/uploads/?trash", headers=JSON)
    assert listed.status_code == 200
    data = listed.json
    assert data["next"] is None
    assert [(one["filename"], one["versions"], one["url"]) for one in data["files"]] == [("b", 2, None), ("c", 1, None)]
    assert set(data["files"][0]["trashed"]) == {"at", "until", "by"}
    keys = {one["filename"]: one["id"] for one in data["files"]}
    put(mongo.bucket(), "c", b"another")

    def post(query: str, **fields: Any) -> Any:
        return http.post(f"/uploads/?trash&{query}", data=fields)

    assert post("restore", id=[]).status_code == 400
    assert post("restore&delete", id=[keys["b"]]).status_code == 400
    assert post("other", id=[keys["b"]]).status_code == 400
    assert post("restore", id=["x"]).status_code == 400
    assert post("restore", id=[str(hidden.key)]).status_code == 404
    assert post("delete", id=[str(hidden.key)]).status_code == 404
    assert post("restore", id=[str(mongo.bucket().find("a").key)]).status_code == 404  # type: ignore[union-attr]
    secret.add("b")
    [b, _] = http.get("/uploads/?trash", headers=JSON).json["files"]
    told_of_it = {"filename", "id", "content_type", "length", "upload_date", "versions", "trashed"}
    assert {name for name, value in b.items() if value is not None} == told_of_it
    secret.clear()
    assert post("restore", id=[keys["c"]]).status_code == 409
    both = post("restore", id=[keys["b"], keys["c"]])
    assert both.status_code == 200
    assert ([one["filename"] for one in both.json["files"]], both.json["taken"]) == (["b"], ["c"])
    assert told == ["b"]
    assert post("restore&merge", id=[keys["c"]]).json["files"][0]["id"] == keys["c"]
    assert [mongo.bucket().count(name) for name in "bc"] == [2, 2]
    assert http.delete("/uploads/b").status_code == 204
    assert http.get("/uploads/?trash&prefix=x", headers=JSON).json["files"] == []
    [row] = http.get("/uploads/?trash&prefix=b", headers=JSON).json["files"]
    for date in ("never", "", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        assert post("restore", deleted=date).status_code == 400, date
    assert post("restore", deleted="2020-01-01T00:00:00+00:00").status_code == 404
    assert [one["filename"] for one in post("restore", deleted=row["trashed"]["at"]).json["files"]] == ["b"]
    denied.add("b")
    http.delete("/uploads/c")
    [row] = http.get("/uploads/?trash", headers=JSON).json["files"]
    told.clear()
    assert post("delete", id=[row["id"]]).status_code == 204
    assert told == []  # it was told when it was deleted
    denied.clear()
    assert [one["filename"] for one in http.get("/uploads/?trash", headers=JSON).json["files"]] == ["d"]
    for query in ("cursor=x", f"prefix={'x' * 1001}", "prefix=%00"):
        assert http.get(f"/uploads/?trash&{query}", headers=JSON).status_code == 400, query


@with_trash
def test_pages_over_http(mongo: PyMongo, client: Client) -> None:
    http, store = client(authorize=everyone), mongo.bucket()
    names = [f"in/{number:03}{'x' * 13_000 if number == 99 else ''}" for number in range(130)]
    store.delete_all_many([put(store, name, b"") for name in names])
    put(store, "out", b"")
    store.delete("out")
    for first in ("/uploads/in/?trash", "/uploads/?trash&folder=in/", "/uploads/?trash&prefix=in/"):
        found, url = list[str](), first
        while url:
            page = http.get(url, headers=JSON).json
            found += [one["filename"] for one in page["files"]]
            assert len(found) <= len(names)
            url = page["next"]
            assert len(url or "") < 4000
        assert found == names, first


def test_without_rights_or_a_trash(app: Flask, mongo: PyMongo, client: Client) -> None:
    app.register_blueprint(mongo.uploads_blueprint("shown", url_prefix="/shown", read_only=True, authorize=everyone))
    http = client()
    expected = 403 if mongo.bucket().collections.trash else 404
    assert http.get("/uploads/?trash", headers=JSON).status_code == expected
    file = put(mongo.bucket(), "a", b"content")
    for query in ("restore", "delete"):
        assert http.post(f"/uploads/?trash&{query}", data={"id": [str(file.key)]}).status_code == expected
    assert http.post("/shown/?trash&delete", data={"id": [str(file.key)]}).status_code == 405
    assert mongo.bucket().find("a") is not None


def test_mongomock_has_a_trash(app: Flask) -> None:
    mongo = PyMongo(app, uri="mongomock://localhost/trash", trash=DAY)
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", authorize=everyone))
    http = app.test_client()
    for data in (b"one", b"two"):
        http.put("/uploads/a", data=data)
    http.put("/uploads/b", data=b"b")
    keys = [str(file.key) for name in "ab" if (file := mongo.bucket().find(name))]
    assert http.post("/uploads/?delete", data={"id": keys}).status_code == 204
    assert [http.get(f"/uploads/{name}").status_code for name in "ab"] == [404, 404]
    listed = http.get("/uploads/?trash", headers=JSON).json["files"]
    assert [(one["filename"], one["versions"]) for one in listed] == [("a", 2), ("b", 1)]
    assert http.post("/uploads/?trash&restore", data={"id": keys}).json["taken"] == []
    assert [http.get(f"/uploads/{name}").data for name in ("a", "a?version=0", "b")] == [b"two", b"one", b"b"]


def test_the_file_cache_sends_nothing_from_the_trash(app: Flask, uri: str, tmp_path: Path) -> None:
    mongo = PyMongo(app, uri=uri, trash=DAY, file_cache=str(tmp_path))
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", authorize=everyone))
    http = app.test_client()
    http.put("/uploads/a", data=b"content")
    key = http.get("/uploads/a?details", headers=JSON).json["id"]
    assert http.get(f"/uploads/?id={key}").data == b"content"

    def cached() -> list[Path]:
        return [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes().endswith(b"content")]

    assert cached()
    http.delete("/uploads/a")
    assert http.get(f"/uploads/?id={key}").status_code == 404
    http.post("/uploads/?trash&restore", data={"id": [key]})
    assert http.get(f"/uploads/?id={key}").data == b"content"
    http.delete("/uploads/a")
    http.post("/uploads/?trash&delete", data={"id": [key]})
    assert not cached()
    mongo.cx.close()


@with_trash
def test_a_resumable_upload_that_is_deleted(mongo: PyMongo, client: Client) -> None:
    """Whoever repeats its last request learns that the file was deleted, and takes nothing of it away."""
    http, fields = client(authorize=everyone), {"Tus-Resumable": "1.0.0"}
    url = http.post("/uploads/film", headers={**fields, "Upload-Length": "7"}).headers["Location"]
    body = {**fields, "Content-Type": "application/offset+octet-stream"}
    assert http.patch(url, data=b"content", headers={**body, "Upload-Offset": "0"}).status_code == 204
    http.delete("/uploads/film")
    assert http.head(url, headers=fields).status_code == 410
    assert http.patch(url, headers={**body, "Upload-Offset": "7"}).status_code == 410
    assert http.delete(url, headers=fields).status_code in (204, 410)
    [row] = mongo.bucket().trash().rows
    mongo.bucket().restore(row.file.id)
    assert http.get("/uploads/film").data == b"content"


@pytest.mark.slow
def test_dates_are_the_servers(app: Flask, uri: str) -> None:
    """A process whose clock is a year ahead restores and removes at the same time as others."""
    ahead = faketime(365) or missing("install libfaketime (Debian: apt-get install libfaketime)")
    mongo = PyMongo(app, uri=uri, trash=DAY)
    for name in ("mine", "theirs"):
        put(mongo.bucket(), name, b"x")
    mongo.bucket().delete("mine")
    code = (
        "import sys, pymongo; from flask_gridfs_pymongo.store import *;"
        "store = Bucket(pymongo.MongoClient(sys.argv[1]).get_default_database(), trash=86400);"
        "store.delete('theirs'); swept = len(list(Sweep(store).run()));"
        "print(swept, [row.file.filename for row in store.trash().rows])"
    )
    command = [sys.executable, "-c", code, uri]
    ran = subprocess.run(command, cwd=ROOT, env={**os.environ, **ahead}, capture_output=True, text=True)
    assert ran.stdout == "0 ['theirs', 'mine']\n", ran.stderr
    for row in mongo.bucket().trash().rows:
        assert row.file.trashed is not None
        assert abs(row.file.trashed.at - mongo.bucket().collections.clock.now()) < timedelta(minutes=5)
    mongo.cx.close()


@with_trash
def test_a_unique_index_of_the_application_is_told_by_every_door(app: Flask, mongo: PyMongo, client: Client) -> None:
    http, store = client(authorize=everyone), mongo.bucket()
    app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, {"/dav": mongo.webdav_app(rules=app.blueprints["uploads"])}
    )
    for name in ("a", "b"):
        put(store, name, b"content")
    store.files.create_index("filename", unique=True)
    store.delete("a")
    file = store.find("b")
    assert file is not None
    mongo.db.users.insert_one({"_id": 1, "avatar": file.id})
    assert Drive(http).status("DELETE", "b") == 409
    answers = [http.delete("/uploads/b"), http.post("/uploads/?delete", data={"id": [file.key]})]
    with app.app_context():
        assert mongo.attachment("users", "avatar").purge(1) is False
    removed = app.test_cli_runner().invoke(args=["gridfs", "rm", "--yes", "b"])
    assert removed.exit_code == 2
    told = [*(answer.json["detail"] for answer in answers), removed.output]
    assert ["partialFilterExpression" in text for text in told] == [True] * 3
    assert store.find("b") is not None
