"""http/metadata.py: what a request says about a file, and where that is stored."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.http.metadata import Keys

from .conftest import Client, form, nothing_stored

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
        ("X-Metadata-Colour", "red", "not one of those that are kept here: title, tags, Taken-By"),
        ("X-Metadata-", "red", "not one of"),
        ("X-Metadata-Title.x", "red", "not one of"),
        ("X-Metadata-Title", "\xc3\xbc", "not ASCII"),
        ("X-Metadata-Title", "UTF-8'%C3%BC", "broken"),
        ("X-Metadata-Title", "UTF-8''%C3", "broken"),
        ("X-Metadata-Title", "UTF-8''%ED%A0%80", "broken"),
        ("X-Metadata-Title", "UTF-8''%", "broken"),
        ("X-Metadata-Title", "UTF-8''a b", "broken"),
        ("X-Metadata-Tags", "UTF-8''a,", "broken"),
        ("X-Metadata-Tags", "UTF-8''a,b", "broken"),
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
    with pytest.raises(ValueError, match="kept here: none"):
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
    assert KEYS.of_query(args) == [("tags", "red"), ("tags", "blue"), ("title", "$ne")]
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
        expected = {"title": "ü", "tags": "red", "clientContentType": "text/x-claim", "contentType": "text/plain"}
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
