"""Content from the file cache: by the application, and by a real nginx with the docs' configuration."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.blocks import named
from tests.helpers.nginx import NGINX

from .measure import Server, answer, request

STATIC = "location /static/ {{ alias {folder}/; }}"


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for :func:`.apps.cached` and :func:`.apps.handing_over`, in memory where that is possible."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        Path(made).chmod(0o750)
        os.environ["BENCHMARK_CACHE"] = f"{made}/cache"
        yield Path(made)


@contextmanager
def nginx(made: Path, application: Server) -> Iterator[Server | None]:
    """nginx before an application; ``/static/`` has the files of the folder. None without nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    location = named("nginx-proxy").replace("/uploads/", "/").replace(":8000", f":{application.port}")
    location += named("nginx-accel").replace("/var/cache/shop/", f"{made}/cache/") + STATIC.format(folder=made)
    config = NGINX.format(folder=made, location=location).replace("listen unix:", f"listen 127.0.0.1:{port}; #")
    (made / "nginx.conf").write_text(config)
    with subprocess.Popen([program, "-p", str(made), "-c", str(made / "nginx.conf")]) as process:
        try:
            while not (made / "pid").exists():
                time.sleep(0.01)
            yield Server(process.pid, port)
        finally:
            process.terminate()


def views(server: Server, paths: Sequence[str]) -> float:
    """Milliseconds for each of several files on one kept connection."""
    with server.connect() as connection, connection.makefile("rb") as reader:
        start = time.perf_counter()
        for path in paths:
            connection.sendall(request(server, path))
            answer(reader)
        return (time.perf_counter() - start) / len(paths) * 1000
