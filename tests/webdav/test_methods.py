"""A bucket as a network drive: what each WebDAV method does, and to whom."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import Any

import pytest
from bson import encode
from defusedxml import ElementTree
from flask import Blueprint, Flask, Response, abort, request, session
from flask_login import LoginManager, UserMixin, current_user, login_user
from pymongo import monitoring
from pymongo.errors import AutoReconnect
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import TestResponse

from examples.private import users
from flask_gridfs_pymongo import PyMongo, Refused
from flask_gridfs_pymongo.http import dav as http_dav
from flask_gridfs_pymongo.signals import file_changed, file_deleted, file_saved, request_refused
from flask_gridfs_pymongo.store.maintenance.check import Check
from flask_gridfs_pymongo.webdav import changes, copies, folders

from ..conftest import JSON, Commands, content, everyone, missing
from ..helpers.drive import DAV, LOCK, PROPPATCH, Client, Drive, mounting, names, put, text
from ..helpers.renames import break_off

METHODS = "PUT MKCOL COPY MOVE PROPPATCH LOCK DELETE".split()
DESTINATIONS = [
    ("http://localhost/dav/b", 201),
    ("https://LOCALHOST:443/dav/b", 201),
    ("/dav/b", 201),
    ("http://ann@localhost/dav//b", 201),
    ("/dav/\u00e4".encode().decode("latin-1"), 201),
    ("http://example.com/dav/b", 502),
    ("/uploads/b", 502),
    ("/davb", 502),
    ("/dav", 502),
    ("/dav/", 403),
    ("/dav/b?c", 400),
    ("/dav/b?", 400),
    ("/dav/b#c", 400),
    ("http://localhost/dav/b#", 400),
    ("/dav/b\tc", 400),
    ("/dav/%ff", 400),
    ("/dav/..%2fb", 400),
    ("/dav/%5Cb", 400),
    ("/dav/b%00", 400),
    ("/dav/a", 403),
    ("/dav/none/b", 409),
    ("http://[", 400),
]


@pytest.fixture
def drive(app: Flask, mongo: PyMongo) -> Drive:
    """``drive(**options)`` mounts a drive with them and gives a client."""
    return mounting(app, mongo)


@pytest.fixture
def real_drive(app: Flask, real: PyMongo) -> Drive:
    """The same on mongod alone."""
    return mounting(app, real)


class TestFolders:
    def test_what_names_begin_with_is_a_folder(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a.txt", "b/1", "b/c/2", "ä ö/?#%.txt")
        client = drive()
        assert client.found() == ["/dav/", "/dav/b/", "/dav/%C3%A4%20%C3%B6/", "/dav/a.txt"]
        assert client.found("b") == ["/dav/b/", "/dav/b/c/", "/dav/b/1"]
        assert client.found("%C3%A4%20%C3%B6/") == ["/dav/%C3%A4%20%C3%B6/", "/dav/%C3%A4%20%C3%B6/%3F%23%25.txt"]
        assert client.found("b", "0") == ["/dav/b/"]
        assert client.status("PROPFIND", "none/", Depth="1") == 404

    def test_an_empty_one_is_remembered_and_no_file_for_others(self, drive: Drive, mongo: PyMongo) -> None:
        client = drive()
        assert client.status("MKCOL", "new/") == 201
        assert client.status("MKCOL", "new") == 405
        assert client.status("MKCOL", "none/new/") == 409
        assert client.status("MKCOL", "new/deep") == 201
        assert client.found() == ["/dav/", "/dav/new/"]
        assert client.found("new/") == ["/dav/new/", "/dav/new/deep/"]
        assert names(mongo) == []
        assert mongo.db["fs.files"].count_documents({}) == 0

    def test_one_stays_when_its_last_file_goes(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a/b/1", "a/b/2")
        client = drive()
        assert client.status("DELETE", "a/b/1") == 204
        assert client.status("MOVE", "a/b/2", to="2") == 201
        assert client.found("a/b/") == ["/dav/a/b/"]
        assert client.status("DELETE", "a/b") == 204
        assert client.found("a/") == ["/dav/a/"]
        assert client.status("DELETE", "a/") == 204
        assert client.found() == ["/dav/", "/dav/2"]

    def test_a_file_and_a_folder_of_one_name(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a", "a/b")
        client = drive()
        assert client.found() == ["/dav/", "/dav/a/", "/dav/a"]
        assert client.ask("GET", "a").data == b"a"
        assert client.found("a/") == ["/dav/a/", "/dav/a/b"]
        put(mongo, "f", "g/x")
        assert client.status("MKCOL", "f") == 405
        assert client.status("PUT", "f/x", b"x") == 409
        assert client.status("PUT", "g", b"x") == 405
        assert client.status("PUT", "new/", b"x") == 400

    def test_names_that_no_url_carries_are_left_out(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "good", "a//b", "/c", "d\x01", "e\ufffe", "x/../y")
        mongo.db["fs.files"].insert_one({"length": 0, "chunkSize": 1, "uploadDate": datetime.now(UTC)})
        assert drive().found() == ["/dav/", "/dav/a/", "/dav/x/", "/dav/good"]

    def test_what_expired_is_not_there(self, drive: Drive, mongo: PyMongo) -> None:
        past = datetime.now(UTC) - timedelta(seconds=1)
        mongo.save_file("a/gone", io.BytesIO(b"x"), expires_at=past)
        client = drive()
        assert client.found() == ["/dav/"]
        assert [client.status(method, "a/gone") for method in ("GET", "PROPFIND", "DELETE")] == [404, 404, 404]

    def test_limits(self, drive: Drive, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folders, "MAX_NAMES", 5)
        put(mongo, *(f"a/{number}" for number in range(4)))
        client = drive()
        assert client.status("MKCOL", "a/new") == 201
        assert len(client.found("a")) == 6
        assert client.status("COPY", "a", to="b") == 201
        put(mongo, "a/5")
        refused = client.ask("PROPFIND", "a", Depth="1")
        assert (refused.status_code, refused.text) == (507, "A folder of more than 5 names is not listed.\n")
        assert {client.status(method, "a", to="c") for method in ("COPY", "MOVE", "DELETE")} == {507}
        assert client.found() == ["/dav/", "/dav/a/", "/dav/b/"]

    @pytest.mark.parametrize("fields", [{"Depth": "infinity"}, {"Depth": "Infinity"}], ids=str)
    def test_all_below_is_not_told_at_once(self, drive: Drive, fields: dict[str, str]) -> None:
        answer = drive().ask("PROPFIND", "", **fields)
        assert answer.status_code == 403
        assert ElementTree.fromstring(answer.data).find("D:propfind-finite-depth", DAV) is not None

    def test_a_file_has_nothing_below(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a")
        assert drive().found("a", "infinity") == ["/dav/a"]

    def test_the_top_stays(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a", "b/c")
        client = drive()
        assert {client.status(method, "", LOCK, to="b/d") for method in ("DELETE", "MOVE", "COPY", "LOCK")} == {403}
        assert [client.status(method, "") for method in ("PUT", "MKCOL", "GET")] == [400, 405, 200]
        assert names(mongo) == ["a", "b/c"]


class TestFiles:
    def test_put_adds_a_version(self, drive: Drive, mongo: PyMongo) -> None:
        client = drive()
        first, second = client.ask("PUT", "a.txt", b"one"), client.ask("PUT", "a.txt", b"two")
        assert (first.status_code, second.status_code) == (201, 204)
        assert second.headers["ETag"] == client.ask("HEAD", "a.txt").headers["ETag"] != first.headers["ETag"]
        assert [text(mongo, "a.txt", version) for version in (0, 1)] == [b"one", b"two"]

    def test_preconditions(self, drive: Drive, mongo: PyMongo) -> None:
        client = drive()
        assert client.status("PUT", "a", b"1", If_Match="*") == 412
        etag = client.ask("PUT", "a", b"1", If_None_Match="*").headers["ETag"]
        assert client.status("PUT", "a", b"2", If_None_Match="*") == 412
        assert client.status("PUT", "a", b"2", If_Match='"other"') == 412
        assert client.status("PUT", "a", b"2", If_Match=etag) == 204
        for method in ("DELETE", "MOVE", "COPY", "PROPPATCH", "LOCK"):
            assert client.status(method, "a", to="b", If_Match=etag) == 412
        for method in ("DELETE", "MOVE", "PUT"):
            assert client.status(method, "a", b"", to="b", If=f"([{etag}])") == 412
            assert client.status(method, "a", b"", to="b", If=f"<http://localhost/dav/a> ([{etag}])") == 412
        assert client.status("GET", "a", If_None_Match=client.ask("HEAD", "a").headers["ETag"]) == 304
        assert names(mongo) == ["a"]

    def test_move_keeps_ids_and_history(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a", "a")
        mongo.bucket().dav.remember("f/")
        ids = [file["_id"] for file in mongo.db["fs.files"].find().sort("_id")]
        client = drive()
        assert client.status("MOVE", "a", to="f/what%3F%20%3B%23%25.txt") == 201
        assert names(mongo) == ["f/what? ;#%.txt"]
        assert [file["_id"] for file in mongo.db["fs.files"].find().sort("_id")] == ids
        assert client.status("MOVE", "f", to="g") == 201
        assert names(mongo) == ["g/what? ;#%.txt"]
        assert client.found() == ["/dav/", "/dav/g/"]

    @pytest.mark.parametrize("early", [True, False], ids=["older versions are left", "the source is gone"])
    def test_the_same_move_completes_what_broke_off(
        self, drive: Drive, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch, early: bool
    ) -> None:
        """With its properties; an editor that saves again instead loses nothing."""
        client = drive()
        for name in ("doc.tmp", "doc.tmp", "next.tmp"):
            client.ask("PUT", name, name.encode())
        client.ask("PROPPATCH", "doc.tmp", PROPPATCH)
        for name, new in (("doc.tmp", "doc"), ("next.tmp", "next")):
            with monkeypatch.context() as patched:
                break_off(patched, early=early)
                assert client.status("MOVE", name, to=new) == 503
        assert client.status("MOVE", "doc.tmp", to="none/doc") == (409 if early else 404)
        assert client.status("MOVE", "doc.tmp", to="doc", Overwrite="F") == 201
        assert client.status("MOVE", "doc.tmp", to="doc", Overwrite="F") == 404
        assert b"red" in client.ask("PROPFIND", "doc", Depth="0").data
        assert mongo.bucket().count("doc") == 2
        assert client.status("PUT", "next.tmp", b"saved again") == 201
        assert client.status("MOVE", "next.tmp", to="next") == 204
        assert (text(mongo, "next"), names(mongo)) == (b"saved again", ["doc", "next"])

    def test_the_same_move_of_a_folder_completes_what_broke_off(
        self, drive: Drive, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It replaces what is at the target, but not what it has put there itself."""
        client = drive()
        put(mongo, *(f"f/{number}" for number in range(6)), "g/old")
        rename = changes.rename_many

        def half(options: Any, renames: Any, note: Any) -> Any:
            rename(options, renames[:3], note)
            raise AutoReconnect("gone")

        for _ in range(2):
            with monkeypatch.context() as broken:
                broken.setattr(changes, "rename_many", half)
                broken.setattr(copies, "_BATCH", 4)
                assert client.status("MOVE", "f/", to="g/") == 503
        assert len(names(mongo)) == 6
        assert client.status("MOVE", "f/", to="g/") == 201
        assert names(mongo) == [f"g/{number}" for number in range(6)]
        assert client.status("MOVE", "f/", to="g/") == 404
        put(mongo, "f/new")
        assert client.status("MOVE", "f/", to="g/") == 204
        assert names(mongo) == ["g/new"]

    @pytest.mark.parametrize(("method", "left"), [("MOVE", ["b"]), ("COPY", ["a", "b"])])
    def test_over_a_file_it_adds_a_version(self, drive: Drive, mongo: PyMongo, method: str, left: list[str]) -> None:
        put(mongo, "a", "b")
        client = drive()
        assert client.status(method, "a", to="b", Overwrite="F") == 412
        assert text(mongo, "b") == b"b"
        assert client.status(method, "a", to="b") == 204
        assert names(mongo) == left
        assert [text(mongo, "b", version) for version in (0, 1)] == [b"b", b"a"]

    @pytest.mark.parametrize("method", ["MOVE", "COPY"])
    def test_overwrite_f_keeps_a_file_that_was_not_seen_before(self, drive: Drive, mongo: PyMongo, method: str) -> None:
        put(mongo, "a", "b")
        client = drive(authorize=lambda action, name: (action, name) != ("read", "b"))
        assert client.status(method, "a", to="b", Overwrite="F") == 412
        assert names(mongo) == ["a", "b"]
        assert mongo.db["fs.files"].count_documents({}) == 2

    @pytest.mark.parametrize("method", ["MOVE", "COPY"])
    @pytest.mark.parametrize(
        ("path", "to"),
        [
            ("a/b", "a"),
            ("a/c/", "a/"),
            ("%C3%A9", "e%CC%81"),  # Apple's form of the same name
            ("%C3%A9f/", "e%CC%81f/"),
            ("%C3%A9f/", "e%CC%81f/below"),
        ],
    )
    def test_nothing_goes_onto_or_into_itself(
        self, drive: Drive, mongo: PyMongo, method: str, path: str, to: str
    ) -> None:
        put(mongo, "a/b", "a/c/d", "a/e", "\u00e9", "\u00e9", "\u00e9f/x")
        before = mongo.db["fs.files"].distinct("_id")
        assert drive().status(method, path, to=to) == 403
        assert mongo.db["fs.files"].distinct("_id") == before

    @pytest.mark.parametrize(
        ("method", "path", "to", "refused"),
        [
            ("MOVE", "a/", "b", "delete a/1"),
            ("MOVE", "file", "b", "write b"),
            ("COPY", "a/", "file", "write file/1"),
            ("COPY", "a/", "b/", "write b/"),
        ],
    )
    def test_what_would_be_replaced_stays_where_that_fails(
        self, drive: Drive, mongo: PyMongo, method: str, path: str, to: str, refused: str
    ) -> None:
        put(mongo, "a/1", "b/2", "file")
        client = drive(lambda action, filename: f"{action} {filename}" != refused)
        assert client.status(method, path, to=to) == 403
        assert names(mongo) == ["a/1", "b/2", "file"]

    @pytest.mark.parametrize("fields", [{"charset": "latin-1"}, {"contentType": "text/plain; charset=latin-1"}])
    def test_the_type_names_the_charset(self, drive: Drive, mongo: PyMongo, fields: dict[str, str]) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"\xe9"))
        mongo.db.fs.files.update_one({}, {"$set": fields, "$unset": {"metadata": 1}})
        answer = drive().ask("PROPFIND", "a.txt")
        (told,) = ElementTree.fromstring(answer.data).iterfind(".//D:getcontenttype", DAV)
        assert told.text == drive().ask("GET", "a.txt").headers["Content-Type"] == "text/plain; charset=latin-1"

    def test_copy_keeps_type_and_metadata(self, drive: Drive, mongo: PyMongo) -> None:
        mongo.save_file("a", io.BytesIO(b"x"), content_type="image/x-own", metadata={"title": "A"})
        mongo.save_file("d/e/f", io.BytesIO(b"y"))
        client = drive()
        assert client.status("COPY", "a", to="b") == 201
        copied = mongo.bucket().find("b")
        assert copied is not None
        assert (copied.content_type, copied.metadata["title"]) == ("image/x-own", "A")
        client.ask("MKCOL", "d/empty")
        assert client.status("COPY", "d", to="g") == 201
        assert client.found("g/") == ["/dav/g/", "/dav/g/e/", "/dav/g/empty/"]
        assert client.status("COPY", "d", to="h", Depth="0") == 201
        assert client.found("h/") == ["/dav/h/"]
        put(mongo, "g/more")
        assert client.status("COPY", "d", to="g") == 204
        assert names(mongo) == ["a", "b", "d/e/f", "g/e/f"]

    def test_destinations(self, drive: Drive, mongo: PyMongo) -> None:
        client = drive()
        for destination, status in DESTINATIONS:
            put(mongo, "a")
            assert client.status("MOVE", "a", Destination=destination) == status, destination
            assert (names(mongo) == ["a"]) == (status != 201), destination
            for name in names(mongo):
                mongo.bucket().delete(name)

    def test_a_download_is_as_safe_as_the_blueprints(self, drive: Drive, app: Flask, mongo: PyMongo) -> None:
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))
        mongo.save_file("evil.html", io.BytesIO(b"<script>alert(1)</script>"))
        mongo.save_file("a.png", io.BytesIO(content(5000)))
        client = drive()
        for name in ("evil.html", "a.png"):
            ours, theirs = client.ask("GET", name), client.client.get(f"/uploads/{name}")
            assert ours.data == theirs.data
            assert {**ours.headers} == {**theirs.headers}
        assert client.ask("GET", "evil.html").headers["Content-Disposition"].startswith("attachment")
        part = client.ask("GET", "a.png", Range="bytes=100-199")
        assert (part.status_code, part.data) == (206, content(5000)[100:200])
        assert client.ask("HEAD", "a.png").headers["Content-Length"] == "5000"

    def test_it_tells_the_application(self, drive: Drive, app: Flask, mongo: PyMongo) -> None:
        heard: list[tuple[str, str]] = []
        told = {"saved": file_saved, "deleted": file_deleted, "changed": file_changed}
        listeners = {
            kind: lambda sender, file, kind=kind, **facts: heard.append((kind, file.filename)) for kind in told
        }
        refusals: list[Any] = []
        request_refused.connect(refused := lambda sender, **facts: refusals.append([*facts.values()]), app)
        for kind, signal in told.items():
            signal.connect(listeners[kind], app)
        client = drive()
        client.ask("PUT", "a", b"1")
        client.ask("MOVE", "a", to="b")
        client.ask("COPY", "b", to="c")
        client.ask("DELETE", "b")
        assert heard == [("saved", "a"), ("changed", "b"), ("saved", "c"), ("deleted", "b")]
        client.ask("GET", "none")
        client.ask("PUT", "b%20", b"x")
        assert refusals == [[400, "Names are not rewritten: this one would be stored as 'b'.", "b "]]
        request_refused.disconnect(refused, app)


