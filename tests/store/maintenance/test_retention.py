"""store/maintenance/retention.py: what has expired is gone at once, and what nobody may still be reading is deleted."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_deleted
from flask_gridfs_pymongo.store import Bucket, StoredFile
from flask_gridfs_pymongo.store.maintenance import retention
from flask_gridfs_pymongo.store.maintenance.retention import Sweep, trim
from flask_gridfs_pymongo.store.writing.marks import with_older

from ...conftest import BIG, JSON, Client, everyone, form, put

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def age(store: Bucket, file: StoredFile, hours: float) -> None:
    """Let *file* have been uploaded some hours ago."""
    store.files.update_one({"_id": file.id}, {"$set": {"uploadDate": datetime.now(UTC) - hours * HOUR}})


def expire(store: Bucket, file: StoredFile, hours: float) -> None:
    """Let *file* have expired some hours and a second ago: the server's clock may be known a little late."""
    date = datetime.now(UTC) - hours * HOUR - timedelta(seconds=1)
    store.files.update_one({"_id": file.id}, {"$set": {"metadata.expiresAt": date}})


def contents(store: Bucket, name: str = "a") -> list[bytes]:
    """What is stored under a name, the oldest first, whether it has expired or not."""
    found = store.files.find({"filename": name}).sort("uploadDate", 1)
    return [b"".join(store.read(StoredFile.from_document(document))) for document in found]


def history(store: Bucket, *hours: float, name: str = "a") -> list[StoredFile]:
    """Versions that were uploaded so many hours ago, with their numbers as content."""
    files = [put(store, name, str(number).encode()) for number in range(len(hours))]
    for file, before in zip(files, hours, strict=True):
        age(store, file, before)
    return files


class TestExpired:
    def test_the_newest_takes_the_name_along(self, store: Bucket) -> None:
        first, second = put(store, "a", b"first"), put(store, "a", b"second")
        put(store, "b", b"x")
        expire(store, second, 0)
        assert [store.find("a", version) for version in (-1, 0, 1, -2)] == [None] * 4
        assert store.find("a", first_chunk=True) is None
        assert store.get(second.id) is None
        assert store.get(second.id, first_chunk=True) is None
        assert store.get(first.id) == first
        assert store.newest("a") is None
        assert store.versions("a") == []
        for order in ("name", "newest", "size", "type"):
            assert [row.file.filename for row in store.list(order).rows] == ["b"]
        with pytest.raises(FileNotFoundError):
            store.open("a")
        with pytest.raises(FileNotFoundError):
            store.update_metadata("a", {"title": "x"})

    def test_a_folder_with_nothing_else_is_gone(self, store: Bucket) -> None:
        for name in ("a/x", "b/x", "b/y"):
            file = put(store, name, b"x")
            if name.endswith("x"):
                expire(store, file, 0)
        assert store.list(folded=True).folders == ["b/"]

    def test_an_older_one_goes_alone(self, store: Bucket) -> None:
        files = [put(store, "a", str(number).encode()) for number in range(4)]
        expire(store, files[1], 0)
        assert [store.find("a", version) for version in range(4)] == [files[0], None, files[2], files[3]]
        assert [version.number for version in store.versions("a")] == [3, 2, 0]
        assert [version.number for version in store.versions("a", 2, 1)] == [0]

    def test_it_is_not_gone_before(self, store: Bucket) -> None:
        file = store.save("a", [b"x"], expires_at=NOW + HOUR)
        assert store.find("a") == file
        assert file.expires_at is not None
        assert abs(file.expires_at - NOW - HOUR) < timedelta(milliseconds=1)
        assert not file.expired
        assert store.save("b", [b"x"], expires_at=datetime(2020, 1, 1)).expired

    @pytest.mark.parametrize("value", ["2020-01-01", 0, None, [], {"$date": 0}])
    def test_what_is_no_date_says_nothing(self, store: Bucket, value: Any) -> None:
        file = put(store, "a", b"x")
        store.files.update_one({"_id": file.id}, {"$set": {"metadata.expiresAt": value}})
        assert store.find("a") == file

    def test_a_further_version_begins_anew(self, store: Bucket) -> None:
        followed: list[StoredFile | None] = []
        first = put(store, "a", b"first")
        expire(store, first, 0)
        store.save("a", [b"second"], check=followed.append)
        assert followed == [None]
        assert [version.number for version in store.versions("a")] == [1]

    def test_what_was_gone_does_not_come_forth_when_another_version_follows(self, store: Bucket) -> None:
        files = [put(store, "a", str(number).encode()) for number in range(5)]
        expire(store, files[0], 5)
        expire(store, files[1], -5)
        store.files.update_one({"_id": files[2].id}, {"$set": {"metadata": "another tool's"}})
        store.files.update_one({"_id": files[3].id}, {"$unset": {"metadata": ""}})
        put(store, "b", b"x")
        expire(store, files[4], 1)
        put(store, "a", b"new")
        assert [version.number for version in store.versions("a")] == [5, 2]
        assert [store.get(file.id) is None for file in files] == [True, True, False, True, True]
        first = StoredFile.from_document(store.files.find_one({"_id": files[0].id}))
        assert first.expires_at is not None
        assert first.expires_at < NOW - 4 * HOUR  # none lives longer
        assert store.find("b") is not None

    @pytest.mark.parametrize("hours", [0, 2])
    def test_another_file_may_have_the_name(self, store: Bucket, hours: float) -> None:
        """Whoever has begun to read what is gone reads on."""
        files = [put(store, "a", BIG) for _ in range(3)]
        expire(store, files[2], hours)
        renamed = [put(store, "b", b"0"), put(store, "b", b"1")]
        with store.open(id=files[0].id) as begun:
            assert begun.read(10) == BIG[:10]
            assert store.rename("b", "a") == 2
            assert [version.file.id for version in store.versions("a")] == [file.id for file in renamed[::-1]]
            assert [row.file.filename for row in store.list().rows] == ["a"]
            assert [store.get(file.id) for file in files] == [None] * 3
            assert begun.read() == BIG[10:]
        assert len(list(Sweep(store).run())) == (3 if hours else 0)
        assert store.files.count_documents({}) == (2 if hours else 5)


