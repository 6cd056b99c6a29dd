"""Ctrl-C, SIGTERM and SIGKILL in the middle of ``flask gridfs`` leave nothing half; terminals get lines of text."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.cli import ScriptInfo

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.cli.group import gridfs
from flask_gridfs_pymongo.cli.interrupts import Interrupts
from flask_gridfs_pymongo.cli.report import Report
from flask_gridfs_pymongo.store import Bucket

from ..conftest import BIG, put, read
from ..helpers.commands import call, plant, start, tree
from ..helpers.replica import until

pytestmark = pytest.mark.slow


def ended(process: subprocess.Popen[bytes], number: int) -> None:
    """Let it go on to its end, which the signal *number* has told it."""
    _, errors = process.communicate(timeout=60)
    expected = (-9, b"") if number == signal.SIGKILL else (1, b"Aborted!")
    assert (process.returncode, errors.strip()) == expected


def whole(bucket: Bucket) -> set[str]:
    """The names of all files, each of which is whole."""
    rows = [row for page in bucket.pages() for row in page.rows]
    for row in rows:
        assert len(read(bucket, row.file)) == row.file.length
    return {row.file.filename for row in rows}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_put(uri: str, real: PyMongo, number: int) -> None:
    bucket = real.bucket()
    put(bucket, "a", b"old")
    with start(uri, "put", "-", "a", stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(BIG * 20)
        until(lambda: bucket.chunks.count_documents({}) > 5)
        process.send_signal(number)
        ended(process, number)
    assert read(bucket, bucket.find("a")) == b"old"
    orphans = set(bucket.chunks.distinct("files_id")) - set(bucket.files.distinct("_id"))
    assert len(orphans) == (number == signal.SIGKILL)


@pytest.mark.parametrize(("command", "number"), [(["get", "a"], signal.SIGINT), (["sync", "gridfs:"], signal.SIGKILL)])
def test_get(app: Flask, uri: str, real: PyMongo, tmp_path: Path, command: list[str], number: int) -> None:
    here = plant(tmp_path / "here", "a")
    put(real.bucket(), "a", BIG * 100)
    for _ in range(10):
        with start(uri, *command, here) as process:
            until(lambda: list(here.glob(".*")) or process.poll() is not None)
            process.send_signal(signal.SIGSTOP)
            if begun := list(here.glob(".*")):
                process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            if begun:
                ended(process, number)
                break
        plant(here, "a")
    assert begun
    left = tree(here)
    assert left.pop("a") == b"a"
    assert len(left) == (number == signal.SIGKILL)
    (here / "a").unlink()
    assert call(app, "sync", here, "gridfs:") == (0, [], [])
    assert call(app, "get", "a", here / "a") == (0, [], [])
    assert os.listdir(here) == ["a"]


def test_sync_goes_on_where_it_was_ended(app: Flask, uri: str, real: PyMongo, tmp_path: Path) -> None:
    """A batch of small files is not interrupted; what is large is, and nothing of it stays."""
    bucket, here = real.bucket(), plant(tmp_path, *(f"{folder}/{name}" for folder in "abc" for name in range(25)))
    with open(here / "b" / "large", "wb") as large:
        large.truncate(300_000_000)
    with start(uri, "sync", here, "gridfs:", stdout=subprocess.DEVNULL) as process:
        until(lambda: bucket.chunks.count_documents({}) > 60)
        process.send_signal(signal.SIGTERM)
        ended(process, signal.SIGTERM)
    assert len(whole(bucket)) == 50
    (here / "b" / "large").write_bytes(b"small")
    assert len(call(app, "sync", here, "gridfs:").lines) == 26
    assert call(app, "sync", here, "gridfs:") == call(app, "sync", "gridfs:", here) == (0, [], [])
    assert whole(bucket) == set(tree(here))
    assert set(bucket.chunks.distinct("files_id")) == set(bucket.files.distinct("_id"))


@pytest.mark.parametrize(
    ("arguments", "closed", "status", "told"),
    [
        ("put - b", "stdin", 2, "Error: the standard input is closed"),
        ("rm a", "stdin", 2, "Error: the standard input is closed, so nobody can answer; --yes does not ask"),
        ("cat a", "stdout", 2, "Error: the standard output is closed"),
        ("ls", "stdout", 2, "Error: the standard output is closed"),
        ("put /etc/hostname b", "stdin", 0, ""),
        ("put /etc/hostname b", "stdout", 0, ""),
        ("get a /dev/stdout", "stdout __stdout__", 1, "a: Bad file descriptor: '/dev/stdout'"),
        ("get no /dev/null", "stderr", 1, ""),
        ("cat a", "", 1, "a: No space left on device"),
        *(
            (command, "", 2, "Error: the standard output: No space left on device")
            for command in ("ls", "check", "check --json", "expire", "expire --json", "links --json")
        ),
        ("links", "stdout", 2, "Error: the standard output is closed"),
    ],
)
def test_a_stream_that_is_closed_or_full(
    app: Flask,
    real: PyMongo,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    closed: str,
    status: int,
    told: str,
) -> None:
    put(real.bucket(), "a", b"1")
    with suppress(OSError), open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        for name in closed.split():  # so Python finds what the system closed
            patch.setattr(sys, name, None)
        with pytest.raises(SystemExit) as ended:
            gridfs.main(arguments.split(), "flask gridfs", obj=ScriptInfo(create_app=lambda: app))
    assert (ended.value.code, capsys.readouterr().err.splitlines()[-1:]) == (status, [told] if told else [])


class TestInterrupts:
    @pytest.fixture(autouse=True)
    def _not_ignored(self) -> Iterator[None]:
        """A shell's background job, as this may be one, ignores SIGINT."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    def test_the_first_one_ends_and_the_next_ones_do_not_disturb(self) -> None:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), Interrupts():  # noqa: PT012
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)
                cleaned = True
        assert cleaned
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before

    def test_a_commit_is_not_disturbed(self) -> None:
        steps = []
        with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:  # noqa: PT012
            with interrupts.deferred():
                steps.append("begun")
            with interrupts.deferred():
                signal.raise_signal(signal.SIGINT)
                steps.append("committed")
            steps.append("no")
        assert steps == ["begun", "committed"]

    def test_what_is_ignored_stays_so(self) -> None:
        """As by nohup."""
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with Interrupts():
                signal.raise_signal(signal.SIGHUP)
        finally:
            signal.signal(signal.SIGHUP, before)


