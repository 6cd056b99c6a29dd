"""Limits per user: what does not fit into a quota is refused by every door, and leaves nothing behind."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from defusedxml import ElementTree
from flask import Flask, abort
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import request_refused
from flask_gridfs_pymongo.store import usage

from ..conftest import HTML, JSON, everyone, form
from ..helpers.tus import PATCH, TUS, patch

LIMIT = 1000
CHUNKED = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
QUOTA = b"<propfind xmlns='DAV:'><prop><quota-available-bytes/><quota-used-bytes/></prop></propfind>"
Open = Callable[..., FlaskClient]


def of_ann(filename: str) -> tuple[str, int] | None:
    return ("ann/", LIMIT) if filename.startswith("ann/") else None


@pytest.fixture
def opened(app: Flask, mongo: PyMongo) -> Open:
    """``opened(**options)`` gives a client of the blueprint at ``/u`` and of the drive at ``/dav``."""

    def make(**options: Any) -> FlaskClient:
        rules = mongo.uploads_blueprint(url_prefix="/u", **{"authorize": everyone, "quota": of_ann, **options})
        app.register_blueprint(rules)
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": mongo.webdav_app(rules=rules)})  # type: ignore[method-assign]
        return app.test_client()

    return make


def save(mongo: PyMongo, name: str, length: int) -> str:
    return str(mongo.save_file(name, io.BytesIO(bytes(length))))


def stored(mongo: PyMongo) -> tuple[int, int]:
    """The files, and the chunks."""
    return mongo.db.fs.files.count_documents({}), mongo.db.fs.chunks.count_documents({})


class Unread:
    """A body that must not be read."""

    def read(self, *size: int) -> bytes:
        raise AssertionError("the body is read")

    readline = read


def numbers(answer: TestResponse) -> tuple[str, int, int]:
    found = answer.json
    return found["prefix"], found["limit"], found["used"]


DECLARED = {"Content-Length": "401"}
BIG_FORM = {"Content-Length": "3000000", "Content-Type": "multipart/form-data; boundary=x"}
BEFORE_BODY: list[tuple[str, str, dict[str, str]]] = [
    ("PUT", "/u/ann/b", DECLARED),
    ("PUT", "/u/ann/a", DECLARED),  # a version adds to those before it
    ("PUT", "/u/ann/b", {"Content-Length": str(10**30)}),
    ("POST", "/u/ann/b", BIG_FORM),
    ("POST", "/u/ann/", {**TUS, "Upload-Length": "401", "Upload-Metadata": "filename Yg=="}),
    ("POST", "/u/ann/b", {**TUS, "Upload-Length": str(2**63 - 1)}),
    ("POST", "/u/ann/b", {**PATCH, "Upload-Length": "401", "Content-Length": "401"}),
    ("PUT", "/dav/ann/b", DECLARED),
]


@pytest.mark.parametrize(("method", "url", "fields"), BEFORE_BODY)
def test_what_does_not_fit_is_refused_before_its_body(
    opened: Open, mongo: PyMongo, method: str, url: str, fields: dict[str, str]
) -> None:
    web = opened()
    save(mongo, "ann/a", 600)
    before = stored(mongo)
    unread = {"wsgi.input": Unread(), "CONTENT_LENGTH": fields.get("Content-Length", "")}
    answer = web.open(url, method=method, headers=fields, environ_overrides=unread)
    assert answer.status_code == 507, answer.text
    if url.startswith("/u/"):
        assert numbers(answer) == ("ann/", LIMIT, 600)
        assert "600 of 1000 bytes" in answer.json["detail"]
    else:
        assert b"quota-not-exceeded" in answer.data
    assert stored(mongo) == before
    assert mongo.db.fs.uploads.count_documents({}) == 0


def two(length: int) -> dict[str, Any]:
    return form((bytes(300), "b"), (bytes(length), "c"))


RECEIVED: list[tuple[str, str, Callable[[int], dict[str, Any]]]] = [
    ("PUT", "/u/ann/b", lambda length: {"data": bytes(length)}),
    ("PUT", "/u/ann/b", lambda length: {"input_stream": io.BytesIO(bytes(length)), "environ_overrides": CHUNKED}),
    ("POST", "/u/ann/b", lambda length: {"data": form((bytes(length), "x"))}),
    ("POST", "/u/ann/", lambda length: {"data": form((bytes(length), "x"))}),
    ("POST", "/u/?folder=ann/", lambda length: {"data": two(length - 300)}),
    ("POST", "/u/", lambda length: {"data": form((bytes(5000), "free"), (bytes(length), "ann/x"))}),
    ("PUT", "/dav/ann/b", lambda length: {"data": bytes(length)}),
    ("PUT", "/dav/ann/b", lambda length: {"input_stream": io.BytesIO(bytes(length)), "environ_overrides": CHUNKED}),
]


@pytest.mark.parametrize(("method", "url", "body"), RECEIVED)
def test_it_is_cut_at_the_limit_and_nothing_is_left_behind(
    opened: Open, mongo: PyMongo, method: str, url: str, body: Callable[[int], dict[str, Any]]
) -> None:
    web = opened()
    save(mongo, "ann/a", 600)
    before = stored(mongo)
    assert web.open(url, method=method, **body(401)).status_code == 507
    assert stored(mongo) == before
    assert web.open(url, method=method, **body(400)).status_code == 201
    assert mongo.bucket().usage("ann/").bytes == LIMIT


# With 600 bytes in two versions of ann/a, 300 in d/b and 200 in d/c.
WITHIN: list[
    tuple[int, int, str, str, dict[str, Any]]
] = [  # the limits at which it is refused and passes, and the rest
    (899, 900, "POST", "/u/d/b?copy=ann/b", {}),
    (899, 900, "POST", "/u/d/b?move=ann/b", {}),
    (899, 900, "POST", "/u/ann/a?restore&id={a}", {}),
    (1099, 1100, "POST", "/u/?copy=ann/", {"data": {"folder": "d/"}}),
    (1099, 1100, "POST", "/u/?move=ann/", {"data": {"folder": "d/"}}),
    (899, 900, "POST", "/u/?move=ann/", {"data": {"id": "{b}"}}),
    (899, 900, "COPY", "/dav/d/b", {"to": "ann/b"}),
    (899, 900, "MOVE", "/dav/d/b", {"to": "ann/b"}),
    (1099, 1100, "COPY", "/dav/d/", {"to": "ann/d/"}),
    (1099, 1100, "MOVE", "/dav/d/", {"to": "ann/d/"}),
    (-1, 0, "POST", "/u/ann/a?move=ann/b", {}),  # it needs no more space there
    (-1, 0, "POST", "/u/?move=ann/deep/", {"data": {"id": "{a}"}}),
    (-1, 0, "MOVE", "/dav/ann/a", {"to": "ann/b"}),
    (-1, 0, "POST", "/u/ann/a?move=bob/a", {}),
    (-1, 0, "PUT", "/u/ann/empty", {"data": b""}),
    (-1, 0, "POST", "/u/ann/a?delete", {}),
]


@pytest.mark.parametrize(("least", "most", "method", "url", "more"), WITHIN)
def test_copies_and_renames_count_all_that_comes(
    opened: Open, mongo: PyMongo, least: int, most: int, method: str, url: str, more: dict[str, Any]
) -> None:
    limit = least
    web = opened(quota=lambda name: ("ann/", limit) if name.startswith("ann/") else None)
    ids = {"a": save(mongo, "ann/a", 300)}
    save(mongo, "ann/a", 300)
    ids |= {"b": save(mongo, "d/b", 100)} if "move" in url or method == "MOVE" else {}
    ids["b"] = save(mongo, "d/b", 200 if len(ids) == 2 else 300)
    save(mongo, "d/c", 200)
    fields = {"Destination": f"http://localhost/dav/{more['to']}"} if "to" in more else {}
    data = more.get("data")
    if isinstance(data, dict):
        data = {name: value.format(**ids) for name, value in data.items()}
    if limit >= 0:
        before = stored(mongo)
        refused = web.open(url.format(**ids), method=method, headers=fields, data=data)
        assert refused.status_code == 507, refused.text
        assert stored(mongo) == before
        assert mongo.bucket().find("d/b") is not None
    limit = most
    answer = web.open(url.format(**ids), method=method, headers=fields, data=data)
    assert answer.status_code in (200, 201, 204), answer.text


def test_what_this_process_stores_counts_at_once_and_that_of_others_within_a_minute(
    opened: Open, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, now = opened(), 1000.0
    monkeypatch.setattr(usage, "monotonic", lambda: now)
    measured: list[str] = []
    measure = usage.Taken._measure

    def noted(self: usage.Taken, prefix: str) -> int:
        measured.append(prefix)
        return measure(self, prefix)

    monkeypatch.setattr(usage.Taken, "_measure", noted)

    def put(length: int, name: str = "ann/x") -> int:
        return web.put(f"/u/{name}", data=bytes(length)).status_code

    assert [put(300), put(300), put(300)] == [201, 204, 204]
    assert measured == ["ann/"]
    assert (put(101), measured) == (507, ["ann/"] * 2)  # it measures before it refuses
    save(mongo, "ann/y", 100)  # as another process does
    assert put(50) == 204
    now += 61
    assert put(50) == 507
    assert web.delete("/u/ann/y").status_code == 204
    assert put(50) == 204  # what was deleted is free at once
    assert put(5000, "free") == 201
    assert {*measured} == {"ann/"}
    monkeypatch.setattr(usage, "_MAX_KEPT", 3)
    assert [mongo.bucket().taken.below(f"{number}/") for number in range(5)] == [0] * 5
    assert len(mongo.bucket().taken._kept) == 3


def test_what_was_moved_there_counts_at_once(opened: Open, mongo: PyMongo) -> None:
    web = opened()
    assert web.put("/u/ann/x", data=bytes(300)).status_code == 201
    assert web.put("/u/free", data=bytes(600)).status_code == 201
    assert web.post("/u/free?move=ann/y").status_code == 201
    assert web.put("/u/ann/x", data=bytes(300)).status_code == 507
    assert web.put("/u/ann/x", data=bytes(100)).status_code == 204


def test_unfinished_uploads_take_what_they_announced(opened: Open, mongo: PyMongo) -> None:
    web = opened()
    named = {**TUS, "Upload-Metadata": "filename Yg=="}
    first = web.post("/u/ann/", headers={**named, "Upload-Length": "700"})
    assert first.status_code == 201
    assert web.post("/u/ann/", headers={**named, "Upload-Length": "301"}).status_code == 507
    assert web.put("/u/ann/c", data=bytes(301)).status_code == 507
    assert web.put("/u/ann/c", data=bytes(300)).status_code == 201
    assert patch(web, first.location, 0, bytes(700)).status_code == 204  # it has its space
    assert mongo.bucket().usage("ann/").bytes == LIMIT
    web.delete("/u/ann/c")
    second = web.post("/u/ann/", headers={**named, "Upload-Length": "300"})
    assert web.put("/u/ann/c", data=b"1").status_code == 507
    assert web.delete(second.location, headers=TUS).status_code == 204
    assert web.put("/u/ann/c", data=b"1").status_code == 201


def test_an_upload_whose_length_comes_later(opened: Open, mongo: PyMongo) -> None:
    web = opened()
    save(mongo, "ann/a", 600)
    later = {**TUS, "Upload-Defer-Length": "1"}
    url = web.post("/u/ann/b", headers=later).location
    assert patch(web, url, 0, bytes(250)).status_code == 204
    assert patch(web, url, 250, bytes(151)).status_code == 507
    chunked = {**PATCH, "Upload-Offset": "250"}
    body = {"input_stream": io.BytesIO(bytes(151)), "environ_overrides": CHUNKED}
    assert web.patch(url, headers=chunked, **body).status_code == 507
    assert web.head(url, headers=TUS).headers["Upload-Offset"] == "250"  # what was acknowledged stays
    assert patch(web, url, 250, bytes(100)).status_code == 204
    assert patch(web, url, 350, Upload_Length="401").status_code == 507
    assert patch(web, url, 350, bytes(50), Upload_Length="400").status_code == 204
    before = stored(mongo)
    assert web.post("/u/ann/c", headers={**later, **PATCH}, data=b"1").status_code == 507
    assert web.post("/u/ann/c", headers={**later, **PATCH, "Upload-Length": "1"}, data=b"1").status_code == 400
    assert stored(mongo) == before


BAD: list[Any] = [
    ("ann/", -1),
    ("ann/", 1e9),
    ("ann/", True),
    ("bob/", 1000),
    ("ann/a/b", 1000),
    (b"ann/", 1000),
    "ann/",
    1000,
    ("ann/", 1000, 1),
    ("ann/", None),
]


@pytest.mark.parametrize("answer", BAD, ids=repr)
def test_an_impossible_quota_is_an_error_that_names_the_option(
    opened: Open, mongo: PyMongo, app: Flask, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    web = opened(quota=lambda filename: answer)
    save(mongo, "ann/x", 1)
    app.testing = False
    for url in ("/u/ann/a", "/dav/ann/a"):
        caplog.clear()
        assert web.put(url, data=b"1").status_code == 500
        assert "ValueError: quota must return" in caplog.text
    assert stored(mongo) == (1, 1)


def test_a_quota_may_be_huge_none_or_an_error(opened: Open, mongo: PyMongo, app: Flask) -> None:
    def quota(filename: str) -> tuple[str, int] | None:
        if filename in ("refused", "d/"):
            abort(429)
        if filename == "wrong":
            raise KeyError(filename)
        return None if filename == "free" else ("", 10**30)

    app.testing = False
    web = opened(quota=quota)
    assert [web.put(f"/u/{name}", data=b"1").status_code for name in ("free", "a", "refused", "wrong")] == [
        *(201, 201, 429, 500)
    ]
    assert [web.put(f"/dav/{name}", data=b"1").status_code for name in ("b", "refused", "wrong")] == [201, 429, 500]
    assert stored(mongo) == (3, 3)
    assert web.get("/u/", headers=JSON).json["quota"] == {"prefix": "", "limit": 10**30, "used": 3}
    assert web.put("/u/d/a", data=b"1").status_code == 201
    assert "quota" not in web.get("/u/d/", headers=JSON).json
    for option in ("quota", 10**9):
        with pytest.raises(TypeError, match="quota must be a function of"):
            mongo.uploads_blueprint("other", quota=option)


def test_rights_are_asked_first_and_only_who_may_list_learns_the_numbers(opened: Open, mongo: PyMongo) -> None:
    allowed: set[tuple[str, str | None]] = {("write", "ann/b"), ("write", "ann/"), ("list", "ann/"), ("read", "ann/a")}
    asked: list[str] = []

    def quota(name: str) -> tuple[str, int]:
        asked.append(name)
        return "", 1000

    web = opened(authorize=lambda action, name: (action, name) in allowed, quota=quota)
    save(mongo, "secret", 986)
    save(mongo, "ann/a", 1)
    for method, url in (("PUT", "/u/b"), ("POST", "/u/b"), ("PUT", "/dav/b"), ("POST", "/u/ann/a?copy=b")):
        assert web.open(url, method=method, data=bytes(14)).status_code == 403, url
    assert asked == []
    for url in ("/u/ann/b", "/dav/ann/b"):
        unknown = web.put(url, data=bytes(14))
        assert (unknown.status_code, "987" in unknown.text, "prefix" in unknown.text) == (507, False, False)
    assert "quota" not in web.get("/u/ann/", headers=JSON).json
    assert "are left" not in web.get("/u/ann/", headers=HTML).text
    assert [*properties(web.open("/dav/ann/", method="PROPFIND", data=QUOTA, headers={"Depth": "0"}))] == [{}]
    allowed.add(("list", None))
    assert numbers(web.put("/u/ann/b", data=bytes(14))) == ("", 1000, 987)


def properties(answer: TestResponse) -> Iterator[dict[str, str | None]]:
    """Of each resource, those that it has."""
    assert answer.status_code == 207, answer.text
    for response in ElementTree.fromstring(answer.data).iter("{DAV:}response"):
        yield {
            value.tag: value.text
            for part in response.iter("{DAV:}propstat")
            if "200" in (part.findtext("{DAV:}status") or "")
            for value in part.iterfind("{DAV:}prop/*")
        }


def test_what_is_left_is_told_before_an_upload(opened: Open, mongo: PyMongo) -> None:
    web = opened(quota=lambda name: ("ann/", 3 * 1024) if name.startswith("ann/") else None)
    save(mongo, "ann/deep/a", 1024)
    for folder in ("ann/", "ann/deep/"):
        assert web.get(f"/u/{folder}", headers=JSON).json["quota"] == {"prefix": "ann/", "limit": 3072, "used": 1024}
        assert web.get(f"/u/{folder}", headers=HTML).text.count("2.0 KiB of 3.0 KiB are left.") == 2  # menu and form
    for url in ("/u/", "/u/?folder=", "/u/?flat=1"):
        assert "quota" not in web.get(url, headers=JSON).json
        assert "are left" not in web.get(url, headers=HTML).text

    ask = {"method": "PROPFIND", "data": QUOTA}
    known = {"{DAV:}quota-available-bytes": "2048", "{DAV:}quota-used-bytes": "1024"}
    assert [*properties(web.open("/dav/ann/", **ask, headers={"Depth": "1"}))] == [known, {}]
    assert [*properties(web.open("/dav/", **ask, headers={"Depth": "1"}))] == [{}, {}]
    everything = web.open("/dav/ann/", method="PROPFIND", headers={"Depth": "0"})
    assert b"quota" not in everything.data  # RFC 4331 section 3
    page = web.post("/u/ann/", data=form((bytes(2049), "b")), headers=HTML)
    assert (page.status_code, "1024 of 3072 bytes are used" in page.text) == (507, True)


def test_who_has_a_link_learns_no_numbers(opened: Open, mongo: PyMongo, app: Flask) -> None:
    web = opened()
    save(mongo, "ann/a", 600)
    with app.test_request_context():
        adding, reading = mongo.upload_link("ann/inbox/", max_files=1), mongo.share_link("ann/")
    for refused in (web.put(f"{adding}/b", data=bytes(401)), web.post(adding, data=form((bytes(401), "b")))):
        assert (refused.status_code, "600" in refused.text, "prefix" in refused.text) == (507, False, False)
    assert web.put(f"{adding}/b", data=bytes(400)).status_code == 201  # the link has its place still
    assert "are left" not in web.get(adding, headers=HTML).text
    assert "quota" not in web.get(reading, headers=JSON).json


def test_a_refusal_is_reported(opened: Open, mongo: PyMongo, app: Flask) -> None:
    told: list[tuple[int, str | None]] = []

    def listen(sender: Any, status: int, filename: str | None, **more: Any) -> None:
        told.append((status, filename))

    web = opened()
    save(mongo, "ann/a", 1)
    with request_refused.connected_to(listen, app):
        for url in ("/u/ann/b", "/dav/ann/b"):
            assert web.put(url, data=bytes(1001)).status_code == 507
    assert told == [(507, "ann/b")] * 2
