"""uploads/links: who has a link reads what it shares, and learns nothing of what else there is."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import product
from socket import socketpair
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, urlsplit
from zipfile import ZipFile

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import NotFound
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_read
from flask_gridfs_pymongo.store import Link, Within
from flask_gridfs_pymongo.store.clock import Clock
from flask_gridfs_pymongo.uploads.views import ROUTES

from ...conftest import HTML, JSON, put
from ...helpers.pictures import corners, encoded
from ...helpers.tus import TUS

FOLDER = "secret/of-ann/2026/"
FILES = ["a.txt", "a.txt", "b/c.txt", "b/d e.txt", "b/deep/f.txt", "p.png", "\u00e4.txt"]
ELSEWHERE = [
    "secret.txt",
    "secret/a.txt",
    "secret/of-ann/2026",
    "secret/of-ann/2026.txt",
    "secret/of-ann/2027/a.txt",
    "a.txt",
]
Make = Callable[..., FlaskClient]


def nobody(action: str, filename: str | None) -> bool:
    return False


@pytest.fixture
def make(app: Flask, mongo: PyMongo) -> Iterator[Make]:
    """``make(**options)`` registers a blueprint by which nobody may do anything, and gives a client."""

    def register(**options: Any) -> FlaskClient:
        app.register_blueprint(mongo.uploads_blueprint(**{"url_prefix": "/u", "authorize": nobody, **options}))
        return app.test_client()

    with app.test_request_context():
        yield register


def content(name: str) -> bytes:
    return encoded(corners()) if name.endswith(".png") else name.encode()


def fill(mongo: PyMongo) -> None:
    """Store files in the folder, and others elsewhere; the bucket ``own`` has only the first ones."""
    for name in FILES:
        file = put(mongo.bucket(), FOLDER + name, content(name))
        mongo.db["own"].files.insert_one({**file.document, "filename": name})
    mongo.db["own"].chunks.insert_many(mongo.db.fs.chunks.find())
    for name in ELSEWHERE:
        put(mongo.bucket(), name, b"secret " + name.encode())


def whole(answer: TestResponse) -> str:
    """An answer with its header fields, as text."""
    return f"{answer.status_code} {answer.headers} {answer.data!r}"


QUERIES = [
    *(
        "",
        "?folder=",
        "?folder=b/",
        "?folder=none/",
        "?folder=secret/",
        "?flat=1",
        "?order=newest",
        "?order=-size&flat=1",
    ),
    *(
        "?q=a",
        "?q=secret",
        "?q=2026",
        "?q=of-ann&flat=1",
        "?q=B/C",
        "?prefix=",
        "?prefix=b",
        "?prefix=secret",
        "?limit=1",
    ),
    *("?limit=1&order=type", "?limit=1&folder=", "?view=table", "?count", "?count&folder=b/", "?details", "?versions"),
    *(
        "?order=wrong",
        "?limit=x",
        "?cursor=x",
        "?after_file=x",
        "?zip=&folder=none/",
        "?metadata.x=1",
        "?q=" + "x" * 101,
    ),
]
NAMES = [
    *FILES,
    "b",
    "b/",
    "b/deep/",
    "none",
    "none/",
    "secret",
    "secret/",
    "secret/a.txt",
    f"{FOLDER}a.txt",
    "%2e%2e/a.txt",
]
ABOUT_FILE = ["", "?details", "?versions", "?variant=thumb", "?version=0", "?version=5", "?version=-2", "?download"]


def test_a_folder_is_as_a_bucket_that_has_nothing_else(make: Make, app: Flask, mongo: PyMongo) -> None:
    fill(mongo)
    make()
    app.register_blueprint(
        mongo.uploads_blueprint(
            "own", url_prefix="/own", base="own", title="2026", authorize=lambda a, f: a in ("read", "list")
        )
    )
    web, links = app.test_client(), [mongo.share_link(FOLDER), "/own/"]
    bucket = mongo.bucket()
    outside = [file.key for name in ELSEWHERE if (file := bucket.find(name))]
    inside = [version.file.key for name in dict.fromkeys(FILES) for version in bucket.versions(FOLDER + name)]
    urls = [*QUERIES, *(quote(name) + query for name in NAMES for query in ABOUT_FILE)]
    urls += [
        f"?id={key}{query}"
        for key in [*inside, *outside, "0" * 24]
        for query in ("", "&details", "&versions", "&variant=thumb")
    ]
    urls += [f"?{name}={key}" for key in (inside[0], outside[0]) for name in ("after_file", "cursor")]
    urls += [f"a.txt?id={outside[-1]}", f"b/c.txt?id={inside[0]}"]
    cases = [(url, accept) for url in urls for accept in (JSON, HTML, {})]
    for url, accept in random.Random(39).sample(cases, 80):
        answers = [web.get(link + url, headers=accept) for link in links]
        facts = [(answer.status_code, answer.mimetype) for answer in answers]
        assert facts[0] == facts[1], (url, accept)
        if facts[0][0] < 400 or accept != HTML:  # the page of an error leads nowhere
            texts = [answer.headers.get("Location", "").encode() + answer.data for answer in answers]
            places = [text.replace(link.encode(), b"/") for text, link in zip(texts, links, strict=True)]
            own = [re.sub(b"(upload|selection)-[0-9]+", b"ID", place) for place in places]
            assert own[0] == own[1], (url, accept)
    archives = [ZipFile(io.BytesIO(web.get(f"{link}?zip").data)) for link in links]
    assert archives[0].namelist() == archives[1].namelist() == sorted({*FILES})


def test_nothing_of_what_is_elsewhere_is_in_any_answer(make: Make, mongo: PyMongo) -> None:
    """Each row of the table of routes, and each key that a query may have."""
    fill(mongo)
    web, link, bucket = make(metadata=["x"], share=60, keep_versions=1), mongo.share_link(FOLDER), mongo.bucket()
    inside, outside = bucket.find(f"{FOLDER}a.txt"), bucket.find("secret/a.txt")
    assert inside is not None
    assert outside is not None
    before = [*mongo.db.fs.files.find()]
    flags = {route.flag for route in ROUTES if route.flag} | {"id", "version", "folder", "next", "new", "name", "to"}
    targets = ("", "b/", "a.txt", "x.txt", f"?id={inside.key}", f"?id={outside.key}")
    values = [inside.key, outside.key, "b/", ".."]
    for number, flag in enumerate(sorted(flags)):
        for target in (targets[number % 6], targets[(number + 3) % 6]):
            url = f"{link}{target}{'&' if '?' in target else '?'}{flag}"
            data = [{"id": outside.key}, {"folder": "../"}][number % 2]
            answers = [web.get(url, headers=HTML), web.get(f"{url}={values[number % 4]}", headers=JSON)]
            for answer in [*answers, web.post(url, data=data, headers=JSON)]:
                assert "secret" not in whole(answer), url
                assert "of-ann" not in whole(answer), url
                assert answer.status_code < 500, url
    assert [*mongo.db.fs.files.find()] == before


def test_a_folder_that_is_empty_by_now_leads_to_no_trash(app: Flask, uri: str) -> None:
    mongo = PyMongo(app, uri=uri, trash=60)
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", authorize=lambda action, name: True))
    web, bucket = app.test_client(), mongo.bucket()
    put(bucket, f"{FOLDER}a.txt", b"1")
    bucket.delete(f"{FOLDER}a.txt")
    with app.test_request_context():
        links = [mongo.share_link(FOLDER), mongo.share_link("")]
    for link in links:
        page = web.get(link, headers=HTML)
        assert (page.status_code, "trash" in page.text) == (200, False)
    mongo.cx.close()


def test_every_method_that_changes_something_is_refused(make: Make, mongo: PyMongo) -> None:
    fill(mongo)
    web, bucket = make(metadata=["x"], upload_links=True), mongo.bucket()
    links = [mongo.share_link(FOLDER), mongo.share_link(f"{FOLDER}a.txt"), mongo.share_link("")]
    file = bucket.find(f"{FOLDER}a.txt")
    assert file is not None
    before = json.dumps([*mongo.db.fs.files.find()], default=str)
    changes = sorted({(route.method, route.flag or "") for route in ROUTES if route.changes and route.method != "GET"})
    changes += [(method, "") for method in ("MKCOL", "MOVE", "COPY", "LOCK", "PROPPATCH")]
    targets = ("", "a.txt", "b/", "new.txt", f"?id={file.key}")
    headers = ({}, {"If-Match": "*"}, {**TUS, "Upload-Length": "1", "Upload-Metadata": "filename YQ=="})
    for number, (link, (method, flag)) in enumerate(product(links, changes)):
        for target in (targets[number % 5], targets[(number + 2) % 5]):
            url, data = f"{link}{target}{'&' if '?' in target else '?'}{flag}=x", {"id": file.key, "folder": "b/"}
            answer = web.open(url, method=method, data=data, headers=headers[number % 3])
            assert answer.status_code in (400, 403, 404, 405, 415), (method, url)
    assert json.dumps([*mongo.db.fs.files.find()], default=str) == before
    assert mongo.db.fs.uploads.count_documents({}) == 0
    assert mongo.db.fs.links.count_documents({}) == 3
    told = web.options(links[0]).headers
    assert (told["Allow"], "Tus-Resumable" in told) == ("GET, HEAD, OPTIONS", False)


def test_a_file_is_its_newest_version_alone(make: Make, mongo: PyMongo) -> None:
    web, name = make(), f"{FOLDER}b c.png"
    old = put(mongo.bucket(), name, b"old")
    other = put(mongo.bucket(), f"{FOLDER}other", b"other")
    link = mongo.share_link(name)
    assert link.endswith("/b%20c.png")
    new = put(mongo.bucket(), name, content("x.png"))
    for url in (link, link.rpartition("/")[0], f"{link}?download"):
        answer = web.get(url)
        assert (answer.status_code, answer.data) == (200, content("x.png")), url
        assert "secret" not in str(answer.headers)
    assert web.get(link, headers={"Range": "bytes=0-3"}).status_code == 206
    assert web.get(f"{link}?variant=thumb").mimetype.startswith("image/")
    for url in (
        f"{link}?version=0",
        f"{link}?id={old.key}",
        f"{link}?id={new.key}",
        f"{link}/x",
        link.replace("b%20c", "other"),
        f"{link.rpartition('/')[0]}/{quote(name)}?upload=x&version=0",
    ):
        assert web.get(url).status_code == 404, url
    for query in ("?versions", "?details", "?zip", "?q=o"):
        answer = web.get(link.rpartition("/")[0] + query, headers=JSON)
        assert (answer.status_code, answer.data) == (200, content("x.png")), query
    assert web.get(f"{link.rpartition('/')[0]}?id={other.key}").status_code == 404
    mongo.bucket().delete(name)
    assert web.get(link).status_code == 404


def test_it_ends_when_it_is_revoked_expires_or_may_not_be_used(
    make: Make, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def may_use(link: Link) -> bool:
        asked.append((link.path, link.maker))
        return allowed

    allowed = True
    fill(mongo)
    web, links = make(may_use=may_use), mongo.bucket().links
    url = mongo.share_link(FOLDER, 60, maker="ann")
    urls = [url, f"{url}a.txt", f"{url}a.txt?details", f"{url}?zip", f"{url}p.png?variant=thumb"]
    assert [web.get(one).status_code for one in urls] == [200] * 5
    assert asked == [(FOLDER, "ann")] * 5
    allowed = False
    assert [web.get(one).status_code for one in urls] == [403] * 5
    allowed = True
    (link,) = links.list(FOLDER, exact=True)
    links.revoke(link.id)
    assert [web.get(one).status_code for one in urls] == [410] * 5
    other = mongo.share_link(f"{FOLDER}a.txt", 60)
    assert web.get(other).status_code == 200
    now = Clock.now
    monkeypatch.setattr(Clock, "now", lambda clock: now(clock) + timedelta(seconds=61))
    page = web.get(other, headers=HTML)
    assert (page.status_code, "expired" in page.text, "secret" in page.text) == (410, True, False)


def test_the_token_is_in_no_log_cache_or_referrer(
    make: Make, app: Flask, mongo: PyMongo, caplog: pytest.LogCaptureFixture
) -> None:
    fill(mongo)
    web, link = make(), mongo.share_link(FOLDER)
    token = urlsplit(link).path.split("/")[2].lstrip("~")
    assert token not in str([*mongo.db.fs.links.find()])
    read: list[str] = []

    def note(sender: Any, file: Any, **more: Any) -> None:
        read.append(file.filename)

    with file_read.connected_to(note, app):
        for url in (
            "",
            "a.txt",
            "a.txt?details",
            "none",
            "?zip",
            "p.png?variant=thumb",
            "?asset=page.js",
            "b",
            "?limit=x",
        ):
            with web.get(link + url, headers=HTML) as answer:
                assert answer.data
                fields = answer.headers
                assert (fields["Cache-Control"], fields["Referrer-Policy"]) == ("no-store", "no-referrer"), url
        assert web.put(f"{link}a.txt").status_code == 405
    app.testing = False
    with patch.object(Within, "list", side_effect=KeyError):
        assert web.get(link).status_code == 500
    assert token not in caplog.text
    assert "refused" in caplog.text
    assert f"Exception on {link.replace(token, '...')}" in caplog.text
    assert set(read) == {FOLDER + name for name in FILES}  # by their names in the bucket


def test_the_token_is_not_in_the_log_of_a_download_that_stands_still(
    make: Make, mongo: PyMongo, caplog: pytest.LogCaptureFixture
) -> None:
    mongo.save_file("large", io.BytesIO(bytes(600_000)))
    web, (here, there) = make(send_timeout=0.01), socketpair()
    with here, there, web.get(mongo.share_link("large"), environ_overrides={"werkzeug.socket": here}) as answer:
        assert next(answer.response)
        assert there.recv(1) == b""  # it was ended
    assert "closing the download of 'large'" in caplog.text
    assert "~" not in caplog.text


def test_a_link_is_for_its_blueprint(make: Make, app: Flask, mongo: PyMongo) -> None:
    fill(mongo)
    web = make()
    app.register_blueprint(mongo.uploads_blueprint("other", url_prefix="/other"))
    link = mongo.share_link(FOLDER)
    assert web.get(link.replace("/u/", "/other/")).status_code == 404
    assert web.get(mongo.share_link("a.txt", name="other")).status_code == 200
    assert web.get(f"{link[:-5]}xxxx/").status_code == 404


def test_variables_of_the_prefix_stay(make: Make, mongo: PyMongo) -> None:
    fill(mongo)
    web, link = make(url_prefix="/<user>/files"), mongo.share_link(FOLDER, user="ann")
    assert link.startswith("/ann/files/~")
    (first, *_) = web.get(f"{link}?limit=1", headers=JSON).json["files"]
    assert first["url"] == f"{link}a.txt"
    assert web.get(first["permanent_url"]).data == b"a.txt"
    page = web.get(f"{link}b/", headers=HTML).text
    assert {url for url in re.findall('(?:href|src|action)="(/[^"]*)"', page) if not url.startswith(link)} == set()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"path": 5}, TypeError, "path must be str"),
        ({"path": None}, TypeError, "path must be str"),
        ({"path": "x" * 2000 + "/"}, ValueError, "path must have at most"),
        ({"path": "a\0/"}, ValueError, "path must have at most"),
        ({"path": "none"}, NotFound, "no such file"),
        ({"path": "a/", "expires_in": 0}, ValueError, "expires_in must be"),
        ({"path": "a/", "expires_in": -5}, ValueError, "expires_in must be"),
        ({"path": "a/", "expires_in": 10**12}, ValueError, "expires_in must be"),
        ({"path": "a/", "expires_in": "60"}, TypeError, "expires_in must be int"),
        ({"path": "a/", "maker": 5}, TypeError, "maker must be"),
        ({"path": "a/", "max_files": 5}, TypeError, "max_files is neither"),
        ({"path": "a/", "name": "none"}, ValueError, "no uploads blueprint"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_arguments(make: Make, mongo: PyMongo, arguments: Any, error: type[Exception], text: str) -> None:
    make()
    with pytest.raises(error, match=text):
        mongo.share_link(**arguments)
    assert mongo.db.fs.links.count_documents({}) == 0


def test_links_are_listed_and_revoked_in_their_folder(make: Make, app: Flask, mongo: PyMongo) -> None:
    web = make(upload_links=True, authorize=lambda action, name: str(name).startswith("ann/"))
    put(mongo.bucket(), "ann/a", b"1")
    for path in ("ann/", "ann/deep/", "ann/a", "bob/"):
        mongo.share_link(path)
    found = web.get("/u/ann/?links", headers=JSON).json["links"]
    assert [(link["kind"], link["path"]) for link in found] == [
        ("share", path) for path in ("ann/", "ann/a", "ann/deep/")
    ]
    assert web.get("/u/ann/?links", headers=HTML).text.count("Revoke") == 3
    assert web.post(f"/u/ann/?revoke={found[0]['id']}", headers=JSON).status_code == 204
    (others,) = mongo.bucket().links.list("bob/")
    assert web.post(f"/u/ann/?revoke={others.id}", headers=JSON).status_code == 404
    assert [link.path for link in mongo.bucket().links.list()] == ["ann/a", "ann/deep/", "bob/"]


def test_who_may_only_add_files_learns_of_no_link_for_reading(make: Make, mongo: PyMongo) -> None:
    rights = {"write"}
    web = make(authorize=lambda action, name: action in rights, upload_links=True)
    put(mongo.bucket(), "in/secret.txt", b"1")
    mongo.upload_link("in/")
    mongo.share_link("in/")
    mongo.share_link("in/secret.txt")
    links = mongo.bucket().links.list()
    for more, kinds in ((set(), {"upload"}), ({"list"}, {"upload", "share"}), ({"list", "read"}, {"upload", "share"})):
        rights |= more
        told = web.get("/u/in/?links", headers=JSON).json["links"]
        assert {link["kind"] for link in told} == kinds
        assert ("in/secret.txt" in {link["path"] for link in told}) == ("read" in rights)
        if "read" not in rights:
            (hidden,) = (link for link in links if link.path == "in/secret.txt")
            assert web.post(f"/u/?revoke={hidden.id}").status_code == 404
