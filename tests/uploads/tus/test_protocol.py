"""uploads/tus: what a tus client sends and gets, and every error."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect
from werkzeug.test import Client as WSGIClient
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo, Refused
from flask_gridfs_pymongo.service import bodies
from flask_gridfs_pymongo.signals import file_saved
from flask_gridfs_pymongo.store import Bucket, LeaseLost, Sweep
from flask_gridfs_pymongo.store.resumable import uploads
from flask_gridfs_pymongo.store.resumable.lease import Lease
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE
from flask_gridfs_pymongo.uploads.tus import views as tus

from ...conftest import JSON, Client, content, everyone, nothing_stored, serving
from ...helpers.replica import until
from ...helpers.tus import PATCH, TUS, Crash, crash, lapse, patch


def metadata(**texts: str) -> str:
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in texts.items())


# Of a body with fewer bytes. Werkzeug reports that, unless the server ends bodies itself, as gunicorn does.
BROKEN_OFF = [{"CONTENT_LENGTH": "10"}, {"CONTENT_LENGTH": "10", "wsgi.input_terminated": True}]


def create(client: FlaskClient, length: int | None, url: str = "/uploads/", **fields: str) -> str:
    """Give the URL of a new upload; its name is film.mp4 unless *fields* have their own Upload-Metadata."""
    sent = {**TUS, "Upload-Metadata": metadata(filename="film.mp4")}
    sent |= {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    answer = client.post(url, headers=sent | {name.replace("_", "-"): value for name, value in fields.items()})
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def offset_of(client: FlaskClient, url: str) -> int:
    answer = client.head(url, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["Upload-Offset"])


def drive(mongo: PyMongo) -> WSGIClient:
    return WSGIClient(mongo.webdav_app(authorize=everyone))


def file_of(mongo: PyMongo) -> Any:
    return mongo.db.fs.files.find_one({"filename": "film.mp4"})["_id"]


def past(mongo: PyMongo, field: str, hours: int) -> None:
    """Move a date of the file to so many hours and a second ago: the server's clock may be known a little late."""
    date = datetime.now(UTC) - timedelta(hours=hours, seconds=1)
    mongo.db.fs.files.update_many({"filename": "film.mp4"}, {"$set": {field: date}})


def expire(mongo: PyMongo) -> None:
    past(mongo, "metadata.expiresAt", 0)


def sweep(mongo: PyMongo) -> None:
    past(mongo, "metadata.expiresAt", 2)
    assert [gone.reason for gone in Sweep(mongo.bucket()).run()] == ["expired"]


def supersede(mongo: PyMongo, http: FlaskClient) -> None:
    """Let keep_versions delete it: the newer version is older than what may still be read."""
    past(mongo, "uploadDate", 4)
    http.put("/uploads/film.mp4", data=b"second")
    mongo.db.fs.files.update_one(
        {"filename": "film.mp4", "length": 6}, {"$set": {"uploadDate": datetime.now(UTC) - timedelta(hours=3)}}
    )
    http.put("/uploads/film.mp4", data=b"third")


WAYS: dict[str, Callable[[PyMongo, FlaskClient], Any]] = {
    "DELETE": lambda mongo, http: http.delete("/uploads/film.mp4"),
    "DELETE by id": lambda mongo, http: http.delete(f"/uploads/?id={file_of(mongo)}"),
    "a selection": lambda mongo, http: http.post("/uploads/?delete", data={"id": str(file_of(mongo)), "sure": "1"}),
    "the drive": lambda mongo, http: drive(mongo).delete("/film.mp4"),
    "Bucket.delete": lambda mongo, http: mongo.bucket().delete("film.mp4"),
    "another tool": lambda mongo, http: mongo.db.fs.files.delete_one({"_id": file_of(mongo)}),
    "expiresAt": lambda mongo, http: expire(mongo),
    "a sweep": lambda mongo, http: sweep(mongo),
    "keep_versions": supersede,
}


