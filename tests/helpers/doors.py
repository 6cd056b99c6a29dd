"""Every operation of every door, for tests of servers that allow less than a mongod of one's own."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bson import Decimal128, ObjectId
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_gridfs_pymongo import PyMongo

from ..conftest import JSON, everyone, form
from .drive import LOCK
from .pictures import corners, encoded
from .tus import TUS, patch

LARGE = random.Random(4).randbytes(1_300_000)  # five chunks
LONG = random.Random(5).randbytes(5_000_000)  # streamed
PROPERTY = b"<propertyupdate xmlns='DAV:'><set><prop><x xmlns='urn:x'>red</x></prop></set></propertyupdate>"
DATE = datetime(2026, 1, 1, tzinfo=UTC)


class Doors:
    """An application with the blueprint at ``/u``, the drive at ``/dav``, and the commands, on one bucket."""

    def __init__(self, mongo: PyMongo, app: Flask) -> None:
        self.mongo, self.app, self.bucket = mongo, app, mongo.bucket()
        self.http: FlaskClient = app.test_client()
        self.upload = ""
        """the URL of a resumable upload"""
        self.answer = b""
        """the body of the last answer"""

    def id_of(self, name: str) -> str:
        found = self.bucket.find(name)
        assert found is not None, name
        return str(found.id)

    def status(self, method: str, url: str, data: Any = None, **fields: str) -> int:
        headers = {"Accept": JSON["Accept"]} | {name.replace("_", "-"): value for name, value in fields.items()}
        with self.http.open(url, method=method, data=data, headers=headers) as answer:
            self.answer = answer.data
        return answer.status_code

    def command(self, *arguments: str, stdin: bytes | None = None) -> int:
        result = self.app.test_cli_runner().invoke(args=["gridfs", *arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code


@contextmanager
def opened(uri: str, **options: Any) -> Iterator[Doors]:
    """Open the doors of the bucket ``fs`` at *uri*; *options* are those of the client."""
    app = Flask("doors")
    app.testing = True
    app.secret_key = "tests"
    mongo = PyMongo(app, uri=uri, **options)
    rules = mongo.uploads_blueprint(
        url_prefix="/u", authorize=everyone, metadata=("title",), share=60, keep_versions=50
    )
    app.register_blueprint(rules)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": mongo.webdav_app(rules=rules)})  # type: ignore[method-assign]
    try:
        yield Doors(mongo, app)
    finally:
        mongo.cx.close()


def fill(bucket: Any) -> None:
    """Store the files that :data:`OPERATIONS` expect, and odd ones of other tools."""
    for name, data in [("a.txt", b"one"), ("a.txt", b"two"), ("b.txt", b"b"), ("large", LARGE), ("long", LONG)]:
        bucket.save(name, io.BytesIO(data))
    for name in ("p.png", "d/x.txt", "d/e/y.txt", "old/x.txt", "gone/z.txt", "drive/z.txt", "m1", "m2", "m3", "m5"):
        bucket.save(name, io.BytesIO(encoded(corners()) if name.endswith("png") else name.encode()))
    plain = {"length": 0, "chunkSize": 255, "uploadDate": DATE}
    odd: list[dict[str, Any]] = [{"filename": "same"}, {"filename": "same"}, {}, {}, {}, {"filename": "undated"}]
    bucket.files.insert_many([{"_id": ObjectId(), **plain, **one} for one in odd])
    bucket.files.update_one(
        {"filename": "undated"}, {"$unset": {"uploadDate": ""}, "$set": {"length": Decimal128("0")}}
    )


class Operation(NamedTuple):
    do: Callable[[Doors], int]
    expected: int
    """an HTTP status, or an exit status"""
    writes: bool = True


def http(method: str, url: str, data: Any = None, **fields: str) -> Callable[[Doors], int]:
    """A request; ``{NAME}`` in its URL or form stands for the id of a file, and ``{upload}`` for the resumable one."""

    def ask(doors: Doors) -> int:
        def filled(text: str) -> str:
            for name in ("a.txt", "b.txt", "m1", "m2", "m3", "p.png"):
                if f"{{{name}}}" in text:
                    text = text.replace(f"{{{name}}}", doors.id_of(name))
            return text

        sent = data() if callable(data) else data
        if isinstance(sent, dict):
            sent = {name: filled(value) if isinstance(value, str) else value for name, value in sent.items()}
        return doors.status(method, filled(url), sent, **fields)

    return ask


def reads(method: str, url: str, expected: int = 200, data: Any = None, **fields: str) -> Operation:
    return Operation(http(method, url, data, **fields), expected, writes=False)


def writes(method: str, url: str, expected: int, data: Any = None, **fields: str) -> Operation:
    return Operation(http(method, url, data, **fields), expected)


def command(*arguments: str, expected: int = 0, changes: bool = False, stdin: bytes | None = None) -> Operation:
    return Operation(lambda doors: doors.command(*arguments, stdin=stdin), expected, changes)


def _pages(doors: Doors, order: str, **options: Any) -> int:
    """Walk a listing two rows at a time, and back by cursors."""
    after, seen = None, 0
    while True:
        page = doors.bucket.list(order, after, 2, **options)
        seen += len(page.rows) + len(page.folders)
        after = page.next
        if after is None:
            return int(seen == 0)


def _create(doors: Doors, length: int) -> int:
    fields = {**TUS, "Upload-Length": str(length), "Upload-Metadata": "filename dHVz"}
    answer = doors.http.post("/u/", headers=fields)
    doors.upload = answer.headers.get("Location", "")
    return answer.status_code


def _append(doors: Doors, offset: int, data: bytes) -> int:
    return patch(doors.http, doors.upload or "/u/?upload=none", offset, data).status_code


def _upload(doors: Doors, method: str) -> int:
    return doors.http.open(doors.upload or "/u/?upload=none", method=method, headers=TUS).status_code


def _locked(doors: Doors) -> int:
    answer = doors.http.open("/dav/a.txt", method="LOCK", data=LOCK)
    if answer.status_code != 200:
        return answer.status_code
    token = answer.headers["Lock-Token"]
    fields = {"If": f"({token})"}
    assert doors.http.put("/dav/a.txt", data=b"three", headers=fields).status_code == 204
    return doors.http.open("/dav/a.txt", method="UNLOCK", headers={"Lock-Token": token}).status_code


def _python(change: Callable[[Any], Any]) -> Callable[[Doors], int]:
    def do(doors: Doors) -> int:
        return int(change(doors.bucket) is None)

    return do


def rename_many(doors: Doors, old: str, new: str) -> int:
    outcome = doors.bucket.rename_many({old: new})[old]
    if isinstance(outcome, Exception):
        raise outcome
    return 0


def _get_and_put(doors: Doors) -> int:
    with TemporaryDirectory() as folder:
        Path(folder, "file").write_bytes(LARGE)
        calls = [("put", f"{folder}/file", "cli/"), ("sync", folder, "gridfs:synced")]
        calls += [("get", "cli/file", f"{folder}/back"), ("sync", "gridfs:cli", f"{folder}/again")]
        return max(doors.command(*arguments) for arguments in calls)


_WEB = "text/html"
_MERGE = "application/merge-patch+json"
OPERATIONS: dict[str, Operation] = {
    **{
        f"{method} {url}": reads(method, url, status, **fields)
        for method, url, status, fields in [
            ("GET", "/u/a.txt", 200, {}),
            ("HEAD", "/u/a.txt", 200, {}),
            ("GET", "/u/large", 200, {}),
            ("GET", "/u/long", 200, {}),
            ("GET", "/u/large?download", 206, {"Range": "bytes=400000-900000"}),
            ("GET", "/u/?id={a.txt}", 200, {}),
            ("GET", "/u/a.txt?version=0", 200, {}),
            ("GET", "/u/same?version=1", 200, {}),
            ("GET", "/u/undated", 200, {}),
            ("GET", "/u/none", 404, {}),
            ("GET", "/u/a.txt?versions", 200, {}),
            ("GET", "/u/same?versions", 200, {}),
            ("GET", "/u/a.txt?details", 200, {"Accept": _WEB}),
            ("GET", "/u/a.txt?delete", 200, {"Accept": _WEB}),
            ("GET", "/u/p.png?variant=thumb", 200, {}),
            ("GET", "/u/", 200, {"Accept": _WEB}),
            ("GET", "/u/d/", 200, {}),
            ("GET", "/u/?limit=2", 200, {}),
            ("GET", "/u/?order=newest", 200, {}),
            ("GET", "/u/?order=-size&limit=2", 200, {}),
            ("GET", "/u/?order=type", 200, {}),
            ("GET", "/u/?search=x", 200, {}),
            ("GET", "/u/?metadata.title=x", 200, {}),
            ("GET", "/u/?zip", 200, {}),
            ("OPTIONS", "/u/a.txt", 204, {}),
            ("GET", "/dav/a.txt", 200, {}),
            ("OPTIONS", "/dav/a.txt", 200, {}),
        ]
    },
    **{
        f"pages by {order} {options}": Operation(
            lambda doors, order=order, options=options: _pages(doors, order, **options), 0, writes=False
        )
        for order in ("name", "-name", "newest", "-newest", "size", "-size", "type", "-type")
        for options in ({}, {"prefix": "d", "part": "x"})
    },
    "zip of a selection": reads("POST", "/u/?zip", data=lambda: {"id": "{a.txt}"}),
    "share": reads("POST", "/u/a.txt?share", 200),
    "PROPFIND": reads("PROPFIND", "/dav/", 207, Depth="1"),
    "PROPFIND of a file": reads("PROPFIND", "/dav/d/x.txt", 207, Depth="0"),
    "ls": command("ls", "-lR", "--versions"),
    "ls --json": command("ls", "--json", "d/"),
    "stat": command("stat", "a.txt"),
    "du": command("du", "d/", "a.txt", "/"),
    "cat": command("cat", "a.txt"),
    "expire --dry-run": command("expire", "--keep", "1", "--older-than", "9999d", "--dry-run"),
    "usage": Operation(_python(lambda bucket: bucket.usage("d/")), 0, writes=False),
    "number": Operation(_python(lambda bucket: bucket.number(bucket.find("same"))), 0, writes=False),
    "sha256": Operation(_python(lambda bucket: bucket.sha256(bucket.find("same"))), 0, writes=False),
    "PUT": writes("PUT", "/u/new", 201, b"new"),
    "PUT of several chunks": writes("PUT", "/u/new2", 201, LARGE),
    "PUT over": writes("PUT", "/u/a.txt", 204, b"newer"),
    "PUT if none": writes("PUT", "/u/a.txt", 412, b"newer", If_None_Match="*"),
    "form": writes("POST", "/u/", 201, lambda: form((b"1", "f1"), (b"2", "f2"))),
    "form under a name": writes("POST", "/u/f3", 201, lambda: form((LARGE[:400_000], "x"))),
    "move": writes("POST", "/u/b.txt?move=c.txt", 201),
    "bulk move": writes("POST", "/u/?move=moved", 200, lambda: {"id": "{m1}"}),
    "copy": writes("POST", "/u/a.txt?copy=a2.txt", 201),
    "restore": writes("POST", "/u/a.txt?restore", 201),
    "metadata": writes("POST", "/u/a.txt?metadata", 200, {"title": "x"}),
    "PATCH": writes("PATCH", "/u/a.txt", 200, b'{"title": "y"}', Content_Type=_MERGE),
    "tus: create": Operation(lambda doors: _create(doors, len(LARGE)), 201),
    "tus: PATCH": Operation(lambda doors: _append(doors, 0, LARGE[:700_000]), 204),
    "tus: HEAD": Operation(lambda doors: _upload(doors, "HEAD"), 200),
    "tus: last PATCH": Operation(lambda doors: _append(doors, 700_000, LARGE[700_000:]), 204),
    "tus: create another": Operation(lambda doors: _create(doors, 900_000), 201),
    "tus: PATCH of another": Operation(lambda doors: _append(doors, 0, LARGE[:600_000]), 204),
    "tus: DELETE": Operation(lambda doors: _upload(doors, "DELETE"), 204),
    "dav: PUT": writes("PUT", "/dav/drive/p", 201, b"p"),
    "dav: MKCOL": writes("MKCOL", "/dav/folder", 201),
    "dav: COPY": writes("COPY", "/dav/a.txt", 201, Destination="http://localhost/dav/a3.txt"),
    "dav: COPY of a folder": writes("COPY", "/dav/d", 201, Destination="http://localhost/dav/d2"),
    "dav: MOVE": writes("MOVE", "/dav/m2", 201, Destination="http://localhost/dav/m4"),
    "dav: MOVE of a folder": writes("MOVE", "/dav/old", 201, Destination="http://localhost/dav/young"),
    "dav: PROPPATCH": writes("PROPPATCH", "/dav/a.txt", 207, PROPERTY),
    "dav: LOCK, PUT, UNLOCK": Operation(_locked, 204),
    "dav: MOVE with a property": writes("MOVE", "/dav/a.txt", 201, Destination="http://localhost/dav/a4.txt"),
    "dav: DELETE with a property": writes("DELETE", "/dav/a4.txt", 204),
    "dav: PUT again": writes("PUT", "/dav/a.txt", 201, b"again"),
    "dav: DELETE of a folder": writes("DELETE", "/dav/drive", 204),
    "put, sync, get": Operation(_get_and_put, 0),
    "mv": command("mv", "new", "newest", changes=True),
    "cp": command("cp", "newest", "copied", changes=True),
    "rm": command("rm", "-r", "--yes", "--all-versions", "moved/", changes=True),
    "save": Operation(_python(lambda bucket: bucket.save("s", io.BytesIO(LARGE))), 0),
    "rename": Operation(_python(lambda bucket: bucket.rename("s", "t")), 0),
    "rename_many": Operation(lambda doors: rename_many(doors, "m5", "m6"), 0),
    "DELETE ?id": writes("DELETE", "/u/?id={m3}", 204),
    "DELETE": writes("DELETE", "/u/large", 204),
    "bulk delete": writes("POST", "/u/?delete", 204, lambda: {"id": "{p.png}", "sure": "1"}),
    "index": command("index", "newest", "size", "type", "metadata.title", "metadata.expiresAt", changes=True),
    "check": command("check"),
    "check --verify": command("check", "--verify", "--json"),
    "check --repair": command("check", "--repair", "--idle", changes=True),
    "expire": command("expire", "--keep", "1", "--older-than", "9999d", changes=True),
}


def outcomes(doors: Doors) -> dict[str, int]:
    """Do all operations, and return what came of them."""
    return {name: operation.do(doors) for name, operation in OPERATIONS.items()}


EXPECTED = {name: operation.expected for name, operation in OPERATIONS.items()}
