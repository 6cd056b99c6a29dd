"""decoder/: a child process that spins, sleeps, crashes, or has been taken over, and the pool of such processes."""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from flask_gridfs_pymongo.decoder import pool, process
from flask_gridfs_pymongo.decoder.errors import Busy, Undecodable, Unfinished
from flask_gridfs_pymongo.decoder.limits import MAX_MEMORY
from flask_gridfs_pymongo.decoder.process import Process

MAIN = process._MAIN.replace("main()", "import tests.helpers.tasks; main()")
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _own_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes with the tasks of the tests."""
    monkeypatch.setattr(process, "_MAIN", MAIN)
    monkeypatch.setattr(pool, "_POOLS", {})
    yield
    for one in pool._POOLS.values():
        for child in one.idle:
            child.end()


@pytest.fixture
def child() -> Iterator[Process]:
    child = Process(30)
    yield child
    child.end()


def perform(child: Process, task: str, source: bytes = b"", seconds: float = 30, **arguments: Any) -> Any:
    return child.perform(task, arguments, [source], len(source), seconds)


def test_what_it_inherits(child: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pipes; a server's threads may block signals, and its environment has passwords."""
    monkeypatch.setenv("MONGO_URI", "mongodb://user:secret@host")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    with open(__file__, "rb") as file:
        os.set_inheritable(file.fileno(), True)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXCPU, signal.SIGTERM])
        try:
            second = Process(30)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    answer, data = perform(second, "report", b"abc")
    second.end()
    assert data == b"cba"
    assert answer["length"] == 3
    assert (answer["parent"], answer["session"], answer["folder"]) == (os.getpid(), answer["pid"], "/")
    assert answer["environ"].pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python's own
    assert answer["environ"] == {"MALLOC_ARENA_MAX": "1", "LD_LIBRARY_PATH": "/nowhere"}
    assert answer["descriptors"] == ["", *["/dev/null"] * 3, *["pipe"] * 2]  # the first one listed them
    assert (answer["blocked"], answer["limits"], answer["modules"]) == (0, [MAX_MEMORY, 0], [])


def test_many_jobs_and_pieces(child: Process) -> None:
    pieces = [bytes([number]) * MIB for number in range(5)]
    answer, data = child.perform("report", {}, pieces, 5 * MIB, 30)
    assert (answer["length"], data) == (5 * MIB, b"".join(pieces)[::-1])
    assert perform(child, "report")[0]["pid"] == answer["pid"]
    assert perform(child, "chatter") == ({"answer": "yes"}, b"data")
    assert perform(child, "chatter") == ({"answer": "yes"}, b"data")
    assert child.is_alive


FORGED = (b"\xff" * 12, struct.pack(">IQ", 3, 0) + b"[1]", struct.pack(">IQ", 2, 2**40) + b"{}", b"\0" * 12)


@pytest.mark.parametrize(
    ("task", "arguments", "error", "reason"),
    [
        ("spin", {}, Undecodable, "cpu"),
        ("sleep", {"seconds": 0.1}, Unfinished, ""),
        ("allocate", {"bytes": 2000 * MIB, "allowed": None}, Undecodable, "memory"),
        ("allocate", {"bytes": 200 * MIB, "allowed": 100 * MIB}, Undecodable, "memory"),
        ("crash", {}, Unfinished, ""),
        ("leave", {}, Unfinished, ""),
        ("nothing", {}, Unfinished, ""),
        ("refuse", {}, Undecodable, "undecodable"),
        *(("forge", {"source": data}, Unfinished, "") for data in FORGED),
    ],
)
def test_how_a_job_ends(
    child: Process, task: str, arguments: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error) as raised:
        perform(child, task, **arguments)
    assert getattr(raised.value, "reason", "") == reason
    assert not child.is_alive


def test_memory_that_the_limit_allows(child: Process) -> None:
    assert perform(child, "allocate", bytes=80 * MIB, allowed=100 * MIB) == ({}, b"")
    assert perform(child, "allocate", bytes=500 * MIB, allowed=None) == ({}, b"")


