"""What one client may take of a drive, and what others see of it: folders, locks and properties; and the application's
settings and hooks."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from defusedxml import ElementTree
from flask import Flask, Response, abort, g, request, session
from flask.signals import got_request_exception, request_finished, request_started
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import dav
from flask_gridfs_pymongo.webdav.files import File

from ..conftest import everyone
from ..helpers.drive import LOCK

METHODS = "OPTIONS GET HEAD PROPFIND PUT DELETE COPY MOVE MKCOL PROPPATCH LOCK UNLOCK".split()
SHARED = LOCK.replace(b"exclusive", b"shared")
ANN, BOB = "203.0.113.1", "198.51.100.1"
Ask = Callable[..., TestResponse]


@pytest.fixture
def drive(app: Flask, mongo: PyMongo) -> Callable[..., Ask]:
    """``drive(**options)`` mounts a drive, and gives a function that asks it."""

    def mount(**options: Any) -> Ask:
        mounted = mongo.webdav_app(**{"authorize": everyone, **options})
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": mounted})  # type: ignore[method-assign]
        client = app.test_client()

        def ask(method: str, path: str, data: bytes = b"", *, who: str = ANN, **fields: str) -> TestResponse:
            headers = {name.replace("_", "-"): value for name, value in fields.items()}
            client.environ_base["REMOTE_ADDR"] = who
            return client.open(f"/dav/{path}", method=method, data=data, headers=headers)

        return ask

    return mount


def hrefs(answer: TestResponse) -> list[str]:
    assert answer.status_code == 207, answer.text
    return [href.text or "" for href in ElementTree.fromstring(answer.data).iter("{DAV:}href")]


def proppatch(name: str, value: str) -> bytes:
    prop = f"<prop><{name} xmlns='u'>{value}</{name}></prop>"
    return f"<propertyupdate xmlns='DAV:'><set>{prop}</set></propertyupdate>".encode()


class TestLocks:
    def test_a_client_has_32(self, drive: Callable[..., Ask]) -> None:
        ask = drive()
        made = [ask("LOCK", f"f{number}", LOCK) for number in range(33)]
        assert [answer.status_code for answer in made] == [201] * 32 + [429]
        assert made[32].headers["Retry-After"] == "60"
        assert ask("LOCK", "f40", LOCK, who=BOB).status_code == 201
        token = made[0].headers["Lock-Token"]
        assert ask("LOCK", "f0", If=f"({token})").status_code == 200  # one that exists may be refreshed
        assert ask("UNLOCK", "f0", Lock_Token=token).status_code == 204
        assert ask("LOCK", "f41", LOCK).status_code == 201
        assert [ask("LOCK", f"g{number}", LOCK, who="127.0.0.1").status_code for number in range(40)] == [201] * 40

    def test_a_file_has_100(self, drive: Callable[..., Ask]) -> None:
        ask = drive(client_of=lambda request: request.headers["X-Client"])
        made = [ask("LOCK", "a", SHARED, X_Client=str(number // 30)).status_code for number in range(101)]
        assert (made[0], made[99], made[100]) == (201, 200, 507)
        assert ask("LOCK", "b", SHARED, X_Client="4").status_code == 201

    def test_they_belong_to_the_user_of_the_application(
        self, app: Flask, drive: Callable[..., Ask], mongo: PyMongo
    ) -> None:
        ask = drive(user_of=lambda request: request.headers.get("X-User"))
        mongo.save_file("a", io.BytesIO(b"a"))
        token = ask("LOCK", "a", LOCK, X_User="ann").headers["Lock-Token"]
        for user in ("bob", ""):
            assert ask("UNLOCK", "a", Lock_Token=token, X_User=user).status_code == 403
            assert ask("LOCK", "a", If=f"({token})", X_User=user).status_code == 412
            assert ask("PUT", "a", b"b", If=f"({token})", X_User=user).status_code == 412
            assert ask("PUT", "a", b"b", X_User=user).status_code == 423
        assert ask("PUT", "a", b"b", If=f"({token})", X_User="ann").status_code == 204
        assert ask("UNLOCK", "a", Lock_Token=token, X_User="ann").status_code == 204
        with pytest.raises(TypeError, match="authenticate or user_of, not both"):
            mongo.webdav_app(user_of=len, authenticate=lambda user, password: True)

    def test_without_one_all_clients_are_one_user(self, drive: Callable[..., Ask]) -> None:
        ask = drive()
        token = ask("LOCK", "a", LOCK).headers["Lock-Token"]
        assert ask("UNLOCK", "a", Lock_Token=token, who=BOB).status_code == 204


class TestProperties:
    def test_a_file_or_folder_has_100_kilobytes(self, drive: Callable[..., Ask], mongo: PyMongo) -> None:
        ask = drive()
        ask("MKCOL", "f")
        ask("PUT", "a")
        for path in ("f/", "a"):
            for name, size, status in (("x", 60_000, 200), ("y", 60_000, 507), ("y", 30_000, 200), ("x", 80_000, 507)):
                answer = ask("PROPPATCH", path, proppatch(name, "v" * size))
                assert (answer.status_code, f"HTTP/1.1 {status} " in answer.text) == (207, True)
            ask("PROPPATCH", path, proppatch("x", "small"))
            assert "HTTP/1.1 200 " in ask("PROPPATCH", path, proppatch("z", "v" * 60_000)).text
        assert mongo.db["fs.dav"].count_documents({"_id": {"$regex": "^property:"}}) == 6

    def test_an_answer_has_a_limit(self, drive: Callable[..., Ask], monkeypatch: pytest.MonkeyPatch) -> None:
        ask = drive()
        for name in ("a", "b"):
            ask("PUT", name)
            ask("PROPPATCH", name, proppatch("x", "v" * 50_000))
        monkeypatch.setattr(dav, "MAX_READ", 80_000)
        assert ask("PROPFIND", "", Depth="1").status_code == 507
        assert ask("PROPFIND", "a", Depth="0").status_code == 207
        asked = b"<propfind xmlns='DAV:'><prop><y xmlns='u'/><getetag/></prop></propfind>"
        assert ask("PROPFIND", "", asked, Depth="1").status_code == 207
        monkeypatch.setattr(import_module("flask_gridfs_pymongo.webdav.propfind"), "MAX_READ", 200)
        assert ask("PROPFIND", "", asked, Depth="1").status_code == 507
        assert ask("PROPFIND", "", asked, Depth="0").status_code == 207

    def test_those_that_a_file_lacks_take_no_time(
        self, drive: Callable[..., Ask], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ask, lacking = drive(), [f"{{u}}z{number}" for number in range(90)]
        for name in ("a", "b"):
            ask("PUT", name)
        ask("PROPPATCH", "a", proppatch("x", "red"))
        asked, value = list[str](), File.get_property_value
        monkeypatch.setattr(File, "get_property_value", lambda self, name: asked.append(name) or value(self, name))
        names = "".join(f"<{name[3:]} xmlns='u'/>" for name in ["{u}x", *lacking]) + "<getetag/><getetag/><none/>"
        answer = ask("PROPFIND", "", f"<propfind xmlns='DAV:'><prop>{names}</prop></propfind>".encode(), Depth="1")
        for response, there in zip(ElementTree.fromstring(answer.data), ([], ["{u}x"], []), strict=True):
            own = ["{DAV:}getetag"] if response[0].text != "/dav/" else []
            found: dict[str, set[str]] = {"200": set(), "404": set()}
            for group in response.iter("{DAV:}propstat"):
                status = group.findtext("{DAV:}status", "").split()[1]
                found[status].update(each.tag for each in group.iterfind("{DAV:}prop/*"))
            others = {"{DAV:}getetag", "{DAV:}none", "{u}x", *lacking} - {*own, *there}
            assert found == {"200": {*own, *there}, "404": others}
        assert asked[-1:] == ["{DAV:}getetag"]  # of b, all that is asked for one by one
        assert len(asked) == 1 + 93


class TestConditions:
    @pytest.mark.parametrize(
        "field",
        [
            "(" * 4000,
            "<" * 4000,
            "(<" * 2000,
            "([" * 2000,
            "(<a>" * 1000,
            "(<a>)(" * 600,
            "(<a>)" * 101,
            "()",
            "x",
            "(<a>) x",
        ],
    )
    def test_an_if_that_is_none_is_refused_before_it_is_parsed(self, drive: Callable[..., Ask], field: str) -> None:
        ask = drive()
        for method in ("PUT", "DELETE", "PROPFIND", "LOCK", "MOVE"):
            answer = ask(method, "a", If=field, Destination="/dav/b")
            assert (answer.status_code, answer.text) == (400, "The If field is not valid.\n")

    @pytest.mark.parametrize(
        ("field", "status"),
        [
            ("(Not <DAV:no-lock>)", 204),
            ("(not <DAV:no-lock>)", 204),
            ("(<a>)" * 99 + "(Not <DAV:no-lock>)", 204),
            ("<http://localhost/dav/a> (Not <DAV:no-lock>) (<urn:x>)", 204),
            ('(<urn:x>)(Not<DAV:no-lock>["x"])', 412),
            ('(["x"])', 412),
            ('([W/"x y"])', 412),
        ],
    )
    def test_any_other_one_is_asked(self, drive: Callable[..., Ask], field: str, status: int) -> None:
        ask = drive()
        ask("PUT", "a", b"a")
        assert ask("PUT", "a", b"b", If=field).status_code == status


class TestFolders:
    def test_a_client_makes_so_many_empty_ones(
        self, drive: Callable[..., Ask], mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dav, "MAX_FOLDERS", 3)
        ask = drive()
        assert [ask("MKCOL", f"f{number}").status_code for number in range(4)] == [201, 201, 201, 507]
        assert ask("PROPFIND", "f3").status_code == 404
        assert ask("MKCOL", "g", who=BOB).status_code == 201
        assert ask("PUT", "f0/a").status_code == 201  # it is not empty now
        assert [ask("MKCOL", name).status_code for name in ("h", "i")] == [201, 507]
        assert ask("MKCOL", "h/j").status_code == 201  # nor is h
        found = [f"/dav/{name}/" for name in ("f0", "f1", "f2", "g", "h")]
        assert hrefs(ask("PROPFIND", "", Depth="1")) == ["/dav/", *found]
        assert ask("DELETE", "f0/a").status_code == 204  # works, even if the folder is not kept for it
        for number in range(5):
            mongo.save_file(f"k{number}/a", io.BytesIO(b"a"))
            assert ask("DELETE", f"k{number}/a", who=BOB).status_code == 204
        assert mongo.db["fs.dav"].count_documents({}) <= 7

    def test_a_folder_that_is_moved_counts(
        self, drive: Callable[..., Ask], mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was in it is deleted by another door."""
        monkeypatch.setattr(dav, "MAX_FOLDERS", 3)
        ask, statuses = drive(), []
        for number in range(5):
            mongo.save_file("f/a", io.BytesIO(b"a"))
            statuses.append(ask("MOVE", "f/", Destination=f"/dav/n{number}").status_code)
            mongo.bucket().delete(f"n{number}/a")
        assert statuses == [201, 201, 201, 507, 507]
        assert mongo.db["fs.dav"].count_documents({}) == 3

    @pytest.mark.parametrize("method", ["COPY", "MOVE"])
    def test_so_do_copies_of_them(
        self, drive: Callable[..., Ask], mongo: PyMongo, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        ask = drive()
        for name in ("f", "f/g", "f/h", "f/i"):
            ask("MKCOL", name)
        mongo.save_file("f/g/a", io.BytesIO(b"a"))
        monkeypatch.setattr(dav, "MAX_FOLDERS", 2)
        assert ask(method, "f/", who=BOB, Destination="/dav/n").status_code == 201
        monkeypatch.setattr(dav, "MAX_FOLDERS", 1)
        assert ask("COPY", "n/", who="192.0.2.1", Destination="/dav/m").status_code == 507

    def test_remembered_ones_are_shown_to_who_may_write_or_read_in_them(
        self, drive: Callable[..., Ask], mongo: PyMongo
    ) -> None:
        allowed: dict[str, tuple[str, ...]] = {}

        def authorize(action: str, filename: str | None) -> bool:
            return action == "list" or (filename or "").startswith(allowed[request.remote_addr or ""])

        ask = drive(authorize=authorize)
        allowed |= {ANN: ("ann/",), BOB: ("bob/",), "192.0.2.1": ("ann/open/",)}
        for name in ("ann", "ann/secret", "ann/open", "ann/secret/deep"):
            assert ask("MKCOL", name).status_code == 201
        mongo.save_file("bob/x", io.BytesIO(b"x"))
        for who, names in {
            ANN: ["ann/", "ann/secret/", "ann/open/", "ann/secret/deep/"],
            BOB: ["bob/"],
            "192.0.2.1": ["ann/", "ann/open/"],
        }.items():
            for name in ("ann/", "ann/secret/", "ann/open/", "ann/secret/deep/", "bob/"):
                status = 207 if name in names else 404
                assert (ask("PROPFIND", name, who=who).status_code, who, name) == (status, who, name)
            top = hrefs(ask("PROPFIND", "", who=who, Depth="1"))
            assert top == ["/dav/", f"/dav/{names[0]}"]
            assert ("secret" in ask("GET", "ann/", who=who).text) is (who == ANN)
        assert ask("COPY", "ann/", who="192.0.2.1", Destination="/dav/ann/open/n").status_code == 403
        assert ask("MKCOL", "bob/new", who=BOB).status_code == 201
        assert "secret" not in ask("PROPFIND", "ann/", who="192.0.2.1", Depth="1").text


class TestSettings:
    """Each row of the table in docs/webdav.rst."""

    def fields(self, client: FlaskClient, method: str, **fields: str) -> TestResponse:
        return client.open("/dav/a", method=method, headers={"Destination": "/dav/b", **fields})

    def test_hooks_of_the_application_are_called_by_every_method(
        self, app: Flask, drive: Callable[..., Ask], mongo: PyMongo
    ) -> None:
        ended: list[Any] = []
        called: list[str] = []
        refuse = [False]

        @request_started.connect_via(app)
        def started(sender: Flask, **values: Any) -> None:
            ended.append("started")

        @request_finished.connect_via(app)
        def finished(sender: Flask, response: Response, **values: Any) -> None:
            ended.append(response.headers["X-After"])

        @app.before_request
        def before() -> Any:
            called.append(request.method)
            g.seen = request.endpoint
            return (abort(401) if request.method == "GET" else ("Come back later.", 503)) if refuse[0] else None

        @app.after_request
        def after(response: Response) -> Response:
            response.headers["X-After"] = type(response).__name__
            return response

        app.teardown_request(lambda error: ended.append("request"))
        app.teardown_appcontext(lambda error: ended.append("app"))
        ask = drive()
        for method in METHODS:
            for refuse[0] in (False, True):
                ended.clear()
                answer = ask(method, "a", Destination="/dav/b")
                assert (ended, called.pop()) == (["started", "Response", "request", "app"], method)
                if refuse[0]:
                    assert answer.status_code == (401 if method == "GET" else 503)
        assert mongo.bucket().find("a") is None

    def test_errors_are_the_drives_own(self, app: Flask, drive: Callable[..., Ask]) -> None:
        for error in (404, 500, ValueError):
            app.register_error_handler(error, lambda error: "from a handler")
        ask = drive()
        assert ask("GET", "none").text == "There is no such file.\n"
        broken = drive(authorize=lambda action, filename: int("x"))
        told: list[Exception] = []

        @got_request_exception.connect_via(app)
        def tell(sender: Flask, exception: Exception, **values: Any) -> None:
            told.append(exception)

        for method in METHODS:
            answer = broken(method, "none/", LOCK if method == "LOCK" else b"", Destination="/dav/b")
            assert answer.status_code == (200 if method == "OPTIONS" else 400 if method == "PUT" else 500), method
            assert "from a handler" not in answer.text
        assert [type(error) for error in told] == [ValueError] * (len(METHODS) - 2)

    def test_the_limit_for_a_request(self, app: Flask, drive: Callable[..., Ask], mongo: PyMongo) -> None:
        app.config["MAX_CONTENT_LENGTH"] = 100
        ask = drive()
        assert [ask("PUT", "a", bytes(size)).status_code for size in (100, 101)] == [201, 413]
        for method in ("PROPFIND", "PROPPATCH", "LOCK", "MKCOL", "DELETE", "COPY", "MOVE", "UNLOCK"):
            assert ask(method, "a", b" " * 101, Destination="/dav/b").status_code == 413, method
        assert mongo.db.fs.files.distinct("filename") == ["a"]
        app.config["MAX_CONTENT_LENGTH"] = 0
        assert [ask("PROPFIND", "a", body, Depth="0").status_code for body in (b"", b" ")] == [207, 413]

    def test_sessions(self, app: Flask, drive: Callable[..., Ask]) -> None:
        app.config.update(SECRET_KEY="secret", SESSION_COOKIE_NAME="login", SESSION_COOKIE_SAMESITE="Strict")

        def authorize(action: str, filename: str | None) -> bool:
            session["seen"] = True
            return "login" in request.cookies

        ask = drive(authorize=authorize)
        first = ask("PUT", "a", b"a")
        assert (first.status_code, first.headers["Vary"]) == (403, "Cookie")
        assert first.headers["Set-Cookie"].startswith("login=")
        assert "SameSite=Strict" in first.headers["Set-Cookie"]
        assert ask("PUT", "a", b"a").status_code == 201  # the client sends it back
