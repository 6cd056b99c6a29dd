"""uploads/read/variant.py and store/variants.py: smaller pictures over HTTP."""

from __future__ import annotations

import io
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from gridfs import GridFSBucket
from PIL import Image
from playwright.sync_api import Browser, expect
from pymongo.errors import OperationFailure
from werkzeug.test import EnvironBuilder, TestResponse
from werkzeug.wrappers import Request

from flask_gridfs_pymongo import PyMongo, Variant
from flask_gridfs_pymongo.cache.memory import Memory
from flask_gridfs_pymongo.decoder import pool
from flask_gridfs_pymongo.decoder.errors import Busy, Undecodable, Unfinished
from flask_gridfs_pymongo.decoder.pictures import load
from flask_gridfs_pymongo.decoder.pool import Slot, slot
from flask_gridfs_pymongo.http.negotiation import picture_type
from flask_gridfs_pymongo.images import LIMITS
from flask_gridfs_pymongo.store import Bucket, StoredFile, StoredVariant
from flask_gridfs_pymongo.store.maintenance.check import Check
from flask_gridfs_pymongo.uploads.read import variant as pictures

from ...conftest import HTML, JSON, Client, everyone, serving
from ...helpers.pictures import corners, encoded, png

CHROMIUM = {"Accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"}
PHOTO = encoded(corners(1600, 1200), "JPEG")


@pytest.fixture
def photo(mongo: PyMongo) -> Any:
    mongo.save_file("notes.txt", io.BytesIO(b"Buy milk"))
    return mongo.save_file("a/photo.jpg", io.BytesIO(PHOTO))


def kept(mongo: PyMongo) -> int:
    return int(mongo.db.fs.variants.count_documents({"data": {"$exists": True}}))


