"""extension.py: applications, prefixes, contexts, processes and threads; the arguments of the file methods."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest
from bson.objectid import ObjectId
from flask import Flask, Response
from werkzeug.exceptions import NotFound

from flask_gridfs_pymongo import PyMongo, connection

from ..conftest import Serve


def _init_app(app: Flask, *args: Any, **kwargs: Any) -> PyMongo:
    mongo = PyMongo()
    mongo.init_app(app, *args, **kwargs)
    return mongo


def _constructed_then_init_app(app: Flask, *args: Any, **kwargs: Any) -> PyMongo:
    mongo = PyMongo(None, *args, **kwargs)
    mongo.init_app(app)
    return mongo


@pytest.fixture
def configured(app: Flask) -> Flask:
    """``MONGO_`` and ``MONGO2_`` name two databases in mongomock."""
    app.config["MONGO_URI"] = "mongomock://localhost/one"
    app.config["MONGO2_URI"] = "mongomock://localhost/two"
    return app


@pytest.mark.parametrize("make", [PyMongo, _init_app, _constructed_then_init_app])
@pytest.mark.parametrize(
    ("args", "kwargs", "dbname"),
    [
        ((), {}, "one"),
        (("MONGO2",), {}, "two"),
        ((), {"config_prefix": "MONGO2"}, "two"),
        ((), {"uri": "mongomock://localhost/three"}, "three"),
        (("MONGO2",), {"uri": "mongomock://localhost/three"}, "three"),
    ],
)
def test_it_is_made_with_an_app_or_given_one_later(
    configured: Flask, make: Callable[..., PyMongo], args: Any, kwargs: Any, dbname: str
) -> None:
    assert make(configured, *args, **kwargs).db.name == dbname


def test_what_init_app_is_given_wins_over_the_constructor() -> None:
    first, second = Flask("first"), Flask("second")
    mongo = PyMongo(config_prefix="MONGO2", uri="mongomock://localhost/a", tz_aware=True)
    mongo.init_app(first)
    mongo.init_app(second, "MONGO3", uri="mongomock://localhost/b", tz_aware=False)
    for app, prefix, name, aware in ((first, "MONGO2", "a", True), (second, "MONGO3", "b", False)):
        with app.app_context():
            assert mongo.db.name == name
            assert mongo.cx.codec_options.tz_aware is aware
        assert list(app.extensions["pymongo"]) == [prefix]


def test_client_options_reach_the_driver(app: Flask, uri: str) -> None:
    mongo = PyMongo(app, uri=uri, appname="shop", tz_aware=False, w=0)
    assert not mongo.db.things.write_concern.acknowledged
    assert mongo.cx.codec_options.tz_aware is False
    assert mongo.cx.options.pool_options.appname == "shop"
    mongo.cx.close()


def test_several_objects_on_one_app(configured: Flask, uri: str) -> None:
    one, two, three = PyMongo(configured), PyMongo(configured, "MONGO2"), PyMongo(configured, "MONGO3", uri=uri)
    for number, mongo in enumerate((one, two, three)):
        mongo.db.things.insert_one({"_id": number})
    assert [[found["_id"] for found in mongo.db.things.find()] for mongo in (one, two, three)] == [[0], [1], [2]]
    assert len({id(mongo.cx) for mongo in (one, two, three)}) == 3
    three.cx.close()


def test_one_object_on_several_apps() -> None:
    mongo = PyMongo()
    apps = [Flask(name) for name in ("first", "second")]
    for app in apps:
        mongo.init_app(app, uri="mongomock://localhost")
    for app in apps:
        with app.app_context():
            assert mongo.db.name == app.name
            mongo.db.things.insert_one({"_id": app.name})
    for app in apps:
        with app.test_request_context():
            assert list(mongo.db.things.find()) == [{"_id": app.name}]
    with pytest.raises(RuntimeError, match="several apps"):
        _ = mongo.db


def test_the_same_prefix_twice_is_an_error_that_names_it(configured: Flask) -> None:
    mongo = PyMongo(configured, "MONGO2")
    for again in (lambda: PyMongo(configured, "MONGO2"), lambda: mongo.init_app(configured)):
        with pytest.raises(RuntimeError, match="'MONGO2'"):
            again()
    assert PyMongo(configured).db.name == "one"
    assert mongo.db.name == "two"


def test_one_object_twice_on_an_app_is_an_error(configured: Flask) -> None:
    mongo = PyMongo(configured)
    with pytest.raises(RuntimeError, match="already"):
        mongo.init_app(configured, "MONGO2")
    assert mongo.db.name == "one"


@pytest.mark.parametrize(
    "use",
    [
        lambda mongo: mongo.cx,
        lambda mongo: mongo.db,
        lambda mongo: mongo.send_file("a"),
        lambda mongo: mongo.save_file("a", io.BytesIO()),
    ],
)
def test_use_before_init_app_is_an_error_that_names_it(configured: Flask, use: Callable[[PyMongo], Any]) -> None:
    mongo = PyMongo()
    with pytest.raises(RuntimeError, match="init_app"):
        use(mongo)
    with configured.app_context(), pytest.raises(RuntimeError, match="init_app"):
        use(mongo)


def test_outside_a_context_the_one_app_is_used_but_never_in_another_s(configured: Flask) -> None:
    mongo = PyMongo(configured)
    assert mongo.db.name == "one"
    other = Flask("other")
    PyMongo(other, uri="mongomock://localhost/foreign")
    with other.app_context(), pytest.raises(RuntimeError, match="'other'"):
        _ = mongo.db
    assert mongo.db.name == "one"


def test_settings_are_checked_at_once_and_a_refused_app_is_left_as_it_was(app: Flask) -> None:
    app.config["MONGO_PORT"] = "27017x"
    mongo = PyMongo()
    with pytest.raises(TypeError, match="MONGO_PORT"):
        mongo.init_app(app)
    app.config["MONGO_PORT"] = "27017"
    mongo.init_app(app)
    assert list(app.extensions["pymongo"]) == ["MONGO"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The clients that were made since."""
    clients: list[Any] = []

    class Recorded(connection.MongoClient):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            clients.append(self)

    monkeypatch.setattr(connection, "MongoClient", Recorded)
    return clients


