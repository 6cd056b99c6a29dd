"""examples/: the gallery and the wiki, driven over real HTTP."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .conftest import Serve


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
        sources = re.findall(r'<(?:img|audio) src="/([^"]+)"', page.decode())
        assert len(sources) >= 4
        for source in sources:
            status, _, content = fetch(gallery + source)
            assert status == 200
            assert content[:4] in (b"\x89PNG", b"RIFF")
        assert fetch(f"{gallery}static/gallery.css")[0] == 200

    def test_a_picture_goes_in_through_the_form_and_is_shown(self, gallery: str) -> None:
        body = form("xyz", "new.gif", b"GIF89a...")
        status, url, page = fetch(f"{gallery}files/", body, Content_Type=MULTIPART, Accept="text/html")
        assert (status, url) == (200, f"{gallery}files/")
        assert '<img src="/files/new.gif"' in page.decode()
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
