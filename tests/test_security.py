"""Rules of safety that no other file proves: from header fields and limits to signals, log lines and slow bodies."""

from __future__ import annotations

import io
import logging
import random
import socket
import time
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pymongo
import pytest
from flask import Flask, abort, request
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo, signals
from flask_gridfs_pymongo.store import Bucket

from .conftest import Serve, if_match

JSON = {"Accept": "application/json"}
PDF, SVG, HTML = "application/pdf", "image/svg+xml", "text/html"
SELF, NONE = "'self'", "'none'"


@pytest.fixture
def uploads(app: Flask, mongo: PyMongo) -> FlaskClient:
    """A client of a blueprint that lets everybody do everything, with one file ``a`` in two versions."""
    app.register_blueprint(
        mongo.uploads_blueprint(
            url_prefix="/u",
            max_size=400_000,
            max_request_size=1_000_000,
            authorize=lambda action, name: name != "secret",
        )
    )
    for content in (b"old", b"new"):
        mongo.save_file("a", io.BytesIO(content))
    mongo.save_file("secret", io.BytesIO(b"secret"))
    return app.test_client()


def everything(mongo: PyMongo) -> list[Any]:
    """All documents of the database."""
    return [list(mongo.db[name].find()) for name in sorted(mongo.db.list_collection_names())]


