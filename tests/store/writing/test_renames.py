"""store/writing/renames.py and deletes.py: many files at once are what each of them alone would be."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pymongo
import pytest
from bson.objectid import ObjectId
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, StoredFile
from flask_gridfs_pymongo.store.writing import renames

from ...conftest import Commands, put
from ...helpers.kills import killed_at_each_write

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXPIRED = {"metadata": {"expiresAt": NOW - timedelta(days=9000)}}


def document(name: Any, day: int | None = 0, **fields: Any) -> dict[str, Any]:
    dated = {} if day is None else {"uploadDate": NOW + timedelta(days=day)}
    return {"_id": ObjectId(), "filename": name, "length": 0, "chunkSize": 1, **dated, **fields}


DOCUMENTS = [
    document("one"),
    *(document("several", day) for day in range(3)),
    *(document("very many", day) for day in range(40)),
    document("tied"),
    document("tied"),
    document("undated", None),
    document("partly dated", None),
    document("partly dated"),
    document("dated by text") | {"uploadDate": "2026"},
    document("expired", **EXPIRED),
    document("into what expired"),
    document("had expired", **EXPIRED),
    document("into what is taken"),
    document("taken"),
    document(["in an array", "x"], 1),
    document("in an array"),
    document("to nothing"),
    document("odd id") | {"_id": {"a": 1.5}},
    document("first"),
    document("second"),
    document("swapped"),
    document("swapping"),
]
NAMES = {
    **{
        name: f"new/{name}"
        for name in ("one", "several", "very many", "tied", "undated", "partly dated", "dated by text")
    },
    "expired": "new/expired",
    "missing": "new/missing",
    "into what expired": "had expired",
    "into what is taken": "taken",
    "in an array": "new/in an array",
    "odd id": "new/odd id",
    "to nothing": "",
    "first": "same",
    "second": "same",
    "swapped": "swapping",
    "swapping": "swapped",
    "taken": "taken",
}


def ids(store: Bucket) -> dict[Any, list[Any]]:
    """The ``_id`` of the versions of each name, in order."""
    found: dict[Any, list[Any]] = {}
    for one in store.files.find(sort=[("filename", 1), ("uploadDate", 1), ("_id", 1)]):
        found.setdefault(str(one.get("filename")), []).append(one["_id"])
    return found


def alone(store: Bucket, old: str, new: str) -> StoredFile | Exception | None:
    try:
        store.rename(old, new)
        return store.newest(new)
    except (OSError, ValueError) as error:
        return error


def texts(outcomes: dict[str, Any], name: str) -> dict[str, str]:
    return {
        old: str(outcome.id) if isinstance(outcome, StoredFile) else repr(outcome).replace(name, "fs")
        for old, outcome in outcomes.items()
    }


def test_each_name_is_renamed_as_it_would_be_alone(mongo: PyMongo) -> None:
    together, one_by_one = mongo.bucket("together"), mongo.bucket("single")
    for store in (together, one_by_one):
        store.files.insert_many(DOCUMENTS)
    outcomes = dict(together.rename_many(NAMES))
    expected = {old: alone(one_by_one, old, new) for old, new in NAMES.items()}
    assert texts(outcomes, together.collections.name) == texts(expected, one_by_one.collections.name)
    assert [name for name, outcome in outcomes.items() if isinstance(outcome, Exception)] == [
        *("expired", "missing", "into what is taken", "to nothing", "second", "swapped", "swapping", "taken")
    ]
    assert ids(together) == ids(one_by_one)
    for store in (together, one_by_one):
        assert store.files.count_documents({"renamedFrom": {"$exists": True}}) == 0
    for outcome in outcomes.values():
        if isinstance(outcome, StoredFile):
            assert outcome == together.find(outcome.filename)
    assert together.rename_many({}) == {}
    with pytest.raises(TypeError, match="filename must be str"):
        together.rename_many({"taken": 5})  # type: ignore[dict-item]


def filled(store: Bucket, names: int) -> dict[str, list[Any]]:
    """The ids of so many names, every third one in three versions."""
    documents = [document(f"{n:03}", day) for n in range(names) for day in range(1 if n % 3 else 3)]
    store.files.insert_many(documents)
    store.chunks.insert_many({"files_id": one["_id"], "n": 0, "data": b""} for one in documents)
    return ids(store)


def test_the_work_of_many_is_a_few_round_trips(uri: str, commands: Commands) -> None:
    with pymongo.MongoClient[Any](uri, event_listeners=[commands]) as client:
        store = Bucket(client.get_default_database())
        store.collections.indexes.ensure()
        before = filled(store, 300)
        commands.sent.clear()
        outcomes = store.rename_many({name: f"new/{name}" for name in before})
        # All versions; renames that broke off; the newest ones; whether they are the first; the others; and whether the
        # drive has made properties.
        assert commands.sent == ["find", "find", "update", "find", "update", "find"]
        assert ids(store) == {f"new/{name}": found for name, found in before.items()}
        commands.sent.clear()
        assert store.delete_all_many([outcomes[name] for name in before]) == [len(before[name]) for name in before]
        # For 100 files: renames that broke off; older versions; then twice 100 documents, and their chunks.
        assert commands.sent == ["find", "find", *["delete"] * 4] * 3
        assert (ids(store), store.chunks.count_documents({})) == ({}, 0)


def test_killed_at_each_write_it_is_completed_by_the_next(store: Bucket, uri: str) -> None:
    store.collections.indexes.ensure()
    before = filled(store, 5)
    code = """
