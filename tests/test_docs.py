"""README.rst and docs/: every command and code block does what it says there.

A page is played from top to bottom in a folder of its own, beside the application of docs/quickstart.rst. A block
whose first line names a file is written to it, other Python is an application to be loaded, a console block is run, and
what it prints is compared. Blocks in other languages have a name, by which a test of their own finds them.
"""

from __future__ import annotations

import dataclasses
import doctest
import importlib.util
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bson.objectid import ObjectId
from flask import Flask

import flask_gridfs_pymongo
from flask_gridfs_pymongo import PyMongo, config, images, signals
from flask_gridfs_pymongo.decoder import pool
from flask_gridfs_pymongo.http import filenames, metadata, ranges, tus
from flask_gridfs_pymongo.service import bodies, options
from flask_gridfs_pymongo.service.options import Options
from flask_gridfs_pymongo.store import Bucket, collections, dav
from flask_gridfs_pymongo.store import locks as stored_locks
from flask_gridfs_pymongo.store.indexes import INDEXES
from flask_gridfs_pymongo.store.listing import in_folder
from flask_gridfs_pymongo.store.listing import page as listing
from flask_gridfs_pymongo.store.reading import ReadOnlyBucket
from flask_gridfs_pymongo.uploads.read import archive
from flask_gridfs_pymongo.uploads.write import bulk
from flask_gridfs_pymongo.uploads.write import metadata as patch
from flask_gridfs_pymongo.webdav import folders, locks

from .conftest import serving
from .helpers.blocks import PAGES, ROOT, Block, blocks, named
from .helpers.docs import close
from .helpers.servers import running

TEXT = "".join(path.read_text() for path in PAGES.values())
TESTS = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
SET_UP = re.compile(r"python3 -m venv |\. \.venv/|(?:\.venv/bin/)?pip install ")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NOX = (ROOT / "noxfile.py").read_text()
SESSIONS = {*re.findall(r"^def (\w+)\(session", NOX, re.MULTILINE)}


class Play:
    """A page that is played."""

    def __init__(self, folder: Path, uri: str, stack: ExitStack, request: pytest.FixtureRequest) -> None:
        self.folder, self.uri, self.stack, self.request = folder, uri, stack, request
        self.database = uri.rpartition("/")[2]
        self.addresses: dict[str, str] = {}
        self.served: str | None = None
        for block in blocks("docs/quickstart.rst"):
            if block.file == "app.py":
                self.write(block)

    def own(self, text: str) -> str:
        return text.replace("mongodb://localhost/shop", self.uri)

    def write(self, block: Block) -> None:
        assert block.file
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.own(block.text))
        self.addresses.clear()

    def app(self, name: str = "app") -> Flask:
        """The application in a file, as ``flask --app NAME`` finds it."""
        path = self.folder / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"page_{name}", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        self.stack.callback(sys.modules.pop, spec.name, None)
        spec.loader.exec_module(module)
        app: Flask = module.app if hasattr(module, "app") else module.create_app()
        self.stack.callback(close, app)
        return app

    def run(self, command: str, expected: str) -> None:
        if SET_UP.match(command):
            for package, extras in re.findall(r"(flask-gridfs-pymongo|-e '\.)(?:\[([\w,]+)\])?", command):
                assert package
                assert EXTRAS.keys() >= {*filter(None, extras.split(","))}
            return
        if match := re.fullmatch(r"flask (?:--app (\w+) )?run(?: --port (\d+))?", command):
            self.addresses[match[2] or "5000"] = self.stack.enter_context(serving(self.app(match[1] or "app")))
            return
        if command.startswith("python -m flask_gridfs_pymongo "):
            self.serve(shlex.split(self.own(command))[2:], expected)
            return
        for port in re.findall(r"127\.0\.0\.1:(500\d)", command):
            if port not in self.addresses:
                self.addresses[port] = self.stack.enter_context(serving(self.app()))
            command = command.replace(f"http://127.0.0.1:{port}", self.addresses[port])
        if "127.0.0.1:8000" in command:
            served = self.served or self.request.getfixturevalue("gallery")
            command = command.replace("http://127.0.0.1:8000/", served)
        if command.startswith("flask gridfs ") and not set(command) & set("|<>"):  # a process of its own takes a second
            result = self.app().test_cli_runner().invoke(args=shlex.split(self.own(command))[1:])
            printed, errors = result.stdout, result.stderr
        else:
            bash = ["bash", "-c", command]
            run = subprocess.run(bash, cwd=self.folder, env=environ(), capture_output=True, text=True, timeout=60)
            printed, errors = run.stdout, run.stderr
        printed = printed.replace("\r\n", "\n").replace(self.database, "shop")
        assert doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS), (command, printed, errors)

    def serve(self, words: list[str], expected: str) -> None:
        """The package's own server, on a port that is free."""
        files = {path.name: str(path) for path in self.folder.iterdir()}
        log = self.folder / "log"
        command = (sys.executable, "-m", *(files.get(word, word) for word in words))
        address, _ = self.stack.enter_context(running(command, log, PORT="0"))
        self.served = f"http://{address}/"
        assert log.read_text().replace(address, "127.0.0.1:8000").replace(str(self.folder) + "/", "") == expected

    def load(self, block: Block) -> None:
        """An application whose files are not there: each of its pages answers."""
        namespace: dict[str, Any] = {"__name__": "page"}
        exec(self.own(block.text), namespace)  # noqa: S102
        app = namespace["app"]
        self.stack.callback(close, app)
        rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
        rules = [rule for rule in rules if "link_token" not in rule.arguments]
        assert rules
        # What a snippet leaves to the defaults is at localhost:27017; here it is at the tests' server.
        for state in app.extensions["pymongo"].values():
            state.settings.options["host"] = self.uri
            state.settings.options.pop("port", None)
        hosts = app.config["TRUSTED_HOSTS"] or ["localhost"]
        for rule in rules:
            url = rule.rule.replace("<path:filename>", "none").replace("<ObjectId:task_id>", "4cf139def4b6a1134c4ea6c4")
            answer = app.test_client().get(url, base_url=f"http://{hosts[0]}")
            assert answer.status_code == (200 if url.endswith("/") else 404)


