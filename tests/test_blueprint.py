"""uploads/blueprint.py: errors, templates, and several blueprints."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, abort, url_for
from pymongo.errors import ServerSelectionTimeoutError

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from .conftest import HTML, Client


class TestErrors:
    def test_problem_details_for_programs_and_a_page_for_people(self, client: Client) -> None:
        uploads = client()
        problem = uploads.get("/uploads/<b>")
        assert problem.content_type == "application/problem+json"
        assert (problem.json["status"], problem.json["title"]) == (404, "Not Found")
        page = uploads.get("/uploads/?id=<b>", headers=HTML)
        assert (page.status_code, page.content_type) == (400, "text/html; charset=utf-8")

    def test_a_database_that_fails_is_503_without_its_words(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any, **options: Any) -> None:
            raise ServerSelectionTimeoutError("secret.host:27017: connection refused")

        monkeypatch.setattr(Bucket, "find", fail)
        answer = client().get("/uploads/a")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "secret" not in answer.text

    def test_the_applications_handlers_and_ours_keep_apart(self, app: Flask, client: Client) -> None:
        uploads = client(authorize=lambda action, filename: filename != "secret" or abort(401))
        for code in (401, 404, 405):
            app.register_error_handler(code, lambda error: ("mine", error.code))
        assert uploads.get("/elsewhere").text == "mine"
        assert uploads.get("/uploads/secret").text == "mine"  # a login page, for one
        assert uploads.get("/uploads/none").json["status"] == 404
        assert uploads.patch("/uploads/none").json["status"] == 405


def test_two_blueprints_live_side_by_side(app: Flask, mongo: PyMongo) -> None:
    for name in ("photos", "papers"):
        app.register_blueprint(
            mongo.uploads_blueprint(name, url_prefix=f"/{name}", base=name, db="x" if name == "papers" else None)
        )
    client = app.test_client()
    client.put("/photos/a", data=b"photo")
    client.put("/papers/a", data=b"paper")
    assert (client.get("/photos/a").data, client.get("/papers/a").data) == (b"photo", b"paper")
    with app.test_request_context():
        assert url_for("photos.file", filename="a b/c") == "/photos/a%20b/c"
        assert url_for("papers.index") == "/papers/"
    assert mongo.cx["x"]["papers.files"].count_documents({}) == 1
    mongo.cx.drop_database("x")


def test_the_application_may_override_a_template(app: Flask, client: Client, tmp_path: Any) -> None:
    folder = tmp_path / "templates" / "flask_gridfs_pymongo"
    folder.mkdir(parents=True)
    (folder / "listing.html").write_text("mine: {{ files|length }}")
    app.jinja_loader.searchpath.append(str(tmp_path / "templates"))  # type: ignore[union-attr]
    assert client().get("/uploads/").text == "mine: 0"
