"""http/metadata.py: what a request says about a file, and where that is stored."""

from __future__ import annotations

import html
import io
import json
import re
import uuid
from datetime import datetime
from typing import Any

import pytest
from bson.binary import Binary
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.http.metadata import Keys
from flask_gridfs_pymongo.signals import file_changed
from flask_gridfs_pymongo.store import StoredFile
from flask_gridfs_pymongo.store.listing import by_value as orders
from flask_gridfs_pymongo.uploads.read import listing as listings

from ..conftest import HTML, JSON, Client, everyone, form, nothing_stored

KEYS = Keys(("title", "tags", "Taken-By"))
LONG = "x" * 1024
TAGS = [str(number) for number in range(20)]


@pytest.mark.parametrize(
    "declared",
    [
        ("a.b",),
        ("$a",),
        ("",),
        ("a b",),
        ("ü",),
        (1,),
        ("title", "Title"),
        ("taken-by", "taken_by"),
        ("contentType",),
        ("contenttype",),
        ("_contentType",),
        ("mimetype",),
        ("clientContentType",),
        ("expiresAt",),
        ("EXPIRESAT",),
    ],
)
def test_keys_that_cannot_be(declared: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="metadata: "):
        Keys(declared)


def test_one_str_is_no_list_of_keys() -> None:
    with pytest.raises(TypeError, match="a list of keys"):
        Keys("title")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], {}),
        ([("Content-Type", "text/plain"), ("X-Meta-Title", "x")], {}),
        ([("X-Metadata-Title", "Hello, world")], {"title": "Hello, world"}),
        ([("x-metadata-TITLE", "")], {"title": ""}),
        ([("X-Metadata-taken_by", "me")], {"Taken-By": "me"}),
        ([("X-Metadata-Title", "rock'n'roll")], {"title": "rock'n'roll"}),
        ([("X-Metadata-Title", "iso-8859-1'en'a")], {"title": "iso-8859-1'en'a"}),
        ([("X-Metadata-Title", "100%25")], {"title": "100%25"}),
        ([("X-Metadata-Title", "UTF-8''%e2%82%ac%20rates")], {"title": "€ rates"}),
        ([("X-Metadata-Title", "utf-8'de'%C3%BC")], {"title": "ü"}),
        ([("X-Metadata-Title", "UTF-8''")], {"title": ""}),
        ([("X-Metadata-Tags", "UTF-8''red,UTF-8''a%2Cb , UTF-8''c")], {"tags": ["red", "a,b", "c"]}),
        ([("X-Metadata-Tags", ", ".join(f"UTF-8''{tag}" for tag in TAGS))], {"tags": TAGS}),
        ([("X-Metadata-Title", LONG), ("X-Metadata-Tags", "a")], {"title": LONG, "tags": "a"}),
    ],
)
def test_fields_of_a_put(fields: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    assert KEYS.of_fields(Headers(fields)) == expected


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("X-Metadata-Colour", "red", "not one of those accepted here: title, tags, Taken-By"),
        ("X-Metadata-", "red", "not one of"),
        ("X-Metadata-Title.x", "red", "not one of"),
        ("X-Metadata-Title", "\xc3\xbc", "not ASCII"),
        ("X-Metadata-Title", "UTF-8'%C3%BC", "invalid"),
        ("X-Metadata-Title", "UTF-8''%C3", "invalid"),
        ("X-Metadata-Title", "UTF-8''%ED%A0%80", "invalid"),
        ("X-Metadata-Title", "UTF-8''%", "invalid"),
        ("X-Metadata-Title", "UTF-8''a b", "invalid"),
        ("X-Metadata-Tags", "UTF-8''a,", "invalid"),
        ("X-Metadata-Tags", "UTF-8''a,b", "invalid"),
        ("X-Metadata-Title", "UTF-8''%00", "NUL"),
        ("X-Metadata-Title", LONG + "x", "1024 bytes"),
        ("X-Metadata-Title", "UTF-8''" + "%C3%BC" * 512 + "a", "1024 bytes"),
        ("X-Metadata-Tags", ", ".join(f"UTF-8''{tag}" for tag in [*TAGS, "20"]), "at most 20"),
    ],
)
def test_fields_that_are_refused(name: str, value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        KEYS.of_fields(Headers([(name, value)]))


def test_without_keys_every_field_is_refused() -> None:
    with pytest.raises(ValueError, match="accepted here: none"):
        Keys().of_fields({"X-Metadata-Title": "x"})
    assert Keys().of_form([("title", "x")]) == {}


def test_fields_of_a_form() -> None:
    given = [
        ("csrf_token", "x"),
        ("Title", "a\r\nb"),
        ("metadata.tags", "red"),
        ("tags", ""),
        ("TAGS", "blue"),
        ("taken-by", ""),
        ("metadata.other", "x"),
    ]
    assert KEYS.of_form(given) == {"title": "a\nb", "tags": ["red", "blue"]}
    with pytest.raises(ValueError, match="1024 bytes"):
        KEYS.of_form([("title", "ü" * 513)])
    with pytest.raises(ValueError, match="at most 20"):
        KEYS.of_form([("tags", "x")] * 21)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{}", {}),
        ('{"title": "ü", "TAGS": ["a"], "taken_by": null}', {"title": "ü", "tags": ["a"], "Taken-By": None}),
        ('{"tags": []}', {"tags": []}),
        ('{"title": "\\ud83d\\ude00"}', {"title": "😀"}),
    ],
)
def test_patches(body: str, expected: dict[str, Any]) -> None:
    assert KEYS.of_patch(body.encode()) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b'{"title": "x"', "not JSON"),
        (b'{"title": "\xff"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b'{"colour": "red"}', "'colour' is not one of"),
        (b'{"title.x": "red"}', "not one of"),
        (b'{"$set": {"length": 0}}', "not one of"),
        (b'{"contentType": "text/html"}', "not one of"),
        (b'{"title": 1}', "a text or a list"),
        (b'{"title": true}', "a text or a list"),
        (b'{"title": {"$gt": ""}}', "a text or a list"),
        (b'{"tags": [null]}', "a text or a list"),
        (b'{"tags": [["a"]]}', "a text or a list"),
        (b'{"title": "\\ud800"}', "surrogate"),
        (b'{"title": "\\u0000"}', "NUL"),
    ],
)
def test_patches_that_are_refused(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        KEYS.of_patch(body)


def test_a_query() -> None:
    args = [("q", "x"), ("metadata.tags", "red"), ("metadata.TAGS", "blue"), ("metadata.title", "$ne")]
    assert KEYS.of_query(args) == {"tags": ["red", "blue"], "title": ["$ne"]}
    for name in ("metadata.colour", "metadata.", "metadata.title[$ne]", "metadata.contentType"):
        with pytest.raises(ValueError, match="not one of"):
            KEYS.of_query([(name, "x")])
    with pytest.raises(ValueError, match="1024 bytes"):
        KEYS.of_query([("metadata.title", LONG + "x")])


class TestUploads:
    @pytest.fixture
    def uploads(self, client: Client) -> FlaskClient:
        return client(metadata=("title", "tags"))

    def stored(self, mongo: PyMongo, name: str = "a.txt") -> dict[str, Any]:
        file = mongo.bucket().find(name)
        assert file is not None
        return dict(file.metadata)

    def test_a_put(self, uploads: FlaskClient, mongo: PyMongo) -> None:
        fields = {"X-Metadata-Title": "UTF-8''%C3%BC", "X-Metadata-Tags": "red", "Content-Type": "text/x-claim"}
        assert uploads.put("/uploads/a.txt", data=b"x", headers=fields).status_code == 201
        expected = {"title": "ü", "tags": "red", "clientContentType": "text/x-claim"}
        expected["contentType"] = "text/plain"
        assert self.stored(mongo) == expected

    @pytest.mark.parametrize("field", ["X-Metadata-Colour", "X-Metadata-contentType"])
    def test_a_put_with_another_key(self, uploads: FlaskClient, mongo: PyMongo, field: str) -> None:
        answer = uploads.put("/uploads/a.txt", data=b"x", headers={field: "red"})
        assert (answer.status_code, "title, tags; nothing was stored" in answer.json["detail"]) == (400, True)
        assert nothing_stored(mongo)

    @pytest.mark.parametrize("parsed_before", [False, True])
    @pytest.mark.parametrize("url", ["/uploads/", "/uploads/a.txt"])
    def test_a_form(self, app: Flask, uploads: FlaskClient, mongo: PyMongo, url: str, parsed_before: bool) -> None:
        if parsed_before:
            app.before_request(lambda: request.form and None)
        fields = {"title": "ü", "tags": ["red", "blue"], "csrf_token": "x"}
        assert uploads.post(url, data={**fields, **form((b"x", "a.txt"))}).status_code == 201
        metadata = self.stored(mongo)
        assert (metadata["title"], metadata["tags"], "csrf_token" in metadata) == ("ü", ["red", "blue"], False)

    def test_fields_after_several_files(self, uploads: FlaskClient, mongo: PyMongo) -> None:
        data = {"file": [(io.BytesIO(b"x"), "a.txt"), (io.BytesIO(b"y"), "b.txt")], "metadata.title": "both"}
        assert uploads.post("/uploads/", data=data).status_code == 201
        assert self.stored(mongo)["title"] == self.stored(mongo, "b.txt")["title"] == "both"

    def test_a_form_with_a_value_that_is_too_long(self, uploads: FlaskClient, mongo: PyMongo) -> None:
        answer = uploads.post("/uploads/", data={"title": LONG + "x", **form((b"x", "a.txt"))})
        assert (answer.status_code, "1024 bytes" in answer.json["detail"]) == (400, True)
        assert nothing_stored(mongo)

    def test_without_keys(self, client: Client, mongo: PyMongo) -> None:
        uploads = client()
        assert uploads.put("/uploads/a.txt", data=b"x", headers={"X-Metadata-Title": "x"}).status_code == 400
        assert uploads.post("/uploads/", data={"title": "x", **form((b"x", "a.txt"))}).status_code == 201
        assert "title" not in self.stored(mongo)

    def test_the_keys_are_checked_at_registration(self, mongo: PyMongo) -> None:
        with pytest.raises(ValueError, match="metadata: 'expiresAt'"):
            mongo.uploads_blueprint(metadata=("expiresAt",))


class TestPatch:
    @pytest.fixture
    def uploads(self, client: Client) -> FlaskClient:
        uploads = client(authorize=everyone, metadata=("title", "tags"))
        for data in (b"first", b"second"):
            uploads.put("/uploads/a.txt", data=data, headers={"X-Metadata-Title": data.decode()})
        return uploads

    def patch(self, uploads: FlaskClient, patch: Any, url: str = "/uploads/a.txt", **fields: str) -> TestResponse:
        headers = {"Content-Type": "application/merge-patch+json"}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        return uploads.patch(url, data=patch if isinstance(patch, bytes) else json.dumps(patch), headers=headers)

    def metadata(self, uploads: FlaskClient, query: str = "") -> Any:
        found = uploads.get(f"/uploads/a.txt?details{query}", headers=JSON).json["metadata"]
        return {key: found[key] for key in ("title", "tags") if key in found}

    def test_it_merges(self, uploads: FlaskClient) -> None:
        etag = uploads.get("/uploads/a.txt").headers["ETag"]
        answer = self.patch(uploads, {"tags": ["red", "blue"]})
        assert (answer.status_code, answer.mimetype) == (200, "application/json")
        assert answer.json["metadata"]["tags"] == ["red", "blue"]
        assert (answer.json["version"], answer.json["versions"], answer.json["etag"]) == (1, 2, etag)
        assert self.metadata(uploads) == {"title": "second", "tags": ["red", "blue"]}
        assert self.metadata(uploads, "&version=0") == {"title": "first"}
        self.patch(uploads, {"title": None, "TAGS": "x"})
        assert self.metadata(uploads) == {"tags": "x"}
        assert uploads.get("/uploads/a.txt", headers={"If-None-Match": etag}).status_code == 304
        assert self.patch(uploads, {}).status_code == 200

    def test_an_older_version(self, uploads: FlaskClient) -> None:
        file_id = uploads.get("/uploads/a.txt?version=0&details", headers=JSON).json["id"]
        etag = uploads.get("/uploads/a.txt?version=0").headers["ETag"]
        for url in ("/uploads/a.txt?version=0", f"/uploads/a.txt?id={file_id}", f"/uploads/?id={file_id}"):
            fields = {"If_Match": etag} if "version" in url else {}
            assert self.patch(uploads, {"title": url}, url, **fields).json["version"] == 0
            assert self.metadata(uploads, "&version=0") == {"title": url}
        assert self.metadata(uploads) == {"title": "second"}

    @pytest.mark.parametrize(
        ("patch", "url", "fields", "status"),
        [
            (b"{", "a.txt", {}, 400),
            ({"colour": "red"}, "a.txt", {}, 400),
            ({"title": {"$gt": ""}}, "a.txt", {}, 400),
            ({"$set": {"length": 0}}, "a.txt", {}, 400),
            ({"title": "x"}, "none", {}, 404),
            ({"title": "x"}, "a.txt?version=1", {}, 428),
            ({"title": "x"}, "a.txt?version=7", {"If_Match": '"x"'}, 404),
            ({"title": "x"}, "a.txt?id=4cf139def4b6a1134c4ea6c4", {}, 404),
            ({"title": "x"}, "", {}, 400),
            ({"title": "x"}, "a.txt", {"If_Match": '"x"'}, 412),
            ({"title": "x"}, "a.txt", {"If_None_Match": "*"}, 412),
            (b" " * 300_000, "a.txt", {}, 413),
            ({"title": "x"}, "a.txt", {"Content_Type": "application/json"}, 415),
            ({"title": "x"}, "a.txt", {"Sec_Fetch_Site": "cross-site"}, 403),
        ],
    )
    def test_what_is_refused_changes_nothing(
        self, uploads: FlaskClient, patch: Any, url: str, fields: dict[str, str], status: int
    ) -> None:
        answer = self.patch(uploads, patch, f"/uploads/{url}", **fields)
        assert answer.status_code == status
        assert answer.headers.get("Accept-Patch") == ("application/merge-patch+json" if status == 415 else None)
        assert self.metadata(uploads) == {"title": "second"}

    def test_if_match_guards_the_revision_alone(self, uploads: FlaskClient) -> None:
        etag = uploads.get("/uploads/a.txt").headers["ETag"]
        for title in ("x", "y"):
            assert self.patch(uploads, {"title": title}, If_Match=etag).status_code == 200
        uploads.put("/uploads/a.txt", data=b"third")
        assert self.patch(uploads, {"title": "z"}, If_Match=etag).status_code == 412
        assert self.metadata(uploads, "&version=1") == {"title": "y"}

    @pytest.mark.parametrize(
        ("allowed", "status"), [((), 403), (("read",), 403), (("write",), 204), (("read", "write"), 200)]
    )
    def test_rights(self, client: Client, mongo: PyMongo, allowed: tuple[str, ...], status: int) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"x"))
        uploads = client(metadata=("title",), authorize=lambda action, filename: action in allowed)
        answer = self.patch(uploads, {"title": "x"})
        assert (answer.status_code, "metadata" in answer.text) == (status, status == 200)
        assert ("title" in (mongo.db["fs.files"].find_one() or {})["metadata"]) == (status < 300)

    def test_options(self, uploads: FlaskClient) -> None:
        for url in ("/uploads/a.txt", "/uploads/"):
            answer = uploads.options(url)
            assert answer.headers["Accept-Patch"] == "application/merge-patch+json"
            assert "PATCH" in answer.headers["Allow"]

    @pytest.mark.parametrize("options", [{}, {"metadata": ("title",), "read_only": True}])
    def test_where_nothing_may_change(self, client: Client, mongo: PyMongo, options: dict[str, Any]) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"x"))
        uploads = client(**options)
        assert self.patch(uploads, {"title": "x"}).status_code == 405
        assert "Accept-Patch" not in uploads.options("/uploads/a.txt").headers

    def test_it_tells_of_changes(self, uploads: FlaskClient, app: Flask) -> None:
        told: list[Any] = []

        def listen(sender: Flask, file: StoredFile) -> None:
            told.append((sender, file.metadata["title"]))

        with file_changed.connected_to(listen):
            self.patch(uploads, {"title": "new"})
            self.patch(uploads, {})
            self.patch(uploads, {"colour": "red"})
        assert told == [(app, "new")]

    @pytest.mark.parametrize(
        "metadata", ["text", ["a"], {"when": datetime(2026, 1, 2), "id": Binary.from_uuid(uuid.UUID(int=1))}, None]
    )
    def test_metadata_of_other_tools_is_shown(self, client: Client, mongo: PyMongo, metadata: Any) -> None:
        file_id = mongo.save_file("a.txt", io.BytesIO(b"x"))
        mongo.db["fs.files"].update_one({"_id": file_id}, {"$set": {"metadata": metadata}})
        uploads = client(authorize=everyone, metadata=("title",))
        shown = uploads.get("/uploads/a.txt?details", headers=JSON).json["metadata"]
        assert shown == metadata or (shown["when"], "id" in shown) == ({"$date": "2026-01-02T00:00:00Z"}, True)
        assert uploads.get("/uploads/a.txt?details", headers=HTML).status_code == 200
        refused = metadata in ("text", ["a"])
        assert self.patch(uploads, {"title": "x"}).status_code == (409 if refused else 200)


