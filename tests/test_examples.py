"""examples/: the gallery and the wiki, driven over real HTTP."""

from __future__ import annotations

import base64
import json
import os
import re
import socketserver
import struct
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from threading import Thread
from typing import Any

import pymongo
import pytest

from flask_gridfs_pymongo.serve import mongod

from .conftest import ROOT, Serve


def test_mongod_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGOD", "/opt/mongod")
    assert mongod.find() == "/opt/mongod"


def fetch(url: str, data: bytes | None = None, method: str | None = None, **fields: str) -> tuple[int, str, Any]:
    """The status, the final URL and the body; redirects are followed."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
            return answer.status, answer.url, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.url or "", error.read()


def form(boundary: str, filename: str, content: bytes) -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode()


MULTIPART = "multipart/form-data; boundary=xyz"


class TestGallery:
    def test_a_page_that_comes_in_by_another_name_changes_nothing(self, gallery: str) -> None:
        """DNS rebinding: both fields are the attacker's, and agree."""
        fields = {"Host": "rebound.example:8000", "Origin": "http://rebound.example:8000"}
        assert fetch(f"{gallery}tide.png", method="DELETE", **fields)[0] == 400
        assert fetch(gallery, **fields)[0] == 400
        assert fetch(f"{gallery}tide.png")[0] == 200

    def test_it_shows_its_samples(self, gallery: str) -> None:
        status, url, _ = fetch(gallery)
        assert (status, url) == (200, gallery)
        _, _, page = fetch(f"{gallery}?flat=1", Accept="text/html")
        sources = re.findall(r'\bsrc="/([^"#]+\?[^"#]+)', page.decode().replace("&amp;", "&"))
        assert len([source for source in sources if "asset=" not in source]) >= 4  # three pictures and a film
        for source in sources:
            status, _, content = fetch(gallery + source)
            assert status == 200
            assert content[:4] in (b"\x89PNG", b"RIFF", b"\xff\xd8\xff\xe0", b"\x1aE\xdf\xa3") or "asset=" in source

    def test_a_picture_goes_in_through_the_form_and_is_shown(self, gallery: str) -> None:
        body = form("xyz", "new.gif", b"GIF89a...")
        status, url, page = fetch(gallery, body, Content_Type=MULTIPART, Accept="text/html")
        assert (status, url) == (200, gallery)
        assert '<img src="/new.gif?id=' in page.decode()
        assert fetch(f"{gallery}new.gif?delete", b"", Accept="text/html")[0] == 200
        assert fetch(f"{gallery}new.gif")[0] == 404

    def test_the_samples_are_stored_once(self, gallery: str) -> None:
        files = json.loads(fetch(gallery, Accept="application/json")[2])["files"]
        assert {file["versions"] for file in files if file["filename"] in ("dunes.png", "welcome.txt")} == {1}


class TestWiki:
    def test_pages_links_and_uploads(self, serve: Serve, uri: str) -> None:
        wiki = serve("examples.wiki.wiki:app", MONGO_URI=uri)
        status, url, page = fetch(f"{wiki}/")
        assert (status, url) == (404, f"{wiki}/HomePage")
        assert "Create Home Page" in page.decode()
        body = urllib.parse.urlencode({"body": "See SandBox.\n\n<b>bold?</b>"}).encode()
        status, url, page = fetch(f"{wiki}/edit/HomePage", body)
        assert (status, url) == (200, f"{wiki}/HomePage")
        assert '<p>See <a href="/SandBox">Sand Box</a>.</p>' in page.decode()
        assert "&lt;b&gt;bold?&lt;/b&gt;" in page.decode()
        assert "See SandBox." in fetch(f"{wiki}/edit/HomePage")[2].decode()
        cancelled = urllib.parse.urlencode({"body": "gone", "cancel": ""}).encode()
        assert "Sand Box" in fetch(f"{wiki}/edit/HomePage", cancelled)[2].decode()

        assert fetch(f"{wiki}/uploads/logo.gif")[0] == 404
        status, url, content = fetch(f"{wiki}/uploads/logo.gif", form("xyz", "x", b"GIF89a"), Content_Type=MULTIPART)
        assert (status, url, content) == (200, f"{wiki}/uploads/logo.gif", b"GIF89a")


