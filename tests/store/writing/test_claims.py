"""store/writing/claims.py: writers agree on an order while they write, and documents at rest are plain GridFS."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo.collection
import pytest
from bson.objectid import ObjectId
from bson.timestamp import Timestamp
from flask import Flask
from pymongo.errors import OperationFailure

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, StoredFile
from flask_gridfs_pymongo.store.writing import commit
from flask_gridfs_pymongo.store.writing.claims import CLAIM_TTL, Claims

from ...conftest import put, read


@pytest.fixture
def store(real_store: Bucket) -> Bucket:
    return real_store


def age(store: Bucket, seconds: float) -> None:
    """Let all claims be as old as that, by the server's clock."""
    for document in store.files.find({"previous": {"$exists": True}}):
        then = Timestamp(document["previousAt"].time - int(seconds), 1)
        store.files.update_one({"_id": document["_id"]}, {"$set": {"previousAt": then}})


def claimed(store: Bucket) -> set[str]:
    return set(
        store.files.distinct("filename", {"$or": [{"previous": {"$exists": 1}}, {"previousAt": {"$exists": 1}}]})
    )


def test_the_server_dates_a_claim_and_a_later_writer_removes_it(store: Bucket, real: PyMongo) -> None:
    put(store, "old", b"1")
    (document,) = store.files.find()
    assert abs(document["previousAt"].time - time.time()) < 60
    age(store, CLAIM_TTL - 60)
    put(Bucket(real.db), "young", b"2")
    assert claimed(store) == {"old", "young"}
    age(store, 61)
    put(store, "no time yet", b"3")  # this process swept a moment ago
    assert claimed(store) == {"old", "young", "no time yet"}
    age(store, 0)
    put(Bucket(real.db), "new", b"4")
    assert claimed(store) == {"young", "no time yet", "new"}
    assert store.files.find_one({"filename": "old"}).keys() == (document.keys() - {"previous", "previousAt"})


@pytest.mark.parametrize("hours", [2, -2])
def test_only_the_servers_clock_tells_how_old_a_claim_is(
    store: Bucket, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    now = time.time

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=hours)

    monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
    monkeypatch.setattr("flask_gridfs_pymongo.store.writing.claims.datetime", Clock, raising=False)
    put(store, "a", b"1")
    (document,) = store.files.find()
    assert abs(document["previousAt"].time - now()) < 60
    age(store, CLAIM_TTL - 60)
    assert Claims(store.collections).remove_old() == 0
    age(store, 61)
    assert Claims(store.collections).remove_old() == 1


def test_a_claim_without_a_time_is_old(store: Bucket) -> None:
    put(store, "a", b"1")
    store.files.update_many({}, {"$unset": {"previousAt": ""}})
    assert Claims(store.collections).remove_old() == 1
    assert claimed(store) == set()


