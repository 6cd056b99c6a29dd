"""uploads/rights.py: what the application's authorize function decides."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from flask import abort

from flask_gridfs_pymongo import PyMongo

from .conftest import JSON, Client, everyone, form


class TestAuthorize:
    def test_it_is_asked_once_for_each_action_and_name(self, client: Client, mongo: PyMongo) -> None:
        asked: list[tuple[str, str | None]] = []
        uploads = client(authorize=lambda action, filename: asked.append((action, filename)) or True)
        for send, expected in (
            (lambda: uploads.put("/uploads/a", data=b"x"), [("write", "a")]),
            (
                lambda: uploads.post("/uploads/", data=form((b"x", "../b"), (b"y", "c"))),
                [("write", "b"), ("write", "c")],
            ),
            (lambda: uploads.get("/uploads/a"), [("read", "a")]),
            (lambda: uploads.get("/uploads/"), [("list", None), ("read", "a"), ("read", "b"), ("read", "c")]),
            (lambda: uploads.get("/uploads/a?versions"), [("read", "a"), ("write", "a"), ("delete", "a")]),
            (lambda: uploads.post("/uploads/a?version=0&restore"), [("write", "a")]),
            (lambda: uploads.delete("/uploads/a"), [("delete", "a")]),
        ):
            asked.clear()
            assert send().status_code < 300
            assert asked == expected

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
