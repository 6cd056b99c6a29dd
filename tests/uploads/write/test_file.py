"""uploads/write/file.py and receive.py: PUT, forms, their limits, and DELETE."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from flask_wtf.csrf import CSRFProtect
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, StoredFile

from ...conftest import BIG, HTML, JSON, Client, everyone, form, if_match, nothing_stored, put, read


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

    def test_a_decomposed_name_is_taken_composed(self, client: Client) -> None:
        """macOS decomposes the names that it sends; what is not clean otherwise is refused still."""
        uploads = client()
        created = uploads.put("/uploads/be\u0301", data=b"one")
        assert (created.status_code, created.headers["Location"]) == (201, "/uploads/b%C3%A9")
        again = uploads.put("/uploads/be\u0301", data=b"two", headers={"If-Match": created.headers["ETag"]})
        assert (again.status_code, uploads.get("/uploads/b\u00e9").data) == (204, b"two")
        assert again.headers["Content-Location"].startswith("/uploads/b%C3%A9?id=")
        assert uploads.put("/uploads/e\u0301//b", data=b"x").status_code == 400

    def test_a_form_is_no_content(self, client: Client, mongo: PyMongo) -> None:
        answer = client().put("/uploads/a", data=form((b"x", "a")), headers=JSON)
        assert (answer.status_code, answer.content_type) == (415, "application/problem+json")
        assert "send a form with POST" in answer.json["detail"]
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

    @pytest.mark.parametrize("parsed", [False, True])
    def test_files_of_one_name_get_names_of_their_own(self, app: Flask, client: Client, parsed: bool) -> None:
        """Phones call each picture image.jpg; a second form brings versions, as ever."""
        if parsed:
            app.before_request(lambda: (request.files, None)[1])
        uploads, long = client(), "a" * 251 + ".jpg"
        sent = [
            "image.jpg",
            "image.jpg",
            "image (2).jpg",
            "d/image.jpg",
            "image.jpg",
            "be\u0301",
            "b\u00e9",
            ".x",
            ".x",
        ]
        stored = [
            "image.jpg",
            "image (2).jpg",
            "image (2) (2).jpg",
            "d/image.jpg",
            "image (3).jpg",
            "bé",
            "bé (2)",
            ".x",
        ]
        stored += [".x (2)", long, "a" * 247 + " (2).jpg", "IMAGE.jpg"]
        names = [*sent, long, long, "IMAGE.jpg"]
        for count in (1, 2):
            files = form(*((name.encode(), name) for name in names))
            made = uploads.post("/uploads/", data=files, headers=JSON).get_json()["files"]
            assert [file["filename"] for file in made] == stored
            for name, file in zip(names, made, strict=True):
                assert uploads.get(file["url"]).data == name.encode()
                versions = uploads.get(file["url"] + "?versions", headers=JSON).get_json()["versions"]
                assert len(versions) == count

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

    def test_a_name_that_is_not_utf8_is_called_so(self, client: Client) -> None:
        answer = self.post_raw(client(), self.part('name="file"; filename="a\xff"') + b"--frontier--\r\n")
        assert "not UTF-8" in answer.json["detail"]

    @pytest.mark.parametrize("before", [False, True], ids=["parsed by us", "parsed before"])
    @pytest.mark.parametrize(
        ("disposition", "stored"),
        [
            (r'filename="C:\docs\new\a.txt"', "C:/docs/new/a.txt"),
            ("filename*=UTF-8''%e2%82%ac.txt; filename=EUR.txt", "\u20ac.txt"),
            ('filename="=?utf-8?B?w6kudHh0?="', "\u00e9.txt"),
            ('filename="a.txt"', "a.txt"),
        ],
    )
    def test_the_names_of_clients_of_all_ages(
        self, app: Flask, client: Client, disposition: str, stored: str, before: bool
    ) -> None:
        if before:
            app.before_request(lambda: request.form.get("none"))
        answer = self.post_raw(client(), self.part(f'name="file"; {disposition}') + b"--frontier--\r\n")
        assert [file["filename"] for file in answer.json["files"]] == [stored]

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

    # Where something parsed the form before, Werkzeug leaves its temporary files to the collector.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize("before", [False, True], ids=["parsed by us", "parsed before"])
    @pytest.mark.parametrize(
        ("options", "files", "fields", "told"),
        [
            ({"max_form_parts": 3}, 3, {}, None),
            ({"max_form_parts": 3}, 4, {}, "at most 3 parts"),
            ({"max_form_parts": 3}, 3, {"field": "x"}, "at most 3 parts"),
            ({"max_form_parts": 1200}, 1101, {}, None),
            ({}, 1001, {}, "at most 1000 parts"),
            ({}, 1, {"field": "x" * 131_073}, "at most 131072 bytes"),
            ({"max_form_memory_size": 200_000}, 1, {"field": "x" * 131_073}, None),
            (
                {"max_form_parts": 3, "max_form_memory_size": 200_000},
                1,
                {"field": "x" * 200_001},
                "at most 200000 bytes",
            ),
        ],
    )
    def test_a_form_that_exceeds_a_limit_is_told_which(
        self,
        app: Flask,
        client: Client,
        mongo: PyMongo,
        monkeypatch: pytest.MonkeyPatch,
        options: dict[str, Any],
        files: int,
        fields: dict[str, str],
        told: str | None,
        before: bool,
    ) -> None:
        monkeypatch.setattr(app.logger, "disabled", True)  # a logger outlives its application
        uploads = client(authorize=lambda action, name: told is not None or name in ("a", "a (2)", "a (3)"), **options)
        if before:
            app.before_request(lambda: request.form.get("none"))
        texts = {f"field{number}": "x" for number in range(files - 3)} if files > 100 else {}  # files would take time
        answer = uploads.post("/uploads/", data=form(*[(b"x", "a")] * (files - len(texts)), **texts, **fields))
        assert answer.status_code == (413 if told else 201)
        assert (told or "") in answer.text
        assert nothing_stored(mongo) == (told is not None)

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
            ({"resource_policy": "same_site"}, ValueError),
            ({"max_form_parts": 0}, ValueError),
            ({"max_form_parts": None}, ValueError),
            ({"max_form_memory_size": 65_536}, ValueError),
        ],
    )
    def test_options_are_checked(self, mongo: PyMongo, options: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error, match=next(iter(options))):
            mongo.uploads_blueprint(**options)


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
        asks = [("DELETE", "0"), *(("POST", f"-1&{flag}") for flag in ("delete", "restore", "copy=b", "metadata"))]
        for fields in ({}, {"If-Match": "*"}, {"If-None-Match": '"x"'}):
            for method, query in asks:
                answer = uploads.open(f"/uploads/a?version={query}", method=method, headers=fields)
                assert (answer.status_code, "?id=" in answer.json["detail"]) == (428, True)  # type: ignore[index]
        first = if_match(uploads, "/uploads/a?version=0")
        assert uploads.delete("/uploads/a?version=0", headers=first).status_code == 204
        assert uploads.delete("/uploads/a?version=0", headers=first).status_code == 412
        newest = uploads.get("/uploads/a?versions", headers=JSON).json["versions"][0]["id"]
        assert uploads.delete(f"/uploads/a?id={newest}").status_code == 204
        assert uploads.get("/uploads/a").data == b"one"
        assert uploads.delete("/uploads/a?version=5", headers=first).status_code == 404
        assert len(self.remaining(uploads)) == 1

    def test_if_match(self, uploads: FlaskClient) -> None:
        etag = uploads.get("/uploads/a").headers["ETag"]
        assert uploads.delete("/uploads/a", headers={"If-Match": '"x"'}).status_code == 412
        assert uploads.delete("/uploads/a", headers={"If-Match": etag}).status_code == 204

    def test_the_buttons(self, uploads: FlaskClient) -> None:
        page = uploads.get("/uploads/a?versions", headers=HTML).text
        assert "Restore" in page
        assert "Delete version 2" in page
        first = if_match(uploads, "/uploads/a?version=0")
        restored = uploads.post("/uploads/a?version=0&restore", headers=HTML | first)
        assert restored.status_code == 303
        assert uploads.get("/uploads/a").data == b"zero"
        assert len(self.remaining(uploads)) == 4
        assert uploads.post("/uploads/a?version=0&delete", headers=first).status_code == 204
        assert len(self.remaining(uploads)) == 3

    def test_without_authorize_it_is_refused(self, client: Client, mongo: PyMongo) -> None:
        uploads = client()
        uploads.put("/uploads/a", data=b"x")
        for answer in (uploads.delete("/uploads/a"), uploads.post("/uploads/a?delete")):
            assert (answer.status_code, "authorize" in answer.json["detail"]) == (403, True)
        assert uploads.get("/uploads/a").data == b"x"
        assert "Delete" not in uploads.get("/uploads/a?versions", headers=HTML).text


class TestRestoring:
    def test_keeps_the_applications_fields_and_metadata(self, client: Client, store: Bucket) -> None:
        fields = {"owner": "me", "metadata": {"k": [1, 2], "contentType": "x/y"}}
        first = store.save("a", io.BytesIO(b"first"), content_type="application/x-old", fields=fields)
        put(store, "a", b"second")
        assert client().post(f"/uploads/a?restore&id={first.id}").status_code == 201
        found = store.find("a")
        assert found is not None
        assert (read(store, found), found.sha256, found.content_type) == (b"first", first.sha256, "application/x-old")
        assert found.fields == {"owner": "me"}
        assert found.metadata == {"k": [1, 2], "contentType": "application/x-old"}

    def test_what_is_deleted_meanwhile_is_a_409(
        self, client: Client, store: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = put(store, "a", b"first")
        put(store, "a", b"second")
        read_file = Bucket.read

        def too_late(self: Bucket, file: StoredFile, *span: int) -> Any:
            store.delete(id=first.id)
            return read_file(self, file, *span)

        monkeypatch.setattr(Bucket, "read", too_late)
        assert client().post(f"/uploads/a?restore&id={first.id}").status_code == 409
        assert store.count("a") == 1


TEXTS = [
    ("é".encode(), True),
    (b"plain", True),
    (b"", True),
    ("\ufeffé".encode(), True),
    ("é".encode("latin-1"), False),
    ("é".encode("utf-16"), False),
    (b"x" * 65_535 + "é".encode() + b"x" * 300_000, True),  # across the blocks that are read
    (b"x" * 300_000 + b"\xff", False),
    (b"cut \xc3", False),
]


@pytest.mark.parametrize(("content", "is_utf8"), TEXTS, ids=range(len(TEXTS)))
def test_whether_text_is_utf8_is_decided_by_its_bytes(
    client: Client, mongo: PyMongo, content: bytes, is_utf8: bool
) -> None:
    uploads = client()
    uploads.put("/uploads/put.txt", data=content)
    uploads.post("/uploads/", data=form((content, "form.txt")))
    mongo.save_file("saved.txt", io.BytesIO(content), content_type="text/plain")
    served = "text/plain; charset=utf-8" if is_utf8 else "text/plain"
    for name in ("put.txt", "form.txt", "saved.txt"):
        document = mongo.db.fs.files.find_one({"filename": name, "contentType": "text/plain"})
        assert document["metadata"]["contentType"] == "text/plain"
        assert document.get("charset", "missing") == ("utf-8" if is_utf8 else "missing")
        assert uploads.get(f"/uploads/{name}").headers["Content-Type"] == served
        described = uploads.get(f"/uploads/{name}?details", headers=JSON).json
        assert (described["content_type"], described["charset"]) == ("text/plain", "utf-8" if is_utf8 else None)


@pytest.mark.parametrize(
    ("given", "stored", "served"),
    [
        ("text/html; charset=latin-1", ("text/html", "latin-1"), "text/html; charset=latin-1"),
        ("application/json;charset=UTF-8", ("application/json", "UTF-8"), "application/json; charset=UTF-8"),
        ('text/csv; header=present; charset="a:b"', ("text/csv; header=present", "a:b"), None),
        ("text/plain; charset=latin-1; format=flowed", ("text/plain; format=flowed", "latin-1"), None),
        ("text/plain; format=flowed", ("text/plain; format=flowed", "utf-8"), None),
        ("Text/Plain", ("Text/Plain", "utf-8"), "text/plain; charset=utf-8"),
        ("image/x", ("image/x", None), "image/x"),
    ],
)
def test_a_charset_that_python_gives_is_stored_beside_the_type(
    client: Client, mongo: PyMongo, given: str, stored: tuple[str, str | None], served: str | None
) -> None:
    uploads = client(authorize=everyone)
    mongo.save_file("a", io.BytesIO(b"x"), content_type=given)
    uploads.post("/uploads/a?copy=b")
    uploads.post("/uploads/b?restore")
    mongo.bucket().copy("b", "c")
    documents = list(mongo.db.fs.files.find())
    assert {(one["contentType"], one["metadata"]["contentType"], one.get("charset")) for one in documents} == {
        (stored[0], *stored)
    }
    assert len(documents) == 4
    for name in "abc":
        assert uploads.get(f"/uploads/{name}").headers["Content-Type"] == (
            served or f"{stored[0]}; charset={stored[1]}".replace("a:b", '"a:b"')
        )


def test_a_file_whose_type_holds_its_charset_is_served_as_before(client: Client, mongo: PyMongo) -> None:
    uploads = client(authorize=everyone)
    uploads.put("/uploads/a.txt", data=b"x")
    inside = "text/plain;charset=utf-8; format=flowed"
    mongo.db.fs.files.update_one(
        {}, {"$set": {"contentType": inside, "metadata": {"contentType": inside}}, "$unset": {"charset": 1}}
    )
    answer = uploads.get("/uploads/a.txt")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8; format=flowed"
    described = uploads.get("/uploads/?order=type", headers=JSON).json["files"][0]
    assert (described["content_type"], described["charset"]) == ("text/plain", "utf-8")
    uploads.post("/uploads/a.txt?copy=b.txt")
    copied = mongo.db.fs.files.find_one({"filename": "b.txt"})
    assert (copied["contentType"], copied["charset"]) == ("text/plain; format=flowed", "utf-8")


def test_other_types_and_charsets_stay(client: Client, mongo: PyMongo) -> None:
    uploads = client()
    uploads.put("/uploads/a.json", data=b"{}")
    mongo.save_file("b.txt", io.BytesIO(b"x"), content_type="text/plain; charset=iso-8859-15")
    mongo.db.fs.files.insert_one({"filename": "c.txt", "length": 0, "chunkSize": 1, "contentType": "text/plain"})
    found = {name: uploads.get(f"/uploads/{name}").headers["Content-Type"] for name in ("a.json", "b.txt", "c.txt")}
    assert found["a.json"] == "application/json"
    assert found["b.txt"] == "text/plain; charset=iso-8859-15"
    assert found["c.txt"] == "text/plain; charset=utf-8"  # of another tool, which did not look