def test_the_client_is_made_on_first_use_and_kept(app: Flask, uri: str, made: list[Any]) -> None:
    mongo = PyMongo(app, uri=uri)
    app.register_blueprint(mongo.uploads_blueprint(read_only=True))
    assert made == []
    with app.app_context():
        first = mongo.cx
    assert mongo.db.client is mongo.cx is first
    assert len(made) == 1
    first.close()


def test_nothing_is_held_on_the_object(app: Flask, uri: str) -> None:
    mongo = PyMongo(app, uri=uri)
    before = dict(vars(mongo))
    mongo.db.things.insert_one({})
    mongo.save_file("a", io.BytesIO())
    assert vars(mongo) == before
    assert mongo.cx not in before.values()
    mongo.cx.close()


def test_an_app_that_is_gone_counts_no_longer() -> None:
    mongo = PyMongo()
    mongo.init_app(Flask("gone"), uri="mongomock://localhost")
    kept = Flask("kept")
    mongo.init_app(kept, uri="mongomock://localhost")
    gc.collect()
    assert mongo.db.name == "kept"


def test_threads_that_race_get_one_client(app: Flask, uri: str, made: list[Any]) -> None:
    mongo = PyMongo(app, uri=uri)
    together = threading.Barrier(16)

    def use() -> Any:
        together.wait(30)
        client = mongo.cx
        assert client.admin.command("ping")["ok"] == 1
        return client

    with ThreadPoolExecutor(16) as pool:
        clients = [found.result() for found in [pool.submit(use) for _ in range(16)]]
    assert {id(client) for client in clients} == {id(mongo.cx)}
    # A client that came too late is closed.
    for client in made:
        if client is not mongo.cx:
            with pytest.raises(Exception, match="after close"):
                client.admin.command("ping")
    mongo.cx.close()


