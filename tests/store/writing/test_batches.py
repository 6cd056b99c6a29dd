"""store/writing/batches.py: many uploads and copies at once are what each of them alone would be."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier, get_ident
from typing import Any

import pymongo
import pytest
from bson.objectid import ObjectId
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, CorruptFile, IndexConflict, NewFile, StoredFile, Unconfirmed

from ...conftest import BIG, Commands, put, read
from ...helpers.kills import killed_at_each_write

EXPIRES = {"metadata": {"expiresAt": datetime(2000, 1, 1, tzinfo=UTC)}}
LARGE = BIG * 12  # more than a batch, and more than a writer keeps in memory


class Refused(Exception):
    pass


def refuse(file: Any) -> None:
    raise Refused


def broken() -> Iterator[bytes]:
    yield b"first"
    raise OSError("the disk")


def uploads() -> list[NewFile]:
    return [
        NewFile("new", io.BytesIO(b"new")),
        NewFile("taken", [b"ta", b"ken"]),
        NewFile("twice", [b"1"]),
        NewFile("empty", []),
        NewFile("page.html", ["é".encode()], fields={"owner": "me", "metadata": {"tags": ["red"]}}),
        NewFile("typed", [b"x"], "image/png"),
        NewFile("refused", [b"x"], check=refuse),
        NewFile("inspected", [b"x"], inspect=refuse),
        NewFile("broken", broken()),
        NewFile("unique", [b"x"], fields={"code": 7}),
        NewFile("large", [LARGE]),
        NewFile("tied", [b"x"]),
        NewFile("expired", [b"x"]),
        NewFile("left behind", [b"x"]),
        NewFile("twice", [b"2"]),
        NewFile("not bytes", ["text"]),  # type: ignore[list-item]
        NewFile("not BSON", [b"x"], fields={"owner": {1, 2}}),
        NewFile("last", [b"last"]),
    ]


def prepare(store: Bucket) -> None:
    put(store, "taken", b"before")
    store.files.create_index("code", unique=True, partialFilterExpression={"code": {"$exists": True}})
    date = datetime(2026, 1, 1, tzinfo=UTC)
    same = {"length": 0, "chunkSize": 1, "uploadDate": date}
    store.files.insert_many({"filename": name, **same} for name in ("tied", "tied"))
    store.files.insert_many([{"filename": "expired", **same, **EXPIRES}, {"filename": "other", **same, "code": 7}])
    left = put(store, "left behind", b"x")
    store.files.update_one({"_id": left.id}, {"$set": {"filename": "by another tool"}})


def alone(store: Bucket, upload: NewFile) -> StoredFile | Exception:
    name, source, content_type, fields, check, inspect = upload
    try:
        return store.save(name, source, content_type=content_type, fields=fields, check=check, inspect=inspect)
    except Exception as error:
        return error


def facts(store: Bucket) -> list[Any]:
    """All versions of all names in order, apart from ids and dates; and their contents."""
    found = []
    for document in store.files.find(sort=[("filename", 1), ("uploadDate", 1), ("_id", 1)]):
        file = StoredFile.from_document(document)
        for name in ("_id", "uploadDate", "previousAt"):
            document.pop(name, None)
        document["previous"] = bool(document.get("previous", {}).get("_id"))
        found.append((document, read(store, file)))
    return found


def dated_in_order(store: Bucket, name: str) -> list[StoredFile]:
    versions = [version.file for version in reversed(store.versions(name))]
    dates = [file.upload_date for file in versions]
    assert dates == sorted(set(dates))
    return versions


def test_each_file_is_saved_as_it_would_be_alone(mongo: PyMongo) -> None:
    together, one_by_one = mongo.bucket("together"), mongo.bucket("single")
    for store in (together, one_by_one):
        prepare(store)
    outcomes = together.save_many(uploads())
    expected = [alone(one_by_one, upload) for upload in uploads()]
    kinds = [(type(outcome), str(outcome).partition(":")[0]) for outcome in outcomes if isinstance(outcome, Exception)]
    assert [kind for kind, _ in kinds] == [type(error) for error in expected if isinstance(error, Exception)]
    assert {IndexConflict, Refused, OSError, TypeError} <= {kind for kind, _ in kinds}
    assert facts(together) == facts(one_by_one)
    assert [read(together, file) for file in dated_in_order(together, "twice")] == [b"1", b"2"]
    for upload, outcome in zip(uploads(), outcomes, strict=True):
        if isinstance(outcome, StoredFile) and upload.source != [b"1"]:
            assert outcome == together.find(upload.filename)
    owners = set(together.chunks.distinct("files_id"))
    assert owners <= set(together.files.distinct("_id"))  # nothing is left of what was refused
    assert together.save_many([]) == []


def test_a_copy_has_everything_of_its_original(store: Bucket, real: PyMongo) -> None:
    store.save("page.html", ["é".encode()], fields={"owner": "me", "metadata": {"tags": ["red"]}})
    damaged = put(store, "damaged", b"damaged")
    for name, content in (("small", b"small"), ("empty", b""), ("large", LARGE), ("gone", b"gone")):
        put(store, name, content)
    store.chunks.delete_one({"files_id": damaged.id})
    store.files.insert_one({"_id": ObjectId(), "filename": "no length", "length": -1, "chunkSize": 1})
    files = [row.file for row in store.list().rows]
    store.delete("gone")
    copies = store.copy_many((file, f"new/{file.filename}") for file in files)
    assert {file.filename: type(copy) for file, copy in zip(files, copies, strict=True)} == {
        **dict.fromkeys(("empty", "large", "page.html", "small"), StoredFile),
        **dict.fromkeys(("damaged", "gone", "no length"), CorruptFile),
    }
    for name in ("small", "empty", "large", "page.html"):
        file, copy = store.find(name), store.find(f"new/{name}")
        assert file
        assert copy
        assert read(store, copy) == read(store, file)
        mine = {"_id", "filename", "uploadDate", "previous", "previousAt"}
        assert {k: v for k, v in copy.document.items() if k not in mine} == {
            k: v for k, v in file.document.items() if k not in mine
        }


def test_the_work_of_many_is_a_few_round_trips(uri: str, commands: Commands) -> None:
    with pymongo.MongoClient[Any](uri, event_listeners=[commands]) as client:
        store = Bucket(client.get_default_database())
        put(store, "7", b"before")
        commands.sent.clear()
        saved = store.save_many(NewFile(str(number), [b"x" * 1000]) for number in range(300))
        assert commands.sent == ["insert", "find", "insert"] * 2  # chunks; the newest versions; documents
        commands.sent.clear()
        files = [file for file in saved if isinstance(file, StoredFile)]
        store.copy_many((file, f"new/{file.filename}") for file in files)
        assert commands.sent == ["find", "insert", "find", "insert"] * 2
        assert store.usage("new/") == (300, 300, 300_000)


def test_killed_at_each_write_all_files_are_whole(store: Bucket, uri: str) -> None:
    store.collections.indexes.ensure()
    names = [str(number) for number in range(5)]
    code = """
