"""uploads/read/file.py and selection.py: files, listings and pages."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

import pytest
from bson.objectid import ObjectId
from flask.testing import FlaskClient

from flask_gridfs_pymongo import PyMongo

from ...conftest import HTML, JSON, Client, everyone, nothing_stored


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
        answer = uploads.get(f"/uploads/b.txt?id={oldest}")
        assert (answer.status_code, answer.headers["Location"]) == (308, f"/uploads/a.txt?id={oldest}")
        assert uploads.get(f"/uploads/a.txt?id={oldest}&version=0").status_code == 400

    def test_download_forces_an_attachment_and_nothing_forces_inline(self, uploads: FlaskClient) -> None:
        disposition = lambda url: uploads.get(url).headers["Content-Disposition"]  # noqa: E731
        assert disposition("/uploads/a.txt") == 'inline; filename="a.txt"'
        assert disposition("/uploads/a.txt?download=0") == 'inline; filename="a.txt"'
        for query in ("?download", "?download=1"):
            assert disposition(f"/uploads/a.txt{query}") == 'attachment; filename="a.txt"'
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
            ("application/json, text/plain, */*", "json"),  # axios, Angular
            ("application/json;q=0.1, */*", "json"),
            ("application/problem+json, */*", "json"),
            ("text/html, application/json", "html"),
            ("text/html, application/json, */*", "html"),
        ],
    )
    def test_what_is_negotiated(self, uploads: FlaskClient, url: str, accept: str, kind: str) -> None:
        answer = uploads.get(url, headers={"Accept": accept})
        assert kind in answer.content_type
        assert answer.headers["Vary"] == "Accept"
        assert answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        "url", ["/uploads/?", "/uploads/a.txt?versions&", "/uploads/a.txt?details&", "/uploads/no?"]
    )
    def test_format_json(self, uploads: FlaskClient, url: str) -> None:
        assert "json" in uploads.get(f"{url}format=json", headers=HTML).content_type

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
        "-",
        "~",
    )
    BY_ID = ("", "/lead", "t/", "..", "a/../b", "./a", "new\nline", "nul\0", "l" * 3000)

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


COMPOSED, DECOMPOSED = "b\u00e9", "be\u0301"


class TestDecomposedNames:
    """macOS decomposes the names that it sends."""

    def test_they_find_the_composed_file(self, client: Client) -> None:
        uploads = client(authorize=everyone)
        uploads.put(f"/uploads/{COMPOSED}", data=b"x")
        for query in ("", "?version=0", "?details", "?versions"):
            assert uploads.get(f"/uploads/{DECOMPOSED}{query}").status_code == 200
        permanent = uploads.get(f"/uploads/{DECOMPOSED}?details", headers=JSON).json["permanent_url"]
        assert uploads.get(permanent.replace(quote(COMPOSED), quote(DECOMPOSED))).data == b"x"
        assert uploads.delete(f"/uploads/{DECOMPOSED}").status_code == 204
        assert uploads.get(f"/uploads/{COMPOSED}").status_code == 404

    def test_but_first_what_has_their_own_name(self, client: Client, mongo: PyMongo) -> None:
        uploads = client()
        for name in (COMPOSED, DECOMPOSED):
            mongo.save_file(name, io.BytesIO(name.encode()))
            assert uploads.get(f"/uploads/{name}").data == name.encode()

    @pytest.mark.parametrize(
        ("permitted", "status"), [((COMPOSED,), 200), ((DECOMPOSED,), 404), ((COMPOSED, DECOMPOSED), 200), ((), 403)]
    )
    def test_authorize_is_asked_for_what_is_answered(
        self, client: Client, mongo: PyMongo, permitted: tuple[str, ...], status: int
    ) -> None:
        uploads = client(authorize=lambda action, filename: filename in permitted)
        mongo.save_file(COMPOSED, io.BytesIO(b"x"))
        assert uploads.get(f"/uploads/{DECOMPOSED}").status_code == status


class TestDotSegments:
    """Every server resolves them; apt asks for repo/./Packages."""

    @pytest.mark.parametrize(
        ("path", "asked"),
        [
            ("repo/./Packages", "repo/Packages"),
            ("./repo/Packages", "repo/Packages"),
            ("repo/x/../Packages", "repo/Packages"),
            ("x/y/../../repo/Packages", "repo/Packages"),
            ("repo/%2e/Packages", "repo/Packages"),
            ("repo/x/%2E%2e/Packages", "repo/Packages"),
            ("repo/Packages/.", "repo/Packages/"),
            ("repo//../Packages", "repo/Packages"),
            ("..repo/Packages", "..repo/Packages"),
            ("repo/...", "repo/..."),
            ("../repo/Packages", None),
            ("repo/../../uploads/repo/Packages", None),
            ("repo/../..", None),
        ],
    )
    def test_reading_resolves_them_before_authorize_is_asked(
        self, client: Client, mongo: PyMongo, path: str, asked: str | None
    ) -> None:
        questions: list[str | None] = []

        def authorize(action: str, filename: str | None) -> bool:
            questions.append(filename)
            return True

        uploads = client(authorize=authorize)
        mongo.save_file("repo/Packages", io.BytesIO(b"x"))
        for method in ("GET", "HEAD"):
            answer = uploads.open(f"/uploads/{path}", method=method)
            assert answer.status_code == (200 if asked == "repo/Packages" else 404)
        assert set(questions) <= {asked, "repo/", f"{asked}/", "..repo/"}

    def test_they_may_lead_to_the_listing(self, client: Client) -> None:
        uploads = client()
        for path in (".", "./", "a/..", "a/../", "a/b/../../."):
            assert "files" in uploads.get(f"/uploads/{path}", headers=JSON).json

    @pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
    def test_nothing_is_changed_by_one(self, client: Client, mongo: PyMongo, method: str) -> None:
        mongo.save_file("a", io.BytesIO(b"x"))
        uploads = client(authorize=everyone)
        for path in ("./a", "b/../a", "b/%2e%2e/a", "../uploads/a", "a/."):
            assert uploads.open(f"/uploads/{path}", method=method).status_code == 400
        assert mongo.db.fs.files.count_documents({}) == 1


def test_an_id_is_an_objectid(client: Client, mongo: PyMongo) -> None:
    uploads = client()
    uploads.put("/uploads/a", data=b"x")
    assert isinstance(mongo.db.fs.files.find_one()["_id"], ObjectId)