def test_pieces_that_fail(child: Process) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"abc"
        raise KeyError("the database")

    with pytest.raises(KeyError):
        child.perform("report", {}, pieces(), 6, 30)
    assert not child.is_alive
    late = Process(30)
    with pytest.raises(Busy):  # a slow database says nothing about the picture
        late.perform("report", {}, (time.sleep(0.05) or b"x" * MIB for _ in range(100)), 100 * MIB, 0.2)
    killed = Process(30)
    killed._process.kill()
    killed._process.wait()
    with pytest.raises(Busy):
        perform(killed, "report", b"x" * MIB)
    stopped = Process(30)
    stopped._process.send_signal(signal.SIGSTOP)
    with pytest.raises(Busy):  # the pipe has taken the job, but not the process
        perform(stopped, "report", b"x", seconds=0.1)


class TestThePool:
    def use(self, task: str = "report") -> Any:
        with pool.slot() as decoder:
            return decoder.perform(task, {}, [], 0)[0]["pid"]

    def test_a_process_is_kept_and_replaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pool, "TIMEOUT", 60)
        first = self.use()
        assert self.use() == first
        with pool.slot() as one, pool.slot() as other:
            assert {decoder.perform("report", {}, [], 0)[0]["pid"] for decoder in (one, other)} == {first}
        with suppress(Undecodable):
            self.use("refuse")
        second = self.use()
        assert second != first
        os.kill(second, signal.SIGKILL)  # as the system does if memory is short
        pool._POOLS[os.getpid()].idle[0]._process.wait()
        third = self.use()
        assert third != second
        monkeypatch.setattr(pool, "MAX_JOBS", 2)
        assert self.use() == third
        assert self.use() != third

    def test_a_job_that_had_less_than_its_share_was_not_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.use()
        monkeypatch.setattr(pool, "TIMEOUT", 0.1)
        with pytest.raises(Busy):
            self.use("sleep")
        monkeypatch.setattr(pool, "CPU_SECONDS", 0.05)
        monkeypatch.setattr(pool, "TIMEOUT", 60)
        self.use()
        monkeypatch.setattr(pool, "TIMEOUT", 0.1)
        with pytest.raises(Unfinished):
            self.use("sleep")

    def test_two_at_most_and_others_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pool, "WAIT_TIMEOUT", 0.05)
        with pool.slot(), pool.slot(), pytest.raises(Busy), pool.slot():
            pass
        monkeypatch.setattr(pool, "WAIT_TIMEOUT", 30)
        with ExitStack() as first, pool.slot():
            first.enter_context(pool.slot())
            waiting = threading.Timer(0.05, first.close)
            waiting.start()
            with pool.slot():
                waiting.join()

    def test_a_fork_has_a_pool_of_its_own(self) -> None:
        mine = self.use()
        pool._POOLS[-1] = pool._POOLS.pop(os.getpid())  # as after a fork
        assert self.use() != mine

    def test_it_ends_with_its_pipe(self) -> None:
        self.use()
        child = pool._POOLS[os.getpid()].idle.pop()
        child._to.close()
        assert child._process.wait(30) == 0
        child.end()

    def test_a_fork_does_not_keep_it_alive(self) -> None:
        self.use()
        child = pool._POOLS[os.getpid()].idle.pop()
        child._to.write(b"not flushed")
        with warnings.catch_warnings(action="ignore"):  # of a fork beside threads
            fork = os.fork()
        if fork == 0:
            time.sleep(60)
            os._exit(0)
        try:
            with suppress(OSError):
                child._to.close()
            assert child._process.wait(30) == 0
        finally:
            os.kill(fork, signal.SIGKILL)
            os.waitpid(fork, 0)
        child.end()


class TestTheInterpreter:
    @pytest.mark.parametrize("executable", [sys.executable, "/usr/sbin/uwsgi", "/usr/sbin/apache2", "", None])
    def test_it_is_found(self, monkeypatch: pytest.MonkeyPatch, executable: str | None) -> None:
        monkeypatch.setattr(sys, "executable", executable)
        monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda: executable)
        assert Path(process.command()[0]).name.startswith("python")
        assert os.access(process.command()[0], os.X_OK)

    def test_the_one_that_the_application_names(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for executable, text in (("/bin/false", "does not start"), (str(tmp_path), "Permission denied")):
            monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda name=executable: name.encode())
            with pytest.raises(Busy):
                Process(30)
            assert text in caplog.text
            assert executable in caplog.text
            caplog.clear()

    def test_one_that_does_not_start_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "command", lambda: ["/bin/sleep", "60"])
        with pytest.raises(Busy):
            Process(0.1)
