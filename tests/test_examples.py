"""examples/: the gallery and the wiki, driven over real HTTP."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pymongo

from .conftest import ROOT, Serve


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
    def test_it_shows_its_samples(self, gallery: str) -> None:
        status, url, page = fetch(gallery)
        assert (status, url) == (200, f"{gallery}files/")
        sources = re.findall(r'<(?:img|audio) src="/(files/[^"]+\?id=[^"]+)"', page.decode())
        assert len(sources) >= 4
        for source in sources:
            status, _, content = fetch(gallery + source)
            assert status == 200
            assert content[:4] in (b"\x89PNG", b"RIFF")

    def test_a_picture_goes_in_through_the_form_and_is_shown(self, gallery: str) -> None:
        body = form("xyz", "new.gif", b"GIF89a...")
        status, url, page = fetch(f"{gallery}files/", body, Content_Type=MULTIPART, Accept="text/html")
        assert (status, url) == (200, f"{gallery}files/")
        assert '<img src="/files/new.gif?id=' in page.decode()
        assert fetch(f"{gallery}files/new.gif?delete", b"", Accept="text/html")[0] == 200
        assert fetch(f"{gallery}files/new.gif")[0] == 404

    def test_the_samples_are_stored_once(self, gallery: str) -> None:
        files = json.loads(fetch(f"{gallery}files/", Accept="application/json")[2])["files"]
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
        assert b"ann/a.txt" in page
        assert b"bob/a.txt" not in page
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