class TestForms:
    def page(self, uploads: FlaskClient, url: str = "/uploads/a.txt?details") -> str:
        answer = uploads.get(url, headers=HTML)
        assert answer.status_code == 200
        return answer.text

    def test_the_page_has_a_form_for_each_key(self, client: Client) -> None:
        uploads = client(authorize=everyone, metadata=("title", "tags"))
        uploads.put("/uploads/a.txt", data=b"x", headers={"X-Metadata-Title": "<b>&", "X-Metadata-Tags": "UTF-8''a"})
        page = self.page(uploads)
        assert "Version" in page
        assert "1 of 1" in page
        assert "&lt;b&gt;&amp;</textarea>" in page
        action = re.search('action="([^"]*metadata)"', page)
        assert action is not None
        url = html.unescape(action[1])
        for fields, expected in (
            ({"title": "New\r\ntitle"}, {"title": "New\ntitle", "tags": "a"}),
            ({"tags": ["a", "b", ""]}, {"title": "New\ntitle", "tags": ["a", "b"]}),
            ({"title": "", "csrf_token": "x"}, {"tags": ["a", "b"]}),
            ({"tags": ["", ""]}, {}),
        ):
            answer = uploads.post(url, data=fields, headers=HTML)
            assert answer.status_code == 303
            assert "textarea" in self.page(uploads, answer.headers["Location"])
            metadata = uploads.get("/uploads/a.txt?details", headers=JSON).json["metadata"]
            assert {key: metadata[key] for key in metadata if key in ("title", "tags")} == expected
        assert uploads.post(url, data={"title": "x"}).json["metadata"]["title"] == "x"
        assert uploads.post(url, data={"title": "x" * 1025}, headers=HTML).status_code == 400
        assert uploads.post(url, data={"title": "x" * 300_000}).status_code == 413
        assert uploads.post(url, data={"title": "y"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403

    @pytest.mark.parametrize("options", [{}, {"authorize": lambda action, filename: action == "read"}])
    def test_who_may_not_change_it_sees_no_form(self, client: Client, mongo: PyMongo, options: dict[str, Any]) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"x"), metadata={"title": "<b>", "camera": {"iso": 100}})
        uploads = client(metadata=("title",), **options)
        page = self.page(uploads)
        assert "&lt;b&gt;" in page
        assert "iso" in page
        assert "<textarea" not in page
        assert uploads.post("/uploads/a.txt?metadata", data={"title": "x"}).status_code == 403