class TestAnUpload:
    def test_from_the_creation_to_the_file(self, app: Flask, client: Client) -> None:
        saved: list[str] = []
        http, data = client(), content(3 * CHUNK_SIZE + 9)

        def note(sender: Any, file: Any) -> None:
            saved.append(file.filename)

        with file_saved.connected_to(note, app):
            url = create(http, len(data))
            (token,) = parse_qs(urlsplit(url).query)["upload"]
            assert len(base64.urlsafe_b64decode(token + "==")) == 16
            assert "film" not in url
            for start in range(0, len(data), 200_000):
                assert offset_of(http, url) == start
                assert not saved
                answer = patch(http, url, start, data[start : start + 200_000])
                assert answer.status_code == 204
                assert answer.headers["Upload-Offset"] == str(min(len(data), start + 200_000))
                assert answer.headers["Upload-Expires"].endswith(" GMT")
        assert saved == ["film.mp4"]
        stored = http.get("/uploads/film.mp4")
        assert stored.data == data
        assert stored.headers["ETag"] == answer.headers["ETag"]
        assert http.get(answer.headers["Content-Location"]).data == data
        assert stored.mimetype == "video/mp4"

    def test_the_last_answer_was_lost(self, client: Client) -> None:
        http = client()
        url = create(http, 3)
        told = patch(http, url, 0, b"abc").headers
        for answer in (http.head(url, headers=TUS), patch(http, url, 3)):
            assert answer.status_code in (200, 204)
            assert [answer.headers[field] for field in ("Upload-Offset", "ETag", "Content-Location")] == [
                told[field] for field in ("Upload-Offset", "ETag", "Content-Location")
            ]
        again = patch(http, url, 0, b"abc")
        assert (again.status_code, again.headers["Upload-Offset"]) == (409, "3")
        more = patch(http, url, 3, b"d")
        assert (more.status_code, more.headers["Upload-Offset"]) == (413, "3")
        assert http.get("/uploads/film.mp4?versions", headers=JSON).json["versions"][0]["version"] == 0  # type: ignore[index]

    def test_head_tells_everything(self, client: Client) -> None:
        http = client()
        told = metadata(filename="a.txt", filetype="text/plain") + ",alone"
        url = create(http, None, Upload_Metadata=told)
        answer = http.head(url, headers=TUS)
        assert answer.headers["Upload-Defer-Length"] == "1"
        assert "Upload-Length" not in answer.headers
        assert answer.headers["Upload-Metadata"] == told
        patch(http, url, 0, b"ab", Upload_Length="3")
        answer = http.head(url, headers=TUS)
        assert (answer.headers["Upload-Length"], answer.headers["Upload-Offset"]) == ("3", "2")
        assert "Upload-Defer-Length" not in answer.headers

    def test_a_deferred_length(self, client: Client) -> None:
        http = client()
        url = create(http, None)
        assert patch(http, url, 0, b"ab").status_code == 204
        assert http.get("/uploads/film.mp4").status_code == 404
        assert patch(http, url, 2, Upload_Length="2").headers["ETag"]
        assert http.get("/uploads/film.mp4").data == b"ab"

    @pytest.mark.parametrize(("length", "body"), [(0, b""), (3, b"abc")])
    def test_all_of_it_with_the_creation(self, client: Client, length: int, body: bytes) -> None:
        http = client()
        sent = {**PATCH, "Upload-Length": str(length), "Upload-Metadata": metadata(filename="a.txt")}
        answer = http.post("/uploads/", data=body, headers=sent)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, str(length))
        assert answer.headers["ETag"]
        assert http.get("/uploads/a.txt").data == body
        assert offset_of(http, answer.headers["Location"]) == length

    def test_the_beginning_with_the_creation(self, client: Client) -> None:
        http = client()
        sent = {**PATCH, "Upload-Length": "5", "Upload-Metadata": metadata(filename="a.txt")}
        url = http.post("/uploads/", data=b"abc", headers=sent).headers["Location"]
        assert patch(http, url, 3, b"de").status_code == 204
        assert http.get("/uploads/a.txt").data == b"abcde"

    @pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
    def test_a_checksum(self, client: Client, algorithm: str) -> None:
        http, data = client(), content(5 * CHUNK_SIZE)
        url = create(http, len(data))
        digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
        wrong = patch(http, url, 0, data[:-1] + b"x", Upload_Checksum=f"{algorithm} {digest}")
        assert wrong.status == "460 Checksum Mismatch"
        assert offset_of(http, url) == 0
        assert patch(http, url, 0, data, Upload_Checksum=f"{algorithm} {digest}").status_code == 204
        assert http.get("/uploads/film.mp4").data == data

    def test_a_method_that_a_client_cannot_send(self, client: Client) -> None:
        http = client()
        url = create(http, 3)
        sent = {**PATCH, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
        assert http.post(url, data=b"ab", headers=sent).status_code == 204
        assert http.post(url, headers={**TUS, "X-HTTP-Method-Override": "HEAD"}).headers["Upload-Offset"] == "2"
        assert http.post(url, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204
        assert http.head(url, headers=TUS).status_code == 410
        assert http.post(url, headers={**TUS, "X-HTTP-Method-Override": "PUT"}).status_code == 405
        assert http.post(url, headers=TUS).status_code == 405
        assert http.post("/uploads/a.txt", headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 400  # a form

    def test_options(self, client: Client) -> None:
        http = client(max_size=1000)
        for url in ("/uploads/", "/uploads/?upload=x", "/uploads/name"):
            answer = http.options(url)
            assert answer.status_code == 204
            assert answer.headers["Tus-Version"] == "1.0.0"
            assert answer.headers["Tus-Max-Size"] == "1000"
            assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
            assert set(answer.headers["Tus-Extension"].split(",")) == {
                "creation",
                "creation-with-upload",
                "creation-defer-length",
                "expiration",
                "termination",
                "checksum",
            }

    @pytest.mark.parametrize("options", [{"resumable": False}, {"read_only": True}])
    def test_where_it_is_off(self, client: Client, options: dict[str, bool]) -> None:
        http = client(**options)
        assert "Tus-Version" not in http.options("/uploads/").headers
        assert http.post("/uploads/", headers={**TUS, "Upload-Length": "1"}).status_code in (400, 405)
        assert http.patch("/uploads/?upload=x", headers=PATCH).status_code == 405


class TestNames:
    @pytest.mark.parametrize(
        ("url", "told", "name"),
        [
            ("/uploads/a/b.txt", {"filename": "c.txt"}, "a/b.txt"),
            ("/uploads/", {"filename": "c.txt"}, "c.txt"),
            ("/uploads/", {"name": "c.txt"}, "c.txt"),
            ("/uploads/", {"name": "c.txt", "filename": "c.txt", "relativePath": "x/c.txt"}, "x/c.txt"),
            ("/uploads/", {"name": "c.txt", "relativePath": "null"}, "c.txt"),
            ("/uploads/", {"name": "null"}, "null"),
            ("/uploads/", {"filename": "c.txt", "relativePath": "undefined"}, "c.txt"),
            ("/uploads/", {"name": "undefined", "relativePath": "null"}, "undefined"),
            ("/uploads/?folder=x/", {"filename": "../../etc/passwd"}, "x/etc/passwd"),
            ("/uploads/", {"filename": "pho\u202eto.png"}, "photo.png"),
            ("/uploads/", {"filename": "e\u0301.txt"}, "\xe9.txt"),
        ],
    )
    def test_the_urls_or_the_metadatas(
        self, mongo: PyMongo, client: Client, url: str, told: dict[str, str], name: str
    ) -> None:
        create(client(), 0, url, Upload_Metadata=metadata(**told))
        assert mongo.db.fs.files.distinct("filename") == [name]

    def test_the_type_is_a_claim(self, mongo: PyMongo, client: Client) -> None:
        create(client(), 0, Upload_Metadata=metadata(filename="a.png", filetype="text/html"))
        (document,) = mongo.db.fs.files.find()
        assert document["contentType"] == "image/png"
        assert document["metadata"]["clientContentType"] == "text/html"

    @pytest.mark.parametrize(("text", "charset"), [("\xfc" * 300, "utf-8"), ("", "utf-8"), (b"\xfc" * 300, None)])
    def test_the_charset_of_text_is_decided_by_its_bytes(
        self, mongo: PyMongo, client: Client, text: str | bytes, charset: str | None
    ) -> None:
        body, http = text if isinstance(text, bytes) else text.encode(), client()
        url = create(http, len(body), "/uploads/a.txt")
        for start in range(0, len(body), 101):  # in the middle of a character
            patch(http, url, start, body[start : start + 101])
        (document,) = mongo.db.fs.files.find()
        assert (document["contentType"], document.get("charset")) == ("text/plain", charset)

    def test_declared_keys_are_kept(self, mongo: PyMongo, client: Client) -> None:
        http = client(metadata=("title",))
        create(http, 0, Upload_Metadata=metadata(filename="a", Title="Über", other="x") + ",binary /w==")
        (document,) = mongo.db.fs.files.find()
        assert document["metadata"]["title"] == "Über"
        assert "other" not in document["metadata"]
        too_long = {**TUS, "Upload-Length": "0", "Upload-Metadata": metadata(filename="b", title="x" * 1025)}
        assert http.post("/uploads/", headers=too_long).status_code == 400


BAD_CREATIONS: list[tuple[dict[str, str], int]] = [
    ({"Upload-Length": "-1"}, 400),
    ({"Upload-Length": "1.5"}, 400),
    ({"Upload-Length": ""}, 400),
    ({"Upload-Length": "²"}, 400),
    ({"Upload-Length": "9" * 30}, 400),
    ({"Upload-Length": str(2**63)}, 400),
    ({}, 400),
    ({"Upload-Defer-Length": "2"}, 400),
    ({"Upload-Length": "1", "Upload-Defer-Length": "1"}, 400),
    ({"Upload-Length": "1", "Upload-Concat": "partial"}, 400),
    ({"Upload-Concat": "final;/uploads/?upload=x"}, 400),
    ({"Upload-Length": "1", "Upload-Metadata": "filename !"}, 400),
    ({"Upload-Length": "1", "Upload-Metadata": "filename YQ==,filename YQ=="}, 400),
    ({"Upload-Length": "1", "Upload-Metadata": "filename /w=="}, 400),
    ({"Upload-Length": "1", "Upload-Metadata": "filename YQ==,filetype /w=="}, 400),
    ({"Upload-Length": "1", "Upload-Metadata": ",,"}, 400),
    ({"Upload-Length": "1", "Upload-Metadata": "filename " + "YQ==" * 3000}, 400),
    ({"Upload-Length": "1", "Upload-Metadata": ""}, 400),
    ({"Upload-Length": "1", "Upload-Metadata": metadata(filename="..")}, 400),
    ({"Upload-Length": "101"}, 413),
    ({"Upload-Length": "1", "Tus-Resumable": "0.2.2"}, 412),
    ({"Upload-Length": "1", "If-Match": '"x"'}, 412),
    ({"Upload-Length": "1", "Origin": "https://evil.example"}, 403),
]


@pytest.mark.parametrize(("fields", "status"), BAD_CREATIONS)
def test_a_creation_that_is_refused(mongo: PyMongo, client: Client, fields: dict[str, str], status: int) -> None:
    http = client(max_size=100)
    sent = {**TUS, "Upload-Metadata": metadata(filename="a"), **fields}
    answer = http.post("/uploads/", headers=sent)
    assert answer.status_code == status, answer.text
    checked(answer)
    assert mongo.db.fs.uploads.count_documents({}) == 0
    assert nothing_stored(mongo)


def checked(answer: TestResponse) -> None:
    """What every answer of the protocol has."""
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    if answer.status_code == 412 and "Tus-Version" in answer.headers:
        assert answer.headers["Tus-Version"] == "1.0.0"


BAD_PATCHES: list[tuple[dict[str, str], bytes, int]] = [
    ({"Upload-Offset": "0"}, b"1", 409),
    ({"Upload-Offset": "3"}, b"1", 409),
    ({"Upload-Offset": "3"}, b"1" * 100, 409),
    ({"Upload-Offset": "-2"}, b"1", 400),
    ({"Upload-Offset": "x"}, b"1", 400),
    ({}, b"1", 400),
    ({"Upload-Offset": "2", "Content-Type": "application/octet-stream"}, b"1", 415),
    ({"Upload-Offset": "2", "Content-Type": ""}, b"1", 415),
    ({"Upload-Offset": "2", "Tus-Resumable": "2.0.0"}, b"1", 412),
    ({"Upload-Offset": "2", "Tus-Resumable": ""}, b"1", 412),
    ({"Upload-Offset": "2"}, b"1" * 9, 413),
    ({"Upload-Offset": "2", "Upload-Length": "9"}, b"1", 400),
    ({"Upload-Offset": "2", "Upload-Checksum": "crc32 AAAA"}, b"1", 400),
    ({"Upload-Offset": "2", "Upload-Checksum": "sha1"}, b"1", 460),
    ({"Upload-Offset": "2", "Upload-Checksum": "sha1 !"}, b"1", 400),
    ({"Upload-Offset": "2", "Upload-Checksum": "sha1 AAAA"}, b"1", 460),
    ({"Upload-Offset": "2", "Origin": "https://evil.example"}, b"1", 404),
    ({"Upload-Offset": "2", "Sec-Fetch-Site": "cross-site"}, b"1", 404),
]


@pytest.mark.parametrize(("fields", "body", "status"), BAD_PATCHES)
def test_a_patch_that_is_refused(client: Client, fields: dict[str, str], body: bytes, status: int) -> None:
    http = client()
    url = create(http, 10)
    patch(http, url, 0, b"ab")
    sent = {**PATCH, **fields}
    answer = http.patch(url, data=body, headers=sent)
    assert answer.status_code == status, answer.text
    checked(answer)
    if status in (409, 413):
        assert answer.headers["Upload-Offset"] == "2"
    assert offset_of(http, url) == 2
    assert patch(http, url, 2, b"c" * 8).status_code == 204


class TestRefusals:
    def test_an_unknown_token(self, client: Client) -> None:
        http = client()
        for method in ("HEAD", "PATCH", "DELETE"):
            answer = http.open("/uploads/?upload=x", method=method, headers={**PATCH, "Upload-Offset": "0"})
            assert answer.status_code == 404
            checked(answer)
        assert http.get("/uploads/?upload=x", headers=TUS).status_code == 405

    def test_the_stored_token_is_no_token(self, mongo: PyMongo, client: Client) -> None:
        http = client()
        create(http, 10)
        (document,) = mongo.db.fs.uploads.find()
        assert http.head(f"/uploads/?upload={document['token']}", headers=TUS).status_code == 404

    def test_rights_are_asked_at_each_request(self, mongo: PyMongo, client: Client) -> None:
        asked, granted = [], [True]

        def authorize(action: str, filename: str | None) -> bool:
            asked.append((action, filename))
            return granted[0]

        http = client(authorize=authorize)
        url = create(http, 3)
        granted[0] = False
        assert http.head(url, headers=TUS).status_code == 404
        assert patch(http, url, 0, b"abc").status_code == 404
        assert http.delete(url, headers=TUS).status_code == 404
        assert http.post("/uploads/b", headers={**TUS, "Upload-Length": "1"}).status_code == 403
        granted[0] = True
        assert patch(http, url, 0, b"abc").status_code == 204
        assert set(asked) == {("write", "film.mp4"), ("write", "b")}

    def test_rights_are_asked_for_again_before_the_commit(self, mongo: PyMongo, client: Client) -> None:
        answers = [True, True, False]  # to the creation, to the PATCH, and taken back meanwhile
        http = client(authorize=lambda action, filename: answers.pop(0))
        url = create(http, 3 * CHUNK_SIZE)
        assert patch(http, url, 0, content(3 * CHUNK_SIZE)).status_code == 403
        assert nothing_stored(mongo)
        answers.append(True)
        assert http.head(url, headers=TUS).status_code == 410

    def test_terminated(self, mongo: PyMongo, client: Client) -> None:
        http = client()
        url = create(http, 10 * CHUNK_SIZE)
        patch(http, url, 0, content(4 * CHUNK_SIZE))
        assert http.delete(url, headers=TUS).status_code == 204
        assert nothing_stored(mongo)
        for answer in (http.head(url, headers=TUS), patch(http, url, 0)):
            assert answer.status_code == 410
            assert "Upload-Offset" not in answer.headers
        assert http.delete(url, headers=TUS).status_code == 204

    def test_terminating_again_removes_what_is_left(
        self, mongo: PyMongo, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The database was lost when the upload was marked as gone, and its chunks were not removed."""
        http = client()
        url = create(http, 10 * CHUNK_SIZE)
        patch(http, url, 0, content(4 * CHUNK_SIZE))

        def lost(writer: Any) -> None:
            raise AutoReconnect("gone")

        with monkeypatch.context() as broken:
            broken.setattr("flask_gridfs_pymongo.store.resumable.completion._remove_chunks", lost)
            assert http.delete(url, headers=TUS).status_code == 503
        assert not nothing_stored(mongo)
        assert http.delete(url, headers=TUS).status_code == 204
        assert nothing_stored(mongo)

    def test_ending_a_finished_upload_keeps_its_file(self, client: Client) -> None:
        http = client()
        url = create(http, 3)
        patch(http, url, 0, b"abc")
        assert http.delete(url, headers=TUS).status_code == 204
        assert http.head(url, headers=TUS).status_code == 410
        assert http.delete(url, headers=TUS).status_code == 204
        assert http.get("/uploads/film.mp4").data == b"abc"

    @pytest.mark.parametrize("way", WAYS)
    def test_whose_file_is_gone(self, mongo: PyMongo, client: Client, way: str) -> None:
        http = client(authorize=everyone, expire_after=3600, keep_versions=1)
        url = create(http, 3)
        patch(http, url, 0, b"abc")
        other = create(http, 3, Upload_Metadata=metadata(filename="other.mp4"))
        patch(http, other, 0, b"abc")
        WAYS[way](mongo, http)
        for answer in (http.head(url, headers=TUS), patch(http, url, 3), patch(http, url, 0, b"abc")):
            assert answer.status_code == 410
            assert not {"Upload-Offset", "ETag", "Content-Location"} & {*answer.headers.keys()}
        assert http.delete(url, headers=TUS).status_code == 204
        assert offset_of(http, other) == 3
        url = create(http, 3)
        assert patch(http, url, 0, b"abc").status_code == 204
        assert http.get("/uploads/film.mp4").data == b"abc"

    def test_whose_file_expired_before_its_end_was_told(
        self, mongo: PyMongo, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        http = client(expire_after=3600)
        url = create(http, 3)
        with monkeypatch.context() as patched:
            patched.setattr(Lease, "end", crash)
            with pytest.raises(Crash):
                patch(http, url, 0, b"abc")
        lapse(Bucket(mongo.db))
        expire(mongo)
        assert http.head(url, headers=TUS).status_code == 410
        assert patch(http, url, 3).status_code == 410

    @pytest.mark.parametrize("way", ["renamed", "moved by the drive", "followed by a newer version"])
    def test_whose_file_has_another_name_or_a_newer_version(self, mongo: PyMongo, client: Client, way: str) -> None:
        http = client(authorize=everyone)
        url = create(http, 3)
        told = patch(http, url, 0, b"abc").headers
        if way == "renamed":
            assert http.post("/uploads/film.mp4?move=new.mp4").status_code == 201
        elif way == "moved by the drive":
            fields = {"Destination": "http://localhost/new.mp4"}
            assert drive(mongo).open("/film.mp4", method="MOVE", headers=fields).status_code == 201
        else:
            http.put("/uploads/film.mp4", data=b"newer")
        answer = http.head(url, headers=TUS)
        assert (answer.status_code, answer.headers["ETag"]) == (200, told["ETag"])
        assert http.get(answer.headers["Content-Location"]).data == b"abc"

    def test_expired(self, mongo: PyMongo, client: Client) -> None:
        """The next creation removes it."""
        http = client()
        url = create(http, 3 * CHUNK_SIZE)
        patch(http, url, 0, content(2 * CHUNK_SIZE))
        lapse(Bucket(mongo.db), "expires")
        assert http.head(url, headers=TUS).status_code == 410
        assert patch(http, url, 2 * CHUNK_SIZE, b"x").status_code == 410
        create(http, 3)
        assert nothing_stored(mongo)
        assert http.head(url, headers=TUS).status_code == 410

    def test_too_many(self, mongo: PyMongo, client: Client) -> None:
        http = client(max_uploads=2)
        first = create(http, 3)
        create(http, 3)
        answer = http.post("/uploads/a", headers={**TUS, "Upload-Length": "3"})
        assert answer.status_code == 429
        assert answer.headers["Retry-After"]
        patch(http, first, 0, b"abc")
        create(http, 3)

    def test_one_client_never_takes_all(self, mongo: PyMongo, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        http = client(max_uploads=20, authorize=everyone)

        def created(address: str, number: int) -> tuple[int, list[str]]:
            """How many of *number* uploads an address can make, and their URLs."""
            http.environ_base["REMOTE_ADDR"] = address
            answers = [http.post("/uploads/a", headers={**TUS, "Upload-Length": "3"}) for _ in range(number)]
            refused = [answer for answer in answers if answer.status_code != 201]
            assert all((answer.status_code, answer.headers["Retry-After"]) == (429, "60") for answer in refused)
            return number - len(refused), [answer.headers.get("Location", "") for answer in answers]

        made, urls = created("203.0.113.5", 15)
        assert made == 11  # more than half, and from then on a tenth
        assert created("203.0.113.5", 1)[0] == 0
        assert created("198.51.100.1", 3)[0] == 2
        assert [http.delete(url, headers=TUS).status_code for url in urls[:11]] == [204] * 11
        assert created("203.0.113.5", 1)[0] == 0  # those that were terminated at once count
        assert created("2001:db8::1", 3)[0] == 2
        assert created("2001:db8::2", 1)[0] == 0
        assert created("127.0.0.1", 7)[0] == 5  # who knows how many clients this is
        assert created("192.0.2.1", 1)[0] == 0
        monkeypatch.setattr(uploads, "_TERMINATED_FOR", timedelta(seconds=-5))
        assert created("203.0.113.5", 3)[0] == 2
        assert "203.0" not in str(list(mongo.db.fs.uploads.find()))
        assert all(gone["details"] == {} for gone in mongo.db.fs.uploads.find({"state": "gone"}))

    def test_a_creation_removes_little_of_what_has_expired(
        self, app: Flask, mongo: PyMongo, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tus, "_MAX_CHUNKS", 2)
        http, chunks = client(), mongo.db.fs.chunks
        url = create(http, 9 * CHUNK_SIZE)
        patch(http, url, 0, bytes(5 * CHUNK_SIZE))
        lapse(Bucket(mongo.db), "expires")
        left = []
        for _ in range(3):
            create(http, 3)
            left.append(chunks.count_documents({}))
            assert http.head(url, headers=TUS).status_code in (404, 410)
        assert left == [3, 1, 0]
        for _ in range(3):
            patch(http, create(http, 9 * CHUNK_SIZE), 0, bytes(5 * CHUNK_SIZE))
        lapse(Bucket(mongo.db), "expires")
        assert app.test_cli_runner().invoke(args=["gridfs", "expire", "--dry-run"]).exit_code == 0
        assert chunks.count_documents({}) == 15
        assert app.test_cli_runner().invoke(args=["gridfs", "expire"]).exit_code == 0
        assert chunks.count_documents({}) == 0

    def test_preconditions_hold_at_the_end_too(self, mongo: PyMongo, client: Client) -> None:
        http = client()
        url = create(http, CHUNK_SIZE + 1, If_None_Match="*")
        patch(http, url, 0, content(CHUNK_SIZE))
        assert http.put("/uploads/film.mp4", data=b"somebody was faster").status_code == 201
        assert patch(http, url, CHUNK_SIZE, b"x").status_code == 412
        assert http.get("/uploads/film.mp4").data == b"somebody was faster"
        assert mongo.db.fs.chunks.count_documents({}) == 1
        assert http.head(url, headers=TUS).status_code == 410
        etag = http.get("/uploads/film.mp4").headers["ETag"]
        url = create(http, 3, If_Match=etag)
        assert patch(http, url, 0, b"abc").status_code == 204

    def test_other_requests_have_none(self, client: Client) -> None:
        """The protocol has its offset."""
        http, wrong = client(authorize=everyone), {"If-Match": '"wrong"', "If-None-Match": "*"}
        url = http.post("/uploads/a", headers={**TUS, "Upload-Length": "3"}).headers["Location"]
        assert http.head(url, headers={**TUS, **wrong}).status_code == 200
        assert patch(http, url, 0, b"ab", **wrong).status_code == 204
        assert http.delete(url, headers={**TUS, **wrong}).status_code == 204

    def test_what_inspect_refuses(self, mongo: PyMongo, client: Client) -> None:
        outcome: list[Exception] = [Refused("a virus"), RuntimeError("no scanner")]

        def inspect(file: Any, read: Callable[[], Any]) -> None:
            assert b"".join(read()) == b"abc"
            if outcome:
                raise outcome.pop()

        http = client(inspect=inspect)
        url = create(http, 3)
        assert patch(http, url, 0, b"abc").status_code == 503
        assert http.get("/uploads/film.mp4").status_code == 404
        answer = http.head(url, headers=TUS)  # asks again
        assert answer.status_code == 422
        assert nothing_stored(mongo)
        url = create(http, 3)
        assert patch(http, url, 0, b"abc").status_code == 204

    def test_of_two_who_finish_it_one_tells(
        self, app: Flask, mongo: PyMongo, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("flask_gridfs_pymongo.store.resumable.lease.RENEWAL", 60)  # as one that sleeps
        told: list[str] = []

        def note(sender: Any, file: Any) -> None:
            told.append(file.filename)

        def inspect(file: Any, read: Callable[[], Any]) -> None:
            urls = [url] * (not told)
            if urls:
                lapse(Bucket(mongo.db))
                told.append("inspected")
                assert offset_of(app.test_client(), urls[0]) == 3

        http = client(inspect=inspect)
        url = create(http, 3)
        with file_saved.connected_to(note, app):
            answer = patch(http, url, 0, b"abc")
        assert (answer.status_code, told) == (204, ["inspected", "film.mp4"])
        assert http.get(answer.headers["Content-Location"]).data == b"abc"

    def test_overtaken(self, mongo: PyMongo, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """A question is asked again; who sends bytes learns from where to go on."""
        http = client()
        url = create(http, 10)
        patch(http, url, 0, b"abc")

        def overtake(*args: Any, **options: Any) -> None:
            raise LeaseLost

        monkeypatch.setattr(Lease, "move", overtake)
        lapse(Bucket(mongo.db))
        for answer in (http.head(url, headers=TUS), http.post(url, headers={**TUS, "X-HTTP-Method-Override": "HEAD"})):
            assert (answer.status_code, answer.headers["Retry-After"]) == (423, "1")
            assert "Upload-Offset" not in answer.headers
            lapse(Bucket(mongo.db))
        answer = patch(http, url, 3, b"d")
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "3")

    def test_bytes_that_are_gone(self, mongo: PyMongo, client: Client) -> None:
        http = client()
        url = create(http, 3 * CHUNK_SIZE)
        patch(http, url, 0, content(2 * CHUNK_SIZE))
        mongo.db.fs.chunks.delete_one({"n": 1})
        assert patch(http, url, 2 * CHUNK_SIZE, content(CHUNK_SIZE)).status_code == 410
        assert http.head(url, headers=TUS).status_code == 410
        assert nothing_stored(mongo)

    def test_an_index_that_does_not_let_it_in(self, mongo: PyMongo, client: Client) -> None:
        mongo.db.fs.files.create_index("sha256", unique=True)
        http = client()
        http.put("/uploads/first", data=b"abc")
        url = create(http, 3)
        assert patch(http, url, 0, b"abc").status_code == 409
        assert http.head(url, headers=TUS).status_code == 410
        assert mongo.db.fs.chunks.count_documents({}) == 1

    @pytest.mark.parametrize("server", BROKEN_OFF)
    def test_a_body_that_breaks_off_is_kept(self, client: Client, server: dict[str, Any]) -> None:
        http = client()
        url = create(http, 10)
        sent = {**PATCH, "Upload-Offset": "0"}
        answer = http.patch(url, data=b"abcd", headers=sent, environ_overrides=server)
        assert answer.status_code == 400
        assert offset_of(http, url) == 4

    @pytest.mark.parametrize("server", BROKEN_OFF)
    def test_a_body_with_a_checksum_that_breaks_off_is_not(self, client: Client, server: dict[str, Any]) -> None:
        http = client()
        url = create(http, 10)
        sent = {**PATCH, "Upload-Offset": "0", "Upload-Checksum": "sha1 AAAA"}
        answer = http.patch(url, data=b"abcd", headers=sent, environ_overrides=server)
        assert answer.status_code == 400
        assert offset_of(http, url) == 0

    def test_a_body_without_a_length_that_is_too_long_moves_nothing(self, client: Client) -> None:
        http = client()
        url = create(http, 6 * CHUNK_SIZE)
        sent = {**PATCH, "Upload-Offset": "0", "Transfer-Encoding": "chunked"}
        stream = io.BytesIO(content(6 * CHUNK_SIZE + 1))
        answer = http.open(
            url, method="PATCH", input_stream=stream, headers=sent, environ_base={"wsgi.input_terminated": True}
        )
        assert answer.status_code == 413
        assert offset_of(http, url) == 0

    def test_a_first_body_that_is_refused_leaves_nothing(self, mongo: PyMongo, client: Client) -> None:
        http = client()
        sent = {**PATCH, "Upload-Length": "2", "Upload-Metadata": metadata(filename="a")}
        assert http.post("/uploads/", data=b"abc", headers=sent).status_code == 413
        assert http.post("/uploads/", data=b"ab", headers=sent | {"Upload-Checksum": "sha1 AAAA"}).status_code == 460
        assert http.post("/uploads/", data=b"ab", headers=sent | {"Content-Type": "text/plain"}).status_code == 415
        assert mongo.db.fs.uploads.count_documents({"state": "open"}) == 0
        assert nothing_stored(mongo)

    def test_max_size_holds_where_the_length_comes_later(self, client: Client) -> None:
        http = client(max_size=10)
        url = create(http, None)
        assert patch(http, url, 0, b"1" * 11).status_code == 413
        assert patch(http, url, 0, b"1", Upload_Length="11").status_code == 413
        assert patch(http, url, 0, b"1" * 5).status_code == 204
        assert patch(http, url, 5, b"", Upload_Length="4").status_code == 413
        assert patch(http, url, 5, b"1" * 5, Upload_Length="10").status_code == 204

    def test_logs_show_six_characters_of_a_token(
        self, app: Flask, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        http = client()
        url = create(http, 3)
        (token,) = parse_qs(urlsplit(url).query)["upload"]
        with caplog.at_level(logging.INFO):
            patch(http, url, 0, b"abcd")
        assert token[:6] in caplog.text
        assert token[:7] not in caplog.text


class TestOnTheWire:
    @pytest.fixture
    def address(self, app: Flask, real: PyMongo) -> Iterator[str]:
        app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads"))
        with serving(app) as address:
            yield address

    def begin_patch(self, address: str, url: str, length: int, body: bytes) -> socket.socket:
        """Send the beginning of a PATCH, and stall."""
        parts = urlsplit(address)
        connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
        fields = "".join(f"{name}: {value}\r\n" for name, value in (PATCH | {"Upload-Offset": "0"}).items())
        head = f"PATCH {url} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {length}\r\n{fields}\r\n"
        connection.sendall(head.encode() + body)
        return connection

    def test_a_stalled_patch_is_taken_over(self, app: Flask, address: str, real: PyMongo) -> None:
        http, data = app.test_client(), content(6 * CHUNK_SIZE)
        url = create(http, len(data))
        with closing(self.begin_patch(address, url, len(data), data[: 5 * CHUNK_SIZE])) as stalled:
            until(lambda: real.db.fs.uploads.find_one({"offset": {"$gt": 0}}))
            start = time.monotonic()
            while (answer := http.head(url, headers=TUS)).status_code == 423:
                assert answer.headers["Retry-After"] == "1"
            assert time.monotonic() - start < 10  # 2 s on a machine that does nothing else
            offset = int(answer.headers["Upload-Offset"])
            assert patch(http, url, offset, data[offset:]).status_code == 204
            stalled.sendall(data[5 * CHUNK_SIZE :])
            with closing(HTTPResponse(stalled)) as overtaken:
                overtaken.begin()
                assert (overtaken.status, overtaken.headers["Upload-Offset"]) == (409, str(len(data)))
        assert http.get("/uploads/film.mp4").data == data
        assert real.db.fs.chunks.count_documents({}) == 6

    def test_a_dead_connection_gives_its_thread_back(
        self, app: Flask, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bodies, "STORED", bodies.Rate(1024, 0.3, 65536))
        http = app.test_client()
        url = create(http, 100)
        with (
            closing(self.begin_patch(address, url, 100, b"x" * 10)) as stalled,
            closing(HTTPResponse(stalled)) as answer,
        ):
            answer.begin()
            assert answer.status == 408
        assert offset_of(http, url) in (0, 10)  # what a read did not give away yet may be lost