class TestOverHttp:
    @pytest.fixture
    def uploads(self, client: Client) -> FlaskClient:
        return client(expire_after=100, authorize=everyone)

    def test_every_upload_gets_a_date(self, uploads: FlaskClient, mongo: PyMongo) -> None:
        uploads.put("/uploads/a", data=b"x")
        uploads.post("/uploads/", data=form((b"x", "b"), (b"x", "c")))
        uploads.post("/uploads/d", data=form((b"x", "x")))
        mongo.save_file("e", io.BytesIO(b"x"))
        uploads.post("/uploads/e?restore")
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "1", "Content-Type": "application/offset+octet-stream"}
        assert uploads.post("/uploads/f", data=b"x", headers=tus).status_code == 201
        for name in "abcdef":
            file = mongo.bucket().find(name)
            assert file is not None
            assert file.expires_at is not None
            assert abs((file.expires_at - file.upload_date).total_seconds() - 100) < 2, name

    def test_it_is_kept_no_longer_than_it_lives(self, app: Flask, uploads: FlaskClient, mongo: PyMongo) -> None:
        app.add_url_rule("/own", "own", lambda: mongo.send_file("a"))
        uploads.put("/uploads/a", data=b"x")
        details = uploads.get("/uploads/a?details", headers=JSON).json
        for url in (details["permanent_url"], "/own"):
            field = uploads.get(url).headers["Cache-Control"]
            assert 90 <= int(field.partition("max-age=")[2].partition(",")[0]) <= 100, field
        assert uploads.get("/uploads/a").headers["Cache-Control"] == "private, no-cache"

    def test_from_that_second_on_it_is_a_404(self, app: Flask, uploads: FlaskClient, mongo: PyMongo) -> None:
        app.add_url_rule("/own", "own", lambda: mongo.send_file("a"))
        for data in (b"first", b"second"):
            uploads.put("/uploads/a", data=data)
        etag = uploads.get("/uploads/a").headers["ETag"]
        permanent = uploads.get("/uploads/a?details", headers=JSON).json["permanent_url"]
        newest = mongo.bucket().find("a")
        assert newest is not None
        expire(mongo.bucket(), newest, 0)
        urls = ["/uploads/a" + query for query in ("", "?version=0", "?details", "?versions", "?delete", "?version=1")]
        for url in (*urls, permanent, "/own"):
            assert uploads.get(url, headers={"If-None-Match": etag}).status_code == 404, url
            assert uploads.get(url, headers={"Range": "bytes=0-0"}).status_code == 404, url
        assert uploads.delete("/uploads/a").status_code == 404
        assert uploads.post("/uploads/a?restore").status_code == 404
        assert uploads.get("/uploads/", headers=JSON).json["files"] == []
        assert uploads.put("/uploads/a", data=b"x", headers={"If-Match": etag}).status_code == 412
        assert uploads.put("/uploads/a", data=b"third", headers={"If-None-Match": "*"}).status_code == 201
        assert uploads.get("/uploads/a").data == b"third"

    def test_each_upload_deletes_a_few_old_versions(self, app: Flask, client: Client, mongo: PyMongo) -> None:
        store = mongo.bucket()
        told: list[Any] = []
        history(store, *range(30, 10, -1))
        uploads = client(keep_versions=3)

        def listen(sender: Flask, file: StoredFile, versions: int) -> None:
            told.append((sender, versions))

        with file_deleted.connected_to(listen):
            for sizes in (13, 6, 4, 5, 6):
                assert uploads.put("/uploads/a", data=b"new").status_code == 204
                assert len(contents(store)) == sizes
        assert told == [(app, versions) for versions in [1] * 19]
        assert contents(store) == [b"19", *[b"new"] * 5]  # 19 was superseded just now

    @pytest.mark.parametrize(
        "options",
        [{"keep_versions": 0}, {"keep_versions": -1}, {"expire_after": 0}, {"expire_after": -1}],
    )
    def test_arguments(self, mongo: PyMongo, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            mongo.uploads_blueprint(**options)


class TestTrim:
    @pytest.mark.parametrize(
        ("hours", "keep", "most", "left"),
        [
            ((9, 8, 7, 6, 5), 5, 8, "01234"),
            ((9, 8, 7, 6, 5), 6, 8, "01234"),
            ((9, 8, 7, 6, 5), 3, 8, "234"),
            ((9, 8, 7, 6, 5), 1, 8, "4"),
            ((9, 8, 7, 6, 5), 1, 2, "234"),
            ((9, 8, 7, 1.1, 0.9, 0), 1, 8, "345"),  # 3 was superseded less than an hour ago
            ((9, 8, 0.5, 0.4, 0.3), 1, 8, "1234"),
            ((9, 0.1), 1, 8, "01"),
            ((9, 9, 9, 9), 2, 8, "23"),  # one date
        ],
    )
    def test_the_oldest_beyond_those_that_stay(
        self, store: Bucket, hours: tuple[float, ...], keep: int, most: int, left: str
    ) -> None:
        history(store, *hours)
        put(store, "b", b"x")
        deleted = trim(store, "a", keep, most)
        assert sorted(contents(store)) == [digit.encode() for digit in left]
        assert len(deleted) == len(hours) - len(left)
        assert store.chunks.count_documents({}) == len(left) + 1

    def test_many_at_once_keep_enough(self, real_store: Bucket) -> None:
        history(real_store, *range(60, 20, -1))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: trim(real_store, "a", 5, 3), range(40)))
        left = contents(real_store)
        assert left[-5:] == [str(number).encode() for number in range(35, 40)]
        assert len(left) < 35


