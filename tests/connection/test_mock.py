"""mock.py: what mongomock is promised for, the tests of an application, reaches every public part of the package.

Everything else is tested on a real server.
"""

from __future__ import annotations

import base64
import hashlib
import io
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zipfile import ZipFile

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import Client as WSGIClient

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service.inspection import Refused
from flask_gridfs_pymongo.store import Bucket, FileTooLarge, StoredFile

from ..conftest import BIG, HTML, JSON, Client, everyone, form, nothing_stored
from ..helpers.pictures import encoded

PAST = datetime(2026, 1, 1, tzinfo=UTC)
TUS = {"Tus-Resumable": "1.0.0"}
APPEND = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def mongo(app: Flask) -> Iterator[PyMongo]:
    app.secret_key = "secret"
    mongo = PyMongo(app, uri=f"mongomock://localhost/test_{uuid.uuid4().hex}")
    yield mongo
    mongo.cx.close()


@pytest.fixture
def uploads(client: Client) -> FlaskClient:
    return client(authorize=everyone, metadata=["title"], share=60)


def names(store: Bucket, order: str = "name", **options: object) -> list[str | None]:
    return [row.file.filename for row in store.list(order, **options).rows]  # type: ignore[arg-type]


class TestBucket:
    def test_versions(self, store: Bucket) -> None:
        for content in (b"one", b"", BIG):
            store.save("a", io.BytesIO(content))
        assert [store.open("a", version).read() for version in (0, 1, 2, -1)] == [b"one", b"", BIG, BIG]
        assert store.find("a", 3) is store.find("b") is None
        assert (store.count("a"), [version.number for version in store.versions("a")]) == (3, [2, 1, 0])
        newest = store.newest("a")
        assert newest is not None
        assert (store.number(newest), store.get(newest.id)) == (2, newest)
        assert store.sha256(newest) == hashlib.sha256(BIG).hexdigest()
        assert b"".join(store.read(newest, 255 * 1024 - 5, 255 * 1024 + 5)) == BIG[255 * 1024 - 5 :][:10]
        with store.open(id=newest.id) as file:
            assert (file.seek(-3, io.SEEK_END), file.read()) == (len(BIG) - 3, BIG[-3:])

    def test_listings(self, store: Bucket) -> None:
        for number, (name, size) in enumerate((("b.txt", 2), ("a/1.png", 3), ("a/2.txt", 1))):
            file = store.save(name, [b"x" * size], fields={"metadata": {"tags": [name[0]]}})
            store.files.update_one({"_id": file.id}, {"$set": {"uploadDate": PAST + timedelta(seconds=number)}})
        assert names(store) == ["a/1.png", "a/2.txt", "b.txt"]
        assert names(store, "-name") == ["b.txt", "a/2.txt", "a/1.png"]
        assert names(store, "newest") == ["a/2.txt", "a/1.png", "b.txt"]
        assert names(store, "size") == ["a/1.png", "b.txt", "a/2.txt"]
        assert names(store, "type") == ["a/1.png", "a/2.txt", "b.txt"]
        assert names(store, part="TXT") == ["a/2.txt", "b.txt"]
        assert names(store, prefix="a/", metadata={"tags": ["a"]}) == ["a/1.png", "a/2.txt"]
        page = store.list(limit=2, folded=True)
        assert (page.folders, [row.file.filename for row in page.rows], page.next) == (["a/"], ["b.txt"], None)
        first = store.list(limit=2)
        assert [row.file.filename for row in store.list(after=first.next).rows] == ["b.txt"]
        assert sum(len(page.rows) for page in store.pages()) == 3
        assert (store.usage().bytes, store.usage("a/").names) == (6, 2)

    def test_changes(self, store: Bucket) -> None:
        store.save("a", [b"x"])
        store.save("a", [b"yy"], content_type="text/css")
        assert store.update_metadata("a", {"title": "A"}).metadata["title"] == "A"
        assert store.copy("a", "b").metadata["title"] == "A"
        assert store.rename("a", "c") == 2
        with pytest.raises(FileExistsError):
            store.rename("b", "c")
        assert store.rename_many({"b": "d"}) == {"b": store.find("d")}
        assert names(store) == ["c", "d"]
        last = store.newest("d")
        assert last is not None
        assert [store.delete("c", 0), store.delete("c"), store.delete(id=last.id)] == [1, 1, 1]
        with pytest.raises(FileTooLarge):
            store.save("e", [BIG], max_size=len(BIG) - 1)
        store.save("gone", [b"x"], expires_at=datetime.now(UTC) - timedelta(seconds=1))
        assert names(store) == []
        assert store.delete("gone") == 1
        assert store.files.count_documents({}) == store.chunks.count_documents({}) == 0


