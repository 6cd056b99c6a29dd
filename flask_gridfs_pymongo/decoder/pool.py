"""The child processes of this process: at most two, started at first use and kept.

A request waits and decodes in its own thread, so that a server that stops waits for it as for any other request.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .errors import Busy, Unfinished
from .limits import CPU_SECONDS
from .process import Process

MAX_PROCESSES = 2
MAX_JOBS = 100
"""jobs of one child process, after which a new one takes its place: libraries leak"""
WAIT_TIMEOUT = 2.0
"""seconds that a job waits for a child process"""
TIMEOUT = 5.0
"""seconds that a job may take, including the wait and the start of a child process"""


class _Pool:
    def __init__(self) -> None:
        self.free = threading.Semaphore(MAX_PROCESSES)
        self.idle: list[Process] = []

    def take(self, seconds: float) -> Process:
        while self.idle:
            process = self.idle.pop()
            if process.is_alive and process.jobs < MAX_JOBS:
                return process
            process.end()
        return Process(seconds)


_POOLS: dict[int, _Pool] = {}  # by process id: a fork does not share its parent's pipes


class Slot:
    """The right to use a child process until the deadline."""

    def __init__(self, pool: _Pool, deadline: float) -> None:
        self._pool, self._deadline = pool, deadline

    def perform(
        self, task: str, arguments: Mapping[str, Any], pieces: Iterable[bytes], length: int
    ) -> tuple[dict[str, Any], bytes]:
        """As :meth:`.Process.perform`; a job that had less time than its share of the CPU was not tried."""
        process = self._pool.take(self._left())
        left = self._left()
        try:
            result = process.perform(task, arguments, pieces, length, left)
        except Unfinished as error:
            raise error if left >= CPU_SECONDS else Busy from None
        self._pool.idle.append(process)
        return result

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())


@contextmanager
def slot() -> Iterator[Slot]:
    """Wait for a child process.

    :raises Busy: if others use them for longer than :data:`WAIT_TIMEOUT`
    """
    deadline = time.monotonic() + TIMEOUT
    pool = _POOLS.setdefault(os.getpid(), _Pool())
    if not pool.free.acquire(timeout=WAIT_TIMEOUT):
        raise Busy
    try:
        yield Slot(pool, deadline)
    finally:
        pool.free.release()
