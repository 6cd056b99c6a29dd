"""Signed links: who has one reads that version until it expires, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import NotFound

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store.clock import Clock
from flask_gridfs_pymongo.uploads.read import signed_links


@pytest.fixture
def client(app: Flask, mongo: PyMongo) -> FlaskClient:
    """Nobody may do anything."""
    app.secret_key = "new"
    for name, base in (("uploads", "fs"), ("other", "other")):
        blueprint = mongo.uploads_blueprint(name, url_prefix=f"/{name}", base=base, authorize=lambda *asked: False)
        app.register_blueprint(blueprint)
    for content in (b"one", b"two"):
        mongo.save_file("a/b.txt", io.BytesIO(content))
    mongo.save_file("other.txt", io.BytesIO(b"other"))
    return app.test_client()


@pytest.fixture
def context(app: Flask, client: FlaskClient) -> Iterator[None]:
    with app.test_request_context():
        yield


@pytest.mark.usefixtures("context")
class TestLinks:
    @pytest.mark.parametrize(("version", "content"), [(-1, b"two"), (0, b"one"), (1, b"two")])
    def test_one_works_without_permission_and_is_kept_until_it_expires(
        self, client: FlaskClient, mongo: PyMongo, version: int, content: bytes
    ) -> None:
        assert client.get("/uploads/a/b.txt").status_code == 403
        url = mongo.uploads_url("a/b.txt", expires_in=100, version=version)
        answer = client.get(url)
        assert (answer.status_code, answer.data) == (200, content)
        kind, age = answer.headers["Cache-Control"].split(", max-age=")
        assert kind == "private"
        assert 0 < int(age) <= 100
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert client.get(url, headers={"Range": "bytes=1-1"}).data == content[1:2]
        assert client.head(url).status_code == 200
        assert client.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304

    def test_it_opens_in_the_blueprint_that_it_was_made_for(
        self, app: Flask, client: FlaskClient, mongo: PyMongo
    ) -> None:
        """Another one of the same bucket may show types that this one does not."""
        app.register_blueprint(mongo.uploads_blueprint("free", url_prefix="/free", inline_types=["text/html"]))
        url, other = mongo.uploads_url("a/b.txt"), mongo.uploads_url("a/b.txt", name="free")
        assert (client.get(url).status_code, client.get(other).status_code) == (200, 200)
        assert client.get(url.replace("/uploads/", "/free/")).status_code == 404
        assert client.get(other.replace("/free/", "/uploads/")).status_code == 404

    def test_it_stays_with_its_revision(self, client: FlaskClient, mongo: PyMongo) -> None:
        url = mongo.uploads_url("a/b.txt")
        mongo.save_file("a/b.txt", io.BytesIO(b"three"))
        assert client.get(url).data == b"two"

    def test_it_does_not_write(self, client: FlaskClient, mongo: PyMongo) -> None:
        url = mongo.uploads_url("a/b.txt")
        for method, query in (
            ("PUT", ""),
            ("DELETE", ""),
            ("POST", "&delete"),
            ("POST", "&restore"),
            ("GET", "&delete"),
        ):
            assert client.open(url + query, method=method, data=b"x").status_code == 403, method

    def test_it_shows_no_other_page(self, client: FlaskClient, mongo: PyMongo) -> None:
        token = mongo.uploads_url("a/b.txt").partition("=")[2]
        for target in ("/uploads/other.txt", "/other/a/b.txt", "/other/", "/uploads/a/b.tx"):
            answer = client.get(f"{target}?signed={token}")
            assert (answer.status_code, b"two" in answer.data) == (404, False), target
        for query in ("versions", "details"):
            assert client.get(f"/uploads/a/b.txt?signed={token}&{query}").data == b"two"

    def test_every_changed_character_counts(self, client: FlaskClient, mongo: PyMongo) -> None:
        target, _, token = mongo.uploads_url("a/b.txt").partition("=")
        for place in range(len(token) - 1):  # the last one holds bits that nobody reads
            changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            assert client.get(f"{target}={changed}").status_code == 404, place

    @pytest.mark.parametrize("token", ["", ".", "a.b", "W10.x", "\x00", "a" * 5000])
    def test_what_was_never_signed_is_404(self, client: FlaskClient, token: str) -> None:
        answer = client.get("/uploads/a/b.txt", query_string={"signed": token})
        assert (answer.status_code, answer.json["detail"]) == (404, "This link is not valid.")

    def test_another_purpose_of_the_same_key_is_no_link(
        self, client: FlaskClient, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(signed_links, "_SALT", "session")
        url = mongo.uploads_url("a/b.txt")
        monkeypatch.undo()
        assert client.get(url).status_code == 404

    def test_it_expires(self, client: FlaskClient, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
        url, now = mongo.uploads_url("a/b.txt", expires_in=60), Clock.now
        for seconds, status in ((58, 200), (61, 410)):
            monkeypatch.setattr(Clock, "now", lambda clock, seconds=seconds: now(clock) + timedelta(seconds=seconds))
            assert client.get(url).status_code == status
        assert client.get(url).json["detail"] == "This link has expired."

    @pytest.mark.parametrize(("as_attachment", "kind"), [(None, "inline"), (False, "inline"), (True, "attachment")])
    def test_the_disposition_is_signed_too(
        self, client: FlaskClient, mongo: PyMongo, as_attachment: bool | None, kind: str
    ) -> None:
        url = mongo.uploads_url("a/b.txt", as_attachment=as_attachment)
        for query in ("", "&download", "&inline=1"):
            assert client.get(url + query).headers["Content-Disposition"].startswith(f"{kind};")

    def test_a_key_that_was_replaced_is_good_until_it_is_dropped(
        self, app: Flask, client: FlaskClient, mongo: PyMongo
    ) -> None:
        url = mongo.uploads_url("a/b.txt")
        app.config.update(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=["new"])
        assert client.get(url).status_code == 200
        newer = mongo.uploads_url("a/b.txt")
        app.config.update(SECRET_KEY_FALLBACKS=[])
        assert client.get(url).status_code == 404
        assert client.get(newer).status_code == 200

    @pytest.mark.parametrize("filename", ["/lead", "a/../b", "line\nbreak", ".."])
    def test_a_name_that_no_url_carries(self, client: FlaskClient, mongo: PyMongo, filename: str) -> None:
        mongo.save_file(filename, io.BytesIO(b"odd"))
        assert client.get(mongo.uploads_url(filename)).data == b"odd"

    def test_a_deleted_file_is_gone(self, client: FlaskClient, mongo: PyMongo) -> None:
        url = mongo.uploads_url("a/b.txt")
        mongo.db["fs.files"].delete_many({})
        assert client.get(url).status_code == 404

    @pytest.mark.parametrize(
        ("error", "match", "arguments"),
        [
            (NotFound, "no such file", {"filename": "none"}),
            (NotFound, "no such file", {"filename": "a/b.txt", "version": 7}),
            (ValueError, "expires_in", {"filename": "a/b.txt", "expires_in": 0}),
            (TypeError, "expires_in", {"filename": "a/b.txt", "expires_in": "1h"}),
            (TypeError, "filename", {"filename": {"$ne": ""}}),
            (ValueError, "'photos'", {"filename": "a/b.txt", "name": "photos"}),
        ],
    )
    def test_what_cannot_be_linked(
        self, mongo: PyMongo, error: type[Exception], match: str, arguments: dict[str, Any]
    ) -> None:
        with pytest.raises(error, match=match):
            mongo.uploads_url(**arguments)

    def test_without_a_secret_it_says_what_to_set(self, app: Flask, mongo: PyMongo) -> None:
        app.secret_key = None
        with pytest.raises(RuntimeError, match="SECRET_KEY"):
            mongo.uploads_url("a/b.txt")


class TestShare:
    @pytest.fixture
    def uploads(self, app: Flask, mongo: PyMongo) -> FlaskClient:
        app.secret_key = "key"
        allowed = lambda action, filename: (action, filename) == ("read", "a/b.txt")  # noqa: E731
        options: dict[str, Any] = {"share": 600, "read_only": True, "authorize": allowed}
        app.register_blueprint(mongo.uploads_blueprint("shared", url_prefix="/shared", **options))
        app.register_blueprint(mongo.uploads_blueprint("kept", url_prefix="/kept"))
        for name, content in {"a/b.txt": b"one", "secret": b"two"}.items():
            mongo.save_file(name, io.BytesIO(content))
        return app.test_client()

    @pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
    def test_who_may_read_makes_a_link(self, uploads: FlaskClient, mongo: PyMongo, accept: str) -> None:
        answer = uploads.post("/shared/a/b.txt?share", headers={"Accept": accept})
        assert (answer.status_code, answer.content_type) == (200, "application/json")
        assert answer.headers["Cache-Control"] == "no-store"
        left = datetime.fromisoformat(answer.json["expires"]) - datetime.now(UTC)
        assert timedelta(seconds=590) < left <= timedelta(seconds=600)
        mongo.save_file("a/b.txt", io.BytesIO(b"newer"))
        assert uploads.get(answer.json["url"]).data == b"one"

    def test_a_link_to_an_older_version(self, uploads: FlaskClient, mongo: PyMongo) -> None:
        mongo.save_file("a/b.txt", io.BytesIO(b"newer"))
        url = uploads.post("/shared/a/b.txt?version=0&share").json["url"]
        assert uploads.get(url).data == b"one"

    @pytest.mark.parametrize(
        ("url", "status"),
        [
            ("/shared/secret?share", 403),
            ("/shared/none?share", 403),
            ("/shared/a/b.txt?share&version=5", 404),
            ("/shared/?share", 400),
            ("/kept/secret?share", 403),
        ],
    )
    def test_who_may_not_makes_none(self, uploads: FlaskClient, url: str, status: int) -> None:
        assert uploads.post(url).status_code == status

    def test_a_page_of_another_origin_makes_none(self, uploads: FlaskClient) -> None:
        answer = uploads.post("/shared/a/b.txt?share", headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403

    @pytest.mark.parametrize("share", [0, -1, 1.5, True, "600"])
    def test_its_time_is_seconds(self, mongo: PyMongo, share: Any) -> None:
        with pytest.raises((TypeError, ValueError), match="share"):
            mongo.uploads_blueprint(share=share)