def environ() -> dict[str, str]:
    """Where ``flask``, ``python`` and this package are."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    plain = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **plain}


@pytest.fixture
def play(tmp_path: Path, uri: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        yield Play(tmp_path, uri, stack, request)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_a_page_does_what_it_says(page: str, play: Play) -> None:
    for block in blocks(page):
        if block.file:
            play.write(block)
        elif block.name:
            assert block.name in ("demo", "gallery", "tests") or f'named("{block.name}")' in TESTS
        elif block.language == "console":
            for step in block.steps:
                play.run(*step)
        else:
            assert block.language == "python", "a block in this language needs a name, and a test"
            play.load(block)


def test_no_block_is_missed() -> None:
    for page, path in PAGES.items():
        text = path.read_text()
        assert len(blocks(page)) == text.count("code-block::"), page
        assert re.findall(r"^(?!\.\. ).*::$", text, re.MULTILINE) == [], page


@pytest.mark.parametrize("name", ["gallery", "tests"])
def test_a_set_up_command_is_one_line(name: str) -> None:
    """.ci/run runs them as they stand."""
    assert re.fullmatch(r"\$ python3 -m venv [^\n]+\n", named(name))


def test_the_commands_for_one_test() -> None:
    test, nox = (command for command, _ in Block("console", "", named("one-test")).steps)
    *_, module, _, part = test.split()
    assert re.search(rf"def test_\w*{part}", (ROOT / module).read_text())
    assert SESSIONS.issuperset(nox.removeprefix("nox -s ").split())


def test_ci_runs_every_session() -> None:
    """``fast`` is a part of ``tests``, which README's own command runs."""
    ci = "".join((ROOT / name).read_text() for name in (".ci/run", ".github/workflows/ci.yml"))
    called = {name for line in re.findall(r"nox -s ([\w ]+)", ci) for name in line.split()}
    assert called | {"tests"} == SESSIONS


