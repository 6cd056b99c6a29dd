"""SIGKILL for the application's process, and for the database."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pymongo
import pytest

from flask_gridfs_pymongo.store import Bucket

from ..conftest import Serve
from ..helpers.replica import TIMEOUTS, direct, standalone, until
from ..helpers.wire import call

pytestmark = pytest.mark.replica

KILLS = int(os.environ.get("KILLS", "3"))  # 50 by hand


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

    address = urlsplit(serve("tests.helpers.live:open_app()", LIVE_URI=uri)).netloc
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


def test_a_killed_process_loses_nothing_that_was_told(
    serve: Serve, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One upload; each of its requests is sent to its end, and meets a kill at a random point."""
    chance, data = random.Random(KILLS), b"".join(content(number) + content(-number) for number in range(1, KILLS + 1))
    address = urlsplit(serve("tests.helpers.live:open_app()", "--workers", "2", LIVE_URI=uri)).netloc
    tus = {"Tus-Resumable": "1.0.0"}

    def send(method: str, url: str, body: bytes = b"", **fields: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        with closing(http.client.HTTPConnection(address, timeout=20)) as client:
            client.request(method, url, body, tus | {name.replace("_", "-"): value for name, value in fields.items()})
            answer = client.getresponse()
            return answer.status, answer.headers, answer.read()

    def offset() -> int:
        try:
            status, fields, _ = send("HEAD", url)
        except (OSError, http.client.HTTPException):  # nobody listens, or a worker that was being killed
            return -1
        assert status in (200, 423)
        return int(fields["Upload-Offset"]) if status == 200 else -1

    def rest(start: int) -> None:
        with suppress(OSError, http.client.HTTPException):
            fields = {"Upload_Offset": str(start), "Content_Type": "application/offset+octet-stream"}
            send("PATCH", url, data[start : start + 6_000_000], **fields)

    url = send("POST", "/uploads/film", Upload_Length=str(len(data)))[1]["Location"]
    told, kills = [0], 0
    while told[-1] < len(data):
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(rest, told[-1])
            if kills < KILLS and (process := worker(address)):
                time.sleep(chance.uniform(0, 0.15))  # the random point
                os.kill(process, signal.SIGKILL)
                kills += 1
            sending.result()
        told.append(until(lambda: (found := offset()) >= 0 and found + 1) - 1)
    assert told == sorted(told)
    assert send("GET", "/uploads/film")[2] == data
    with pymongo.MongoClient(uri) as client:
        (document,) = client.get_default_database().fs.files.find()
        assert document["sha256"] == hashlib.sha256(data).hexdigest()
    with capsys.disabled():
        print(f"\n{kills} kills: offsets {told}")


def test_what_was_acknowledged_survives_a_killed_server(serve: Serve) -> None:
    """A single mongod is killed right after the answer."""
    with standalone() as server:
        address = urlsplit(
            serve("tests.helpers.live:create_app()", LIVE_URI=f"mongodb://{server.address}/a?{TIMEOUTS}")
        ).netloc
        for kill in range(KILLS):
            assert call(address, "PUT", f"/uploads/{kill}", content(kill)) == 201
            server.kill()
            server.start()
            with direct(server) as client:
                store = Bucket(client.a)
                file = store.find(f"{kill}")
                assert file is not None
                assert b"".join(store.read(file)) == content(kill)
