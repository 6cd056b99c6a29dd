"""Content from the file cache: by the application, and by a real nginx with the docs' configuration."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.blocks import named
from tests.helpers.nginx import NGINX, running_nginx

from .measure import Server, answer, request


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
    if NGINX is None:
        yield None
        return
    location = named("nginx-proxy").replace("/uploads/", "/").replace(":8000", f":{application.port}")
    location += (
        named("nginx-accel").replace("/var/cache/shop/", f"{made}/cache/") + f"location /static/ {{ alias {made}/; }}"
    )
    with running_nginx(made, location) as address:
        yield Server(0, int(address.rpartition(":")[2]))


def views(server: Server, paths: Sequence[str]) -> float:
    """Milliseconds for each of several files on one kept connection."""
    with server.connect() as connection, connection.makefile("rb") as reader:
        start = time.perf_counter()
        for path in paths:
            connection.sendall(request(server, path))
            answer(reader)
        return (time.perf_counter() - start) / len(paths) * 1000
