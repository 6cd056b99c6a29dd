"""What the tests stand on: a real mongod, mongomock beside it, and a real WSGI server where the wire matters."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pymongo
import pytest
from flask import Flask

from examples import mongod as server
from flask_gridfs_pymongo import PyMongo

ROOT = Path(__file__).parent.parent


def missing(reason: str) -> None:
    """Skip on a user's machine; in CI nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a MongoDB server, without a database name: ``mongodb://host:port``."""
    with ExitStack() as stack:
        address = os.environ.get("MONGO_URI")
        if address is None:
            try:
                server.find()
            except SystemExit as error:
                missing(str(error))
            address = f"mongodb://127.0.0.1:{stack.enter_context(server.running(tmp_path_factory.mktemp('mongod')))}"
        yield address.rstrip("/")


@pytest.fixture
def uri(mongod: str) -> Iterator[str]:
    """The URI of a database that is new, and gone after the test."""
    name = f"test_{uuid.uuid4().hex}"
    yield f"{mongod}/{name}"
    with pymongo.MongoClient(mongod) as client:
        client.drop_database(name)


@pytest.fixture(params=["mongod", "mongomock"])
def either_uri(request: pytest.FixtureRequest) -> str:
    """Like ``uri``, and once more in mongomock."""
    if request.param == "mongod":
        found: str = request.getfixturevalue("uri")
        return found
    return f"mongomock://localhost/test_{uuid.uuid4().hex}"


@pytest.fixture
def app() -> Flask:
    app = Flask("tests")
    app.testing = True
    return app


@pytest.fixture
def mongo(app: Flask, either_uri: str) -> Iterator[PyMongo]:
    """A PyMongo object of ``app``, on mongod and on mongomock."""
    mongo = PyMongo(app, uri=either_uri)
    yield mongo
    mongo.cx.close()


@pytest.fixture
def real(app: Flask, uri: str) -> Iterator[PyMongo]:
    """A PyMongo object of ``app`` on mongod alone."""
    mongo = PyMongo(app, uri=uri)
    yield mongo
    mongo.cx.close()


@contextmanager
def start_gunicorn(application: str, log: Path, *options: str, **environ: str) -> Iterator[str]:
    """Run gunicorn with threads on a port that the system chose, warnings being errors; gives its address."""
    command = [sys.executable, "-W", "error", "-m", "gunicorn", "-b", "127.0.0.1:0", "-k", "gthread", "--threads", "8"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, *options, application], cwd=ROOT, env={**os.environ, **environ}, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield _listening(process, log)
        finally:
            process.terminate()


Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve("tests.live:create_app()", *options, NAME="value")`` runs gunicorn and gives its address."""
    with ExitStack() as stack:

        def start(application: str, *options: str, **environ: str) -> str:
            log = tmp_path / f"gunicorn-{uuid.uuid4().hex}.log"
            return stack.enter_context(start_gunicorn(application, log, *options, **environ))

        yield start


def _listening(process: subprocess.Popen[bytes], log: Path) -> str:
    with log.open() as lines:
        while process.poll() is None:
            line = lines.readline()
            if "Listening at: " in line:
                return line.split("Listening at: ")[1].split()[0]
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the gallery, started as the README starts it: on a mongod of its own."""
    try:
        server.find()
    except SystemExit as error:
        missing(str(error))
    folder = tmp_path_factory.mktemp("gallery")
    environ = {name: value for name, value in os.environ.items() if name != "MONGO_URI"}
    with subprocess.Popen(
        [sys.executable, "-m", "examples.gallery"],
        cwd=ROOT,
        env={**environ, "PORT": "0", "GALLERY_DATA": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = next((line for line in process.stdout if "http://" in line), None)
        assert address is not None, "the gallery did not start"
        yield address.split()[4]
        process.terminate()
        assert process.wait(30) == 0
    assert not list(folder.glob("mongod.lock")) or (folder / "mongod.lock").read_text() == "", "mongod was not stopped"
