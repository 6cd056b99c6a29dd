"""Other names for files, in races and after a kill; links that outlive them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from bson.timestamp import Timestamp
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, StoredFile, Sweep
from flask_gridfs_pymongo.store.writing import changes, commit, marks

from ...conftest import BIG, JSON, ROOT, Client, put


def contents(store: Bucket, name: str) -> list[bytes]:
    """Of all versions, the oldest first."""
    return [b"".join(store.read(version.file)) for version in reversed(store.versions(name))]


def plain(store: Bucket) -> bool:
    """Whether no document says that its name is being changed."""
    return store.files.count_documents({"renamedFrom": {"$exists": True}}) == 0


@contextmanager
def wrong_clock(monkeypatch: pytest.MonkeyPatch, days: int) -> Iterator[None]:
    date_after = commit._date_after
    with monkeypatch.context() as clock:
        clock.setattr(commit, "_date_after", lambda newest, now: date_after(newest, now + timedelta(days=days)))
        yield


_Outcome = Callable[[list[bytes]], list[list[bytes]]]
# What the next one writes after the rename of "a" to "b" broke off, and the versions of "a", "b" and "c" then.
WRITES: dict[str, tuple[Callable[[Bucket, str, str, str], Any], _Outcome]] = {
    "put a": (lambda store, a, b, c: put(store, a, b"x"), lambda data: [[b"x"], data, []]),
    "put b": (lambda store, a, b, c: put(store, b, b"x"), lambda data: [[], [*data, b"x"], []]),
    "put a, move again": (
        lambda store, a, b, c: (put(store, a, b"x"), store.rename(a, b)),
        lambda data: [[b"x"], data, []],
    ),
    "move again": (lambda store, a, b, c: store.rename(a, b), lambda data: [[], data, []]),
    "move a": (lambda store, a, b, c: store.rename(a, c), lambda data: [[], data, []]),
    "move b": (lambda store, a, b, c: store.rename(b, c), lambda data: [[], [], data]),
    "move b back": (lambda store, a, b, c: store.rename(b, a), lambda data: [data, [], []]),
    "move c to a": (
        lambda store, a, b, c: (put(store, c, b"x"), store.rename(c, a)),
        lambda data: [[b"x"], data, []],
    ),
    "move c to b": (
        lambda store, a, b, c: (put(store, c, b"x"), store.rename(c, b)),
        lambda data: [[], data, [b"x"]],
    ),
    "copy c to a": (
        lambda store, a, b, c: (put(store, c, b"x"), store.copy(c, a)),
        lambda data: [[b"x"], data, [b"x"]],
    ),
    "metadata of b": (lambda store, a, b, c: store.update_metadata(b, {"x": 1}), lambda data: [[], data, []]),
    "delete b": (lambda store, a, b, c: store.delete(b), lambda data: [[], [], []]),
    "delete a, move": (lambda store, a, b, c: (store.delete(a), store.rename(a, b)), lambda data: [[], data, []]),
}

_PAST = datetime.now(UTC) - timedelta(hours=2)


def expire(store: Bucket, file: StoredFile) -> None:
    store.update_metadata(file, {"expiresAt": _PAST})


# What names single versions, or the older ones of a name, after the rename of three from "a" to "b" broke off when the
# newest one was renamed, and perhaps the oldest one; the versions of "a", "b" and "c" then. "c" has one version.
DELETIONS: dict[str, tuple[Callable[[Bucket, list[StoredFile]], Any], list[list[bytes]]]] = {
    "newest by id": (lambda store, files: store.delete(id=files[2].id), [[], [b"0", b"1"], [b"c"]]),
    "newest by number": (lambda store, files: store.delete("b", -1), [[], [b"0", b"1"], [b"c"]]),
    "newest, found before": (lambda store, files: store.delete_versions(files[2:]), [[], [b"0", b"1"], [b"c"]]),
    "left by id": (lambda store, files: store.delete(id=files[1].id), [[], [b"0", b"2"], [b"c"]]),
    "left by number": (lambda store, files: store.delete("a", -1), [[], [b"0", b"2"], [b"c"]]),
    "left and another": (lambda store, files: store.delete_many([files[1].id, files[0].id]), [[], [b"2"], [b"c"]]),
    "both names": (
        lambda store, files: store.delete_all_many([store.newest("a"), store.newest("b"), store.newest("c")]),  # type: ignore[list-item]
        [[], [], []],
    ),
    "newest expired": (lambda store, files: (expire(store, files[2]), *Sweep(store).run()), [[], [], [b"c"]]),
    "left expired": (lambda store, files: (expire(store, files[1]), *Sweep(store).run()), [[], [b"0", b"2"], [b"c"]]),
    "put over what expired": (
        lambda store, files: (expire(store, files[1]), put(store, "a", b"x"), store.delete(id=files[1].id)),
        [[b"x"], [b"0", b"2"], [b"c"]],
    ),
    "move over what expired": (
        lambda store, files: (expire(store, files[1]), store.rename("c", "a"), store.delete(id=files[1].id)),
        [[b"c"], [b"0", b"2"], []],
    ),
    "older ones of another": (
        lambda store, files: store.prepend(files[1], store.newest("c")),  # type: ignore[arg-type]
        [[], [b"0", b"1", b"2"], [b"c"]],
    ),
}


class TestRename:
    def test_all_versions_and_their_ids_and_dates(self, store: Bucket) -> None:
        files = [put(store, "a", str(number).encode()) for number in range(5)]
        other = put(store, "a2", b"x")
        assert store.rename("a", "b/c") == 5
        assert store.find("a") is None
        assert [version.file.id for version in store.versions("b/c")] == [file.id for file in files][::-1]
        assert [store.get(file.id).etag for file in files] == [file.etag for file in files]  # type: ignore[union-attr]
        assert contents(store, "b/c") == [b"0", b"1", b"2", b"3", b"4"]
        assert store.find("a2") == other
        assert plain(store)
        put(store, "b/c", b"5")
        put(store, "a", b"new")
        assert contents(store, "b/c")[-2:] == [b"4", b"5"]
        assert store.rename("b/c", "d") == 6
        put(store, "b/c", b"again")
        assert store.rename("a", "e") == 1
        assert store.files.find_one({"filename": "d"})["metadata"]["contentType"]

    def test_a_taken_name(self, store: Bucket) -> None:
        for name in ("a", "b"):
            put(store, name, name.encode())
        for new in ("b", "a"):
            with pytest.raises(FileExistsError, match=new):
                store.rename("a", new)
        assert (contents(store, "a"), contents(store, "b"), plain(store)) == ([b"a"], [b"b"], True)
        store.delete("b")
        assert store.rename("a", "b") == 1

    def test_what_is_not_there(self, store: Bucket) -> None:
        with pytest.raises(FileNotFoundError, match="'a'"):
            store.rename("a", "b")
        with pytest.raises(ValueError, match="empty"):
            store.rename("a", "")

    def test_a_claim_that_was_left_behind_is_in_nobodys_way(self, store: Bucket) -> None:
        first = put(store, "b", b"x")
        store.files.update_one({"_id": first.id}, {"$set": {"filename": "by another tool"}})
        put(store, "a", b"y")
        assert store.rename("a", "b") == 1
        assert contents(store, "b") == [b"y"]

    @pytest.mark.parametrize("after", range(6))
    def test_what_broke_off_is_completed(self, real_store: Bucket, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """After each write; the database is gone, or the process was killed."""
        ids = [put(real_store, "a", str(number).encode()).id for number in range(4)]
        monkeypatch.setattr(marks, "_BATCH", 1)
        with self.breaking(monkeypatch, after) if after < 5 else nullcontext():
            real_store.rename("a", "b")
        if after:
            assert contents(real_store, "b")[-1] == b"3"
            put(real_store, "b", b"4")
        if after < 5:
            real_store.rename("a", "b")
        expected = [b"0", b"1", b"2", b"3", *([b"4"] if after else [])]
        assert (contents(real_store, "b"), contents(real_store, "a"), plain(real_store)) == (expected, [], True)
        assert [version.file.id for version in real_store.versions("b")][::-1][:4] == ids

    def test_uploads_to_the_new_name_come_first_or_follow(self, real_store: Bucket) -> None:
        outcomes = set()
        for turn in range(30):
            old, new = f"old{turn}", f"new{turn}"
            for data in (b"0", b"1"):
                put(real_store, old, data)
            start = Barrier(2)

            def rename(old: str = old, new: str = new, start: Barrier = start) -> bool:
                start.wait()
                try:
                    return real_store.rename(old, new) == 2
                except FileExistsError:
                    return False

            def upload(new: str = new, start: Barrier = start) -> list[StoredFile | None]:
                followed: list[StoredFile | None] = []
                start.wait()
                real_store.save(new, [b"upload"], check=followed.append)
                return followed

            with ThreadPoolExecutor(2) as pool:
                renaming, uploading = pool.submit(rename), pool.submit(upload)
            if renaming.result():
                assert contents(real_store, new) == [b"0", b"1", b"upload"]
                assert uploading.result()[-1] is not None
                assert contents(real_store, old) == []
            else:
                assert contents(real_store, new) == [b"upload"]
                assert uploading.result()[-1] is None
                assert contents(real_store, old) == [b"0", b"1"]
            outcomes.add(renaming.result())
            assert plain(real_store)

    def before(self, monkeypatch: pytest.MonkeyPatch, write: str, happens: Callable[[], Any]) -> None:
        """Let something happen elsewhere before the first *write* of a rename."""
        left = [happens]

        def retry(collection: Any, operation: Callable[[], Any], **options: Any) -> Any:
            if f"Collection.{write} of" in repr(operation) and left:
                left.pop()()
            return operation()

        for module in (changes, marks):
            monkeypatch.setattr(module, "retry", retry)

    def test_an_upload_whose_claim_is_gone_was_faster(
        self, real_store: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As it is for one who was stopped for longer than claims live."""
        monkeypatch.setattr("flask_gridfs_pymongo.store.writing.watch._SHORT", -1)
        put(real_store, "a", b"0")

        def upload() -> None:
            put(real_store, "b", b"upload")
            real_store.files.update_many({}, {"$unset": {"previous": "", "previousAt": ""}})

        self.before(monkeypatch, "find_one_and_update", upload)
        with pytest.raises(FileExistsError):
            real_store.rename("a", "b")
        assert (contents(real_store, "a"), contents(real_store, "b"), plain(real_store)) == ([b"0"], [b"upload"], True)

    def test_what_another_one_renamed_meanwhile_is_left_alone(
        self, real_store: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, *_ = (put(real_store, "a", data) for data in (b"0", b"1", b"2"))
        change = {"$set": {"filename": "c"}}
        self.before(monkeypatch, "update_many", lambda: real_store.files.update_one({"_id": first.id}, change))
        real_store.rename("a", "b")
        assert [contents(real_store, name) for name in "abc"] == [[], [b"1", b"2"], [b"0"]]

    def test_two_at_once(self, real_store: Bucket) -> None:
        for name in ("a", "b"):
            put(real_store, name, name.encode())

        def rename(name: str) -> bool:
            try:
                return real_store.rename(name, "c") == 1
            except FileExistsError:
                return False

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(rename, "ab")) == [False, True]
        assert len(contents(real_store, "c")) == 1
        assert plain(real_store)

    def test_a_killed_process(self, real: PyMongo, uri: str) -> None:
        """SIGKILL in the middle of it, with uploads to both names; then the same call again."""
        store = real.bucket()
        store.collections.indexes.ensure()
        for number in range(30):
            put(store, "a", b"%d" % number)
        code = (
            "import sys, pymongo; from flask_gridfs_pymongo.store import Bucket\n"
            "from flask_gridfs_pymongo.store.writing import marks; marks._BATCH = 1\n"
            "store = Bucket(pymongo.MongoClient(sys.argv[1]).get_default_database())\n"
            "print('ready', flush=True); store.rename('a', 'b')"
        )
        with subprocess.Popen([sys.executable, "-c", code, uri], cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            while not 2 <= store.count("b") < 29:
                assert process.poll() is None
            os.kill(process.pid, signal.SIGKILL)
        assert not plain(store)
        put(store, "b", b"to the new name")
        put(store, "a", b"to the old name")
        with pytest.raises(FileExistsError):
            store.rename("a", "b")
        assert contents(store, "b") == [b"%d" % number for number in range(30)] + [b"to the new name"]
        assert contents(store, "a") == [b"to the old name"]
        assert plain(store)

    @contextmanager
    def breaking(self, monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[None]:
        """Let a rename of one version at a time break off after so many writes."""
        left = after

        def retry(collection: Any, operation: Callable[[], Any], **options: Any) -> Any:
            nonlocal left
            if "Collection.find_one of" not in repr(operation):
                left -= 1
                if left < 0:
                    raise AutoReconnect("gone")
            return operation()

        with monkeypatch.context() as broken:
            broken.setattr(marks, "_BATCH", 1)
            for module in (changes, marks):
                broken.setattr(module, "retry", retry)
            with pytest.raises(AutoReconnect):
                yield

    @pytest.mark.parametrize("write", WRITES)
    def test_the_next_write_completes_what_broke_off(
        self, real_store: Bucket, monkeypatch: pytest.MonkeyPatch, write: str
    ) -> None:
        """Whatever it is, and to whichever of the two names; what it stores itself is neither hidden nor moved.

        Its clock is a day behind, so that its versions would seem to be older.
        """
        act, outcome = WRITES[write]
        others = Bucket(real_store.files.database)
        for versions, after in ((1, 1), (3, 1), (3, 2), (3, 3)):
            old, new, other = (f"{name}{versions}{after}" for name in ("a", "b", "c"))
            data = [b"%d" % number for number in range(versions)]
            for one in data:
                put(real_store, old, one)
            with self.breaking(monkeypatch, after):
                real_store.rename(old, new)
            assert not plain(real_store)
            with wrong_clock(monkeypatch, -1), suppress(FileNotFoundError, FileExistsError):
                act(others, old, new, other)
            found = [contents(real_store, name) for name in (old, new, other)]
            assert (found, plain(real_store)) == (outcome(data), True), (versions, after)

    @pytest.mark.parametrize("deletion", DELETIONS)
    def test_what_names_versions_completes_what_broke_off(
        self, real_store: Bucket, monkeypatch: pytest.MonkeyPatch, deletion: str
    ) -> None:
        act, outcome = DELETIONS[deletion]
        for after in (1, 2):
            files = [put(real_store, "a", b"%d" % number) for number in range(3)]
            put(real_store, "c", b"c")
            with self.breaking(monkeypatch, after):
                real_store.rename("a", "b")
            act(Bucket(real_store.files.database), files)
            assert ([contents(real_store, name) for name in "abc"], plain(real_store)) == (outcome, True), after
            real_store.delete_all_many([file for name in "abc" if (file := real_store.newest(name))])
            assert (real_store.files.count_documents({}), real_store.chunks.count_documents({})) == (0, 0)

    def test_the_same_call_finds_its_rename_completed_by_others(
        self, real_store: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """But not another one, which finds nothing to rename."""
        for number in range(3):
            put(real_store, "a", b"%d" % number)
        with self.breaking(monkeypatch, 2):
            real_store.rename("a", "b")
        put(real_store, "b", b"3")
        assert real_store.rename("a", "b") == 3
        assert contents(real_store, "b") == [b"0", b"1", b"2", b"3"]
        for old, new in (("a", "c"), ("c", "b"), ("b", "a")):
            if old == "b":
                assert real_store.rename("b", "a") == 4
            with pytest.raises(FileNotFoundError):
                real_store.rename(old, new)

    def test_a_mark_does_not_stay(self, real_store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        """When claims are swept, any writer completes what broke off before they were made."""
        for name in ("old", "young"):
            put(real_store, name, b"0")
            put(real_store, name, b"1")
            with self.breaking(monkeypatch, 1):
                real_store.rename(name, f"new {name}")
        real_store.files.update_one({"renamedFrom": "old"}, {"$set": {"previousAt": Timestamp(1, 1)}})
        put(Bucket(real_store.files.database), "x", b"x")
        assert contents(real_store, "new old") == [b"0", b"1"]
        assert contents(real_store, "new young") == [b"1"]
        assert real_store.files.distinct("renamedFrom") == ["young"]


class TestCopy:
    def test_it_carries_everything_and_adds_a_version(self, store: Bucket) -> None:
        saved = store.save("a.txt", [BIG], fields={"owner": "me", "metadata": {"title": "A"}}, content_type="text/x-a")
        put(store, "b.txt", b"before")
        copied = store.copy("a.txt", "b.txt")
        assert copied == store.find("b.txt")
        assert copied.id != saved.id
        assert (copied.content_type, copied.sha256, copied.fields) == ("text/x-a", saved.sha256, {"owner": "me"})
        assert copied.metadata == {"title": "A", "contentType": "text/x-a"}
        assert contents(store, "b.txt") == [b"before", BIG]
        store.copy("b.txt", "c", version=0)
        assert contents(store, "c") == [b"before"]
        with pytest.raises(FileNotFoundError, match="none"):
            store.copy("none", "c")


class TestDelete:
    def test_all_one_by_number_one_by_id(self, store: Bucket) -> None:
        files = [put(store, "a", str(number).encode()) for number in range(5)]
        put(store, "b", b"x")
        assert store.delete("a", 1) == 1
        assert store.delete("a", -1) == 1
        assert store.delete(id=files[2].id) == 1
        assert contents(store, "a") == [b"0", b"3"]
        assert [store.delete("a", 7), store.delete("none"), store.delete(id=files[2].id)] == [0, 0, 0]
        assert store.delete("a") == 2
        assert store.files.distinct("filename") == ["b"]
        assert store.chunks.count_documents({}) == 1

    def test_what_is_neither_a_name_nor_an_id(self, store: Bucket) -> None:
        saved = put(store, "a", b"x")
        for arguments, given in (((), {}), (("a",), {"id": saved.id}), ((saved.id,), {}), (({"$gt": ""},), {})):
            with pytest.raises(TypeError, match="id"):
                store.delete(*arguments, **given)
        assert store.delete(id={"$gt": ""}) == 0
        assert store.find("a") == saved


class TestPermanentLinks:
    @pytest.fixture
    def link(self, mongo: PyMongo) -> str:
        """A permanent link to the first of two versions of a file that got another name."""
        first = mongo.save_file("old", io.BytesIO(b"first"))
        mongo.save_file("old", io.BytesIO(b"second"))
        mongo.bucket().rename("old", "new/ä")
        return f"/uploads/old?id={first}"

    def test_they_lead_to_the_present_name(self, client: Client, link: str) -> None:
        uploads = client()
        for method in ("GET", "HEAD"):
            answer = uploads.open(f"{link}&download=1", method=method)
            assert (answer.status_code, answer.headers["Cache-Control"]) == (308, "no-store")
            location = answer.headers["Location"]
            assert location.startswith("/uploads/new/%C3%A4?")
            assert uploads.open(location, method=method).headers["Content-Disposition"].startswith("attachment")
        assert uploads.get(link, follow_redirects=True).data == b"first"
        details = uploads.get(f"{link}&details", headers=JSON, follow_redirects=True).json
        assert (details["filename"], details["version"]) == ("new/ä", 0)
        assert uploads.get("/uploads/old").status_code == 404
        assert uploads.get("/uploads/old?version=0").status_code == 404

    def test_only_for_reading(self, client: Client, link: str) -> None:
        uploads = client(authorize=lambda action, filename: True, metadata=("title",))
        patch = {"Content-Type": "application/merge-patch+json"}
        assert uploads.delete(link).status_code == 404
        assert uploads.patch(link, data=b"{}", headers=patch).status_code == 404
        assert uploads.post(f"{link}&delete").status_code == 404
        assert uploads.get(link, follow_redirects=True).data == b"first"

    @pytest.mark.parametrize(("hidden", "status"), [("old", 403), ("new/ä", 404), (None, 308)])
    def test_only_for_who_may_read_it(self, client: Client, link: str, hidden: str | None, status: int) -> None:
        uploads: FlaskClient = client(authorize=lambda action, filename: filename != hidden)
        answer = uploads.get(link)
        assert (answer.status_code, "new" in str(answer.headers)) == (status, status == 308)


def test_versions_that_become_older_ones_of_another_name(store: Bucket) -> None:
    put(store, "a", b"1")
    newest, first = put(store, "a", b"2"), put(store, "b", b"3")
    store.prepend(newest, first)
    assert (contents(store, "a"), contents(store, "b")) == ([], [b"1", b"2", b"3"])
    newest = put(store, "b", b"4")
    store.prepend(newest, replace(newest, filename="gone"))  # as it was deleted meanwhile
    assert (store.files.count_documents({}), store.chunks.count_documents({})) == (0, 0)


def test_versions_that_become_older_ones_though_they_are_dated_later(store: Bucket) -> None:
    first = put(store, "b", b"5")
    dates = {b"1": None, b"2": timedelta(days=-9), b"3": timedelta(), b"4": timedelta(days=9)}
    for content, date in dates.items():
        change = {"uploadDate": first.upload_date + date} if date is not None else {"uploadDate": "no date"}
        store.files.update_one({"_id": put(store, content.decode(), content).id}, {"$set": {"filename": "a", **change}})
    newest = store.newest("a")
    assert newest is not None
    store.prepend(newest, first)
    assert contents(store, "b") == [*dates, b"5"]
    assert store.newest("b") == first, "what is the newest stays as it is"
    assert put(store, "a", b"6").filename == "a"
    assert put(store, "b", b"7") == store.newest("b")