class TestListing:
    """Thirty names, each with an older version whose metadata must not count."""

    TAGS: tuple[Any, ...] = ("red", ["red"], ["blue", "red"], ["blue"], "redder", None, {"$gt": ""}, 7, ["red", "red"])

    @pytest.fixture
    def uploads(self, client: Client, mongo: PyMongo) -> FlaskClient:
        for number in range(27):
            name, tags = self.name(number), self.TAGS[number % 9]
            older = {"tags": "blue" if self.has(tags, "red") else "red"}
            mongo.save_file(name, io.BytesIO(b"older"), metadata=older)
            mongo.save_file(name, io.BytesIO(b"x" * (number % 4)), metadata={"tags": tags, "title": str(number % 2)})
        return client(authorize=everyone, metadata=("title", "tags"))

    def has(self, tags: Any, text: str) -> bool:
        return tags == text or (isinstance(tags, list) and text in tags)

    def expected(self, text: str, *titles: str) -> list[str]:
        found = [number for number in range(27) if self.has(self.TAGS[number % 9], text)]
        return sorted(self.name(number) for number in found if not titles or str(number % 2) in titles)

    def name(self, number: int) -> str:
        return f"{'a/' if number % 2 else ''}{number:02}"

    def walk(self, uploads: FlaskClient, query: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        monkeypatch.setattr(listings, "_PAGE_SIZE", 4)
        monkeypatch.setattr(orders, "_SCAN", 5)
        names: list[str] = []
        url = f"/uploads/?{query}"
        while url:
            answer = uploads.get(url, headers=JSON).json
            names += [file["filename"] for file in answer["files"]] + [folder["name"] for folder in answer["folders"]]
            url = answer["next"]
        return names

    @pytest.mark.parametrize("order", ["name", "newest", "size", "type"])
    def test_every_order_finds_each_name_once(
        self, uploads: FlaskClient, order: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = self.walk(uploads, f"order={order}&metadata.tags=red", monkeypatch)
        assert sorted(found) == self.expected("red")
        assert found == self.expected("red") or order != "name"
        both = self.walk(uploads, f"order={order}&metadata.tags=red&metadata.TAGS=blue&metadata.title=0", monkeypatch)
        assert sorted(both) == [name for name in self.expected("red", "0") if name in self.expected("blue", "0")]
        assert self.walk(uploads, f"order={order}&metadata.tags=re", monkeypatch) == []
        assert self.walk(uploads, f"order={order}&metadata.tags=%24gt", monkeypatch) == []

    def test_folders(self, uploads: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        top = self.expected("red", "0")
        assert sorted(self.walk(uploads, "folder=&metadata.tags=red", monkeypatch)) == sorted([*top, "a/"])
        assert self.walk(uploads, "folder=&metadata.tags=red&metadata.title=0", monkeypatch) == top
        assert self.walk(uploads, "folder=a/&metadata.tags=red", monkeypatch) == self.expected("red", "1")

    def test_an_undeclared_key_is_a_400(self, uploads: FlaskClient) -> None:
        for query in ("metadata.colour=red", "metadata.tags.0=red", "metadata.%24where=1", "metadata.title[%24ne]="):
            assert uploads.get(f"/uploads/?{query}").status_code == 400

    def test_what_is_hidden_is_not_found(self, client: Client, mongo: PyMongo) -> None:
        for name in ("hidden", "seen"):
            mongo.save_file(name, io.BytesIO(b"x"), metadata={"title": name})
        uploads = client(metadata=("title",), authorize=lambda action, filename: filename != "hidden")
        for name, count in (("hidden", 0), ("seen", 1)):
            assert len(uploads.get(f"/uploads/?metadata.title={name}", headers=JSON).json["files"]) == count

    def test_with_an_index_it_looks_at_what_it_shows(self, real: PyMongo, app: Flask) -> None:
        files = real.db["fs.files"]
        document = {"length": 0, "chunkSize": 1, "uploadDate": datetime(2026, 1, 1)}
        files.insert_many({**document, "filename": f"{n:05}", "metadata": {"tags": ["x", str(n)]}} for n in range(2000))
        answer = app.test_cli_runner().invoke(args=["gridfs", "index", "metadata.tags"])
        assert (answer.exit_code, "metadata.tags, filename, uploadDate" in answer.output) == (0, True)
        real.bucket().list(metadata={"tags": ["1999"]})
        real.db.command("profile", 2)
        assert len(real.bucket().list(metadata={"tags": ["1999"]}).rows) == 1
        real.db.command("profile", 0)
        looks = list(real.db["system.profile"].find({"ns": files.full_name, "command.find": "fs.files"}))
        assert looks
        assert all(look["docsExamined"] <= 2 for look in looks)

    @pytest.mark.parametrize("query", ["age", "metadata.", "metadata.a.b", "metadata.$a", "filename"])
    def test_an_index_of_what_no_listing_asks(self, real: PyMongo, app: Flask, query: str) -> None:
        answer = app.test_cli_runner().invoke(args=["gridfs", "index", query])
        assert (answer.exit_code, "metadata.KEY" in answer.output) == (2, True)