from flask_gridfs_pymongo.store.writing import renames
renames._BATCH = 3
store.rename_many({f'{n:03}': f'new/{n:03}' for n in range(5)})
"""
    for _ in killed_at_each_write(uri, code):
        there = ids(store)
        for name, versions in before.items():
            left, gone = there.get(name, []), there.get(f"new/{name}", [])
            assert sorted([*left, *gone]) == versions
            assert versions[-1] in (left or gone)[-1:] or versions[-1] in gone
    assert store.rename_many({name: f"new/{name}" for name in before}).keys() == before.keys()
    assert ids(store) == {f"new/{name}": versions for name, versions in before.items()}
    assert store.files.count_documents({"renamedFrom": {"$exists": True}}) == 0


def test_a_lost_answer_and_a_database_that_is_gone(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write, lost = filled(store, 9), pymongo.collection.Collection.bulk_write, [2]

    def write_and_lose(self: Any, *arguments: Any, **options: Any) -> Any:
        result = write(self, *arguments, **options)
        if lost[0]:
            lost[0] -= 1
            raise AutoReconnect("connection reset by peer")
        return result

    monkeypatch.setattr(pymongo.collection.Collection, "bulk_write", write_and_lose)
    store.rename_many({name: f"new/{name}" for name in before})
    assert (ids(store), lost) == ({f"new/{name}": found for name, found in before.items()}, [0])
    monkeypatch.setattr("flask_gridfs_pymongo.store.retry.RetryBudget.lasts", lambda budget, error: False)
    monkeypatch.setattr("flask_gridfs_pymongo.store.writing.renames._BATCH", 4)
    lost[0] = 1
    outcomes = store.rename_many({f"new/{name}": name for name in before})
    assert all(isinstance(outcome, AutoReconnect) for outcome in outcomes.values())
    monkeypatch.undo()
    store.rename_many({f"new/{name}": name for name in before})
    assert ids(store) == before


@pytest.mark.parametrize("write", [False, True])
def test_what_broke_off_is_completed_first(mongo: PyMongo, monkeypatch: pytest.MonkeyPatch, write: bool) -> None:
    """Else the older versions would go elsewhere, or be deleted, though the newest has a new name."""
    results = []
    for together in (True, False):
        store = mongo.bucket(f"together{together}")
        before = filled(store, 4)
        with monkeypatch.context() as broken:
            broken.setattr("flask_gridfs_pymongo.store.writing.renames._follow", lambda one: [])
            store.rename_many({name: f"new/{name}" for name in before})
        assert list(ids(store))[:2] == ["000", "003"]
        left = [store.find(name) for name in ("000", "003")]
        if write and together:
            assert store.delete_all_many(left) == [0, 0]
        elif write:
            assert [store.delete_all(file) for file in left] == [0, 0]
        elif together:
            outcomes = store.rename_many({"000": "else", "003": "where"})
            assert {type(outcome) for outcome in outcomes.values()} == {FileNotFoundError}
        else:
            for old, new in (("000", "else"), ("003", "where")):
                with pytest.raises(FileNotFoundError):
                    store.rename(old, new)
        results.append({name: len(versions) for name, versions in ids(store).items()})
    assert results[0] == results[1]


RACES = 8


@pytest.fixture
def racing(store: Bucket) -> Callable[..., list[Any]]:
    """``racing(first, second)`` calls both at the same moment; gives what they return."""

    def race(*actions: Callable[[], Any]) -> list[Any]:
        start = Barrier(len(actions))

        def act(action: Callable[[], Any]) -> Any:
            start.wait()
            return action()

        with ThreadPoolExecutor(len(actions)) as pool:
            return list(pool.map(act, actions))

    return race


def test_uploads_to_the_new_names_come_first_or_follow(store: Bucket, racing: Callable[..., list[Any]]) -> None:
    before = filled(store, RACES)

    def upload() -> dict[str, list[Any]]:
        followed: dict[str, list[Any]] = {}
        for name in random.Random(RACES).sample(sorted(before), len(before)):
            followed[name] = []
            followed[name].append(store.save(f"new/{name}", [b""], check=followed[name].append).id)
        return followed

    outcomes, uploads = racing(lambda: store.rename_many({name: f"new/{name}" for name in before}), upload)
    there = ids(store)
    for name, versions in before.items():
        *_, seen, uploaded = uploads[name]
        if isinstance(outcomes[name], StoredFile):
            assert there[f"new/{name}"] == [*versions, uploaded]
            assert seen.id == versions[-1]
            assert name not in there
        else:
            assert isinstance(outcomes[name], FileExistsError)
            assert (there[name], there[f"new/{name}"], seen) == (versions, [uploaded], None)


def test_an_upload_that_completes_a_rename_under_way_follows_it(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes when the newest version has its new name, and before that is looked at again."""
    before, write = filled(store, 4), renames.write

    def written(*arguments: Any, **options: Any) -> Any:
        refused = write(*arguments, **options)
        monkeypatch.undo()
        put(store, "new/000", b"upload")
        return refused

    monkeypatch.setattr(renames, "write", written)
    outcomes = store.rename_many({name: f"new/{name}" for name in before})
    assert {type(outcome) for outcome in outcomes.values()} == {StoredFile}
    there = ids(store)
    assert (there["new/000"][:-1], len(there["new/000"])) == (before["000"], 4)
    assert not there.keys() & before.keys()