class TestTerminal:
    @pytest.fixture
    def terminal(self) -> Any:
        ours, theirs = os.openpty()
        yield ours, theirs
        os.close(ours)
        os.close(theirs)

    def test_progress(self, uri: str, real: PyMongo, terminal: tuple[int, int]) -> None:
        ours, theirs = terminal
        os.set_blocking(ours, False)
        with start(uri, "put", "-", "a\x1b[31m", stdin=subprocess.PIPE, stderr=theirs) as process:
            assert process.stdin
            shown = b""
            while b"MiB/s)" not in shown:
                process.stdin.write(BIG)
                process.stdin.flush()
                try:
                    shown += os.read(ours, 100_000)
                except BlockingIOError:
                    continue
            process.stdin.close()
            assert process.wait(60) == 0
        shown += os.read(ours, 100_000)
        *lines, last = shown.split(b"\r\x1b[K\x1b[?7l")
        assert lines[1].startswith(b"0 files, ")
        assert lines[1].endswith(b": a\\x1b[31m\x1b[?7h")
        assert last.startswith(b"\x1b[?7h1 files, ")

    def test_the_number_of_files_is_shown_after_a_second(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        times = iter([0.0, 0.9, 1.0, 1.0, 1.1, 1.15, 65.0])
        monkeypatch.setattr("flask_gridfs_pymongo.cli.report.time", SimpleNamespace(monotonic=lambda: next(times)))
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        with Report() as report:
            for _ in range(4):
                report.advance(500)
        shown = capsys.readouterr().err.split("\r\x1b[K\x1b[?7l")
        assert shown == ["", "1,000 files in 0:01\x1b[?7h", "\x1b[?7h2,000 files in 1:05\n"]

    def test_text(self, uri: str, real: PyMongo, terminal: tuple[int, int]) -> None:
        """What strangers stored must not move the cursor, or set the title of the window."""
        ours, theirs = terminal
        put(real.bucket(), "a", "red \x1b[31m\ttab, é 日本\x9b\n".encode() + b"\xff\n")
        with start(uri, "cat", "a", stdout=theirs) as process:
            assert process.wait(60) == 0
        assert os.read(ours, 1000).decode() == "red \\x1b[31m\ttab, é 日本\\x9b\r\n\\xff\r\n"

    def test_a_reader_that_has_enough(self, uri: str, real: PyMongo) -> None:
        put(real.bucket(), "a", BIG * 10)
        with start(uri, "cat", "a", stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.read(1) == BIG[:1]
            process.stdout.close()
            assert process.stderr
            assert process.stderr.read() == b""
            assert process.wait(60) == 1

    def test_characters_that_it_lacks(self, uri: str, real: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
        put(real.bucket(), "日", b"")
        monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
        with start(uri, "ls", stdout=subprocess.PIPE) as process:
            assert process.communicate() == (b"\\u65e5\n", b"")
