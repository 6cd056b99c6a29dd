"""What a child process runs: it answers one job after the other, until its input ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from . import frames, limits, pictures
from .errors import Undecodable

MAX_SOURCE = 1024**3
"""bytes of a job"""
Task = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]
TASKS: dict[str, Task] = {"picture": pictures.perform}
"""A task gets its arguments and the bytes to decode, and returns values that JSON can hold, and bytes."""


def main() -> None:
    jobs, answers = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints does not get among the answers
    pictures.load()
    limits.start()
    frames.send(answers, {})
    while True:
        try:
            head, source = frames.receive(jobs, MAX_SOURCE)
        except frames.Ended:
            return
        frames.send(answers, {})  # from now on it is tried
        limits.share_cpu()
        answer, data = _answer(head, source)
        limits.allow_memory(None)
        frames.send(answers, answer, [data], len(data))


def _answer(head: dict[str, Any], source: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        return TASKS[head["task"]](head, source)
    except Undecodable as error:
        return {"refused": error.reason, "most": error.most}, b""
    except MemoryError:
        return {"refused": "memory"}, b""
