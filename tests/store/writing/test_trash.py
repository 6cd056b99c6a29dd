"""The trash: what goes into it, what comes back, and what happens at the same time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.objectid import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, Check, IndexConflict, Mirror, StoredFile, Sweep
from flask_gridfs_pymongo.store.versions import Versions
from flask_gridfs_pymongo.store.writing import trash as writing

from ...conftest import Commands, put, read, seeds
from ...helpers.kills import killed_at_each_write

DAY = 86_400


@pytest.fixture
def bin(mongo: PyMongo) -> Bucket:
    """The bucket ``fs`` with a trash."""
    return Bucket(mongo.db, trash=DAY)


def history(store: Bucket, name: str) -> list[bytes]:
    """The contents of the versions of a name, the oldest first."""
    return [read(store, version.file) for version in store.versions(name)][::-1]


def documents(store: Bucket) -> dict[str, dict[str, Any]]:
    """All documents without their claims, which come and go."""
    own = {"previous", "previousAt"}
    return {str(one["_id"]): {key: value for key, value in one.items() if key not in own} for one in store.files.find()}


def in_trash(store: Bucket) -> list[tuple[str, int]]:
    return [(row.file.filename, row.versions) for row in store.trash().rows]


def ids_in_trash(store: Bucket) -> list[Any]:
    return [row.file.id for row in store.trash(limit=1000).rows]


def test_what_is_deleted_comes_back_as_it_was(bin: Bucket) -> None:
    for data in (b"one", b"two", b"three"):
        put(bin, "a.txt", data)
    before = documents(bin)
    assert bin.delete("a.txt") == 3
    assert bin.find("a.txt") is None
    assert bin.list().rows == []
    for document in bin.files.find():
        assert "filename" not in document
        assert document["trashed"] == {
            "at": document["trashed"]["at"],
            "until": document["trashed"]["at"] + timedelta(days=1),
            "by": None,
            "name": "a.txt",
        }
    [row] = bin.trash().rows
    assert (row.file.filename, row.versions, read(bin, row.file)) == ("a.txt", 3, b"three")
    restored = bin.restore(row.file.id)
    assert restored.filename == "a.txt"
    assert history(bin, "a.txt") == [b"one", b"two", b"three"]
    assert documents(bin) == before
    assert in_trash(bin) == []
    with pytest.raises(FileNotFoundError, match="trash"):
        bin.restore(row.file.id)


@pytest.mark.parametrize("number", [0, 1, 2, -1])
def test_a_version_comes_back_to_its_place(bin: Bucket, number: int) -> None:
    for data in (b"one", b"two", b"three"):
        put(bin, "a.txt", data)
    before = documents(bin)
    assert bin.delete("a.txt", number) == 1
    [row] = bin.trash().rows
    assert row.file.trashed is not None
    assert row.file.trashed.part
    assert bin.get(row.file.id) is None
    assert len(history(bin, "a.txt")) == 2
    bin.restore(row.file.id)
    assert documents(bin) == before
    put(bin, "a.txt", b"four")
    assert history(bin, "a.txt") == [b"one", b"two", b"three", b"four"]


def test_a_version_comes_back_only_to_its_own_file(bin: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    put(bin, "other", b"other")
    for data in (b"one", b"two", b"three"):
        put(bin, "a.txt", data)
    files = [version.file for version in bin.versions("a.txt")]
    old = iter(datetime(2020, 1, day, tzinfo=UTC) for day in range(1, 30))
    with monkeypatch.context() as patch:
        patch.setattr(bin.collections.clock, "now", lambda: next(old))  # a clock that went back
        for file in files[:2]:
            assert bin.delete_versions([file]) == 1
    bin.rename("a.txt", "b.txt")
    bin.rename("other", "a.txt")
    with pytest.raises(FileExistsError):
        bin.restore(files[0].id)
    assert history(bin, "a.txt") == [b"other"]
    bin.rename("a.txt", "other")
    bin.rename("b.txt", "a.txt")
    for file in files[:2]:
        bin.restore(file.id)
    assert history(bin, "a.txt") == [b"one", b"two", b"three"]


def test_a_name_that_another_file_has_is_taken(bin: Bucket) -> None:
    put(bin, "b.txt", b"older than the deletion")
    for data in (b"one", b"two"):
        put(bin, "a.txt", data)
    bin.delete("a.txt")
    bin.rename("b.txt", "a.txt")
    put(bin, "a.txt", b"new")
    before = documents(bin)
    [file_id] = ids_in_trash(bin)
    with pytest.raises(FileExistsError, match=r"a\.txt"):
        bin.restore(file_id)
    assert documents(bin) == before
    assert bin.restore(file_id, merge=True).id == file_id
    assert history(bin, "a.txt") == [b"one", b"two", b"older than the deletion", b"new"]
    dates = [version.file.upload_date for version in bin.versions("a.txt")]
    assert dates == sorted(set(dates), reverse=True)


def test_a_folder_that_was_made_again_takes_back_its_files(bin: Bucket) -> None:
    for name in ("docs/", "docs/a.txt"):
        put(bin, name, b"")
    bin.delete_all_many([file for name in ("docs/", "docs/a.txt") if (file := bin.find(name))])
    put(bin, "docs/", b"")
    assert [type(outcome) for _, outcome in bin.restore_many(ids_in_trash(bin))] == [StoredFile] * 2
    assert [row.file.filename for row in bin.list().rows] == ["docs/", "docs/a.txt"]
    bin.delete("docs/")
    put(bin, "docs/", b"a file with such a name")
    with pytest.raises(FileExistsError):
        bin.restore(ids_in_trash(bin)[0])


def test_a_new_file_begins_anew(bin: Bucket) -> None:
    bin.save("a.txt", [b"old"], fields={"metadata": {"title": "Old"}})
    bin.delete("a.txt")
    new = put(bin, "a.txt", b"new")
    assert new.metadata.get("title") is None
    assert history(bin, "a.txt") == [b"new"]
    bin.delete("a.txt")
    assert in_trash(bin) == [("a.txt", 1), ("a.txt", 1)]
    newest, oldest = ids_in_trash(bin)
    bin.restore(oldest)
    with pytest.raises(FileExistsError):
        bin.restore(newest)
    assert bin.empty_trash([newest]) == 1
    assert history(bin, "a.txt") == [b"old"]
    assert bin.chunks.count_documents({}) == 1


def test_an_expired_file_does_not_take_the_name(bin: Bucket) -> None:
    put(bin, "a.txt", b"old")
    bin.delete("a.txt")
    bin.save("a.txt", [b"gone"], expires_at=datetime.now(UTC) - timedelta(days=1))
    bin.restore(ids_in_trash(bin)[0])
    assert history(bin, "a.txt") == [b"old"]


def test_what_has_expired_is_not_restored(bin: Bucket) -> None:
    put(bin, "a.txt", b"old")
    bin.save("a.txt", [b"new"], expires_at=datetime.now(UTC) - timedelta(minutes=1))
    put(bin, "b.txt", b"stays")
    bin.delete_all_many([file for name in ("a.txt", "b.txt") if (file := bin._versions.newest(name))])
    ids = [document["_id"] for document in bin.files.find({"trashed.name": "a.txt"})]
    assert in_trash(bin) == [("b.txt", 1)]
    for wanted in (ids, [*ids, *ids_in_trash(bin)]):
        outcomes = {file.filename: outcome for file, outcome in bin.restore_many(wanted)}
        assert "expired" in str(outcomes["a.txt"])
    assert bin.files.count_documents({"filename": "a.txt"}) == 0
    assert read(bin, outcomes["b.txt"]) == b"stays"


@pytest.mark.parametrize("fields", [["filename"], ["filename", "uploadDate"]], ids=",".join)
def test_a_unique_index_of_the_application(bin: Bucket, fields: list[str]) -> None:
    bin.files.create_index(fields, unique=True, name="theirs")
    for name in ("a", "b"):
        put(bin, name, name.encode())
    bin.files.update_many({}, {"$set": {"uploadDate": DATE}})
    bin.delete("a")
    with pytest.raises(IndexConflict, match=f"unique index on {', '.join(fields)} .*partialFilterExpression"):
        bin.delete("b")
    assert history(bin, "b") == [b"b"]
    if fields == ["filename"]:
        put(bin, "a", b"other")
        with pytest.raises(IndexConflict, match="refuses another version of 'a'"):
            bin.restore(ids_in_trash(bin)[0], merge=True)
        assert bin.delete("a", for_good=True) == 1
    bin.files.drop_index("theirs")
    bin.files.create_index(fields, unique=True, partialFilterExpression={"filename": {"$exists": True}})
    assert bin.delete("b") == 1
    for file_id in ids_in_trash(bin):
        bin.restore(file_id)
    assert history(bin, "a") + history(bin, "b") == [b"a", b"b"]


DATE = datetime(2020, 1, 1, tzinfo=UTC)
# Documents of other tools, as they go into the trash and come back.
ODD: dict[str, dict[str, Any]] = {
    "no name": {},
    "null": {"filename": None},
    "a number": {"filename": 5},
    "an operator": {"filename": "$set"},
    "an array": {"filename": ["a", "b"]},
    "no date": {"filename": "a", "uploadDate": None},
    "a field of the application": {"filename": "a", "trashed": True},
    "an empty name": {"filename": ""},
    "an array of the application": {"filename": "a", "trashed": ["x"]},
    "an empty array": {"filename": "a", "trashed": []},
    "a list of dates": {"filename": "a", "trashed": [{"at": DATE, "until": DATE}]},
    "an array, and no name": {"trashed": ["x"]},
    "a date that is text": {"filename": "a", "trashed": {"at": "yesterday", "by": "Ann"}},
    "a date that is text, and no name": {"trashed": {"at": "yesterday"}},
    "a date with a name": {"filename": "a", "trashed": {"at": DATE, "until": DATE}},
    "dates": {"filename": "a", "trashed": {"at": [DATE], "until": DATE}},
}


def test_documents_of_other_tools(bin: Bucket) -> None:
    dates = {"length": 0, "chunkSize": 1024, "uploadDate": DATE}
    wanted = {ObjectId(): {**dates, **fields} for fields in ODD.values()}
    bin.files.insert_many([{"_id": file_id, **document} for file_id, document in wanted.items()])
    shown = {row.file.id for page in bin.pages() for row in page.rows}
    assert in_trash(bin) == list(Sweep(bin).run()) == []
    assert len(bin.get_many(list(wanted))) == len(wanted)
    for file_id in wanted:
        assert bin.update_metadata(None, {"seen": 1}, id=file_id).metadata == {"seen": 1}
    assert bin.delete_many(list(wanted)) == len(wanted)
    assert bin.list().rows == []
    assert bin.get_many(list(wanted)) == []
    assert {row.file.id for row in bin.trash().rows} >= shown
    outcomes = bin.restore_many(list(wanted), merge=True)
    assert [type(outcome) for _, outcome in outcomes] == [StoredFile] * len(outcomes)
    assert {row.file.id for page in bin.pages() for row in page.rows} == shown
    for file_id, before in wanted.items():
        after = bin.files.find_one({"_id": file_id}) or {}
        assert "trashed" not in after
        assert (after.get("filename"), after["uploadDate"]) == (before.get("filename"), before["uploadDate"])


def test_pages_of_the_trash(bin: Bucket) -> None:
    names = [f"{folder}/{number}" for folder in ("a", "b") for number in range(6)]
    for name in names:
        put(bin, name, b"x")
        put(bin, name, b"y")
    first = bin.deletion("Ann")
    second = (first and first._replace(at=first.at + timedelta(seconds=1))) or None
    bin.delete_all_many([file for name in names[:6] if (file := bin.find(name))], first)
    bin.delete_all_many([file for name in names[6:] if (file := bin.find(name))], second)
    found, after = list[str](), None
    while True:
        page = bin.trash(after=after, limit=5)
        assert len(page.rows) <= 5
        assert {row.versions for row in page.rows} == {2}
        assert {row.file.trashed.by for row in page.rows if row.file.trashed} == {"Ann"}
        found += [row.file.filename for row in page.rows]
        if (after := page.next) is None:
            break
    assert found == [*names[6:], *names[:6]]
    assert [row.file.filename for row in bin.trash("a/").rows] == names[:6]
    assert [row.file.filename for row in bin.trash(at=first and first.at).rows] == names[:6]
    assert [row.file.filename for row in bin.trash(shown=lambda name: name.endswith("1")).rows] == ["b/1", "a/1"]
    assert [len(bin.trash(limit=12).rows), bin.trash(limit=12).next] == [12, None]


def test_counts_and_what_deletes_for_good(bin: Bucket, mongo: PyMongo) -> None:
    put(bin, "a/kept", b"kept")
    put(bin, "a/gone", b"twelve bytes")
    put(bin, "a/gone", b"four")
    bin.delete("a/gone")
    assert tuple(bin.usage("a/")) == (1, 3, 20)
    assert bin.usage().bytes == 20
    assert (bin.taken.below("a/"), bin.taken.below("a/gone"), bin.taken.below("")) == (20, 16, 20)
    assert list(Check(bin.collections).findings()) == []
    other = Bucket(mongo.db, "copied")
    assert [step.kind for step in Mirror(bin, other).run()] == ["copied"] * 3
    assert in_trash(other) == in_trash(bin) == [("a/gone", 2)]
    assert bin.delete("a/kept", for_good=True) == 1
    assert bin.empty_trash(ids_in_trash(bin)) == 2
    assert bin.chunks.count_documents({}) == bin.files.count_documents({}) == 0
    put(bin, "other", b"")
    assert {step.kind for step in Mirror(bin, other, delete=True).run()} == {"copied", "deleted"}
    assert [document["filename"] for document in other.files.find()] == ["other"]
    assert Bucket(mongo.db).delete("other") == 1
    assert bin.files.count_documents({}) == 0


def test_a_sweep_removes_what_is_too_old(bin: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        put(bin, name, b"x")
    put(bin, "c", b"y")
    bin.delete("a")
    bin.delete("c")
    assert list(Sweep(bin).run()) == []
    assert list(Sweep(bin, older_than=timedelta()).run()) == []  # b expires; what is in the trash does not
    bin.files.update_many({"trashed.name": "c"}, {"$set": {"trashed.until": bin.collections.clock.now()}})
    assert [(gone.file.filename, gone.reason) for gone in Sweep(bin, dry_run=True).run()] == [("c", "trashed")] * 2
    monkeypatch.setattr("flask_gridfs_pymongo.store.model.local_now", lambda: datetime(1990, 1, 1, tzinfo=UTC))
    assert [(gone.file.filename, gone.reason) for gone in Sweep(bin).run()] == [("c", "trashed")] * 2
    assert in_trash(bin) == [("a", 1)]
    assert bin.chunks.count_documents({}) == 2
    bin.files.update_many({"trashed.name": "a"}, {"$set": {"metadata.expiresAt": datetime(2020, 1, 1, tzinfo=UTC)}})
    assert [gone.file.filename for gone in Sweep(bin).run()] == ["a"]


@pytest.mark.slow
@pytest.mark.parametrize("change", ["delete", "restore", "restore_one", "merge"])
def test_a_kill_loses_nothing_and_a_repetition_completes_it(bin: Bucket, uri: str, change: str) -> None:
    names = {"a": 2, "b": 1}

    def fill() -> None:
        for name, count in names.items():
            for number in range(count):
                put(bin, name, f"{name}{number}".encode())

    fill()
    before = documents(bin)
    code = "store.collections.trash = 1000\n"
    code += "newest = [file for name in 'ab' if (file := store.find(name))]\n"
    code += {
        "delete": "store.delete_all_many(newest)",
        "restore": "store.restore_many([row.file.id for row in store.trash().rows])",
        "restore_one": "[store.restore(row.file.id) for row in store.trash().rows]",
        "merge": "store.restore_many([row.file.id for row in store.trash().rows], merge=True)",
    }[change]
    runs = 0
    deletes = change == "delete"
    if not deletes:
        for name in names:
            bin.delete(name)
    for _ in killed_at_each_write(uri, code):
        runs += 1
        assert len(documents(bin)) == len(before)
        for document in bin.files.find():
            assert ("trashed" in document) != ("filename" in document), document
        if deletes:
            for name in names:
                bin.delete(name)
            assert bin.list().rows == []
        while left := ids_in_trash(bin):
            bin.restore_many(left)
        assert documents(bin) == before
        for name, count in names.items():
            assert history(bin, name) == [f"{name}{number}".encode() for number in range(count)]
        if not deletes:
            for name in names:
                bin.delete(name)
    assert runs > 1


@pytest.mark.slow
def test_a_kill_while_the_trash_is_emptied_leaves_whole_files(bin: Bucket, uri: str) -> None:
    put(bin, "a", b"x")
    bin.delete("a")
    code = "store.empty_trash([row.file.id for row in store.trash().rows])"
    for _ in killed_at_each_write(uri, code):
        stored = {document["_id"] for document in bin.files.find()}
        assert stored <= set(bin.chunks.distinct("files_id"))
        list(Check(bin.collections, repair=True, idle=True).findings())
        assert set(bin.chunks.distinct("files_id")) == stored
        put(bin, "b", b"new")
        bin.delete("b")


def test_what_is_restored_meanwhile_is_not_deleted(bin: Bucket) -> None:
    put(bin, "a", b"x")
    bin.delete("a")
    [file] = bin.in_trash(ids_in_trash(bin))
    bin.restore(file.id)
    assert writing.remove(bin.collections, bin.variants, [file.document]) == []
    bin.delete("a")
    assert bin.in_trash([file.id])[0].trashed != file.trashed
    assert writing.remove(bin.collections, bin.variants, [file.document]) == []
    bin.restore(file.id)
    assert history(bin, "a") == [b"x"]


# What is done with a bucket that has the names a, b, c and d with two versions each.
TRIPS: dict[str, Callable[[Bucket], Any]] = {
    "delete a version": lambda store: store.delete("a", 0),
    "delete a name": lambda store: store.delete("a"),
    "delete names": lambda store: store.delete_all_many([file for name in "bc" if (file := store.find(name))]),
    "find": lambda store: store.find("d", first_chunk=True),
    "get": lambda store: store.get(ObjectId(), first_chunk=True),
    "list": lambda store: store.list(),
    "order": lambda store: store.list("newest"),
    "versions": lambda store: store.versions("d"),
    "upload": lambda store: put(store, "d", b"z"),
    "rename": lambda store: store.rename("d", "e"),
}


def test_nothing_takes_more_round_trips_than_without_a_trash(uri: str, commands: Commands) -> None:
    counts: dict[int, dict[str, int]] = {0: {}, DAY: {}}
    with MongoClient[Any](uri, event_listeners=[commands]) as client:
        for seconds, found in counts.items():
            store = Bucket(client.get_default_database(), trash=seconds)
            for name in "abcd" * 2:
                put(store, name, b"x")
            for kind, change in TRIPS.items():
                commands.all.clear()
                change(store)
                found[kind] = len(commands.all)
            store.delete("e", for_good=True)
    assert [kind for kind in TRIPS if counts[DAY][kind] > counts[0][kind]] == []


@pytest.mark.parametrize("seed", seeds(3))
def test_deletes_restores_uploads_and_emptying_at_the_same_time(mongo: PyMongo, seed: int) -> None:
    """Nothing is lost but what was emptied; each name has one order; and nobody is stuck afterwards."""
    stores = [Bucket(mongo.db, trash=1 if number == 3 else DAY) for number in range(4)]
    uploaded: list[Any] = []
    emptied: list[Any] = []

    def run(number: int) -> None:
        store, choice = stores[number], random.Random(f"{seed} {number}")
        for step in range(40):
            name = choice.choice("ab")
            kind = choice.choice("put put create delete version rename restore restore merge empty expire".split())
            with suppress(FileExistsError, FileNotFoundError, IndexConflict):
                act(store, choice, kind, name, f"{number} {step}".encode())

    def create(newest: StoredFile | None) -> None:
        if newest is not None:
            raise FileExistsError

    def act(store: Bucket, choice: random.Random, kind: str, name: str, data: bytes) -> None:
        left: Sequence[Any] = ids_in_trash(store) if kind in ("restore", "merge", "empty") else ()
        if kind in ("put", "create"):
            uploaded.append(store.save(name, [data], check=create if kind == "create" else None).id)
        elif kind == "delete":
            store.delete(name)
        elif kind == "version":
            store.delete(name, choice.choice([0, -1]))
        elif kind == "rename":
            store.rename(name, "b" if name == "a" else "a")
        elif kind == "expire":
            emptied.extend(gone.file.id for gone in Sweep(store).run())
        elif kind == "empty" and left and choice.random() < 0.3:
            for group in writing.together(Versions(store.collections), [choice.choice(left)]):
                emptied.extend(document["_id"] for document in group)
                writing.remove(store.collections, store.variants, group)
        elif left:
            store.restore_many([choice.choice(left)], merge=kind == "merge")

    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(run, range(len(stores))))
    store = stores[0]
    found = {document["_id"]: document for document in store.files.find()}
    assert set(uploaded) - set(found) <= set(emptied)
    assert set(store.chunks.distinct("files_id")) == set(found)
    for document in found.values():
        assert ("trashed" in document) != ("filename" in document), document
    while left := ids_in_trash(store):
        store.restore_many(left, merge=True)
    for name in "ab":
        count = store.count(name)
        new = put(store, name, b"last")
        dates = [version.file.upload_date for version in store.versions(name, limit=1000)]
        assert len(dates) == count + 1
        assert dates == sorted(dates, reverse=True)  # of equal ones, as two merged files may have, the _id decides
        assert dates.count(new.upload_date) == 1
        assert (store.find(name) or new).id == new.id
    assert {document["_id"] for document in store.files.find()} >= set(uploaded) - set(emptied)
    assert all("trashed" not in document for document in store.files.find())


@pytest.mark.parametrize("method", ["update_many", "bulk_write", "delete_many"])
def test_a_lost_reply_changes_nothing(bin: Bucket, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    original, lost, all_lost = getattr(Collection, method), list[bool](), list[bool]()

    def losing(self: Any, *arguments: Any, **options: Any) -> Any:
        done = original(self, *arguments, **options)
        if self.name == "fs.files" and not lost:
            lost.append(True)
            all_lost.append(True)
            raise AutoReconnect("the reply was lost")
        return done

    monkeypatch.setattr(Collection, method, losing)

    def losing_one(change: Callable[[], Any]) -> Any:
        lost.clear()
        return change()

    for name in "aab":
        put(bin, name, name.encode())
    before = documents(bin)
    newest = [file for name in "ab" if (file := bin.find(name))]
    assert losing_one(lambda: bin.delete_all_many(newest)) in ([2, 1], [3, 0])
    assert in_trash(bin) == [("a", 2), ("b", 1)]
    outcomes = losing_one(lambda: bin.restore_many(ids_in_trash(bin)))
    assert [type(outcome) for _, outcome in outcomes] == [StoredFile, StoredFile]
    assert documents(bin) == before
    assert losing_one(lambda: bin.delete("a", 0)) == 1
    assert losing_one(lambda: bin.restore(ids_in_trash(bin)[0])).filename == "a"
    assert documents(bin) == before
    assert losing_one(lambda: bin.delete("a")) == 2
    assert losing_one(lambda: bin.empty_trash(ids_in_trash(bin))) == 2
    assert bin.chunks.count_documents({}) == bin.files.count_documents({}) == 1
    assert all_lost