def test_the_classic_helpers(app: Flask, mongo: PyMongo) -> None:
    app.add_url_rule("/<path:filename>", view_func=mongo.send_file, endpoint="sent")
    mongo.save_file("a.txt", io.BytesIO(b"abc"))
    answer = app.test_client().get("/a.txt", headers={"Range": "bytes=1-"})
    assert (answer.status_code, answer.data, answer.mimetype) == (206, b"bc", "text/plain")
    assert app.test_client().get("/b.txt").status_code == 404


class TestRequests:
    def test_files(self, uploads: FlaskClient) -> None:
        created = uploads.put("/uploads/a.txt", data=b"one", headers={"If-None-Match": "*"})
        assert (created.status_code, uploads.put("/uploads/a.txt", data=b"two").status_code) == (201, 204)
        for late in ({"If-None-Match": "*"}, {"If-Match": created.headers["ETag"]}):
            assert uploads.put("/uploads/a.txt", data=b"three", headers=late).status_code == 412
        answer = uploads.get("/uploads/a.txt")
        assert (answer.data, uploads.get("/uploads/a.txt?version=0").data) == (b"two", b"one")
        fresh = {"If-None-Match": answer.headers["ETag"]}
        assert uploads.get("/uploads/a.txt", headers=fresh).status_code == 304
        parts = uploads.get("/uploads/a.txt", headers={"Range": "bytes=0-0,2-2"})
        assert (parts.status_code, parts.mimetype) == (206, "multipart/byteranges")
        assert uploads.head("/uploads/a.txt?download").content_length == 3
        assert uploads.post("/uploads/", data=form((b"b", "b.txt"), (BIG, "c.bin")), headers=JSON).status_code == 201
        assert uploads.post("/uploads/", data=form((b"b", "b.txt")), headers=HTML).status_code == 303
        assert uploads.get("/uploads/c.bin").data == BIG
        changed = uploads.patch("/uploads/a.txt", json={"title": "A"}, content_type="application/merge-patch+json")
        assert changed.json["metadata"]["title"] == "A"
        assert [uploads.delete(f"/uploads/{name}").status_code for name in ("a.txt", "a.txt")] == [204, 404]

    def test_pages(self, uploads: FlaskClient) -> None:
        for name in ("a/b.txt", "a/b.txt", "c.png"):
            uploads.put(f"/uploads/{name}", data=b"x", headers={"X-Metadata-title": "A"})
        tops = ("", "?order=newest", "?order=-size", "?order=type", "?q=PNG", "?metadata.title=A")
        file = ("a/", "?folder=a/", "a/b.txt?details", "a/b.txt?versions")
        for target, name in (*((top, "c.png") for top in tops), *((target, "b.txt") for target in file)):
            for headers in (HTML, JSON):
                answer = uploads.get(f"/uploads/{target}", headers=headers)
                assert (answer.status_code, name in answer.text) == (200, True), target
        assert uploads.get("/uploads/a/b.txt?delete", headers=HTML).status_code == 200
        first = uploads.get("/uploads/?limit=1&order=size", headers=JSON).json
        assert len(uploads.get(first["next"], headers=JSON).json["files"]) == 1
        shared = uploads.post("/uploads/c.png?share", headers=JSON).json["url"]
        assert uploads.get(shared).data == b"x"
        with ZipFile(io.BytesIO(uploads.get("/uploads/?zip").data)) as archive:
            assert sorted(archive.namelist()) == ["a/b.txt", "c.png"]

    def test_moves(self, uploads: FlaskClient, store: Bucket) -> None:
        added = uploads.post("/uploads/", data=form(*((b"x", name) for name in "abc")), headers=JSON).json["files"]
        ids = [file["id"] for file in added]
        assert uploads.post("/uploads/a?copy=d").status_code == 201
        assert uploads.post("/uploads/d?move=e/f").status_code == 201
        assert uploads.post("/uploads/a?move=b").status_code == 409
        assert uploads.post(f"/uploads/a?restore&id={ids[0]}").status_code in (201, 303)
        assert uploads.post("/uploads/?move=g/", data={"id": ids[:2]}).status_code == 200
        assert uploads.post("/uploads/?delete", data={"id": ids[2]}).status_code == 204
        assert names(store) == ["e/f", "g/a", "g/b"]

    def test_pictures(self, uploads: FlaskClient) -> None:
        uploads.put("/uploads/a.png", data=encoded(Image.new("RGB", (800, 600)), "PNG"))
        for _ in range(2):  # the second time it is there
            answer = uploads.get("/uploads/a.png?variant=thumb", headers={"Accept": "image/webp"})
            assert (answer.status_code, answer.mimetype) == (200, "image/webp")

    def test_resumable_uploads(self, uploads: FlaskClient) -> None:
        name = base64.b64encode(b"a").decode()
        begun = {**TUS, "Upload-Length": str(len(BIG)), "Upload-Metadata": f"filename {name}"}
        url = uploads.post("/uploads/", headers=begun).headers["Location"]
        assert uploads.patch(url, data=BIG[:300_000], headers={**APPEND, "Upload-Offset": "0"}).status_code == 204
        assert uploads.head(url, headers=TUS).headers["Upload-Offset"] == "300000"
        assert uploads.patch(url, data=BIG, headers={**APPEND, "Upload-Offset": "0"}).status_code == 409
        rest = uploads.patch(url, data=BIG[300_000:], headers={**APPEND, "Upload-Offset": "300000"})
        assert (rest.status_code, uploads.get("/uploads/a").data) == (204, BIG)
        ended = uploads.post("/uploads/", headers=begun).headers["Location"]
        assert uploads.delete(ended, headers=TUS).status_code == 204

    def test_lifetime_and_inspection(self, client: Client, store: Bucket) -> None:
        def inspect(file: StoredFile, read: Callable[[], Iterable[bytes]]) -> None:
            if b"".join(read()) == b"bad":
                raise Refused("bad")

        uploads = client(keep_versions=1, expire_after=3600, inspect=inspect)
        assert [uploads.put("/uploads/a", data=data).status_code for data in (b"1", b"2", b"bad")] == [201, 204, 422]
        for number, file in store.versions("a"):
            store.files.update_one({"_id": file.id}, {"$set": {"uploadDate": PAST + timedelta(seconds=number)}})
        assert uploads.put("/uploads/a", data=b"3").status_code == 204
        assert [version.file.length for version in store.versions("a")] == [1, 1]  # the second was superseded just now
        newest = store.newest("a")
        assert newest is not None
        assert newest.expires_at is not None

    def test_nothing_of_what_is_refused_is_stored(self, client: Client, mongo: PyMongo) -> None:
        uploads = client(max_size=10, authorize=lambda action, filename: filename != "hidden")
        assert uploads.put("/uploads/a", data=b"x" * 11).status_code == 413
        assert uploads.put("/uploads/hidden", data=b"x").status_code == 403
        assert uploads.put("/uploads/a", data=b"x", headers={"Content-Digest": "sha-256=:AAAA:"}).status_code == 400
        assert nothing_stored(mongo)


