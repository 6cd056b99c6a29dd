"""uploads/links: who has a link may add files within its limits, and nothing else."""

from __future__ import annotations

import io
import itertools
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from flask import Flask, abort, request, url_for
from flask.testing import FlaskClient
from flask_wtf.csrf import CSRFProtect
from werkzeug.routing import BuildError
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service import receive
from flask_gridfs_pymongo.service.receive import PartlyStored
from flask_gridfs_pymongo.signals import file_saved
from flask_gridfs_pymongo.store import Bucket, IndexConflict, Link, Saved, Unconfirmed, Writer
from flask_gridfs_pymongo.store.clock import Clock

from ...conftest import HTML, JSON, form, put
from ...helpers.tus import TUS, Crash, crash, patch

Make = Callable[..., FlaskClient]
REFUSED = {"revoked": "This link was revoked.", "expired": "This link has expired."}


def nobody(action: str, filename: str | None) -> bool:
    return False


@pytest.fixture
def make(app: Flask, mongo: PyMongo) -> Iterator[Make]:
    """``make(**options)`` registers a blueprint by which nobody may do anything, and gives a client."""
    app.secret_key = "secret"

    def register(**options: Any) -> FlaskClient:
        app.register_blueprint(mongo.uploads_blueprint(**{"url_prefix": "/uploads", "authorize": nobody, **options}))
        return app.test_client()

    with app.test_request_context():
        yield register


