"""What SECURITY.md asks for and no other file proves: types shown on purpose, signals, log lines, slow bodies."""

from __future__ import annotations

import io
import logging
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pymongo
import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_gridfs_pymongo import PyMongo, signals

from .conftest import Serve

PDF, SVG, HTML = "application/pdf", "image/svg+xml", "text/html"


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
            client.post("/u/a?version=0&restore")
            client.put("/u/secret", data=b"x")
            client.put("/u/a", data=b"x", headers={"If-None-Match": "*"})
            mongo.save_file("c", io.BytesIO(b"333"))
            client.delete("/u/a?version=0")
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
        assert ascii(name) in line

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
    LIVE = "tests.live:create_app(upload_timeout=0.5)"

    @pytest.mark.parametrize("kind", ["length", "chunked", "form"])
    def test_a_body_that_trickles_is_ended(self, serve: Serve, uri: str, kind: str) -> None:
        """One byte, and then nothing for ever: the read waits in the server, and a timer ends it."""
        address = urlsplit(serve(self.LIVE, LIVE_URI=uri))
        fields = {"length": "Content-Length: 1000", "chunked": "Transfer-Encoding: chunked"}
        fields["form"] = "Content-Length: 1000\r\nContent-Type: multipart/form-data; boundary=b"
        bodies = {"length": b"x", "chunked": b"1\r\nx\r\n"}
        bodies["form"] = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx'
        method, target = ("POST", "/uploads/") if kind == "form" else ("PUT", "/uploads/a")
        start = time.monotonic()
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(
                f"{method} {target} HTTP/1.1\r\nHost: x\r\n{fields[kind]}\r\n\r\n".encode() + bodies[kind]
            )
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"0.5 seconds; nothing was stored" in answer
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
        with pytest.raises(ValueError, match="upload_timeout"):
            mongo.uploads_blueprint(upload_timeout=wrong)
