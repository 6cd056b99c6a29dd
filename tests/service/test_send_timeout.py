"""service/send_timeout.py: a client that takes nothing is not waited for, one that is slow is."""

from __future__ import annotations

import http.client
import random
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymongo
import pytest

from flask_gridfs_pymongo.store import Bucket

from ..conftest import start_gunicorn

LARGE = random.Random(8).randbytes(12_000_000)  # more than the buffers between server and client take
LIVE = "tests.helpers.live:create_app(send_timeout=1)"


@pytest.mark.parametrize("worker", ["gthread", "gevent"])
def test_a_download_that_stands_still_is_ended(uri: str, tmp_path: Path, worker: str) -> None:
    with pymongo.MongoClient[Any](uri) as client:
        Bucket(client.get_default_database()).save("large", [LARGE])
    log = tmp_path / "log"
    options = ("-k", worker, "--threads", "1", "--keep-alive", "30")
    with start_gunicorn(LIVE, log, *options, LIVE_URI=uri) as address, socket.socket() as stalled:
        place = urlsplit(address)
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        stalled.settimeout(20)
        stalled.connect((place.hostname, place.port))
        stalled.sendall(b"GET /uploads/large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stalled.recv(1)

        other = http.client.HTTPConnection(place.netloc, timeout=20)
        other.request("GET", "/ping")  # there is but one thread for both
        assert other.getresponse().read()
        other.request("GET", "/uploads/large")
        with other.getresponse() as slow:
            received = []
            while piece := slow.read(1_000_000):
                received.append(piece)
                time.sleep(0.15)
        assert b"".join(received) == LARGE
        time.sleep(1.1)  # the connection is kept, and nobody watches it any longer
        other.request("GET", "/ping")
        assert other.getresponse().status == 200
        other.close()

        rest = sum(map(len, iter(lambda: stalled.recv(1_000_000), b"")))
        assert rest < len(LARGE)
    told = log.read_text()
    assert told.count("has stopped reading") == 1, told
    assert "[ERROR]" not in told, told
