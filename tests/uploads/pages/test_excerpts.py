"""Texts on a file's page: every byte is in one part, whatever the encoding and wherever a part ends."""

from __future__ import annotations

import io
import re

import pytest

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, StoredFile
from flask_gridfs_pymongo.uploads.pages.excerpts import PART_SIZE, decode, excerpt

from ...conftest import HTML, Client, everyone, put
from ...helpers.pictures import PNG


def parts(store: Bucket, file: StoredFile) -> list[str]:
    first = excerpt(store, file)
    assert first is not None
    found = [excerpt(store, file, number) for number in range(1, first.total + 1)]
    assert [(part.number, part.total) for part in found if part] == [(n + 1, first.total) for n in range(first.total)]
    assert excerpt(store, file, first.total + 1) is None
    return [part.text for part in found if part]


LINES = "".join(f"line {number} — ünïcödé\n" for number in range(9000))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"x", "x"),
        (LINES.encode(), LINES),
        (("x" * (PART_SIZE - 1) + "ä" + "y" * PART_SIZE).encode(), "x" * (PART_SIZE - 1) + "ä" + "y" * PART_SIZE),
        (("x" * (PART_SIZE - 3) + "😀" * PART_SIZE).encode(), "x" * (PART_SIZE - 3) + "😀" * PART_SIZE),
        (LINES.replace("—", "-").encode("latin-1"), LINES.replace("—", "-")),
        (("\ufeff" + LINES).encode("utf-16-le"), LINES),
        (("\ufeff" + LINES).encode("utf-16-be"), LINES),
        (("\ufeff" + "😀" * PART_SIZE).encode("utf-16-le"), "😀" * PART_SIZE),
        (("\ufeff" + LINES).encode(), LINES),
    ],
    ids=["one", "lines", "cut-2", "cut-4", "latin-1", "utf-16-le", "utf-16-be", "pairs", "bom"],
)
def test_the_parts_are_the_whole_text(store: Bucket, content: bytes, text: str) -> None:
    assert "".join(parts(store, put(store, "a.txt", content))) == text


@pytest.mark.parametrize("size", [PART_SIZE - 1, PART_SIZE, PART_SIZE + 4096, PART_SIZE + 4097, 2 * PART_SIZE + 4097])
def test_sizes_around_a_parts_end(store: Bucket, size: int) -> None:
    content = (b"a line\n" * (size // 7 + 1))[:size]
    found = parts(store, put(store, "a.txt", content))
    assert "".join(found) == content.decode()
    assert all(part.endswith("\n") for part in found[:-1])
    assert all(found)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.bin", b"x"), ("a.txt", b""), ("a.txt", b"a\0b"), ("a.png", PNG), ("a.zip", b"PK\3\4")],
)
def test_what_is_no_text_has_none(store: Bucket, name: str, content: bytes) -> None:
    assert excerpt(store, put(store, name, content)) is None


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.json", "a.xml", "a.svg", "a.html", "a.css", "a.js"])
def test_texts_of_all_kinds_have_one(store: Bucket, name: str) -> None:
    assert parts(store, put(store, name, b"<p>text</p>")) == ["<p>text</p>"]


@pytest.mark.parametrize(
    ("data", "text"), [("ä€".encode(), "ä€"), ("ä€".encode("cp1252"), "ä€"), (b"\x81", "\ufffd"), (b"", "")]
)
def test_encodings(data: bytes, text: str) -> None:
    assert decode(data) == text


def test_a_page_shows_a_part_as_text_and_says_which(client: Client, mongo: PyMongo) -> None:
    mongo.save_file("a.html", io.BytesIO(b"<script>alert(1)</script>\n" * 6000))
    browser = client(authorize=everyone)
    page = browser.get("/uploads/a.html?details&part=2&order=size", headers=HTML).text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "Part 2 of 3" in page
    assert "part=1&amp;order=size" in page
    assert "part=3&amp;order=size" in page
    assert 'role="region"' not in browser.get("/uploads/a.html?details&part=4", headers=HTML).text


def test_a_page_with_nothing_to_show_has_the_icon(client: Client, mongo: PyMongo) -> None:
    browser = client(authorize=everyone)
    cases = [("a.zip", b"PK\3\4", "archive"), ("a.bin", b"\0", "file"), ("a.txt", b"", "text"), ("a.png", b"", "image")]
    cases += [
        ("b.pdf", b"%PDF-1.4", "pdf"),
        ("b.txt", b"b", ""),
        ("b.svg", b"<svg/>", ""),
        ("b.png", PNG, ""),
        ("b.mp3", b"ID3", ""),
    ]
    for name, content, icon in cases:
        mongo.save_file(name, io.BytesIO(content))
        page = browser.get(f"/uploads/{name}?details", headers=HTML).text
        assert re.findall('<span class="icon (.*?)"', page) == ([icon] if icon else []), name