from flask_gridfs_pymongo.store.writing import batches
batches._BATCH = 3
store.save_many(NewFile(str(number), [b"%d" % number * (1_100_000 if number == 2 else 1)]) for number in range(5))
store.copy_many((store.find(str(number)), f"copy/{number}") for number in range(5))
"""
    for _ in killed_at_each_write(uri, code):
        for row in store.list(limit=1000).rows:
            number = row.file.filename.removeprefix("copy/").encode()
            assert read(store, row.file) == number * (1_100_000 if number == b"2" else 1)
            dated_in_order(store, row.file.filename)
    assert [row.file.filename for row in store.list().rows] == [*names, *(f"copy/{name}" for name in names)]


def lose(monkeypatch: pytest.MonkeyPatch, answers: int, collection: str = "fs.files") -> list[int]:
    """The answers to so many inserts do not come."""
    insert, left = pymongo.collection.Collection.insert_many, [answers]

    def insert_and_lose(self: Any, *arguments: Any, **options: Any) -> Any:
        result = insert(self, *arguments, **options)
        if self.name == collection and left[0]:
            left[0] -= 1
            raise AutoReconnect("connection reset by peer")
        return result

    monkeypatch.setattr(pymongo.collection.Collection, "insert_many", insert_and_lose)
    return left


@pytest.mark.parametrize("collection", ["fs.files", "fs.chunks"])
def test_a_lost_answer_makes_no_second_version(store: Bucket, monkeypatch: pytest.MonkeyPatch, collection: str) -> None:
    left = lose(monkeypatch, 1, collection)
    outcomes = store.save_many(NewFile(str(number), [b"x"]) for number in range(5))
    assert left == [0]
    assert [store.find(str(number)) for number in range(5)] == outcomes
    assert store.usage() == (5, 5, 5)
    assert store.chunks.count_documents({}) == 5


def test_a_database_that_is_gone_is_waited_for_once(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may have been stored keeps its chunks."""
    asked, own = list[Any](), get_ident()

    def lasts(budget: Any, error: Any) -> bool:
        if get_ident() == own:  # not that which looks for indexes in the background
            asked.append(error)
        return False

    monkeypatch.setattr("flask_gridfs_pymongo.store.retry.RetryBudget.lasts", lasts)
    monkeypatch.setattr("flask_gridfs_pymongo.store.writing.batches._BATCH", 3)
    put(store, "1", b"before")
    lose(monkeypatch, 9)
    monkeypatch.setattr(pymongo.collection.Collection, "find_one", lambda *_: lose_again())
    with monkeypatch.context() as gone:
        gone.setattr("flask_gridfs_pymongo.store.writing.writer.is_reachable", lambda collection: False)
        outcomes = store.save_many(NewFile(str(number), [b"x"]) for number in range(9))
    monkeypatch.undo()
    assert [type(outcome) for outcome in outcomes] == [*[Unconfirmed] * 3, *[Unconfirmed] * 6]
    assert len(asked) == 2  # of the first file: whether to ask again, and whether to try again
    assert [store.find(str(number)) is not None for number in range(9)] == [True] * 3 + [False] * 6
    assert read(store, store.find("2")) == b"x"


