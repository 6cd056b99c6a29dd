"""SIGKILL for the application's process, and for the database."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pymongo
import pytest

from flask_gridfs_pymongo.store import Bucket

from .conftest import Serve
from .replica import TIMEOUTS, direct, standalone, until
from .test_trouble import call

KILLS = int(os.environ.get("KILLS", "5"))  # 50 by hand


def content(number: int) -> bytes:
    return random.Random(number).randbytes(3_000_000)


def worker(address: str) -> int:
    """The process that answers."""
    client = http.client.HTTPConnection(address, timeout=20)
    try:
        client.request("GET", "/ping")
        pid: int = json.load(client.getresponse())["pid"]
        return pid
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        client.close()


def test_a_killed_process_leaves_whole_files_and_chunks_that_nobody_owns(
    serve: Serve, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At random points of uploads and deletes; gunicorn starts the next process."""
    chance = random.Random(KILLS)
    kept: set[int] = set()
    outcomes = {"uploaded": 0, "deleted": 0, "cut": 0}

    def act(number: int) -> None:
        try:
            assert call(address, "PUT", f"/uploads/{number}", content(number)) == 201
            kept.add(number)
            outcomes["uploaded"] += 1
            if number % 2:
                kept.remove(number)
                assert call(address, "DELETE", f"/uploads/{number}") == 204
                outcomes["deleted"] += 1
        except (OSError, http.client.HTTPException):
            outcomes["cut"] += 1

    address = urlsplit(serve("tests.live:open_app()", LIVE_URI=uri)).netloc
    for kill in range(KILLS):
        process = until(lambda: worker(address))
        with ThreadPoolExecutor(6) as pool:
            running = [pool.submit(act, 6 * kill + number) for number in range(6)]
            time.sleep(chance.uniform(0.01, 0.25))  # the random point
            os.kill(process, signal.SIGKILL)
            for one in running:
                one.result()
    with pymongo.MongoClient(uri) as client:
        store = Bucket(client.get_default_database())
        until(lambda: worker(address))
        names = [document["filename"] for document in store.files.find()]
        for name in names:
            file = store.find(name)
            assert file is not None
            assert b"".join(store.read(file)) == content(int(name))
        assert {int(name) for name in names} >= kept
        orphans = len(set(store.chunks.distinct("files_id")) - set(store.files.distinct("_id")))
    assert outcomes["cut"] > 0
    with capsys.disabled():
        print(f"\n{KILLS} kills: {outcomes}, {len(names)} listed and whole, chunks of {orphans} that nobody owns")


def test_what_was_acknowledged_survives_a_killed_server(serve: Serve, tmp_path: Path) -> None:
    """A single mongod is killed right after the answer."""
    with standalone(tmp_path / "db") as server:
        address = urlsplit(serve("tests.live:create_app()", LIVE_URI=f"mongodb://{server.address}/a?{TIMEOUTS}")).netloc
        for kill in range(KILLS):
            assert call(address, "PUT", f"/uploads/{kill}", content(kill)) == 201
            server.kill()
            server.start()
            with direct(server) as client:
                store = Bucket(client.a)
                file = store.find(f"{kill}")
                assert file is not None
                assert b"".join(store.read(file)) == content(kill)
