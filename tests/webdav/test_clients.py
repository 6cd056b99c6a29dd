"""The drive under gunicorn with two workers: litmus, rclone, locks from all sides, bodies in chunks and broken off."""

from __future__ import annotations

import http.client
import io
import random
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo

from ..conftest import start_gunicorn
from ..helpers.drive import LOCK
from ..helpers.programs import program, run

pytestmark = pytest.mark.clients

DATA = random.Random(7).randbytes(3_000_000)


@pytest.fixture(scope="module")
def mongo(mongod: str) -> Iterator[PyMongo]:
    app = Flask("clients")
    mongo = PyMongo(app, uri=f"{mongod}/test_webdav_clients")
    mongo.cx.drop_database("test_webdav_clients")
    yield mongo
    mongo.cx.drop_database("test_webdav_clients")
    mongo.cx.close()


@pytest.fixture(scope="module")
def server(mongo: PyMongo, mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("webdav") / "log"
    uri = f"{mongod}/test_webdav_clients"
    with start_gunicorn("tests.helpers.live:drive_app()", log, "--workers", "2", LIVE_URI=uri) as address:
        yield f"{address}/dav/"
        assert "Traceback" not in log.read_text()


def ask(server: str, method: str, path: str, body: bytes | Iterator[bytes] = b"", **fields: str) -> tuple[int, str]:
    """A request on a connection of its own, so that either worker takes it; gives status and lock token."""
    parts = urlsplit(server)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, parts.path + path, body, headers)
        with connection.getresponse() as answer:
            answer.read()
            return answer.status, answer.headers.get("Lock-Token", "")
    finally:
        connection.close()


@pytest.mark.slow
def test_litmus(server: str, tmp_path: Path) -> None:
    found = subprocess.run([program("litmus"), "-k", server], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    summaries = re.findall(r"of (\d+) tests run: (\d+) passed, (\d+) failed", found.stdout)
    assert [summary for summary in summaries if summary[0] != summary[1]] == [], found.stdout
    assert sum(int(summary[1]) for summary in summaries) == 104
    assert "WARNING" not in found.stdout


@pytest.mark.slow
def test_rclone_both_ways(server: str, mongo: PyMongo, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    for name in ("a.txt", "ä ö/ü#%?.txt", "deep/er/x", ".DS_Store", "._a.txt"):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (source / "large").write_bytes(DATA)
    (source / "empty").mkdir()
    rclone = [program("rclone"), "--config", "/dev/null", "--webdav-url", server]
    empty = "--create-empty-src-dirs"
    run(*rclone, "copy", empty, "source", ":webdav:r", cwd=tmp_path)
    run(*rclone, "check", "--download", "source", ":webdav:r", cwd=tmp_path)
    run(*rclone, "moveto", ":webdav:r/deep/er", ":webdav:r/moved", cwd=tmp_path)
    run(*rclone, "moveto", ":webdav:r/a.txt", ":webdav:r/b.txt", cwd=tmp_path)
    run(*rclone, "sync", empty, ":webdav:r", "back", cwd=tmp_path)
    found = sorted(str(path.relative_to(back)) for path in back.rglob("*"))
    assert found == sorted(
        [".DS_Store", "._a.txt", "b.txt", "deep", "empty", "large", "moved", "moved/x", "ä ö", "ä ö/ü#%?.txt"]
    )
    assert (back / "large").read_bytes() == DATA
    (source / "large").write_bytes(DATA[:1000])
    run(*rclone, "sync", empty, "source", ":webdav:r", cwd=tmp_path)
    run(*rclone, "check", "--download", "source", ":webdav:r", cwd=tmp_path)
    assert mongo.bucket().count("r/large") == 2
    assert mongo.bucket().count("r/b.txt") == 0
    run(*rclone, "purge", ":webdav:r", cwd=tmp_path)
    assert [row.file.filename for row in mongo.bucket().list(prefix="r/").rows] == []


def test_of_many_that_lock_at_once_one_does(server: str, mongo: PyMongo) -> None:
    mongo.save_file("locked", io.BytesIO(b"x"))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(server, "LOCK", "locked", LOCK, Timeout="Second-60"), range(32)))
        assert sorted(status for status, _ in answers) == [200] + [423] * 31
        token = next(token for _, token in answers if token)
        assert set(pool.map(lambda _: ask(server, "PUT", "locked", b"no")[0], range(8))) == {423}
        assert set(pool.map(lambda _: ask(server, "PUT", "locked", b"y", If=f"({token})")[0], range(8))) == {204}
    assert ask(server, "UNLOCK", "locked", Lock_Token=token)[0] == 204
    assert ask(server, "PUT", "locked", b"z")[0] == 204


def test_locks_of_a_tree_exclude_each_other(server: str, mongo: PyMongo) -> None:
    """A folder and what is in it, all asked for at once: some subset is locked in which none covers another."""
    paths = ["t/", "t/a/", "t/a/1", "t/a/2", "t/b"]
    for name in ("t/a/1", "t/a/2", "t/b"):
        mongo.save_file(name, io.BytesIO(b"x"))
    with ThreadPoolExecutor(10) as pool:
        for _ in range(3):
            answers = list(pool.map(lambda path: (path, *ask(server, "LOCK", path, LOCK)), paths * 2))
            held = [path for path, status, _ in answers if status == 200]
            assert held
            assert [1 for one in held for other in held if one != other and other.startswith(one)] == []
            assert len(set(held)) == len(held)
            for path, status, token in answers:
                assert status in (200, 423)
                assert not token or ask(server, "UNLOCK", path, Lock_Token=token)[0] == 204


def test_a_body_in_chunks(server: str, mongo: PyMongo) -> None:
    """Finder sends them so."""
    pieces = (DATA[start : start + 100_000] for start in range(0, len(DATA), 100_000))
    assert ask(server, "PUT", "chunked", pieces)[0] == 201
    with mongo.bucket().open("chunked") as file:
        assert file.read() == DATA
    assert (
        ask(server, "PROPFIND", "", iter([b"<propfind xmlns='DAV:'>", b"<allprop/></propfind>"]), Depth="1")[0] == 207
    )


@pytest.mark.parametrize("framing", ["Content-Length: 3000000", "Transfer-Encoding: chunked"])
def test_a_body_that_breaks_off_stores_nothing(server: str, mongo: PyMongo, framing: str) -> None:
    parts = urlsplit(server)
    before = mongo.db["fs.files"].count_documents({})
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        piece = DATA[:1_000_000]
        if "chunked" in framing:
            piece = b"f4240\r\n" + piece + b"\r\n"
        connection.sendall(f"PUT /dav/broken HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode() + piece)
    deadline = time.monotonic() + 10
    while unreferenced(mongo):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert ask(server, "GET", "broken")[0] == 404
    assert mongo.db["fs.files"].count_documents({}) == before


def unreferenced(mongo: PyMongo) -> int:
    owned = mongo.db["fs.files"].distinct("_id")
    return mongo.db["fs.chunks"].count_documents({"files_id": {"$nin": owned}})