def lose_again() -> None:
    raise AutoReconnect("connection reset by peer")


@pytest.mark.parametrize("deletes", [False, True])
def test_uploads_of_the_same_names_make_one_order(store: Bucket, deletes: bool) -> None:
    """Three batches and single ones at once: each version follows the one that its writer saw.

    If somebody deletes that one meanwhile, the name may look free to another writer; both are stored.
    """
    names = [str(number) for number in range(10)]
    follows: dict[Any, Any] = {}

    def together(writer: int) -> None:
        seen: dict[str, list[Any]] = {name: [] for name in names}
        start.wait()
        saved = store.save_many(NewFile(name, [b"%d" % writer], check=seen[name].append) for name in names)
        for name, file in zip(names, saved, strict=True):
            assert isinstance(file, StoredFile)
            follows[file.id] = seen[name][-1]

    def singly(writer: int) -> None:
        start.wait()
        for name in reversed(names):
            seen: list[Any] = []
            saved = store.save(name, [b"%d" % writer], check=seen.append)
            follows[saved.id] = seen[-1]

    def deleted(writer: int) -> None:
        start.wait()
        store.delete_all_many([file for name in names if (file := store.find(name))])

    acts: list[Callable[[int], None]] = [together, together, together, singly, *([deleted] if deletes else [])]
    start = Barrier(len(acts))
    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(act, number) for number, act in enumerate(acts)]:
            done.result()
    assert len(follows) == 40
    for name in names:
        versions = [version.file for version in reversed(store.versions(name))]
        for file in versions:
            assert read(store, file) in (b"0", b"1", b"2", b"3")
        seen = [follows[file.id].id for file in versions if follows[file.id]]
        assert len(seen) == len(set(seen))
        if not deletes:
            assert seen == [file.id for file in dated_in_order(store, name)][:-1]
