"""cache/memory.py, and the small files that are kept there."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.cache import Memory

from ..conftest import Commands, everyone

KIB = 1024
Options = dict[str, Any]


class TestMemory:
    def test_it_is_bounded_and_what_was_used_last_stays(self) -> None:
        memory = Memory(640 * KIB)
        for n in range(1000):
            memory.put(n, bytes(9 * KIB), 9 * KIB)
            assert memory.get(0)
        kept = [n for n in range(1000) if memory.get(n)]
        assert kept == [0, *range(1000 - len(kept) + 1, 1000)]
        assert 60 <= len(kept) <= 71

    def test_a_value_replaces_and_is_dropped(self) -> None:
        memory = Memory(640 * KIB)
        for _ in range(1000):
            memory.put("a", b"old", 9 * KIB)
        memory.put("b", b"other", 9 * KIB)
        memory.put("a", b"new", 3)
        assert (memory.get("a"), memory.get("b")) == (b"new", b"other")
        memory.drop("a")
        memory.drop("a")
        assert memory.get("a") is None

    def test_what_is_too_large_is_not_kept_and_drives_nothing_out(self) -> None:
        memory = Memory(640 * KIB)
        memory.put("a", b"x", 1)
        memory.put("b", b"old", 1)
        memory.put("b", bytes(11 * KIB), 11 * KIB)
        assert (memory.get("a"), memory.get("b")) == (b"x", None)
        none = Memory(0)
        none.put("a", b"", 0)
        assert none.get("a") is None

    def test_threads_may_share_it(self) -> None:
        memory = Memory(100 * KIB)

        def work(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(3000):
                key = chance.randrange(200)
                assert memory.get(key) in (None, key)
                chance.choice([memory.drop, lambda key: memory.put(key, key, 1 + key)])(key)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        kept = [key for key in range(200) if memory.get(key) is not None]
        assert sum(512 + 1 + key for key in kept) == 100 * KIB - memory._left <= 100 * KIB

    def test_threads_that_put_the_same_key_are_counted_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        memory = Memory(100 * KIB)
        lock, others = memory._lock, [b"other"]

        class Meanwhile:
            """Whenever the lock is free, another thread comes in between."""

            def __enter__(self) -> None:
                lock.acquire()

            def __exit__(self, *error: object) -> None:
                lock.release()
                if others:
                    memory.put("a", others.pop(), 1000)

        monkeypatch.setattr(memory, "_lock", Meanwhile())
        memory.put("a", b"own", 1000)
        assert 100 * KIB - memory._left == 1000 + 512


@pytest.fixture
def make(uri: str, commands: Commands) -> Iterator[Callable[..., FlaskClient]]:
    """``make(**options)`` gives a client of a blueprint, over a PyMongo object with these options."""
    made: list[PyMongo] = []

    def make(authorize: Any = everyone, **options: Any) -> FlaskClient:
        app = Flask("tests")
        made.append(PyMongo(app, uri=uri, event_listeners=[commands], **options))
        app.register_blueprint(made[-1].uploads_blueprint(url_prefix="/uploads", authorize=authorize))
        app.register_blueprint(made[-1].uploads_blueprint("second", url_prefix="/second", base="b", authorize=everyone))
        return app.test_client()

    yield make
    for mongo in made:
        mongo.cx.close()


def sent_for(client: FlaskClient, commands: Commands, url: str, content: bytes) -> list[str]:
    commands.sent.clear()
    answer = client.get(url)
    assert (answer.status_code, answer.data) == (200, content)
    return list(commands.sent)


@pytest.mark.parametrize(
    ("setting", "constructed", "initialized", "expected"),
    [
        (None, None, None, 16 * KIB * KIB),
        ("1024", None, None, 1024),
        (1024, 2048, None, 2048),
        (1024, 2048, 0, 0),
        (0, None, None, 0),
    ],
)
def test_the_nearest_setting_counts(
    setting: Any, constructed: int | None, initialized: int | None, expected: int
) -> None:
    app = Flask("tests")
    app.config["MONGO_MEMORY_CACHE"] = setting
    PyMongo(memory_cache=constructed).init_app(app, memory_cache=initialized)
    assert app.extensions["pymongo"]["MONGO"].settings.memory_cache == expected


@pytest.mark.parametrize(("wrong", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_wrong_size_is_named(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^memory_cache must be"):
        PyMongo(Flask("tests"), memory_cache=wrong)


class TestSmallFiles:
    def test_only_their_document_is_asked_for(self, make: Callable[..., FlaskClient], commands: Commands) -> None:
        client = make()
        permanent = client.put("/uploads/a", data=b"content").headers["Content-Location"]
        for url in ("/uploads/a", permanent):
            assert sent_for(client, commands, url, b"content") == ["aggregate"]
            assert sent_for(client, commands, url, b"content") == ["find"]

    @pytest.mark.parametrize(
        ("options", "size"), [({"memory_cache": 0}, 7), ({}, 256 * KIB), ({"memory_cache": 64 * KIB}, KIB)]
    )
    def test_large_ones_and_those_for_which_there_is_no_room_are_not_kept(
        self, make: Callable[..., FlaskClient], commands: Commands, options: Options, size: int
    ) -> None:
        client = make(**options)
        client.put("/uploads/a", data=bytes(size))
        for _ in range(2):
            assert "aggregate" in sent_for(client, commands, "/uploads/a", bytes(size))

    def test_what_is_served_is_what_is_stored(self, make: Callable[..., FlaskClient]) -> None:
        """In two processes' place are two clients, one of which changes what the other one keeps."""
        client, other = make(), make()

        def see(url: str = "/uploads/a") -> tuple[int, bytes, str]:
            answer = client.get(url)
            return answer.status_code, answer.data, answer.content_type

        other.put("/uploads/a", data=b"first", content_type="text/plain")
        first = other.get("/uploads/a?details&format=json").json["permanent_url"]
        for _ in range(2):
            assert see() == see(first)
            assert see()[:2] == (200, b"first")
        other.put("/uploads/a", data=b"other")
        for _ in range(2):
            assert see()[:2] == (200, b"other")
            assert see(first)[:2] == (200, b"first")
        other.put("/second/a", data=b"b, not fs")
        assert see("/second/a")[:2] == (200, b"b, not fs")
        assert other.delete("/uploads/a").status_code == 204
        assert see()[0] == see(first)[0] == 404
        other.put("/uploads/a", data=b"again")
        assert see()[:2] == (200, b"again")
        assert see(first)[0] == 404

    def test_another_tool_may_write_the_same_id_anew(self, mongo: PyMongo, make: Callable[..., FlaskClient]) -> None:
        client, date = make(), datetime(2020, 1, 1, tzinfo=UTC)
        for content in (b"one", b"four"):
            for collection in (mongo.db.fs.chunks, mongo.db.fs.files):
                collection.delete_many({})
            document = {"_id": 1, "filename": "a", "length": len(content), "chunkSize": 9, "uploadDate": date}
            mongo.db.fs.files.insert_one(document)
            mongo.db.fs.chunks.insert_one({"files_id": 1, "n": 0, "data": content})
            for _ in range(2):
                assert client.get("/uploads/a").data == content

    def test_authorize_is_asked_each_time(self, make: Callable[..., FlaskClient]) -> None:
        allowed = [True]
        client = make(lambda action, filename: allowed[0])
        permanent = client.put("/uploads/a", data=b"content").headers["Content-Location"]
        for url in ("/uploads/a", permanent):
            for allowed[0], status in ((True, 200), (True, 200), (False, 403)):
                answer = client.get(url)
                assert (answer.status_code, b"content" in answer.data) == (status, allowed[0])
            allowed[0] = True

    def test_a_process_that_was_forked_has_its_own(self, make: Callable[..., FlaskClient]) -> None:
        """Also where a thread of its parent used the parent's just then."""
        client = make()
        client.put("/uploads/a", data=b"content")
        client.get("/uploads/a")
        (state,) = client.application.extensions["pymongo"].values()
        with state.connection._memory._lock, state.connection._types._lock:
            child = os.fork()
            if not child:
                os._exit(client.get("/uploads/a").data != b"content")
            assert os.waitpid(child, 0)[1] == 0
