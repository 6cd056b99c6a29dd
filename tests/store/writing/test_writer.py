"""store/writing/writer.py: uploads into the store, and what refuses them."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pymongo
import pytest
from bson.objectid import ObjectId
from pymongo.errors import ConnectionFailure

from flask_gridfs_pymongo.store import Bucket, FileTooLarge, StoredFile
from flask_gridfs_pymongo.store.writing.commit import Commit
from flask_gridfs_pymongo.store.writing.content import Content
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE

from ...conftest import content, put, read
from ...helpers.replica import standalone


class TestWriting:
    def orphans(self, store: Bucket) -> int:
        owned = store.files.distinct("_id")
        return int(store.chunks.count_documents({"files_id": {"$nin": owned}}))

    def test_a_source_that_fails_leaves_nothing(self, store: Bucket) -> None:
        def source() -> Iterator[bytes]:
            yield content(6 * CHUNK_SIZE)
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            store.save("a", source())
        assert store.find("a") is None
        assert store.chunks.count_documents({}) == 0

    def test_a_file_over_the_limit_leaves_nothing(self, store: Bucket) -> None:
        with pytest.raises(FileTooLarge, match="1000"):
            store.save("a", [bytes(999), bytes(2)], max_size=1000)
        assert store.chunks.count_documents({}) == 0
        assert store.save("a", [bytes(1000)], max_size=1000).length == 1000

    def test_text_is_refused_with_the_remedy(self, store: Bucket) -> None:
        with pytest.raises(TypeError, match="binary mode"):
            store.save("a", io.StringIO("text"))  # type: ignore[arg-type]

    def test_a_refused_check_leaves_nothing(self, store: Bucket) -> None:
        def refuse(newest: StoredFile | None) -> None:
            raise PermissionError

        with pytest.raises(PermissionError):
            store.save("a", [b"x"], check=refuse)
        assert (store.find("a"), store.chunks.count_documents({})) == (None, 0)

    def test_a_check_sees_the_version_that_is_to_be_followed(self, store: Bucket) -> None:
        seen: list[StoredFile | None] = []
        first = store.save("a", [b"1"], check=seen.append)
        store.save("a", [b"2"], check=seen.append)
        assert seen == [None, first]

    def test_of_many_conditional_creators_one_wins(self, real_store: Bucket) -> None:
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

    def test_a_renamed_version_does_not_hold_the_place_of_the_next(self, store: Bucket) -> None:
        put(store, "a", b"1")
        second = put(store, "a", b"2")
        store.files.update_one({"_id": second.id}, {"$set": {"filename": "b"}})
        third = put(store, "a", b"3")
        assert store.find("a") == third
        assert put(store, "b", b"4") == store.find("b", 1)

    def test_a_redated_version_does_not_hold_the_place_of_the_next(self, store: Bucket) -> None:
        first = put(store, "a", b"1")
        second = put(store, "a", b"2")
        past = datetime(2000, 1, 1, tzinfo=UTC)
        store.files.update_one({"_id": second.id}, {"$set": {"uploadDate": past}})
        assert store.find("a") == first
        assert put(store, "a", b"3") == store.find("a")

    @pytest.mark.parametrize("gone", [[0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2]])
    def test_after_any_deletion_the_next_upload_is_the_newest(self, store: Bucket, gone: list[int]) -> None:
        files = [put(store, "a", bytes([n])) for n in range(3)]
        for n in gone:
            assert store.delete(id=files[n].id)
        newest = put(store, "a", b"new")
        assert store.find("a") == newest
        assert store.count("a") == 4 - len(gone)

    def test_deleting_takes_the_chunks_along(self, store: Bucket) -> None:
        kept = put(store, "b", b"kept")
        for size in (1, 3 * CHUNK_SIZE):
            put(store, "a", content(size))
        seen = store.find("a")
        assert seen is not None
        since = put(store, "a", b"since")
        assert store.delete_all(seen) == 2
        assert store.find("a", 0) == since
        assert store.delete(id=since.id)
        assert (store.find("a"), self.orphans(store), read(store, kept)) == (None, 0, b"kept")
        assert not store.delete(id=ObjectId())


@pytest.mark.parametrize("step", ["make", "follows"])
def test_an_interrupted_commit_leaves_no_file_without_its_content(
    store: Bucket, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Ctrl-C, or the end of a worker, comes before or after the document is stored."""

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flask_gridfs_pymongo.store.writing.watch._SHORT", -1)
    monkeypatch.setattr(f"flask_gridfs_pymongo.store.writing.claims.Claims.{step}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        put(store, "a", b"1")
    monkeypatch.undo()
    assert store.files.count_documents({}) == (step == "follows")
    assert all(read(store, store.get(document["_id"])) == b"1" for document in store.files.find())
    assert read(store, put(store, "a", b"2")) == b"2"


@pytest.mark.replica
def test_an_upload_waits_for_a_database_that_is_gone_but_once() -> None:
    with standalone() as server:
        uri = f"mongodb://{server.address}/gone?serverSelectionTimeoutMS=2000&heartbeatFrequencyMS=500"
        with pymongo.MongoClient(uri) as client:
            writer = Bucket(client.get_default_database()).writer("a")
            writer.write(content(4 * CHUNK_SIZE))
            server.kill()
            start = time.monotonic()
            with pytest.raises(ConnectionFailure), writer:
                writer.commit()
            assert time.monotonic() - start < 3.9


def test_a_repeated_commit_finds_that_it_was_done(store: Bucket) -> None:
    """Its answer may have been lost."""
    with store.writer("a.txt") as writer:
        writer.write(b"once")
        first, _ = writer.commit()
        content = Content(first.id, 4, writer._digest)
    assert Commit(store._versions, store._claims, "a.txt", content).run().file == first
    assert store.count("a.txt") == 1
