"""Random requests as bytes on sockets, to blueprint and drive, by gunicorn: ``python -m tests.fuzz --seconds 600``."""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import socket
import tempfile
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import pymongo
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_gridfs_pymongo import PyMongo, Variant
from flask_gridfs_pymongo.serve import mongod

from . import conftest
from .fuzz_requests import LAST, connection, foreign
from .helpers import live

DEADLINE = 30
"""seconds in which each connection must be answered and closed"""
_FOLDERS = "wxyz"  # one for each thread

_VEILED = "veiled"  # stands in names of files that nobody may read


def app() -> Flask:
    """The application under fire, with every limit set."""
    app = live.create_app(
        authorize=lambda action, filename: _VEILED not in (filename or ""),
        max_size=200_000,
        metadata=["title"],
        variants={"thumb": Variant(10, 10)},
        share=60,
        max_uploads=100_000,
        max_request_size=300_000,
        upload_timeout=5,
    )
    app.secret_key = "fuzz"
    app.config["TRUSTED_HOSTS"] = ["fuzz"]
    mongo: PyMongo = app.extensions["pymongo"]["MONGO"].owner
    drive = mongo.webdav_app(rules=app.blueprints["uploads"])
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": drive})  # type: ignore[method-assign]
    return app


def veil(database: Any) -> None:
    """Add files that nobody may read, in the folders of all threads and beside them."""
    empty = hashlib.sha256().hexdigest()
    database.fs.files.insert_many(
        {"filename": f"{folder}{_VEILED}{number}e", "length": 0, "chunkSize": 1, "uploadDate": now, "sha256": empty}
        for now in [datetime.now(UTC)]
        for folder in ("", "a/", *(f"{letter}/" for letter in _FOLDERS))
        for number in range(50)
    )


def talk(address: str, data: bytes) -> bytes:
    """Send *data*, then nothing more; return what comes until the server closes, or raise TimeoutError."""
    parts = urlsplit(address)
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=DEADLINE) as wire:
        try:
            wire.sendall(data)
            wire.shutdown(socket.SHUT_WR)
        except OSError as error:  # refused before all of it was sent
            if isinstance(error, TimeoutError):
                raise
        with suppress(ConnectionError):
            while block := wire.recv(65536):
                received += block
    return received


@dataclass
class Outcome:
    """What a run saw."""

    connections: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    refused: set[bytes] = field(default_factory=set)
    """marks of the connections in which nothing was accepted"""
    failures: list[str] = field(default_factory=list)


def run(address: str, seed: int, count: int | None = None, seconds: float = 1e9) -> Outcome:
    """Fire *count* connections, or as many as *seconds* allow; each is made of *seed* and its number alone.

    Each thread goes on with uploads that it began, and has a folder of its own: a file that another thread deletes
    while it is read is a rightful failure.
    """
    outcome, lock, end = Outcome(), Lock(), time.monotonic() + seconds
    begun = dict.fromkeys(_FOLDERS, b"none")

    def fire(number: int, folder: str) -> None:
        rng = random.Random(f"{seed}-{number}")
        mark = b"<%016x>" % rng.getrandbits(64)
        data = connection(rng, mark, folder)
        try:
            received = talk(address, data.replace(LAST, begun[folder]))
        except TimeoutError:
            outcome.failures.append(f"{seed}-{number}: no answer in {DEADLINE} s: {data[:300]!r}")
            return
        if token := re.search(rb"Location: \S*upload=([\w-]+)", received):
            begun[folder] = token[1]
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", received)]
        if number % 20 == 0:
            answer = talk(address, foreign(rng, mark, folder))
            if not re.match(rb"HTTP/1.1 4(00|05|14) ", answer) or b"://evil" in answer:
                outcome.failures.append(f"{seed}-{number}: a foreign host gets {answer[:300]!r}")
        with lock:
            outcome.connections += 1
            outcome.statuses.update(statuses)
            if all(status >= 400 or status == 100 for status in statuses):
                outcome.refused.add(mark)
            # 501 and 505 are gunicorn's own, for what is not HTTP/1.1; a listing may run out of time on a busy machine.
            fair = {501, 505, *([503] if b"order=" in data else []), *([502, 507] if b"/dav/" in data else [])}
            if any(status >= 500 and status not in fair for status in statuses):
                outcome.failures.append(f"{seed}-{number}: {statuses}: {data[:200]!r}")
            if _VEILED.encode() in received:
                outcome.failures.append(f"{seed}-{number}: tells of what is hidden: {data[:200]!r}")
            if b"Traceback" in received or b"mongodb://" in received:
                outcome.failures.append(f"{seed}-{number}: tells of its inside: {received[:2000]!r}")

    def work(thread: int) -> None:
        for number in range(thread, 10**9 if count is None else count, len(_FOLDERS)):
            if time.monotonic() > end:
                return
            fire(number, _FOLDERS[thread])

    with ThreadPoolExecutor(len(_FOLDERS)) as pool:
        list(pool.map(work, range(len(_FOLDERS))))
    return outcome


