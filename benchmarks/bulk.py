"""Many small files at once: our commands and the drive, and the bare driver in a loop over the files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pymongo
from bson.objectid import ObjectId
from flask import Flask
from werkzeug.test import Client

from flask_gridfs_pymongo import PyMongo

from .sending import CHUNK

SIZE = 10_240  # bytes of a file
OPERATIONS = ("sync up", "sync again", "cp -r", "mv -r", "rm -r", "sync down", "drive: MOVE", "drive: DELETE")


def _timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ours(uri: str, files: int) -> dict[str, float]:
    """Seconds for each of :data:`OPERATIONS`, in this process."""
    app = Flask("bulk")
    mongo = PyMongo(app, uri=uri)
    drive = Client(mongo.webdav_app(authorize=lambda action, filename: True))

    def run(*arguments: str | Path) -> None:
        command = ["gridfs", arguments[0], "--bucket", "fs", *map(str, arguments[1:])]
        result = app.test_cli_runner().invoke(args=command)
        assert result.exit_code == 0, result.output

    def ask(method: str, **fields: str) -> None:
        assert drive.open("/bulk/", method=method, headers=fields).status_code in (201, 204)

    with TemporaryDirectory() as here:
        for number in range(files):
            Path(here, f"{number:06}").write_bytes(os.urandom(SIZE))
        times = {
            "sync up": _timed(lambda: run("sync", here, "gridfs:bulk/")),
            "sync again": _timed(lambda: run("sync", here, "gridfs:bulk/")),
            "sync down": _timed(lambda: run("sync", "gridfs:bulk/", Path(here, "down"))),
            "cp -r": _timed(lambda: run("cp", "bulk/", "copied/")),
            "mv -r": _timed(lambda: run("mv", "copied/", "moved/")),
            "rm -r": _timed(lambda: run("rm", "-r", "--yes", "moved/")),
            "drive: MOVE": _timed(lambda: ask("MOVE", Destination="/elsewhere/")),
        }
    run("mv", "elsewhere/", "bulk/")
    times["drive: DELETE"] = _timed(lambda: ask("DELETE"))
    mongo.cx.close()
    return times


def loop(uri: str, files: int) -> dict[str, float]:
    """Seconds for the same work by one command of the driver after the other; a listing is one query."""
    with pymongo.MongoClient[Any](uri, w="majority") as client:
        db = client.get_default_database()
        documents, chunks = db["loop.files"], db["loop.chunks"]
        documents.create_index([("filename", 1), ("uploadDate", 1)])
        chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
        data = os.urandom(SIZE)

        def insert(name: str, content: bytes) -> None:
            file_id, fields = ObjectId(), {"length": len(content), "chunkSize": CHUNK}
            chunks.insert_one({"files_id": file_id, "n": 0, "data": content})
            documents.insert_one({"_id": file_id, "filename": name, "uploadDate": datetime.now(UTC), **fields})

        def below(prefix: str) -> Iterator[Any]:
            return documents.find({"filename": {"$gte": prefix, "$lt": f"{prefix}\x7f"}}).sort("filename", 1)

        def content(file: Any) -> bytes:
            found = chunks.find_one({"files_id": file["_id"], "n": 0})
            assert found is not None
            return bytes(found["data"])

        def put() -> None:
            for number in range(files):
                insert(f"bulk/{number:06}", data)

        def copy() -> None:
            for file in list(below("bulk/")):
                insert(f"copied/{file['filename']}", content(file))

        def move() -> None:
            for file in list(below("copied/")):
                documents.update_one({"_id": file["_id"]}, {"$set": {"filename": f"moved/{file['filename']}"}})

        def remove() -> None:
            for file in list(below("moved/")):
                documents.delete_one({"_id": file["_id"]})
                chunks.delete_many({"files_id": file["_id"]})

        def get() -> None:
            with TemporaryDirectory() as here:
                for file in below("bulk/"):
                    Path(here, file["filename"].rpartition("/")[2]).write_bytes(content(file))

        steps = {"sync up": put, "sync down": get, "cp -r": copy, "mv -r": move, "rm -r": remove}
        times = {name: _timed(step) for name, step in steps.items()}
        times |= {"drive: MOVE": times["mv -r"], "drive: DELETE": times["rm -r"]}
        times["sync again"] = _timed(lambda: list(below("bulk/")))
        client.drop_database(db.name)
        return times
