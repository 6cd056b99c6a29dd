"""service/inspection.py: the application looks at an upload before anybody else can see it."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_gridfs_pymongo import PyMongo, Refused
from flask_gridfs_pymongo.signals import file_saved
from flask_gridfs_pymongo.store import StoredFile

from ..conftest import BIG, HTML, Client, everyone, form, nothing_stored
from ..helpers.drive import LOCK

Read = Callable[[], Iterator[bytes]]


def refuse_evil(file: StoredFile, read: Read) -> None:
    if b"evil" in b"".join(read()):
        raise Refused("It is evil.")


def send_put(uploads: FlaskClient, data: bytes) -> Any:
    return uploads.put("/uploads/a.txt", data=data, headers={"Content-Type": "text/x-claim"})


def send_form(uploads: FlaskClient, data: bytes) -> Any:
    return uploads.post("/uploads/", data=form((data, "a.txt")))


def send_named_form(uploads: FlaskClient, data: bytes) -> Any:
    return uploads.post("/uploads/a.txt", data=form((data, "x")))


WAYS = [send_put, send_form, send_named_form]
Way = Callable[[FlaskClient, bytes], Any]


@pytest.mark.parametrize("send", WAYS)
def test_it_sees_the_whole_file_that_nobody_else_sees(client: Client, mongo: PyMongo, send: Way) -> None:
    seen: list[Any] = []

    def look(file: StoredFile, read: Read) -> None:
        seen.append((file.filename, file.content_type, file.length, file.sha256))
        seen.append(b"".join(read()))
        seen.append(b"".join(read()))
        assert mongo.bucket().find("a.txt") is None
        assert mongo.bucket().get(file.id) is None

    uploads = client(inspect=look)
    assert send(uploads, BIG).status_code == 201
    assert seen == [("a.txt", "text/plain", len(BIG), hashlib.sha256(BIG).hexdigest()), BIG, BIG]
    assert uploads.get("/uploads/a.txt").data == BIG


@pytest.mark.parametrize("send", WAYS)
def test_what_is_refused_is_a_422_and_leaves_nothing(client: Client, mongo: PyMongo, send: Way) -> None:
    def tell(sender: Any, file: StoredFile) -> None:
        pytest.fail("file_saved was sent")

    uploads = client(inspect=refuse_evil)
    with file_saved.connected_to(tell):
        answer = send(uploads, b"evil" + BIG)
    assert (answer.status_code, answer.json["detail"]) == (422, "It is evil.")
    assert nothing_stored(mongo)
    assert send(uploads, b"good").status_code == 201
    assert send(uploads, b"evil").status_code == 422
    assert uploads.get("/uploads/a.txt").data == b"good"
    assert mongo.db["fs.files"].count_documents({}) == mongo.db["fs.chunks"].count_documents({}) == 1


def test_one_bad_file_of_three_stores_none(client: Client, mongo: PyMongo) -> None:
    uploads = client(inspect=refuse_evil)
    files = form((b"good", "a"), (b"evil", "b"), (BIG, "c"))
    assert uploads.post("/uploads/", data=files).status_code == 422
    assert nothing_stored(mongo)


def test_a_restored_version_is_inspected_again(client: Client, mongo: PyMongo) -> None:
    uploads = client(inspect=refuse_evil, authorize=everyone)
    evil, good = (mongo.save_file("a", io.BytesIO(data)) for data in (b"evil", b"good"))
    assert uploads.post(f"/uploads/a?id={evil}&restore").status_code == 422
    assert uploads.get("/uploads/a").data == b"good"
    assert uploads.post(f"/uploads/a?id={good}&restore").status_code == 201


def no_programs(file: StoredFile, read: Read) -> None:
    if file.filename.endswith(".exe") or b"".join(read()) == b"evil":
        raise Refused("Programs are not accepted.")


def test_it_sees_each_name_under_which_content_becomes_visible(app: Flask, client: Client, mongo: PyMongo) -> None:
    uploads = client(inspect=no_programs, authorize=everyone)
    drive = mongo.webdav_app(rules=app.blueprints["uploads"])
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": drive})  # type: ignore[method-assign]
    ids = {
        name: mongo.save_file(name, io.BytesIO(b"x")) for name in ("a", "b", "x.exe", "f/x.exe", "g.exe/a", "g.exe/b")
    }
    for data in (b"evil", b"good"):
        mongo.save_file("old", io.BytesIO(data))
    before = list(mongo.db.fs.files.find())

    def ask(method: str, path: str, data: Any = None, to: str | None = None) -> int:
        headers = {} if to is None else {"Destination": f"/dav/{to}"}
        return uploads.open(path, method=method, data=data, headers=headers).status_code

    for refused in (
        ("PUT", "/uploads/c.exe", b"c"),
        ("POST", "/uploads/a?move=a.exe"),
        ("POST", "/uploads/a?move", {"to": "b.exe"}),
        ("POST", "/uploads/old?move=new"),  # an older version becomes visible, too
        ("POST", "/uploads/a?copy=a.exe"),
        ("POST", "/uploads/x.exe?restore"),
        ("POST", "/uploads/?move=g", {"id": [str(ids["a"]), str(ids["x.exe"])]}),
        ("PUT", "/dav/c.exe", b"c"),
        ("LOCK", "/dav/c.exe", LOCK),
        ("COPY", "/dav/a", None, "a.exe"),
        ("COPY", "/dav/a", None, "x.exe"),
        ("MOVE", "/dav/a", None, "a.exe"),
        ("MOVE", "/dav/a", None, "x.exe"),
        ("MOVE", "/dav/old", None, "b"),
    ):
        assert (ask(*refused), refused) == (422, refused)
        assert list(mongo.db.fs.files.find()) == before
    for method, to in ("COPY", "g"), ("MOVE", "h"):
        assert ask(method, "/dav/f", None, to) == 207
        assert list(mongo.db.fs.files.find()) == before
    assert [ask("MOVE", "/dav/g.exe", None, "i"), ask("POST", "/uploads/a?move=c")] == [201, 201]


def test_a_version_that_comes_during_a_rename_is_seen_under_the_new_name(client: Client, mongo: PyMongo) -> None:
    bucket = mongo.bucket()
    bucket.save("a", io.BytesIO(b"x"))

    def inspect(file: StoredFile, read: Read) -> None:
        no_programs(file, read)
        if bucket.count("a") == 1:
            bucket.save("a", io.BytesIO(b"evil"))

    assert client(inspect=inspect, authorize=everyone).post("/uploads/a?move=b").status_code == 422
    assert (bucket.count("a"), bucket.count("b")) == (2, 0)


@pytest.mark.parametrize("url", ["/uploads/a?move=new/a", "/uploads/?move=new"])
def test_an_older_version_that_comes_during_a_rename_is_seen_too(client: Client, mongo: PyMongo, url: str) -> None:
    """As if an editor deleted its backup, whose versions the drive then gives back to the file."""
    bucket = mongo.bucket()
    backup, stored = bucket.save("a~", io.BytesIO(b"evil")), bucket.save("a", io.BytesIO(b"x"))

    def inspect(file: StoredFile, read: Read) -> None:
        no_programs(file, read)
        if bucket.count("a~"):
            bucket.prepend(backup, stored)

    uploads = client(inspect=inspect, authorize=everyone)
    assert uploads.post(url, data={"id": str(stored.id)}).status_code == 422
    assert (bucket.count("a"), bucket.count("new/a")) == (2, 0)


def raise_error(file: StoredFile, read: Read) -> None:
    raise OSError("the scanner is down")


def leave(file: StoredFile, read: Read) -> None:
    raise SystemExit("the worker is stopped")


READ_TO_THE_END: list[StoredFile] = []


def read_too_long(file: StoredFile, read: Read) -> None:
    for _ in range(100):
        time.sleep(0.01)
        for _ in read():
            pass
    READ_TO_THE_END.append(file)


def take_too_long(file: StoredFile, read: Read) -> None:
    time.sleep(0.2)


@pytest.mark.parametrize("function", [raise_error, read_too_long, take_too_long])
@pytest.mark.parametrize("send", [send_put, send_form])
def test_any_other_failure_is_a_503_and_stores_nothing(
    client: Client,
    mongo: PyMongo,
    send: Way,
    function: Callable[[StoredFile, Read], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    uploads = client(inspect=function, inspect_timeout=0.1)
    with caplog.at_level(logging.ERROR):
        answer = send(uploads, BIG)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "could not be inspected" in answer.json["detail"]
    assert "inspect failed for 'a.txt'" in caplog.text
    assert not READ_TO_THE_END
    assert nothing_stored(mongo)


def test_not_even_a_stopped_worker_leaves_a_file(client: Client, mongo: PyMongo) -> None:
    uploads = client(inspect=leave)
    with pytest.raises(SystemExit):
        uploads.put("/uploads/a", data=BIG)
    assert nothing_stored(mongo)


def test_a_browser_gets_a_page(client: Client) -> None:
    answer = client(inspect=refuse_evil).post("/uploads/", data=form((b"evil", "a")), headers=HTML)
    assert (answer.status_code, "It is evil." in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"inspect": "f"}, TypeError), ({"inspect_timeout": 0}, ValueError), ({"inspect_timeout": -1}, ValueError)],
)
def test_arguments(mongo: PyMongo, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        mongo.uploads_blueprint(**options)
