"""service/rights.py: what the application's authorize function decides."""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, abort
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.http.metadata import PATCH_TYPE

from ..conftest import HTML, JSON, Client, everyone, form

TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "3", "Content-Type": "application/offset+octet-stream"}


class TestAuthorize:
    def test_it_is_asked_once_for_each_action_and_name_and_again_before_a_commit(
        self, client: Client, mongo: PyMongo
    ) -> None:
        asked: list[tuple[str, str | None]] = []
        uploads = client(authorize=lambda action, filename: asked.append((action, filename)) or True)
        for send, expected in (
            (lambda: uploads.put("/uploads/a", data=b"x"), [("write", "a")] * 2),
            (
                lambda: uploads.post("/uploads/", data=form((b"x", "../b"), (b"y", "c"))),
                [("write", "b"), ("write", "c")] * 2,
            ),
            (lambda: uploads.get("/uploads/a"), [("read", "a")]),
            (
                lambda: uploads.get("/uploads/"),
                # "" is what has no name, and the folder that a form would add to; the first row tells of its button.
                [("list", None), *(("read", name) for name in ("a", "b", "c", "")), ("delete", "a"), ("write", "")],
            ),
            (lambda: uploads.get("/uploads/a?versions"), [("read", "a"), ("write", "a"), ("delete", "a")]),
            (lambda: uploads.post("/uploads/a?restore"), [("read", "a"), ("write", "a"), ("write", "a")]),
            (lambda: uploads.delete("/uploads/a"), [("delete", "a")]),
        ):
            asked.clear()
            assert send().status_code < 300
            assert asked == expected

    def test_without_it_nothing_that_is_there_is_changed(self, client: Client, mongo: PyMongo) -> None:
        uploads = client(metadata=["title"], expire_after=1000)
        soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=100)
        file_id = mongo.save_file("a", io.BytesIO(b"x"), metadata={"title": "theirs"}, expires_at=soon)
        before = list(mongo.db.fs.files.find())
        patch = {"json": {"title": None}, "content_type": PATCH_TYPE}
        for method, url, options in (
            *(("PATCH", url, patch) for url in ("a", "a?version=0", f"a?id={file_id}", f"?id={file_id}")),
            *(("POST", url, {"data": {"title": ""}}) for url in ("a?metadata", f"?metadata&id={file_id}")),
            *(("POST", url, {}) for url in ("a?move=b", "a?delete")),
            *(("POST", url, {"data": {"id": str(file_id)}}) for url in ("?move=b", "?delete")),
            ("DELETE", "a", {}),
        ):
            answer = uploads.open(f"/uploads/{url}", method=method, **options)
            assert (answer.status_code, method, url) == (403, method, url)
            assert "no authorize function" in answer.json["detail"]
            assert list(mongo.db.fs.files.find()) == before
        assert [uploads.post(f"/uploads/a?{flag}").status_code for flag in ("restore", "copy=b")] == [201] * 2
        ends = [file["metadata"]["expiresAt"].replace(tzinfo=UTC) for file in mongo.db.fs.files.find()]
        assert ends == [soon] * 3
        assert uploads.put("/uploads/a", data=b"y", headers={"X-Metadata-Title": "mine"}).status_code == 204

    @pytest.mark.parametrize("flag", ["move", "copy"])
    def test_it_is_asked_before_a_form_with_a_new_name_is_read(self, client: Client, mongo: PyMongo, flag: str) -> None:
        """The form is too large, which is found out if it is read."""
        allowed = {"read", "write", "delete"}
        uploads = client(authorize=lambda action, filename: action in allowed)
        mongo.save_file("a", io.BytesIO(b"x"))
        form = {"to": "b" * 2_000_000}
        assert uploads.post(f"/uploads/a?{flag}", data=form).status_code == 413
        assert uploads.post(f"/uploads/none?{flag}", data=form).status_code == 404
        for action, url in (("read", f"a?{flag}"), ("write", f"a?{flag}=b"), ("delete", "a?move")):
            allowed.remove(action)
            assert uploads.post(f"/uploads/{url}", data=form).status_code == 403
            allowed.add(action)

    @pytest.mark.parametrize(
        ("refused", "method", "url"),
        [
            ("list", "GET", "/uploads/"),
            ("read", "GET", "/uploads/a"),
            ("read", "GET", "/uploads/none"),
            ("read", "GET", "/uploads/a?versions"),
            ("write", "PUT", "/uploads/b"),
            ("write", "POST", "/uploads/"),
            ("write", "POST", "/uploads/b"),
            ("write", "POST", "/uploads/a?restore"),
            ("read", "POST", "/uploads/a?restore"),
            ("delete", "DELETE", "/uploads/a"),
            ("delete", "POST", "/uploads/a?delete"),
        ],
    )
    @pytest.mark.parametrize("how", ["falsy", "abort"])
    def test_what_it_refuses_is_403_or_what_it_aborts_with(
        self, client: Client, mongo: PyMongo, refused: str, method: str, url: str, how: str
    ) -> None:
        def authorize(action: str, filename: str | None) -> bool:
            if action == refused and how == "abort":
                abort(401)
            return action != refused

        mongo.save_file("a", io.BytesIO(b"x"))
        data = form((b"new", "b")) if method == "POST" else None
        answer = client(authorize=authorize).open(url, method=method, data=data)
        assert answer.status_code == (401 if how == "abort" else 403)
        assert mongo.db.fs.files.count_documents({}) == 1
        assert mongo.db.fs.chunks.count_documents({}) == 1

    @pytest.mark.parametrize(
        ("method", "url", "sent"),
        [
            ("PUT", "/uploads/a", lambda: {"data": b"new"}),
            ("POST", "/uploads/", lambda: {"data": form((b"1", "b"), (b"2", "c"))}),
            ("POST", "/uploads/a", lambda: {"data": form((b"1", "x"))}),
            ("POST", "/uploads/a?restore", dict),
            ("POST", "/uploads/a?copy=d", dict),
            (
                "POST",
                "/uploads/d",
                lambda: {"data": b"new", "headers": TUS},
            ),
            ("PATCH", "/uploads/a", lambda: {"data": b'{"x": "1"}', "content_type": "application/merge-patch+json"}),
        ],
    )
    @pytest.mark.parametrize("kept", [0, 1])
    def test_a_right_that_is_taken_back_while_the_body_comes_ends_the_upload(
        self, client: Client, mongo: PyMongo, method: str, url: str, sent: Callable[[], dict[str, Any]], kept: int
    ) -> None:
        """Of several files none is stored where one may no longer be."""
        asked: Counter[str | None] = Counter()

        def authorize(action: str, filename: str | None) -> bool:
            asked[filename] += action == "write"
            return asked[filename] < 2 or (filename == "b" and bool(kept))

        mongo.save_file("a", io.BytesIO(b"x"))
        before = list(mongo.db.fs.files.find())
        assert client(authorize=authorize, metadata=["x"]).open(url, method=method, **sent()).status_code == 403
        assert (list(mongo.db.fs.files.find()), mongo.db.fs.chunks.count_documents({})) == (before, 1)

    @pytest.mark.parametrize("way", ["a?move=d", "?move=d/", "drive"])
    @pytest.mark.parametrize("right", ["delete", "write"])
    def test_a_right_that_is_taken_back_during_an_inspection_ends_a_rename(
        self, app: Flask, client: Client, mongo: PyMongo, way: str, right: str
    ) -> None:
        taken_back: list[str] = []
        web = client(
            authorize=lambda action, filename: action not in taken_back,
            inspect=lambda file, read: taken_back.append(right),
        )
        drive = mongo.webdav_app(rules=app.blueprints["uploads"])
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": drive})  # type: ignore[method-assign]
        file_id = mongo.save_file("a", io.BytesIO(b"x"))
        if way == "drive":
            answer = web.open("/dav/a", method="MOVE", headers={"Destination": "http://localhost/dav/d"})
        else:
            answer = web.post(f"/uploads/{way}", data={"id": str(file_id)})
        assert answer.status_code == 403
        assert mongo.db.fs.files.distinct("filename") == ["a"]

    @pytest.mark.parametrize("accept", [JSON, HTML])
    def test_the_page_before_deleting_shows_what_deleting_needs(
        self, client: Client, mongo: PyMongo, accept: dict[str, str]
    ) -> None:
        stored = mongo.save_file("a", io.BytesIO(b"x"), content_type="image/x-secret")
        sha256 = mongo.db.fs.files.find_one_or_404(stored)["sha256"]
        uploads = client(authorize=lambda action, filename: action == "delete")
        for query in ("", "&version=0", f"&id={stored}"):
            answer = uploads.get(f"/uploads/a?delete{query}", headers=accept)
            assert answer.status_code == 200
            assert not any(told in answer.text for told in (sha256, "secret", "etag", "metadata"))
        assert uploads.get("/uploads/a?delete", headers=JSON).json.keys() == {
            *["filename", "length", "upload_date", "url", "permanent_url", "versions", "single"]
        }

    @pytest.mark.parametrize("how", ["falsy", "abort"])
    def test_an_id_alone_is_404_where_its_file_may_not_be_read(self, client: Client, mongo: PyMongo, how: str) -> None:
        stored = mongo.save_file("a", io.BytesIO(b"x"))
        uploads = client(authorize=lambda action, filename: how == "abort" and abort(401))
        assert uploads.get(f"/uploads/?id={stored}").status_code == 404

    def test_rows_that_may_not_be_read_are_not_listed(self, client: Client, mongo: PyMongo) -> None:
        for name in "abc":
            mongo.save_file(name, io.BytesIO(b""))
        uploads = client(authorize=lambda action, filename: filename != "b")
        assert [file["filename"] for file in uploads.get("/uploads/", headers=JSON).json["files"]] == ["a", "c"]

    @pytest.mark.parametrize(("options", "warnings"), [({}, 1), ({"authorize": everyone}, 0), ({"read_only": True}, 0)])
    def test_without_it_one_warning_says_so(
        self, client: Client, caplog: pytest.LogCaptureFixture, options: dict[str, Any], warnings: int
    ) -> None:
        with caplog.at_level(logging.WARNING):
            client(**options)
        assert len([record for record in caplog.records if "may add files" in record.getMessage()]) == warnings
