"""store/resumable: uploads that continue, whoever dies, sleeps or comes in between."""

# ruff: noqa: PT012 (what raises within a turn is more than one statement)

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from flask_gridfs_pymongo.store import (
    Bucket,
    CorruptFile,
    FileTooLarge,
    LeaseLost,
    StoredFile,
    Upload,
    UploadBusy,
    UploadEnded,
)
from flask_gridfs_pymongo.store.resumable.completion import finish, terminate
from flask_gridfs_pymongo.store.resumable.lease import Lease
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE

from ...conftest import content, read
from ...helpers.replica import until
from ...helpers.tus import Crash, crash, lapse


def begin(store: Bucket, length: int | None, **options: Any) -> tuple[str, Upload]:
    upload = store.uploads.create("film", length, **options)
    assert look(store, upload.token) == upload
    return upload.token, upload


def look(store: Bucket, token: str) -> Upload:
    found = store.uploads.find(token)
    assert found is not None
    return found


def another(store: Bucket) -> Bucket:
    """As another process has it."""
    return Bucket(store.files.database)


def stored(store: Bucket, data: bytes) -> None:
    """The file is there, whole and with the right hash, and nothing else is."""
    file = store.find("film")
    assert read(store, file) == data
    assert file is not None
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert store.chunks.count_documents({}) == -(-len(data) // CHUNK_SIZE)
    assert store.files.count_documents({}) == 1


SIZES = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 4 * CHUNK_SIZE, 9 * CHUNK_SIZE + 5]


