"""service/reads.py: the signal file_read says what was sent, and of what."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from gridfs import GridFSBucket
from pymongo import MongoClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import EnvironBuilder

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_read
from flask_gridfs_pymongo.store import Bucket

from ..conftest import ROOT, everyone
from ..helpers.blocks import named
from ..helpers.replica import ReplicaSet, until

LARGE = bytes(range(256)) * 4000


@pytest.fixture
def told(app: Flask, mongo: PyMongo) -> Any:
    """The application with every door, and what its receiver was told."""
    app.secret_key = "tests"
    rules = mongo.uploads_blueprint(url_prefix="/u", authorize=everyone, share=60)
    app.register_blueprint(rules)

    @app.get("/own/<name>")
    def own(name: str) -> Any:
        return mongo.send_file(name)

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": mongo.webdav_app(rules=rules)})  # type: ignore[method-assign]
    for name, data in (("small", b"12345"), ("large", LARGE), ("empty", b""), ("d/x", b"xy")):
        mongo.save_file(name, io.BytesIO(data))
    found = list[tuple[str, Any, str]]()

    def receive(sender: Flask, file: Any, sent: Any) -> None:
        assert sender is app
        found.append((file.filename, sent, request.method + " " + request.full_path.rstrip("?")))

    with file_read.connected_to(receive, app):
        yield found


def get(client: FlaskClient, url: str, method: str = "GET", **fields: str) -> int:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    with client.open(url, method=method, headers=headers) as answer:
        assert answer.data is not None
        return answer.status_code


def test_what_is_told(app: Flask, told: list[Any]) -> None:
    client = app.test_client()
    etag = client.head("/u/large").headers["ETag"]
    link = client.post("/u/small?share").json["url"]  # type: ignore[index]
    assert told == []
    for method, url, fields, status, wanted in (
        ("GET", "/u/small", {}, 200, [("small", 5)]),
        ("GET", "/u/large", {}, 200, [("large", len(LARGE))]),
        ("GET", "/u/empty", {}, 200, [("empty", 0)]),
        ("GET", "/u/small?version=0", {}, 200, [("small", 5)]),
        ("GET", "/u/large", {"Range": "bytes=10-29"}, 206, [("large", 20)]),
        ("GET", "/u/large", {"Range": "bytes=300000-"}, 206, [("large", len(LARGE) - 300_000)]),
        ("GET", "/own/small", {}, 200, [("small", 5)]),
        ("GET", "/dav/small", {}, 200, [("small", 5)]),
        ("GET", link, {}, 200, [("small", 5)]),
        ("GET", "/u/?zip&folder=d/", {}, 200, [("d/x", 2)]),
        ("HEAD", "/u/large", {}, 200, []),
        ("HEAD", "/u/?zip", {}, 200, []),
        ("GET", "/u/large", {"If_None_Match": etag}, 304, []),
        ("GET", "/u/large", {"If_Match": '"x"'}, 412, []),
        ("GET", "/u/large", {"Range": "bytes=9999999-"}, 416, []),
        ("GET", "/u/none", {}, 404, []),
        ("GET", "/u/small?details", {}, 200, []),
        ("GET", "/u/", {}, 200, []),
    ):
        told.clear()
        assert get(client, url, method, **fields) == status
        assert [entry[:2] for entry in told] == wanted, (method, url)
        path = url.removeprefix("/dav")
        assert {entry[2] for entry in told} <= {f"{method} {path}"}
    told.clear()
    assert get(client, "/u/large", Range="bytes=0-9,300000-300009") == 206
    assert [entry[0] for entry in told] == ["large"]
    assert told[0][1] > 20  # with the heads of the parts


@pytest.mark.parametrize(("pieces", "least", "most"), [(0, 0, 0), (1, 0, 0), (2, 1, len(LARGE) - 1)])
def test_a_client_that_leaves(app: Flask, told: list[Any], pieces: int, least: int, most: int) -> None:
    environ = EnvironBuilder("/u/large").get_environ()
    body = app.wsgi_app(environ, lambda status, headers, *more: lambda data: None)
    iterator = iter(body)
    for _ in range(pieces):
        next(iterator)
    assert told == []
    body.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]
    assert len(told) == 1
    assert least <= told[0][1] <= most


def test_a_receiver_that_fails_is_logged(app: Flask, mongo: PyMongo, told: list[Any], caplog: Any) -> None:
    def fail(sender: Flask, **facts: Any) -> None:
        raise RuntimeError("audit")

    with file_read.connected_to(fail, app), app.test_client().get("/u/large") as answer:
        assert answer.data == LARGE
    assert "file_read failed for 'large'" in caplog.text


def test_without_a_receiver_the_body_is_the_stores(app: Flask, mongo: PyMongo) -> None:
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u"))
    mongo.save_file("small", io.BytesIO(b"12345"))
    with app.test_request_context("/u/small"):
        body = app.dispatch_request().response  # type: ignore[union-attr]
        assert type(body).__module__.partition(".")[2].startswith("store")
        body.close()


@pytest.mark.replica
def test_the_recipe_for_every_new_file(replicas: ReplicaSet, tmp_path: Path) -> None:
    """A watcher that is killed and started again leaves out no file, whoever wrote it."""
    uri = f"{replicas.uri}/watched?replicaSet=tests"
    (tmp_path / "app.py").write_text(named("watch").replace("PyMongo(app)", f"PyMongo(app, uri={uri!r})"))
    command = [sys.executable, "-m", "flask", "--app", "app", "watch"]
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True)

    with MongoClient[Any](uri) as client:
        db = client.get_default_database()
        bucket = Bucket(db)
        bucket.save("before", io.BytesIO(b"1"))
        seen, wanted = set[str](), set[str]()
        for turn in range(3):
            watcher = start()
            patience = Timer(60, watcher.kill)
            patience.start()
            try:
                assert watcher.stdout
                if not turn:
                    until(lambda: db.watchers.find_one() is not None)
                bucket.save(f"ours {turn}", io.BytesIO(b"12"))
                GridFSBucket(db).upload_from_stream(f"driver {turn}", b"123")
                wanted |= {f"ours {turn}", f"driver {turn}"}
                while not wanted <= seen:
                    line = watcher.stdout.readline()
                    assert line, "it ended, or told nothing for a minute"
                    seen.add(line.rpartition(" ")[0])
            finally:
                patience.cancel()
                watcher.kill()
                watcher.wait()
                watcher.stdout.close()  # type: ignore[union-attr]
            bucket.save(f"between {turn}", io.BytesIO(b"1"))
            wanted.add(f"between {turn}")
        assert seen == wanted - {"between 2"}  # of what was there before, none
