"""mimetype.py: types from names, from first bytes, and what bytes take back."""

from __future__ import annotations

import logging
import mimetypes
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_gridfs_pymongo import mimetype
from flask_gridfs_pymongo.http.headers import content_headers, media_type
from flask_gridfs_pymongo.mimetype import INLINE_TYPES, SNIFF_BYTES, UNKNOWN, guess

from .conftest import missing

examples = settings(derandomize=True, max_examples=200, deadline=None, database=None)

NAMES = [
    *[("a.txt", "text/plain"), ("a.py", "text/plain"), ("a.log", "text/plain"), ("a.md", "text/markdown")],
    *[
        ("a.html", "text/html"),
        ("a.htm", "text/html"),
        ("a.xhtml", "application/xhtml+xml"),
        ("a.xml", "application/xml"),
    ],
    *[("a.css", "text/css"), ("a.js", "text/javascript"), ("a.mjs", "text/javascript"), ("a.json", "application/json")],
    *[("a.csv", "text/csv"), ("a.vtt", "text/vtt"), ("a.ics", "text/calendar"), ("a.wasm", "application/wasm")],
    *[("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.jpeg", "image/jpeg"), ("a.gif", "image/gif")],
    *[
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("a.bmp", "image/bmp"),
        ("a.ico", "image/vnd.microsoft.icon"),
    ],
    *[("a.jfif", "image/jpeg"), ("a.pjpeg", "image/jpeg"), ("a.apng", "image/png"), ("a.dib", "image/bmp")],
    *[("a.svg", "image/svg+xml"), ("a.svgz", "image/svg+xml"), ("a.tif", "image/tiff"), ("a.heic", "image/heic")],
    *[("a.mp3", "audio/mpeg"), ("a.ogg", "audio/ogg"), ("a.opus", "audio/ogg"), ("a.flac", "audio/flac")],
    *[("a.wav", "audio/wav"), ("a.m4a", "audio/mp4"), ("a.weba", "audio/webm"), ("a.aac", "audio/aac")],
    *[("a.mp4", "video/mp4"), ("a.webm", "video/webm"), ("a.mov", "video/quicktime"), ("a.mkv", "video/matroska")],
    *[
        ("a.pdf", "application/pdf"),
        ("a.zip", "application/zip"),
        ("a.gz", "application/gzip"),
        ("a.7z", "application/x-7z-compressed"),
    ],
    *[("a.exe", "application/x-msdownload"), ("a.sh", "application/x-sh"), ("a.eml", "message/rfc822")],
    *[
        ("a.woff2", "font/woff2"),
        ("a.ttf", "font/ttf"),
        ("a.epub", "application/epub+zip"),
        ("a.doc", "application/msword"),
    ],
    ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("a.odt", "application/vnd.oasis.opendocument.text"),
    # Only the last extension counts, in any case
    ("A.PNG", "image/png"),
    ("a.Jpg", "image/jpeg"),
    ("a.tar.gz", "application/gzip"),
    ("a.png.html", "text/html"),
    ("a.html.png", "image/png"),
    ("folder/a.png", "image/png"),
    ("folder.html/a.png", "image/png"),
    ("写真.jpg", "image/jpeg"),
    (".png", "image/png"),
    ("a b.txt", "text/plain"),
    # No extension, or none that is known
    *[(name, UNKNOWN) for name in ("", "a", "png", "html", "a.", ".", "..", "a.unknown", "a.png.", "a.png ", "a. png")],
    *[
        (name, UNKNOWN)
        for name in ("a.png/b", "folder.png/", "a.png\n", "a.png;", "a.png~", "a.pnɡ", "a.html\0", "a.*")
    ],
    (None, UNKNOWN),
]


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_names(name: str | None, expected: str) -> None:
    assert guess(name) == guess(name, b"") == expected


def test_the_hosts_own_table_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mimetypes, "guess_type", lambda *_: ("text/evil", None))
    monkeypatch.setitem(mimetypes.types_map, ".png", "text/evil")
    monkeypatch.setitem(mimetypes.types_map, ".evil", "text/evil")
    assert (guess("a.png"), guess("a.evil")) == ("image/png", UNKNOWN)


def test_every_type_of_the_table_is_a_media_type() -> None:
    for name, found in mimetype._TYPES.items():
        assert re.fullmatch("[a-z0-9]+", name)
        assert media_type(found)[0] == found


@pytest.fixture
def libmagic() -> None:
    try:
        import magic  # noqa: F401
    except ImportError as error:
        missing(str(error))


