"""uploads/: the blueprint's contract, on mongod and on mongomock."""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from bson.objectid import ObjectId
from flask import Flask, abort, request, url_for
from flask.testing import FlaskClient
from flask_wtf.csrf import CSRFProtect
from pymongo.errors import ServerSelectionTimeoutError
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import FileStore

JSON, HTML = {"Accept": "application/json"}, {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BIG = random.Random(1).randbytes(400_000)


Client = Callable[..., FlaskClient]


@pytest.fixture
def client(app: Flask, mongo: PyMongo) -> Client:
    """``client(**options)`` registers the blueprint with them and gives a client."""

    def make(**options: Any) -> FlaskClient:
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", **options))
        return app.test_client()

    return make


def everyone(action: str, filename: str | None) -> bool:
    return True


def form(*files: tuple[bytes, str | None], **fields: str) -> dict[str, Any]:
    return {**fields, "file": [(io.BytesIO(data), name) for data, name in files]}


def nothing_stored(mongo: PyMongo) -> bool:
    return not any(mongo.db[name].count_documents({}) for name in ("fs.files", "fs.chunks"))


class TestPut:
    def test_a_new_name_is_201_and_a_taken_one_204(self, client: Client) -> None:
        uploads = client()
        first = uploads.put("/uploads/dir/a b.txt", data=b"one")
        assert (first.status_code, first.headers["Location"]) == (201, "/uploads/dir/a%20b.txt")
        second = uploads.put("/uploads/dir/a b.txt", data=b"two")
        assert second.status_code == 204
        assert "Location" not in second.headers
        for answer, content in ((first, b"one"), (second, b"two")):
            by_id = uploads.get(answer.headers["Content-Location"])
            assert (by_id.data, by_id.headers["ETag"]) == (content, answer.headers["ETag"])
        assert uploads.get(first.headers["Location"]).data == b"two"

    @pytest.mark.parametrize(
        ("name", "query", "fields"),
        [
            ("a", "?version=0", {}),
            ("a", "?id=4cf139def4b6a1134c4ea6c4", {}),
            ("a", "", {"Content-Range": "bytes 0-1/2"}),
            ("a//b", "", {}),
            ("a/../b", "", {}),
            ("a\\b", "", {}),
            ("a\u202eb", "", {}),
            ("..", "", {}),
            ("e\u0301", "", {}),
            (" a", "", {}),
            ("a" * 256, "", {}),
        ],
    )
    def test_what_it_refuses_leaves_nothing(
        self, client: Client, mongo: PyMongo, name: str, query: str, fields: dict[str, str]
    ) -> None:
        answer = client().put(f"/uploads/{quote(name)}{query}", data=b"x", headers=fields)
        assert answer.status_code == 400
        assert nothing_stored(mongo)

    def test_preconditions(self, client: Client) -> None:
        uploads = client()
        put = lambda **fields: uploads.put(  # noqa: E731
            "/uploads/a", data=b"x", headers={name.replace("_", "-"): value for name, value in fields.items()}
        )
        assert put(If_Match="*").status_code == 412
        made = put(If_None_Match="*")
        assert made.status_code == 201
        assert put(If_None_Match="*").status_code == 412
        assert put(If_Match='"x"').status_code == 412
        assert put(If_Match=made.headers["ETag"]).status_code == 204
        assert put(If_Match=made.headers["ETag"]).status_code == 412
        assert len(uploads.get("/uploads/a?versions", headers=JSON).json["versions"]) == 2

    def test_the_type_that_the_client_claims_is_kept_aside(self, client: Client, mongo: PyMongo) -> None:
        client().put("/uploads/a.txt", data=b"x", content_type="text/html")
        (document,) = mongo.db.fs.files.find()
        assert document["metadata"] == {"clientContentType": "text/html", "contentType": "text/plain"}


class TestForms:
    def test_a_program_gets_201_and_the_files_as_json(self, client: Client) -> None:
        uploads = client()
        answer = uploads.post("/uploads/", data=form((BIG, "dir/big.bin"), (b"", "empty"), ignored="field"))
        assert answer.status_code == 201
        files = answer.json["files"]
        assert [(file["filename"], file["length"]) for file in files] == [("dir/big.bin", len(BIG)), ("empty", 0)]
        assert uploads.get(files[0]["url"]).data == BIG
        one = uploads.post("/uploads/", data=form((b"x", "one")))
        assert one.headers["Location"] == "/uploads/one"

    def test_a_browser_is_sent_to_the_listing(self, client: Client) -> None:
        answer = client().post("/uploads/", data=form((b"x", "a")), headers=HTML)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/uploads/")

    @pytest.mark.parametrize(
        ("sent", "stored"),
        [
            ("../../etc/passwd", "etc/passwd"),
            ("photo\u202egnp.exe", "photognp.exe"),
            ("e\u0301", "é"),
            ("日本語.txt", "日本語.txt"),
            ("x" * 300 + ".txt", "x" * 251 + ".txt"),
        ],
    )
    def test_names_are_cleaned(self, client: Client, sent: str, stored: str) -> None:
        answer = client().post("/uploads/", data=form((b"x", sent)))
        assert [file["filename"] for file in answer.json["files"]] == [stored]

    def test_the_url_names_the_file(self, client: Client) -> None:
        uploads = client()
        assert (
            uploads.post("/uploads/mine.txt", data=form((b"x", "theirs.txt"))).json["files"][0]["url"]
            == "/uploads/mine.txt"
        )
        two = uploads.post("/uploads/mine.txt", data=form((b"x", "a"), (b"y", "b")))
        assert two.status_code == 400
        assert len(uploads.get("/uploads/mine.txt?versions", headers=JSON).json["versions"]) == 1

    def test_preconditions_of_a_named_one(self, client: Client) -> None:
        uploads = client()
        post = lambda **fields: uploads.post("/uploads/a", data=form((b"x", "b")), headers=fields).status_code  # noqa: E731
        assert [post(**{"If-None-Match": "*"}), post(**{"If-None-Match": "*"}), post(**{"If-Match": '"x"'})] == [
            201,
            412,
            412,
        ]
        assert len(uploads.get("/uploads/a?versions", headers=JSON).json["versions"]) == 1

    BOUNDARY = "frontier"

    def post_raw(self, client: FlaskClient, body: bytes, **more: Any) -> TestResponse:
        return client.post(
            "/uploads/", data=body, content_type=f"multipart/form-data; boundary={self.BOUNDARY}", **more
        )

    def part(self, disposition: str, data: bytes = b"x") -> bytes:
        head = f"--{self.BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
        return head.encode("latin-1") + data + b"\r\n"

    @pytest.mark.parametrize(
        ("parts", "end"),
        [
            ([], b"--frontier--\r\n"),
            ([('name="file"; filename=""', b"")], b"--frontier--\r\n"),
            ([('name="file"; filename=""', b"x")], b"--frontier--\r\n"),
            ([('name="file"; filename="a"', b"x"), ('name="file"; filename=""', b"x")], b"--frontier--\r\n"),
            ([('name="field"', b"x")], b"--frontier--\r\n"),
            ([('name="file"; filename=".."', b"x")], b"--frontier--\r\n"),
            ([('name="file"; filename="a\xff"', b"x")], b"--frontier--\r\n"),
            ([('name="file"; filename="a"', BIG)], b""),
            ([('name="file"; filename="a"', BIG), ('name="file"; filename="b"', b"x")], b"--frontier"),
        ],
        ids=[
            "no part",
            "nothing chosen",
            "no name",
            "one without a name",
            "a field",
            "dots",
            "not UTF-8",
            "cut",
            "cut 2",
        ],
    )
    def test_a_form_without_a_whole_file_is_400_and_leaves_nothing(
        self, client: Client, mongo: PyMongo, parts: list[tuple[str, bytes]], end: bytes
    ) -> None:
        answer = self.post_raw(client(), b"".join(self.part(*each) for each in parts) + end)
        assert answer.status_code == 400
        assert answer.json["detail"]
        assert nothing_stored(mongo)

    @pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", None])
    def test_another_kind_of_body_is_400(self, client: Client, mongo: PyMongo, content_type: str | None) -> None:
        answer = client().post("/uploads/", data=b"file=x", content_type=content_type)
        assert (answer.status_code, "multipart/form-data" in answer.json["detail"]) == (400, True)
        assert nothing_stored(mongo)

    def test_a_body_shorter_than_announced_is_400(self, client: Client, mongo: PyMongo) -> None:
        uploads = client()
        for request_of in (
            lambda announced: uploads.put("/uploads/a", input_stream=io.BytesIO(b"short"), environ_overrides=announced),
            lambda announced: self.post_raw(uploads, self.part('name="f"; filename="a"'), environ_overrides=announced),
        ):
            assert request_of({"CONTENT_LENGTH": "999"}).status_code == 400
            assert nothing_stored(mongo)

    def test_a_form_that_was_parsed_before_is_saved_too(self, app: Flask, client: Client) -> None:
        uploads = client()
        app.before_request(lambda: request.form.get("field"))
        answer = uploads.post("/uploads/", data=form((BIG, "a"), (b"y", "b")))
        assert [file["length"] for file in answer.json["files"]] == [len(BIG), 1]

    def test_flask_wtf_protects_it_and_the_pages_carry_its_token(self, app: Flask, client: Client) -> None:
        app.secret_key = "secret"
        CSRFProtect(app)
        uploads = client()
        assert uploads.post("/uploads/", data=form((b"x", "a"))).status_code == 400
        token = uploads.get("/uploads/").text.split('name="csrf_token" value="')[1].split('"')[0]
        assert uploads.post("/uploads/", data=form((b"x", "a"), csrf_token=token)).status_code == 201


class TestLimits:
    @pytest.mark.parametrize("size", [1001, 400_000])
    def test_a_file_over_max_size(self, client: Client, mongo: PyMongo, size: int) -> None:
        uploads = client(max_size=1000)
        put = uploads.put("/uploads/a", data=bytes(size))
        chunked = uploads.put(
            "/uploads/a", input_stream=io.BytesIO(bytes(size)), environ_overrides={"wsgi.input_terminated": True}
        )
        posted = uploads.post("/uploads/", data=form((b"small", "b"), (bytes(size), "a")))
        for answer in (put, chunked, posted):
            assert answer.status_code == 413
            assert "at most 1000 bytes" in answer.json["detail"]
        assert nothing_stored(mongo)
        assert uploads.put("/uploads/a", data=bytes(1000)).status_code == 201

    def test_a_request_over_max_request_size_or_the_applications_limit(self, app: Flask, client: Client) -> None:
        app.config["MAX_CONTENT_LENGTH"] = 5000
        uploads = client(max_request_size=2000)
        answer = uploads.put("/uploads/a", data=bytes(2001))
        assert (answer.status_code, "at most 2000 bytes" in answer.json["detail"]) == (413, True)

    def test_the_limit_holds_though_the_application_parses_the_form_first(self, app: Flask, client: Client) -> None:
        parsed = []
        app.before_request(lambda: parsed.append(request.form))
        answer = client(max_request_size=2000).post("/uploads/", data=form((bytes(3000), "a")))
        assert (answer.status_code, parsed) == (413, [])

    def test_a_hundred_parts_and_no_more(self, client: Client, mongo: PyMongo) -> None:
        uploads = client()
        assert uploads.post("/uploads/", data=form(*[(b"x", "a")] * 101)).status_code == 413
        assert nothing_stored(mongo)

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"max_size": "1"}, TypeError),
            ({"max_size": -1}, ValueError),
            ({"max_request_size": 1.5}, TypeError),
            ({"cache_for": True}, TypeError),
            ({"authorize": "yes"}, TypeError),
            ({"base": None}, TypeError),
            ({"trusted_origins": "https://a"}, TypeError),
            ({"trusted_origins": ["a.example"]}, ValueError),
        ],
    )
    def test_options_are_checked(self, mongo: PyMongo, options: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error, match=next(iter(options))):
            mongo.uploads_blueprint(**options)


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


