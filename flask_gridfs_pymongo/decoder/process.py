"""A child process that decodes: a fresh interpreter that inherits nothing but two pipes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast
from weakref import WeakSet

from . import frames
from .errors import Busy, Undecodable, Unfinished

MAX_ANSWER = 64 * 1024 * 1024
"""bytes of an answer"""
_CPU_EXCEEDED = -getattr(signal, "SIGXCPU", 0) or None
_KEPT = ("LD_LIBRARY_PATH", "SYSTEMROOT")  # without which some interpreters do not start
_logger = logging.getLogger("flask_gridfs_pymongo")
_PACKAGE = Path(__file__).parent.parent
# The package without its __init__.py, which imports Flask and PyMongo.
_MAIN = """
import sys, types
package = sys.modules["{name}"] = types.ModuleType("{name}")
package.__path__ = [sys.argv[1]]
sys.path[:] = sys.argv[2:]
from {name}.decoder.worker import main
main()
"""
_PROCESSES: WeakSet[Process] = WeakSet()


class Process:
    """A child process; it ends with the pipe from which it reads its jobs.

    :param seconds: in which it must have started
    :raises Busy: if it has not; the log says why
    """

    def __init__(self, seconds: float) -> None:
        self.jobs, arguments = 0, command()
        self._expired = False
        try:
            self._process = subprocess.Popen(  # noqa: S603
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=os.sep,
                env={"MALLOC_ARENA_MAX": "1", **{name: os.environ[name] for name in _KEPT if name in os.environ}},
                start_new_session=True,
            )
        except OSError as error:
            _logger.error("pictures cannot be decoded: %a", str(error))
            raise Busy from error
        self._to, self._from = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        _PROCESSES.add(self)
        try:
            with self._deadline(seconds):
                frames.receive(self._from, 0)
        except frames.Ended:
            self.end()
            _logger.error(
                "pictures cannot be decoded: %a does not start in %.0f s as a Python %d.%d with Pillow; "
                "multiprocessing.set_executable() names another one",
                arguments[0],
                seconds,
                *sys.version_info[:2],
            )
            raise Busy from None

    @property
    def is_alive(self) -> bool:
        """Whether it can take a job."""
        return not self._expired and self._process.poll() is None

    def perform(
        self, task: str, arguments: Mapping[str, Any], pieces: Iterable[bytes], length: int, seconds: float
    ) -> tuple[dict[str, Any], bytes]:
        """Let it perform a task; if this raises, the process has ended.

        :param pieces: the bytes to decode
        :param length: of all *pieces*
        :param seconds: after which it is killed
        :returns: what the function of the task returns: values that JSON can hold, and bytes
        :raises Undecodable, Unfinished: if it cannot be decoded
        :raises Busy: if the process ended before it tried
        """
        self.jobs += 1
        failure: type[Exception] = Busy
        try:
            with self._deadline(seconds):
                frames.send(self._to, {"task": task, **arguments}, pieces, length)
                frames.receive(self._from, 0)
                failure = Unfinished
                answer, data = frames.receive(self._from, MAX_ANSWER)
        except frames.Ended:
            if self.end() == _CPU_EXCEEDED:
                raise Undecodable("cpu") from None
            raise failure from None
        except BaseException:  # of the pieces
            self.end()
            raise
        if "refused" in answer:
            self.end()
            raise Undecodable(str(answer["refused"]), int(answer.get("most", 0)))
        return answer, data

    def end(self) -> int:
        """End it; return its return code."""
        self._process.kill()
        with suppress(OSError):  # what was not sent
            self._to.close()
        self._from.close()
        return self._process.wait()

    def forget(self, null: int) -> None:
        """Replace the pipes, which the parent process holds, too, by *null*: what is left in a buffer goes there."""
        for pipe in (self._to, self._from):
            if not pipe.closed:
                os.dup2(null, pipe.fileno(), inheritable=False)

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[None]:
        """Kill it after so many seconds; a thread does this everywhere, and gevent makes it a greenlet."""
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _expire(self) -> None:
        self._expired = True
        self._process.kill()


def _forget_all() -> None:
    """After a fork: the child processes are those of the parent, and end with it."""
    null = os.open(os.devnull, os.O_RDWR)
    for one in list(_PROCESSES):
        one.forget(null)
    os.close(null)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_all)


def command() -> list[str]:
    """The command of a child process: isolated, on this process's ``sys.path``."""
    name = __package__.partition(".")[0]
    path = [os.path.abspath(entry) for entry in sys.path if entry]
    return [_interpreter(), "-I", "-S", "-c", _MAIN.format(name=name), str(_PACKAGE), *path]


def _interpreter() -> str:
    """Python's own executable: ``sys.executable`` may be the program that embeds it, such as uWSGI or Apache."""
    import multiprocessing.spawn  # here, because few processes need it

    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    chosen = os.fsdecode(multiprocessing.spawn.get_executable() or "")
    folders = (sys.prefix, sys.exec_prefix, sys.base_prefix)
    candidates = [
        *([chosen] if chosen != sys.executable or "python" in Path(chosen).name.lower() else []),
        *(str(Path(folder, "bin", version)) for folder in folders),
        *(str(Path(folder, name)) for folder in folders for name in ("python.exe", "bin/python3")),
        str(Path(sysconfig.get_config_var("BINDIR") or "", version)),
    ]
    return next((found for found in candidates if os.access(found, os.X_OK)), sys.executable or version)