class TestLimits:
    def test_rights_come_before_the_body(self, drive: Drive, mongo: PyMongo) -> None:
        """The body is refused, too, if it is read."""
        refused = b"<!DOCTYPE x><x/>"
        put(mongo, "secret", "shown")
        client = drive(lambda action, name: name is None or name.startswith("shown"))
        for name in ("secret", "none"):
            for method, status in {
                **dict.fromkeys(("PROPFIND", "PROPPATCH", "DELETE", "COPY", "MOVE"), 404),
                **dict.fromkeys(("LOCK", "MKCOL"), 403),
            }.items():
                assert (client.status(method, name, refused, to="shown2"), method) == (status, method)
        for method in ("PROPFIND", "PROPPATCH", "LOCK"):
            assert client.status(method, "shown", refused) == 400

    @pytest.mark.parametrize(
        ("method", "body", "last"),
        [
            ("PUT", b"new", ("write", "a")),
            ("PROPPATCH", PROPPATCH, "the body is parsed"),
            ("LOCK", LOCK, "the body is parsed"),
            ("DELETE", b"", ("delete", "a")),
            ("COPY", b"", ("write", "b")),
            ("MOVE", b"", ("write", "b")),
        ],
    )
    def test_preconditions_are_asked_again_at_the_commit(
        self,
        drive: Drive,
        mongo: PyMongo,
        monkeypatch: pytest.MonkeyPatch,
        method: str,
        body: bytes,
        last: tuple[str, str] | str,
    ) -> None:
        """Another client comes first, when the right is asked for, or the body is parsed."""

        def come(step: Any) -> bool:
            if step == last and mongo.bucket().count("a") == 1:
                mongo.save_file("a", io.BytesIO(b"theirs"))
            return True

        def authorize(action: str, filename: str | None) -> bool:
            return come((action, filename))

        plain_xml = http_dav.plain_xml
        monkeypatch.setattr(http_dav, "plain_xml", lambda text: come("the body is parsed") and plain_xml(text))

        put(mongo, "a")
        client = drive(authorize)
        seen = client.ask("HEAD", "a").headers["ETag"]
        to = "b" if method in ("COPY", "MOVE") else None
        assert client.status(method, "a", body, to, If_Match=seen) == (207 if method == "PROPPATCH" else 412)
        assert (text(mongo, "a"), names(mongo), mongo.bucket().dav.locks.all()) == (b"theirs", ["a"], [])
        assert not mongo.db["fs.dav"].count_documents({"_id": {"$ne": "locks"}})
        assert client.status(method, "a", body, to, If_Match=client.ask("HEAD", "a").headers["ETag"]) < 300

    @pytest.mark.parametrize(
        ("methods", "path", "conditions"),
        [
            (
                ["DELETE", "COPY", "MOVE", "PROPPATCH", "LOCK", "PROPFIND"],
                "f",
                [
                    ({"If_None_Match": "*"}, 412),
                    ({"If_Match": '"x", ""'}, 412),
                    ({"If_None_Match": '"x", ""'}, 200),
                    ({"If_Match": "*", "If_Unmodified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),  # it has no date
                ],
            ),
            (
                ["MKCOL", "LOCK"],
                "n",
                [({"If_Match": "*"}, 412), ({"If_Match": '"x"'}, 412), ({"If_None_Match": "*"}, 200)],
            ),
            (["MKCOL"], "f", [({"If_Match": "*"}, 405), ({"If_None_Match": "*"}, 405)]),
        ],
    )
    def test_preconditions_of_folders(
        self, drive: Drive, mongo: PyMongo, methods: list[str], path: str, conditions: list[tuple[dict[str, str], int]]
    ) -> None:
        client = drive()
        for number, method in enumerate(methods):
            top = str(number)
            put(mongo, f"{top}/f/a")
            before = list(mongo.db["fs.files"].find())
            body = {"PROPPATCH": PROPPATCH, "LOCK": LOCK}.get(method, b"")
            for place, (fields, status) in enumerate(conditions):
                to = f"{top}/{place}" if method in ("COPY", "MOVE") else None
                found = client.status(method, f"{top}/{path}", body, to, **fields)
                assert (found if found > 300 else 200) == status, (method, fields, found)
                assert status == 200 or list(mongo.db["fs.files"].find()) == before
                put(mongo, f"{top}/f/a")
                before = list(mongo.db["fs.files"].find())
                for lock in mongo.bucket().dav.locks.all():
                    assert client.status("UNLOCK", f"{top}/{path}", Lock_Token=f"<{lock['token']}>") == 204

    def test_versions_and_expiry(self, drive: Drive, mongo: PyMongo) -> None:
        client = drive(expire_after=100)
        client.ask("PUT", "a", b"1")
        client.lock("b")
        for name in ("a", "b"):
            file = mongo.bucket().find(name)
            assert file is not None
            assert file.expires_at is not None

    def test_names_that_cleaning_would_change(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a")
        client = drive()
        for name in ("a%00b", "a%0Ab", "%E2%80%AEa", "%20a", "a%5Cb", "x" * 256, "a%C2%85", "%F3%A0%80%81"):
            asked = {"PUT": b"x", "MKCOL": b"", "LOCK": LOCK}
            assert [client.status(method, name, body) for method, body in asked.items()] == [400, 400, 400], name
            assert (client.status("COPY", "a", to=name), client.status("GET", name)) == (400, 404), name
        assert names(mongo) == ["a"]

    def test_hostile_paths(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a", "b/c")
        client = drive()
        for path in ("../a", "b/../a", "./a", "b/./c", "..", "b/..", "\xff"):
            for method in ("GET", "PROPFIND", "DELETE", "PUT"):
                environ = {"PATH_INFO": f"/dav/{path}"}
                answer = client.client.open("/dav/", method=method, headers={"Depth": "1"}, environ_overrides=environ)
                assert answer.status_code == 400, (method, path)
        assert names(mongo) == ["a", "b/c"]

    def test_a_name_in_apples_form_means_the_composed_one(self, drive: Drive, mongo: PyMongo) -> None:
        client = drive()
        assert client.status("PUT", "A%CC%88.txt", b"x") == 201
        assert names(mongo) == ["\u00c4.txt"]
        assert client.status("GET", "A%CC%88.txt") == 200
        assert client.status("MOVE", "A%CC%88.txt", to="O%CC%88.txt") == 201
        assert names(mongo) == ["\u00d6.txt"]

    def test_files_of_finder_are_files(self, drive: Drive) -> None:
        client = drive()
        client.ask("MKCOL", "a")
        for name in ("._a.txt", ".DS_Store", "a/._.Trashes", "a/.hidden"):
            assert client.status("PUT", name, b"x") == 201
            assert client.ask("GET", name).data == b"x"
            assert client.status("DELETE", name) == 204


class TestRequests:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PROPFIND", *METHODS, "UNLOCK", "POST", "NONE"])
    def test_a_host_that_is_not_trusted_is_400(self, app: Flask, drive: Drive, mongo: PyMongo, method: str) -> None:
        app.config["TRUSTED_HOSTS"] = ["localhost"]
        asked: list[str] = []
        client = drive(authenticate=lambda user, password: bool(asked.append(user)) or True)
        put(mongo, "a")
        body = {"LOCK": LOCK, "PROPPATCH": PROPPATCH, "PUT": b"new"}.get(method, b"")
        path = "folder/" if method == "MKCOL" else "a"
        auth = "Basic YW5uOng="
        # What the fields say of the host does not count, whoever else they agree with.
        foreign = {"Host": "evil.example", "Origin": "http://evil.example", "Sec_Fetch_Site": "same-origin"}
        assert client.status(method, path, body, to="b", Authorization=auth, **foreign) == 400
        assert (names(mongo), text(mongo, "a"), asked) == (["a"], b"a", [])
        assert mongo.db.fs.dav.count_documents({}) == 0
        expected = {"GET": 200, "HEAD": 200, "OPTIONS": 200, "PROPFIND": 207, "PROPPATCH": 207, "LOCK": 200}
        expected |= {"PUT": 204, "DELETE": 204, "UNLOCK": 400, "POST": 405, "NONE": 405}
        assert client.status(method, path, body, to="b", Authorization=auth, Depth="0") == expected.get(method, 201)

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"<!DOCTYPE a [<!ENTITY b 'c'>]><propfind xmlns='DAV:'><prop><a>&b;</a></prop></propfind>", 400),
            (b"<a/>", 400),
            (b"<propfind xmlns='DAV:'><prop>" + b"<a/>" * 101 + b"</prop></propfind>", 400),
            (b"<propfind xmlns='DAV:'><prop>" + b"<a>" * 9000 + b"</a>" * 9000 + b"</prop></propfind>", 400),
            (b"no XML", 400),
            (b"<propfind xmlns='DAV:'>" + b"<prop/>" * 200_000 + b"</propfind>", 413),
            (b"<propfind xmlns='DAV:'><propname/></propfind>", 207),
        ],
        ids=["entity", "other", "many", "deep", "no-xml", "large", "names"],
    )
    def test_bodies(self, drive: Drive, body: bytes, status: int) -> None:
        assert drive().status("PROPFIND", "", body, Depth="1") == status

    @pytest.mark.parametrize(
        ("method", "fields"),
        [("PUT", {"If": "<" * 5000}), ("LOCK", {"Timeout": f"Second-{'9' * 5000}"}), ("COPY", {"to": "b" * 5000})],
    )
    def test_long_fields(self, drive: Drive, mongo: PyMongo, method: str, fields: dict[str, str]) -> None:
        put(mongo, "a")
        assert drive().status(method, "a", **fields) == 400

    def test_what_fails_tells_nothing(self, drive: Drive, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
        def authorize(action: str, filename: str | None) -> bool:
            raise RuntimeError("secret")

        client = drive(authorize)
        for method in ("PUT", "PROPFIND", "GET", "MKCOL"):
            answer = client.ask(method, "a", **({"Depth": "1"} if method == "PROPFIND" else {}))
            assert answer.status_code == 500
            assert not re.search("secret|Traceback|WsgiDAV", answer.text)
        assert "secret" in caplog.text

    @pytest.mark.parametrize("method", ["PROPFIND", "GET", "PUT", "DELETE", "MKCOL", "LOCK"])
    def test_a_database_that_is_away_is_a_503(self, app: Flask, method: str) -> None:
        away = PyMongo(app, uri="mongodb://127.0.0.1:1/a?serverSelectionTimeoutMS=50")
        answer = mounting(app, away)().ask(method, "a", LOCK if method == "LOCK" else b"", Depth="0")
        away.cx.close()
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert "127.0.0.1" not in answer.text

    def test_nobody_waits_for_a_database_that_was_never_there(self, app: Flask) -> None:
        never = PyMongo(app, uri="mongodb://127.0.0.1:1/a")
        begin = time.monotonic()
        assert mounting(app, never)().ask("PROPFIND", "", Depth="1").status_code == 503
        assert time.monotonic() - begin < 20  # a second where nothing else runs; the driver waits for thirty
        never.cx.close()

    def test_fields_of_every_answer(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a")
        client = drive()
        for method, path in (("PROPFIND", "a"), ("PUT", "b"), ("DELETE", "none"), ("OPTIONS", ""), ("BREW", "a")):
            answer = client.ask(method, path, Depth="0")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert answer.headers["Cache-Control"] == "no-store"
            assert "WsgiDAV" not in answer.text
        assert client.status("BREW", "a") == 405

    def test_options(self, drive: Drive) -> None:
        answer = drive().ask("OPTIONS", "")
        assert answer.headers["DAV"] == "1, 2"
        assert "LOCK" in answer.headers["Allow"]

    def test_pages_of_other_origins_change_nothing(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a")
        client = drive()
        for method in METHODS:
            assert client.status(method, "a", to="b", Origin="https://evil.example") == 403
            assert client.status(method, "a", to="b", Sec_Fetch_Site="cross-site") == 403
        assert client.status("PUT", "a", b"x", Origin="http://localhost") == 204
        assert names(mongo) == ["a"]

    def test_the_drive_may_live_anywhere_and_twice(self, drive: Drive, app: Flask, mongo: PyMongo) -> None:
        papers = drive(root="/a/papers", base="papers")
        first = drive()
        first.ask("PUT", "x", b"first")
        papers.ask("PUT", "x", b"second")
        papers.ask("MKCOL", "only here")
        assert papers.found() == ["/a/papers/", "/a/papers/only%20here/", "/a/papers/x"]
        assert first.found() == ["/dav/", "/dav/x"]
        token = first.lock("x")
        assert papers.status("PUT", "x", b"third") == 204
        assert first.status("PUT", "x", b"third") == 423
        assert first.status("MOVE", "x", to="y", If=f"(<{token}>)") == 201

    def test_without_wsgidav_it_names_the_extra(self, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.startswith("flask_gridfs_pymongo.webdav")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "wsgidav.dav_error", None)
        with pytest.raises(ImportError, match=r"flask-gridfs-pymongo\[webdav\]"):
            mongo.webdav_app()

    def test_arguments(self, mongo: PyMongo) -> None:
        with pytest.raises(TypeError, match="authenticate"):
            mongo.webdav_app(authenticate="secret")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="max_size"):
            mongo.webdav_app(max_size=-1)


class TestRulesOfABlueprint:
    """``webdav_app(rules=blueprint)``: the bucket has one set of rules."""

    @pytest.fixture
    def ruled(self, app: Flask, mongo: PyMongo) -> Callable[..., Client]:
        def mount(**options: Any) -> Client:
            uploads = mongo.uploads_blueprint(url_prefix="/uploads", **options)
            app.register_blueprint(uploads)
            drive = mongo.webdav_app(rules=uploads)
            app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": drive})  # type: ignore[method-assign]
            return Client(app.test_client(), "/dav")

        return mount

    def test_all_of_them_hold(self, ruled: Callable[..., Client], mongo: PyMongo) -> None:
        def inspect(file: Any, read: Any) -> None:
            if b"".join(read()) == b"evil":
                raise Refused("It is evil.")

        client = ruled(
            base="papers",
            authorize=lambda action, name: name != "secret",
            max_size=5,
            metadata=["title"],
            expire_after=60,
            inspect=inspect,
        )
        assert client.ask("PUT", "a", b"12345", X_Metadata_Title="A").status_code == 201
        assert [client.status("PUT", *asked) for asked in (("a", b"123456"), ("secret", b"1"))] == [413, 403]
        refused = client.ask("PUT", "b", b"evil")
        assert (refused.status_code, refused.text) == (422, "It is evil.\n")
        (row,) = mongo.bucket("papers").list().rows
        assert (row.file.filename, row.file.metadata["title"]) == ("a", "A")
        assert row.file.expires_at is not None
        assert names(mongo) == []

    @pytest.mark.parametrize("options", [{}, {"authorize": everyone, "read_only": True}], ids=["open", "read_only"])
    def test_it_changes_nothing_without_authorize(
        self, ruled: Callable[..., Client], mongo: PyMongo, options: dict[str, Any]
    ) -> None:
        put(mongo, "a")
        client = ruled(**options)
        assert (client.status("GET", "a"), client.found()) == (200, ["/dav/", "/dav/a"])
        assert [client.status(method, "a") for method in ("PUT", "DELETE", "LOCK")] == [405] * 3
        assert client.client.put("/uploads/b", data=b"").status_code == (405 if options else 201)

    def test_login_goes_with_them(self, mongo: PyMongo, app: Flask) -> None:
        uploads = mongo.uploads_blueprint(authorize=everyone)
        drive = mongo.webdav_app(rules=uploads, authenticate=lambda user, password: password == "right")
        client = app.test_client()
        app.wsgi_app = drive  # type: ignore[method-assign]
        assert [client.put("/a", auth=("ann", word)).status_code for word in ("wrong", "right")] == [401, 201]

    def test_others_beside_them(self, mongo: PyMongo) -> None:
        uploads = mongo.uploads_blueprint()
        with pytest.raises(TypeError, match=r"rules=.*takes base, max_size, read_only from the blueprint"):
            mongo.webdav_app("fs", rules=uploads, read_only=False, max_size=None)
        with pytest.raises(TypeError, match=r"rules must be a blueprint that uploads_blueprint\(\) returned"):
            mongo.webdav_app(rules=Blueprint("other", __name__))


class TestRights:
    @pytest.mark.parametrize("options", [{"authorize": None}, {"read_only": True}], ids=str)
    def test_reading_alone(self, drive: Drive, mongo: PyMongo, options: dict[str, Any]) -> None:
        put(mongo, "a/b")
        client = drive(**options)
        for method in METHODS:
            answer = client.ask(method, "a/b", to="b")
            assert (answer.status_code, answer.headers["Allow"]) == (405, "OPTIONS, GET, HEAD, PROPFIND")
        assert client.ask("OPTIONS", "").headers["DAV"] == "1"
        assert client.found("a") == ["/dav/a/", "/dav/a/b"]
        assert client.ask("GET", "a/b").data == b"a/b"
        assert names(mongo) == ["a/b"]

    @pytest.mark.parametrize(
        ("rights", "allowed"),
        [
            ("", ""),
            ("list", "list"),
            ("read", "GET"),
            ("list read", "list GET"),
            ("write", "PUT MKCOL"),
            ("read write", "GET PUT MKCOL COPY PROPPATCH LOCK"),
            ("read delete", "GET DELETE"),
            ("delete", ""),
            ("read write delete", "GET PUT MKCOL COPY PROPPATCH LOCK MOVE DELETE"),
        ],
    )
    def test_table(self, drive: Drive, mongo: PyMongo, rights: str, allowed: str) -> None:
        put(mongo, "a")
        client = drive(lambda action, filename: action in rights.split())
        asked = {
            "list": lambda: client.ask("PROPFIND", "", Depth="1"),
            "GET": lambda: client.ask("GET", "a"),
            "PUT": lambda: client.ask("PUT", "new", b"x"),
            "MKCOL": lambda: client.ask("MKCOL", "folder"),
            "COPY": lambda: client.ask("COPY", "a", to="copy"),
            "PROPPATCH": lambda: client.ask("PROPPATCH", "a", PROPPATCH),
            "LOCK": lambda: client.ask("LOCK", "a", LOCK, Timeout="Second-1"),
            "MOVE": lambda: client.ask("MOVE", "copy" if "COPY" in allowed else "a", to="moved"),
            "DELETE": lambda: client.ask("DELETE", "moved" if "MOVE" in allowed else "a"),
        }
        found = [method for method, ask in asked.items() if _allowed(ask())]
        assert found == [method for method in asked if method in allowed.split()]

    def test_what_is_hidden_is_told_by_nothing(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "ann/1", "bob/secret/2", "bob/3", "x")
        mongo.bucket().dav.remember("bob/empty/")
        client = drive(lambda action, filename: filename is None or filename.startswith("ann/"))
        assert client.found() == ["/dav/", "/dav/ann/"]
        for name in ("x", "bob/3", "bob", "bob/", "bob/empty/", "bob/secret/", "none", "none/none"):
            assert client.ask("GET", name).status_code == 404
            assert {client.status(method, name, to="ann/4") for method in ("DELETE", "COPY", "MOVE")} == {404}
            assert client.status("PROPFIND", name, Depth="1") == 404
        assert {client.status("PUT", f"{name}/x", b"x") for name in ("bob", "none")} == {409}
        assert {client.status("PUT", name, b"x") for name in ("x", "none")} == {403}
        assert {client.status("MOVE", "ann/1", to=name) for name in ("x", "none")} == {403}

    def test_a_folder_goes_as_far_as_one_may(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a/1", "a/keep/2", "a/hidden", "a/b/3")

        def authorize(action: str, filename: str | None) -> bool:
            return filename != "a/hidden" and (action != "delete" or filename != "a/keep/2")

        client = drive(authorize)
        answer = client.ask("DELETE", "a")
        assert answer.status_code == 207
        assert re.findall("<D:href>(.*?)</D:href><D:status>(.*?)</", answer.text) == [
            ("/dav/a/keep/2", "HTTP/1.1 403 Forbidden")
        ]
        assert names(mongo) == ["a/hidden", "a/keep/2"]
        assert client.ask("MOVE", "a", to="b").status_code == 207
        assert names(mongo) == ["a/hidden", "a/keep/2"]
        put(mongo, "a/1", "c/4")
        assert client.status("MOVE", "c", to="a") == 403  # it would replace what may not go
        assert names(mongo) == ["a/1", "a/hidden", "a/keep/2", "c/4"]

    def test_a_copy_leaves_out_what_a_refused_folder_holds(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a/1", "a/no/2", "a/no/deep/3", "a/yes/4")
        for path in ("a/1", "a/no/2"):
            drive().ask("PROPPATCH", path, PROPPATCH)
        client = drive(lambda action, filename: action != "write" or filename != "b/no/")
        answer = client.ask("COPY", "a", to="b")
        assert answer.status_code == 207
        assert re.findall("<D:href>(.*?)</D:href>", answer.text) == ["/dav/a/no/"]
        assert names(mongo) == ["a/1", "a/no/2", "a/no/deep/3", "a/yes/4", "b/1", "b/yes/4"]
        assert mongo.db["fs.dav"].count_documents({"_id": {"$regex": "^property:b/"}}) == 1

    def test_a_tree_goes_with_all_that_is_in_it(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a/1", "a/1", "a/b/2", "a/b/c/3")
        client = drive()
        client.ask("MKCOL", "a/empty")
        client.ask("PROPPATCH", "a/b/2", PROPPATCH)
        client.ask("PROPPATCH", "a/b/", PROPPATCH)
        ids = mongo.db["fs.files"].distinct("_id")
        assert client.status("MOVE", "a", to="z") == 201
        assert names(mongo) == ["z/1", "z/b/2", "z/b/c/3"]
        assert (mongo.db["fs.files"].distinct("_id"), mongo.bucket().count("z/1")) == (ids, 2)
        assert client.found("z/") == ["/dav/z/", "/dav/z/b/", "/dav/z/empty/", "/dav/z/1"]
        assert [b">red<" in client.ask("PROPFIND", path, Depth="0").data for path in ("z/b/2", "z/b/")] == [True, True]
        assert client.status("DELETE", "z") == 204
        assert client.found() == ["/dav/"]
        assert mongo.db["fs.dav"].count_documents({"_id": {"$ne": "locks"}}) == 0
        assert mongo.db["fs.chunks"].count_documents({}) == 0

    def test_a_tree_goes_over_what_is_hidden_there(self, drive: Drive, mongo: PyMongo) -> None:
        """Neither is lost: it is a version more, as with a PUT."""
        put(mongo, "a/1", "a/2", "b/1")
        client = drive(lambda action, filename: action != "read" or filename != "b/1")
        assert client.status("MOVE", "a", to="b") == 201
        assert names(mongo) == ["b/1", "b/2"]
        assert [text(mongo, "b/1", version) for version in (0, 1)] == [b"b/1", b"a/1"]

    def test_an_answer_of_the_rule_is_the_answer(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a")

        def authorize(action: str, filename: str | None) -> bool:
            if "user" not in session:
                abort(401, response=Response("who?", 401, {"WWW-Authenticate": "Basic"}))
            return True

        client = drive(authorize)
        for method, path in (("PROPFIND", ""), ("GET", "a"), ("PUT", "b")):
            answer = client.ask(method, path, Depth="1")
            assert (answer.status_code, answer.text, answer.headers["WWW-Authenticate"]) == (401, "who?", "Basic")

    def test_the_rule_of_the_readme(self, drive: Drive, app: Flask, mongo: PyMongo) -> None:
        app.secret_key = "key"
        app.add_url_rule("/login/<user>", view_func=lambda user: session.update(user=user) or "")
        put(mongo, "ann/1", "bob/2")

        def own_folder(action: str, filename: str | None) -> bool:
            return filename is None or filename.startswith(f"{session.get('user')}/")

        client = drive(own_folder)
        assert client.found() == ["/dav/"]
        client.client.get("/login/ann")
        assert client.found() == ["/dav/", "/dav/ann/"]
        assert client.status("PUT", "ann/new", b"x") == 201
        assert client.status("PUT", "new", b"x") == 403
        assert client.status("MKCOL", "ann/folder") == 201

    def test_the_login_of_the_private_example(self, drive: Drive, app: Flask, mongo: PyMongo) -> None:
        app.secret_key = "key"
        put(mongo, "ann/1", "bob/2")
        logins = LoginManager(app)

        class User(UserMixin):
            def __init__(self, name: str) -> None:
                self.id = name

        logins.user_loader(User)
        app.add_url_rule("/login/<user>", view_func=lambda user: str(login_user(User(user))))
        client = drive(lambda action, name: current_user.is_authenticated and users.owns(current_user.id, name))
        assert client.status("PROPFIND", "", Depth="1") == 403
        client.client.get("/login/bob")
        assert client.found() == ["/dav/", "/dav/bob/"]
        assert [client.status("DELETE", name) for name in ("ann/1", "bob/2")] == [404, 204]

    def test_names_that_a_hosts_owner_speaks_by(self, app: Flask, mongo: PyMongo) -> None:
        """Only where the drive is at the root of its host (RFC 8615)."""
        drive = mongo.webdav_app(authorize=everyone)
        for root, status in (("", 403), ("/dav", 201)):
            app.wsgi_app = DispatcherMiddleware(drive, {"/dav": drive})  # type: ignore[method-assign]
            client = Client(app.test_client(), root)
            assert client.status("MKCOL", ".well-known") == status

    def test_passwords_of_the_private_example(
        self, real_drive: Drive, app: Flask, real: PyMongo, caplog: pytest.LogCaptureFixture
    ) -> None:
        mongo, drive = real, real_drive
        users.add_command(app, mongo)
        app.test_cli_runner().invoke(args=["add-user", "ann", "--password", "pass:w\u00f6rd"])
        put(mongo, "ann/1", "bob/2")

        def authorize(action: str, filename: str | None) -> bool:
            return users.owns(request.authorization.username, filename)  # type: ignore[union-attr, arg-type]

        client = drive(authorize, authenticate=lambda name, password: users.verify(mongo, name, password))
        for fields in ({}, {"auth": ("ann", "wrong")}, {"headers": {"Authorization": "Basic !!"}}):
            answer = client.client.open("/dav/ann/1", method="GET", **fields)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert [record.message for record in caplog.records if "HTTPS" in record.message] == [
            "WebDAV: passwords are sent without HTTPS; anyone on the network can read them"
        ]
        credentials = ("ann", "pass:w\u00f6rd")
        assert client.client.open("/dav/ann/1", auth=credentials).data == b"ann/1"
        assert client.client.open("/dav/bob/2", auth=credentials).status_code == 404

    def test_https_warns_of_nothing(self, drive: Drive, caplog: pytest.LogCaptureFixture) -> None:
        client = drive(authenticate=lambda name, password: True)
        assert client.client.get("/dav/x", base_url="https://localhost").status_code == 401
        assert "HTTPS" not in caplog.text


def _allowed(answer: TestResponse) -> bool:
    return answer.status_code < 300 and "403 Forbidden" not in answer.text


class TestLocks:
    def test_of_two_the_second_waits(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a/1")
        client = drive()
        token = client.lock("a/", Timeout="Second-100")
        for method, path in (("PUT", "a/1"), ("DELETE", "a/1"), ("PUT", "a/new"), ("LOCK", "a/1"), ("LOCK", "a/new")):
            assert client.status(method, path, b"" if method == "DELETE" else LOCK) == 423
        assert names(mongo) == ["a/1"]
        assert client.status("PUT", "a/1", b"x", If=f"</dav/a/> (<{token}>)") == 204
        assert client.status("UNLOCK", "a/", Lock_Token=f"<{token}>") == 204
        assert client.status("PUT", "a/1", b"x") == 204

    def test_it_ends_by_the_servers_clock(self, real_drive: Drive, real: PyMongo) -> None:
        client = real_drive()
        client.lock("a", Timeout="Second-100")
        lock = real.db["fs.dav"].find_one({"_id": "locks"})["locks"][0]  # type: ignore[index]
        left = lock["expires"].replace(tzinfo=None) - real.db.command("hello")["localTime"].replace(tzinfo=None)
        assert timedelta(seconds=90) < left <= timedelta(seconds=101)
        assert client.status("PUT", "a", b"x") == 423
        past = lock["expires"] - timedelta(seconds=101)
        real.db["fs.dav"].update_one({"_id": "locks"}, {"$set": {"locks.0.expires": past}})
        assert client.status("PUT", "a", b"x") == 204

    def test_none_lives_longer_than_an_hour(self, drive: Drive) -> None:
        client = drive()
        for number, timeout in enumerate(("Infinite", "Second-4100000000", "nonsense", "Second-0")):
            assert re.search("Second-3(600|599)<", client.ask("LOCK", f"{number}", LOCK, Timeout=timeout).text), timeout

    def test_a_lock_made_during_an_upload_stops_it(self, drive: Drive, mongo: PyMongo) -> None:
        locks = []

        def inspect(file: Any, read: Any) -> None:
            if not locks:
                locks.append(other.lock("a", User="other"))

        client, other = drive(inspect=inspect), drive(root="/other")
        put(mongo, "a")
        assert client.status("PUT", "a", b"lost") == 423
        assert text(mongo, "a") == b"a"

    def test_limits(self, drive: Drive, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("flask_gridfs_pymongo.store.locks.MAX_LOCKS", 2)
        client = drive()
        client.lock("a")
        client.lock("b")
        assert client.status("LOCK", "c", LOCK) == 507
        owner = LOCK.replace(b"</lockinfo>", b"<owner>" + b"x" * 3000 + b"</owner></lockinfo>")
        assert client.status("LOCK", "d", owner) == 413
        assert "d" not in names(mongo)

    def test_deleting_and_moving_end_them(self, drive: Drive, mongo: PyMongo) -> None:
        client = drive()
        for method in ("DELETE", "MOVE"):
            token = client.lock("a")
            assert client.status(method, "a", to="b", If=f"(<{token}>)") in (201, 204)
            assert client.status("PUT", "a", b"x") == 201

    def test_a_refusal_names_those_that_one_may_know(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a/shown", "a/hidden")
        owner, other = drive(), drive(lambda action, filename: filename != "a/hidden", root="/other")
        for name in ("a/shown", "a/hidden"):
            owner.lock(name)
        for method in ("LOCK", "MOVE", "DELETE"):
            answer = other.ask(method, "a", LOCK if method == "LOCK" else b"", to="b")
            assert answer.status_code in (207, 423)
            assert "hidden" not in answer.text
            assert "/other/a/shown<" in answer.text
        assert names(mongo) == ["a/hidden", "a/shown"]

    def test_deleting_ends_those_of_what_is_gone(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a/hidden", "a/1", "a/2", "a/2", "b", "b/1")
        owner, other = drive(), drive(lambda action, filename: filename != "a/hidden", root="/other")
        for name in ("a/hidden", "b/1"):
            owner.lock(name)
        tokens = "".join(f"(<{other.lock(name)}>)" for name in ("a/1", "a/2")) + "(Not <DAV:no-lock>)"
        assert [other.status("DELETE", name, If=tokens) for name in ("a", "b")] == [204, 204]
        assert names(mongo) == ["a/hidden", "b/1"]
        assert [lock["root"] for lock in mongo.bucket().dav.locks.all()] == ["/a/hidden", "/b/1"]

    def test_who_only_reads_ends_none(self, drive: Drive) -> None:
        client, reader = drive(), drive(lambda action, filename: action in ("list", "read"), root="/reader")
        token = client.lock("a")
        assert reader.status("UNLOCK", "a", Lock_Token=f"<{token}>") == 403
        assert client.status("PUT", "a", b"x") == 423
        assert client.status("UNLOCK", "a", Lock_Token=f"<{token}>") == 204

    def test_a_locked_folder_gets_no_new_member(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a/1")
        client = drive()
        client.lock("a/", Depth="0")
        assert [client.status(method, "a/new", LOCK) for method in ("PUT", "LOCK")] == [423, 423]
        assert names(mongo) == ["a/1"]

    @pytest.mark.parametrize("depth", ["infinity", "0"])
    def test_what_is_in_a_folder_shows_its_lock(self, drive: Drive, mongo: PyMongo, depth: str) -> None:
        """RFC 4918 section 15.8."""
        put(mongo, "a/b/1", "c")
        client = drive()
        token = client.lock("a/", Depth=depth)
        for path in ("a/", "a/b/", "a/b/1", "c"):
            answer = client.ask("PROPFIND", path, asking("<prop><lockdiscovery/></prop>"), Depth="0")
            shown = path == "a/" or (depth == "infinity" and path != "c")
            assert (token in answer.text) == shown, path
            assert ("<D:lockroot><D:href>/dav/a/</D:href></D:lockroot>" in answer.text) == shown, path
        both = client.ask("PROPFIND", "a/b/", asking("<prop><lockdiscovery/></prop>"), Depth="1")
        assert both.text.count(token) == (2 if depth == "infinity" else 0)

    def test_unlock_of_what_is_gone(self, drive: Drive, mongo: PyMongo) -> None:
        """sabre-io/dav#1672: a client that cannot end its lock cannot use the name again."""
        client, reader = drive(), drive(lambda action, filename: action in ("list", "read"), root="/reader")
        put(mongo, "a/1", "b")
        file, folder = client.lock("b"), client.lock("a/")
        for name in ("a/1", "b"):
            mongo.bucket().delete(name)
        assert client.status("UNLOCK", "b") == 400
        assert reader.status("UNLOCK", "b", Lock_Token=f"<{file}>") == 403
        assert [client.status("UNLOCK", "b", Lock_Token=f"<{file}>") for _ in range(2)] == [204, 204]
        assert client.status("UNLOCK", "a/1", Lock_Token=f"<{folder}>") == 204
        assert mongo.bucket().dav.locks.all() == []
        assert client.status("PUT", "b", b"x") == 201
        assert client.status("UNLOCK", "b", Lock_Token="<none>") == 409

    def test_others_may_not_end_them(self, drive: Drive) -> None:
        client = drive(authenticate=lambda name, password: True)

        def ask(method: str, user: str, **headers: str) -> TestResponse:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            data = LOCK if method == "LOCK" and "If" not in headers else b""
            return client.client.open("/dav/a", method=method, data=data, auth=(user, ""), headers=fields)

        token = ask("LOCK", "ann").headers["Lock-Token"]
        assert ask("UNLOCK", "bob", Lock_Token=token).status_code == 403
        assert ask("LOCK", "bob", If=f"({token})").status_code == 412
        for others in (f"(Not {token})", f"</dav/none> ({token})"):
            assert ask("LOCK", "bob", If=others, Timeout="Second-1").status_code == 412
        assert ask("PUT", "bob", If=f"({token})").status_code in (412, 423)
        assert ask("LOCK", "ann", If=f"({token})").status_code == 200
        assert ask("PUT", "ann", If=f"({token})").status_code == 204


class TestProperties:
    def test_they_go_with_the_file(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a", "f/1")
        client = drive()
        assert client.status("PROPPATCH", "a", PROPPATCH) == 207
        assert client.status("PROPPATCH", "f/", PROPPATCH) == 207
        client.ask("COPY", "a", to="copied")
        client.ask("MOVE", "a", to="moved")
        client.ask("MOVE", "f", to="g")
        for path in ("copied", "moved", "g/"):
            assert b">red<" in client.ask("PROPFIND", path, Depth="0").data
        assert client.ask("PROPFIND", "", Depth="1").text.count(">red<") == 3
        client.ask("DELETE", "moved")
        client.ask("PUT", "moved", b"x")
        assert b">red<" not in client.ask("PROPFIND", "moved", Depth="0").data
        remove = b"<propertyupdate xmlns='DAV:'><remove><prop><x xmlns='urn:x'/></prop></remove></propertyupdate>"
        client.ask("PROPPATCH", "copied", remove)
        assert b">red<" not in client.ask("PROPFIND", "copied", Depth="0").data

    def test_those_of_files_that_are_gone_go(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, *"abcdef")
        client = drive()
        for name in "abcdef":
            client.ask("PROPPATCH", name, PROPPATCH)
        for name in "abcde":
            mongo.db.fs.files.delete_one({"filename": name})  # as another tool does
        for _ in range(4):
            client.ask("PROPPATCH", "f", PROPPATCH)
        assert mongo.db["fs.dav"].count_documents({}) == 1

    def test_limits(self, drive: Drive, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("flask_gridfs_pymongo.store.dav.MAX_PROPERTIES", 1)
        put(mongo, "a")
        client = drive()
        deep = PROPPATCH.replace(b"red", b"<a>" * 9000 + b"</a>" * 9000)
        assert client.status("PROPPATCH", "a", deep) == 400
        assert "200 OK" in client.ask("PROPPATCH", "a", PROPPATCH).text
        assert "200 OK" in client.ask("PROPPATCH", "a", PROPPATCH).text
        assert "507" in client.ask("PROPPATCH", "a", PROPPATCH.replace(b"urn:x", b"urn:y")).text
        assert "507" in client.ask("PROPPATCH", "a", PROPPATCH.replace(b"red", b"r" * 70_000)).text
        assert "403" in client.ask("PROPPATCH", "", PROPPATCH).text
        long = b"<propfind xmlns='DAV:'><prop><x" + b"x" * 5000 + b"/></prop></propfind>"
        assert client.status("PROPFIND", "a", long, Depth="0") == 400

    def test_many_changes_at_once(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "a")
        client = drive()
        many = PROPPATCH.replace(b"<x xmlns='urn:x'>red</x>", b"".join(b"<x%d/>" % number for number in range(101)))
        assert "200 OK" not in client.ask("PROPPATCH", "a", many).text
        assert mongo.db["fs.dav"].count_documents({}) == 0

    def test_what_a_listing_asks_the_database(self, real_drive: Drive, real: PyMongo) -> None:
        put(real, *(f"a/{number}" for number in range(40)))
        client = real_drive()
        client.ask("PROPPATCH", "a/1", PROPPATCH)
        real.db.command("profile", 2)
        client.ask("PROPFIND", "a/", Depth="1")
        real.db.command("profile", 0)
        assert real.db["system.profile"].count_documents({"ns": {"$regex": r"fs\."}}) < 12


class Replies(Commands):
    """How many bytes the server answered with."""

    size = 0

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.size += len(encode(event.reply))


@pytest.mark.parametrize(
    ("asked", "large"),
    [
        ("<prop><resourcetype/></prop>", False),
        ("<prop><lockdiscovery/><y xmlns='urn:x'/></prop>", False),
        ("<propname/>", False),
        ("<prop><x xmlns='urn:x'/></prop>", True),
        ("<allprop/>", True),
    ],
)
def test_values_that_nobody_asked_for_are_not_read(app: Flask, uri: str, asked: str, large: bool) -> None:
    replies = Replies()
    mongo = PyMongo(app, uri=uri, event_listeners=[replies])
    put(mongo, "a/1", "a/2")
    client = mounting(app, mongo)()
    for path in ("a/", "a/1", "a/2"):
        client.ask("PROPPATCH", path, PROPPATCH.replace(b"red", b"r" * 60_000))
    replies.size = 0
    client.ask("PROPPATCH", "a/1", PROPPATCH.replace(b"urn:x", b"urn:z"))
    answer = client.ask("PROPFIND", "a/", f"<propfind xmlns='DAV:'>{asked}</propfind>".encode(), Depth="1")
    assert ("rrr" in answer.text) == large
    assert (replies.size > 180_000) == large
    assert large or replies.size < 10_000
    mongo.cx.close()


XML = """
import json, sys
if sys.argv[2] == "ElementTree":
    sys.modules["lxml"] = None
from flask import Flask
from werkzeug.test import Client
from wsgidav import xml_tools
from flask_gridfs_pymongo import PyMongo

assert xml_tools.use_lxml == (sys.argv[2] == "lxml")
app = Flask("drive")
mongo = PyMongo(app, uri=sys.argv[1])
client = Client(mongo.webdav_app(authorize=lambda action, name: True))
answers = []
for method, path, body, fields in json.load(sys.stdin):
    answer = client.open(path, method=method, data=body.encode("latin-1"), headers=fields)
    answers.append([answer.status_code, answer.text])
json.dump([answers, len(mongo.bucket().dav.locks.all())], sys.stdout)
"""
_DTD = b'<!DOCTYPE a [<!ENTITY x "y">]>'
_OWNED = LOCK.replace(b"</lockinfo>", b"<owner>&x;</owner></lockinfo>")
_COMMENTED = PROPPATCH.replace(b"<set>", b"<!-- of <!DOCTYPE --><?set it?><set><!-- a -->")
# What is sent, and what is answered.
XML_REQUESTS: list[tuple[str, bytes, dict[str, str], int]] = [
    ("PROPFIND", b"", {"Depth": "0"}, 207),
    ("LOCK", _DTD + _OWNED, {}, 400),
    ("LOCK", (_DTD + _OWNED).decode().encode("utf-16"), {}, 400),
    ("LOCK", b"<?xml version='1.0' encoding='UTF-7'?>+ADwAIQ-DOCTYPE a +AFs- +AF0APg-" + LOCK, {}, 400),
    ("LOCK", LOCK.replace(b"</lockinfo>", b"<owner>\xe9</owner></lockinfo>"), {}, 400),
    ("PROPPATCH", _DTD + PROPPATCH.replace(b"red", b"&x;"), {}, 400),
    ("PROPPATCH", _COMMENTED, {}, 207),
    ("PROPPATCH", PROPPATCH.replace(b"red", b"<![CDATA[<!DOCTYPE <!-- kept -->]]>"), {}, 207),
    ("PROPFIND", b"<propfind xmlns='DAV:'><!-- x --><prop><!-- y --><x xmlns='urn:x'/></prop></propfind>", {}, 207),
    ("PROPFIND", b"<propfind xmlns='DAV:'><prop>" + b"<a>" * 200 + b"</a>" * 200 + b"</prop></propfind>", {}, 400),
    ("PROPFIND", "<propfind xmlns='DAV:'><propname/></propfind>".encode("utf-16"), {}, 207),
    ("PROPFIND", b"", {"Depth": "infinity"}, 207),
    ("PROPFIND", b"", {"Depth": "infinity", "X-Path": "/"}, 403),
    ("DELETE", b"", {"If": "(<urn:none>)"}, 412),
]


def test_xml_is_the_same_with_lxml_and_without(mongo: PyMongo, uri: str) -> None:
    """WsgiDAV takes lxml if it is installed (ewa/rucio#5700: clients look for the letters D:)."""
    if find_spec("lxml") is None:
        missing("install lxml")
    put(mongo, "a")
    sent = json.dumps(
        [
            (method, fields.get("X-Path", "/a"), body.decode("latin-1"), fields)
            for method, body, fields, _ in XML_REQUESTS
        ]
    )
    answers = {}
    for parser in ("lxml", "ElementTree"):
        command = [sys.executable, "-c", XML, uri, parser]
        done = subprocess.run(command, input=sent, stdout=subprocess.PIPE, text=True, check=True)
        answers[parser], locks = json.loads(done.stdout)
        assert [status for status, _ in answers[parser]] == [status for *_, status in XML_REQUESTS]
        assert locks == 0
    for (_, with_lxml), (_, without) in zip(*answers.values(), strict=True):
        tags = [re.findall(r"<(D:\w+)", text) for text in (with_lxml, without)]
        assert tags[0] == tags[1]
    for answered in answers.values():
        assert '<D:multistatus xmlns:D="DAV:"' in answered[0][1]
        assert "DTD" in answered[1][1]
        assert '<D:error xmlns:D="DAV:"' in answered[-2][1]


def asking(body: str) -> bytes:
    return f"<propfind xmlns='DAV:'>{body}</propfind>".encode()


# For each public report: what its client sends, the status, and what the answer has or (after !) does not have.
REPORTS: list[tuple[str, str, str, bytes, dict[str, str], int, str]] = [
    ("ezhov-evgeny/webdav-client-python-3#31", "HEAD", "f/", b"", {}, 200, ""),
    ("ezhov-evgeny/webdav-client-python-3#129", "HEAD", "f", b"", {}, 200, ""),
    ("hacdias/caddy-webdav#28", "GET", "", b"", {}, 200, r'href="/dav/f/">f/</a>'),
    ("drakkan/sftpgo#294", "GET", "f", b"", {}, 200, r'href="/dav/f/%3Cb%3E%26.txt">&lt;b&gt;&amp;.txt</a>'),
    ("AlistGo/alist#3236", "HEAD", "none/", b"", {}, 404, ""),
    (
        "cryptomator/cryptomator#460",
        "PROPFIND",
        "f/",
        asking("<prop><quota-available-bytes/><quota-used-bytes/></prop>"),
        {"Depth": "0"},
        207,
        "!200 OK",
    ),
    ("rclone/rclone#7073", "PROPFIND", "", asking("<prop><quota-available-bytes/></prop>"), {}, 207, "404 Not Found"),
    (
        "owncloud/core#34394",
        "PROPFIND",
        "f/",
        asking("<prop><supportedlock/></prop>"),
        {"Depth": "0"},
        207,
        "lockentry",
    ),
    ("owncloud/core#34394", "PROPFIND", "", asking("<prop><supportedlock/></prop>"), {"Depth": "0"}, 207, "!lockentry"),
    ("RFC 4918 section 14.24", "PROPFIND", "f/1", asking("<prop/>"), {}, 207, "<D:propstat><D:prop ?/>.*200 OK"),
    ("emersion/go-webdav#146", "PROPFIND", "f/1", asking("<propname/>"), {}, 207, "<D:getcontentlength ?/>.*200 OK"),
    (
        "RFC 4918 section 9.1.6",
        "PROPFIND",
        "f/1",
        asking("<allprop/><include><x xmlns='urn:x'/></include>"),
        {},
        207,
        "getetag.*200 OK.*404 Not Found",
    ),
    ("skshetry/webdav4#178", "PROPFIND", "f/", b"", {}, 207, "/dav/f/1<"),
    ("dom111/webdav-js#123", "HEAD", "f/", b"", {}, 200, ""),
    ("notroj/litmus#37", "PROPFIND", "", b"", {}, 207, "/dav/f/<"),
    ("remotely-save/remotely-save#17", "PROPFIND", "f/", b"", {"Depth": "infinity"}, 403, "propfind-finite-depth"),
    ("mickael-kerjean/filestash#117", "PROPFIND", "f/1", b"", {}, 207, "/dav/f/1<"),
    ("webdavclient3 set_property", "PROPPATCH", "f/1", PROPPATCH, {"Depth": "1"}, 207, "200 OK"),
    ("webdavclient3 mkdir", "MKCOL", "f/new/", b"", {"Depth": "infinity"}, 201, ""),
    ("ezhov-evgeny/webdav-client-python-3#10", "COPY", "f/1", b"", {"Depth": "1", "Destination": "/dav/g"}, 201, ""),
    ("saguiitay/WebDAVClient#76", "DELETE", "f/1", b"", {"Depth": "1"}, 204, ""),
]


@pytest.mark.parametrize(("report", "method", "path", "body", "fields", "status", "text"), REPORTS)
def test_what_people_reported_elsewhere(
    drive: Drive,
    mongo: PyMongo,
    report: str,
    method: str,
    path: str,
    body: bytes,
    fields: dict[str, str],
    status: int,
    text: str,
) -> None:
    put(mongo, "f/1", "f/<b>&.txt")
    answer = drive().ask(method, path, body, **fields)
    assert (report, answer.status_code) == (report, status)
    assert bool(re.search(text.removeprefix("!"), answer.text, re.DOTALL)) != text.startswith("!")


class TestFolderDates:
    """Clients show 1970, or nothing, if a folder has none (haiwen/seafile#487)."""

    def dates(self, client: Client, path: str, depth: str = "0") -> dict[str, datetime]:
        answer = client.ask("PROPFIND", path, asking("<prop><getlastmodified/></prop>"), Depth=depth)
        found = ElementTree.fromstring(answer.data).iterfind("D:response", DAV)
        pairs = [(one.findtext("D:href", "", DAV), one.findtext(".//D:getlastmodified", "", DAV)) for one in found]
        return {path.removeprefix("/dav/"): parsedate_to_datetime(date) for path, date in pairs}

    def test_that_of_the_newest_file_which_one_may_see(
        self, drive: Drive, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(mongo, "a/1", "a/b/2", "a/b/hidden", "a/c/3", "a/hidden/4", "d/5")
        mongo.save_file("a/b/gone", io.BytesIO(b"x"), expires_at=datetime(2010, 1, 1, tzinfo=UTC))
        years = {"1": 2001, "2": 2002, "hidden": 2009, "gone": 2009, "3": 2003, "4": 2009, "5": 2005}
        for name, year in years.items():
            change = {"$set": {"uploadDate": datetime(year, 1, 1, tzinfo=UTC)}}
            mongo.db.fs.files.update_one({"filename": {"$regex": f"/{name}$"}}, change)
        client = drive(lambda action, name: not (name or "").endswith(("hidden", "hidden/")))

        def years_of(path: str, depth: str = "0") -> dict[str, int]:
            return {path: date.year for path, date in self.dates(client, path, depth).items()}

        assert years_of("a/", "1") == {"a/": 2003, "a/b/": 2002, "a/c/": 2003, "a/1": 2001}
        assert years_of("a/b/", "1") == {"a/b/": 2002, "a/b/2": 2002}
        assert [years_of(path)[path] for path in ("", "a/", "a/b/", "d/")] == [2005, 2003, 2002, 2005]
        monkeypatch.setattr(folders, "_MAX_DATED", 2)  # in doubt nobody relies on an old listing
        present = datetime.now(UTC).year
        assert years_of("a/", "1") == {"a/": present, "a/b/": present, "a/c/": present, "a/1": 2001}
        assert years_of("", "1") == {"": present, "a/": present, "d/": present}
        assert years_of("a/b/", "1") == {"a/b/": 2002, "a/b/2": 2002}

    def test_that_of_an_empty_folder_stays(self, drive: Drive, mongo: PyMongo) -> None:
        client = drive()
        client.ask("MKCOL", "a")
        client.ask("MKCOL", "a/b")
        past = datetime(2001, 1, 1, tzinfo=UTC)
        mongo.db.fs.dav.update_one({"_id": "folder:a/b/"}, {"$set": {"made": past}})
        found = self.dates(client, "a/", "1")
        assert found["a/b/"] == past == self.dates(client, "a/b/")["a/b/"]
        assert timedelta(minutes=-1) < datetime.now(UTC) - found["a/"] < timedelta(minutes=1)


class TestFolderPages:
    def test_it_shows_what_one_may_see(self, drive: Drive, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
        put(mongo, "a", "b/1", "hidden", "secret/1")
        client = drive(lambda action, filename: filename not in ("hidden", "secret/", "secret/1"))
        page = client.ask("GET", "")
        assert re.findall('href="(.*?)"', page.text) == ["/dav/b/", "/dav/a"]
        assert client.status("GET", "secret/") == client.status("HEAD", "secret/") == 404
        monkeypatch.setattr("flask_gridfs_pymongo.webdav.methods._MAX_LINKS", 1)
        assert client.ask("GET", "").text.count("<li>") == 1

    def test_a_head_has_the_same_fields(self, drive: Drive, mongo: PyMongo) -> None:
        put(mongo, "f/1")
        client = drive()
        page, head = client.ask("GET", "f/"), client.ask("HEAD", "f/")
        assert head.headers == page.headers
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert page.headers["Cache-Control"] == "no-store"

    def test_the_top_that_may_not_be_listed(self, drive: Drive) -> None:
        client = drive(lambda action, filename: action != "list")
        assert [client.status(method, "") for method in ("GET", "HEAD")] == [403, 403]


@pytest.mark.parametrize("options", [{}, {"read_only": True}], ids=["all", "read_only"])
@pytest.mark.parametrize("path", ["", "f", "f/", "f/1", "none"])
def test_each_allowed_method_is_no_405_and_each_other_one_is(
    drive: Drive, mongo: PyMongo, path: str, options: dict[str, Any]
) -> None:
    client = drive(**options)
    put(mongo, "f/1")
    allowed = client.ask("OPTIONS", path).headers["Allow"].split(", ")
    for method in ("OPTIONS", "GET", "HEAD", "PROPFIND", *METHODS, "UNLOCK", "POST"):
        put(mongo, "f/1")
        body = {"PUT": b"x", "LOCK": LOCK, "PROPPATCH": PROPPATCH}.get(method, b"")
        answer = client.ask(method, path, body, to="copy")
        assert answer.status_code != 405 or method not in allowed, method
        assert method in allowed or answer.status_code in (400, 405), method
        if answer.status_code == 405:
            assert method not in answer.headers["Allow"].split(", ")
        for name in names(mongo):
            mongo.bucket().delete(name)


def test_a_challenge_has_quoted_parameters(drive: Drive) -> None:
    """Some clients take no token (couper-io/couper#714)."""
    answer = drive(authenticate=lambda name, password: False).ask("GET", "")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="tests", charset="UTF-8"'


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_credentials_in_either_charset(drive: Drive, charset: str) -> None:
    """Old clients of Windows and GNOME send Latin-1 (nextcloud/server#1731)."""
    given: list[tuple[str | None, ...]] = []

    def authorize(action: str, filename: str | None) -> bool:
        assert request.authorization is not None
        given.append((request.authorization.username, request.authorization.password))
        return True

    client = drive(authorize, authenticate=lambda name, password: (name, password) == ("j\u00f6rg", "s\u00fc\u00df"))
    credentials = base64.b64encode("j\u00f6rg:s\u00fc\u00df".encode(charset)).decode()
    assert client.status("PROPFIND", "", Authorization=f"Basic {credentials}", Depth="0") == 207
    assert client.status("GET", "", Authorization=f"Basic {credentials}") == 200
    assert {*given} == {("j\u00f6rg", "s\u00fc\u00df")}
    assert client.status("GET", "", Authorization="Basic \u00e4") == 401


def test_check_and_others_know_the_collection(real_drive: Drive, app: Flask, real: PyMongo) -> None:
    app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads", authorize=everyone))
    client = real_drive()
    client.ask("MKCOL", "empty")
    client.ask("PUT", "a", b"x")
    client.ask("PROPPATCH", "a", PROPPATCH)
    client.lock("a")
    assert list(Check(real.bucket().collections, verify=True).findings()) == []
    listed = client.client.get("/uploads/", headers=JSON).json
    assert listed is not None
    assert [file["filename"] for file in listed["files"]] == ["a"]
    assert client.client.get("/uploads/?folder=empty/", headers=JSON).json["files"] == []  # type: ignore[index]