class TestEveryAnswer:
    @pytest.mark.parametrize(
        ("method", "target", "fields", "status"),
        [
            ("GET", "/u/a", {}, 200),
            ("GET", "/u/a", {"Range": "bytes=0-0"}, 206),
            ("GET", "/u/a", {"Range": "bytes=0-0,2-2"}, 206),
            ("GET", "/u/a", {"If-None-Match": "*"}, 304),
            ("HEAD", "/u/a", {}, 200),
            ("GET", "/u/a", {"If-Match": '"x"'}, 412),
            ("GET", "/u/a", {"Range": "bytes=9-"}, 416),
            ("GET", "/u/?id=1", {}, 400),
            ("GET", "/u/secret", {}, 403),
            ("PUT", "/u/a", {"Sec-Fetch-Site": "cross-site"}, 403),
            ("GET", "/u/none", {}, 404),
            ("PATCH", "/u/a", {}, 405),
            ("PUT", "/u/a", {"Content-Encoding": "gzip"}, 415),
            ("POST", "/u/a?delete", {"Accept": "text/html"}, 303),
            ("GET", "/u/", {"Accept": "text/html"}, 200),
            ("GET", "/u/", {"Accept": "application/json"}, 200),
            ("GET", "/u", {}, 308),
            ("GET", "/u/a?details", {}, 200),
            ("GET", "/u/a?versions", {"Accept": "application/json"}, 200),
            ("GET", "/u/a?delete", {}, 200),
            ("GET", "/u/?id=~", {}, 400),
            ("GET", "/u/?folder=x", {"Accept": "text/html"}, 400),
            ("GET", "/u/?q=%FF", {}, 400),
            ("GET", "/u/?asset=uploads.js", {}, 200),
            ("GET", "/u/?asset=uploads.js", {"If-Modified-Since": "Mon, 02 Jan 2034 15:04:05 GMT"}, 304),
            ("GET", "/u/?asset=../uploads.js", {}, 404),
            ("GET", "/u/a?signed=x", {}, 404),
            ("OPTIONS", "/u/", {}, 204),
            ("OPTIONS", "/u/a", {}, 204),
            ("PUT", "/u/new", {}, 201),
            ("PUT", "/u/a", {}, 204),
            ("PUT", "/u/a", {"If-None-Match": "*"}, 412),
            ("DELETE", "/u/a", {}, 204),
            ("DELETE", "/u/secret", {}, 403),
            ("POST", "/u/a?restore", {}, 201),
            ("POST", "/u/", {"Accept": "text/html"}, 400),
        ],
    )
    def test_has_the_fields_that_guard_it(
        self, uploads: FlaskClient, method: str, target: str, fields: dict[str, str], status: int
    ) -> None:
        """Where one were missing on some, a page of a sibling domain would read off which files a visitor may read."""
        answer = uploads.open(target, method=method, headers=fields)
        answer.close()
        assert answer.status_code == status
        assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]
        assert answer.headers.getlist("Cross-Origin-Resource-Policy") == ["same-origin"]
        (policy,) = answer.headers.getlist("Content-Security-Policy")
        assert policy.startswith("default-src 'none'; ")
        is_file = target in ("/u/a", "/u/new") and method in ("GET", "HEAD") and status < 400
        assert policy.endswith(f"; frame-ancestors {SELF if is_file else NONE}")
        if method not in ("GET", "HEAD"):
            assert answer.headers.getlist("Cache-Control") == ["no-store"]

    @pytest.mark.parametrize("own", [{}, {"Content-Security-Policy": "script-src 'self'"}])
    def test_a_login_page_of_the_application_keeps_its_policy(
        self, app: Flask, mongo: PyMongo, own: dict[str, str]
    ) -> None:
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", authorize=lambda action, name: abort(401)))
        app.register_error_handler(401, lambda error: ("<form>", 401, own))
        answer = app.test_client().get("/u/a")
        assert (answer.status_code, answer.text) == (401, "<form>")
        assert answer.headers.get("Content-Security-Policy") == own.get("Content-Security-Policy")
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"

    def test_a_file_that_the_application_sends_may_be_framed(self, app: Flask, mongo: PyMongo) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"x"))
        app.add_url_rule("/<name>", "sent", lambda name: mongo.send_file(name))
        assert "frame-ancestors" not in app.test_client().get("/a.txt").headers["Content-Security-Policy"]

    def test_says_nosniff_when_a_body_is_too_large(self, uploads: FlaskClient) -> None:
        answer = uploads.put("/u/a", data=bytes(400_001))
        assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (413, "nosniff")

    def test_says_nosniff_when_the_database_fails(self, uploads: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any, **options: Any) -> None:
            raise AutoReconnect("mongodb://user:password@host: connection closed")

        monkeypatch.setattr(Bucket, "find", fail)
        for accept in ("text/html", "application/json"):
            answer = uploads.get("/u/a", headers={"Accept": accept})
            assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (503, "nosniff")
            assert "password" not in answer.text

    @pytest.mark.parametrize(
        ("method", "target"),
        [
            ("GET", "/u/"),
            ("GET", "/u"),
            ("GET", "/u//evil.example"),
            ("GET", "//evil.example/u/"),
            ("GET", "/u/?next=https://evil.example&folder="),
            ("GET", "/u/a?details&next=//evil.example"),
            ("PUT", "/u/b?next=//evil.example"),
            ("POST", "/u/a?restore&next=//evil.example"),
            ("POST", "/u/a?delete&next=/%5Cevil.example"),
        ],
    )
    @pytest.mark.parametrize("accept", ["text/html", "application/json"])
    def test_leads_to_no_other_host(self, uploads: FlaskClient, method: str, target: str, accept: str) -> None:
        fields = {"Accept": accept, "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
        answer = uploads.open(target, method=method, headers=fields, base_url="http://evil.example/")
        assert answer.status_code < 400 or "//evil" in target.partition("?")[0]
        for name in ("Location", "Content-Location"):
            assert urljoin("//host/u", answer.headers.get(name, "")).startswith("//host/u")
        assert "http://" not in answer.text
        assert "https://" not in answer.text

    def test_a_host_that_is_not_trusted_is_400(self, app: Flask, uploads: FlaskClient) -> None:
        app.config["TRUSTED_HOSTS"] = ["good.example"]
        assert uploads.get("/u/a", base_url="http://good.example/").status_code == 200
        assert uploads.get("/u/a", base_url="http://evil.example/").status_code == 400


class TestNothingElseIsReached:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PATCH", "TRACE"])
    def test_a_method_that_is_safe_changes_nothing(self, uploads: FlaskClient, mongo: PyMongo, method: str) -> None:
        before = everything(mongo)
        fields = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE", "X-HTTP-Method": "DELETE"}
        for target in ("/u/", "/u/a"):
            for query in ("", "delete", "restore", "delete&version=0", "_method=DELETE", "file=x", "method=PUT"):
                data = {"_method": "DELETE", "delete": "1", "file": (io.BytesIO(b"x"), "a")}
                answer = uploads.open(f"{target}?{query}", method=method, data=data, headers=fields)
                assert answer.status_code < 500
        assert everything(mongo) == before

    def test_the_method_that_counts_is_the_one_that_a_middleware_leaves(
        self, app: Flask, uploads: FlaskClient, mongo: PyMongo
    ) -> None:
        inner = app.wsgi_app

        def override(environ: Any, start_response: Any) -> Any:
            environ["REQUEST_METHOD"] = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"])
            return inner(environ, start_response)

        app.wsgi_app = override  # type: ignore[method-assign]
        fields = {"X-HTTP-Method-Override": "DELETE"}
        assert uploads.get("/u/a", headers={**fields, "Origin": "https://evil.example"}).status_code == 403
        assert mongo.db.fs.files.count_documents({"filename": "a"}) == 2
        assert uploads.get("/u/a", headers=fields).status_code == 204

    @pytest.mark.parametrize(
        "query",
        ["base=private", "bucket=private", "db=admin", "collection=private.files", "filename=p", "filename[$ne]=x"],
    )
    def test_no_url_leads_to_another_bucket(self, uploads: FlaskClient, mongo: PyMongo, query: str) -> None:
        mongo.save_file("p", io.BytesIO(b"private"), "private")
        kept = mongo.save_file("q", io.BytesIO(b"private"), "private")
        for target in ("/u/p", "/u/private/p", "/u/private.files", "/u/fs.files", f"/u/?id={kept}"):
            assert uploads.get(f"{target}{'&' if '?' in target else '?'}{query}").status_code == 404
        names = [file["filename"] for file in uploads.get(f"/u/?{query}", headers=JSON).get_json()["files"]]
        assert names == ["a"]
        uploads.post(f"/u/?{query}", data={"file": (io.BytesIO(b"x"), "b")})
        assert mongo.db.private.files.count_documents({}) == 2

    @pytest.mark.parametrize(
        "query",
        ["id[$ne]=", "version[$gt]=0", "after[$gt]=", "prefix[$regex]=.*", "q[$ne]=x", "id[]=1", "order[$ne]=name"],
    )
    def test_a_query_string_holds_no_operators(self, uploads: FlaskClient, query: str) -> None:
        listed = uploads.get("/u/", headers=JSON).get_json()
        assert uploads.get(f"/u/?{query}", headers=JSON).get_json()["files"] == listed["files"]
        assert uploads.get(f"/u/a?{query}").data == b"new"

    @pytest.mark.parametrize("body", [{"filename": {"$ne": ""}}, {"$where": "1"}, [], "a", None])
    def test_json_is_no_form(self, uploads: FlaskClient, mongo: PyMongo, body: Any) -> None:
        before = everything(mongo)
        for target in ("/u/", "/u/a", "/u/secret"):
            assert uploads.post(target, json=body).status_code in (400, 403)
        assert everything(mongo) == before

    @pytest.mark.parametrize("query", [".*", "(a+)+$", "^a", "[a-z]", "a|s", "\\w", "a{1,9}", "$ne", "(?i)A"])
    def test_a_search_is_no_pattern(self, uploads: FlaskClient, mongo: PyMongo, query: str) -> None:
        named = f"x{query}x"
        mongo.save_file(named, io.BytesIO(b""))
        for name in ("q", "prefix"):
            value = query if name == "q" else f"x{query}"
            found = uploads.get("/u/", query_string={name: value}, headers=JSON).get_json()["files"]
            assert [file["filename"] for file in found] == [named]

    @pytest.mark.parametrize("name", ["per_page", "page_size", "size"])
    def test_nobody_asks_for_a_longer_page(self, uploads: FlaskClient, mongo: PyMongo, name: str) -> None:
        for number in range(101):
            mongo.save_file(f"b{number}", io.BytesIO(b""))
        page = uploads.get(f"/u/?prefix=b&{name}=1000000000", headers=JSON).get_json()
        assert (len(page["files"]), page["next"] is None) == (100, False)

    def test_the_application_keeps_its_json(self, app: Flask, mongo: PyMongo) -> None:
        before = app.json, app.json_provider_class
        app.register_blueprint(mongo.uploads_blueprint())
        assert (app.json, app.json_provider_class) == before

    def test_a_link_is_404_where_nobody_can_sign_one(self, app: Flask, uploads: FlaskClient) -> None:
        app.secret_key = None
        assert uploads.get("/u/a?signed=x.y").status_code == 404


class TestBodies:
    @pytest.mark.parametrize("content", [random.Random(1).randbytes(300_000), b"\r\n" * 150_000, b"\n--x" * 75_000])
    def test_large_parts_come_through_the_limits_of_a_form(self, uploads: FlaskClient, content: bytes) -> None:
        answer = uploads.post("/u/", data={"file": (io.BytesIO(content), "b")})
        assert answer.status_code == 201
        assert uploads.get("/u/b").data == content

    @pytest.mark.parametrize(
        ("content_type", "size", "parsed_before", "status"),
        [
            ("application/x-www-form-urlencoded", 1_100_000, True, 413),
            ("application/x-www-form-urlencoded", 1_100_000, False, 400),  # it is not even read
            ("multipart/form-data; boundary=x", 1_100_000, True, 413),
            ("multipart/form-data; boundary=x", 1_100_000, False, 413),
            ("multipart/form-data; boundary=x", 300_000, True, 413),  # a field, which stays in memory
            ("multipart/form-data; boundary=x", 300_000, False, 413),
        ],
    )
    def test_a_form_without_files_is_bounded_too(
        self, app: Flask, uploads: FlaskClient, content_type: str, size: int, parsed_before: bool, status: int
    ) -> None:
        if parsed_before:
            app.before_request(lambda: request.form and None)
        body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * size
        assert uploads.post("/u/", data=body, content_type=content_type).status_code == status

    def test_no_package_is_taken_that_has_known_holes(self) -> None:
        """Werkzeug before 3.1.6: CVE-2025-66221, CVE-2026-21860, CVE-2026-27199; Flask before 3.1.3: CVE-2026-27205.

        Werkzeug before 3.1.9 reads some forms, Host fields and quoted names wrong. Pillow before 13: CVE-2026-96639,
        CVE-2026-96643, CVE-2026-96636, CVE-2026-96638; WsgiDAV before 4.3.5: CVE-2026-48099, CVE-2026-55509; gunicorn
        before 23: CVE-2024-6827; waitress before 3.0.1: CVE-2024-49768, CVE-2024-49769.
        """
        project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
        needed = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
        least = {
            "Flask": "3.1.3",
            "Pillow": "13",
            "Werkzeug": "3.1.9",
            "WsgiDAV": "4.4",
            "gunicorn": "23",
            "waitress": "3.0.1",
        }
        assert {one for one in needed if one.partition(">=")[0] in least} == {f"{k}>={v}" for k, v in least.items()}

    def test_a_new_version_is_seen_at_once(self, uploads: FlaskClient) -> None:
        first = uploads.get("/u/a").headers["ETag"]
        assert uploads.get("/u/a", headers={"If-None-Match": first}).status_code == 304
        uploads.put("/u/a", data=b"new")
        again = uploads.get("/u/a", headers={"If-None-Match": first})
        assert (again.status_code, again.headers["ETag"] == first) == (200, False)


class TestInlineTypes:
    @pytest.mark.parametrize(
        ("allowed", "stored", "kind", "policy"),
        [
            ([], PDF, "attachment", "default-src 'none'; sandbox"),
            ([PDF], PDF, "inline", "default-src 'none'; media-src"),
            ([PDF], SVG, "attachment", "default-src 'none'; sandbox"),
            ([SVG], SVG, "inline", "default-src 'none'; style-src"),
            ([HTML], HTML, "inline", "default-src 'none'; style-src"),
            ([PDF], "application/pdf; version=1", "inline", "default-src 'none'; media-src"),
            ([PDF], "image/png", "inline", "default-src 'none'; style-src"),
        ],
    )
    def test_an_application_may_widen_the_list(
        self, app: Flask, mongo: PyMongo, allowed: list[str], stored: str, kind: str, policy: str
    ) -> None:
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", read_only=True, inline_types=allowed))
        mongo.save_file("a", io.BytesIO(b"x"), content_type=stored)
        client = app.test_client()
        answer = client.get("/u/a")
        assert answer.headers["Content-Disposition"].startswith(f"{kind};")
        assert answer.headers["Content-Security-Policy"].startswith(policy)
        assert ("script" in answer.headers["Content-Security-Policy"]) is False
        assert ("sandbox" in answer.headers["Content-Security-Policy"]) is not policy.endswith("media-src")
        for query in ("?download", "?inline=1&download"):
            assert client.get(f"/u/a{query}").headers["Content-Disposition"].startswith("attachment;")

    @pytest.mark.parametrize(
        "wrong", ["application/pdf", ["pdf"], ["Application/PDF"], ["text/html; charset=x"], ["a/b\n"]]
    )
    def test_what_is_no_type_is_refused_at_once(self, mongo: PyMongo, wrong: Any) -> None:
        with pytest.raises((TypeError, ValueError), match="inline_types"):
            mongo.uploads_blueprint(inline_types=wrong)


class TestSignals:
    @pytest.fixture
    def client(self, app: Flask, mongo: PyMongo) -> FlaskClient:
        app.register_blueprint(
            mongo.uploads_blueprint(url_prefix="/u", max_size=100, authorize=lambda action, name: name != "secret")
        )
        return app.test_client()

    def test_saved_and_deleted(self, app: Flask, mongo: PyMongo, client: FlaskClient) -> None:
        told: list[tuple[Any, ...]] = []

        def saved(sender: Flask, file: Any) -> None:
            told.append((sender, "saved", file.filename, file.length))

        def deleted(sender: Flask, file: Any, versions: int) -> None:
            told.append((sender, "deleted", file.filename, versions))

        with signals.file_saved.connected_to(saved), signals.file_deleted.connected_to(deleted):
            client.put("/u/a", data=b"one")
            client.post("/u/", data={"file": [(io.BytesIO(b"1"), "a"), (io.BytesIO(b"22"), "b")]})
            client.post("/u/a?version=0&restore", headers=if_match(client, "/u/a?version=0"))
            client.put("/u/secret", data=b"x")
            client.put("/u/a", data=b"x", headers={"If-None-Match": "*"})
            mongo.save_file("c", io.BytesIO(b"333"))
            client.delete("/u/a?version=0", headers=if_match(client, "/u/a?version=0"))
            client.delete("/u/a")
            client.delete("/u/none")
        assert told == [
            (app, "saved", "a", 3),
            (app, "saved", "a", 1),
            (app, "saved", "b", 2),
            (app, "saved", "a", 3),
            (app, "saved", "c", 3),
            (app, "deleted", "a", 1),
            (app, "deleted", "a", 2),
        ]

    @pytest.mark.parametrize(
        ("method", "target", "headers", "status", "name"),
        [
            ("PUT", "/u/secret", {}, 403, "secret"),
            ("GET", "/u/secret", {}, 403, "secret"),
            ("PUT", "/u/a", {"Origin": "https://evil.example"}, 403, "a"),
            ("PUT", "/u/big", {}, 413, "big"),
            ("PUT", "/u/a%09root: logged in%E2%80%AE", {}, 400, "a\troot: logged in\u202e"),
            ("PATCH", "/u/a", {}, 405, "a"),
            ("GET", "/u/?order=color", {}, 400, None),
        ],
    )
    def test_a_refusal_is_told_and_logged_in_one_plain_line(
        self,
        app: Flask,
        client: FlaskClient,
        caplog: pytest.LogCaptureFixture,
        method: str,
        target: str,
        headers: dict[str, str],
        status: int,
        name: str | None,
    ) -> None:
        told: list[tuple[Any, ...]] = []

        def refused(sender: Flask, status: int, reason: str, filename: str | None) -> None:
            told.append((sender, status, bool(reason), filename))

        with signals.request_refused.connected_to(refused), caplog.at_level(logging.WARNING, app.logger.name):
            assert client.open(target, method=method, data=b"x" * 101, headers=headers).status_code == status
        assert told == [(app, status, True, name)]
        (line,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
        assert line.isascii()
        assert line.isprintable()
        assert str(status) in line
        assert ascii(name or "/") in line

    @pytest.mark.parametrize(
        ("target", "headers"), [("/u/none", {}), ("/u/a?version=9", {}), ("/u/a", {"If-Match": '"x"'})]
    )
    def test_what_is_not_there_is_no_refusal(
        self, client: FlaskClient, caplog: pytest.LogCaptureFixture, target: str, headers: dict[str, str]
    ) -> None:
        client.put("/u/a", data=b"1")
        assert client.get(target, headers=headers).status_code in (404, 412)
        assert "refused" not in caplog.text


class TestSlowBodies:
    LIVE = "tests.helpers.live:create_app(upload_timeout=0.5)"

    @pytest.mark.parametrize("kind", ["length", "chunked", "form"])
    def test_a_body_that_trickles_is_ended(self, serve: Serve, uri: str, kind: str) -> None:
        """One byte, and then nothing for ever: the read waits in the server, and a timer ends it."""
        address = urlsplit(serve(self.LIVE, LIVE_URI=uri))
        fields = {"length": "Content-Length: 1000", "chunked": "Transfer-Encoding: chunked"}
        fields["form"] = "Content-Length: 5000\r\nContent-Type: multipart/form-data; boundary=b"
        bodies = {"length": b"x", "chunked": b"1\r\nx\r\n"}
        bodies["form"] = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 2000
        method, target = ("POST", "/uploads/") if kind == "form" else ("PUT", "/uploads/a")
        start = time.monotonic()
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(
                f"{method} {target} HTTP/1.1\r\nHost: x\r\n{fields[kind]}\r\n\r\n".encode() + bodies[kind]
            )
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"0.5 seconds; nothing was " in answer
        assert 0.4 < time.monotonic() - start < 10
        with pymongo.MongoClient(uri) as client:
            db = client.get_default_database()
            assert [db[name].count_documents({}) for name in ("fs.files", "fs.chunks")] == [0, 0]

    def test_without_a_socket_the_time_is_looked_at_between_two_reads(self, app: Flask, mongo: PyMongo) -> None:
        class Trickle(io.RawIOBase):
            def __init__(self) -> None:
                self.until = time.monotonic() + 20

            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any) -> int:
                buffer[:1] = b"x"
                return 1 if time.monotonic() < self.until else 0

        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", upload_timeout=0.2))
        body = {"wsgi.input": Trickle(), "wsgi.input_terminated": True}
        answer = app.test_client().put("/u/a", environ_overrides=body)
        assert answer.status_code == 408
        assert [mongo.db[name].count_documents({}) for name in ("fs.files", "fs.chunks")] == [0, 0]

    @pytest.mark.parametrize("wrong", [0, -1, float("nan")])
    def test_it_is_a_positive_number_of_seconds(self, mongo: PyMongo, wrong: float) -> None:
        for argument in ("upload_timeout", "send_timeout"):
            with pytest.raises(ValueError, match=argument):
                mongo.uploads_blueprint(**{argument: wrong})
