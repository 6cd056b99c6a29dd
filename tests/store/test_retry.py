"""store/retry.py: what passes is tried again, for as long as a client waits for a server."""

from __future__ import annotations

import time

import pymongo
import pytest
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

from flask_gridfs_pymongo.store.retry import retry


def test_a_failure_that_took_all_the_patience_is_followed_by_another_try(uri: str) -> None:
    """So it is where the driver waited for one member, while another one could answer."""
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


def test_where_no_server_is_known_to_wait_once_is_enough() -> None:
    tries = []
    with pymongo.MongoClient("mongodb://127.0.0.1:1/a?serverSelectionTimeoutMS=200") as client:
        files = client.get_default_database().files
        with pytest.raises(ServerSelectionTimeoutError):
            retry(files, lambda: [tries.append(1), files.find_one()])
    assert tries == [1]
