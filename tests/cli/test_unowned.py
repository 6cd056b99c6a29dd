"""``flask gridfs unowned``: files that no document names, and never one more."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import mongoengine
import pytest
from bson import Binary, Code, DBRef, Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.regex import Regex
from flask import Flask
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_deleted
from flask_gridfs_pymongo.store import Bucket, Unowned

from ..conftest import put
from ..helpers.commands import call
from ..helpers.kills import killed_at_each_write
from ..helpers.pictures import corners, encoded

NOW = "--older-than=0s"


@pytest.fixture
def bucket(real: PyMongo) -> Bucket:
    return real.bucket()


def stored(bucket: Bucket) -> set[str]:
    return set(bucket.files.distinct("filename"))


def test_every_way_to_name_a_file(app: Flask, real: PyMongo, bucket: Bucket) -> None:
    file_ids: list[Any] = [put(bucket, f"{number}", b"x").id for number in range(15)]
    odd: list[Any] = ["text", 5, {"a": 1}, Binary(b"b"), Code("c")]
    for number, odd_id in enumerate(odd):
        document = {"filename": f"odd {number}", "length": 0, "chunkSize": 1, "uploadDate": datetime(2020, 1, 1)}
        bucket.files.insert_one({"_id": odd_id, **document})
    one = file_ids
    real.db.users.insert_many({"avatar": {"a": {"text": "x" * 100_000}}} for _ in range(200))
    real.db.users.insert_many(
        [
            {"avatar": one[0]},
            {"avatar": [one[1], None, "x"]},
            {"avatar": {"id": one[2], "name": "a"}},
            {"avatar": [{"file": {"id": one[3]}}, [[one[4]]]]},
            {"avatar": str(one[5])},
            {"avatar": DBRef("fs.files", one[6])},
            {"avatar": {"$ref": "fs.files", "x": one[7]}},
            {"avatar": "text"},
            {"avatar": 5.0},
            {"avatar": [Int64(5), Decimal128("5")]},
            {"avatar": {"a": 1}},
            {"avatar": Binary(b"b")},
            {"avatar": [Code("c"), Regex("^5"), re.compile("5")]},
            {"avatar": {"$or": [{"$where": "1"}]}},
            {"avatar": None},
            {"avatar": {str(one[12]): True}},
            {"avatar": f'<img src="/files/?id={one[13]}&variant=thumb"> /files/?id={str(one[14]).upper()}'},
            {"avatar": f"{one[11]}0"},
            {"other": one[11]},
            {},
        ]
    )
    real.db.posts.insert_many([{"list": [{"file": one[8]}, {"file": [one[9]]}]}, {"list": [1, {"file": one[10]}]}])
    status, lines, errors = call(app, "unowned", "--refs", "users.avatar", "--refs", "posts.list.file", NOW)
    assert (status, errors) == (0, [])
    assert [line.split()[-1] for line in lines[:-1]] == ["11"]
    assert lines[-1].endswith("fs: 1 unowned files (1 bytes)")
    data = json.loads(
        "\n".join(call(app, "unowned", "--refs", "users.avatar", "--refs", "posts.list.1", NOW, "--json").lines)
    )
    assert [file["filename"] for file in data["unowned"]] == ["8", "11"]
    assert (data["found"], data["bytes"], data["deleted"]) == (2, 2, 0)
    assert len(stored(bucket)) == 20


def test_what_is_young_stays(app: Flask, real: PyMongo, bucket: Bucket) -> None:
    for name, age in (("new", 0), ("hours", 3), ("days", 30)):
        file = put(bucket, name, b"1")
        date = datetime.now(UTC) - timedelta(hours=age, minutes=1)
        bucket.files.update_one({"_id": file.id}, {"$set": {"uploadDate": date}})
    real.db.users.insert_one({"avatar": put(bucket, "owned", b"1").id})
    for more, found in (([], ["days"]), (["--older-than=2h"], ["days", "hours"]), ([NOW], ["days", "hours", "new"])):
        lines = call(app, "unowned", "--refs", "users.avatar", *more).lines[:-1]
        assert sorted(line.split()[-1] for line in lines) == found
    call(app, "unowned", "--refs", "users.avatar", "--delete")
    assert stored(bucket) == {"new", "hours", "owned"}


@pytest.mark.parametrize(
    "refs",
    [
        ["users"],
        ["user.avatar"],
        ["users.avatars"],
        ["users.name"],
        ["users.avatar", "posts.pictures"],
        ["posts.picture", "users.avatar"],
        ["users."],
        ["users..avatar"],
        [".avatar"],
        [""],
        ["empty.avatar"],
        ["users.other"],
    ],
)
def test_a_typo_deletes_nothing(app: Flask, real: PyMongo, bucket: Bucket, refs: list[str]) -> None:
    file = put(bucket, "a.jpg", b"1")
    put(bucket, "b.jpg", b"1")
    real.db.users.insert_one({"avatar": file.id, "name": "Ann", "other": ObjectId()})
    real.db.posts.insert_one({"pictures": [ObjectId()]})
    real.db.create_collection("empty")
    arguments = [argument for text in refs for argument in ("--refs", text)]
    for more in ([], ["--delete"], ["--json"]):
        status, lines, errors = call(app, "unowned", *arguments, NOW, *more)
        assert (status, lines, len(errors)) == (2, [], 1)
        assert stored(bucket) == {"a.jpg", "b.jpg"}
    assert call(app, "unowned", NOW).status == 2


def test_the_longest_collection_of_a_dotted_name(app: Flask, real: PyMongo, bucket: Bucket) -> None:
    first, second = put(bucket, "1", b"1").id, put(bucket, "2", b"2").id
    real.db.shop.insert_one({"users": {"avatar": first}})
    assert call(app, "unowned", "--refs", "shop.users.avatar", NOW).lines[0].endswith("  2")
    real.db["shop.users"].insert_one({"avatar": second})
    assert call(app, "unowned", "--refs", "shop.users.avatar", NOW).lines[0].endswith("  1")
    real.db.create_collection("shop.users.avatar")  # has no field
    assert call(app, "unowned", "--refs", "shop.users.avatar", NOW).lines[0].endswith("  1")


def test_mongoengine(app: Flask, real: PyMongo, uri: str) -> None:
    """Its own documents, in its own buckets."""
    mongoengine.connect(host=uri, alias="default", uuidRepresentation="standard")
    try:

        class Scan(mongoengine.EmbeddedDocument):  # type: ignore[misc]
            file = mongoengine.FileField()

        class Person(mongoengine.Document):  # type: ignore[misc]
            file = mongoengine.FileField()
            photo = mongoengine.ImageField(thumbnail_size=(20, 20, True))
            scans = mongoengine.ListField(mongoengine.EmbeddedDocumentField(Scan))

        picture = encoded(corners())
        for number in range(3):
            person = Person()
            person.file.put(b"file", filename=f"{number}")
            person.photo.put(io.BytesIO(picture), filename=f"{number}.png")
            scan = Scan()
            scan.file.put(b"scan", filename=f"scan {number}")
            person.scans.append(scan)
            person.save()
        real.db.person.delete_one({"_id": Person.objects.first().pk})  # by another program, which leaves its files
        files = call(app, "unowned", "--refs", "person.file", "--refs", "person.scans.file", NOW).lines
        assert sorted(line.split(":")[-1][4:] for line in files[:-1]) == ["0", "scan 0"], files
        assert real.db.images.files.count_documents({}) == 6
        for count in (2, 0):
            lines = call(app, "unowned", "--bucket", "images", "--refs", "person.photo", NOW, "--delete").lines
            assert len(lines) == count + 1
        kept = Person.objects.first()
        assert kept.photo.read() == picture or kept.photo.thumbnail.read()
        assert kept.photo.thumbnail.read()
        assert real.db.images.files.count_documents({}) == 4
    finally:
        mongoengine.disconnect()


class TestDeleting:
    def test_content_and_signals_go_with_them(self, app: Flask, real: PyMongo, bucket: Bucket) -> None:
        real.db.users.insert_one({"avatar": put(bucket, "owned", b"1").id})
        for number in range(3):
            put(bucket, "lost", bytes(600_000 + number))
        told = list[Any]()
        listen = lambda sender, file, versions: told.append((file.filename, versions))  # noqa: E731
        with file_deleted.connected_to(listen, app):
            lines = call(app, "unowned", "--refs", "users.avatar", NOW, "--delete").lines
        assert lines[-1].endswith("fs: 3 unowned files deleted (1,800,003 bytes)")
        assert (told, stored(bucket)) == ([("lost", 1)] * 3, {"owned"})
        assert bucket.chunks.count_documents({}) == 1

    def test_a_file_that_is_named_meanwhile_stays(
        self, app: Flask, real: PyMongo, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost, found = put(bucket, "lost", b"1").id, put(bucket, "found", b"1").id
        real.db.users.insert_one({"avatar": put(bucket, "owned", b"1").id})
        collect, reads = Unowned._collect, list[int]()

        def collect_late(self: Unowned) -> None:
            if reads:
                real.db.users.insert_one({"avatar": found})
            reads.append(1)
            collect(self)

        monkeypatch.setattr(Unowned, "_collect", collect_late)
        assert call(app, "unowned", "--refs", "users.avatar", NOW, "--delete").status == 0
        assert (len(reads), stored(bucket), lost in bucket.files.distinct("_id")) == (2, {"owned", "found"}, False)

    def test_an_error_while_documents_are_read_deletes_nothing(
        self, app: Flask, real: PyMongo, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(bucket, "lost", b"1")
        real.db.users.insert_one({"avatar": put(bucket, "owned", b"1").id})
        values = Unowned._values

        def fail(self: Unowned, reference: Any) -> Any:
            yield from values(self, reference)
            raise AutoReconnect("lost")

        monkeypatch.setattr(Unowned, "_values", fail)
        assert call(app, "unowned", "--refs", "users.avatar", NOW, "--delete").status == 2
        assert stored(bucket) == {"owned", "lost"}

    def test_killed(self, real: PyMongo, uri: str, bucket: Bucket) -> None:
        """At each write: what is owned is whole, and a second run ends it."""
        code = (
            "from datetime import timedelta\n"
            "with Unowned(store, ['users.avatar'], timedelta()) as unowned: list(unowned.delete())"
        )
        real.db.users.insert_one({"avatar": put(bucket, "owned", b"owned").id})
        put(bucket, "lost", bytes(600_000))
        for _ in killed_at_each_write(uri, code):
            with bucket.open("owned") as file:
                assert file.read() == b"owned"
        assert stored(bucket) == {"owned"}
        assert bucket.chunks.count_documents({}) <= 4
