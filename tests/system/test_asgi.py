"""The page docs/asgi.rst: the blueprint under Starlette, by a2wsgi and uvicorn."""

from __future__ import annotations

import io
import socket
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pymongo
import pytest
from tusclient.client import TusClient

from ..conftest import content
from ..helpers.blocks import named
from ..helpers.replica import until
from ..helpers.servers import running

pytestmark = pytest.mark.clients


def test_mounted_under_starlette(uri: str, tmp_path: Path) -> None:
    text = named("asgi").replace("mongodb://localhost/shop", uri).replace("workers=16", "workers=2")
    (tmp_path / "asgi.py").write_text(text)
    command = (sys.executable, "-m", "uvicorn", "--port", "0", "--app-dir", str(tmp_path), "asgi:app")
    film = content(60_000_000)  # more than all sockets hold
    with ExitStack() as stack:
        db = stack.enter_context(pymongo.MongoClient(uri)).get_default_database()
        address, _ = stack.enter_context(running(command, tmp_path / "log"))
        host, _, port = address.partition(":")
        files = f"http://{address}/files/"

        def connect(data: bytes) -> socket.socket:
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(20)
            connection.connect((host, int(port)))
            connection.sendall(data)
            return connection

        def fetch(url: str, **fields: str) -> bytes:
            with urllib.request.urlopen(urllib.request.Request(url, headers=fields), timeout=20) as answer:
                return bytes(answer.read())

        def cursors() -> int:
            idle = [{"$currentOp": {"idleCursors": True}}, {"$match": {"ns": f"{db.name}.fs.chunks"}}]
            return sum("cursor" in operation for operation in db.client.admin.aggregate(idle))

        def orphans() -> int:
            return int(db["fs.chunks"].count_documents({"files_id": {"$nin": db["fs.files"].distinct("_id")}}))

        upload = TusClient(files).uploader(
            file_stream=io.BytesIO(film), chunk_size=24_000_000, metadata={"filename": "film"}
        )
        upload.upload()
        assert upload.url.startswith(f"{files}?upload=")
        assert fetch(f"{files}film") == film
        assert fetch(f"{files}film", Range="bytes=-5") == film[-5:]

        stalled = [connect(b"GET /files/film HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
        assert all(connection.recv(1) for connection in stalled)
        until(lambda: cursors() == 2, 10)  # both threads wait for their clients
        assert fetch(f"http://{address}/") == b"Hello"
        for connection in stalled:
            connection.close()
        until(lambda: cursors() == 0, 10)
        assert fetch(f"{files}film", Range="bytes=0-4") == film[:5]

        put = b"PUT /files/broken HTTP/1.1\r\nHost: x\r\n"
        leaving = connect(put + b"Content-Length: 9000000\r\n\r\n" + film[:3_000_000])
        until(lambda: orphans() > 0, 10)
        leaving.close()
        until(lambda: orphans() == 0, 10)
        chunked = connect(put + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert b" 411 " in chunked.makefile("rb").readline()
        assert db["fs.files"].distinct("filename") == ["film"]
