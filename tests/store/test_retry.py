"""store/retry.py: transient failures are retried for as long as the client waits for a server."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pymongo
import pytest
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, OperationFailure, ServerSelectionTimeoutError

from flask_gridfs_pymongo.store.retry import missing_right, reason, retry

from ..helpers.replica import until


def test_a_first_failure_that_took_the_whole_timeout_is_retried(uri: str) -> None:
    """The driver may have waited for one member while another one could answer."""
    tries = []
    with pymongo.MongoClient(f"{uri}?serverSelectionTimeoutMS=300") as client:
        files = client.get_default_database().files
        files.find_one()

        def operation() -> str:
            tries.append(1)
            if len(tries) == 1:
                time.sleep(0.4)
                raise AutoReconnect("it is gone")
            return "done"

        assert retry(files, operation) == "done"


def test_without_a_known_server_only_the_driver_waits() -> None:
    tries = []
    with pymongo.MongoClient("mongodb://127.0.0.1:1/a?serverSelectionTimeoutMS=200") as client:
        files = client.get_default_database().files
        with pytest.raises(ServerSelectionTimeoutError):
            retry(files, lambda: [tries.append(1), files.find_one()])
    assert tries == [1]


def test_a_write_is_retried_if_its_connection_broke_off_in_the_handshake(uri: str) -> None:
    """PyMongo 4.20 repeats it with a transaction number, which a single server refuses (code 20)."""
    target = urlsplit(uri)
    broken: list[socket.socket] = []
    asked = threading.Event()

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with source, sink, suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def serve() -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = listener.accept()
                if asked.is_set() and not broken:
                    broken.append(client)
                    client.close()
                    continue
                server = socket.create_connection((target.hostname, target.port))
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=carry, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        # Polling: the driver's monitor opens its only connection before the one that breaks off.
        address = f"mongodb://127.0.0.1:{port}{target.path}?serverMonitoringMode=poll&serverSelectionTimeoutMS=5000"
        with pymongo.MongoClient(address) as client:
            files = client.get_default_database().files
            until(lambda: client.topology_description.has_known_servers)
            asked.set()
            retry(files, lambda: files.insert_one({"_id": 1}))
            assert files.count_documents({}) == 1
    assert len(broken) == 1


def test_a_missing_right_is_named_and_its_command_not_quoted() -> None:
    messages = {
        'not authorized on shop to execute command { insert: "fs.chunks", data: "secret" }': "insert",
        "user is not allowed to do action [update] on [shop.fs.chunks]": "update",  # Atlas
    }
    for message, command in messages.items():
        error = OperationFailure(message, 13)
        assert missing_right(error) == (command, "fs.chunks")
        assert reason(error) == f"the database user may not {command} in fs.chunks"
    assert missing_right(OperationFailure("not authorized on shop", 13)) is None


def test_an_outage_costs_one_timeout_however_much_is_left_to_do(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only for the thread that has waited, and only at once: whoever comes later waits again."""
    asked = []

    def operation(files: Collection[Any]) -> None:
        asked.append(files.database.client)
        files.find_one()

    with (
        pymongo.MongoClient[Any]("mongodb://127.0.0.1:1/a?serverSelectionTimeoutMS=100") as lost,
        pymongo.MongoClient[Any](uri) as other,
    ):
        files, others = (client.get_default_database().files for client in (lost, other))
        for _ in range(5):
            with pytest.raises(AutoReconnect):
                retry(files, partial(operation, files))
        retry(others, partial(operation, others))
        assert asked == [lost, other]
        with ThreadPoolExecutor(1) as pool, pytest.raises(AutoReconnect):
            pool.submit(retry, files, partial(operation, files)).result()
        monkeypatch.setattr("flask_gridfs_pymongo.store.retry._OUTAGE_MEMORY", 0)
        with pytest.raises(AutoReconnect):
            retry(files, partial(operation, files))
        assert asked == [lost, other, lost, lost]
