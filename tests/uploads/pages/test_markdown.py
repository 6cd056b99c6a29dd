"""Markdown on a file's page: headings, lists and links, and nothing that runs, loads or takes long."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.uploads.pages.markdown import render

from ...conftest import HTML, Client, everyone

SIZE = 68 * 1024  # the most that a page shows


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# A\n\n- b\n- *c*", "<h2>A</h2>\n<ul>\n<li>b</li>\n<li><em>c</em></li>\n</ul>\n"),
        ("###### f", "<h6>f</h6>\n"),
        ("A\n=\nB\n-", "<h2>A</h2>\n<h3>B</h3>\n"),
        (
            "[a](b/c.md 'd') <mailto:a@b.example>",
            '<p><a href="b/c.md" title="d">a</a> <a href="mailto:a@b.example">mailto:a@b.example</a></p>\n',
        ),
        ("[a]\n\n[a]: HTTPS://example.com/?q=a:b#c", '<p><a href="HTTPS://example.com/?q=a:b#c">a</a></p>\n'),
        ("``` js onload=x\n<b>\n```", "<pre><code>&lt;b&gt;\n</code></pre>\n"),
        ("![a *b* <c>](https://example.com/pixel.png)", "<p>a b &lt;c&gt;</p>\n"),
        ("[![](badge.svg)](https://example.com)", '<p><a href="https://example.com">badge.svg</a></p>\n'),
        ('![](" <script>)', "<p>![](&quot; &lt;script&gt;)</p>\n"),
        ('![](<"><script>>)', None),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
        ("a <img src=x onerror=alert(1)>", "<p>a &lt;img src=x onerror=alert(1)&gt;</p>\n"),
        ("<!-- a -->", "<p>&lt;!-- a --&gt;</p>\n"),
        ('[a](b "\\" onclick=alert(1) x=\\"")', '<p><a href="b" title="&quot; onclick=alert(1) x=&quot;">a</a></p>\n'),
        ("", ""),
    ],
)
def test_what_it_becomes(text: str, html: str | None) -> None:
    rendered = render(text)
    assert rendered is not None
    if html is not None:
        assert rendered == html
    assert "<script" not in rendered


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java&#115;cript:alert(1)", "javascript&colon;alert(1)",
        "&#x6a;avascript:a", "vbscript:a", "data:text/html,<p>", "data:image/png;base64,AAAA", "file:///etc/passwd",
        "blob:x", "ftp://example.com/", "tel:1", "x-app:a", "about:blank", "view-source:a",
        "\\x01javascript:a", "filesystem:a",
    ],
)  # fmt: skip
def test_no_link_leads_to_other_schemes(url: str) -> None:
    for text in (f"[a]({url})", f"[a](<{url}>)", f"<{url}>", f"[a]\n\n[a]: {url}\n", f"[a]\n\n[a]: <{url}>\n"):
        rendered = render(text)
        assert rendered is not None
        for href in re.findall('href="([^"]*)"', rendered):
            assert re.match(r"https?:|mailto:|[^:]*$", href), (text, href)


@pytest.mark.slow
def test_hostile_texts_take_bounded_time_and_space() -> None:
    pieces = [
        *("[", "![", "[a](", "](", '[a](b "', "[a\n", "[a]: b 'c\n", "[a]: /x\n", "[![a](b)](c) ", "\\", "&", "&#x"),
        *("> ", ">", "- ", "1. ", "-\n", "~~~\n", "# a\n", "a\n", "a\n=\n", "\t", " ", "| a ", "\u202e"),
        *("*a ", "**a", "_*", "`", "<", "<!--"),
    ]
    for piece in pieces:
        size = SIZE if piece == "[" else SIZE // 8
        began = time.process_time()
        rendered = render(piece * (size // len(piece)))
        assert time.process_time() - began < 10, piece  # a second on an idle machine
        assert rendered is None or len(rendered) < 12 * size, piece


def test_other_hostile_texts() -> None:
    nested = "".join(f"{'  ' * depth}- a\n" for depth in range(250))
    for text in (nested, "![" * 900 + "a" + "](b)" * 900, "[" * 9000 + "]" * 9000, "*" * 30000 + "a" + "*" * 30000):
        assert len(render(text) or "") < 12 * SIZE
    used_often = f"[a]: {'b' * 30000}\n\n" + "[a]" * 12000
    assert render(used_often) is None
    assert render(f"[a]: b '{'c' * 30000}'\n\n" + "![a]" * 9000) is None


def test_a_page_shows_it_or_the_text(client: Client, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = client(authorize=everyone)
    long = b"# A\n" + b"b\n" * 40000
    for name, content in (("a.md", b"# A\n\n[b](c)"), ("a.txt", b"# A"), ("long.md", long)):
        mongo.save_file(name, io.BytesIO(content))

    def shown(name: str) -> str:
        answer = uploads.get(f"/uploads/{name}?details", headers=HTML)
        assert "img-src 'self';" in answer.headers["Content-Security-Policy"]
        return answer.text

    assert '<h2>A</h2>\n<p><a href="c">b</a></p>' in shown("a.md")
    for name in ("a.txt", "long.md"):
        assert "># A" in shown(name)
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    assert ">" + "# A\n\n[b](c)</pre>" in shown("a.md")