class Unread(io.BytesIO):
    """A body that breaks off when it is read."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError


def unread(length: int = 9) -> dict[str, Any]:
    return {"environ_overrides": {"wsgi.input": Unread(), "CONTENT_LENGTH": str(length)}}


def names(store: Bucket) -> list[str]:
    return [row.file.filename for row in store.list().rows]


def bare(name: str) -> str:
    """A name without the date and the random part."""
    return re.sub(r"\d{4}-\d\d-\d\d-[0-9a-f]{12}/", "*/", name)


def receipt(answer: TestResponse) -> list[tuple[str, int, str]]:
    assert answer.status_code == 201, answer.text
    assert answer.json is not None
    assert list(answer.json) == ["files"]
    return [(file["filename"], file["length"], file["sha256"]) for file in answer.json["files"]]


def stored(name: str, data: bytes) -> tuple[str, int, str]:
    return name, len(data), sha256(data).hexdigest()


def begin(client: FlaskClient, url: str, length: int, name: str = "a.bin") -> TestResponse:
    named = f"filename {b64encode(name.encode()).decode()}"
    return client.post(url, headers={**TUS, "Upload-Length": str(length), "Upload-Metadata": named})


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = Clock.now
    monkeypatch.setattr(Clock, "now", lambda clock: now(clock) + timedelta(seconds=seconds))


class TestUploadUrl:
    def test_it_takes_one_file_under_one_name(self, make: Make, mongo: PyMongo, store: Bucket) -> None:
        client, url = make(), mongo.upload_url("avatars/ann.png", expires_in=60)
        assert client.put("/uploads/avatars/ann.png", data=b"x").status_code == 403
        assert (
            client.put(url, data=b"123", environ_overrides={"CONTENT_LENGTH": "9"}).status_code == 400
        )  # it broke off
        assert client.put(url, data=b"123", headers={"Content-MD5": "AAAA"}).status_code == 400
        assert receipt(client.put(url, data=b"123", headers=HTML)) == [stored("avatars/ann.png", b"123")]
        assert client.put(url, **unread()).json["detail"] == "This link has been used up."
        assert names(store) == ["avatars/ann.png"]
        store.delete("avatars/ann.png")
        assert client.put(url, data=b"123").status_code == 410
        assert receipt(client.put(mongo.upload_url("avatars/ann.png"), data=b"1"))

    def test_it_adds_a_version(self, make: Make, mongo: PyMongo, store: Bucket) -> None:
        client, old = make(), put(store, "a.txt", b"old")
        assert client.put(mongo.upload_url("a.txt"), data=b"2", headers={"If-None-Match": "*"}).status_code == 412
        url = mongo.upload_url("a.txt")
        assert client.put(url, data=b"2", headers={"If-Match": '"0"'}).status_code == 412
        assert receipt(client.put(url, data=b"2", headers={"If-Match": f'"{old.etag}"'}))
        assert store.count("a.txt") == 2

    def test_it_takes_a_tus_upload(self, make: Make, mongo: PyMongo, store: Bucket) -> None:
        client, url = make(), mongo.upload_url("film.mp4")
        upload = begin(client, url, 4, "other.exe").headers["Location"]
        assert client.head(upload, headers=TUS).headers["Upload-Offset"] == "0"
        assert patch(client, upload, 0, b"12").status_code == 204
        done = patch(client, upload, 2, b"34")
        assert (done.status_code, "Content-Location" in done.headers) == (204, False)
        assert client.head(upload, headers=TUS).headers["Upload-Offset"] == "4"  # the answer was lost
        assert names(store) == ["film.mp4"]
        assert begin(client, url, 4).status_code == 410

    def test_racing_uploads(self, make: Make, app: Flask, mongo: PyMongo, store: Bucket) -> None:
        make()
        url = mongo.upload_url("a.txt")

        def send(number: int) -> int:
            return app.test_client().put(url, data=b"%d" % number).status_code

        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(send, range(8))) == [201] + [410] * 7
        assert store.count("a.txt") == 1

    def test_what_it_refuses(self, make: Make, mongo: PyMongo, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        client = make(max_size=100, types=["image/*", "text/plain"])
        url = mongo.upload_url("a.png", 60, max_size=10, types=["image/png"])
        assert client.put(url, **unread(11)).status_code == 413
        chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        assert client.put(url, input_stream=io.BytesIO(b"x" * 11), environ_overrides=chunked).status_code == 413
        assert begin(client, url, 11).status_code == 413
        assert client.put(mongo.upload_url("a.png", max_size=999), **unread(101)).status_code == 413
        for name, types in (("a.gif", ["image/png"]), ("a.pdf", None), ("a.txt", ["image/*"])):
            assert client.put(mongo.upload_url(name, types=types), **unread()).status_code == 415
            assert begin(client, mongo.upload_url(name, types=types), 5).status_code == 415
        assert client.put(mongo.upload_url("a", types=["image/png"]), data=b"text").status_code == 415  # by its bytes
        for method in ("GET", "HEAD", "POST", "PATCH", "DELETE"):
            answer = client.open(url, method=method)
            assert (answer.status_code, answer.headers["Allow"]) == (405, "PUT, OPTIONS"), method
        assert client.put(f"{url}/a.png", data=b"1").status_code == 404
        later(monkeypatch, 61)
        assert client.put(url, **unread()).json["detail"] == "This link has expired."
        assert names(store) == []

    def test_it_is_for_one_blueprint(self, make: Make, app: Flask, mongo: PyMongo) -> None:
        client = make()
        app.register_blueprint(mongo.uploads_blueprint("other", url_prefix="/other"))
        for url in (mongo.upload_url("a"), mongo.upload_link("")):
            assert client.put(url.replace("/uploads/", "/other/"), data=b"1").status_code == 404
        url, token = "/uploads/~", mongo.upload_url("a").partition("~")[2]
        for place in range(0, len(token) - 1, 7):
            changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            expected = 403 if token[place] == "." else 404  # without the dot it is a name
            assert client.put(url + changed, data=b"1").status_code == expected, place
        signed = mongo.save_file("b", io.BytesIO(b"b")) and mongo.uploads_url("b").partition("=")[2]
        assert client.put(url + signed, data=b"1").status_code in (403, 404)
        app.secret_key = None
        assert client.put(url + token, data=b"1").status_code == 404

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ({"filename": "a/../b"}, "filename"),
            ({"filename": ""}, "filename"),
            ({"filename": "a/"}, "filename"),
            ({"filename": 5}, "filename"),
            ({"expires_in": 0}, "expires_in"),
            ({"expires_in": "5"}, "expires_in"),
            ({"max_size": -1}, "max_size"),
            ({"types": ["png"]}, "types"),
            ({"types": "image/png"}, "types"),
            ({"types": iter(["image/png"])}, "types"),
            ({"types": [5]}, "types"),
            ({"max_sizes": 5}, "max_sizes is neither"),
            ({"name": "none"}, "none"),
        ],
    )
    def test_wrong_arguments(self, make: Make, mongo: PyMongo, arguments: dict[str, Any], problem: str) -> None:
        make()
        with pytest.raises((ValueError, TypeError), match=problem):
            mongo.upload_url(**{"filename": "a", **arguments})


class TestUploadLink:
    def test_a_put_a_form_and_tus(self, make: Make, mongo: PyMongo, store: Bucket) -> None:
        client, link = make(), mongo.upload_link("inbox/")
        for name, kept in (
            ("cv.pdf", "cv.pdf"),
            ("cv.pdf", "cv.pdf"),
            (" x/./a\\b .txt", "x/a/b .txt"),
            ("é" * 200, 0),
        ):
            (told,) = receipt(client.put(f"{link}/{name.replace('./', '')}", data=b"1"))
            assert told[1:] == stored("", b"1")[1:]
            assert told[0] == kept or (kept == 0 and set(told[0]) == {"é"})
        files = form((b"1", "a.txt"), (b"22", "a.txt"), (b"3", "../../b"))
        told = receipt(client.post(link, data=files))
        assert told == [stored("a.txt", b"1"), stored("a (2).txt", b"22"), stored("b", b"3")]
        upload = begin(client, f"{link}/", 2, "dir/c").headers["Location"]
        assert patch(client, upload, 0, b"12").status_code == 204
        assert {bare(name) for name in names(store) if "é" not in name} == {
            *(
                "inbox/*/cv.pdf",
                "inbox/*/x/a/b .txt",
                "inbox/*/a.txt",
                "inbox/*/a (2).txt",
                "inbox/*/b",
                "inbox/*/dir/c",
            )
        }
        assert len({name.split("/")[1] for name in names(store)}) == 6  # a request each
        assert all(store.count(name) == 1 for name in names(store))

    @pytest.mark.parametrize("resumable", [True, False])
    def test_no_query_leads_to_a_name_that_its_user_chooses(
        self, make: Make, mongo: PyMongo, store: Bucket, resumable: bool
    ) -> None:
        client, links = make(resumable=resumable), [mongo.upload_link(""), mongo.upload_link("inbox/")]
        put(store, "inbox/a.txt", b"old")
        for link, query in itertools.product(links, ("upload=x", "upload", "upload=x&visit=1", "folder=inbox/&upload")):
            for name in ("inbox/a.txt", "a.txt"):
                receipt(client.put(f"{link}/{name}?{query}", data=b"new"))
                begin(client, f"{link}/{name}?{query}", 0)
                begin(client, f"{link}/inbox/?{query}", 0, "a.txt")
        assert (store.count("inbox/a.txt"), store.count("a.txt")) == (1, 0)
        assert {bare(name).partition("*")[0] for name in names(store)} == {"", "inbox/", "inbox/a.txt"}

    def test_a_visit_of_the_page_has_one_folder(self, make: Make, mongo: PyMongo, store: Bucket) -> None:
        client, link = make(), mongo.upload_link("", max_size=10, types=["text/*"])
        page = client.get(link, headers=HTML)
        action = re.findall(r'action="([^"]+)"', page.text)
        assert len(action) == 1
        for name, query in (("a.txt", ""), ("b.txt", "&folder=x/")):
            assert receipt(client.post(action[0] + query, data=form((b"1", name)), headers=JSON))
        assert patch(client, begin(client, action[0], 1, "c.txt").headers["Location"], 0, b"1").status_code == 204
        (top,) = {name.split("/")[0] for name in names(store)}
        assert [bare(name) for name in names(store)] == ["*/a.txt", "*/c.txt", "*/x/b.txt"]
        assert top not in page.text
        assert "inbox" not in page.text
        again = client.get(link, headers=HTML)
        assert action[0] not in again.text
        refused = client.post(action[0], data=form((b"x" * 11, "d.txt")), headers=HTML)
        assert (refused.status_code, f'href="{link}/">Back</a>' in refused.text) == (413, True)
        shown = client.post(action[0], data=form((b"1", "<d>.txt")), headers=HTML)
        assert (shown.status_code, "&lt;d&gt;.txt" in shown.text, stored("", b"1")[2] in shown.text) == (
            201,
            True,
            True,
        )
        assert client.get(link, headers=JSON).json["max_size"] == 10

    def test_twenty_racing_uploads_never_pass_the_limit(
        self, make: Make, app: Flask, mongo: PyMongo, store: Bucket
    ) -> None:
        make()
        link = mongo.upload_link("inbox/", max_files=5)
        mine = [begin(app.test_client(), link, 1).headers["Location"] for _ in range(6)]

        def send(number: int) -> int:
            client = app.test_client()
            if number < 6:
                return patch(client, mine[number], 0, b"1").status_code
            if number < 13:
                return client.put(f"{link}/{number}", data=b"1").status_code
            return client.post(link, data=form((b"1", "a"), (b"2", "b"))).status_code

        with ThreadPoolExecutor(10) as threads:
            statuses = [*threads.map(send, range(20))]
        assert set(statuses) <= {201, 204, 410}
        stored = len(names(store))
        assert 4 <= stored <= 5  # a form of two may not fit
        assert store.chunks.count_documents({}) == stored
        assert client_statuses(app.test_client(), link) == {201 if stored == 4 else 410}

    def test_what_it_refuses_before_the_body(self, make: Make, mongo: PyMongo, store: Bucket) -> None:
        client = make(max_size=2000)
        link = mongo.upload_link("inbox/", max_size=10, types=["image/*", "application/pdf"])
        assert client.put(f"{link}/a.png", **unread(11)).status_code == 413
        assert client.put(f"{link}/a.exe", **unread()).status_code == 415
        assert begin(client, link, 11, "a.png").status_code == 413
        assert begin(client, link, 1, "a.html").status_code == 415
        assert client.post(link, data=form((b"1", "a.html"))).status_code == 415
        assert client.post(link, data=form((b"x" * 11, "a.png"))).status_code == 413
        assert client.post(link, data=form((b"1", "ok.png"), (b"<html>", "page"))).status_code == 415
        assert client.put(f"{link}/%20", data=b"1").status_code == 400
        assert client.put(f"{link}/a/../b.png", data=b"1").status_code == 400
        assert client.put(f"{link}/a.png/", data=b"1").status_code in (400, 405)
        assert client.post(link, data={"text": "1"}).status_code == 400
        assert begin(client, link, 1, "").status_code == 400
        assert names(store) == []
        films, mpeg = mongo.upload_link("", types=["video/*"]), (b"G" + bytes(187)) * 6
        assert client.put(f"{films}/a.ts", data=b"const a = 1").status_code == 415
        assert client.put(f"{films}/a.ts", data=mpeg).status_code == 201

    @pytest.mark.parametrize("status", REFUSED)
    def test_one_that_ends_while_it_is_used(
        self, make: Make, mongo: PyMongo, store: Bucket, monkeypatch: pytest.MonkeyPatch, status: str
    ) -> None:
        ends: list[Callable[[], object]] = []
        client = make(inspect=lambda file, read: [end() for end in ends])

        def end() -> None:
            if status == "expired":
                later(monkeypatch, 61)
            else:
                for link in store.links.list():
                    store.links.revoke(link.id)

        sends: list[Callable[[str], TestResponse]] = [
            lambda link: client.put(f"{link}/a", data=b"1"),
            lambda link: client.post(link, data=form((b"1", "a"), (b"2", "b"))),
            lambda link: patch(client, uploads[link], 1, b"1"),
        ]
        links = [mongo.upload_link("inbox/", 60) for _ in range(4)]
        uploads = {link: begin(client, link, 2).headers["Location"] for link in links}
        for link in links:
            assert patch(client, uploads[link], 0, b"1").status_code == 204
        ends.append(end)  # after the body, before the commit
        for link, send in zip(links, sends, strict=False):
            answer = send(link)
            assert (answer.status_code, answer.json["detail"]) == (410, REFUSED[status])
            monkeypatch.undo()
            store.links._collection.update_many({}, {"$set": {"revoked": None}})
        ends.clear()
        end()
        for method in ("HEAD", "PATCH", "DELETE", "POST"):
            fields = {**TUS, "Upload-Offset": "1", "Content-Type": "application/offset+octet-stream"}
            assert client.open(uploads[links[3]], method=method, headers=fields).status_code == 410, method
        for method, url in (("GET", links[3]), ("POST", links[3]), ("PUT", f"{links[3]}/a")):
            assert client.open(url, method=method, **(unread() if method != "GET" else {})).status_code == 410
        assert names(store) == []

    def test_a_tus_upload_belongs_to_its_link(self, make: Make, mongo: PyMongo, app: Flask) -> None:
        client, link, other = make(), mongo.upload_link("inbox/"), mongo.upload_link("inbox/")
        app.register_blueprint(mongo.uploads_blueprint("open", url_prefix="/open"))
        own = begin(client, link, 3).headers["Location"]
        plain = begin(client, "/open/?folder=inbox/", 3).headers["Location"]
        query, theirs = own.partition("?")[2], plain.partition("?")[2]
        for url in (f"{other}/?{query}", f"/uploads/?{query}", f"/open/?{query}", f"{link}/?{theirs}"):
            for method in ("HEAD", "PATCH", "DELETE"):
                fields = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
                assert client.open(url, method=method, headers=fields).status_code == 404, (method, url)
        assert client.delete(own, headers=TUS).status_code == 204
        assert client.head(own, headers=TUS).status_code == 410

    def test_who_comes_by_one_link_never_takes_all_unfinished_uploads(self, make: Make, mongo: PyMongo) -> None:
        client, link, other = make(max_uploads=20), mongo.upload_link("inbox/"), mongo.upload_link("inbox/")
        statuses = [begin(client, link, 5).status_code for _ in range(12)]
        assert statuses == [201] * 11 + [429]
        assert begin(client, other, 5).status_code == 201

    def test_a_form_of_which_the_database_stored_only_a_part(
        self, make: Make, mongo: PyMongo, store: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(bucket: Bucket, uploads: Any) -> None:
            (saved,) = bucket.commit_many(uploads[:1])
            assert isinstance(saved, Saved)
            raise PartlyStored([saved.file])

        monkeypatch.setattr(receive, "_commit", fail)
        client, link = make(), mongo.upload_link("inbox/", max_files=2)
        answer = client.post(link, data=form((b"1", "a"), (b"2", "b")))
        assert (answer.status_code, "these files were stored: 'a'." in answer.text) == (503, True)
        assert "inbox" not in answer.text
        (left,) = store.links.list()
        assert (left.files, left.status) == (1, "valid")  # the place of the other was given back

    def test_may_use_is_asked_before_the_body_and_at_the_commit(
        self, make: Make, mongo: PyMongo, store: Bucket
    ) -> None:
        answers: list[bool] = []
        asked: list[Link] = []
        client = make(may_use=lambda link: (asked.append(link), answers.pop(0))[1])
        link = mongo.upload_link("inbox/", maker="ann", max_files=1)
        for wanted, status in (([False], 403), ([True, False], 403), ([True, True], 201)):
            answers[:] = wanted
            body = {"data": b"1"} if len(wanted) > 1 else unread()
            assert client.put(f"{link}/a", **body).status_code == status
            assert answers == []
        assert {(one.path, one.maker, one.kind) for one in asked} == {("inbox/", "ann", "upload")}
        answers[:] = [True, False]
        assert client.put(mongo.upload_url("b"), data=b"1").status_code == 403
        assert len(names(store)) == 1

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            *(({"folder": folder}, "folder") for folder in ("inbox", "/", "a//", "../", "é" * 91 + "/", None)),
            *(({"max_files": value}, "max_files") for value in (0, 2**63, "1")),
            ({"expires_in": 367 * 86400}, "expires_in"),
            ({"maker": 5}, "maker"),
            ({"max_file": 5}, "max_file is neither"),
            ({"name": "each"}, "user"),
        ],
    )
    def test_wrong_arguments(
        self, make: Make, mongo: PyMongo, store: Bucket, arguments: dict[str, Any], problem: str
    ) -> None:
        make()
        make(name="each", url_prefix="/<user>/files")
        with pytest.raises((ValueError, TypeError, BuildError), match=problem):
            mongo.upload_link(**{"folder": "a/", **arguments})
        assert store.links.list() == []

    def test_not_where_nothing_may_be_changed(self, make: Make, mongo: PyMongo) -> None:
        make(read_only=True)
        for link in (mongo.upload_link, mongo.upload_url):
            with pytest.raises(ValueError, match="read_only"):
                link("a/")


def client_statuses(client: FlaskClient, link: str) -> set[int]:
    return {client.put(f"{link}/last", data=b"1").status_code}


def test_tokens_are_in_no_log_and_no_answer_is_kept(
    make: Make, mongo: PyMongo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    client = make(max_size=5)
    urls = [mongo.upload_link("inbox/"), mongo.upload_url("a.txt"), f"/uploads/~{'A' * 32}"]
    for url in urls:
        token = url.partition("~")[2]
        for method, path, accept in [
            *(("GET", url, accept) for accept in (HTML, JSON)),
            ("PUT", f"{url}//a", JSON),
            *((method, f"{url}/a", JSON) for method in ("PUT", "PATCH", "DELETE", "GET", "OPTIONS")),
            *((method, f"{url}/?upload=none", {**TUS, **HTML}) for method in ("HEAD", "PATCH", "DELETE")),
            ("PUT", url, JSON),
            ("POST", url, HTML),
            ("GET", f"{url}/?asset=uploads.css", {}),
        ]:
            answer = client.open(path, method=method, headers=accept, data=b"too large")
            assert answer.headers["Cache-Control"] == "no-store", (method, path)
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            if not answer.is_json:
                continue
            assert token not in answer.text
    assert not any(url.partition("~")[2] in caplog.text for url in urls)
    assert "refused PUT" in caplog.text


def test_pages_of_every_origin_may_use_it_and_a_preflight_needs_no_session(
    make: Make, app: Flask, mongo: PyMongo
) -> None:
    client = make()

    @app.before_request
    def log_in() -> None:
        if "link_token" not in (request.view_args or {}):
            abort(401)

    for url in (mongo.upload_link("inbox/"), mongo.upload_url("a.txt")):
        target = f"{url}/a.txt" if client.get(url).status_code == 200 else url
        for origin in ("https://app.example", "null"):
            fields = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
            asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "upload-offset"}
            preflight = client.options(target, headers=fields | asked)
            assert preflight.status_code == 204
            assert {"PUT", "PATCH", "POST", "HEAD", "DELETE"} <= {*preflight.headers["Allow"].split(", ")}
            assert "Upload-Offset" in preflight.headers["Access-Control-Allow-Headers"]
            upload = client.post(
                url, headers={**fields, **TUS, "Upload-Length": "2", "Upload-Metadata": "filename YQ=="}
            )
            assert (upload.status_code, upload.headers["Access-Control-Allow-Origin"]) == (201, origin)
            assert client.options(upload.headers["Location"], headers=fields | asked).status_code == 204
            answer = patch(client, upload.headers["Location"], 0, b"1", Origin=origin, Sec_Fetch_Site="cross-site")
            assert (answer.status_code, "Upload-Offset" in answer.headers["Access-Control-Expose-Headers"]) == (
                204,
                True,
            )
            assert "Access-Control-Allow-Credentials" not in answer.headers
        assert client.put(target, data=b"1", headers=fields).status_code == 201
    early = client.put(f"{url}/a/../b", data=b"1", headers=fields)
    assert (early.status_code, early.headers["Access-Control-Allow-Origin"]) == (400, "null")
    assert early.headers["Referrer-Policy"] == "no-referrer"
    ended = client.put(url, data=b"1", headers=fields)
    assert (ended.status_code, ended.headers["Access-Control-Allow-Origin"]) == (410, "null")
    assert client.get("/uploads/").status_code == 401


def test_flask_wtf_with_the_blueprint_exempt(make: Make, app: Flask, mongo: PyMongo) -> None:
    csrf = CSRFProtect(app)
    client, link = make(), mongo.upload_link("inbox/")
    fields = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}

    def send() -> int:
        return client.put(f"{link}/a", data=b"1", headers=fields, base_url="https://localhost").status_code

    assert send() == 400
    csrf.exempt(app.blueprints["uploads"])
    assert send() == 201


def test_names_that_look_like_links_are_served(make: Make, store: Bucket) -> None:
    client = make(authorize=None)
    long = f"~{'a-long_name.of-a-backup.' * 6}docx"
    short = ("~$a report that is being edited by somebody.docx", "~", "~short", f"~{'a' * 31}", f"a/~{'a' * 32}")
    for name in (*short, long, f"~{'a' * 33}", f"~{'a' * 32}.txt"):
        assert client.put(f"/uploads/{name}", data=b"1").status_code == 201
        assert client.get(f"/uploads/{name}").data == b"1"


def test_a_name_that_is_the_path_of_a_link_has_a_url_by_its_id(make: Make) -> None:
    client = make(authorize=None)
    for name in (f"~{'a' * 32}", f"~{'a' * 32}/b.txt", f"~{'a' * 80}.{'b' * 43}"):
        assert client.put(f"/uploads/{name}", data=b"1").status_code == 404
        (file,) = client.post("/uploads/", data=form((b"1", name))).json["files"]
        assert client.get(file["url"]).data == b"1"
        page = client.get("/uploads/?flat", headers=HTML).text
        assert f"/uploads/~{'a' * 32}" not in page
        shown = re.findall(r'href="([^"?]*\?id=[^"]+)"', page)
        assert client.get(shown[0].replace("&amp;", "&")).status_code == 200


def test_urls_that_the_application_builds_are_not_below_the_link(make: Make, mongo: PyMongo) -> None:
    client, built = make(), []

    def tell(sender: object, file: Any, **more: Any) -> None:
        built.extend([url_for("uploads.file", filename=file.filename), url_for("uploads.index", id=file.key)])
        built.append(mongo.uploads_url(file.filename))

    urls = [mongo.upload_url("a.txt"), f"{mongo.upload_link('inbox/')}/b.txt"]
    with file_saved.connected_to(tell):
        assert [client.put(url, data=b"1").status_code for url in urls] == [201, 201]
    assert len(built) == 6
    assert not any("~" in url for url in built)
    assert [client.get(built[place]).data for place in (2, 5)] == [b"1", b"1"]


def test_a_commit_that_fails_gives_its_places_back(
    make: Make, mongo: PyMongo, store: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make(inspect=lambda file, read: meanwhile and put(store, meanwhile.pop(), b"other"))
    meanwhile, url, link = ["a.txt"], mongo.upload_url("a.txt"), mongo.upload_link("inbox/", max_files=2)
    assert client.put(url, data=b"1", headers={"If-None-Match": "*"}).status_code == 412  # at the commit
    assert client.put(url, data=b"1").status_code == 201
    with monkeypatch.context() as killed:
        killed.setattr(Writer, "commit", crash)
        with pytest.raises(Crash):
            client.put(f"{link}/a", data=b"1")
    assert client.post(link, data=form((b"1", "a"), (b"2", "b"))).status_code == 410
    later(monkeypatch, 11 * 60)
    two, whole = [(b"1", "a"), (b"2", "b")], Bucket.commit_many
    for error, status in ((IndexConflict("no"), 409), (Unconfirmed("perhaps"), 503)):
        monkeypatch.setattr(Bucket, "commit_many", lambda self, uploads, error=error: [error, error])
        assert client.post(link, data=form(*two)).status_code == status
    monkeypatch.setattr(Bucket, "commit_many", whole)
    assert client.post(link, data=form(*two)).status_code == 410  # they may be stored
    later(monkeypatch, 11 * 60)
    assert client.post(link, data=form(*two)).status_code == 201
    assert client.post(link, data=form(*two)).status_code == 410


def test_a_link_belongs_to_its_tenant(app: Flask, mongo: PyMongo) -> None:
    app.secret_key = "secret"
    app.register_blueprint(
        mongo.uploads_blueprint(
            url_prefix="/<user>/files", base=lambda: (request.view_args or {})["user"], authorize=nobody
        )
    )

    @app.get("/<user>/links")
    def make_links(user: str) -> list[str]:
        return [mongo.upload_link("in/", user=user), mongo.upload_url("a", user=user)]

    client = app.test_client()
    for url in client.get("/ann/links").json:
        assert url.startswith("/ann/files/~")
        upload = f"{url}/b" if len(url) < 60 else url
        assert client.put(upload.replace("/ann/", "/bob/"), data=b"1").status_code == 404
        begun = begin(client, url, 1).headers["Location"]
        assert client.head(begun.replace("/ann/", "/bob/"), headers=TUS).status_code == 404
        assert patch(client, begun, 0, b"1").status_code == 204
    assert mongo.db["ann.links"].count_documents({}) == 2
    assert mongo.db["ann.files"].count_documents({}) == 2
    assert mongo.db["bob.files"].count_documents({}) == 0


def test_also_where_everything_is_public(make: Make, mongo: PyMongo, store: Bucket) -> None:
    client = make(public=True, authorize=None, keep_versions=1, expire_after=60)
    assert client.put(f"{mongo.upload_link('')}/a", data=b"1").status_code == 201
    (row,) = store.list().rows
    assert row.file.expires_at is not None
