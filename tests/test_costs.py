"""What a request costs: time that grows with its size and not faster, threads and memory that do not grow at all."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pymongo.monitoring import CommandListener, CommandStartedEvent

from flask_gridfs_pymongo import PyMongo, mimetype

from .conftest import HTML, JSON, Client, everyone, form, nothing_stored

MARKS = "a" + "\u0300" * 10_000 + "\u0316" * 10_000
CHARACTERS = len(MARKS)
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "0"}
HASHES = {"sha-256": "sha256", "sha-512": "sha512"}


def seconds(client: FlaskClient, method: str, target: str, **options: Any) -> float:
    """CPU time of the whole process."""
    start = time.process_time()
    assert client.open(target, method=method, **options).status_code < 500
    return time.process_time() - start


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
def test_a_long_name_costs_what_a_harmless_one_of_its_size_costs(
    client: Client, method: str, target: str, named: str | None, allowed: bool
) -> None:
    """Where it is normalised as it came it costs a hundred times as much, and stops all threads meanwhile."""
    uploads = client(authorize=lambda action, filename: allowed)

    def cost(name: str) -> float:
        data = form((b"x", named.format(name))) if named else b"x" if method == "PUT" else None
        return seconds(uploads, method, target.format(name, name), data=data)

    cost("é" * CHARACTERS)  # the first one makes indexes
    assert min(cost(MARKS), cost(MARKS)) < 3 * cost("é" * CHARACTERS) + 0.1


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


def test_a_path_of_many_folders_costs_what_a_name_costs(client: Client) -> None:
    """Its error page looks for a folder that may be listed."""
    uploads = client(authorize=lambda action, filename: False)

    def cost(name: str) -> float:
        return seconds(uploads, "GET", f"/uploads/{name}", headers=HTML)

    cost("a")
    assert min(cost("a/" * 8000 + "b"), cost("a/" * 8000 + "b")) < 3 * cost("ab" * 8000 + "b") + 0.1


@pytest.mark.parametrize("place", PLACES)
def test_so_does_a_text_in_any_other_place(client: Client, mongo: PyMongo, place: str) -> None:
    uploads = client(authorize=everyone, metadata=["title"])
    mongo.save_file("a", io.BytesIO(b"x"))

    def cost(text: str) -> float:
        ask = PLACES[place](text)
        return seconds(uploads, ask.pop("method"), ask.pop("path"), **ask)

    cost("é" * CHARACTERS)
    assert min(cost(MARKS), cost(MARKS)) < 3 * cost("é" * CHARACTERS) + 0.1


def test_a_stored_name_costs_little_to_send(client: Client, mongo: PyMongo) -> None:
    stored = [mongo.save_file(name, io.BytesIO(b"x")) for name in (MARKS, "é" * CHARACTERS)]
    uploads = client()
    marked, harmless = (seconds(uploads, "GET", f"/uploads/?id={found}") for found in stored)
    assert marked < 3 * harmless + 0.1


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
# A page for people has one more: it asks first whether the database is there.
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
    ("/one/?order=newest", HTML, 3),
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


class Trips(CommandListener):
    """Counts the commands that are sent, but those that end a cursor, whose answer nobody needs."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name != "killCursors":
            self.commands.append(event.command_name)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


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
            for date in [datetime(2020 + version, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=number)]
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
    listings: tuple[FlaskClient, Trips], url: str, accept: dict[str, str], most: int
) -> None:
    client, trips = listings
    trips.commands.clear()
    assert client.get(url, headers=accept).status_code == 200
    assert len(trips.commands) <= most, trips.commands
