"""Pictures under every WSGI server: good ones, bombs, and the end of the server while it decodes."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flask_gridfs_pymongo.store import Bucket

from ..helpers.bombs import AVIF
from ..helpers.pictures import corners, encoded
from ..helpers.replica import until
from ..helpers.servers import COMMANDS, running

pytestmark = [pytest.mark.clients, pytest.mark.slow]

PHOTO = encoded(corners(900, 600), "JPEG")
SERVERS = {
    **{name: COMMANDS[name] for name in ("gthread", "gevent", "uwsgi", "waitress", "werkzeug")},
    "preload": (*COMMANDS["gthread"], "--preload"),
}


def ask(address: str, target: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:  # the server ended
        return 0, b""
    finally:
        connection.close()


def decoders(process: int) -> set[int]:
    """The child processes that decode, of a process and those that it started."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    started = {int(child) for path in children for child in path.read_text().split()}
    own = {child for child in started if b"decoder.worker" in Path(f"/proc/{child}/cmdline").read_bytes()}
    return own.union(*map(decoders, started - own))


@pytest.mark.parametrize("name", SERVERS)
def test_a_server(name: str, uri: str, store: Bucket, tmp_path: Path) -> None:
    for picture, content in {
        "good.jpg": PHOTO,
        "bomb.avif": AVIF,
        "slow.jpg": PHOTO + b"exceed",
        "endless.jpg": PHOTO + b"sleep",
        "second.jpg": PHOTO + b"sleep",
    }.items():
        store.save(picture, [content])
    factory = {"tests.helpers.live": "tests.helpers.live:pictures_app"}  # Werkzeug's server is told the module
    command = tuple(factory.get(word, word.replace("create_app", "pictures_app")) for word in SERVERS[name])
    with running(command, tmp_path / "log", LIVE_URI=uri) as (address, process), ThreadPoolExecutor(2) as others:

        def variant(picture: str) -> tuple[int, bytes]:
            return ask(address, f"/uploads/{picture}?variant=thumb")

        # On a loaded machine the interpreter may take longer to start than a request waits.
        status, body = until(lambda: (answer := variant("good.jpg"))[0] != 503 and answer)
        assert (status, body[:2]) == (200, b"\xff\xd8")
        until(lambda: variant("bomb.avif")[0] == 422)
        until(lambda: b"too much time or memory" in variant("slow.jpg")[1])
        held = [others.submit(variant, picture) for picture in ("endless.jpg", "second.jpg")]
        until(lambda: len(decoders(process.pid)) == 2)
        assert ask(address, "/ping")[0] == 200
        children = decoders(process.pid)
        assert not any(answer.done() for answer in held)
        start = time.monotonic()
        process.terminate()
        process.wait(30)
        print(f"{name} ended after {time.monotonic() - start:.2f} s")
        assert {answer.result()[0] for answer in held} <= {503, 0}
    until(lambda: not [child for child in children if Path(f"/proc/{child}").exists()])
