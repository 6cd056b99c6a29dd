"""Tasks for the decoder's child process that do what a hostile file makes a library do."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from typing import Any

from flask_gridfs_pymongo.decoder import limits, pictures, worker
from flask_gridfs_pymongo.decoder.errors import Undecodable

limits.CPU_SECONDS, limits._NICENESS = 1, 0
Answer = tuple[dict[str, Any], bytes]


def report(arguments: dict[str, Any], source: bytes) -> Answer:
    """What the process has of its parent."""
    answer = {
        "length": len(source),
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "environ": {**os.environ},
        "folder": os.getcwd(),
        "descriptors": sorted(_target(name).partition(":")[0] for name in os.listdir("/proc/self/fd")),
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "limits": [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_CORE)],
        "modules": [name for name in ("flask", "pymongo", "site", "magic") if name in sys.modules],
    }
    return answer, source[::-1]


def spin(arguments: dict[str, Any], source: bytes) -> Answer:
    while True:
        pass


def exceed(arguments: dict[str, Any], source: bytes) -> Answer:
    """What the system does to a process that has used its share of the CPU."""
    signal.raise_signal(signal.SIGXCPU)
    raise AssertionError


def sleep(arguments: dict[str, Any], source: bytes) -> Answer:
    time.sleep(60)
    raise AssertionError


def allocate(arguments: dict[str, Any], source: bytes) -> Answer:
    limits.allow_memory(arguments["allowed"])
    return {}, bytes(arguments["bytes"])[:0]


def crash(arguments: dict[str, Any], source: bytes) -> Answer:
    ctypes.string_at(0)
    raise AssertionError


def leave(arguments: dict[str, Any], source: bytes) -> Answer:
    os._exit(0)


def chatter(arguments: dict[str, Any], source: bytes) -> Answer:
    """Print, as libraries written in C do; answer what is no frame."""
    os.write(1, b"a warning\n")
    return {"answer": "yes"}, b"data"


def forge(arguments: dict[str, Any], source: bytes) -> Answer:
    """Write *source* where answers go."""
    pipe = max(int(name) for name in os.listdir("/proc/self/fd") if "pipe" in _target(name))
    os.write(pipe, source)
    time.sleep(60)
    raise AssertionError


def _target(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        return ""


def refuse(arguments: dict[str, Any], source: bytes) -> Answer:
    raise Undecodable("undecodable")


def picture(arguments: dict[str, Any], source: bytes) -> Answer:
    """As usual, unless a task is named at the end of the picture."""
    for task in (exceed, sleep):
        if source.endswith(task.__name__.encode()):
            return task(arguments, source)
    return pictures.perform(arguments, source)


_TASKS = (picture, report, spin, exceed, sleep, allocate, crash, leave, chatter, forge, refuse)
worker.TASKS |= {task.__name__: task for task in _TASKS}
