"""uploads/reading.py and selection.py: files, listings and pages, on mongod and on mongomock."""

from __future__ import annotations

import io
from typing import Any

import pytest
from bson.objectid import ObjectId
from flask.testing import FlaskClient

from flask_gridfs_pymongo import PyMongo

from .conftest import HTML, JSON, Client, everyone, nothing_stored


class TestReading:
    @pytest.fixture
    def uploads(self, client: Client) -> FlaskClient:
        uploads = client()
        for content in (b"zero", b"one", b"two"):
            uploads.put("/uploads/a.txt", data=content)
        uploads.put("/uploads/b.txt", data=b"b")
        return uploads

    @pytest.mark.parametrize(
        ("url", "status", "content"),
        [
            ("/uploads/a.txt", 200, b"two"),
            ("/uploads/a.txt?version=0", 200, b"zero"),
            ("/uploads/a.txt?version=-2", 200, b"one"),
            ("/uploads/a.txt?version=3", 404, None),
            ("/uploads/a.txt?version=-4", 404, None),
            ("/uploads/a.txt?version=9223372036854775807", 404, None),
            ("/uploads/a.txt?version=9223372036854775808", 400, None),
            ("/uploads/a.txt?version=", 400, None),
            ("/uploads/a.txt?version=1x", 400, None),
            ("/uploads/a.txt?version=%D9%A1", 400, None),
            ("/uploads/a.txt?id=4cf139def4b6a1134c4ea6c4", 404, None),
            ("/uploads/a.txt?id=4cf1", 400, None),
            ("/uploads/?id=x", 400, None),
            ("/uploads/?id=4cf139def4b6a1134c4ea6c4", 404, None),
            ("/uploads/c.txt", 404, None),
            ("/uploads/a.txt/", 404, None),
            ("/uploads/a.txt?before=x&versions", 400, None),
        ],
    )
    def test_a_url_finds_its_revision(self, uploads: FlaskClient, url: str, status: int, content: bytes | None) -> None:
        answer = uploads.get(url)
        assert answer.status_code == status
        if content is not None:
            assert answer.data == content

    def test_an_id_belongs_to_its_name(self, uploads: FlaskClient) -> None:
        oldest = uploads.get("/uploads/a.txt?versions", headers=JSON).json["versions"][-1]["id"]
        assert uploads.get(f"/uploads/a.txt?id={oldest}").data == b"zero"
        assert uploads.get(f"/uploads/?id={oldest}").data == b"zero"
        assert uploads.get(f"/uploads/b.txt?id={oldest}").status_code == 404
        assert uploads.get(f"/uploads/a.txt?id={oldest}&version=0").status_code == 400

    def test_download_forces_an_attachment_and_nothing_forces_inline(self, uploads: FlaskClient) -> None:
        disposition = lambda url: uploads.get(url).headers["Content-Disposition"]  # noqa: E731
        assert disposition("/uploads/a.txt") == 'inline; filename="a.txt"'
        assert disposition("/uploads/a.txt?download") == 'attachment; filename="a.txt"'
        uploads.put("/uploads/x.svg", data=b"<svg/>")
        for query in ("", "?inline=1", "?download=0", "?as_attachment=0"):
            assert disposition(f"/uploads/x.svg{query}").startswith("attachment")

    @pytest.mark.parametrize(
        ("options", "by_name", "by_id"),
        [
            ({}, "private, no-cache", "private, max-age=31536000, immutable"),
            ({"public": True}, "public, no-cache", "public, max-age=31536000, immutable"),
            ({"cache_for": 60}, "private, max-age=60", "private, max-age=31536000, immutable"),
            ({"cache_for": 0, "public": True}, "public, max-age=0", "public, max-age=31536000, immutable"),
        ],
    )
    def test_caching(self, client: Client, options: dict[str, Any], by_name: str, by_id: str) -> None:
        uploads = client(**options)
        permanent = uploads.put("/uploads/a", data=b"x").headers["Content-Location"]
        for url, expected in (("/uploads/a", by_name), ("/uploads/a?version=0", by_name), (permanent, by_id)):
            assert uploads.get(url).headers["Cache-Control"] == expected

    def test_the_listing_as_json(self, uploads: FlaskClient) -> None:
        answer = uploads.get("/uploads/", headers=JSON)
        assert answer.json["next"] is None
        first, second = answer.json["files"]
        assert {key: first[key] for key in ("filename", "length", "content_type", "versions", "url")} == {
            "filename": "a.txt",
            "length": 3,
            "content_type": "text/plain",
            "versions": 3,
            "url": "/uploads/a.txt",
        }
        assert first["etag"] == uploads.get("/uploads/a.txt").headers["ETag"]
        assert uploads.get(second["permanent_url"]).data == b"b"

    def test_the_listing_is_paged_by_key(self, uploads: FlaskClient, mongo: PyMongo) -> None:
        for n in range(205):
            mongo.save_file(f"n{n:03}?&#", io.BytesIO(b""))
        url, names = "/uploads/", []
        while url:
            page = uploads.get(url, headers=JSON).json
            assert len(page["files"]) <= 100
            names += [file["filename"] for file in page["files"]]
            url = page["next"]
        assert names == ["a.txt", "b.txt", *(f"n{n:03}?&#" for n in range(205))]

    def test_versions_are_paged_newest_first(self, uploads: FlaskClient, mongo: PyMongo) -> None:
        for n in range(3, 130):
            mongo.save_file("a.txt", io.BytesIO(str(n).encode()))
        first = uploads.get("/uploads/a.txt?versions", headers=JSON).json
        second = uploads.get(first["next"], headers=JSON).json
        numbers = [version["version"] for page in (first, second) for version in page["versions"]]
        assert numbers == list(range(129, -1, -1))
        assert second["next"] is None

    def test_details(self, uploads: FlaskClient) -> None:
        assert uploads.get("/uploads/a.txt?details", headers=JSON).json["length"] == 3

    @pytest.mark.parametrize("url", ["/uploads/", "/uploads/a.txt?versions", "/uploads/a.txt?details", "/uploads/none"])
    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("text/html", "html"),
            ("application/json", "json"),
            ("text/html;q=0.5, application/json", "json"),
            ("application/json;q=0.5, text/html", "html"),
            ("application/json, text/html;q=0", "json"),
        ],
    )
    def test_what_is_negotiated(self, uploads: FlaskClient, url: str, accept: str, kind: str) -> None:
        answer = uploads.get(url, headers={"Accept": accept})
        assert kind in answer.content_type
        assert answer.headers["Vary"] == "Accept"
        assert answer.headers["Cache-Control"] == "no-store"

    def test_pages_have_no_inline_script_or_style(self, uploads: FlaskClient) -> None:
        for url in ("/uploads/", "/uploads/a.txt?versions", "/uploads/a.txt?details", "/uploads/none"):
            page = uploads.get(url, headers=HTML)
            assert "script-src 'self'" in page.headers["Content-Security-Policy"]
            assert not [bad for bad in ("<style", "style=", "<script>", "onclick=", "javascript:") if bad in page.text]

    def test_assets(self, uploads: FlaskClient) -> None:
        assert uploads.get("/uploads/?asset=uploads.css", buffered=True).content_type == "text/css; charset=utf-8"
        for asset in ("", "no.css", "../extension.py", "/etc/passwd"):
            assert uploads.get("/uploads/", query_string={"asset": asset}).status_code == 404