def test_no_server_is_asked_to_convert_a_timestamp(
    store: Bucket, real: PyMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoDB 5.0 and older cannot."""
    find = pymongo.collection.Collection.find

    def old(self: Any, query: Any = None, *args: Any, **options: Any) -> Any:
        if "$convert" in str(query) or "$toDate" in str(query):
            raise OperationFailure("Unsupported conversion from timestamp to date", 241)
        return find(self, query, *args, **options)

    monkeypatch.setattr(pymongo.collection.Collection, "find", old)
    put(store, "young", b"1")
    put(Bucket(real.db), "other", b"2")
    assert claimed(store) == {"young", "other"}
    age(store, CLAIM_TTL + 1)
    assert Claims(store.collections).remove_old() == 2


def test_clocks_two_hours_off_make_one_order_while_claims_are_removed(
    store: Bucket, real: PyMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    skew, done, date_after = threading.local(), threading.Event(), commit._date_after

    def skewed(newest: StoredFile | None, now: datetime) -> datetime:
        return date_after(newest, now + timedelta(seconds=skew.seconds))

    monkeypatch.setattr(commit, "_date_after", skewed)

    def upload(number: int) -> None:
        skew.seconds = random.Random(number).choice((-7200, 0, 7200))
        Bucket(real.db).save("a", [b"%d" % number])

    def sweep() -> None:
        while not done.is_set():
            Claims(store.collections).remove_old()

    with ThreadPoolExecutor(7) as pool:
        sweeping = pool.submit(sweep)
        list(pool.map(upload, range(18)))
        done.set()
        sweeping.result()
    found = [version.file for version in store.versions("a")]
    assert len({file.upload_date for file in found}) == 18
    chain = [(document["previous"]["_id"], document["_id"]) for document in store.files.find().sort("uploadDate", 1)]
    assert [before for before, _ in chain] == [None, *[own for _, own in chain[:-1]]]
    for seconds in (7200, -7200):
        skew.seconds = seconds
        assert store.save("a", [b"late"]) == store.find("a")


class TestAStoppedWriter:
    """It has looked, is stopped for longer than claims live, and goes on."""

    @pytest.fixture(autouse=True)
    def slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("flask_gridfs_pymongo.store.writing.watch._SHORT", -1)

    @pytest.fixture(params=["before it checks", "before it inserts"])
    def stopped(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
        """``stopped()`` in a writer's ``check`` stops it once; what goes on meanwhile is *meanwhile*."""
        looked, go_on, mine = threading.Event(), threading.Event(), threading.get_ident()
        insert, once = pymongo.collection.Collection.insert_one, [True]

        def pause() -> None:
            if threading.get_ident() != mine and once:
                once.clear()
                looked.set()
                assert go_on.wait(30)

        def late(self: Any, *args: Any, **options: Any) -> Any:
            pause()
            return insert(self, *args, **options)

        if request.param == "before it inserts":
            monkeypatch.setattr(pymongo.collection.Collection, "insert_one", late)
        self.looked, self.go_on = looked, go_on
        yield pause if request.param == "before it checks" else lambda: None
        go_on.set()

    def run(self, store: Bucket, check: Callable[[StoredFile | None], None], first: bool) -> tuple[Any, StoredFile]:
        """Save while another upload comes and its claim goes; returns what became of it, and the other one."""
        if not first:
            put(store, "a", b"before")
        with ThreadPoolExecutor(1) as pool:
            saving = pool.submit(store.save, "a", [b"slow"], check=check)
            assert self.looked.wait(30)
            other = put(store, "a", b"fast")
            Claims(store.collections).remove_all()
            self.go_on.set()
            return saving.exception() or saving.result(), other

    @pytest.mark.parametrize("first", [True, False])
    def test_its_version_is_the_newest_all_the_same(
        self, store: Bucket, stopped: Callable[[], None], first: bool
    ) -> None:
        saved, other = self.run(store, lambda newest: stopped(), first)
        assert [version.file for version in store.versions("a")][:2] == [saved, other]
        assert read(store, saved) == b"slow"

    @pytest.mark.parametrize("first", [True, False])
    def test_its_condition_holds_or_nothing_of_it_stays(
        self, store: Bucket, stopped: Callable[[], None], first: bool
    ) -> None:
        class Failed(Exception):
            pass

        def check(newest: StoredFile | None) -> None:
            stopped()
            if newest is not None and read(store, newest) == b"fast":
                raise Failed

        outcome, other = self.run(store, check, first)
        assert isinstance(outcome, Failed)
        assert store.find("a") == other
        assert store.chunks.distinct("files_id") == store.files.distinct("_id")


class TestPlainGridFS:
    """What other tools do with documents at rest."""

    @pytest.fixture
    def backup(self, store: Bucket) -> list[dict[str, Any]]:
        """The documents of three versions of ``a``, whose claims are over."""
        for content in (b"1", b"2", b"3"):
            put(store, "a", content)
        age(store, CLAIM_TTL + 1)
        Claims(store.collections).remove_old()
        return list(store.files.find().sort("uploadDate", 1))

    def test_a_backup_brings_back_a_file_whose_name_is_used_again(self, store: Bucket, backup: Any) -> None:
        chunks = list(store.chunks.find())
        newest = store.find("a")
        assert newest is not None
        store.delete_all(newest)
        new = put(store, "a", b"new")
        store.files.insert_many(backup)
        store.chunks.insert_many(chunks)
        assert store.find("a") == new
        assert [read(store, version.file) for version in store.versions("a")] == [b"new", b"3", b"2", b"1"]

    def test_buckets_are_merged_and_documents_copied(self, store: Bucket, real: PyMongo, backup: Any) -> None:
        other = Bucket(real.db, "other")
        put(other, "a", b"theirs")
        other.files.insert_many(backup)
        other.files.insert_many([{**document, "_id": ObjectId()} for document in backup])
        assert put(other, "a", b"next") == other.find("a")


@pytest.mark.parametrize("command", [["index"], ["check", "--repair"]])
def test_doubled_claims_are_removed_before_their_index_is_built(app: Flask, store: Bucket, command: list[str]) -> None:
    put(store, "a", b"1")
    store.files.drop_index("previous_1")
    document = store.files.find_one()
    store.files.insert_one({**document, "_id": ObjectId(), "length": 0})
    assert app.test_cli_runner().invoke(args=["gridfs", *command]).exit_code == 0
    assert store.files.index_information()["previous_1"]["unique"]
    assert claimed(store) == set()


def test_a_check_removes_old_claims_and_where_nobody_writes_all_that_is_unfinished(app: Flask, store: Bucket) -> None:
    put(store, "old", b"1")
    age(store, CLAIM_TTL + 1)
    assert app.test_cli_runner().invoke(args=["gridfs", "check"]).exit_code == 0
    assert claimed(store) == set()
    put(store, "a", b"1")
    store.chunks.insert_many([{"files_id": "x", "n": 0, "data": b""}, {"_id": 1, "files_id": "y", "n": 0, "data": b""}])
    run = app.test_cli_runner().invoke
    assert run(args=["gridfs", "check", "--repair"]).exit_code == 1  # nothing tells how old one of the chunks is
    assert (claimed(store), store.chunks.count_documents({})) == ({"a"}, 4)
    assert run(args=["gridfs", "check", "--idle"]).exit_code == 1
    assert (claimed(store), store.chunks.count_documents({})) == ({"a"}, 4)
    assert run(args=["gridfs", "check", "--repair", "--idle"]).exit_code == 0
    assert (claimed(store), store.chunks.count_documents({})) == (set(), 2)
