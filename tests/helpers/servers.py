"""The WSGI servers that the package must work the same under, each as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask, send_file

from .live import create_app

APP = "tests.helpers.live:create_app()"
PYTHON = (sys.executable, "-W", "error", "-m")
GUNICORN = (*PYTHON, "gunicorn", "-b", "127.0.0.1:0", APP, "-k")
UWSGI = str(Path(sys.executable).with_name("uwsgi"))

COMMANDS: dict[str, tuple[str, ...]] = {
    "gthread": (*GUNICORN, "gthread", "--threads", "8"),
    "gevent": (*GUNICORN, "gevent"),
    "sync": (*GUNICORN, "sync"),
    "uwsgi": (UWSGI, "--http11-socket", "127.0.0.1:0", "-w", APP, "--threads", "8", "--master", "--die-on-term"),
    "waitress": (*PYTHON, "waitress", "--listen", "127.0.0.1:0", "--call", "tests.helpers.live:create_app"),
    "werkzeug": (*PYTHON, "flask", "--app", "tests.helpers.live", "run", "--port", "0"),
}
"""Each takes a free port and prints it."""


@contextmanager
def running(command: tuple[str, ...], log: Path, **environ: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a server; gives its ``host:port`` and its process."""
    root = Path(__file__).parents[2]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=root, env={**os.environ, **environ}, stdout=output, stderr=output) as process,
    ):
        try:
            yield _address(process, log), process
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    with log.open() as lines:
        while process.poll() is None:
            if found := re.search(r"127\.0\.0\.1:[1-9]\d*\b", lines.readline()):
                return found[0]
            time.sleep(0.01)
    raise AssertionError(log.read_text())


def refusing_the_file_wrapper() -> Flask:
    """The same application on a server that cannot send a file object, though it says so."""
    app = create_app()
    app.add_url_rule("/real", view_func=lambda: send_file(__file__))
    inner = app.wsgi_app

    def refuse(*arguments: Any) -> Any:
        raise AssertionError("wsgi.file_wrapper was used")

    def wsgi_app(environ: dict[str, Any], start_response: Any) -> Any:
        assert "wsgi.file_wrapper" in environ
        return inner({**environ, "wsgi.file_wrapper": refuse}, start_response)

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]
    return app