class TestGoingOn:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("piece", [CHUNK_SIZE // 3, CHUNK_SIZE, 5 * CHUNK_SIZE + 1])
    def test_each_piece_in_a_process_of_its_own(self, store: Bucket, size: int, piece: int) -> None:
        data = content(size)
        token, _ = begin(store, size)
        for start in range(0, size, piece):
            process = another(store)
            upload = look(process, token)
            assert upload.offset == start
            with process.uploads.open_for_append(upload) as holder:
                holder.write(data[start : start + piece])
        process = another(store)
        with process.uploads.open_for_append(look(process, token)) as holder:
            file, first = finish(holder)
        assert first
        assert file.content_type
        stored(store, data)
        assert look(store, token).state == "stored"

    def test_one_process_reads_nothing_back(self, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        data = content(3 * CHUNK_SIZE)
        token, _ = begin(store, len(data))
        with store.uploads.open_for_append(look(store, token)) as holder:
            holder.write(data[:1000])
        with store.uploads.open_for_append(look(store, token)) as holder:
            holder.write(data[1000:])
            assert holder.digest is not None
            assert holder.digest.sha256.hexdigest() == hashlib.sha256(data).hexdigest()
            finish(holder)
        stored(store, data)

    def test_a_hash_is_not_carried_past_another_holder(self, store: Bucket) -> None:
        """Who comes back to the offset that it left, after a rewind elsewhere, knows nothing of what lies before."""
        token, _ = begin(store, 30)
        with store.uploads.open_for_append(look(store, token)) as holder:
            holder.write(b"1" * 10)
        other = another(store)
        with other.uploads.open_for_append(look(other, token)) as holder:
            holder.write(b"2" * 10)
        with store.uploads.open_for_append(look(store, token)) as holder:
            assert holder.digest is None
            holder.write(b"3" * 10)
            finish(holder)
        stored(store, b"1" * 10 + b"2" * 10 + b"3" * 10)

    def test_more_than_its_length_is_refused(self, store: Bucket) -> None:
        token, upload = begin(store, 10)
        with store.uploads.open_for_append(upload) as holder:
            holder.write(b"12345")
            with pytest.raises(FileTooLarge):
                holder.write(b"678901")
            holder.rewind()
        assert look(store, token).offset == 0

    def test_a_length_that_comes_later(self, store: Bucket) -> None:
        token, upload = begin(store, None)
        with store.uploads.open_for_append(upload, limit=10) as holder:
            holder.write(b"12345")
            with pytest.raises(FileTooLarge):
                holder.write(b"678901")
            with pytest.raises(FileTooLarge):
                holder.set_length(4)
            holder.set_length(7)
            holder.write(b"67")
        assert (look(store, token).offset, look(store, token).length) == (7, 7)

    def test_what_is_checked_counts_once_it_is_accepted(self, store: Bucket) -> None:
        data = content(6 * CHUNK_SIZE)
        token, upload = begin(store, len(data))
        with store.uploads.open_for_append(upload, checked=True) as holder:
            holder.write(content(5 * CHUNK_SIZE + 1))
        assert look(store, token).offset == 0
        with store.uploads.open_for_append(upload, checked=True) as holder:
            holder.write(data)
            holder.settle()
            assert look(store, token).offset == 0
            holder.accept()
        assert look(store, token).offset == upload.length
        with store.uploads.open_for_append(upload) as holder:
            finish(holder)
        stored(store, data)

    def test_a_finish_that_fails_takes_nothing_away(self, store: Bucket) -> None:
        def fail(file: StoredFile) -> None:
            raise OSError("no scanner")

        data = content(CHUNK_SIZE + 3)
        token, upload = begin(store, len(data))
        with pytest.raises(OSError, match="no scanner"), store.uploads.open_for_append(upload) as holder:
            holder.write(data)
            finish(holder, inspect=fail)
        assert store.uploads.collection.find_one({})["tail"] == data[-3:]
        with store.uploads.open_for_append(look(store, token)) as holder:
            finish(holder)
        stored(store, data)

    def test_chunks_that_never_counted_do_not_stay_behind_the_end(self, store: Bucket) -> None:
        data = content(2 * CHUNK_SIZE + 1)
        _, upload = begin(store, None)
        with store.uploads.open_for_append(upload, checked=True) as holder:
            holder.write(content(6 * CHUNK_SIZE))
        assert store.chunks.count_documents({}) == 6
        with store.uploads.open_for_append(upload) as holder:
            holder.write(data)
            finish(holder)
        stored(store, data)


class TestLeases:
    def test_a_holder_with_bytes_keeps_its_turn(self, store: Bucket) -> None:
        token, upload = begin(store, 100)
        with store.uploads.open_for_append(upload) as holder, ThreadPoolExecutor(1) as pool:
            other = pool.submit(lambda: store.uploads.open_for_append(upload).__enter__())
            while not other.done():
                holder.write(b"1")
                time.sleep(0.2)
            with pytest.raises(UploadBusy):
                other.result()
        assert 10 <= look(store, token).offset < 25

    def test_a_stalled_holder_loses_it_in_under_three_seconds(self, store: Bucket) -> None:
        data = content(8 * CHUNK_SIZE)
        _, upload = begin(store, len(data))
        stalled = store.uploads.open_for_append(upload)
        old = stalled.__enter__()
        old.write(data[: 5 * CHUNK_SIZE])
        old.settle()
        start = time.monotonic()
        with store.uploads.open_for_append(upload) as holder:
            assert 1 < time.monotonic() - start < 8  # under 3 on a machine that does nothing else
            assert holder.offset == 5 * CHUNK_SIZE
            with pytest.raises(LeaseLost):
                old.write(b"x" * 3 * CHUNK_SIZE)
                old.settle()
            holder.write(data[holder.offset :])
            finish(holder)
        stored(store, data)

    def test_whoever_finishes_keeps_its_turn_however_long_that_takes(self, store: Bucket) -> None:
        _, upload = begin(store, 3)

        def inspect(file: StoredFile) -> None:
            lapse(store)
            until(lambda: store.uploads.collection.find_one({})["busy"].year > 2020)

        with store.uploads.open_for_append(upload) as holder:
            holder.write(b"abc")
            assert finish(holder, inspect=inspect)[1]
        stored(store, b"abc")

    def test_an_update_that_is_carried_out_late_takes_nothing_back(
        self, store: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its answer was lost, and the same was asked for again; the first one reaches the server after that."""
        token, upload = begin(store, 100)
        asked: list[tuple[Any, Any]] = []
        put_down = Lease._set

        def note(lease: Lease, selection: Any, fields: Any) -> bool:
            asked.append((selection, fields))
            return put_down(lease, selection, fields)

        monkeypatch.setattr(Lease, "_set", note)
        with store.uploads.open_for_append(upload) as holder:
            for length in (10, 20):
                holder.write(b"1" * length)
                holder.save()
            selection, fields = asked[0]
            store.uploads.collection.update_one(selection, {"$set": fields})
        assert look(store, token).offset == 30

    def test_a_turn_given_back_is_free_at_once(self, store: Bucket) -> None:
        token, upload = begin(store, 100)
        for _ in range(20):
            start = time.monotonic()
            with store.uploads.open_for_append(upload) as holder:
                holder.write(b"1")
            assert time.monotonic() - start < 1.5
        assert look(store, token).offset == 20


class After:
    """A collection; after the first *method* something happens elsewhere."""

    def __init__(self, collection: Any, method: str, happens: Callable[[], Any]) -> None:
        self._collection, self._method, self._happens = collection, method, [happens]

    @property
    def database(self) -> Any:
        return self._collection.database

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._collection, name)
        if name != self._method or not self._happens:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            result = found(*args, **kwargs)
            if self._happens:
                self._happens.pop()()
            return result

        return call


def crash_at_the_end(store: Bucket, upload: Upload, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is stored, and the upload does not know it."""
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(Lease, "end", crash)
        with store.uploads.open_for_append(upload) as holder:
            holder.write(data)
            finish(holder)


def go_on(store: Bucket, token: str, data: bytes) -> None:
    """Another process takes over, and sends the rest."""
    lapse(store)
    process = another(store)
    with process.uploads.open_for_append(look(process, token)) as holder:
        holder.write(data[holder.offset :])
        finish(holder)


class TestCrashes:
    def test_between_the_chunks_and_the_offset(self, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        token, upload = begin(store, 5 * CHUNK_SIZE)
        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(Lease, "move", crash)
            with store.uploads.open_for_append(upload) as holder:
                holder.write(b"x" * 4 * CHUNK_SIZE)
        assert store.chunks.count_documents({}) == 4
        assert look(store, token).offset == 0
        data = content(5 * CHUNK_SIZE)
        go_on(store, token, data)
        stored(store, data)

    def test_a_chunk_in_the_way_of_the_third_takes_the_first_two_not_along(self, store: Bucket) -> None:
        token, upload = begin(store, 5 * CHUNK_SIZE)
        store.chunks.insert_one({"files_id": upload.id, "n": 2, "data": b"of one that crashed"})
        data = content(5 * CHUNK_SIZE)
        go_on(store, token, data)
        stored(store, data)

    def test_between_the_files_document_and_the_end(self, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever asks again finds the file; nobody judges it a second time."""
        data = content(2 * CHUNK_SIZE + 1)
        token, upload = begin(store, len(data))
        crash_at_the_end(store, upload, data, monkeypatch)
        lapse(store)
        with another(store).uploads.open_for_append(look(store, token)) as holder:
            assert finish(holder, check=crash)[1]
        stored(store, data)

    def test_a_termination_after_that_keeps_the_file(self, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        data = content(CHUNK_SIZE + 1)
        token, upload = begin(store, len(data))
        crash_at_the_end(store, upload, data, monkeypatch)
        lapse(store)
        with another(store).uploads.open_for_append(look(store, token)) as holder:
            terminate(holder)
        stored(store, data)

    def test_a_file_that_was_deleted_before_its_end_was_told(
        self, store: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token, upload = begin(store, 2 * CHUNK_SIZE)
        crash_at_the_end(store, upload, content(2 * CHUNK_SIZE), monkeypatch)
        assert store.delete(id=upload.id)
        lapse(store)
        with store.uploads.open_for_append(look(store, token)) as holder, pytest.raises(CorruptFile):
            finish(holder)
        assert not store.files.count_documents({})

    def test_a_failed_insert_leaves_no_hole(self, store: Bucket) -> None:
        """The chunks that it lost are not told as safe by what follows."""

        def fail() -> None:
            raise OperationFailure("the disk is full", 14031)

        token, upload = begin(store, 10 * CHUNK_SIZE)
        with pytest.raises(OperationFailure), store.uploads.open_for_append(upload) as holder:
            holder.write(content(CHUNK_SIZE))
            holder.save()
            holder._chunks = After(store.chunks, "insert_many", fail)
            holder.write(content(4 * CHUNK_SIZE))
            with pytest.raises(OperationFailure):
                holder.settle()
            raise OperationFailure("as the view has it")
        assert look(store, token).offset == CHUNK_SIZE


class TestOvertaken:
    """Something happens to one who thinks that it is its turn."""

    @pytest.fixture(autouse=True)
    def _asleep(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that stands still does not renew its lease either."""
        monkeypatch.setattr("flask_gridfs_pymongo.store.resumable.lease.RENEWAL", 60)

    def test_while_it_looks_what_is_in_its_way(self, store: Bucket) -> None:
        token, upload = begin(store, 5 * CHUNK_SIZE)
        store.chunks.insert_one({"files_id": upload.id, "n": 0, "data": b"of one that crashed"})
        data = content(5 * CHUNK_SIZE)
        with pytest.raises(LeaseLost), store.uploads.open_for_append(upload) as zombie:
            zombie._chunks = After(store.chunks, "find", lambda: go_on(store, token, data))
            zombie.write(b"x" * 5 * CHUNK_SIZE)
        stored(store, data)

    def test_before_it_inserts(self, store: Bucket) -> None:
        data = content(5 * CHUNK_SIZE)
        token, upload = begin(store, len(data))
        with pytest.raises(LeaseLost), store.uploads.open_for_append(upload) as zombie:
            go_on(store, token, data)
            zombie.write(b"x" * 5 * CHUNK_SIZE)
        stored(store, data)

    def test_after_its_chunks_became_safe_and_the_answer_was_lost(self, real_store: Bucket) -> None:
        store, data = real_store, content(5 * CHUNK_SIZE)
        token, upload = begin(store, len(data))

        def lose_the_answer() -> None:
            go_on(store, token, data)
            raise AutoReconnect("lost")

        with pytest.raises(LeaseLost), store.uploads.open_for_append(upload) as zombie:
            zombie.lease._uploads = After(store.uploads.collection, "update_one", lose_the_answer)
            zombie.write(data[: 4 * CHUNK_SIZE])
        stored(store, data)

    def test_by_a_termination_nothing_of_it_stays(self, store: Bucket) -> None:
        _, upload = begin(store, 9 * CHUNK_SIZE)
        with pytest.raises(LeaseLost), store.uploads.open_for_append(upload) as zombie:
            zombie.write(content(4 * CHUNK_SIZE))
            lapse(store)
            with store.uploads.open_for_append(upload) as holder:
                terminate(holder)
            zombie.write(content(4 * CHUNK_SIZE))
        assert not store.chunks.count_documents({})
        assert not store.files.count_documents({})

    def test_by_a_commit_before_its_own(self, store: Bucket) -> None:
        data = content(CHUNK_SIZE + 1)
        token, upload = begin(store, len(data))
        with store.uploads.open_for_append(upload) as zombie:
            zombie.write(data)
            file, first = finish(zombie, check=lambda newest: go_on(store, token, data))
        assert not first
        assert store.get(upload.id) == file
        stored(store, data)

    def test_by_a_termination_before_its_commit(self, store: Bucket) -> None:
        _, upload = begin(store, 3)

        def end_it(newest: Any) -> None:
            lapse(store)
            with another(store).uploads.open_for_append(upload) as holder:
                terminate(holder)

        with pytest.raises(LeaseLost), store.uploads.open_for_append(upload) as zombie:
            zombie.write(b"abc")
            finish(zombie, check=end_it)
        assert not store.files.count_documents({})
        assert not store.chunks.count_documents({})

    def test_four_clients_at_once(self, real_store: Bucket) -> None:
        """Each believes that its own bytes are the right ones; what is stored is what its hash says."""
        store, length = real_store, 40 * CHUNK_SIZE + 3
        token, _ = begin(store, length)
        chance = random.Random(4)

        def client(number: int) -> None:
            process = another(store)
            while (upload := look(process, token)).state == "open":
                with suppress(LeaseLost, UploadBusy, UploadEnded), process.uploads.open_for_append(upload) as holder:
                    for _ in range(chance.randrange(60)):
                        if holder.offset < length:
                            holder.write(bytes([number]) * min(100_000, length - holder.offset))
                    if chance.random() < 0.3:
                        lapse(store)  # as one that sleeps
                    if holder.offset == length:
                        finish(holder)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(client, range(4)))
        stored(store, read(store, store.find("film")))


class TestEnds:
    def test_terminated(self, store: Bucket) -> None:
        token, upload = begin(store, 9)
        with store.uploads.open_for_append(upload) as holder:
            holder.write(content(5))
            terminate(holder)
        assert look(store, token).state == "gone"
        with pytest.raises(UploadEnded):
            store.uploads.open_for_append(upload).__enter__()

    def test_expired(self, store: Bucket) -> None:
        token, upload = begin(store, 9 * CHUNK_SIZE)
        with store.uploads.open_for_append(upload) as holder:
            holder.write(content(3 * CHUNK_SIZE))
        assert list(store.uploads.expired()) == []
        assert store.uploads.unfinished([upload.id]) == {upload.id}
        lapse(store, "expires")
        assert look(store, token).state == "gone"
        with pytest.raises(UploadEnded):
            store.uploads.open_for_append(upload).__enter__()
        (expired,) = store.uploads.expired()
        store.uploads.remove(expired)
        assert not store.chunks.count_documents({})
        assert store.uploads.unfinished([upload.id]) == set()
        assert look(store, token).state == "gone"  # not unknown: a client learns why
        lapse(store, "expires")
        store.uploads.remove(*store.uploads.expired())
        assert store.uploads.find(token) is None

    def test_it_is_removed_piece_by_piece(self, store: Bucket) -> None:
        token, upload = begin(store, 9 * CHUNK_SIZE)
        with store.uploads.open_for_append(upload) as holder:
            holder.write(content(4 * CHUNK_SIZE))
        lapse(store, "expires")
        for left in (2, 0, 0):
            (expired,) = store.uploads.expired()
            store.uploads.remove(expired, 2)
            assert store.chunks.count_documents({}) == left
        assert list(store.uploads.expired()) == []
        assert store.uploads.find(token) is None

    def test_what_gets_bytes_just_now_is_not_taken_for_expired(self, store: Bucket) -> None:
        token, upload = begin(store, 9)
        with store.uploads.open_for_append(upload) as holder:
            lapse(store, "expires")
            assert list(store.uploads.expired()) == []
            store.uploads.remove(upload)
            holder.write(b"1")
        assert (look(store, token).state, look(store, token).offset) == ("open", 1)

    def test_what_was_stored_stays(self, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also where nobody lived to say so."""
        for end in (Lease.end, crash):
            with suppress(Crash), monkeypatch.context() as patch:
                patch.setattr(Lease, "end", end)
                with store.uploads.open_for_append(begin(store, 3)[1]) as holder:
                    holder.write(b"abc")
                    finish(holder)
        for _ in range(2):
            lapse(store)
            lapse(store, "expires")
            for expired in store.uploads.expired():
                store.uploads.remove(expired)
        assert store.uploads.collection.count_documents({}) == 0
        assert [read(store, store.find("film", version)) for version in (0, 1)] == [b"abc"] * 2

    def test_each_byte_gives_new_time(self, store: Bucket) -> None:
        token, upload = begin(store, 9, lifetime=100)
        lapse(store, "expires")
        store.uploads.collection.update_one({}, {"$set": {"expires": upload.expires - timedelta(seconds=50)}})
        with store.uploads.open_for_append(look(store, token)) as holder:
            holder.write(b"1")
        assert look(store, token).expires >= upload.expires

    def test_a_turn_without_a_byte_gives_none(self, store: Bucket) -> None:
        token, upload = begin(store, 9, lifetime=100)
        soon = (upload.expires - timedelta(seconds=50)).replace(microsecond=0)
        store.uploads.collection.update_one({}, {"$set": {"expires": soon}})
        for checked in (False, True):  # as a HEAD; as a PATCH whose checksum is wrong
            with store.uploads.open_for_append(look(store, token), checked=checked) as holder:
                if checked:
                    holder.write(b"1")
            assert look(store, token).expires == soon

    def test_what_has_expired_is_not_counted(self, store: Bucket) -> None:
        begin(store, 9)
        begin(store, 9)
        assert [store.uploads.count(limit) for limit in (1, 2, 3)] == [1, 2, 2]
        lapse(store, "expires")
        assert store.uploads.count(3) == 0

    def test_the_time_is_the_servers(self, real_store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return datetime.now(UTC) + timedelta(hours=2)

        monkeypatch.setattr("flask_gridfs_pymongo.store.clock.datetime", Clock)
        _, upload = begin(real_store, 9, lifetime=100)
        assert upload.state == "open"
        assert upload.expires < datetime.now(UTC) + timedelta(hours=1)
