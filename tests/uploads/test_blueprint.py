"""uploads/blueprint.py: errors, templates, and several blueprints."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from flask import Flask, abort, request, url_for
from flask.testing import FlaskClient
from pymongo.errors import ServerSelectionTimeoutError

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ..conftest import HTML, JSON, Client, everyone, form


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
    (folder / "index.html").write_text("mine: {{ files|length }}")
    app.jinja_loader.searchpath.append(str(tmp_path / "templates"))  # type: ignore[union-attr]
    assert client().get("/uploads/").text == "mine: 0"


class TestPrefixWithVariables:
    @pytest.fixture
    def web(self, app: Flask, mongo: PyMongo) -> FlaskClient:
        def authorize(action: str, filename: str | None) -> bool:
            return request.view_args is not None and request.view_args["user"] == "ann"

        app.secret_key = "key"
        uploads = mongo.uploads_blueprint(url_prefix="/<user>/files", authorize=authorize, share=60)
        app.register_blueprint(uploads)
        return app.test_client()

    def test_every_url_has_them(self, web: FlaskClient) -> None:
        put = web.put("/ann/files/a/b.txt", data=b"x")
        assert (put.status_code, put.headers["Location"]) == (201, "/ann/files/a/b.txt")
        assert web.get(put.headers["Content-Location"]).data == b"x"
        for target in (
            "/ann/files/",
            "/ann/files/?folder=a/",
            "/ann/files/a/b.txt?details",
            "/ann/files/a/b.txt?versions",
        ):
            for accept in (HTML, JSON):
                answer = web.get(target, headers=accept)
                assert answer.status_code == 200
                linked = re.findall(r'(?:href|src|action|"url":)[= ]"(/[^"]*)', answer.text)
                assert linked
                assert all(link.startswith("/ann/files/") and "user=" not in link for link in linked)
        assert web.post("/ann/files/a/b.txt?delete", headers=HTML).headers["Location"].startswith("/ann/files/")
        assert web.get("/bob/files/").status_code == 403

    def test_links_have_them(self, app: Flask, mongo: PyMongo, web: FlaskClient) -> None:
        web.put("/ann/files/a", data=b"x")
        assert web.get(web.post("/ann/files/a?share").json["url"]).data == b"x"
        with app.test_request_context():
            url = mongo.uploads_url("a", user="ann")
        assert url.startswith("/ann/files/a?signed=")
        assert web.get(url).data == b"x"


class TestWellKnown:
    @pytest.mark.parametrize("name", [".well-known", ".well-known/acme-challenge/token"])
    @pytest.mark.parametrize("authorize", [None, everyone])
    def test_at_the_root_of_a_host_nobody_writes_or_reads_it(
        self, app: Flask, mongo: PyMongo, name: str, authorize: Any
    ) -> None:
        """Who could would get a certificate for the host (RFC 8555 section 8.3)."""
        stored = mongo.save_file(name, io.BytesIO(b"x"))
        app.register_blueprint(mongo.uploads_blueprint(authorize=authorize))
        web = app.test_client()
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            data = form((b"x", "a")) if method == "POST" else None
            assert web.open(f"/{name}", method=method, data=data).status_code == 403, method
        assert web.post("/", data=form((b"x", f"./{name}"))).status_code == 403
        assert web.post("/?folder=.well-known/", data=form((b"x", "a"))).status_code == 403
        assert web.get(f"/?id={stored}").status_code == 404
        assert web.get("/", headers=JSON).json["files"] == []
        assert web.put(f"/a/{name}", data=b"x").status_code == 201
        assert mongo.db.fs.files.count_documents({}) == 2

    @pytest.mark.parametrize(
        ("prefix", "mounted", "status"), [("/files", "", 201), (None, "/app", 201), ("/", "", 403)]
    )
    def test_elsewhere_it_is_a_name_like_others(
        self, app: Flask, mongo: PyMongo, prefix: str | None, mounted: str, status: int
    ) -> None:
        app.register_blueprint(mongo.uploads_blueprint(url_prefix=prefix))
        target = f"{(prefix or '').rstrip('/')}/.well-known/a"
        answer = app.test_client().put(target, data=b"x", environ_overrides={"SCRIPT_NAME": mounted})
        assert answer.status_code == status


def test_what_is_decided_for_each_client_is_not_for_shared_caches(mongo: PyMongo) -> None:
    with pytest.raises(ValueError, match=r"public=True.*authorize.*read_only"):
        mongo.uploads_blueprint(public=True, authorize=everyone)
    mongo.uploads_blueprint(public=True, read_only=True)