class TestDeleting:
    @pytest.fixture
    def uploads(self, client: Client) -> FlaskClient:
        uploads = client(authorize=everyone)
        for content in (b"zero", b"one", b"two"):
            uploads.put("/uploads/a", data=content)
        return uploads

    def remaining(self, uploads: FlaskClient) -> list[int]:
        answer = uploads.get("/uploads/a?versions", headers=JSON)
        return [version["length"] for version in answer.json["versions"]] if answer.status_code == 200 else []

    def test_all_versions(self, uploads: FlaskClient, mongo: PyMongo) -> None:
        assert uploads.delete("/uploads/a").status_code == 204
        assert nothing_stored(mongo)
        assert uploads.delete("/uploads/a").status_code == 404

    def test_one_version_by_number_or_id(self, uploads: FlaskClient) -> None:
        assert uploads.delete("/uploads/a?version=0").status_code == 204
        newest = uploads.get("/uploads/a?versions", headers=JSON).json["versions"][0]["id"]
        assert uploads.delete(f"/uploads/a?id={newest}").status_code == 204
        assert uploads.get("/uploads/a").data == b"one"
        assert uploads.delete("/uploads/a?version=5").status_code == 404
        assert len(self.remaining(uploads)) == 1

    def test_if_match(self, uploads: FlaskClient) -> None:
        etag = uploads.get("/uploads/a").headers["ETag"]
        assert uploads.delete("/uploads/a", headers={"If-Match": '"x"'}).status_code == 412
        assert uploads.delete("/uploads/a", headers={"If-Match": etag}).status_code == 204

    def test_the_buttons(self, uploads: FlaskClient) -> None:
        page = uploads.get("/uploads/a?versions", headers=HTML).text
        assert "Make it the newest" in page
        assert "Delete version 2" in page
        restored = uploads.post("/uploads/a?version=0&restore", headers=HTML)
        assert restored.status_code == 303
        assert uploads.get("/uploads/a").data == b"zero"
        assert len(self.remaining(uploads)) == 4
        assert uploads.post("/uploads/a?version=0&delete").status_code == 204
        assert len(self.remaining(uploads)) == 3

    def test_without_authorize_it_is_refused(self, client: Client, mongo: PyMongo) -> None:
        uploads = client()
        uploads.put("/uploads/a", data=b"x")
        for answer in (uploads.delete("/uploads/a"), uploads.post("/uploads/a?delete")):
            assert (answer.status_code, "authorize" in answer.json["detail"]) == (403, True)
        assert uploads.get("/uploads/a").data == b"x"
        assert "Delete" not in uploads.get("/uploads/a?versions", headers=HTML).text


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
            ("read", "GET", "/uploads/?id={id}"),
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

        stored = mongo.save_file("a", io.BytesIO(b"x"))
        data = form((b"new", "b")) if method == "POST" else None
        answer = client(authorize=authorize).open(url.format(id=stored), method=method, data=data)
        assert answer.status_code == (401 if how == "abort" else 403)
        assert mongo.db.fs.files.count_documents({}) == 1
        assert mongo.db.fs.chunks.count_documents({}) == 1

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


class TestMethods:
    @pytest.mark.parametrize(
        ("url", "options", "allow"),
        [
            ("/uploads/", {}, "GET, HEAD, POST, OPTIONS"),
            ("/uploads/a", {}, "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
            ("/uploads/", {"read_only": True}, "GET, HEAD, OPTIONS"),
            ("/uploads/a", {"read_only": True}, "GET, HEAD, OPTIONS"),
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

        monkeypatch.setattr(FileStore, "find", fail)
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


def test_an_id_is_an_objectid(client: Client, mongo: PyMongo) -> None:
    uploads = client()
    uploads.put("/uploads/a", data=b"x")
    assert isinstance(mongo.db.fs.files.find_one()["_id"], ObjectId)