class TestSweep:
    def sweep(self, store: Bucket, **options: Any) -> tuple[list[tuple[str, bytes, str]], int]:
        sweep = Sweep(store, **options)
        content = {file["_id"]: contents for file in store.files.find() for contents in [file["length"]]}
        gone = [(file.filename, content[file.id], reason) for file, reason in sweep.run()]
        return sorted(gone), sweep.waiting

    def test_what_expired_an_hour_ago_goes(self, real_store: Bucket) -> None:
        for name, hours in (("long ago", 2), ("just now", 0.5), ("later", -1)):
            expire(real_store, put(real_store, name, b"x"), hours)
        put(real_store, "never", b"x")
        assert self.sweep(real_store, dry_run=True) == ([("long ago", 1, "expired")], 1)
        assert real_store.files.count_documents({}) == 4
        assert self.sweep(real_store) == ([("long ago", 1, "expired")], 1)
        assert self.sweep(real_store) == ([], 1)
        assert real_store.files.distinct("filename") == ["just now", "later", "never"]
        assert real_store.chunks.count_documents({}) == 3

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_with_an_expired_newest_all_go_and_it_is_the_last(self, real_store: Bucket, dry_run: bool) -> None:
        files = history(real_store, 9, 8, 7, 6)
        expire(real_store, files[1], 3)
        expire(real_store, files[3], 2)
        left = []
        for gone in Sweep(real_store, dry_run=dry_run).run():
            left.append((gone.file.id, real_store.find("a")))
        assert sorted(file_id for file_id, _ in left) == [file.id for file in files]
        assert left[-1][0] == files[3].id or dry_run
        assert [found for _, found in left] == [None] * 4
        assert len(contents(real_store)) == (4 if dry_run else 0)

    def test_what_is_deleted_meanwhile_stays_in_the_trash(
        self, real_store: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_trash = Bucket(real_store.files.database, trash=86_400)
        older, newest = history(with_trash, 3, 2)
        expire(with_trash, newest, 1)

        def late(*arguments: Any) -> list[dict[str, Any]]:
            found = with_older(*arguments)
            with_trash.delete(id=older.id)
            return found

        monkeypatch.setattr(retention, "with_older", late)
        assert [gone.file.id for gone in Sweep(with_trash).run()] == [newest.id]
        assert with_trash.restore(older.id).id == older.id

    def test_an_older_one_that_expired_goes_alone(self, real_store: Bucket) -> None:
        files = history(real_store, 9, 8, 7)
        expire(real_store, files[1], 2)
        assert len(list(Sweep(real_store).run())) == 1
        assert contents(real_store) == [b"0", b"2"]

    def test_keep(self, real_store: Bucket) -> None:
        history(real_store, 9, 8, 7, 6, 0)
        history(real_store, 9, 8, name="b")
        expected = [("a", 1, "superseded")] * 3
        assert self.sweep(real_store, keep=2, dry_run=True) == (expected, 0)
        assert self.sweep(real_store, keep=2) == (expected, 0)
        assert (contents(real_store), contents(real_store, "b")) == ([b"3", b"4"], [b"0", b"1"])

    def test_older_than_lets_them_expire_and_deletes_them_later(self, real_store: Bucket) -> None:
        history(real_store, 100, 50, 1)
        history(real_store, 100, name="b")
        own = history(real_store, 100, name="own")[0]
        expire(real_store, own, -10)
        foreign = history(real_store, 100, name="foreign")[0]
        real_store.files.update_one({"_id": foreign.id}, {"$set": {"metadata": "a text"}})
        assert self.sweep(real_store, older_than=40 * HOUR, dry_run=True) == ([], 3)
        assert real_store.find("b") is not None
        assert self.sweep(real_store, older_than=40 * HOUR) == ([], 3)
        assert real_store.find("b") is None
        assert [version.number for version in real_store.versions("a")] == [2]
        assert real_store.find("own") is not None
        assert real_store.find("foreign") is not None
        assert real_store.files.count_documents({}) == 6
        past = {"$set": {"metadata.expiresAt": NOW - 2 * HOUR}}
        real_store.files.update_many({"filename": {"$in": ["a", "b"]}, "metadata.expiresAt": {"$exists": True}}, past)
        assert len(self.sweep(real_store)[0]) == 3
        assert contents(real_store) == [b"2"]

    @pytest.mark.parametrize("after", range(5))
    def test_a_sweep_that_is_killed_shows_nothing_and_the_next_one_goes_on(
        self, real_store: Bucket, after: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a", "b"):
            expire(real_store, history(real_store, 9, 8, 7, name=name)[2], 2)
        history(real_store, 9, 8, name="kept")
        left = after
        delete_chunks = real_store.collections.delete_chunks

        def crash(ids: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise SystemExit
            delete_chunks(ids)

        with monkeypatch.context() as patch:
            patch.setattr(real_store.collections, "delete_chunks", crash)
            with pytest.raises(SystemExit):
                list(Sweep(real_store, keep=1).run())
        assert [real_store.find(name) for name in ("a", "b")] == [None, None]
        list(Sweep(real_store, keep=1).run())
        assert contents(real_store, "kept") == [b"1"]
        assert real_store.files.count_documents({}) == 1

    def test_files_of_other_tools(self, real_store: Bucket) -> None:
        """Without a name, a date, or with a name that is no text."""
        long_ago = {"metadata": {"expiresAt": NOW - 2 * HOUR}, "length": 0, "chunkSize": 1}
        for name in (None, 7, "text"):
            real_store.files.insert_one({**long_ago, "filename": name})
            real_store.files.insert_one({"filename": name, "length": 0, "chunkSize": 1})
        real_store.files.insert_one({**long_ago, "_id": {"a": 1}, "filename": "odd", "uploadDate": NOW})
        for metadata in ({"expiresAt": [NOW - 2 * HOUR]}, [{"expiresAt": NOW - 2 * HOUR}]):  # no dates of ours
            real_store.files.insert_one({**long_ago, "filename": "list", "metadata": metadata})
        assert len(list(Sweep(real_store, keep=5).run())) == 4
        assert real_store.files.count_documents({}) == 5

    def test_uploads_and_downloads_meanwhile(self, real_store: Bucket) -> None:
        """A name expires again and again while it is uploaded, read and swept: what is found is read as a whole."""

        def upload(number: int) -> None:
            for turn in range(25):
                file = real_store.save(f"{turn % 3}", [b"%03d" % number * 100_000])
                hours = 2 if turn % 2 else -1
                real_store.files.update_one({"_id": file.id}, {"$set": {"metadata.expiresAt": NOW - hours * HOUR}})

        def sweep(number: int) -> None:
            for _ in range(25):
                list(Sweep(real_store, keep=2).run())

        def work(number: int) -> None:
            (upload if number < 3 else sweep)(number)

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(work, range(5)))
        list(Sweep(real_store, keep=2).run())
        for document in real_store.files.find():
            assert len(b"".join(real_store.read(StoredFile.from_document(document)))) == 300_000
        assert real_store.chunks.distinct("files_id") == real_store.files.distinct("_id")


class TestCommand:
    def call(self, app: Flask, *arguments: str) -> tuple[int, str]:
        result = app.test_cli_runner().invoke(args=["gridfs", "expire", *arguments])
        return result.exit_code, result.output.strip()

    def test_it_tells_what_it_does(self, app: Flask, real: PyMongo) -> None:
        store = real.bucket()
        history(store, 9, 8, 7, 6)
        for name, hours in (("old", 2), ("new", 0.5)):
            expire(store, put(store, name, BIG), hours)
        name = store.collections.name
        told: list[str] = []

        def listen(sender: Flask, file: StoredFile, versions: int) -> None:
            told.append(file.filename)

        with file_deleted.connected_to(listen, app):
            assert self.call(app, "--keep", "2", "--dry-run") == (
                0,
                f"{name}: 1 expired and 2 superseded versions to delete (400,002 bytes);"
                " 1 more have expired within the last hour",
            )
            assert told == []
            status, output = self.call(app, "--keep", "2", "--json")
        expected = {"bucket": name, "expired": 1, "superseded": 2, "bytes": 400_002, "waiting": 1}
        assert (status, json.loads(output)) == (0, expected)
        assert sorted(told) == ["a", "a", "old"]
        assert self.call(app, "--older-than", "7h") == (
            0,
            f"{name}: 0 expired and 0 superseded versions deleted (0 bytes); 2 more have expired within the last hour",
        )
        assert contents(store) == [b"2", b"3"]
        assert store.find("a") is not None

    @pytest.mark.parametrize(
        "arguments", [["--keep", "0"], ["--older-than", "30"], ["--older-than=-1d"], ["--config-prefix"]]
    )
    def test_usage(self, app: Flask, real: PyMongo, arguments: list[str]) -> None:
        assert self.call(app, *arguments)[0] == 2

    def test_ten_thousand_versions(self, app: Flask, real: PyMongo) -> None:
        documents = {"filename": "a", "length": 0, "chunkSize": 1}
        start = NOW - 2 * HOUR
        real.db["fs.files"].insert_many(
            {**documents, "uploadDate": start - timedelta(seconds=number)} for number in range(10_000)
        )
        store = real.bucket()
        store.collections.indexes.ensure()
        kept = store.versions("a", limit=5)
        assert " 9,995 superseded" in self.call(app, "--keep", "5")[1]
        assert [version.file for version in store.versions("a")] == [version.file for version in kept]