def test_renames_and_deletes_of_the_same_names(store: Bucket, racing: Callable[..., list[Any]]) -> None:
    """One of them gets each newest version, and none is lost: what a rename got before a delete has its new name."""
    before = filled(store, RACES)
    newest = [store.find(name) for name in before]

    def alone_to(folder: str) -> dict[str, Any]:
        return {name: alone(store, name, f"{folder}/{name}") for name in sorted(before, reverse=True)}

    def many_to(folder: str) -> Any:
        return store.rename_many({name: f"{folder}/{name}" for name in before})

    moved = racing(lambda: many_to("a"), lambda: alone_to("b"), lambda: many_to("c"))
    there = ids(store)
    for name, versions in before.items():
        winners = [one[name].id for one in moved if isinstance(one[name], StoredFile)]
        assert winners.count(versions[-1]) == 1
        assert sorted(one for folder in "abc" for one in there.get(f"{folder}/{name}", [])) == versions
    store.files.update_many({}, [{"$set": {"filename": {"$substrBytes": ["$filename", 2, -1]}}}])
    moved, deleted = racing(lambda: many_to("d"), lambda: store.delete_all_many(newest))
    for name, count in zip(before, deleted, strict=True):
        assert count or isinstance(moved[name], StoredFile)
    assert store.files.count_documents({"filename": {"$not": {"$regex": "^d/"}}}) == 0


class TestDelete:
    def test_older_versions_go_and_newer_ones_stay(self, store: Bucket) -> None:
        store.files.insert_many(DOCUMENTS)
        names = ["one", "several", "very many", "undated", "partly dated", "odd id", "in an array"]
        newest = [store.find(name) for name in names]
        unnamed = store.get(store.files.insert_one(document(5)).inserted_id)
        added = [put(store, name, b"").id for name in names]
        assert store.delete_all_many([*newest, unnamed]) == [1, 3, 40, 1, 2, 1, 1, 1]
        there = ids(store)
        assert [there[name] for name in names] == [[one] for one in added]
        assert sum(map(len, there.values())) == len(DOCUMENTS) - 49 + len(added)
        assert store.delete_all_many([]) == []

    def test_killed_at_each_write_a_file_is_whole_or_gone(self, store: Bucket, uri: str) -> None:
        store.collections.indexes.ensure()
        before = filled(store, 4)
        code = """
from flask_gridfs_pymongo.store.writing import deletes
deletes._BATCH = 4
store.delete_all_many([file for n in range(4) if (file := store.find(f'{n:03}'))])
"""
        for _ in killed_at_each_write(uri, code):
            left = ids(store)
            assert all(before[name][-len(versions) :] == versions for name, versions in left.items())  # the newest last
            owned = {one for versions in left.values() for one in versions}
            assert owned <= set(store.chunks.distinct("files_id"))
        assert left == {}


def test_chains_are_renamed_in_their_order(store: Bucket) -> None:
    put(store, "a", b"1")
    outcomes = store.rename_many({"b": "c", "a": "b"})
    assert isinstance(outcomes["b"], FileNotFoundError)
    assert outcomes["a"] == store.find("b")
    assert store.find("c") is None