def damage(database: Any, refused: set[bytes]) -> list[str]:
    """What is wrong in the bucket: files without their bytes, chunks without a file, and what had been refused."""
    found: list[str] = []
    ids = set()
    for document in database.fs.files.find():
        ids.add(document["_id"])
        chunks = list(database.fs.chunks.find({"files_id": document["_id"]}).sort("n", 1))
        content = b"".join(chunk["data"] for chunk in chunks)
        if [chunk["n"] for chunk in chunks] != list(range(len(chunks))):
            found.append(f"{document['filename']!r} has misnumbered chunks")
        if len(content) != document["length"] or hashlib.sha256(content).hexdigest() != document["sha256"]:
            found.append(f"{document['filename']!r} has not the bytes that were stored")
        if refused & set(re.findall(rb"<[0-9a-f]{16}>", content)):
            found.append(f"{document['filename']!r} was refused, and is stored")
    unfinished = {upload["_id"] for upload in database.fs.uploads.find({}, {"_id": 1})}
    if orphans := set(database.fs.chunks.distinct("files_id")) - ids - unfinished:
        found.append(f"{len(orphans)} files have chunks and no document")
    return found


def settled(database: Any, refused: set[bytes]) -> list[str]:
    """Like :func:`damage`, once requests that still run are done."""
    end = time.monotonic() + 20
    while (found := damage(database, refused)) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def stack_traces(log: Path) -> list[str]:
    """What a server's log tells of exceptions.

    An archive that a changed request asks for may have files that another thread deletes meanwhile: that breaks off.
    """
    found = log.read_text(errors="replace").split("Traceback (most recent call last)")[1:]
    return [trace[:3000] for trace in found if "zip_stream" not in trace.partition("\n[")[0]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    name = f"fuzz_{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory() as folder, mongod.running(Path(folder) / "db") as port:
        uri = f"mongodb://127.0.0.1:{port}/{name}"
        log = Path(folder) / "log"
        with pymongo.MongoClient[Any](uri) as client:
            veil(client[name])
        with conftest.start_gunicorn("tests.fuzz:app()", log, LIVE_URI=uri) as address:
            outcome = run(address, options.seed, seconds=options.seconds)
            with pymongo.MongoClient[Any](uri) as client:
                outcome.failures += settled(client[name], outcome.refused)
                stored = client[name].fs.files.count_documents({})
            alive = talk(address, b"GET /ping HTTP/1.1\r\nHost: fuzz\r\n\r\n").startswith(b"HTTP/1.1 200")
            traces = stack_traces(log)
    print(f"seed {options.seed}: {outcome.connections} connections, {sum(outcome.statuses.values())} answers")
    print(", ".join(f"{status}: {count}" for status, count in sorted(outcome.statuses.items())))
    print(
        f"{stored} versions stored, {len(traces)} stack traces logged, the server {'answers' if alive else 'is gone'}"
    )
    print("\n".join([*outcome.failures, *traces][:50]) or "no failures")
    raise SystemExit(bool(outcome.failures or traces or not alive))


if __name__ == "__main__":
    main()
