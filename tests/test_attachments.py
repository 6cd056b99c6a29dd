"""attachments.py: files that belong to documents, whoever dies or races."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from bson.objectid import ObjectId
from flask import Flask
from pymongo.errors import AutoReconnect, OperationFailure
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.attachments import Attachment
from flask_gridfs_pymongo.signals import file_deleted, file_saved

from .helpers.kills import killed_at_each_write
from .helpers.pictures import PNG, corners, encoded


@pytest.fixture
def ann(mongo: PyMongo) -> Any:
    return mongo.db.users.insert_one({"name": "Ann"}).inserted_id


@pytest.fixture
def avatar(mongo: PyMongo) -> Attachment:
    return mongo.attachment("users", "avatar")


def stored(mongo: PyMongo, base: str = "fs") -> list[Any]:
    return [document["_id"] for document in mongo.db[base].files.find()]


class TestAttach:
    def test_the_document_names_the_file_and_the_one_before_is_deleted(
        self, app: Flask, mongo: PyMongo, avatar: Attachment, ann: Any
    ) -> None:
        told = list[tuple[str, Any]]()
        saved = lambda sender, file: told.append(("saved", file.id))  # noqa: E731
        deleted = lambda sender, file, versions: told.append(("deleted", file.id))  # noqa: E731
        with file_saved.connected_to(saved, app), file_deleted.connected_to(deleted, app):
            first = avatar.attach(ann, io.BytesIO(b"one"))
            second = avatar.attach(ann, io.BytesIO(b"two"))
        document = mongo.db.users.find_one({"_id": ann})
        assert document == {"_id": ann, "name": "Ann", "avatar": second.id}
        assert stored(mongo) == [second.id]
        assert mongo.db.fs.chunks.distinct("files_id") == [second.id]
        assert told == [("saved", first.id), ("saved", second.id), ("deleted", first.id)]
        with avatar.open(document) as file:
            assert file.read() == b"two"

    def test_names(self, mongo: PyMongo, avatar: Attachment, ann: Any, tmp_path: Path) -> None:
        (tmp_path / "me.png").write_bytes(PNG)
        sent = FileStorage(io.BytesIO(PNG), "../a/i\u0308.png")
        with open(tmp_path / "me.png", "rb") as opened:
            for source, given, name in (
                (tmp_path / "me.png", None, f"users/{ann}/avatar/me.png"),
                (sent, None, f"users/{ann}/avatar/\u00ef.png"),
                (opened, None, f"users/{ann}/avatar/me.png"),
                (io.BytesIO(PNG), None, f"users/{ann}/avatar/avatar"),
                (FileStorage(io.BytesIO(PNG), ".."), None, f"users/{ann}/avatar/avatar"),
                (io.BytesIO(PNG), "as given/ ", "as given/ "),
            ):
                file = avatar.attach(ann, source, given)
                assert (file.filename, file.content_type) == (name, "image/png")
        cover = mongo.attachment("users", "cover").attach(ann, sent)  # keeping one version of each name deletes none
        assert cover.filename == f"users/{ann}/cover/\u00ef.png"
        mongo.db.users.insert_many([{"_id": "../../x"}, {"_id": 7}])
        assert avatar.attach("../../x", sent).filename.startswith("users/x/")
        assert avatar.attach(7, io.BytesIO(b"7")).filename == "users/7/avatar/avatar"

    def test_what_is_refused_leaves_nothing(self, mongo: PyMongo, ann: Any) -> None:
        avatar = mongo.attachment("users", "avatar", types=("image/*",), max_size=100)
        kept = avatar.attach(ann, io.BytesIO(PNG))
        refusals: list[tuple[type[Exception], Any, Any]] = [
            (LookupError, ObjectId(), io.BytesIO(PNG)),
            (LookupError, {"$ne": None}, io.BytesIO(PNG)),
            (UnsupportedMediaType, ann, io.BytesIO(b"<html>")),
            (RequestEntityTooLarge, ann, io.BytesIO(PNG + bytes(100))),
            (TypeError, ann, b"bytes"),
            (TypeError, ann, None),
        ]
        for error, document_id, source in refusals:
            with pytest.raises(error):
                avatar.attach(document_id, source)
            assert (stored(mongo), mongo.db.users.count_documents({})) == ([kept.id], 1)
            assert mongo.db.fs.chunks.distinct("files_id") == [kept.id]
        assert mongo.db.users.find_one()["avatar"] == kept.id

    def test_fields(self, mongo: PyMongo, ann: Any) -> None:
        scan = mongo.attachment("users", "papers.scan", base="papers")
        file = scan.attach(ann, io.BytesIO(b"1"))
        document = mongo.db.users.find_one()
        assert document["papers"] == {"scan": file.id}
        assert stored(mongo, "papers") == [file.id]
        assert scan.open(document).read() == b"1"
        for wrong in ("", "_id", "_id.a", "a..b", ".a", "a.", "$a", "a.$b", "a\0"):
            with pytest.raises(ValueError, match="field"):
                mongo.attachment("users", wrong)
        for arguments in ({"types": "image/png"}, {"max_size": "5"}, {"base": 1}):
            with pytest.raises(TypeError):
                mongo.attachment("users", "avatar", **arguments)  # type: ignore[arg-type]

    def test_other_values_in_the_field_are_replaced(self, mongo: PyMongo, avatar: Attachment, ann: Any) -> None:
        for value in ("https://example.com/a.png", None, {"a": 1}, [ObjectId()], 5, ObjectId()):
            mongo.db.users.update_one({"_id": ann}, {"$set": {"avatar": value}})
            file = avatar.attach(ann, io.BytesIO(b"1"))
            assert mongo.db.users.find_one()["avatar"] == file.id

    def test_four_writers_leave_one_file(self, mongo: PyMongo, avatar: Attachment, ann: Any) -> None:
        together = Barrier(4)

        def write(number: int) -> None:
            for turn in range(5):
                together.wait(20)
                avatar.attach(ann, io.BytesIO(f"{number} {turn}".encode()))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        document = mongo.db.users.find_one()
        assert stored(mongo) == [document["avatar"]]
        assert mongo.db.fs.chunks.distinct("files_id") == [document["avatar"]]
        assert avatar.open(document).read().endswith(b" 4")


class TestFailures:
    def test_after_a_kill_the_documents_file_opens(
        self, mongo: PyMongo, uri: str, avatar: Attachment, ann: Any
    ) -> None:
        code = (
            "import io, flask; from flask_gridfs_pymongo import PyMongo\n"
            f"app = flask.Flask('x'); mongo = PyMongo(app, uri={uri!r}, event_listeners=[Killer(writes)])\n"
            "user = mongo.db.users.find_one()\n"
            "mongo.attachment('users', 'avatar').attach(user['_id'], io.BytesIO(b'new'))"
        )
        avatar.attach(ann, io.BytesIO(b"old"))
        seen = []
        for _ in killed_at_each_write(uri, code):
            document = mongo.db.users.find_one()
            seen.append((avatar.open(document).read(), mongo.db.fs.files.count_documents({})))
            avatar.attach(ann, io.BytesIO(b"old"))
            mongo.bucket().delete_many([one for one in stored(mongo) if one != mongo.db.users.find_one()["avatar"]])
        assert seen[0] == (b"old", 1)
        assert seen[-1] == (b"new", 1)
        assert {(b"old", 2), (b"new", 2)} <= set(seen)

    @pytest.mark.parametrize(
        ("error", "kept"), [(AutoReconnect("lost"), 2), (OperationFailure("not authorized", 13), 1)]
    )
    def test_a_file_that_the_document_may_name_is_not_deleted(
        self, mongo: PyMongo, avatar: Attachment, ann: Any, error: Exception, kept: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        avatar.attach(ann, io.BytesIO(b"old"))

        def fail(*args: Any) -> None:
            raise error

        monkeypatch.setattr(Attachment, "_change", fail)
        with pytest.raises(type(error)):
            avatar.attach(ann, io.BytesIO(b"new"))
        assert len(stored(mongo)) == kept
        assert avatar.open(mongo.db.users.find_one()).read() == b"old"

    def test_an_old_file_that_is_not_deleted_is_only_logged(
        self, mongo: PyMongo, avatar: Attachment, ann: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        old = avatar.attach(ann, io.BytesIO(b"old"))
        bucket = type(mongo.bucket())
        monkeypatch.setattr(bucket, "delete_many", lambda *args: (_ for _ in ()).throw(AutoReconnect("lost")))
        new = avatar.attach(ann, io.BytesIO(b"new"))
        assert mongo.db.users.find_one()["avatar"] == new.id
        assert f"the file {old.id}" in caplog.text


class TestReading:
    def test_purge(self, mongo: PyMongo, avatar: Attachment, ann: Any) -> None:
        avatar.attach(ann, io.BytesIO(b"1"))
        assert [avatar.purge(ann), avatar.purge(ann), avatar.purge(ObjectId())] == [True, False, False]
        assert mongo.db.users.find_one() == {"_id": ann, "name": "Ann"}
        assert (stored(mongo), mongo.db.fs.chunks.count_documents({})) == ([], 0)
        with pytest.raises(FileNotFoundError, match="avatar"):
            avatar.open(mongo.db.users.find_one())
        with pytest.raises(FileNotFoundError):
            avatar.open({"avatar": ObjectId()})

    def test_urls(self, app: Flask, mongo: PyMongo, avatar: Attachment, ann: Any) -> None:
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))
        app.register_blueprint(mongo.uploads_blueprint("media", url_prefix="/<user>/media", base="media"))
        picture = encoded(corners())
        file = avatar.attach(ann, io.BytesIO(picture), "me.png")
        document = mongo.db.users.find_one()
        with app.test_request_context():
            assert avatar.url({"_id": ann}) is None
            assert avatar.url({"_id": ann, "avatar": None}) is None
            assert avatar.url(document) == f"/uploads/?id={file.id}"
            variant = avatar.url(document, variant="thumb")
            odd = avatar.url({"avatar": "some/id"})
            with pytest.raises(ValueError, match="blueprint="):
                mongo.attachment("users", "avatar", base="media").url(document)
            media = mongo.attachment("users", "avatar", base="media", blueprint="media")
            assert media.url(document, user="ann") == f"/ann/media/?id={file.id}"
        client = app.test_client()
        assert client.get(variant).content_type.startswith("image/")
        assert client.get(odd).status_code == 404
        assert client.get(f"/uploads/?id={file.id}").data == picture


def test_it_works_with_mongomock() -> None:
    mongo = PyMongo(app := Flask("tests"), uri="mongomock://localhost/shop")
    with app.app_context():
        mongo.db.users.insert_one({"_id": 1})
        avatar = mongo.attachment("users", "avatar")
        for content in (b"1", b"2"):
            avatar.attach(1, io.BytesIO(content))
        assert avatar.open(mongo.db.users.find_one()).read() == b"2"
        assert len(list(mongo.db.fs.files.find())) == 1
        assert avatar.purge(1) is True