class TestAnyName:
    NAMES = (
        "a b",
        "a?b",
        "a#b",
        "100%",
        "%41",
        "a;b",
        'q"q',
        "a\\b",
        "日本語",
        "e\u0301",
        "é",
        "x/y//z",
        "t/",
        "-",
        "~",
    )
    BY_ID = ("", "/lead", "..", "a/../b", "./a", "new\nline", "nul\0", "l" * 3000)

    @pytest.mark.parametrize("name", NAMES + BY_ID)
    def test_what_is_stored_is_listed_linked_and_served(self, client: Client, mongo: PyMongo, name: str) -> None:
        uploads = client(authorize=everyone)
        mongo.save_file(name, io.BytesIO(name.encode()))
        (file,) = uploads.get("/uploads/", headers=JSON).json["files"]
        assert file["filename"] == name
        assert ("id=" in file["url"]) == (name in self.BY_ID)
        join = "&" if "?" in file["url"] else "?"
        for url in (file["url"], file["permanent_url"]):
            answer = uploads.get(url)
            assert answer.data == name.encode()
        for page in ("versions", "details"):
            assert uploads.get(f"{file['url']}{join}{page}", headers=HTML).status_code == 200
        assert uploads.post(f"{file['url']}{join}delete", headers=HTML).status_code == 303
        assert nothing_stored(mongo)


def test_an_id_is_an_objectid(client: Client, mongo: PyMongo) -> None:
    uploads = client()
    uploads.put("/uploads/a", data=b"x")
    assert isinstance(mongo.db.fs.files.find_one()["_id"], ObjectId)