def _in_child(work: Callable[[], Any]) -> Any:
    """What *work* returns in a forked process, by way of JSON."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    assert answer, "the child failed"
    return json.loads(answer)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12, on any fork
def test_a_forked_process_makes_its_own_client(app: Flask, uri: str) -> None:
    mongo = PyMongo(app, uri=uri)
    mongo.save_file("a", io.BytesIO(b"from the parent"))
    before = mongo.cx

    def child() -> dict[str, Any]:
        with app.test_request_context():
            answer = mongo.send_file("a")
            served = b"".join(answer.response).decode()  # type: ignore[arg-type]
        saved = mongo.save_file("b", io.BytesIO(b"from the child"))
        return {"same": mongo.cx is before, "kept": mongo.cx is mongo.cx, "served": served, "saved": str(saved)}

    answer = _in_child(child)  # a warning is an error here, in the child too
    assert (answer["same"], answer["kept"], answer["served"]) == (False, True, "from the parent")
    assert mongo.cx is before
    assert mongo.db.fs.files.find_one_or_404(ObjectId(answer["saved"]))["filename"] == "b"
    before.close()


def test_gunicorn_with_preload_and_workers_works_and_does_not_warn(serve: Serve, uri: str, tmp_path: Path) -> None:
    address = serve("tests.helpers.live_preload:create_app()", "--preload", "--workers", "3", LIVE_URI=uri)

    def ask(path: str) -> bytes:
        with urlopen(f"{address}{path}", timeout=30) as answer:
            return bytes(answer.read())

    workers: set[int] = set()
    for _ in range(300):  # a new connection each: any of the workers may take it
        second = json.loads(ask("/second"))
        assert second["name"] == "before.txt"
        assert second["pid"] != second["parent"]
        assert json.loads(ask("/ping"))["ok"] == 1
        assert ask("/sent/before.txt") == ask("/uploads/before.txt") == b"before the fork"
        workers.add(second["pid"])
        if len(workers) > 1:
            break
    assert len(workers) > 1
    (log,) = tmp_path.glob("gunicorn-*.log")
    # After a fork CPython 3.10 drops what the parent's other threads held: a socket that the driver was opening.
    dropped = r"Exception ignored in: <socket.*\n(?:.*\n)*?ResourceWarning: unclosed <socket.*\n"
    text = re.sub(dropped, "", log.read_text())
    assert "Booting worker" in text
    for word in ("warn", "error", "exception", "traceback"):
        assert word not in text.lower()


@pytest.mark.parametrize(
    ("changed", "error", "named"),
    [
        ({"filename": 5}, TypeError, "filename"),
        ({"filename": None}, TypeError, "filename"),
        ({"base": 5}, TypeError, "base"),
        ({"base": None}, TypeError, "base"),
        ({"db": 5}, TypeError, "db"),
        ({"version": "1"}, TypeError, "version"),
        ({"version": 1.0}, TypeError, "version"),
        ({"cache_for": "1"}, TypeError, "cache_for"),
        ({"cache_for": None}, TypeError, "cache_for"),
        ({"cache_for": -1}, ValueError, "cache_for"),
        ({"as_attachment": "no"}, TypeError, "as_attachment"),
        ({"download_name": 5}, TypeError, "download_name"),
    ],
)
def test_send_file_checks_its_arguments(
    mongo: PyMongo, app: Flask, changed: dict[str, Any], error: type[Exception], named: str
) -> None:
    with app.test_request_context(), pytest.raises(error, match=f"^{named} must be"):
        mongo.send_file(**{"filename": "a", **changed})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"filename": 5}, "filename"),
        ({"fileobj": None}, "fileobj"),
        ({"fileobj": b"bytes"}, "fileobj"),
        ({"fileobj": "name"}, "fileobj"),
        ({"fileobj": SimpleNamespace(read=lambda size: "text")}, "bytes"),
        ({"base": 5}, "base"),
        ({"db": 5}, "db"),
        ({"content_type": 5}, "content_type"),
        ({"metadata": 5}, "metadata"),
        *(
            ({field: 1}, field)
            for field in (
                "_id",
                "length",
                "chunkSize",
                "chunk_size",
                "uploadDate",
                "contentType",
                "charset",
                "sha256",
                "previous",
            )
        ),
    ],
)
def test_save_file_checks_its_arguments(mongo: PyMongo, changed: dict[str, Any], named: str) -> None:
    with pytest.raises(TypeError, match=named):
        mongo.save_file(**{"filename": "a", "fileobj": io.BytesIO(b"x"), **changed})
    assert mongo.db.fs.files.count_documents({}) == 0
    assert mongo.db.fs.chunks.count_documents({}) == 0


def test_save_file_gives_the_id_and_stores_further_fields(mongo: PyMongo) -> None:
    file_id = mongo.save_file("a/b .TXT", io.BytesIO(b"x"), owner="me", metadata={"tags": ["a"]}, aliases=["b"])
    assert isinstance(file_id, ObjectId)
    found = mongo.db.fs.files.find_one_or_404(file_id)
    assert (found["filename"], found["owner"], found["aliases"]) == ("a/b .TXT", "me", ["b"])
    assert found["metadata"]["tags"] == ["a"]


def _body(answer: Response) -> bytes:
    body = b"".join(answer.response)  # type: ignore[arg-type]
    answer.close()
    return body


@pytest.mark.parametrize(
    ("version", "body"),
    [(0, b"0"), (1, b"1"), (2, b"2"), (-1, b"2"), (-2, b"1"), (-3, b"0"), (3, None), (-4, None), (2**40, None)],
)
def test_send_file_knows_versions(mongo: PyMongo, app: Flask, version: int, body: bytes | None) -> None:
    for number in range(3):
        mongo.save_file("a", io.BytesIO(str(number).encode()))
    with app.test_request_context():
        if body is None:
            with pytest.raises(NotFound):
                mongo.send_file("a", version=version)
        else:
            assert _body(mongo.send_file("a", version=version)) == body


def test_send_file_is_a_404_where_there_is_no_such_file(mongo: PyMongo, app: Flask) -> None:
    app.add_url_rule("/<name>", "sent", lambda name: mongo.send_file(name))
    assert app.test_client().get("/absent").status_code == 404


def test_buckets_and_databases_are_apart(mongo: PyMongo, app: Flask) -> None:
    places: list[dict[str, Any]] = [{}, {"base": "pictures"}, {"db": f"{mongo.db.name}_2"}]
    for number, place in enumerate(places):
        mongo.save_file("a", io.BytesIO(str(number).encode()), **place)
    with app.test_request_context():
        for number, place in enumerate(places):
            assert _body(mongo.send_file("a", **place)) == str(number).encode()
    assert mongo.db.pictures.files.count_documents({}) == 1
    mongo.cx.drop_database(f"{mongo.db.name}_2")


@pytest.mark.parametrize(
    ("name", "options", "header", "value"),
    [
        ("a.txt", {}, "Cache-Control", "public, max-age=31536000"),
        ("a.txt", {"cache_for": 60}, "Cache-Control", "public, max-age=60"),
        ("a.txt", {}, "Content-Type", "text/plain; charset=utf-8"),
        ("a.html", {}, "Content-Disposition", "attachment; filename=a.html"),
        ("a.html", {"as_attachment": False}, "Content-Disposition", "inline; filename=a.html"),
        ("a.txt", {"as_attachment": True}, "Content-Disposition", "attachment; filename=a.txt"),
        ("a.txt", {"as_attachment": True, "download_name": "b"}, "Content-Disposition", "attachment; filename=b"),
    ],
)
def test_send_file_passes_its_options_on(
    mongo: PyMongo, app: Flask, name: str, options: dict[str, Any], header: str, value: str
) -> None:
    mongo.save_file(name, io.BytesIO(b"x"))
    with app.test_request_context():
        answer = mongo.send_file(name, **options)
        assert isinstance(answer, app.response_class)
        assert answer.headers[header].replace('"', "") == value
        answer.close()


def test_send_file_gives_the_app_s_own_response_class(mongo: PyMongo, app: Flask) -> None:
    class Own(Response):
        pass

    app.response_class = Own
    mongo.save_file("a", io.BytesIO(b"x"))
    with app.test_request_context():
        assert type(mongo.send_file("a")) is Own


class TestSaveFileRefuses:
    @pytest.mark.parametrize(
        ("name", "data", "status"),
        [
            ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(92), 200),
            ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(93), 413),
            ("a.png", b"<html><script>alert(1)</script>", 415),
            ("a.html", b"\x89PNG\r\n\x1a\n", 415),
            ("a.txt", b"x", 415),
            ("a.svg", b"<svg/>", 200),
        ],
    )
    def test_a_view_answers_by_itself(self, app: Flask, mongo: PyMongo, name: str, data: bytes, status: int) -> None:
        @app.post("/")
        def save() -> str:
            return str(mongo.save_file(name, io.BytesIO(data), types=["image/*"], max_size=100))

        assert app.test_client().post("/").status_code == status
        assert mongo.db["fs.files"].count_documents({}) == mongo.db["fs.chunks"].count_documents({}) == (status == 200)

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"types": "image/*"}, TypeError),
            ({"types": ["image"]}, ValueError),
            ({"max_size": "1"}, TypeError),
            ({"expires_at": "tomorrow"}, TypeError),
        ],
    )
    def test_arguments(self, mongo: PyMongo, arguments: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error, match=next(iter(arguments))):
            mongo.save_file("a", io.BytesIO(b""), **arguments)
