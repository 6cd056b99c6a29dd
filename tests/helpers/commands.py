"""``flask gridfs`` as tests call it: within this process, or as one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask

from ..conftest import ROOT


class Result(NamedTuple):
    status: int
    lines: list[str]
    errors: list[str]


def call(app: Flask, *arguments: str | Path, stdin: bytes | None = None) -> Result:
    """Run a command; whatever happens it ends with a status, and not with a traceback."""
    result = app.test_cli_runner().invoke(args=["gridfs", *map(str, arguments)], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    # The answer to a question is echoed without a line break, as a terminal has it.
    assert all(line.isprintable() for line in result.output.replace("\r", "?").split("\n"))
    return Result(result.exit_code, result.stdout.splitlines(), result.stderr.splitlines())


def start(uri: str, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process of its own, with these *options* of :class:`subprocess.Popen`."""
    command = [Path(sys.executable).with_name("flask"), "--app", "tests.helpers.live:open_app", "gridfs", *arguments]
    environ = {**os.environ, "LIVE_URI": uri}
    options = {"stderr": subprocess.PIPE, "preexec_fn": _hear, **options}
    return subprocess.Popen(command, cwd=ROOT, env=environ, **options)


def _hear() -> None:
    """Whoever runs the tests may ignore signals, as shells do for what is in the background."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def tree(folder: Path) -> dict[str, bytes]:
    """All files below *folder*."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def plant(folder: Path, *names: str) -> Path:
    """Make files that hold their names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder
