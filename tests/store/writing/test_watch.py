"""store/writing/watch.py: what an upload need not ask again, and what makes it ask."""

from __future__ import annotations

import time
from typing import Any

import pymongo
import pytest
from bson.timestamp import Timestamp
from pymongo.errors import ConfigurationError

from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.store.indexes import Indexes
from flask_gridfs_pymongo.store.writing import watch
from flask_gridfs_pymongo.store.writing.watch import Watch

from ...conftest import Commands, put


@pytest.fixture
def watched(real_store: Bucket) -> Watch:
    """The watch of an upload that has just begun."""
    real_store.collections.indexes.ensure()
    return Watch(real_store.collections)


def later(monkeypatch: pytest.MonkeyPatch, **clocks: float) -> None:
    """Let clocks of this machine say that so many seconds have passed."""
    for name, seconds in clocks.items():
        now = getattr(time, name)
        monkeypatch.setattr(time, name, lambda *which, now=now, seconds=seconds: now(*which) + seconds)


def test_a_minute_makes_it_unsure(watched: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched.sure
    later(monkeypatch, clock_gettime=59)
    assert watched.sure
    later(monkeypatch, clock_gettime=2)
    assert not watched.sure


@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_without_a_clock_that_counts_while_a_machine_sleeps_two_others_are_looked_at(
    real_store: Bucket, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    real_store.collections.indexes.ensure()
    watched = Watch(real_store.collections)
    assert watched.sure
    later(monkeypatch, **{clock: 61})
    assert not watched.sure


def test_an_error_makes_it_unsure(watched: Watch) -> None:
    assert watched.doubting(lambda: 5)() == 5
    assert not watched.sure


def test_a_missing_index_makes_it_unsure(watched: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Indexes, "complete", False)
    assert not watched.sure


class Session:
    """A server's answers on a replica set."""

    operation_time: Any = None


@pytest.mark.parametrize(
    ("times", "sure"),
    [([], False), ([1000], False), ([1000, 1000.5], True), ([1000, 1001, 1060], True), ([1000, 1010, 1061], False)],
)
def test_a_replica_sets_time_shows_a_paused_machine(watched: Watch, times: list[float], sure: bool) -> None:
    session = Session()
    watched._session = session  # type: ignore[assignment]
    for number in times:
        session.operation_time = Timestamp(int(number), int(number % 1 * 10) + 1)
        watched.write(lambda session: None)
    assert watched.sure is sure


def test_a_member_that_takes_no_sessions_yet_is_written_to_without_one(watched: Watch) -> None:
    watched._session = Session()  # type: ignore[assignment]

    def insert(session: Session | None = None) -> str:
        if session is not None:
            raise ConfigurationError("Sessions are not supported by this MongoDB deployment")
        return "done"

    assert watched.write(insert) == "done"
    assert not watched.sure


def test_only_an_upload_that_took_long_counts_its_chunks_and_looks_whether_it_follows(
    uri: str, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looks() -> list[str]:
        """Which commands look for what can have happened to an upload."""
        counts = ["count" for one in commands.all if one.get("aggregate") == "fs.chunks"]
        return counts + ["follows" for one in commands.all if one.get("projection") == {"previous": 1}]

    with pymongo.MongoClient(uri, event_listeners=[commands]) as client:
        store = Bucket(client.get_default_database())
        put(store, "a", b"quick")
        assert looks() == []
        monkeypatch.setattr(watch, "_SHORT", -1)
        put(store, "a", b"slow")
        assert looks() == ["count", "follows"]
        store.rename("a", "b")
        assert looks() == ["count", "follows", "follows"]
