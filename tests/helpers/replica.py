"""Mongods that tests kill, freeze and start again: one alone, or three as a replica set."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from flask_gridfs_pymongo.serve.mongod import running

TIMEOUTS = "serverSelectionTimeoutMS=15000&connectTimeoutMS=1000&heartbeatFrequencyMS=500"
"""in a URI: how soon a client gives up on a server that is gone or frozen"""


_SMALL = ("--wiredTigerCacheSizeGB", "0.25", "--setParameter", "diagnosticDataCollectionEnabled=false")


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Ask again and again; returns the first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)
    return answer


class Mongod:
    """A server that comes back with the port and the folder it had."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = 0
        self._folder = folder
        self._options = options
        self._process = ExitStack()
        self.pid = 0
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.port = self._process.enter_context(running(self._folder, *self._options, "--port", str(self.port)))
        self.pid = int((self._folder / "mongod.lock").read_text())

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)
        if number == signal.SIGSTOP:  # its threads stop one after the other
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def kill(self) -> None:
        """End it at once, also where it is frozen or was killed before."""
        if self.pid:
            self.signal(signal.SIGKILL)
            self._process.close()
            self.pid = 0


def in_memory() -> TemporaryDirectory[str]:
    """A folder for databases: one that no disk slows down, if this system has one with room."""
    shared = Path("/dev/shm")  # noqa: S108
    room = os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 4 * 2**30
    return TemporaryDirectory(prefix="mongod-", dir=shared if room else None)


@contextmanager
def standalone(*options: str) -> Iterator[Mongod]:
    """One mongod."""
    with in_memory() as folder:
        server = Mongod(Path(folder), *_SMALL, *options)
        try:
            yield server
        finally:
            server.kill()


class ReplicaSet:
    """Three members, which elect a primary within one to three seconds."""

    def __init__(self, members: list[Mongod]) -> None:
        self.members = members

    @property
    def uri(self) -> str:
        """Without a database name or options: append ``/name?...``."""
        return "mongodb://" + ",".join(member.address for member in self.members)

    def _answers(self) -> Iterator[dict[str, Any]]:
        """What each member that answers says of itself."""
        for member in self.members:
            with suppress(PyMongoError), direct(member) as client:
                status = client.admin.command("replSetGetStatus")
                yield next(one for one in status["members"] if one.get("self"))

    def states(self) -> dict[str, str]:
        """By address: PRIMARY, SECONDARY or another word."""
        return {answer["name"]: answer["stateStr"] for answer in self._answers()}

    def is_whole(self) -> bool:
        """Whether all members are there, and none lags: it would be a majority's only other member after a failure."""
        answers = list(self._answers())
        states = sorted(answer["stateStr"] for answer in answers)
        return states == ["PRIMARY", "SECONDARY", "SECONDARY"] and len({str(one["optime"]) for one in answers}) == 1

    def one(self, state: str) -> Mongod:
        """A member in this state; waits until there is one."""

        def find() -> Mongod | None:
            states = self.states()
            return next((member for member in self.members if states.get(member.address) == state), None)

        found: Mongod = until(find)
        return found


def direct(server: Mongod) -> pymongo.MongoClient[Any]:
    """A client of this one server, which gives up soon."""
    return pymongo.MongoClient(
        server.address, directConnection=True, serverSelectionTimeoutMS=1000, socketTimeoutMS=5000
    )


@contextmanager
def replica_set() -> Iterator[ReplicaSet]:
    """Three mongods on ports that the system chose."""
    options = ["--replSet", "tests", *_SMALL, "--oplogSize", "200"]
    # How soon a secondary gives up on a frozen member that it replicates from; 5 seconds by default.
    options += ["--setParameter", "oplogNetworkTimeoutBufferSeconds=3"]
    with ExitStack() as stack:
        folder = stack.enter_context(in_memory())
        members = []
        for number in range(3):
            members.append(Mongod(Path(folder, str(number)), *options))
            stack.callback(members[-1].kill)
        hosts = [{"_id": number, "host": member.address} for number, member in enumerate(members)]
        settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 300, "catchUpTimeoutMillis": 5000}
        with pymongo.MongoClient(members[0].address, directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": "tests", "members": hosts, "settings": settings})
        found = ReplicaSet(members)
        until(found.is_whole)
        yield found