def test_the_loop_leaves_out_all_marks() -> None:
    own = re.findall(r'^    "(\w+): ', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    *loop, (others, _) = Block("console", "", named("loop")).steps
    assert all(command.split()[2] in SESSIONS for command, _ in loop)
    fast = re.search(r'FAST = "(.*)"', NOX)
    assert fast
    assert re.findall(r"not (\w+)", fast[1]) == own
    ci = (ROOT / ".ci" / "run").read_text()
    assert others in ci
    assert "pytest -m slow" in ci


def test_the_shard_key_is_that_of_the_chunks() -> None:
    keys = dict(re.findall(r"(\w+): (\d)", named("sharding")))
    assert [list(index.keys) for index in INDEXES if index.collection == "chunks"] == [
        [(field, int(direction)) for field, direction in keys.items()]
    ]


def test_every_page_is_linked() -> None:
    index = PAGES["docs/index.rst"].read_text()
    pages = [path.stem for page, path in PAGES.items() if page.startswith("docs/") and path.stem != "index"]
    assert sorted(re.findall(r"^   (\w+)$", index, re.MULTILINE)) == sorted(pages)


def test_the_versions_are_those_of_the_package() -> None:
    extras = [one for name, extra in EXTRAS.items() if name not in ("docs", "test") for one in extra]
    needed = [one.split(">=") for one in (*PROJECT["dependencies"], *extras) if ">=" in one]
    assert len(needed) == 10
    page = PAGES["docs/running.rst"].read_text()
    assert [name for name, least in needed if f"{name} {least},".lower() not in " ".join(page.lower().split())] == []
    python = [PROJECT["requires-python"].removeprefix(">=")]
    assert {*re.findall(r"Python ([\d.]+) or later", TEXT)} == {*re.findall(r"Python ([\d.]+) to ", page)} == {*python}


def test_every_public_name_is_in_the_api() -> None:
    api = PAGES["docs/api.rst"].read_text()
    names = [*flask_gridfs_pymongo.__all__, *(name.replace("-", "_") for name in signals._signals)]
    assert [name for name in names if not re.search(rf"\b{name}\b", api)] == []


def test_every_method_of_a_bucket_is_in_the_api() -> None:
    listed = re.search(r"store\.Bucket\(\)\n   :members: (.*)", PAGES["docs/api.rst"].read_text())
    assert listed
    assert listed[1].split(", ") == [name for name in [*vars(ReadOnlyBucket), *vars(Bucket)] if name[0] != "_"]


def test_every_promise_has_its_test() -> None:
    promised = re.findall(r"``(test_\w+)``", TEXT)
    assert len(promised) > 10
    assert [name for name in promised if f"def {name}(" not in TESTS] == []


def test_every_block_of_every_template_is_documented() -> None:
    rows = re.findall(r"^``(\w+\.html)`` (.*)$", PAGES["docs/pages.rst"].read_text(), re.MULTILINE)
    folder = ROOT / "flask_gridfs_pymongo" / "templates" / "flask_gridfs_pymongo"
    assert sorted(name for name, _ in rows) == sorted(path.name for path in folder.iterdir())
    basic = set(re.findall(r"{%-? block (\w+)", (folder / "base.html").read_text()))
    for name, text in rows:
        own = set(re.findall(r"{%-? block (\w+)", (folder / name).read_text()))
        assert (own if name == "base.html" else own - basic) == set(re.findall(r"``(\w+)``", text)), name


def test_every_picture_and_file_is_there() -> None:
    for path in PAGES.values():
        text = path.read_text()
        linked = re.findall(r"(?:image|include|literalinclude):: (\S+)|<((?!https?:)[\w/.-]+\.\w+)>", text)
        assert [name for pair in linked if (name := "".join(pair)) and not (path.parent / name).is_file()] == []


def test_every_argument_and_setting_is_documented() -> None:
    arguments = [*inspect.signature(PyMongo.uploads_blueprint).parameters][2:]
    known = (*config._WITHOUT_URI, *config._WITH_URI_TOO, *config._OUR_SETTINGS, "URI", "DBNAME")
    settings = [f"MONGO_{suffix}" for suffix in known]
    assert [name for name in (*arguments, *settings) if f"``{name}``" not in TEXT] == []


SEARCHED = {
    "thumbnail": "pictures",
    "resize": "pictures",
    "S3": "s3",
    "presigned": "s3",
    "multipart": "uploading",
    "chunk": "storage",
    "resumable": "uploading",
    "attachment": "serving",
    "quota": "limits",
    "permission": "access",
    "timeout": "limits",
    "async": "asgi",
    "login": "access",
    "proxy": "running",
}


def test_the_words_that_people_search_lead_to_a_page() -> None:
    """Sphinx's search finds index entries."""
    for word, page in SEARCHED.items():
        entries = " ".join(re.findall(r"^\.\. index:: (.*)$", PAGES[f"docs/{page}.rst"].read_text(), re.MULTILINE))
        assert word in re.split(r",? ", entries), word


def test_coming_from_flask_pymongo(uri: str) -> None:
    """Each of the two applications serves what the other one has stored, at the same URLs."""
    task = ObjectId()
    apps = []
    for text in (named("flask-pymongo-before"), named("flask-pymongo-after")):
        namespace: dict[str, Any] = {"__name__": "page"}
        exec(text.replace("mongodb://localhost/shop", uri), namespace)  # noqa: S102
        apps.append(namespace)
    apps[1]["mongo"].db.tasks.insert_one({"_id": task, "title": "Buy milk"})
    clients = [namespace["app"].test_client() for namespace in apps]
    for number, client in enumerate(clients):
        sent = client.post(f"/files/{number}.txt", data={"file": (io.BytesIO(b"Buy milk"), "x")})
        assert (sent.status_code, sent.location) == (302, f"/files/{number}.txt")
    for target in ("/files/0.txt", "/files/1.txt", f"/tasks/{task}", f"/tasks/{ObjectId()}", "/files/none"):
        old, new = (client.get(target) for client in clients)
        assert (new.status_code, new.mimetype) == (old.status_code, old.mimetype), target
        assert old.status_code == 404 or (new.json if new.is_json else new.data) == (
            old.json if old.is_json else old.data
        )
    for namespace in apps:
        namespace["mongo"].cx.close()


def test_coming_from_s3(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 is replaced by what its two calls do."""
    stored: dict[str, bytes] = {}
    s3 = SimpleNamespace(
        upload_fileobj=lambda file, bucket, key: stored.update({key: file.read()}),
        generate_presigned_url=lambda call, names, ExpiresIn: f"https://photos.example/{names['Key']}?X-Amz-Signature=",
    )
    monkeypatch.setitem(sys.modules, "boto3", cast(Any, SimpleNamespace(client=lambda service: s3)))
    for text in (named("s3-before"), named("s3-after")):
        namespace: dict[str, Any] = {"__name__": "page"}
        exec(text.replace("mongodb://localhost/shop", uri), namespace)  # noqa: S102
        client = namespace["app"].test_client()
        sent = client.post("/photos/a.txt", data={"file": (io.BytesIO(b"Buy milk"), "x")})
        assert (sent.status_code, sent.location) == (302, "/links/a.txt")
        link = client.get(sent.location)
        assert link.status_code == 302
    assert stored == {"a.txt": b"Buy milk"}
    assert client.get(link.location).data == b"Buy milk"
    assert client.get("/stored/a.txt").status_code == 403
    namespace["mongo"].cx.close()


def test_the_limits_are_those_of_the_code() -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(Options)}
    rows = dict(re.findall(r"^(\S.*?) {2,}([\d,]+) {2,}", PAGES["docs/limits.rst"].read_text(), re.MULTILINE))
    for name, value in {
        "files and fields in a form": defaults["max_form_parts"],
        "bytes in a text field of a form": defaults["max_form_memory_size"],
        "bytes in a patch of metadata": patch._MAX_BODY_BYTES,
        "bytes in a name": filenames.MAX_NAME_BYTES,
        "bytes in a text of metadata": metadata._MAX_TEXT_BYTES,
        "texts in a list of metadata": metadata._MAX_TEXTS,
        "characters in ``Upload-Metadata`` (tus)": tus._MAX_METADATA,
        "bytes in a request of our page (tus)": options._SLICE,
        "unfinished uploads in a bucket": defaults["max_uploads"],
        "seconds that an upload waits to be resumed": int(defaults["upload_expires"]),
        "seconds that the body of an upload may take": defaults["upload_timeout"],
        "seconds that ``inspect`` may take": defaults["inspect_timeout"],
        "seconds for a small body": bodies.SMALL_TIMEOUT,
        "seconds for the rest of a refused body": bodies.DRAIN_TIMEOUT,
        "ranges in a request": ranges.MAX_RANGES,
        "names in a folder in natural order": in_folder.MAX_SORTED,
        "files in a ZIP archive": archive.MAX_FILES,
        "files and folders in a selection": bulk.MAX_SELECTED,
        "files in the folders of a selection": bulk.MAX_FILES,
        "pixels of a picture": images.LIMITS["pixels"],
        "pixels of a baseline JPEG": images.LIMITS["baseline"],
        "bytes of a picture": images.LIMITS["bytes"],
        "seconds for what a listing does not show": listing._BUDGET,
        "pixels on a side of a variant": images._MAX_SIDE,
        "seconds for making a variant": int(pool.TIMEOUT),
        "names in a folder of the drive": folders.MAX_NAMES,
        "locks of the drive in a bucket": stored_locks.MAX_LOCKS,
        "seconds of a lock of the drive": locks.MAX_LOCK_TIMEOUT,
        "empty folders of a client of the drive": dav.MAX_FOLDERS,
        "properties of a file of the drive": dav.MAX_PROPERTIES,
        "bytes of properties of a file of the drive": dav.MAX_PROPERTIES_SIZE,
        "bytes in memory for small files": config.Settings.memory_cache,
        "seconds that a write waits for a majority": collections._WRITE_TIMEOUT,
    }.items():
        assert rows[name] == f"{value:,}", name
