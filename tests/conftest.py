"""What the tests stand on: a real mongod, and a real WSGI server where the wire matters."""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

import pymongo
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from pymongo import monitoring
from pymongo.database import Database
from werkzeug.serving import make_server

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.decoder import pool
from flask_gridfs_pymongo.serve import mongod as server
from flask_gridfs_pymongo.store import Bucket, StoredFile

from .helpers.pages import note_errors
from .helpers.replica import ReplicaSet, in_memory, replica_set, standalone
from .helpers.servers import PYTHON, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent
# Each program that a test starts would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
_CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def seeds(count: int) -> list[Any]:
    """Parameters of a random test, of which all but the first are slow."""
    return [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, count))]


def missing(reason: str) -> NoReturn:
    """Skip on a user's machine; in CI nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


_ADDRESS = pytest.StashKey[str]()


def _mongod(config: pytest.Config) -> str | None:
    """The address of the one server of this run; xdist's workers get it from the process that started them."""
    if hasattr(config, "workerinput"):
        return config.workerinput["mongod"]  # type: ignore[no-any-return]
    if _ADDRESS not in config.stash:
        address = os.environ.get("MONGO_URI")
        if address is None or "MONGOD" in os.environ:
            try:
                server.find()
            except SystemExit:
                return None
            stack = ExitStack()
            config.add_cleanup(stack.close)
            address = f"mongodb://{stack.enter_context(standalone()).address}"
        config.stash[_ADDRESS] = address.rstrip("/")
    return config.stash[_ADDRESS]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes a browser; and files that take long come first, so that no worker ends alone with one."""
    long = {ROOT / "tests" / "store", ROOT / "tests" / "system"}
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    items.sort(key=lambda item: long.isdisjoint(item.path.parents))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["mongod"] = _mongod(node.config)


@pytest.fixture(scope="session")
def mongod(pytestconfig: pytest.Config) -> str:
    """The address of a MongoDB server, without a database name: ``mongodb://host:port``."""
    return _mongod(pytestconfig) or missing(server.ADVICE)


@pytest.fixture(scope="session")
def administrator(mongod: str) -> Iterator[pymongo.MongoClient[Any]]:
    """A client that drops what tests have made."""
    with pymongo.MongoClient[Any](mongod) as client:
        yield client


@dataclass
class Shared:
    """A database for one test after the other, as making and dropping one takes longer than most tests do."""

    database: Database[Any]
    indexes: dict[str, Any]

    def empty(self) -> None:
        """Delete all documents, and drop each collection that is not a bucket's with its usual indexes."""
        for found in self.database.list_collections():
            collection = self.database[found["name"]]
            if (
                found["options"]
                or found["type"] == "view"
                or self.indexes.get(collection.name) != collection.index_information()
            ):
                collection.drop()
            else:
                collection.delete_many({})


@pytest.fixture(scope="session")
def shared(administrator: pymongo.MongoClient[Any]) -> Iterator[Shared]:
    database = administrator[f"test_{uuid.uuid4().hex}"]
    Bucket(database).collections.indexes.ensure()
    yield Shared(database, {name: database[name].index_information() for name in ("fs.files", "fs.chunks")})
    administrator.drop_database(database)


@pytest.fixture
def uri(mongod: str, shared: Shared) -> Iterator[str]:
    """The URI of a database without documents, in which the bucket ``fs`` has its indexes."""
    yield f"{mongod}/{shared.database.name}"
    shared.empty()


@pytest.fixture
def no_indexes(uri: str, shared: Shared) -> None:
    """The database of ``uri`` does not exist yet."""
    shared.database.client.drop_database(shared.database)


@pytest.fixture(scope="session", autouse=True)
def _templates_compiled_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))}


@pytest.fixture(scope="session", autouse=True)
def _decoders_ended() -> Iterator[None]:
    yield
    for child in (child for one in pool._POOLS.values() for child in one.idle):
        child.end()


@pytest.fixture
def app() -> Flask:
    app = Flask("tests")
    app.testing = True
    return app


@pytest.fixture
def mongo(app: Flask, uri: str) -> Iterator[PyMongo]:
    """A PyMongo object of ``app``."""
    mongo = PyMongo(app, uri=uri)
    yield mongo
    mongo.cx.close()