class TestPrivate:
    def add(self, application: str, uri: str, *names: str) -> dict[str, str]:
        environ = {"MONGO_URI": uri, "SECRET_KEY": "tests", "FLASK_APP": application}
        for name in names:
            command = [sys.executable, "-m", "flask", "add-user", name, "--password", f"{name}'s password"]
            subprocess.run(command, env={**os.environ, **environ}, cwd=ROOT, check=True, capture_output=True)
        return environ

    def test_a_login_page(self, serve: Serve, uri: str) -> None:
        private = serve("examples.private.login:app", **self.add("examples.private.login", uri, "ann", "bob"))
        jars = {name: urllib.request.HTTPCookieProcessor() for name in ("ann", "bob", "nobody")}

        def ask(who: str, target: str, data: bytes | None = None, method: str | None = None) -> tuple[int, str, bytes]:
            opener = urllib.request.build_opener(jars[who])
            try:
                with opener.open(urllib.request.Request(private + target, data, method=method), timeout=30) as answer:
                    return answer.status, answer.url.removeprefix(private), answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, "", error.read()

        def log_in(name: str, password: str) -> tuple[int, str, bytes]:
            return ask(name, "/login", urllib.parse.urlencode({"name": name, "password": password}).encode())

        assert ask("nobody", "/files/ann/a.txt")[1].startswith("/login?next=")
        assert b"wrong" in log_in("ann", "bob's password")[2]
        assert b"wrong" in log_in("nobody", "")[2]
        for name in ("ann", "bob"):
            status, url, page = log_in(name, f"{name}'s password")
            assert (status, url) == (200, f"/files/?folder={name}/")
            assert ask(name, f"/files/{name}/a.txt", name.encode(), "PUT")[0] == 201
        assert ask("ann", "/files/ann/a.txt")[2] == b"ann"
        assert ask("ann", "/files/bob/a.txt")[0] == 403
        assert ask("ann", "/files/bob/a.txt", b"x", "PUT")[0] == 403
        page = ask("ann", "/files/")[2]
        assert b"ann/" in page
        assert b"bob/" not in page
        assert ask("ann", "/files/ann/a.txt", method="DELETE")[0] == 204
        ask("ann", "/logout", b"")
        assert ask("ann", "/files/ann/")[1].startswith("/login")
        assert ask("bob", "/files/bob/a.txt")[2] == b"bob"

    def test_basic_authentication(self, serve: Serve, uri: str) -> None:
        private = serve("examples.private.basic:app", **self.add("examples.private.basic", uri, "ann", "bob"))

        def ask(who: str, password: str, target: str, data: bytes | None = None, method: str | None = None) -> int:
            token = base64.b64encode(f"{who}:{password}".encode()).decode()
            return fetch(f"{private}/files/{target}", data, method, Authorization=f"Basic {token}")[0]

        assert fetch(f"{private}/files/ann/a.txt", b"x", "PUT")[0] == 401
        assert ask("ann", "bob's password", "ann/a.txt", b"x", "PUT") == 401
        assert ask("ann", "ann's password", "bob/a.txt", b"x", "PUT") == 403
        assert ask("ann", "ann's password", "ann/a.txt", b"x", "PUT") == 201
        assert ask("ann", "ann's password", "ann/a.txt") == 200
        assert ask("bob", "bob's password", "ann/a.txt") == 403
        with pymongo.MongoClient(uri) as client:
            assert client.get_default_database()["fs.files"].distinct("filename") == ["ann/a.txt"]


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class TestAvatars:
    def test_pictures_of_documents(self, serve: Serve, uri: str) -> None:
        avatars = serve("examples.avatars.avatars:app", MONGO_URI=uri, SECRET_KEY="tests")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

        def ask(url: str, data: bytes | None = None) -> tuple[int, bytes]:
            headers = {"Content-Type": MULTIPART} if data else {}
            try:
                with opener.open(urllib.request.Request(avatars + url, data, headers), timeout=30) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read()

        def send(url: str, files: dict[str, list[tuple[str, bytes]]], **fields: str) -> tuple[int, bytes]:
            token = re.search(rb'name="csrf_token"[^>]*value="([^"]+)"', ask("/users/ann")[1])
            assert token is not None
            body = b""
            for name, value in {**fields, "csrf_token": token[1].decode()}.items():
                body += f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for field, uploads in files.items():
                for name, content in uploads:
                    head = f'--xyz\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
                    body += head.encode() + content + b"\r\n"
            return ask(url, body + b"--xyz--\r\n")

        def stored() -> list[int]:
            with pymongo.MongoClient(uri) as client:
                db = client.get_default_database()
                names = "pictures.files", "pictures.chunks", "posts"
                return [db[name].count_documents({}) for name in names]

        assert ask("/users/ann/avatar", form("xyz", "a.png", PNG).replace(b'"file"', b'"avatar"'))[0] == 400  # no token
        assert send("/users/ann/avatar", {})[0] == 400
        assert send("/users/ann/avatar", {"avatar": [("a.png", b"<html><script>")]})[0] == 415
        assert send("/users/ann/avatar", {"avatar": [("a.png", PNG + bytes(5_000_000))]})[0] == 400
        assert stored() == [0, 0, 0]
        for content in (PNG, PNG + b"new"):
            status, page = send("/users/ann/avatar", {"avatar": [("me.png", content)]})
            shown = re.search(rb'<img src="(/pictures/[^"]+)"', page)
            assert (status, bool(shown)) == (200, True)
            assert ask(shown[1].decode()) == (200, content)  # type: ignore[index]
            assert stored() == [1, 1, 0]
        assert b"<img" not in send("/users/ann/avatar/delete", {})[1]
        assert stored() == [0, 0, 0]

        two = {"pictures": [("a.png", PNG), ("../b.png", PNG + b"b")]}
        assert send("/users/ann/posts", {**two, "pictures": [*two["pictures"], ("c.exe", b"MZ")]}, text="x")[0] == 415
        assert send("/users/ann/posts", two)[0] == 400  # no text
        assert stored() == [0, 0, 0]
        status, page = send("/users/ann/posts", two, text="Two pictures")
        sources = re.findall(r'src="(/pictures/\?id=\w+)"', page.decode())
        assert [ask(source) for source in sources] == [(200, PNG), (200, PNG + b"b")]
        assert stored() == [2, 2, 1]
        deletion = re.search(rb'action="(/posts/\w+/delete)"', page)
        assert deletion is not None
        assert send(deletion[1].decode(), {})[0] == 200
        assert stored() == [0, 0, 0]


EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}" + rb"$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class _Clamd(socketserver.StreamRequestHandler):
    """As much of clamd as INSTREAM needs."""

    def handle(self) -> None:
        assert self.rfile.read(10) == b"zINSTREAM\0"
        content = b""
        while length := struct.unpack("!L", self.rfile.read(4))[0]:
            content += self.rfile.read(length)
        found = b"stream: Eicar-Signature FOUND\0" if EICAR in content else b"stream: OK\0"
        self.wfile.write(b"INSTREAM: no database ERROR\0" if b"broken" in content else found)


class TestScan:
    def test_what_clamd_finds_is_refused(self, serve: Serve, uri: str) -> None:
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Clamd) as clamd:
            thread = Thread(target=clamd.serve_forever)
            thread.start()
            address = f"127.0.0.1:{clamd.server_address[1]}"
            try:
                scan = serve("examples.scan.scan:app", MONGO_URI=uri, CLAMD=os.environ.get("CLAMD", address))
                self.upload(scan)
                if "CLAMD" not in os.environ:
                    assert fetch(f"{scan}/files/broken.txt", b"broken", "PUT")[0] == 503
            finally:
                clamd.shutdown()
                thread.join()
        if "CLAMD" not in os.environ:
            assert fetch(f"{scan}/files/down.txt", b"x", "PUT")[0] == 503
        with pymongo.MongoClient(uri) as client:
            assert client.get_default_database()["fs.files"].distinct("filename") == ["clean.bin", "empty"]

    def upload(self, scan: str) -> None:
        clean = os.urandom(3_000_000)
        assert fetch(f"{scan}/files/clean.bin", clean, "PUT")[0] == 201
        assert fetch(f"{scan}/files/clean.bin")[2] == clean
        assert fetch(f"{scan}/files/empty", b"", "PUT")[0] == 201
        status, _, answer = fetch(f"{scan}/files/evil.txt", EICAR, "PUT")
        assert status == 422
        assert "found in evil.txt" in json.loads(answer)["detail"]
        assert fetch(f"{scan}/files/", form("xyz", "evil.com", EICAR), Content_Type=MULTIPART)[0] == 422