def test_a_network_drive(mongo: PyMongo) -> None:
    dav = WSGIClient(mongo.webdav_app(authorize=everyone))

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> int:
        return dav.open(path, method=method, data=body, headers=headers).status_code

    lock = b"<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>"
    change = b"<propertyupdate xmlns='DAV:'><set><prop><x xmlns='y'>z</x></prop></set></propertyupdate>"
    assert [ask("MKCOL", "/d"), ask("PUT", "/d/a", b"x"), ask("PUT", "/d/a", b"yy")] == [201, 201, 204]
    assert [ask("PROPFIND", "/d/", Depth="1"), ask("PROPPATCH", "/d/a", change)] == [207, 207]
    assert [ask("COPY", "/d/a", Destination="/d/b"), ask("MOVE", "/d", Destination="/e")] == [201, 201]
    assert dav.get("/e/a").data == dav.get("/e/b").data == b"yy"
    answer = dav.open("/e/a", method="LOCK", data=lock)
    token = answer.headers["Lock-Token"]
    assert [answer.status_code, ask("PUT", "/e/a", b"z"), ask("PUT", "/e/a", b"z", If=f"({token})")] == [200, 423, 204]
    assert dav.open("/e/a", method="UNLOCK", headers={"Lock-Token": token}).status_code == 204
    assert [ask("MOVE", "/e/b", Destination="/e/c"), ask("DELETE", "/e/c")] == [201, 204]  # a folder that is known
    assert [ask("DELETE", "/e"), ask("GET", "/e/a")] == [204, 404]
    assert nothing_stored(mongo)
