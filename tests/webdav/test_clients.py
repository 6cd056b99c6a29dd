"""The drive under gunicorn with two workers: programs of others, locks from all sides, bodies broken off."""

from __future__ import annotations

import http.client
import io
import os
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo

from ..conftest import missing, start_gunicorn
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


def package(name: str) -> Any:
    if find_spec(name.partition(".")[0]) is None:
        missing(f"install the extra test, which brings {name}")
    return import_module(name)


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


def test_webdavclient3(server: str, mongo: PyMongo, tmp_path: Path) -> None:
    """It asks for each folder by HEAD (ezhov-evgeny/webdav-client-python-3#31), and sends Depth with PROPPATCH."""
    host = server.removesuffix("dav/")
    client = package("webdav3.client").Client({"webdav_hostname": host, "webdav_root": "/dav/"})
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(DATA)
    client.mkdir("w3")
    client.upload_sync("w3/ä ö.bin", str(source))
    client.download_sync("w3/ä ö.bin", str(back))
    assert back.read_bytes() == DATA
    assert (client.check("w3/"), client.check("w3/none"), client.is_dir("w3/")) == (True, False, True)
    client.copy("w3/ä ö.bin", "w3/copy")
    client.move("w3/copy", "w3/moved")
    assert sorted(client.list("w3/")) == ["moved", "ä ö.bin"]
    info = client.info("w3/moved")
    assert (info["size"], bool(info["modified"])) == (str(len(DATA)), True)
    client.set_property("w3/moved", {"namespace": "urn:x", "name": "colour", "value": "red"})
    assert client.get_property("w3/moved", {"namespace": "urn:x", "name": "colour"}) == "red"
    client.clean("w3/moved")
    client.clean("w3/")
    assert mongo.bucket().list(prefix="w3/").rows == []


def test_easywebdav2(server: str, mongo: PyMongo, tmp_path: Path) -> None:
    """It asks for folders by HEAD, too (OpenMarshal/npm-WebDAV-Server#100)."""
    parts = urlsplit(server)
    client = package("easywebdav2").connect(parts.hostname, port=parts.port, path="dav")
    client.mkdir("easy")
    client.upload(io.BytesIO(DATA), "easy/a.bin")
    client.download("easy/a.bin", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == DATA
    assert [client.exists(path) for path in ("easy/", "easy/a.bin", "easy/none")] == [True, True, False]
    (folder, file) = client.ls("easy/")
    assert (file.name, file.size, bool(folder.mtime)) == ("/dav/easy/a.bin", len(DATA), True)
    client.delete("easy/a.bin")
    client.rmdir("easy")
    assert mongo.bucket().list(prefix="easy/").rows == []


def test_webdav4(server: str, mongo: PyMongo, tmp_path: Path) -> None:
    """It sends PROPFIND without Depth (skshetry/webdav4#178)."""
    client = package("webdav4.client").Client(server)
    client.mkdir("w4")
    client.upload_fileobj(io.BytesIO(DATA), "w4/a.bin")
    client.download_file("w4/a.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == DATA
    assert (client.exists("w4"), client.isdir("w4"), client.exists("w4/none")) == (True, True, False)
    client.copy("w4/a.bin", "w4/b.bin")
    client.move("w4/b.bin", "w4/c.bin")
    assert sorted(client.ls("w4", detail=False)) == ["w4/a.bin", "w4/c.bin"]
    assert (client.content_length("w4/c.bin"), bool(client.modified("w4"))) == (len(DATA), True)
    client.remove("w4")
    assert mongo.bucket().list(prefix="w4/").rows == []


def test_fsspec(server: str, mongo: PyMongo) -> None:
    """As pandas, Dask and others open files."""
    files = package("webdav4.fsspec").WebdavFileSystem(server)
    files.makedirs("sales")
    with files.open("sales/a.csv", "wb") as file:
        file.write(DATA)
    with files.open("sales/a.csv", "rb") as file:
        file.seek(100_000)
        assert file.read(10) == DATA[100_000:100_010]
    assert files.cat("sales/a.csv") == DATA
    assert [entry["name"] for entry in files.ls("sales")] == files.glob("sales/*.csv") == ["sales/a.csv"]
    assert files.info("sales/a.csv")["size"] == len(DATA)
    files.rm("sales", recursive=True)
    assert mongo.bucket().list(prefix="sales/").rows == []


def test_cadaver(server: str, mongo: PyMongo, tmp_path: Path) -> None:
    """Its propnames showed nothing, of which there is no public report."""
    (tmp_path / "data").write_bytes(DATA)
    commands = """
        mkcol c
        cd c
        put data
        propset data colour red
        propnames data
        propget data colour
        lock data
        discover data
        unlock data
        copy data copied
        move copied moved
        get moved back
        ls
        delete moved
        cd ..
        rmcol c
        quit
    """
    told = subprocess.run(
        [program("cadaver"), server], cwd=tmp_path, input=commands, capture_output=True, text=True, timeout=60
    ).stdout
    assert (tmp_path / "back").read_bytes() == DATA
    assert "failed" not in told
    assert re.search("getcontentlength", told), told
    assert re.search("Value of colour is: red", told), told
    assert mongo.bucket().list(prefix="c/").rows == []


def test_davfs2(server: str, mongo: PyMongo, tmp_path: Path) -> None:
    """A mount with free space (owncloud/core#11776), as vim saves there (danmunn/redmine_dmsf#1413)."""
    if os.geteuid() or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("only root can mount, and needs FUSE")
    mount, mounted = program("mount.davfs"), tmp_path / "mounted"
    mounted.mkdir()
    config = tmp_path / "davfs2.conf"
    config.write_text("use_locks 1\ndelay_upload 0\nask_auth 0\n")
    done = subprocess.run([mount, "-o", f"conf={config}", server, mounted], capture_output=True, text=True, timeout=60)
    if "ermitted" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 0, done.stderr
    try:
        free = shutil.disk_usage(mounted)
        assert free.free > 0
        (mounted / "d").mkdir()
        for text in ("one", "two"):
            (mounted / "d/vim.txt").write_text(text)
        (mounted / "d/vim.txt").rename(mounted / "d/vim.txt~")
        (mounted / "d/vim.txt").write_text("three")
        (mounted / "d/vim.txt~").unlink()
        assert (mounted / "d/vim.txt").read_text() == "three"
    finally:
        subprocess.run(["umount", mounted], check=True, timeout=60)
    bucket = mongo.bucket()
    assert [b"".join(bucket.read(file)) for _, file in bucket.versions("d/vim.txt")] == [b"three", b"two", b"one"]


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
