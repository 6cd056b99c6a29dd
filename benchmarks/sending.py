"""Uploads: forms, PUT, tus, and what the driver alone takes for the same chunks."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pymongo
from bson.objectid import ObjectId

from . import measure
from .measure import BLOCK, Server

CHUNK = 255 * 1024
BOUNDARY = "benchmark"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="upload"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


def begin_upload(server: Server, connection: socket.socket, length: int) -> None:
    total = len(HEAD) + length + len(TAIL)
    fields = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {total}\r\nConnection: close"
    connection.sendall(f"POST /uploads/ HTTP/1.1\r\nHost: benchmark\r\n{fields}\r\n\r\n".encode() + HEAD)


def form_upload(server: Server, length: int) -> float:
    """Seconds from the first byte of a form to its answer."""
    start = time.perf_counter()
    with server.connect() as connection:
        begin_upload(server, connection, length)
        for _ in range(length // len(BLOCK)):
            connection.sendall(BLOCK)
        connection.sendall(TAIL)
        status = connection.recv(65536).split(b" ", 2)[1]
        assert status in (b"200", b"201"), status
        return time.perf_counter() - start


def put_upload(server: Server, length: int) -> float:
    """Seconds for one PUT."""
    start = time.perf_counter()
    with server.connect() as connection, connection.makefile("rb") as reader:
        send(connection, "PUT /uploads/upload", length)
        assert measure.answer(reader)[b"etag"]
    return time.perf_counter() - start


def tus_upload(server: Server, length: int, piece: int) -> float:
    """Seconds for an upload that could go on, from its creation to the answer to its last piece."""
    start = time.perf_counter()
    with server.connect() as connection, connection.makefile("rb") as reader:
        send(connection, "POST /uploads/upload", 0, "Tus-Resumable: 1.0.0", f"Upload-Length: {length}")
        url = measure.answer(reader)[b"location"].decode()
        for offset in range(0, length, piece):
            fields = ("Content-Type: application/offset+octet-stream", f"Upload-Offset: {offset}")
            send(connection, f"PATCH {url}", min(piece, length - offset), "Tus-Resumable: 1.0.0", *fields)
            told = measure.answer(reader)
        assert told[b"etag"]
    return time.perf_counter() - start


def send(connection: socket.socket, target: str, length: int, *lines: str) -> None:
    """Send a request with a body of so many bytes."""
    head = [f"{target} HTTP/1.1", "Host: benchmark", f"Content-Length: {length}", *lines, "", ""]
    connection.sendall("\r\n".join(head).encode())
    for start in range(0, length, len(BLOCK)):
        connection.sendall(BLOCK[: length - start])


def small_puts(server: Server, path: str, times: int) -> float:
    """Milliseconds for a PUT of 10 KB on one kept connection, each one a further version."""
    head = f"PUT {path} HTTP/1.1\r\nHost: benchmark\r\nContent-Length: 10240\r\n\r\n"
    return measure.repeat_message(server, head.encode() + BLOCK[:10240], times)


def bare_insert(uri: str, length: int) -> float:
    """Seconds in which the driver alone inserts the same chunks, with the same write concern and index."""
    with pymongo.MongoClient(uri, w="majority") as client:
        chunks = client.get_default_database()["bare.chunks"]
        chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
        file_id, data, count = ObjectId(), BLOCK[:CHUNK], -(-length // CHUNK)
        start = time.perf_counter()
        for first in range(0, count, 4):
            some = range(first, min(first + 4, count))
            chunks.insert_many([{"_id": ObjectId(), "files_id": file_id, "n": n, "data": data} for n in some])
        took = time.perf_counter() - start
        chunks.delete_many({"files_id": file_id})
        return took


def stalled_uploads(server: Server, length: int, clients: int) -> float:
    """MiB for each of so many uploads that have sent half and stop."""
    form_upload(server, length)
    before = measure.settled(server.pid)
    with ExitStack() as stack:
        for _ in range(clients):
            connection = stack.enter_context(server.connect())
            begin_upload(server, connection, length)
            for _ in range(length // len(BLOCK) // 2):
                connection.sendall(BLOCK)
        return (measure.settled(server.pid) - before) / clients
