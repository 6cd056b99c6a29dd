"""Random requests as bytes on sockets, to the blueprint under gunicorn: ``python -m tests.fuzz --seconds 600``."""

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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import pymongo
from flask import Flask

from examples import mongod

from . import conftest, live

DEADLINE = 30
"""seconds in which each connection must be answered and closed"""
_FOLDERS = "wxyz"  # one for each thread

_MARKS = "a" + "\u0300" * 9000 + "\u0316" * 9000  # what is slow to normalise
_VEILED = "veiled"  # stands in names of files that nobody may read
_NAMES = [
    "a",
    "a" + "%CC%80" * 250 + "%CC%96" * 250,
    "n" * 3500,
    "%E2%80%8B%F3%A0%80%81o",
    "b/c.txt",
    "d%20e.png",
    "%C3%A9.txt",
    "f.mp4",
    "..%2fg",
    "h%3Fi%23j",
    "k" * 300,
    "%E2%80%AEl",
    "%FF",
]
_QUERIES = {
    "": ["version=0", "version=-1", "versions", "details", "download", "versions&before=1", "signed=x.y", "delete"],
    "/": [
        "q=e",
        "prefix=w",
        "folder=w/",
        "folder=",
        "order=newest&q=e",
        "order=size&prefix=w",
        "q=a",
        "prefix=b",
        "folder=b/",
        "order=newest",
        "order=size&at=5&after=a",
        "order=type",
        "after=a",
        "id=",
    ],
}
_FIELDS = {
    "Accept": ["text/html", "application/json", "*/*;q=0.1", "text/html;q=0, application/problem+json"],
    "Range": ["bytes=0-0", "bytes=-1", "bytes=0-,1-2", "bytes=5-", "items=1-2", "bytes=0-1,3-4,6-7"],
    "If-Range": ['"x"', "Mon, 02 Jan 2006 15:04:05 GMT"],
    "If-Match": ["*", '"x"', 'W/"x", "y"'],
    "If-None-Match": ["*", '"x"'],
    "If-Modified-Since": ["Mon, 02 Jan 2006 15:04:05 GMT", "Mon, 02 Jan 9999999999 15:04:05 GMT"],
    "If-Unmodified-Since": ["Mon, 02 Jan 2034 15:04:05 GMT"],
    "Origin": ["http://fuzz", "https://evil.example", "null"],
    "Sec-Fetch-Site": ["same-origin", "cross-site", "none"],
    "Content-Type": ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"],
    "Content-Encoding": ["gzip", "identity"],
    "Content-Digest": ["sha-256=:AAAA:", "md5=:AAAA:"],
    "Want-Repr-Digest": ["sha-256=1"],
    "Expect": ["100-continue"],
    "X-HTTP-Method-Override": ["DELETE"],
    "Cookie": ["session=eyJ"],
}
_WORDS = [
    *(b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\t", b" ", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x80\xae"),
    *(b"%00", b"%0d%0a", b"%2e%2e/", b"../", b"//", b"\\", b"%", b"%zz", b"?", b"#", b"&", b";", b",", b'"', b"'"),
    *(b"-1", b"0", b"9" * 25, b"1e9", b"0x10", b"NaN", b"$ne", b"[$gt]", b"{", b"(a+)+$", b"*", b"<script>"),
    *(b"--B\r\n", b"--B--", b"chunked", b"gzip, chunked", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"Host: x\r\n", b"A" * 5000, b"HTTP/1.0", b"HTTP/9.9", b"PATCH"),
]
_METHODS = ["GET", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "G\xc3", "POST", "PUT", "DELETE"]


def app() -> Flask:
    """The application under fire, with every limit set."""
    return live.create_app(
        authorize=lambda action, filename: _VEILED not in (filename or ""),
        max_size=200_000,
        max_request_size=300_000,
        upload_timeout=5,
    )


def veil(database: Any) -> None:
    """Add files that nobody may read, in the folders of all threads and beside them."""
    empty = hashlib.sha256().hexdigest()
    database.fs.files.insert_many(
        {"filename": f"{folder}{_VEILED}{number}e", "length": 0, "chunkSize": 1, "uploadDate": now, "sha256": empty}
        for now in [datetime.now(timezone.utc)]
        for folder in ("", "a/", *(f"{letter}/" for letter in _FOLDERS))
        for number in range(50)
    )


