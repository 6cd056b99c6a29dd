"""store/: files in GridFS, on mongod and on mongomock."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pymongo
import pytest
from bson.objectid import ObjectId
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import CorruptFile, FileStore, FileTooLarge, StoredFile
from flask_gridfs_pymongo.store.listing import by_name
from flask_gridfs_pymongo.store.writer import CHUNK_SIZE

SIZES = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 4 * CHUNK_SIZE, 9 * CHUNK_SIZE + 7]


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.fixture
def store(mongo: PyMongo) -> FileStore:
    return FileStore(mongo.db)


@pytest.fixture
def real_store(real: PyMongo) -> FileStore:
    return FileStore(real.db)


def read(store: FileStore, file: StoredFile | None, *span: int) -> bytes:
    assert file is not None
    return b"".join(store.read(file, *span))


def put(store: FileStore, name: str, data: bytes) -> StoredFile:
    return store.save(name, io.BytesIO(data))


@pytest.mark.parametrize("size", SIZES)
def test_what_is_saved_is_read(store: FileStore, size: int) -> None:
    data = content(size)
    saved = put(store, "a", data)
    assert saved == store.find("a") == store.get(saved.id)
    assert read(store, saved) == data
    assert (saved.length, saved.sha256) == (size, hashlib.sha256(data).hexdigest())
    chunks = list(store.chunks.find({"files_id": saved.id}).sort("n", 1))
    assert [len(chunk["data"]) for chunk in chunks] == [saved.chunk_length(n) for n in range(-(-size // CHUNK_SIZE))]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 0),
        (0, 1),
        (5, 5),
        (CHUNK_SIZE - 1, CHUNK_SIZE + 1),
        (CHUNK_SIZE, 2 * CHUNK_SIZE),
        (3 * CHUNK_SIZE + 6, 3 * CHUNK_SIZE + 7),
        (1, 3 * CHUNK_SIZE + 7),
    ],
)
def test_a_range_is_read_as_it_is_sliced(store: FileStore, start: int, stop: int) -> None:
    data = content(3 * CHUNK_SIZE + 7)
    assert read(store, put(store, "a", data), start, stop) == data[start:stop]


def test_the_document_is_what_the_specification_says_and_a_little_more(store: FileStore) -> None:
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    saved = store.save("a.txt", [b"x" * 10], fields={"owner": "me", "metadata": {"k": 1}})
    document = store.files.find_one({"_id": saved.id})
    date = document.pop("uploadDate")
    assert before <= date <= datetime.now(timezone.utc)
    assert document == {
        "_id": saved.id,
        "filename": "a.txt",
        "length": 10,
        "chunkSize": CHUNK_SIZE,
        "contentType": "text/plain",
        "metadata": {"k": 1, "contentType": "text/plain"},
        "sha256": hashlib.sha256(b"x" * 10).hexdigest(),
        "previous": {"name": "a.txt", "_id": None},
        "owner": "me",
    }


def test_the_indexes_of_the_specification_exist(store: FileStore) -> None:
    put(store, "a", b"1")
    files, chunks = store.files.index_information(), store.chunks.index_information()
    assert files["filename_1_uploadDate_1"]["key"] == [("filename", 1), ("uploadDate", 1)]
    assert chunks["files_id_1_n_1"]["unique"]


class TestVersions:
    def test_they_are_counted_from_both_ends(self, store: FileStore) -> None:
        ids = [put(store, "a", bytes([n])).id for n in range(3)]
        table = {0: 0, 1: 1, 2: 2, -1: 2, -2: 1, -3: 0}
        found = {version: store.find("a", version) for version in table}
        assert {version: file.id for version, file in found.items() if file} == {v: ids[n] for v, n in table.items()}
        assert [store.find("a", version) for version in (3, -4, 2**31, -(2**63))] == [None] * 4

    def test_a_new_one_is_dated_after_the_one_it_follows_whatever_the_clock_says(self, store: FileStore) -> None:
        first = put(store, "a", b"1")
        future = datetime(2100, 1, 1, tzinfo=timezone.utc)
        store.files.update_one({"_id": first.id}, {"$set": {"uploadDate": future}})
        second = put(store, "a", b"2")
        assert second.upload_date == future + timedelta(milliseconds=1)
        assert store.find("a") == second

    def tied(self, store: FileStore, plan: str) -> list[ObjectId]:
        """Files of one name, a letter for each; those with the same letter have the same upload date."""
        identities = [ObjectId() for _ in plan]
        order = sorted(range(len(plan)), key=lambda n: (plan[n], identities[n]))
        for n in random.Random(plan).sample(range(len(plan)), len(plan)):
            date = datetime(2020, 1, 1 + ord(plan[n]) - ord("a"), tzinfo=timezone.utc)
            document = {"_id": identities[n], "filename": "t", "length": 0, "chunkSize": 5, "uploadDate": date}
            store.files.insert_one(document)
        return [identities[n] for n in order]

    @pytest.mark.parametrize("plan", ["aa", "aab", "abb", "abbbc", "aaaa", "abbccd", "aabbbbbbccd", "abcd"])
    def test_equal_dates_are_ordered_by_id_wherever_they_stand(self, store: FileStore, plan: str) -> None:
        expected = self.tied(store, plan)
        size = len(plan)
        forward = [store.find("t", version) for version in range(size)]
        backward = [store.find("t", version) for version in range(-size, 0)]
        assert [file.id for file in forward if file] == [file.id for file in backward if file] == expected
        for limit in (1, 2, 3, size):  # every page cuts the ties elsewhere
            numbers, before = [], None
            while page := store.versions("t", before, limit):
                assert len(page) <= limit
                numbers += [(version.number, version.file.id) for version in page]
                before = page[-1].number
            assert numbers == [(n, expected[n]) for n in reversed(range(size))]

    def test_equal_dates_in_the_listing(self, store: FileStore) -> None:
        expected = self.tied(store, "abbb")
        (row,) = by_name(store).rows
        assert (row.file.id, row.versions) == (expected[-1], 4)

    def test_uploads_from_many_threads_are_all_kept_in_one_order(self, real_store: FileStore) -> None:
        with ThreadPoolExecutor(8) as pool:
            saved = list(pool.map(lambda n: put(real_store, "a", bytes([n])), range(40)))
        found = [version.file for version in real_store.versions("a")]
        assert sorted(file.id for file in found) == sorted(file.id for file in saved)
        dates = [file.upload_date for file in found]
        assert dates == sorted(set(dates), reverse=True)


class TestListing:
    def test_names_come_in_order_with_their_newest_version(self, store: FileStore) -> None:
        for name in ["b", "a", "c/d", "b", "ä", "b"]:
            put(store, name, name.encode())
        assert [(row.file.filename, row.versions) for row in by_name(store).rows] == [
            ("a", 1),
            ("b", 3),
            ("c/d", 1),
            ("ä", 1),
        ]
        assert [row.file.filename for row in by_name(store, "b").rows] == ["c/d", "ä"]
        assert by_name(store, "a").rows[0].file == store.find("b")

    @pytest.mark.parametrize("versions", [1, 99, 100, 127, 128, 129, 300])
    def test_a_name_with_many_versions_is_stepped_over(self, store: FileStore, versions: int) -> None:
        start = datetime(2020, 1, 1, tzinfo=timezone.utc)
        names = ["a"] * 3 + ["b"] * versions + ["c"] * 2
        store.files.insert_many(
            {"filename": name, "length": 0, "chunkSize": 5, "uploadDate": start + timedelta(seconds=n)}
            for n, name in enumerate(names)
        )
        rows = [(row.file.filename, row.versions, row.file.upload_date) for row in by_name(store).rows]
        assert rows == [
            ("a", 3, start + timedelta(seconds=2)),
            ("b", min(versions, 100), start + timedelta(seconds=2 + versions)),
            ("c", 2, start + timedelta(seconds=4 + versions)),
        ]

    def test_an_empty_bucket_has_no_names(self, store: FileStore) -> None:
        assert by_name(store) == ([], [], None)
        assert store.versions("a") == []


class TestWriting:
    def orphans(self, store: FileStore) -> int:
        owned = store.files.distinct("_id")
        return int(store.chunks.count_documents({"files_id": {"$nin": owned}}))

    def test_a_source_that_fails_leaves_nothing(self, store: FileStore) -> None:
        def source() -> Iterator[bytes]:
            yield content(6 * CHUNK_SIZE)
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            store.save("a", source())
        assert store.find("a") is None
        assert store.chunks.count_documents({}) == 0

    def test_a_file_over_the_limit_leaves_nothing(self, store: FileStore) -> None:
        with pytest.raises(FileTooLarge, match="1000"):
            store.save("a", [bytes(999), bytes(2)], max_size=1000)
        assert store.chunks.count_documents({}) == 0
        assert store.save("a", [bytes(1000)], max_size=1000).length == 1000

    def test_text_is_refused_with_the_remedy(self, store: FileStore) -> None:
        with pytest.raises(TypeError, match="binary mode"):
            store.save("a", io.StringIO("text"))  # type: ignore[arg-type]

    def test_a_refused_check_leaves_nothing(self, store: FileStore) -> None:
        def refuse(newest: StoredFile | None) -> None:
            raise PermissionError

        with pytest.raises(PermissionError):
            store.save("a", [b"x"], check=refuse)
        assert (store.find("a"), store.chunks.count_documents({})) == (None, 0)

    def test_a_check_sees_the_version_that_is_to_be_followed(self, store: FileStore) -> None:
        seen: list[StoredFile | None] = []
        first = store.save("a", [b"1"], check=seen.append)
        store.save("a", [b"2"], check=seen.append)
        assert seen == [None, first]

    def test_of_many_conditional_creators_one_wins(self, real_store: FileStore) -> None:
        def only_new(newest: StoredFile | None) -> None:
            if newest is not None:
                raise FileExistsError

        def create(n: int) -> int:
            try:
                real_store.save("a", [bytes([n])], check=only_new)
            except FileExistsError:
                return 0
            return 1

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(create, range(32))) == 1
        assert (real_store.count("a"), self.orphans(real_store)) == (1, 0)

    def test_a_renamed_version_does_not_hold_the_place_of_the_next(self, store: FileStore) -> None:
        put(store, "a", b"1")
        second = put(store, "a", b"2")
        store.files.update_one({"_id": second.id}, {"$set": {"filename": "b"}})
        third = put(store, "a", b"3")
        assert store.find("a") == third
        assert put(store, "b", b"4") == store.find("b", 1)

    def test_a_redated_version_does_not_hold_the_place_of_the_next(self, store: FileStore) -> None:
        first = put(store, "a", b"1")
        second = put(store, "a", b"2")
        past = datetime(2000, 1, 1, tzinfo=timezone.utc)
        store.files.update_one({"_id": second.id}, {"$set": {"uploadDate": past}})
        assert store.find("a") == first
        assert put(store, "a", b"3") == store.find("a")

    @pytest.mark.parametrize("gone", [[0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2]])
    def test_after_any_deletion_the_next_upload_is_the_newest(self, store: FileStore, gone: list[int]) -> None:
        files = [put(store, "a", bytes([n])) for n in range(3)]
        for n in gone:
            assert store.delete(files[n].id)
        newest = put(store, "a", b"new")
        assert store.find("a") == newest
        assert store.count("a") == 4 - len(gone)

    def test_deleting_takes_the_chunks_along(self, store: FileStore) -> None:
        kept = put(store, "b", b"kept")
        for size in (1, 3 * CHUNK_SIZE):
            put(store, "a", content(size))
        seen = store.find("a")
        assert seen is not None
        since = put(store, "a", b"since")
        assert store.delete_all(seen) == 2
        assert store.find("a", 0) == since
        assert store.delete(since.id)
        assert (store.find("a"), self.orphans(store), read(store, kept)) == (None, 0, b"kept")
        assert not store.delete(ObjectId())


class TestCorruption:
    @pytest.mark.parametrize(
        "damage",
        [
            lambda chunks, id: chunks.delete_one({"files_id": id, "n": 0}),
            lambda chunks, id: chunks.delete_one({"files_id": id, "n": 1}),
            lambda chunks, id: chunks.delete_one({"files_id": id, "n": 2}),
            lambda chunks, id: chunks.delete_many({"files_id": id}),
            lambda chunks, id: chunks.update_one({"files_id": id, "n": 1}, {"$set": {"data": b"short"}}),
            lambda chunks, id: chunks.update_one({"files_id": id, "n": 2}, {"$set": {"data": bytes(CHUNK_SIZE + 1)}}),
        ],
        ids=["first gone", "middle gone", "last gone", "all gone", "one short", "last too long"],
    )
    def test_it_is_never_taken_for_the_file(self, store: FileStore, damage: Any) -> None:
        whole = content(3 * CHUNK_SIZE)
        saved = put(store, "a", whole)
        damage(store.chunks, saved.id)
        begun: list[bytes] = []
        with pytest.raises(CorruptFile, match=str(saved.id)):
            begun.extend(store.read(saved))  # keeps what came before the error
        assert whole.startswith(b"".join(begun))

    def test_a_missing_first_chunk_is_known_before_the_first_byte(self, store: FileStore) -> None:
        saved = put(store, "a", b"x")
        store.chunks.delete_many({})
        with pytest.raises(CorruptFile):
            store.read(saved)


class TestModel:
    DATE = datetime(2020, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc)
    BASE = {"_id": ObjectId("0123456789abcdef01234567"), "length": 3, "chunkSize": 9, "uploadDate": DATE}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"contentType": "a/b"}, "a/b"),
            ({"metadata": {"contentType": "a/b"}}, "a/b"),
            ({"contentType": "a/b", "metadata": {"contentType": "c/d"}}, "a/b"),
            ({"filename": "x.PNG"}, "image/png"),
            ({"filename": "x"}, "application/octet-stream"),
            ({"filename": None}, "application/octet-stream"),
            ({"contentType": 5, "filename": "x.txt"}, "text/plain"),
            ({"metadata": "no mapping"}, "application/octet-stream"),
        ],
    )
    def test_the_content_type(self, fields: dict[str, Any], expected: str) -> None:
        assert StoredFile.from_document({**self.BASE, **fields}).content_type == expected

    def test_the_etag_is_made_of_id_length_and_date_alone(self) -> None:
        etag = StoredFile.from_document(self.BASE).etag
        other = {"_id": ObjectId(), "length": 4, "uploadDate": self.DATE + timedelta(milliseconds=1)}
        assert StoredFile.from_document({**self.BASE, "filename": "n", "md5": "m"}).etag == etag
        assert len({etag, *(StoredFile.from_document({**self.BASE, k: v}).etag for k, v in other.items())}) == 4

    @pytest.mark.parametrize("identity", [5, "text", {"a": 1}, b"bytes", None, 2.5])
    def test_an_id_of_any_type_has_an_etag(self, identity: Any) -> None:
        etags = {StoredFile.from_document({**self.BASE, "_id": identity}).etag for _ in range(2)}
        assert len(etags) == 1

    @pytest.mark.parametrize("date", [None, "yesterday"])
    def test_without_a_date_the_id_tells_it(self, date: Any) -> None:
        file = StoredFile.from_document({**self.BASE, "uploadDate": date})
        assert file.upload_date == self.BASE["_id"].generation_time  # type: ignore[attr-defined]


def test_writes_wait_for_a_majority_unless_the_application_decided(app: Flask, mongod: str) -> None:
    for options, expected in {"": "majority", "?w=1": 1, "?w=0": "majority", "?journal=true": "majority"}.items():
        with pymongo.MongoClient(f"{mongod}/{options}", connect=False) as client:
            store = FileStore(client.some)
            concerns = [collection.write_concern.document["w"] for collection in (store.files, store.chunks)]
            assert concerns == [expected, expected], options
