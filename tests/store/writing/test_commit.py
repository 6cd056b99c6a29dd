"""store/writing/commit.py: a commit is done once, refused, or given up; nothing half of it stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymongo.collection
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, ContentDeleted, IndexConflict, StoredFile
from flask_gridfs_pymongo.store.writing import commit
from flask_gridfs_pymongo.store.writing.claims import Claims
from flask_gridfs_pymongo.store.writing.pipeline import Digest

from ...conftest import everyone, put, read


@pytest.fixture
def store(real_store: Bucket) -> Bucket:
    return real_store


@pytest.fixture
def client(app: Flask, real: PyMongo) -> FlaskClient:
    app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads", authorize=everyone))
    return app.test_client()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every upload be one that took longer than a minute."""
    monkeypatch.setattr("flask_gridfs_pymongo.store.writing.watch._SHORT", -1)


def whole(store: Bucket) -> bool:
    """Whether there are no chunks without a file, and no files without chunks."""
    return set(store.chunks.distinct("files_id")) == set(store.files.distinct("_id"))


@pytest.mark.parametrize("field", ["filename", "sha256", "md5"])
@pytest.mark.parametrize("form", [False, True])
def test_a_unique_index_of_somebody_else_is_a_409_that_names_it(
    client: FlaskClient, store: Bucket, field: str, form: bool
) -> None:
    put(store, "a", b"content")
    store.files.create_index(field, unique=True)
    if form:
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = client.post("/uploads/", data=head + b"content\r\n--b--\r\n", headers=kind)
    else:
        answer = client.put("/uploads/a", data=b"content")
    assert answer.status_code == 409
    assert f"unique index on {field} of fs.files" in answer.get_json()["detail"]
    assert (store.count("a"), whole(store)) == (1, True)


@pytest.mark.parametrize("change", [{"$unset": {"uploadDate": ""}}, {"$set": {"uploadDate": "2026"}}])
def test_a_newest_version_whose_date_somebody_took_is_followed(store: Bucket, change: Any) -> None:
    put(store, "a", b"1")
    second = put(store, "a", b"2")
    store.files.update_one({"_id": second.id}, change)
    third = put(store, "a", b"3")
    assert store.find("a") == third
    assert put(store, "a", b"4") == store.find("a")


def test_a_place_that_cannot_be_had_ends_the_attempts(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    first = put(store, "a", b"1")
    put(store, "a", b"2")
    monkeypatch.setattr("flask_gridfs_pymongo.store.versions.Versions.newest", lambda *arguments: first)
    monkeypatch.setattr("flask_gridfs_pymongo.store.writing.commit._ATTEMPTS", 5)
    with pytest.raises(IndexConflict, match="unique index on previous"):
        put(store, "a", b"3")
    assert (store.count("a"), whole(store)) == (2, True)


class TestALostAnswer:
    @pytest.fixture
    def lose(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """``lose(times, meanwhile)``: so many inserts are carried out, then *meanwhile*, and no answer comes."""
        insert = pymongo.collection.Collection.insert_one

        def lose(times: int, meanwhile: Callable[[Any], object] = lambda document: None) -> None:
            left = [times]

            def insert_and_lose(self: Any, document: Any) -> None:
                insert(self, document)
                if left[0]:
                    left[0] -= 1
                    meanwhile(document)
                    raise AutoReconnect("connection reset by peer")

            monkeypatch.setattr(pymongo.collection.Collection, "insert_one", insert_and_lose)

        return lose

    @pytest.mark.parametrize("times", [1, 2])
    def test_is_no_second_version_and_no_failed_condition(
        self, store: Bucket, lose: Callable[..., None], times: int
    ) -> None:
        def only_new(newest: StoredFile | None) -> None:
            if newest is not None:
                raise FileExistsError

        lose(times)
        saved = store.save("a", [b"content"], check=only_new)
        assert (store.find("a"), store.count("a"), whole(store)) == (saved, 1, True)

    def test_and_somebody_who_deletes_the_file_leave_nothing(
        self, client: FlaskClient, store: Bucket, lose: Callable[..., None]
    ) -> None:
        lose(1, lambda document: store.delete(id=document["_id"]))
        assert client.put("/uploads/a", data=b"content").status_code == 409
        assert client.get("/uploads/a").status_code == 404
        assert (store.files.count_documents({}), store.chunks.count_documents({})) == (0, 0)

    def test_and_somebody_who_is_faster_make_two_versions(self, store: Bucket, lose: Callable[..., None]) -> None:
        def other(document: Any) -> None:
            put(store, "a", b"other")

        lose(1, other)
        saved = store.save("a", [b"content"])
        assert [read(store, version.file) for version in store.versions("a")] == [b"other", b"content"]
        assert store.get(saved.id) == saved


@pytest.mark.usefixtures("slow")
def test_a_file_that_has_to_move_is_never_away(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delete that saw it takes its chunks, too, and would do so though its document were another one by then."""
    follows, delete_one, places, removed = Claims.follows, pymongo.collection.Collection.delete_one, [False], []

    def misplaced(claims: Claims, filename: str, *rest: Any) -> bool:
        if places:
            places.clear()
            put(store, "a", b"other")
            return False
        return follows(claims, filename, *rest)

    def remove(*args: Any) -> Any:
        removed.append(args)
        return delete_one(*args)

    monkeypatch.setattr(Claims, "follows", misplaced)
    monkeypatch.setattr(pymongo.collection.Collection, "delete_one", remove)
    saved = put(store, "a", b"content")
    assert [read(store, version.file) for version in store.versions("a")] == [b"content", b"other"]
    assert (store.find("a"), whole(store), removed) == (saved, True, [])


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("chunks", [True, False], ids=["with its chunks", "its chunks a little later"])
def test_a_file_that_is_deleted_before_its_place_is_sure_does_not_come_back(
    client: FlaskClient, store: Bucket, monkeypatch: pytest.MonkeyPatch, chunks: bool
) -> None:
    """Another one has its place by then, so that it would be stored once more, after that."""
    follows, once = Claims.follows, [True]

    def late(claims: Claims, filename: str, file_id: Any, *rest: Any) -> bool:
        if once:
            once.clear()
            assert store.files.delete_one({"_id": file_id}).deleted_count
            if chunks:
                store.chunks.delete_many({"files_id": file_id})
            put(store, "a", b"other")
        return follows(claims, filename, file_id, *rest)

    monkeypatch.setattr(Claims, "follows", late)
    assert client.put("/uploads/a", data=b"content").status_code == 409
    assert (client.get("/uploads/a").data, store.count("a"), whole(store)) == (b"other", 1, True)


def test_a_commit_of_a_deleted_file_does_not_bring_it_back(store: Bucket) -> None:
    saved = put(store, "a", b"content")
    store.delete(id=saved.id)
    content = commit.Content(saved.id, 7, Digest())
    with pytest.raises(ContentDeleted):
        commit.Commit(store._versions, store._claims, "a", content).run()
    assert store.files.count_documents({}) == 0


def test_a_commit_looks_for_old_claims_now_and_then(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[int] = []
    monkeypatch.setattr(Claims, "remove_old", lambda claims: swept.append(1) or 0)
    for _ in range(3):
        put(store, "a", b"1")
    assert swept == [1]
