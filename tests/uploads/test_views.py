"""uploads/views.py: methods, and pages of other origins."""

from __future__ import annotations

import io
from typing import Any

import pytest

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.http.metadata import PATCH_TYPE

from ..conftest import Client, everyone, form, nothing_stored, read


class TestMethods:
    @pytest.mark.parametrize(
        ("url", "options", "allow"),
        [
            ("/uploads/", {}, "GET, HEAD, POST, OPTIONS"),
            ("/uploads/a", {}, "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
            ("/uploads/", {"read_only": True}, "GET, HEAD, OPTIONS"),
            ("/uploads/a", {"read_only": True}, "GET, HEAD, OPTIONS"),
            ("/uploads/a?zip", {}, "GET, HEAD, POST, OPTIONS"),
            ("/uploads/?id=x", {}, "GET, HEAD, DELETE, OPTIONS"),  # a form would have its names
            ("/uploads/?id=x&delete", {}, "GET, HEAD, POST, DELETE, OPTIONS"),
            ("/uploads/a?share", {}, "GET, HEAD, POST, OPTIONS"),
        ],
    )
    def test_options_and_405_name_what_is_allowed(
        self, client: Client, url: str, options: dict[str, Any], allow: str
    ) -> None:
        uploads = client(**options)
        answer = uploads.options(url)
        assert (answer.status_code, answer.headers["Allow"]) == (204, allow)
        for method in {"POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "FOO"} - set(allow.split(", ")):
            refused = uploads.open(url, method=method)
            assert (refused.status_code, refused.headers["Allow"]) == (405, allow), method

    @pytest.mark.parametrize(
        ("method", "query", "options"),
        [
            ("PUT", "", {"data": b"new"}),
            ("POST", "", {"data": form((b"new", "x"))}),
            ("DELETE", "", {}),
            ("PATCH", "", {"json": {"title": "new"}, "content_type": "application/merge-patch+json"}),
            *(("POST", query, {}) for query in ("?move=b", "?copy=b", "?restore&version=0", "?metadata", "?delete")),
        ],
    )
    def test_a_change_of_one_file_obeys_its_preconditions(
        self, client: Client, mongo: PyMongo, method: str, query: str, options: dict[str, Any]
    ) -> None:
        uploads = client(authorize=everyone, metadata=["title"])
        mongo.save_file("a", io.BytesIO(b"old"))
        before = list(mongo.db.fs.files.find())
        answer = uploads.open(f"/uploads/a{query}", method=method, headers={"If-Match": '"wrong"'}, **options)
        assert answer.status_code == 412
        assert list(mongo.db.fs.files.find()) == before

    @pytest.mark.parametrize(
        ("method", "query", "options", "last"),
        [
            ("PUT", "", {"data": b"new"}, ("write", "a", 2)),
            ("POST", "", {"data": form((b"new", "x"))}, ("write", "a", 2)),
            ("PATCH", "", {"json": {"title": "new"}, "content_type": PATCH_TYPE}, ("write", "a", 2)),
            ("POST", "?metadata", {"data": {"title": "new"}}, ("write", "a", 2)),
            ("POST", "?restore", {}, ("write", "a", 2)),
            ("POST", "?restore&version=0", {}, ("write", "a", 2)),
            ("POST", "?copy=b", {}, ("write", "b", 2)),
            ("POST", "?copy=b&version=0", {}, ("write", "b", 2)),
            ("POST", "?move=b", {}, ("write", "b", 1)),
            ("POST", "?move", {"data": {"to": "b"}}, ("write", "b", 1)),
        ],
    )
    def test_its_preconditions_are_asked_again_at_the_commit(
        self, client: Client, mongo: PyMongo, method: str, query: str, options: dict[str, Any], last: tuple[Any, ...]
    ) -> None:
        """Another client comes first, when the rights are asked for the last time."""
        asked: list[Any] = []
        bucket = mongo.bucket()

        def authorize(action: str, filename: str | None) -> bool:
            asked.append((action, filename))
            if (action, filename, asked.count((action, filename))) == last:
                bucket.delete("a", 0) if "version" in query else bucket.save("a", io.BytesIO(b"theirs"))
            return True

        for data in (b"one", b"two"):
            bucket.save("a", io.BytesIO(data))
        seen = bucket.find("a", 0 if "version" in query else -1)
        assert seen is not None
        uploads = client(authorize=authorize, metadata=["title"])
        answer = uploads.open(f"/uploads/a{query}", method=method, headers={"If-Match": f'"{seen.etag}"'}, **options)
        assert (answer.status_code, last[:2] in asked) == (412, True)
        left = [(number, read(bucket, file), "title" in file.metadata) for number, file in bucket.versions("a")]
        theirs = [(2, b"theirs", False), (1, b"two", False), (0, b"one", False)]
        assert left == ([(0, b"two", False)] if "version" in query else theirs)
        assert bucket.find("b") is None

    @pytest.mark.parametrize("path", ["?move=b", "?delete", "?zip", "", "photos/", "?folder=photos/"])
    def test_a_request_that_names_no_file_has_none(self, client: Client, mongo: PyMongo, path: str) -> None:
        uploads = client(authorize=everyone)
        file_id = mongo.save_file("a", io.BytesIO(b"old"))
        for field in ("If-Match", "If-None-Match", "If-Unmodified-Since"):
            data = {"id": str(file_id)} if "?" in path and "folder" not in path else form((b"new", "a"))
            answer = uploads.post(f"/uploads/{path}", data=data, headers={field: "*"})
            assert (answer.status_code, "about one file" in answer.json["detail"]) == (400, True)
        assert mongo.db.fs.files.count_documents({"filename": "a"}) == mongo.db.fs.files.count_documents({}) == 1

    @pytest.mark.parametrize("folder", ["", "photos/"])
    @pytest.mark.parametrize(
        ("flag", "detail"),
        [("restore", "Give ?id."), ("metadata", "Give ?id."), ("copy=b.txt", "Select at least one file")],
    )
    def test_what_is_done_with_a_file_is_no_upload_if_none_is_named(
        self, client: Client, mongo: PyMongo, flag: str, detail: str, folder: str
    ) -> None:
        answer = client(metadata=["title"]).post(f"/uploads/{folder}?{flag}", data=form((b"x", "a.txt")))
        assert (answer.status_code, detail in answer.json["detail"]) == (400, True)
        assert nothing_stored(mongo)

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({}, 201),
            ({"Sec-Fetch-Site": "same-origin"}, 201),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Origin": "https://good.example"}, 201),
            ({"Origin": "http://localhost"}, 201),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
        ],
    )
    def test_other_origins_change_nothing(
        self, client: Client, mongo: PyMongo, fields: dict[str, str], status: int
    ) -> None:
        uploads = client(trusted_origins=["https://good.example"])
        assert uploads.put("/uploads/a", data=b"x", headers=fields).status_code == status
        assert nothing_stored(mongo) == (status == 403)

    @pytest.mark.parametrize(
        ("method", "url", "status"),
        [
            ("GET", "/uploads/", 200),
            ("GET", "/uploads/a", 200),
            ("GET", "/uploads/?asset=uploads.css", 200),
            ("GET", "/uploads/none", 404),
            ("GET", "/uploads/?id=x", 400),
            ("PUT", "/uploads/a", 204),
            ("POST", "/uploads/", 400),
            ("PATCH", "/uploads/a", 405),
            ("OPTIONS", "/uploads/a", 204),
            ("DELETE", "/uploads/a", 403),
        ],
    )
    def test_every_answer_says_nosniff_and_leaves_the_date_to_the_server(
        self, client: Client, mongo: PyMongo, method: str, url: str, status: int
    ) -> None:
        mongo.save_file("a", io.BytesIO(b"x"))
        answer = client().open(url, method=method, buffered=True)
        assert answer.status_code == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Date" not in answer.headers