def is_inline(media_type: str) -> bool:
    return content_headers(media_type, "a")["Content-Disposition"].startswith("inline")


HTML = b"<!doctype html><html><script>alert(1)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
GIF = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
EXE = b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0" + bytes(44) + b"\x40\0\0\0PE\0\0" + bytes(200)
ELF = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x3e\0\1\0\0\0" + bytes(100)


@pytest.mark.usefixtures("libmagic")
@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (HTML, "text/html"),
        (SVG, "image/svg+xml"),
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (GIF, "image/gif"),
        (MP4, "video/mp4"),
        (PDF, "application/pdf"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\3", "application/gzip"),
        (b"Hello, world.\n", "text/plain"),
        ("写真\n".encode(), "text/plain"),
        (b"", UNKNOWN),
        (b"\0", UNKNOWN),
        (b"\x00\x01\x02\x03", UNKNOWN),
    ],
)
def test_bytes_where_the_name_says_nothing(head: bytes, expected: str) -> None:
    for name in (None, "", "a", "a.unknown"):
        assert guess(name, head) == expected


@pytest.mark.usefixtures("libmagic")
@pytest.mark.parametrize(
    ("name", "head", "inline"),
    [
        # Shown as what they say they are
        ("a.png", PNG, True),
        ("a.jpg", JPEG, True),
        ("a.gif", GIF, True),
        ("a.mp4", MP4, True),
        ("a.png", b"", True),
        ("a.png", b"\0", True),
        ("a.png", b"\x89PNG\r\n\x1a\n", True),  # no more than a signature
        ("a.png", JPEG, True),
        ("a.mp4", bytes(range(256)), True),
        ("a.gif", b"GIF89a/*" + bytes(8) + b"*/=1;alert(1)", True),  # a script too, but nosniff
        ("a.txt", HTML, True),
        # Bytes take it back
        ("evil.png", HTML, False),
        ("evil.PNG", HTML, False),
        ("evil.jpg", b" \r\n\t<HTML><body onload=alert(1)>", False),
        ("evil.mp4", HTML, False),
        ("evil.mp3", HTML, False),
        ("evil.png", SVG, False),
        ("evil.gif", b"<?xml version='1.0'?>" + SVG, False),
        ("evil.gif", b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>', False),
        ("evil.png", PDF, False),
        ("evil.png", EXE, False),
        ("evil.png", ELF, False),
        ("evil.webm", b"#!/bin/sh\nrm -rf /\n", False),
        # Bytes promote nothing
        ("a.svg", PNG, False),
        ("a.svg", b"  \n" + SVG, False),
        ("a.svg", b"plain text", False),
        ("a.tiff", b"plain text", False),
        ("a.html", PNG, False),
        ("a.html", b"plain text", False),
        ("a.js", b"alert(1)", False),
        ("a.pdf", PNG, False),
        ("a.exe", b"plain text", False),
    ],
)
def test_what_is_shown(name: str, head: bytes, inline: bool) -> None:
    assert is_inline(guess(name, head)) is inline


@pytest.mark.usefixtures("libmagic")
def test_a_name_that_is_no_media_is_believed() -> None:
    assert guess("page.html", PNG) == "text/html"
    assert guess("a.txt", PNG) == "text/plain"
    assert guess("a.docx", b"PK\3\4" + bytes(40)).endswith("wordprocessingml.document")
    assert guess("a.svg", b"  \n" + SVG) == "image/svg+xml"


FOUND = [  # what libmagic, of any version, may find in what is called a PNG; what we make of it
    *[
        (found, found)
        for found in (
            *[
                "text/html",
                "text/plain",
                "text/xml",
                "text/x-shellscript",
                "text/x-python",
                "text/rtf",
                "text/javascript",
            ],
            *["image/svg+xml", "image/svg", "application/xml", "application/xhtml+xml", "application/rss+xml"],
            *["application/javascript", "application/x-javascript", "application/json", "application/pdf"],
            *["application/zip", "application/x-dosexec", "application/vnd.microsoft.portable-executable"],
            *["application/x-executable", "application/x-pie-executable", "application/x-sharedlib"],
            *["application/x-object", "application/x-mach-binary", "application/x-java-applet"],
            *["application/java-archive", "application/x-shockwave-flash"],
        )
    ],
    *[
        (found, "image/png")
        for found in (
            *["image/png", "image/jpeg", "image/x-tga", "video/mp4", "audio/mpeg", "application/ogg"],
            *["application/octet-stream", "application/gzip", "application/x-empty", "inode/x-empty", ""],
            *["application/jsonlines", "application/pdfx", "application/x-xmlish"],
        )
    ],
]


@pytest.mark.parametrize(("found", "expected"), FOUND)
def test_what_bytes_take_back(monkeypatch: pytest.MonkeyPatch, found: str, expected: str) -> None:
    monkeypatch.setattr(mimetype, "_sniffer", lambda _: found)
    assert guess("a.png", b"x") == expected
    assert guess("a.html", b"x") == "text/html"
    assert guess("a.tiff", b"x") == "image/tiff"


@pytest.mark.parametrize("found", ["application/x-empty", "inode/x-empty", "inode/directory"])
def test_what_libmagic_says_of_nothing_is_no_type(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(mimetype, "_sniffer", lambda _: found)
    assert guess("a", b"x") == UNKNOWN


@examples
@given(st.sampled_from(sorted(mimetype._TYPES)), st.sampled_from([row[0] for row in FOUND] + sorted(INLINE_TYPES)))
def test_bytes_never_promote(extension: str, found: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mimetype, "_sniffer", lambda _: found)
        if not is_inline(guess(f"a.{extension}")):
            assert not is_inline(guess(f"a.{extension}", b"x"))


def test_only_the_first_bytes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def sniffer(head: bytes) -> str:
        seen.append(head)
        return "image/png"

    monkeypatch.setattr(mimetype, "_sniffer", sniffer)
    guess("a", b"x" * 10 + b"y" * 10**6)
    assert seen == [(b"x" * 10 + b"y" * 10**6)[:SNIFF_BYTES]]
    guess("a.html", b"x")
    guess("a.png")
    assert len(seen) == 1  # not where the name decides, or there are none


def test_without_libmagic_names_still_count_and_one_warning_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mimetype, "_sniffer", None)
    monkeypatch.setitem(sys.modules, "magic", None)  # import magic: ImportError
    with caplog.at_level(logging.WARNING):
        assert guess("a.png", PNG) == guess("a.png", HTML) == "image/png"
        assert guess("a", PNG) == guess(None, HTML) == guess("a.unknown", PDF) == UNKNOWN
        assert guess("a.html", PNG) == "text/html"
    assert [(record.name, record.levelname) for record in caplog.records] == [("flask_gridfs_pymongo", "WARNING")]
    assert "libmagic" in caplog.text


@pytest.mark.usefixtures("libmagic")
@examples
@given(st.text() | st.sampled_from([f"a.{extension}" for extension in mimetype._TYPES]), st.binary())
def test_any_file_has_a_type(name: str, head: bytes) -> None:
    found = guess(name, head)
    assert media_type(found)[0] == found


class TestTypes:
    @pytest.mark.parametrize(
        ("patterns", "media_type", "expected"),
        [
            (["image/*"], "image/png", True),
            (["image/*"], "IMAGE/PNG ; q=1", True),
            (["image/*"], "imagery/png", False),
            (["image/*"], "text/html", False),
            (["image/png", "text/*"], "image/gif", False),
            (["image/png", "text/*"], "text/plain; charset=utf-8", True),
            (["*/*"], "a/b", True),
            ([], "image/png", False),
            (["image/*"], "", False),
        ],
    )
    def test_what_they_take(self, patterns: list[str], media_type: str, expected: bool) -> None:
        assert (media_type in mimetype.Types(patterns)) == expected

    @pytest.mark.parametrize("pattern", ["image", "image/", "*/png", "image/p*", "Image/png", "image/png;q=1", ""])
    def test_what_they_cannot_be(self, pattern: str) -> None:
        with pytest.raises(ValueError, match="types: "):
            mimetype.Types([pattern])
        with pytest.raises(TypeError, match="not one str"):
            mimetype.Types("image/*")


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("live.m3u8", b"#EXTM3U", "application/vnd.apple.mpegurl"),
        ("live.MPD", b"<MPD/>", "application/dash+xml"),
        ("a.ts", (b"G" + bytes(187)) * 3, "video/mp2t"),
        ("a.ts", (b"G" + bytes(187)) * 20, "video/mp2t"),
        ("a.ts", b"G", "text/plain"),
        ("a.ts", b"Good: number = 1;\n" * 100, "text/plain"),
        ("a.ts", b"const a: string = 'G';\n" * 100, "text/plain"),
        ("a.ts", b"", "text/plain"),
        ("a.txt", (b"G" + bytes(187)) * 3, "text/plain"),
    ],
)
def test_streams(name: str, head: bytes, expected: str) -> None:
    assert guess(name, head) == expected
