"""What a request costs: work that grows with its size and not faster, threads and memory that do not grow at all.

Work is counted, not timed: how many characters are normalised at once, which takes time that is their number squared.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import threading
import tracemalloc
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gridfs import GridFS
from pymongo.monitoring import CommandStartedEvent
from werkzeug.test import Client as WSGIClient
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo, mimetype
from flask_gridfs_pymongo.http.filenames import MAX_CHARACTERS
from flask_gridfs_pymongo.store import NewFile
from flask_gridfs_pymongo.store.listing import page as listing_page

from .conftest import HTML, JSON, ROOT, Client, Commands, everyone, form, nothing_stored

FILES = ("own", "other", "typed.txt")
# Round trips of what reads, of files that this package and others wrote: (method, URL, header fields, status, trips).
READ_TRIPS: dict[str, tuple[str, str, dict[str, str], int, int]] = {
    **{f"GET {name}": ("GET", name, {}, 200, 1) for name in FILES},
    **{f"304 {name}": ("GET", name, {"If-None-Match": "*"}, 304, 1) for name in FILES},
    **{f"HEAD {name}": ("HEAD", name, {}, 200, 1) for name in FILES},
    **{f"range {name}": ("GET", name, {"Range": "bytes=1-2"}, 206, 2) for name in FILES},
    **{f"GET ?version=0 {name}": ("GET", f"{name}?version=0", {}, 200, 2) for name in FILES},
    "304 ?version=-2": ("GET", "own?version=-2", {"If-None-Match": "*"}, 304, 2),
    "404": ("GET", "none", {}, 404, 2),
    "404 for a person": ("GET", "none", HTML, 404, 2),
    "404 HEAD": ("HEAD", "none", {}, 404, 2),
    "404 ?version=9": ("GET", "own?version=9", {}, 404, 1),
    **{f"?details {name}": ("GET", f"{name}?details", JSON, 200, 3) for name in FILES},
    "?details, a page": ("GET", "own.txt?details", HTML, 200, 4),
    "?versions": ("GET", "own?versions", JSON, 200, 3),
    "?versions, a page": ("GET", "own?versions", HTML, 200, 3),
}
MARKS = "a" + "\u0300" * 10_000 + "\u0316" * 10_000
CHARACTERS = len(MARKS)
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "0"}
HASHES = {"sha-256": "sha256", "sha-512": "sha512"}


@pytest.fixture
def stored(app: Flask, uri: str, commands: Commands) -> Iterator[FlaskClient]:
    """A client of a bucket with files of ours and of another tool, each of which was asked for once."""
    mongo = PyMongo(app, uri=uri, event_listeners=[commands])
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", authorize=everyone))
    uploads, other = app.test_client(), GridFS(mongo.cx.get_database(mongo.db.name))
    for name in ("own", "own", "own.txt"):
        uploads.put(f"/uploads/{name}", data=b"content")
    other.put(b"%PDF-1.7\n", filename="other", sha1="0" * 40)
    other.put(b"text", filename="typed.txt", contentType="text/plain", sha1="0" * 40)
    for name in FILES:
        assert uploads.get(f"/uploads/{name}").status_code == 200
    commands.sent.clear()
    yield uploads
    mongo.cx.close()


@pytest.mark.parametrize("case", READ_TRIPS)
def test_round_trips_of_what_reads(stored: FlaskClient, commands: Commands, case: str) -> None:
    method, path, headers, status, trips = READ_TRIPS[case]
    assert stored.open(f"/uploads/{path}", method=method, headers=headers).status_code == status
    assert len(commands.sent) == trips, commands.sent


@pytest.fixture
def normalised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of each text that is normalised."""
    lengths: list[int] = []
    normalize = unicodedata.normalize

    def counting(form: Any, text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", counting)
    return lengths


def little(normalised: list[int]) -> bool:
    """Whether no text was long, and all together were not longer than one such name."""
    return max(normalised, default=0) <= MAX_CHARACTERS and sum(normalised) <= CHARACTERS


@pytest.fixture
def counted(app: Flask, uri: str) -> Iterator[tuple[FlaskClient, list[str]]]:
    """A client of ``/uploads`` that has sent an upload of each kind, and the commands from then on."""
    commands = Commands()
    mongo = PyMongo(app, uri=uri, event_listeners=[commands])
    app.register_blueprint(
        mongo.uploads_blueprint(url_prefix="/uploads", authorize=everyone, metadata=["title"], upload_links=True)
    )
    http = app.test_client()
    for name in ("taken", "taken", "renamed", "copied", "deleted"):
        http.put(f"/uploads/{name}", data=b"content")
    http.post("/uploads/", headers={**TUS, "Upload-Metadata": f"filename {encoded('warm')}"})
    commands.sent.clear()
    yield http, commands.sent
    mongo.cx.close()


TUS_BODY = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


def created(http: FlaskClient, body: bytes = b"") -> str:
    """Create an upload of seven bytes, the first ones in *body*; returns its URL."""
    fields = (TUS_BODY if body else TUS) | {"Upload-Length": "7"}
    return http.post("/uploads/film", data=body, headers=fields).headers["Location"]


def ids_of(http: FlaskClient, *names: str) -> list[str]:
    return [http.get(f"/uploads/{name}?details", headers=JSON).json["id"] for name in names]


def linked(http: FlaskClient) -> str:
    """Make a link for uploads; returns its URL."""
    return http.post("/uploads/?links").json["url"]


def nothing(http: FlaskClient) -> None:
    """Nothing comes before."""


def patched(http: FlaskClient, url: str, offset: int, body: bytes) -> TestResponse:
    return http.patch(url, data=body, headers={**TUS_BODY, "Upload-Offset": str(offset)})


PATCH_TYPE = "application/merge-patch+json"
# How many commands a request sends at most. What has to come before it is not counted; its result is given to it.
TRIPS: dict[str, tuple[int, Callable[..., TestResponse], Callable[[FlaskClient], Any]]] = {
    "PUT, new": (3, lambda http: http.put("/uploads/new", data=b"x" * 10_000), nothing),
    "PUT, taken": (3, lambda http: http.put("/uploads/taken", data=b"x"), nothing),
    "PUT, If-None-Match": (
        4,
        lambda http: http.put("/uploads/new", data=b"x", headers={"If-None-Match": "*"}),
        nothing,
    ),
    "PUT of 5 MiB": (8, lambda http: http.put("/uploads/large", data=bytes(5 << 20)), nothing),
    "form": (3, lambda http: http.post("/uploads/", data=form((b"x", "new"))), nothing),
    "form of ten": (12, lambda http: http.post("/uploads/", data=form(*((b"x", str(n)) for n in range(10)))), nothing),
    "form, a name": (3, lambda http: http.post("/uploads/new", data=form((b"x", "x"))), nothing),
    "PUT by a link": (3 + 3, lambda http, url: http.put(f"{url}/new", data=b"x"), linked),
    "form of ten by a link": (
        12 + 3,  # to find the link, to take its places, and to count the files
        lambda http, url: http.post(url, data=form(*((b"x", str(n)) for n in range(10)))),
        linked,
    ),
    "DELETE of several": (
        4 + 2,  # to find the two that are named
        lambda http, ids: http.post("/uploads/?delete", data={"id": ids}),
        lambda http: ids_of(http, "taken", "deleted"),
    ),
    "move of several": (
        5 + 2,
        lambda http, ids: http.post("/uploads/?move=folder", data={"id": ids}),
        lambda http: ids_of(http, "renamed", "deleted"),
    ),
    "DELETE": (4, lambda http: http.delete("/uploads/deleted"), nothing),
    "DELETE of a version": (
        4,
        lambda http, ids: http.delete(f"/uploads/taken?id={ids[0]}"),
        lambda http: ids_of(http, "taken"),
    ),
    "tus create": (5, lambda http: http.post("/uploads/film", headers={**TUS, "Upload-Length": "7"}), nothing),
    "tus HEAD": (1, lambda http, url: http.head(url, headers=TUS), created),
    "tus PATCH": (3, lambda http, url: patched(http, url, 0, b"abc"), created),
    "tus last PATCH": (10, lambda http, url: patched(http, url, 3, b"defg"), lambda http: created(http, b"abc")),
    "tus creation with data": (
        14,
        lambda http: http.post("/uploads/film", data=b"abcdefg", headers={**TUS_BODY, "Upload-Length": "7"}),
        nothing,
    ),
    "copy": (7, lambda http: http.post("/uploads/copied?copy=copy"), nothing),
    "move": (7, lambda http: http.post("/uploads/renamed?move=moved"), nothing),
    "PATCH metadata": (
        4,
        lambda http: http.patch("/uploads/taken", data='{"title": "x"}', headers={"Content-Type": PATCH_TYPE}),
        nothing,
    ),
}


@pytest.mark.parametrize("request_of", TRIPS)
def test_round_trips(counted: tuple[FlaskClient, list[str]], request_of: str) -> None:
    """No guard is added unseen."""
    http, commands = counted
    most, ask, before = TRIPS[request_of]
    given = before(http)
    commands.clear()
    answer = ask(http) if given is None else ask(http, given)
    assert answer.status_code < 300, answer.text
    assert len(commands) <= most, commands


# The same of the drive: method, path, Depth.
DRIVE_TRIPS = {
    ("PROPFIND", "taken", "0"): 2,
    ("PROPFIND", "folder/", "1"): 4,
    ("GET", "taken", ""): 2,
    ("PUT", "new", ""): 7,
    ("PUT", "taken", ""): 7,
    ("DELETE", "taken", ""): 5,
}


@pytest.mark.parametrize(("method", "path", "depth"), DRIVE_TRIPS)
def test_round_trips_of_the_drive(app: Flask, uri: str, method: str, path: str, depth: str) -> None:
    commands = Commands()
    mongo = PyMongo(app, uri=uri, event_listeners=[commands])
    drive = WSGIClient(mongo.webdav_app(authorize=everyone))
    for name in ("taken", "taken", *(f"folder/{number}" for number in range(100))):
        mongo.save_file(name, io.BytesIO(b"x"))
    drive.put("/warm", data=b"x")
    commands.sent.clear()
    body, fields = b"x" if method == "PUT" else b"", {"Depth": depth} if depth else {}
    answer = drive.open(f"/{path}", method=method, data=body, headers=fields)
    assert answer.status_code < 300, answer.text
    assert len(commands.sent) <= DRIVE_TRIPS[method, path, depth], commands.sent
    mongo.cx.close()


def test_round_trips_of_folders_on_the_drive(app: Flask, uri: str) -> None:
    """Of 150 files, which are more than one batch of some kinds."""
    commands = Commands()
    mongo = PyMongo(app, uri=uri, event_listeners=[commands])
    drive = WSGIClient(mongo.webdav_app(authorize=everyone))
    mongo.bucket().save_many(NewFile(f"folder/{number}", [b"x"]) for number in range(150))
    trips = {}
    for method, path, target in (("COPY", "folder", "copy"), ("MOVE", "folder", "moved"), ("DELETE", "copy", "none")):
        commands.sent.clear()
        answer = drive.open(f"/{path}/", method=method, headers={"Destination": f"/{target}/"})
        assert answer.status_code in (201, 204), answer.text
        trips[method] = len(commands.sent)
    assert mongo.bucket().usage() == (150, 150, 150)
    assert all(trips[method] <= most for method, most in {"COPY": 18, "MOVE": 18, "DELETE": 18}.items()), trips
    mongo.cx.close()


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(
    ("method", "target", "named"),
    [
        ("PUT", "/uploads/{}", None),
        ("GET", "/uploads/{}", None),
        ("POST", "/uploads/{}", "a"),
        ("POST", "/uploads/", "{}"),
        ("POST", "/uploads/?folder={}/", "a"),
        ("GET", "/uploads/?folder={}/", None),
        ("GET", "/uploads/?q={}", None),
        ("GET", "/uploads/?prefix={}", None),
        ("GET", "/uploads/?cursor={}", None),
    ],
)
def test_a_long_name_costs_little(
    client: Client, normalised: list[int], method: str, target: str, named: str | None, allowed: bool
) -> None:
    """Normalised as it came it costs a hundred times as much as a harmless one, and stops all threads meanwhile."""
    uploads = client(authorize=lambda action, filename: allowed)
    data = form((b"x", named.format(MARKS))) if named else b"x" if method == "PUT" else None
    assert uploads.open(target.format(MARKS, MARKS), method=method, data=data).status_code < 500
    assert little(normalised)


def part(disposition: str) -> dict[str, Any]:
    body = f'--B\r\nContent-Disposition: form-data; name="file"; {disposition}\r\n\r\nx\r\n--B--\r\n'
    return {"method": "POST", "path": "/uploads/", "data": body, "content_type": "multipart/form-data; boundary=B"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# What else a text may come in, as far as the servers' and our own limits let it.
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "filename*": lambda text: part(f"filename*=UTF-8''{quote(text)}"),
    "RFC 2047": lambda text: part(f'filename="=?utf-8?B?{encoded(text)}?="'),
    "tus": lambda text: {
        "method": "POST",
        "path": "/uploads/",
        "headers": {**TUS, "Upload-Metadata": f"filename {encoded(text[:2900])}"},
    },
    "move": lambda text: {"method": "POST", "path": f"/uploads/a?move={quote(text)}"},
    "copy": lambda text: {"method": "POST", "path": "/uploads/a?copy", "data": {"to": text}},
    "move several": lambda text: {"method": "POST", "path": "/uploads/?move", "data": {"to": text, "id": "0" * 24}},
    "metadata": lambda text: {"method": "GET", "path": f"/uploads/?metadata.title={quote(text)}"},
    "X-Metadata": lambda text: {
        "method": "PUT",
        "path": "/uploads/b",
        "headers": {"X-Metadata-title": f"UTF-8''{quote(text)}"},
    },
    "PATCH": lambda text: {
        "method": "PATCH",
        "path": "/uploads/a",
        "data": json.dumps({"title": text}),
        "content_type": "application/merge-patch+json",
    },
}


def test_a_path_of_many_folders_asks_little(client: Client) -> None:
    """Its error page looks for a folder that may be listed."""
    asked: list[int] = []
    uploads = client(authorize=lambda action, filename: asked.append(len(filename or "")))
    assert uploads.get(f"/uploads/{'a/' * 8000}b", headers=HTML).status_code == 403
    assert 0 < sum(asked) < MAX_CHARACTERS**2


@pytest.mark.parametrize("place", PLACES)
def test_a_long_text_costs_little_in_any_other_place(
    client: Client, mongo: PyMongo, normalised: list[int], place: str
) -> None:
    uploads = client(authorize=everyone, metadata=["title"])
    mongo.save_file("a", io.BytesIO(b"x"))
    assert uploads.open(**PLACES[place](MARKS)).status_code < 500
    assert little(normalised)


def test_a_stored_name_costs_little_to_send(client: Client, mongo: PyMongo, normalised: list[int]) -> None:
    stored = mongo.save_file(f"sent {MARKS}", io.BytesIO(b"x"))
    assert client().get(f"/uploads/?id={stored}").status_code == 200
    assert normalised
    assert little(normalised)


class Form(io.RawIOBase):
    """The body of a form whose last part does not end; tells what is held when each part begins."""

    def __init__(self, count: int, size: int) -> None:
        head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="%d"\r\n\r\n'
        self._parts = (head % number + bytes(size) + b"\r\n" for number in range(count))
        self._part = b""
        self.threads: list[int] = []
        self.memory: list[int] = []

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._part and (part := next(self._parts, b"")):
            self.threads.append(sum(thread.name.startswith("gridfs-writer") for thread in threading.enumerate()))
            self.memory.append(tracemalloc.get_traced_memory()[0])
            self._part = part
        block, self._part = self._part[:size], self._part[size:]
        return block


@pytest.mark.parametrize("size", [1_040_000, 1_050_000])
def test_what_a_form_holds_does_not_grow_with_its_parts(app: Flask, real: PyMongo, size: int) -> None:
    """A part of more than four chunks has a thread while it comes."""
    app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads", authorize=everyone))
    body = Form(15, size)
    tracemalloc.start()
    try:
        environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_TYPE": "multipart/form-data; boundary=B"}
        answer = app.test_client().post("/uploads/", environ_overrides=environ)
    finally:
        tracemalloc.stop()
    assert answer.status_code == 400
    assert (len(body.threads), max(body.threads) <= 1) == (15, True)
    assert body.memory[-1] < body.memory[4] + 3 * size
    assert nothing_stored(real)


def test_each_algorithm_hashes_a_body_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's own SHA-256 is one of them."""
    body = b"x" * 100_000
    digests = {key: base64.b64encode(hashlib.new(name, body).digest()).decode() for key, name in HASHES.items()}
    spelled = ["sha-256", "SHA-256", "Sha-256", "sHa-256", "sha-512", "SHA-512", "shA-512"]
    value = ", ".join(f"{key}=:{digests[key.lower()]}:" for key in spelled)
    made: list[str] = []
    new = hashlib.new
    monkeypatch.setattr(hashlib, "new", lambda name, *data: made.append(name) or new(name, *data))
    uploads = client()
    fields = {"Repr-Digest": value, "Content-Digest": value}
    assert uploads.put("/uploads/a", data=body, headers=fields).status_code == 201
    assert made == ["sha512"]
    for key in HASHES:
        wrong = {**fields, "Content-Digest": f"{key}=:AAAA:"}
        assert uploads.put("/uploads/a", data=body, headers=wrong).status_code == 400


def test_bytes_are_looked_at_once_for_their_type(stored: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def sniff(head: bytes) -> str:
        raise AssertionError("libmagic was called")

    monkeypatch.setattr(mimetype, "_sniffer", sniff)
    for options in ({}, {"method": "HEAD"}, {"headers": {"Range": "bytes=0-1"}}):
        assert stored.open("/uploads/other", **options).content_type == "application/pdf"


def test_a_type_is_guessed_from_2048_bytes() -> None:
    """libmagic's time for line breaks is their number squared: 4,096 of them take 55 ms."""
    seen: list[int] = []
    before, mimetype._sniffer = mimetype._sniffer, lambda head: seen.append(len(head)) or "text/plain"
    try:
        mimetype.guess("a", b"\n" * 100_000)
    finally:
        mimetype._sniffer = before
    assert seen == [2048]


# The most round trips of a page: of a bucket of 1,100 names (/one/), and of one in which each has two versions (/two/).
LISTING_TRIPS: list[tuple[str, dict[str, str], int]] = [
    ("/one/", JSON, 1),
    ("/one/?flat=1", HTML, 2),
    ("/one/?folder=f/", JSON, 1),
    ("/one/f/", HTML, 2),
    ("/one/?order=-name", JSON, 2),  # files without a name come first
    ("/one/?q=9", JSON, 1),
    ("/one/?limit=1000", JSON, 1),
    ("/one/?metadata.tags=even", JSON, 2),
    ("/one/?order=newest", JSON, 2),
    ("/one/?flat=1&order=newest", HTML, 3),
    ("/one/", HTML, 4),  # two folders, the end, and files without a name
    ("/one/?order=newest", HTML, 4),
    ("/one/?order=-newest", JSON, 4),
    ("/one/?order=size&limit=1000", JSON, 2),
    ("/one/?order=type", JSON, 3),
    ("/one/?order=-type", JSON, 4),
    ("/one/?order=newest&folder=f/", JSON, 2),
    ("/one/?order=newest&metadata.tags=even", JSON, 2),
    ("/two/", JSON, 2),
    ("/two/?limit=1000", JSON, 3),
    ("/two/?metadata.tags=even", JSON, 4),
    ("/two/?order=newest", JSON, 2),
    ("/two/?order=size", JSON, 6),
    ("/two/?order=type", JSON, 7),
]


class Trips(Commands):
    """The commands that were sent, but those that end a cursor, whose answer nobody needs."""

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name != "killCursors":
            super().started(event)


@pytest.fixture(scope="module")
def listings(mongod: str) -> Iterator[tuple[FlaskClient, Trips]]:
    app, trips = Flask("listings"), Trips()
    mongo = PyMongo(app, uri=f"{mongod}/listings_{uuid.uuid4().hex}", event_listeners=[trips])
    cli = app.test_cli_runner()
    for versions, base in enumerate(["one", "two"], 1):
        mongo.db[base].files.insert_many(
            {"filename": f"{'fg'[number > 550]}/{number:04}", "uploadDate": date, "length": number, "chunkSize": 5}
            | {"contentType": "text/plain", "metadata": {"tags": ["odd", "even"][number % 2]}}
            for version in range(versions)
            for number in range(1100)
            for date in [datetime(2020 + version, 1, 1, tzinfo=UTC) + timedelta(seconds=number)]
        )
        made = cli.invoke(args=["gridfs", "index", "newest", "size", "type", "metadata.tags", "--bucket", base])
        assert made.exit_code == 0
        options: dict[str, Any] = {"base": base, "read_only": True, "metadata": ["tags"]}
        app.register_blueprint(mongo.uploads_blueprint(base, url_prefix=f"/{base}", **options))
    yield app.test_client(), trips
    mongo.cx.drop_database(mongo.db.name)
    mongo.cx.close()


@pytest.mark.parametrize(("url", "accept", "most"), LISTING_TRIPS)
def test_a_page_of_a_listing_takes_a_few_round_trips(
    listings: tuple[FlaskClient, Trips], url: str, accept: dict[str, str], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_page, "_BUDGET", 60)  # however busy this machine is
    client, trips = listings
    trips.sent.clear()
    assert client.get(url, headers=accept).status_code == 200
    assert len(trips.sent) <= most, trips.sent


_LATER = "PIL pillow_heif magic wsgidav flask_babel mongomock gunicorn flask_gridfs_pymongo.cache.disk"
_IMPORT = """
import sys, flask_gridfs_pymongo
print(*sorted(name for name in sys.modules if name.startswith("flask_gridfs_pymongo.cli.")))
print(*sorted(sys.modules.keys() & set(sys.argv[1:])))
"""


def test_an_import_loads_neither_commands_nor_extras() -> None:
    command = [sys.executable, "-c", _IMPORT, *_LATER.split()]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert loaded == "flask_gridfs_pymongo.cli.group\n\n"


def test_a_selection_is_looked_up_at_once(counted: tuple[FlaskClient, list[str]]) -> None:
    http, sent = counted
    own = [row["id"] for row in http.get("/uploads/", headers=JSON).json["files"]]
    others = [f"{number:024x}" for number in range(40)]
    for url, ids, status in (
        ("?zip", others, 404),
        ("?delete", others, 404),
        ("?move=b", others, 404),
    ):
        sent.clear()
        assert http.post(f"/uploads/{url}", data={"id": ids}).status_code == status
        assert sent == ["find"]
    finds = set()
    for ids in (own[:1], [*own, *others]):
        sent.clear()
        assert http.post("/uploads/?zip", data={"id": ids}).status_code == 200
        finds.add(sent.count("find"))
    assert len(finds) == 1


def test_a_form_of_empty_files_that_is_refused_costs_nothing(counted: tuple[FlaskClient, list[str]]) -> None:
    http, sent = counted
    files = form(*((b"", f"f{number}") for number in range(40)), (b"", "\u200b"))
    assert http.post("/uploads/", data=files).status_code == 400
    assert sent == []