@pytest.fixture
def real(mongo: PyMongo) -> PyMongo:
    return mongo


@pytest.fixture
def store(mongo: PyMongo) -> Bucket:
    """The bucket ``fs`` of ``mongo``."""
    return Bucket(mongo.db)


@pytest.fixture
def real_store(store: Bucket) -> Bucket:
    return store


class Commands(monitoring.CommandListener):
    """The commands that were sent.

    :param act: called with each of them first
    """

    def __init__(self, act: Callable[[Any], object] = bool) -> None:
        self.all: list[Any] = []
        self.sent: list[str] = []
        """their names"""
        self._act = act

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self._act(event.command)
        self.all.append(event.command)
        self.sent.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


@pytest.fixture
def commands() -> Commands:
    return Commands()


def content(size: int) -> bytes:
    """So many bytes, the same ones each time."""
    return random.Random(size).randbytes(size)


def read(store: Bucket, file: StoredFile | None, *span: int) -> bytes:
    assert file is not None
    return b"".join(store.read(file, *span))


def put(store: Bucket, name: str, data: bytes) -> StoredFile:
    return store.save(name, io.BytesIO(data))


JSON, HTML = {"Accept": "application/json"}, {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BIG = random.Random(1).randbytes(400_000)
Client = Callable[..., FlaskClient]


def if_match(client: FlaskClient, url: str) -> dict[str, str]:
    """The field that names the version at *url*, for a change of it."""
    return {"If-Match": client.get(url).headers["ETag"]}


@pytest.fixture
def client(app: Flask, mongo: PyMongo) -> Client:
    """``client(**options)`` registers the blueprint with them and gives a client."""

    def make(**options: Any) -> FlaskClient:
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", **options))
        return app.test_client()

    return make


def everyone(action: str, filename: str | None) -> bool:
    return True


def form(*files: tuple[bytes, str | None], **fields: str) -> dict[str, Any]:
    return {**fields, "file": [(io.BytesIO(data), name) for data, name in files]}


def nothing_stored(mongo: PyMongo) -> bool:
    return not any(mongo.db[name].count_documents({}) for name in ("fs.files", "fs.chunks"))


@contextmanager
def start_gunicorn(application: str, log: Path, *options: str, **environ: str) -> Iterator[str]:
    """Run gunicorn with threads on a port that the system chose, warnings being errors; gives its address."""
    command = (*PYTHON, "gunicorn", "-b", "127.0.0.1:0", "-k", "gthread", "--threads", "8", *options, application)
    with running(command, log, **environ) as (address, _):
        yield f"http://{address}"


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Run Werkzeug's server in this process, where a test reaches the application; gives its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve("tests.helpers.live:create_app()", *options, NAME="value")`` runs gunicorn and gives its address."""
    with ExitStack() as stack:

        def start(application: str, *options: str, **environ: str) -> str:
            log = tmp_path / f"gunicorn-{uuid.uuid4().hex}.log"
            return stack.enter_context(start_gunicorn(application, log, *options, **environ))

        yield start


@pytest.fixture(scope="session")
def gallery() -> Iterator[str]:
    """The address of the gallery, started as the README starts it: on a mongod of its own."""
    try:
        server.find()
    except SystemExit as error:
        missing(str(error))
    environ = {name: value for name, value in os.environ.items() if name != "MONGO_URI"}
    with in_memory() as folder:
        with subprocess.Popen(
            [sys.executable, "-m", "flask_gridfs_pymongo", "--demo"],
            cwd=ROOT,
            env={**environ, "PORT": "0", "TMPDIR": folder},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            address = re.search(r"http://\S+/(?= )", process.stdout.readline() + process.stdout.readline())
            assert address is not None, "the gallery did not start"
            yield address[0]
            process.terminate()
            assert process.wait(30) == 0
        assert os.listdir(folder) == [], "the demo left something behind"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        missing("install Chromium (Debian: apt-get install chromium)")
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that lets no error on its console pass."""
    page = browser.new_page()
    errors: list[str] = []
    note_errors(page, errors)
    yield page
    page.close()
    assert errors == []


@pytest.fixture(scope="module")
def replicas() -> Iterator[ReplicaSet]:
    try:
        server.find()
    except SystemExit as error:
        missing(str(error))
    with replica_set() as found:
        yield found