def size(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def age(answer: TestResponse) -> int:
    """For how many seconds a cache may keep it without a question."""
    given = answer.cache_control
    return 0 if given.no_cache else given.max_age or 0


class TestAnswers:
    def test_a_thumb_is_made_once_and_kept(
        self, client: Client, mongo: PyMongo, photo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploads = client()
        first = uploads.get("/uploads/a/photo.jpg?variant=thumb", headers=CHROMIUM)
        assert (first.status_code, first.content_type, size(first.data)) == (200, "image/webp", (640, 480))
        assert kept(mongo) == 1
        monkeypatch.setattr(pictures, "slot", lambda: pytest.fail("made again"))
        for url in ("/uploads/a/photo.jpg?variant=thumb", f"/uploads/?id={photo}&variant=thumb"):
            again = uploads.get(url, headers=CHROMIUM)
            assert (again.data, again.headers["ETag"]) == (first.data, first.headers["ETag"])

    def test_its_header_fields(self, client: Client, photo: Any) -> None:
        uploads = client()
        for url in ("/uploads/a/photo.jpg?variant=thumb", f"/uploads/a/photo.jpg?id={photo}&variant=thumb"):
            answer = uploads.get(url, headers=CHROMIUM)
            expected = {
                "Cache-Control": "private, max-age=86400" if "?id" in url else "private, no-cache",
                "Vary": "Accept",
                "Content-Disposition": 'inline; filename="photo.webp"',
                "Cross-Origin-Resource-Policy": "same-origin",
                "X-Content-Type-Options": "nosniff",
            }
            assert {name: answer.headers[name] for name in expected} == expected
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            assert "Last-Modified" not in answer.headers
        assert "attachment" in uploads.get(f"{url}&download").headers["Content-Disposition"]
        assert "inline" in uploads.get(f"{url}&download=0").headers["Content-Disposition"]

    def test_its_file_name(self, client: Client, mongo: PyMongo) -> None:
        uploads = client()
        for name, title in (
            ("album.2024/IMG_1", "IMG_1.jpeg"),
            ("a.b/c.d/photo", "photo.jpeg"),
            ("a.b/c.tar.png", "c.tar.jpeg"),
            ("x/.jpg", ".jpg.jpeg"),
        ):
            mongo.save_file(name, io.BytesIO(PHOTO), content_type="image/jpeg")
            answer = uploads.get(f"/uploads/{name}?variant=thumb")
            assert answer.headers["Content-Disposition"] == f'inline; filename="{title}"'

    @pytest.mark.parametrize("public", [False, True])
    @pytest.mark.parametrize("cache_for", [None, 0, 60, 1_000_000])
    @pytest.mark.parametrize("expires", [None, timedelta(seconds=30)])
    def test_is_kept_for_no_longer_than_its_file(
        self, client: Client, mongo: PyMongo, public: bool, cache_for: int | None, expires: timedelta | None
    ) -> None:
        expires_at = datetime.now(UTC) + expires if expires else None
        file_id = mongo.save_file("a.jpg", io.BytesIO(PHOTO), expires_at=expires_at)
        uploads = client(public=public, cache_for=cache_for)
        for url in ("a.jpg?", "a.jpg?version=0&", "a.jpg?version=-1&", f"?id={file_id}&", f"a.jpg?id={file_id}&"):
            own, variant, unchanged = (
                uploads.get(f"/uploads/{url}{query}", headers=headers)
                for query, headers in (
                    ("", {}),
                    ("variant=thumb", {}),
                    ("variant=thumb", {"If-None-Match": "*"}),
                )
            )
            assert (own.status_code, variant.status_code, unchanged.status_code) == (200, 200, 304)
            for answer in (variant, unchanged):
                bound = min(age(own), 86_400)
                assert age(answer) <= bound if expires else age(answer) == bound
            for answer in (own, variant):
                assert answer.cache_control.public == public
            assert "immutable" not in variant.headers["Cache-Control"]

    def test_a_signed_link_is_to_the_file_alone(self, app: Flask, client: Client, mongo: PyMongo, photo: Any) -> None:
        app.secret_key = "secret"
        uploads = client(authorize=lambda action, name: False)
        with app.test_request_context():
            url = mongo.uploads_url("a/photo.jpg", 60)
        answer = uploads.get(f"{url}&variant=thumb")
        assert (answer.status_code, answer.data) == (200, PHOTO)
        assert 0 < age(answer) <= 60

    def test_conditions_and_ranges(self, client: Client, photo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        uploads, url = client(), "/uploads/a/photo.jpg?variant=thumb"
        whole = uploads.get(url)
        tag = whole.headers["ETag"]
        part = uploads.get(url, headers={"Range": "bytes=3-9", "If-Range": tag})
        assert (part.status_code, part.data) == (206, whole.data[3:10])
        head = uploads.head(url)
        assert (head.data, head.headers["Content-Length"]) == (b"", str(len(whole.data)))
        assert uploads.get(url, headers={"Range": "bytes=9999999-"}).status_code == 416
        monkeypatch.setattr(pictures, "_get_or_make", lambda *arguments: pytest.fail("looked for"))
        unchanged = uploads.get(url, headers={"If-None-Match": tag})
        assert (unchanged.status_code, unchanged.data, unchanged.headers["Vary"]) == (304, b"", "Accept")
        assert uploads.get(url, headers={"If-Match": '"other"'}).status_code == 412

    @pytest.mark.parametrize(
        ("accept", "transparent", "content_type"),
        [
            (CHROMIUM["Accept"], False, "image/webp"),
            ("*/*", False, "image/jpeg"),
            ("*/*", True, "image/png"),
            (None, True, "image/png"),
            ("image/png", False, "image/png"),
            ("image/jpeg", True, "image/jpeg"),
            ("image/webp;q=0, */*", False, "image/jpeg"),
        ],
    )
    def test_its_type_is_negotiated(
        self, client: Client, mongo: PyMongo, accept: str | None, transparent: bool, content_type: str
    ) -> None:
        image = corners()
        if transparent:
            image.putalpha(100)
        mongo.save_file("a.png", io.BytesIO(encoded(image)))
        headers = {} if accept is None else {"Accept": accept}
        assert client().get("/uploads/a.png?variant=thumb", headers=headers).content_type == content_type

    def test_tags_differ_by_file_recipe_and_type(self, app: Flask, mongo: PyMongo, photo: Any) -> None:
        recipes = (Variant(100, 100), Variant(100, 100, crop=True), Variant(100, 101))
        for number, variant in enumerate(recipes):
            options: dict[str, Any] = {"url_prefix": f"/{number}", "variants": {"small": variant}}
            app.register_blueprint(mongo.uploads_blueprint(f"uploads{number}", **options))
        tags = [
            app.test_client().get(f"/{number}/a/photo.jpg?variant=small", headers=headers).headers["ETag"]
            for number in range(3)
            for headers in (CHROMIUM, {"Accept": "*/*"})
        ]
        mongo.save_file("a/photo.jpg", io.BytesIO(PHOTO))
        tags.append(app.test_client().get("/0/a/photo.jpg?variant=small", headers=CHROMIUM).headers["ETag"])
        assert len(set(tags)) == len(tags) == 7

    def test_the_applications_own_variants(self, client: Client, photo: Any) -> None:
        uploads = client(variants={"avatar": Variant(128, 128, crop=True), "thumb": Variant(50, 50)})
        assert size(uploads.get("/uploads/a/photo.jpg?variant=avatar").data) == (128, 128)
        assert size(uploads.get("/uploads/a/photo.jpg?variant=large").data) == (1600, 1200)
        assert size(uploads.get("/uploads/a/photo.jpg?variant=thumb").data) == (50, 38)

    @pytest.mark.parametrize(
        ("variants", "error"),
        [({"a b": Variant(1, 1)}, ValueError), ({"": Variant(1, 1)}, ValueError), ({"a": (1, 1)}, TypeError)],
    )
    def test_variants_are_checked_at_registration(self, mongo: PyMongo, variants: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="variants: "):
            mongo.uploads_blueprint(variants=variants)


def test_a_picture_of_another_tool_without_a_type(client: Client, mongo: PyMongo) -> None:
    """It is shown by its first bytes, and so has a variant."""
    bucket, uploads = GridFSBucket(mongo.db), client()
    for name, content, status in (("photo", encoded(corners(), "JPEG"), 200), ("text", b"Buy milk", 415)):
        bucket.upload_from_stream(name, content)
        assert uploads.get(f"/uploads/{name}?variant=thumb").status_code == status


@pytest.mark.parametrize("stored", ["jpg", ".jpg", "JPEG", "image/*", "image; q=1"])
def test_a_stored_type_that_says_nothing(client: Client, mongo: PyMongo, stored: str) -> None:
    mongo.save_file("a.jpg", io.BytesIO(encoded(corners(), "JPEG")))
    mongo.db.fs.files.update_one({}, {"$set": {"contentType": stored, "metadata.contentType": stored}})
    answer = client().get("/uploads/a.jpg")
    assert (answer.content_type, answer.headers["Content-Disposition"][:6]) == ("image/jpeg", "inline")


@pytest.mark.parametrize(
    ("stored", "served"),
    [
        *((f"image/{name}", "image/jpeg") for name in ("jpg", "pjpeg", "x-citrix-jpeg", "JPG")),
        *((f"image/{name}", "image/png") for name in ("x-png", "apng", "vnd.mozilla.apng")),
        *((f"image/{name}", "image/bmp") for name in ("x-ms-bmp", "x-bmp", "x-windows-bmp")),
        ("image/x-webp", "image/webp"),
        ("image/x-gif", "image/gif"),
        ("image/x-tiff", "image/tiff"),
        ("image/heic-sequence", "image/heic"),
    ],
)
def test_types_are_taken_by_their_meaning(client: Client, mongo: PyMongo, stored: str, served: str) -> None:
    if served == "image/heic":
        pytest.importorskip("pillow_heif")
    picture = encoded(corners(), "BMP")
    mongo.save_file("a", io.BytesIO(picture), content_type=stored, types=[served])
    mongo.save_file("b", io.BytesIO(picture), content_type=served, types=[stored.lower()])
    assert mongo.db.fs.files.find_one({"filename": "a"})["contentType"] == stored
    uploads = client()
    for name in ("a", "b"):
        answer = uploads.get(f"/uploads/{name}")
        shown = "attachment" if served in ("image/tiff", "image/heic") else "inline"
        assert (answer.content_type, answer.headers["Content-Disposition"][: len(shown)]) == (served, shown)
        assert uploads.get(f"/uploads/{name}?variant=thumb").status_code == 200
    rows = uploads.get("/uploads/", headers=JSON).json["files"]
    assert [row["content_type"] for row in rows] == [served, served]
    assert uploads.get("/uploads/", headers=HTML).text.count('class="icon image"') == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "content", "variant", "status"),
        [
            ("a/photo.jpg", None, "none", 404),
            ("a/photo.jpg", None, "", 404),
            ("none.jpg", None, "thumb", 404),
            ("notes.txt", None, "thumb", 415),
            ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "thumb", 415),
            ("a.pdf", b"%PDF-1.4", "thumb", 415),
            ("bomb.png", png(100_000, 100_000, b""), "thumb", 422),
            ("bomb.png", png(7_000, 7_000, b""), "thumb", 422),
            ("cut.jpg", PHOTO[:100], "thumb", 422),
            ("empty.png", b"", "thumb", 422),
            ("a.webp", b"RIFF\xff\xff\xff\xffWEBPVP8 ", "thumb", 422),
            ("eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "thumb", 422),
        ],
    )
    def test_what_is_no_picture(
        self, client: Client, mongo: PyMongo, photo: Any, name: str, content: bytes | None, variant: str, status: int
    ) -> None:
        if content is not None:
            mongo.save_file(name, io.BytesIO(content))
        uploads = client()
        for method in ("GET", "HEAD"):
            answer = uploads.open(f"/uploads/{name}", method=method, query_string={"variant": variant})
            assert answer.status_code == status
            assert answer.headers["Cache-Control"] == "no-store"
        assert kept(mongo) == 0

    def test_too_many_bytes(self, client: Client, mongo: PyMongo, photo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(LIMITS, "bytes", len(PHOTO) - 1)
        monkeypatch.setattr(Bucket, "read", lambda *span: pytest.fail("read"))
        assert client().get("/uploads/a/photo.jpg?variant=thumb").status_code == 422

    def test_heic_needs_an_extra_of_its_own(
        self, client: Client, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("pillow_heif")
        load()
        mongo.save_file("a.heic", io.BytesIO(encoded(corners(900, 600), "HEIF")))
        uploads = client()
        answer = uploads.get("/uploads/a.heic?variant=thumb")
        assert (answer.status_code, size(answer.data)) == (200, (640, 427))
        monkeypatch.setattr(pictures, "_has_heif", lambda: False)
        assert uploads.get("/uploads/a.heic?variant=thumb").status_code == 415

    def test_without_the_extra(self, client: Client, photo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pictures, "is_available", lambda: False)
        answer = client().get("/uploads/a/photo.jpg?variant=thumb", headers=JSON)
        assert answer.status_code == 501
        assert "flask-gridfs-pymongo[images]" in answer.json["detail"]

    def test_a_damaged_file(self, client: Client, mongo: PyMongo, photo: Any) -> None:
        mongo.db.fs.chunks.delete_many({})
        assert client().get("/uploads/a/photo.jpg?variant=thumb").status_code == 500

    @pytest.mark.parametrize("action", ["read"])
    def test_the_rights_are_those_of_the_file(self, client: Client, mongo: PyMongo, photo: Any, action: str) -> None:
        allowed = {"all": True}
        uploads = client(authorize=lambda asked, filename: allowed["all"] and asked == action)
        assert uploads.get("/uploads/a/photo.jpg?variant=thumb").status_code == 200
        allowed["all"] = False
        for url in ("/uploads/a/photo.jpg?variant=thumb", "/uploads/a/photo.jpg?variant=none"):
            assert uploads.get(url).status_code == 403
        assert uploads.get(f"/uploads/?id={photo}&variant=thumb").status_code in (403, 404)


class TestCosts:
    def test_twenty_at_once(self, app: Flask, real: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
        app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads"))
        for number in range(5):
            real.save_file(f"{number}.jpg", io.BytesIO(PHOTO))
        made: list[int] = []
        busy, lock, make = [0], threading.Lock(), pictures._make

        def counted(*arguments: Any) -> Any:
            with lock:
                busy[0] += 1
                made.append(busy[0])
            try:
                return make(*arguments)
            finally:
                with lock:
                    busy[0] -= 1

        monkeypatch.setattr(pictures, "_make", counted)
        monkeypatch.setattr(pool, "WAIT_TIMEOUT", 60)
        monkeypatch.setattr(pool, "TIMEOUT", 60)
        with ThreadPoolExecutor(20) as clients:
            urls = [f"/uploads/{number % 5}.jpg?variant=thumb" for number in range(20)]
            answers = list(clients.map(lambda url: app.test_client().get(url), urls))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.headers["ETag"] for answer in answers}) == 5
        assert max(made) <= 2
        assert 5 <= len(made) <= 10  # two may begin with the same one

    def test_who_waits_too_long_comes_back(self, client: Client, photo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        uploads, url = client(), "/uploads/a/photo.jpg?variant=thumb"
        with slot(), slot():
            monkeypatch.setattr(pool, "WAIT_TIMEOUT", 0.01)
            for _ in range(4):  # says nothing about the picture
                answer = uploads.get(url)
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert uploads.get(url).status_code == 200


class TestFailures:
    """What could not be made is remembered: in the database, and in the process."""

    @pytest.mark.parametrize("read_only", [False, True])
    def test_each_picture_is_tried_once(
        self, client: Client, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch, read_only: bool
    ) -> None:
        mongo.save_file("a.jpg", io.BytesIO(PHOTO[:100]))
        uploads, tried = client(read_only=read_only, variants={"small": Variant(9, 9)}), []
        make = pictures._make
        monkeypatch.setattr(pictures, "_make", lambda *all: (tried.append(all), make(*all))[1])

        def ask(variant: str, status: int = 422) -> int:
            answer = uploads.get(f"/uploads/a.jpg?variant={variant}", headers=JSON)
            assert answer.status_code == status
            return len(tried)

        assert [ask("thumb"), ask("thumb"), ask("small"), ask("small")] == [1, 1, 2, 2]
        assert ("fs.variants" in mongo.db.list_collection_names()) != read_only
        if not read_only:  # another process reads what this one has stored
            monkeypatch.setattr(pictures, "_failures", Memory(0))
        assert ask("thumb") == 2
        monkeypatch.setitem(LIMITS, "scans", 99)
        assert [ask("thumb"), ask("thumb")] == [3, 3]
        monkeypatch.setattr(pictures, "version", lambda name: "99.0")
        assert [ask("thumb"), ask("thumb")] == [4, 4]

    def test_what_does_not_end_is_tried_three_times(
        self, client: Client, photo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unfinished(*arguments: Any) -> Any:
            raise Unfinished

        uploads, url = client(), "/uploads/a/photo.jpg?variant=thumb"
        make = pictures._make
        monkeypatch.setattr(pictures, "_make", unfinished)
        answers = [uploads.get(url) for _ in range(2)]
        monkeypatch.setattr(pictures, "_make", make)
        answers.append(uploads.get(url))
        monkeypatch.setattr(pictures, "_make", unfinished)
        answers += [uploads.get(f"{url}&version=0", headers=CHROMIUM) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503, 503, 200, 503, 503, 503, 422]
        assert [answer.headers.get("Retry-After") for answer in answers[-2:]] == ["5", None]

    @pytest.mark.parametrize(
        ("reason", "most", "text"),
        [
            ("bytes", 64 << 20, "Variants are made of pictures with at most 64.0 MiB."),
            ("pixels", 40_000_000, "Variants are made of pictures with at most 40,000,000 pixels."),
            ("baseline", 100_000_000, "Variants are made of pictures with at most 100,000,000 pixels."),
            ("strips", 65_536, "Variants are made of pictures with at most 65,536 segments or strips."),
            ("memory", 0, "This picture takes too much time or memory."),
            ("cpu", 0, "This picture takes too much time or memory."),
            ("undecodable", 0, "This picture cannot be decoded."),
        ],
    )
    def test_the_refusal_names_the_limit(
        self, client: Client, photo: Any, monkeypatch: pytest.MonkeyPatch, reason: str, most: int, text: str
    ) -> None:
        def refuse(*arguments: Any) -> Any:
            raise Undecodable(reason, most)

        monkeypatch.setattr(pictures, "_make", refuse)
        uploads = client()
        for _ in range(2):
            answer = uploads.get("/uploads/a/photo.jpg?variant=thumb", headers=JSON)
            assert (answer.status_code, answer.json["detail"]) == (422, text)

    def test_what_a_decoder_that_was_taken_over_answers(
        self, client: Client, mongo: PyMongo, photo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploads, right = client(), {"content_type": "image/png", "pixels": [1600, 1200]}
        for wrong in ({"content_type": "text/html"}, {"pixels": ["1600", 1200]}, {"pixels": [1600]}, {"pixels": None}):
            monkeypatch.setattr(Slot, "perform", lambda *all, wrong=wrong: (right | wrong, b"<script>"))
            mongo.db.fs.variants.delete_many({})
            assert uploads.get("/uploads/a/photo.jpg?variant=thumb").status_code == 422


class TestSizes:
    def test_a_picture_has_its_size_from_the_upload_on(self, client: Client, mongo: PyMongo) -> None:
        turned = Image.Exif()
        turned[0x0112] = 6
        source, uploads = encoded(corners(300, 200), "JPEG", exif=turned), client(authorize=everyone)
        mongo.save_file("python.jpg", io.BytesIO(source))
        uploads.put("/uploads/put.jpg", data=source)
        uploads.post("/uploads/", data={"file": (io.BytesIO(source), "form.jpg")})
        length = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(source)),
            "Upload-Metadata": "filename dHVzLmpwZw==",
        }
        begun = uploads.post("/uploads/", headers=length).headers["Location"]
        for start, stop in ((0, 7), (7, len(source))):
            appended = {"Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
            uploads.patch(begun, data=source[start:stop], headers=length | appended)
        uploads.post("/uploads/put.jpg?copy", data={"name": "copy.jpg"})
        uploads.put("/uploads/text.jpg.txt", data=source)
        found = uploads.get("/uploads/?format=json").json["files"]
        sizes = {file["filename"]: (file["width"], file["height"]) for file in found}
        assert sizes.pop("text.jpg.txt") == (None, None)
        assert sizes == dict.fromkeys(("python.jpg", "put.jpg", "form.jpg", "tus.jpg", "copy.jpg"), (200, 300))
        page = uploads.get("/uploads/put.jpg?details", headers=HTML).text
        assert ' width="200" height="300"' in page
        assert "200 × 300" in page

    def test_that_of_other_tools_files_is_stored_with_their_first_variant(self, client: Client, mongo: PyMongo) -> None:
        """No variant needs another round trip for it: the number of commands is the same once it is known."""
        turned, uploads = Image.Exif(), client()
        turned[0x0112] = 8
        bucket = GridFSBucket(mongo.db)
        for form, size in {"TIFF": (200, 300), "WEBP": (300, 200), "JPEG": (200, 300)}.items():
            name = f"a.{form.lower()}"
            bucket.upload_from_stream(name, encoded(corners(300, 200), form, exif=turned))
            before = uploads.get(f"/uploads/{name}?details&format=json")
            assert (before.json["width"], before.json["height"]) == (None, None)
            assert uploads.get(f"/uploads/{name}?variant=thumb").status_code == 200
            after = uploads.get(f"/uploads/{name}?details&format=json")
            assert (after.json["width"], after.json["height"]) == size, form
            assert after.json["etag"] == before.json["etag"]

    @pytest.mark.parametrize("stored", [[0, 1], ["1", 2], [1], {"a": 1}, "12", [1.5, 2], [True], [2**40, 1]])
    def test_what_others_store_in_its_field(self, client: Client, mongo: PyMongo, photo: Any, stored: Any) -> None:
        mongo.db.fs.files.update_one({"_id": photo}, {"$set": {"pictureSize": stored}})
        found = client().get("/uploads/a/photo.jpg?details&format=json").json
        assert (found["width"], found["height"]) == (None, None)


class TestKeeping:
    def test_read_only_applications_write_nothing(self, client: Client, mongo: PyMongo, photo: Any) -> None:
        uploads = client(read_only=True)
        for _ in range(2):
            assert uploads.get("/uploads/a/photo.jpg?variant=thumb").status_code == 200
        assert "fs.variants" not in mongo.db.list_collection_names()

    @pytest.mark.parametrize(("read_only", "noted"), [(False, True), (True, False)])
    def test_that_one_is_used_is_noted_once_a_day(
        self, app: Flask, mongo: PyMongo, photo: Any, read_only: bool, noted: bool
    ) -> None:
        app.register_blueprint(mongo.uploads_blueprint("first", url_prefix="/first"))
        app.register_blueprint(mongo.uploads_blueprint("second", url_prefix="/second", read_only=read_only))
        app.test_client().get("/first/a/photo.jpg?variant=thumb")
        now = datetime.now(UTC)
        for age in (timedelta(hours=23), timedelta(hours=25)):
            mongo.db.fs.variants.update_one({}, {"$set": {"used": now - age}})
            app.test_client().get("/second/a/photo.jpg?variant=thumb")
            used = mongo.db.fs.variants.find_one()["used"]
            assert (used >= now - timedelta(minutes=1)) == (noted and age > timedelta(days=1))

    def test_unused_ones_expire(self, real: PyMongo) -> None:
        bucket = real.bucket()
        bucket.variants.put("tag", bucket.save("a", [b"x"]).id, StoredVariant("image/png", b"data"))
        indexes = real.db.fs.variants.index_information()
        assert indexes["used_1"]["expireAfterSeconds"] == 30 * 86_400
        assert "file_1" in indexes

    def test_they_go_with_their_file(self, client: Client, mongo: PyMongo, photo: Any) -> None:
        uploads = client(authorize=everyone, variants={"small": Variant(9, 9)})
        older = mongo.save_file("b.jpg", io.BytesIO(PHOTO))
        mongo.save_file("b.jpg", io.BytesIO(PHOTO))
        for url in ("a/photo.jpg?", "b.jpg?version=0&", "b.jpg?"):
            for variant in ("small", "thumb"):
                assert uploads.get(f"/uploads/{url}variant={variant}").status_code == 200
        assert kept(mongo) == 6
        uploads.delete(f"/uploads/b.jpg?id={older}")
        assert kept(mongo) == 4
        assert not mongo.db.fs.variants.find_one({"file": older})
        uploads.delete("/uploads/b.jpg")
        uploads.delete("/uploads/a/photo.jpg")
        assert kept(mongo) == 0

    def test_a_file_that_goes_meanwhile_leaves_none(
        self, client: Client, mongo: PyMongo, photo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make = pictures._make
        monkeypatch.setattr(pictures, "_make", lambda *all: (make(*all), mongo.bucket().delete(id=photo))[0])
        assert client().get("/uploads/a/photo.jpg?variant=thumb").status_code == 200
        assert kept(mongo) == 0

    def test_one_that_cannot_be_kept_is_answered(
        self, client: Client, mongo: PyMongo, photo: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        def refuse(*arguments: Any, **options: Any) -> Any:
            raise OperationFailure("not authorized")

        uploads = client()
        monkeypatch.setattr(mongo.bucket().variants._collection, "replace_one", refuse)
        assert uploads.get("/uploads/a/photo.jpg?variant=thumb").status_code == 200
        assert "not authorized" in caplog.text

    def test_a_large_one_is_not_kept(self, real: PyMongo) -> None:
        bucket = real.bucket()
        file = bucket.save("a", [b"x"])
        for length, count in ((15 * 1024 * 1024 + 1, 0), (15 * 1024 * 1024, 1)):
            bucket.variants.put("tag", file.id, StoredVariant("image/png", b"x" * length))
            assert kept(real) == count

    @pytest.mark.parametrize("repair", [False, True])
    def test_check_knows_them(self, real: PyMongo, repair: bool) -> None:
        bucket = real.bucket()
        stays, goes = bucket.save("stays", [b"x"]), bucket.save("goes", [b"x"])
        for number, file_id in enumerate((stays.id, goes.id, goes.id)):
            bucket.variants.put(str(number), file_id, StoredVariant("image/png", b"data"))
        assert not list(Check(bucket.collections).findings())
        real.db.fs.files.delete_one({"_id": goes.id})  # as another tool does it
        real.db.fs.chunks.delete_many({"files_id": goes.id})
        real.db.fs.variants.drop_index("file_1")
        found = list(Check(bucket.collections, repair=repair).findings())
        assert [(finding.subject, finding.problems[0].kind, finding.repaired) for finding in found] == [
            ("index", "missing", repair),
            ("variants", "unreferenced", repair),
        ]
        assert (found[1].id, found[1].problems[0].count) == (goes.id, 2)
        assert kept(real) == (1 if repair else 3)
        assert len(list(Check(bucket.collections).findings())) == (0 if repair else 2)


class TestListing:
    """A tile shows a variant; where there is none the picture itself, unless it is large: then the icon of its type."""

    @pytest.mark.parametrize(
        ("name", "length", "pillow", "shown"),
        [
            ("a.jpg", 4_000_000, True, "variant"),
            ("a.tif", 4_000_000, True, "variant"),
            ("a.jpg", 65_537, True, "variant"),
            ("a.jpg", 65_536, True, "itself"),
            ("a.svg", 100_000, True, "itself"),
            ("a.svg", 600_000, True, "icon"),
            ("a.jpg", 0, True, "icon"),
            ("a.tif", 1_000, True, "icon"),
            ("a.jpg", 4_000_000, False, "icon"),
            ("a.jpg", 524_289, False, "icon"),
            ("a.jpg", 524_288, False, "itself"),
        ],
    )
    def test_what_a_tile_shows(
        self,
        client: Client,
        mongo: PyMongo,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        length: int,
        pillow: bool,
        shown: str,
    ) -> None:
        monkeypatch.setattr(pictures, "is_available", lambda: pillow)
        stored = mongo.save_file(name, io.BytesIO(PHOTO[:length].ljust(length, b"\0")))
        variants = {"big": Variant(1600, 1600), "cut": Variant(100, 100, crop=True)}
        page = client(variants=variants).get("/uploads/", headers=HTML).text
        link = f"/uploads/{name}?id={stored}"
        tile = page[page.index('class="thumb"') :].partition("</a>")[0].replace("&amp;", "&")
        variant = f'srcset="{link}&variant=thumb 640w, {link}&variant=big 1600w"'
        assert (variant in tile) == (shown == "variant")
        assert (f'src="{link}"' in tile) == (shown == "itself")
        assert ("<img" in tile) == (shown != "icon")
        assert 'class="icon image"' in tile

    def test_where_only_cut_ones_are_left(self, client: Client, mongo: PyMongo) -> None:
        mongo.save_file("a.jpg", io.BytesIO(PHOTO.ljust(100_000, b"\0")))
        page = client(variants={"thumb": Variant(100, 100, crop=True)}).get("/uploads/", headers=HTML).text
        assert "variant=" not in page


def test_chromium_shows_variants_and_the_icon_of_what_has_none(
    app: Flask, real: PyMongo, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server has no time for is asked for again three times, what it refuses is not."""
    app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads"))
    noise = Image.frombytes("RGB", (900, 700), random.Random(1).randbytes(900 * 700 * 3))
    photo = encoded(noise, "JPEG")
    contents = {"whole.jpg": photo, "broken.jpg": bytes(100_000), "late.jpg": photo, "never.jpg": photo}
    for name, content in contents.items():
        real.save_file(name, io.BytesIO(content))
    asked, busy, make = Counter[str](), {"late.jpg": 3, "never.jpg": 99}, pictures._get_or_make

    def get_or_make(options: Any, file: StoredFile, *others: Any) -> Any:
        asked[file.filename] += 1
        if asked[file.filename] <= busy.get(file.filename, 0):
            raise Busy
        return make(options, file, *others)

    monkeypatch.setattr(pictures, "_get_or_make", get_or_make)
    with serving(app) as address, browser.new_context() as context:
        page = context.new_page()
        page.add_init_script("const real = setTimeout; window.setTimeout = (call, pause) => real(call, pause / 50);")
        page.goto(f"{address}/uploads/")

        def tile(name: str) -> Any:
            return page.locator("li", has_text=name).locator(".thumb")

        expect(tile("whole.jpg").locator("img")).to_have_js_property("naturalWidth", 288)  # what sizes says
        assert "variant=thumb" in tile("whole.jpg").locator("img").evaluate("image => image.currentSrc")
        expect(tile("broken.jpg").locator("img")).to_have_count(0)
        expect(tile("broken.jpg").locator(".icon")).to_be_visible()
        expect(tile("late.jpg").locator("img")).to_have_js_property("naturalWidth", 288)
        expect(tile("never.jpg").locator("img")).to_have_count(0)
        assert asked == {"whole.jpg": 1, "broken.jpg": 1, "late.jpg": 4, "never.jpg": 4}


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, None),
        ("", None),
        ("*/*", None),
        ("image/*", None),
        ("text/html", None),
        ("image/webp", "image/webp"),
        ("IMAGE/WEBP", "image/webp"),
        (CHROMIUM["Accept"], "image/webp"),
        ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "image/webp"),
        ("image/webp;q=0.5, image/jpeg", "image/jpeg"),
        ("image/webp;q=0, */*", None),
        ("image/webp;q=0.5, image/*;q=0.9", None),
        ("image/png, */*;q=0.1", "image/png"),
        ("image/jpeg, image/png;q=0", "image/jpeg"),
        ("image/png;q=0.2, image/jpeg;q=0.1", "image/png"),
        ("nonsense;;;q=x", None),
    ],
)
def test_picture_type(accept: str | None, chosen: str | None) -> None:
    fields = {} if accept is None else {"Accept": accept}
    assert picture_type(Request(EnvironBuilder(headers=fields).get_environ()).accept_mimetypes) == chosen