def request(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """A valid request, or one with a wrong value in it, for names in *folder*; *mark* begins each file's content."""
    kind = rng.choices(["get", "list", "put", "form", "delete", "other"], [4, 3, 4, 4, 1, 1])[0]
    target = "/uploads/" + ("" if kind == "list" else f"{folder}/{rng.choice(_NAMES)}")
    fields = {name: rng.choice(_FIELDS[name]) for name in rng.sample(sorted(_FIELDS), rng.choice([0, 0, 1, 1, 2, 4]))}
    method, body = rng.choice(["GET", "GET", "HEAD"]), b""
    queries = _QUERIES["/" if kind == "list" else ""]
    if kind in ("put", "form"):
        method, queries = ("PUT", ["", "", "version=0"]) if kind == "put" else ("POST", ["", "folder=x/", "restore"])
        content = mark + rng.randbytes(rng.choice([0, 1, 5, 100, 4000, 4000, 70_000, 199_000, 250_000]))
        body = content
        if kind == "form":
            target = rng.choice(["/uploads/", target])
            fields["Content-Type"] = "multipart/form-data; boundary=B"
            count = rng.choice([0, 1, 1, 2, 5, 150])
            body = b"".join(_part(rng, mark, content[: 500_000 // (count or 1)]) for _ in range(count)) + b"--B--\r\n"
    elif kind == "delete":
        method, queries = rng.choice([("DELETE", ["version=0", "", "id=" + "0" * 24]), ("POST", ["delete"])])
    elif kind == "other":
        method = rng.choice(_METHODS)
    if query := rng.choice(["", *queries]):
        target += "?" + query
    if body and rng.random() < 0.3:
        fields["Transfer-Encoding"] = "chunked"
        body = _chunked(rng, body)
    elif body or rng.random() < 0.1:
        length = len(body) + (rng.choice([-5, -1, 1, 5, 10**6, 10**18]) if rng.random() < 0.1 else 0)
        fields["Content-Length"] = str(length)
    lines = [f"{method} {target} HTTP/1.1", "Host: fuzz", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _part(rng: random.Random, mark: bytes, content: bytes) -> bytes:
    name = rng.choice(['filename="a.txt"', 'filename="x/y"', 'filename=""', "filename*=UTF-8''%e2%82", 'x="y"', ""])
    name = f'filename="{_MARKS}"' if rng.random() < 0.02 else name
    claim = rng.choice([b"", b"Content-Type: text/html\r\n", b"Content-Type: multipart/mixed; boundary=B\r\n"])
    content = content if rng.random() < 0.8 else mark + b"\r\n--B"
    return b'--B\r\nContent-Disposition: form-data; name="file"; %s\r\n%s\r\n%s\r\n' % (name.encode(), claim, content)


def _chunked(rng: random.Random, body: bytes) -> bytes:
    pieces = [body[start : start + 30_000] for start in range(0, len(body), 30_000)]
    end = rng.choice([b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX-Trailer: 1\r\n\r\n", b"", b"-1\r\n\r\n"])
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


def _flip(rng: random.Random, data: bytearray, place: int) -> None:
    data[place] = rng.randrange(256)


def _insert(rng: random.Random, data: bytearray, place: int) -> None:
    data[place:place] = rng.choice(_WORDS)


def _replace(rng: random.Random, data: bytearray, place: int) -> None:
    data[place : place + rng.randrange(1, 9)] = rng.choice(_WORDS)


def _drop(rng: random.Random, data: bytearray, place: int) -> None:
    del data[place : place + rng.choice([1, 2, 10, 1000])]


def _repeat(rng: random.Random, data: bytearray, place: int) -> None:
    piece = data[place : place + rng.choice([1, 10, 100])]
    data[place:place] = piece * rng.choice([1, 2, 50])


def _cut(rng: random.Random, data: bytearray, place: int) -> None:
    del data[place:]


def _number(rng: random.Random, data: bytearray, place: int) -> None:
    if found := re.compile(rb"[0-9]+").search(data, place):
        data[found.start() : found.end()] = rng.choice([b"0", b"-1", b"1", b"9" * 19, b"9" * 30, b"007", b"+5", b""])


_MUTATIONS: list[Callable[[random.Random, bytearray, int], None]]
_MUTATIONS = [_flip, _insert, _replace, _drop, _repeat, _cut, _number, _flip, _insert]


def connection(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """What one connection sends: one request or some in a row, half of them with something changed in them."""
    data = bytearray()
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data += request(rng, mark, folder)
    if rng.random() < 0.5:
        for _ in range(rng.choice([1, 1, 2, 5])):
            # Most of the sense is in the head.
            place = rng.randrange(min(len(data), rng.choice([60, 400, 10**7])) or 1)
            rng.choice(_MUTATIONS)(rng, data, place)
            data = data or bytearray(b"\r\n")
    return bytes(data)


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

    Each thread has a folder of its own: a file that another thread deletes while it is read is a rightful failure.
    """
    outcome, lock, end = Outcome(), Lock(), time.monotonic() + seconds

    def fire(number: int, folder: str) -> None:
        rng = random.Random(f"{seed}-{number}")
        mark = b"<%016x>" % rng.getrandbits(64)
        data = connection(rng, mark, folder)
        try:
            received = talk(address, data)
        except TimeoutError:
            outcome.failures.append(f"{seed}-{number}: no answer in {DEADLINE} s: {data[:300]!r}")
            return
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", received)]
        with lock:
            outcome.connections += 1
            outcome.statuses.update(statuses)
            if all(status >= 400 or status == 100 for status in statuses):
                outcome.refused.add(mark)
            # 501 and 505 are gunicorn's own, for what is not HTTP/1.1.
            if any(status >= 500 and status not in (501, 505) for status in statuses):
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
    if orphans := set(database.fs.chunks.distinct("files_id")) - ids:
        found.append(f"{len(orphans)} files have chunks and no document")
    return found


def settled(database: Any, refused: set[bytes]) -> list[str]:
    """Like :func:`damage`, once requests that still run are done."""
    end = time.monotonic() + 20
    while (found := damage(database, refused)) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def stack_traces(log: Path) -> list[str]:
    """What a server's log tells of exceptions."""
    return [found[:3000] for found in log.read_text(errors="replace").split("Traceback (most recent call last)")[1:]]


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
