"""http/filenames.py: names from outside, and names in a header (RFC 6266, RFC 8187)."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote

import pytest
from bson import BSON
from flask import Flask, url_for
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from flask_gridfs_pymongo.http.filenames import clean, compose, content_disposition, survives_url
from flask_gridfs_pymongo.http.paths import has_dot_segments, resolve_dot_segments

examples = settings(derandomize=True, max_examples=400, deadline=None, database=None)
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
INVISIBLE = [
    *["\u00ad", "\u034f", "\u115f", "\u180e", "\u200b", "\u200c", "\u200d", "\u2060", "\u2064", "\u3164", "\ufe0f"],
    *["\ufeff", "\uffa0", "\U0001d173", "\U000e0001", "\U000e0041", "\U000e0100"],
]
CLEAN = [  # a client's name, what is kept of it
    ("a.txt", "a.txt"),
    ("A b-c_d.TXT", "A b-c_d.TXT"),
    ("folder/a.txt", "folder/a.txt"),
    ("a/b/c/d", "a/b/c/d"),
    ("noextension", "noextension"),
    (".hidden", ".hidden"),
    ("...", "..."),  # a name, not a folder above
    ("..a", "..a"),
    ("a..", "a.."),
    ("a.tar.gz", "a.tar.gz"),
    ("100%.txt", "100%.txt"),
    ("%2e%2e%2fetc", "%2e%2e%2fetc"),  # decoding is the server's, once
    ("a?b#c&d=e;f,g:h@i.txt", "a?b#c&d=e;f,g:h@i.txt"),
    ("\"quoted\" 'name'.txt", "\"quoted\" 'name'.txt"),
    ("<script>.html", "<script>.html"),
    ("$where", "$where"),
    ("写真.jpg", "写真.jpg"),
    ("фото.jpg", "фото.jpg"),
    ("😀.png", "😀.png"),
    ("👨‍👩‍👧.png", "👨‍👩‍👧.png"),  # joined by U+200D, which is no bidirectional control
    ("שלום.txt", "שלום.txt"),
    # Separators
    ("a\\b.txt", "a/b.txt"),
    ("C:\\x\\a.txt", "C:/x/a.txt"),
    ("\\\\server\\share\\a.txt", "server/share/a.txt"),
    ("C:/fakepath/a.txt", "C:/fakepath/a.txt"),
    ("/a.txt", "a.txt"),
    ("//a.txt", "a.txt"),
    ("a.txt/", "a.txt"),
    ("a//b", "a/b"),
    ("a/\\/b", "a/b"),
    ("a／b", "a／b"),  # U+FF0F is no separator, and NFC leaves it alone
    # Dot segments
    ("../../etc/passwd", "etc/passwd"),
    ("..\\..\\etc\\passwd", "etc/passwd"),
    ("/etc/passwd", "etc/passwd"),
    ("a/../b", "a/b"),
    ("a/./b", "a/b"),
    ("./a", "a"),
    ("a/..", "a"),
    ("../", ""),
    (".. /a", "a"),
    (" . /a", "a"),
    (".\0./a", "a"),  # a dot segment once the control is gone
    (".\u202e./a", "a"),
    ("\ud800../a", "a"),
    # Nothing left
    *[(nothing, "") for nothing in ("", " ", ".", "..", "/", "\\", "//", "./..", " / ", "\0", "\r\n", "\t", "\ud800")],
    *[(character, "") for character in BIDI],
    # Spaces
    (" a.txt ", "a.txt"),
    ("a / b", "a/b"),
    ("a  b", "a  b"),
    ("\u3000a\xa0", "a"),
    ("\u2002 a", "a"),
    # Controls, surrogates, separators of lines
    ("a\0.txt", "a.txt"),
    ("a\r\nX-Evil: 1.txt", "aX-Evil: 1.txt"),
    ("a\tb\vc\fd", "abcd"),
    ("a\x1b[31mb", "a[31mb"),
    ("a\x7fb\x80c\x85d\x9fe", "abcde"),
    ("a\u2028b\u2029c", "abc"),
    ("a\ud800b\udfffc", "abc"),
    ("a\udcffb.txt", "ab.txt"),
    # Bidirectional controls
    ("photo\u202egnp.exe", "photognp.exe"),
    *[(f"a{character}b.txt", "ab.txt") for character in BIDI],
    # What nobody sees
    *[(f"a{character}b.txt", "ab.txt") for character in INVISIBLE],
    *[(f"é{character}é", "éé") for character in INVISIBLE],
    *[(character, "") for character in INVISIBLE],
    *[(f"写{character}.txt", "写.txt") for character in INVISIBLE if character != "\ufe0f"],
    ("a" + "".join(chr(0xE0000 + ord(letter)) for letter in "hidden") + ".txt", "a.txt"),
    ("می\u200cخواهم.pdf", "می\u200cخواهم.pdf"),  # Persian is not written without it
    ("क्\u200dष.txt", "क्\u200dष.txt"),
    ("❤\ufe0f.txt", "❤\ufe0f.txt"),
    ("❤\ufe0f\u200d🔥.txt", "❤\ufe0f\u200d🔥.txt"),
    ("می\u200c\u200c.pdf", "می.pdf"),
    # NFC
    ("e\u0301.txt", "é.txt"),
    ("A\u030a", "Å"),
    ("\u212b", "Å"),
    ("ﬁ.txt", "ﬁ.txt"),  # not NFKC
    ("e\u202e\u0301", "é"),  # composed once the control is gone
    # 255 bytes of UTF-8, cut before the extension
    ("a" * 255, "a" * 255),
    ("a" * 256, "a" * 255),
    ("a" * 251 + ".txt", "a" * 251 + ".txt"),
    ("a" * 252 + ".txt", "a" * 251 + ".txt"),
    ("a" * 9999 + ".jpeg", "a" * 250 + ".jpeg"),
    ("é" * 300 + ".txt", "é" * 125 + ".txt"),
    ("写" * 300 + ".txt", "写" * 83 + ".txt"),
    ("😀" * 100, "😀" * 63),
    ("a" + "😀" * 100, "a" + "😀" * 63),
    ("a." + "x" * 300, "a." + "x" * 253),  # too long for an extension
    ("a" * 200 + "." + "x" * 126, "a" * 128 + "." + "x" * 126),
    ("a" * 200 + "." + "x" * 127, "a" * 200 + "." + "x" * 54),
    ("." + "x" * 300, "." + "x" * 254),
    ("a.b/" + "c" * 300, "a.b/" + "c" * 251),  # the folder's dot
    ("a" * 250 + ".b/" + "c" * 20, "a" * 250 + ".b/cc"),
    ("f" * 300 + "/a.txt", "f" * 251 + ".txt"),
    ("f/" * 200 + "a.txt", "f/" * 125 + "f.txt"),
    ("a" * 250 + "   b" + ".txt", "a" * 250 + " .txt"),
    ("a" * 254 + " b", "a" * 254),
    ("a" * 253 + "/../b", "a" * 253 + "/b"),
    ("a" * 253 + "/." + "x" * 200, "a" * 253),  # cut to a dot segment, which goes
]


@pytest.mark.parametrize(("name", "expected"), CLEAN)
def test_clean(name: str, expected: str) -> None:
    assert clean(name) == expected


ANY = st.text(st.characters()) | st.text(
    st.sampled_from("a.é/\\ \0\r\n\ud800\u202e\u2028\u0301写😀%;\"'"), max_size=300
)
LONG = st.builds(lambda text, times: text * times, ANY, st.integers(1, 60))


@examples
@given(ANY | LONG)
@example("a" * 254 + " b")
@example("e\u202e\u0301" * 99)
def test_what_clean_gives(name: str) -> None:
    cleaned = clean(name)
    assert clean(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert len(cleaned.encode()) <= 255
    assert not {unicodedata.category(character) for character in cleaned} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(cleaned) & set(BIDI + "\\")
    if cleaned:
        assert all(part == part.strip() and part not in ("", ".", "..") for part in cleaned.split("/"))
        assert survives_url(cleaned)
        assert BSON.encode({"filename": cleaned}).decode() == {"filename": cleaned}


def test_a_huge_name_costs_little() -> None:
    assert len(clean("../é\\\u202e " * 100_000)) <= 255


DISPOSITIONS = [  # a name, what follows the kind
    ("a.txt", 'filename="a.txt"'),
    ("A b-c_d.TXT", 'filename="A b-c_d.TXT"'),
    ("a.tar.gz", 'filename="a.tar.gz"'),
    ("noextension", 'filename="noextension"'),
    ("0", 'filename="0"'),
    ("folder/a.txt", 'filename="a.txt"'),
    ("/a/b/c.txt", 'filename="c.txt"'),
    ("", 'filename="download"'),
    ("folder/", 'filename="download"'),
    (".", "filename=\"download\"; filename*=UTF-8''."),
    ("..", "filename=\"download\"; filename*=UTF-8''.."),
    (".hidden", "filename=\"download.hidden\"; filename*=UTF-8''.hidden"),
    ("a.", "filename=\"a\"; filename*=UTF-8''a."),
    (" ", "filename=\"download\"; filename*=UTF-8''%20"),
    ("_.txt", "filename=\"download.txt\"; filename*=UTF-8''_.txt"),
    # What would end the value, or be unescaped by some
    ('a"b.txt', "filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
    ('"; filename="evil.exe', "filename=\"__ filename__evil.exe\"; filename*=UTF-8''%22%3B%20filename%3D%22evil.exe"),
    ("a;b.txt", "filename=\"a_b.txt\"; filename*=UTF-8''a%3Bb.txt"),
    ("a,b=c.txt", "filename=\"a_b_c.txt\"; filename*=UTF-8''a%2Cb%3Dc.txt"),
    ("a\\b.txt", "filename=\"a_b.txt\"; filename*=UTF-8''a%5Cb.txt"),
    ("a'b.txt", "filename=\"a_b.txt\"; filename*=UTF-8''a%27b.txt"),
    ("a*b.txt", "filename=\"a_b.txt\"; filename*=UTF-8''a%2Ab.txt"),
    ("a(b).txt", "filename=\"a_b_.txt\"; filename*=UTF-8''a%28b%29.txt"),
    ("100%.txt", "filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
    ("a%20b.txt", "filename=\"a_20b.txt\"; filename*=UTF-8''a%2520b.txt"),
    ("%22.txt", "filename=\"_22.txt\"; filename*=UTF-8''%2522.txt"),
    ("UTF-8''a.txt", "filename=\"UTF-8__a.txt\"; filename*=UTF-8''UTF-8%27%27a.txt"),
    ("=?utf-8?q?a?=.txt", "filename=\"__utf-8_q_a__.txt\"; filename*=UTF-8''%3D%3Futf-8%3Fq%3Fa%3F%3D.txt"),
    # attr-char of RFC 8187 stands as it is, nothing else does
    ("!#$&+-.^_`|~0aZ.x", "filename=\"_____-._____0aZ.x\"; filename*=UTF-8''!#$&+-.^_`|~0aZ.x"),
    ("'()*,/:;<=>?@[]{}", "filename=\"download\"; filename*=UTF-8''%3A%3B%3C%3D%3E%3F%40%5B%5D%7B%7D"),
    # Line breaks and controls
    ("a\r\nX: y.txt", "filename=\"a__X_ y.txt\"; filename*=UTF-8''a%0D%0AX%3A%20y.txt"),
    ("a\0b.txt", "filename=\"a_b.txt\"; filename*=UTF-8''a%00b.txt"),
    ("a\tb\x7f.txt", "filename=\"a_b_.txt\"; filename*=UTF-8''a%09b%7F.txt"),
    ("a\x85b", "filename=\"a_b\"; filename*=UTF-8''a%C2%85b"),
    ("a\u2028b", "filename=\"a_b\"; filename*=UTF-8''a%E2%80%A8b"),
    # Beyond ASCII
    ("é.txt", "filename=\"e.txt\"; filename*=UTF-8''%C3%A9.txt"),
    ("e\u0301.txt", "filename=\"e.txt\"; filename*=UTF-8''e%CC%81.txt"),
    ("Ünïcödé.pdf", "filename=\"Unicode.pdf\"; filename*=UTF-8''%C3%9Cn%C3%AFc%C3%B6d%C3%A9.pdf"),
    ("€ rates.txt", "filename=\"_ rates.txt\"; filename*=UTF-8''%E2%82%AC%20rates.txt"),
    ("ﬁle.txt", "filename=\"file.txt\"; filename*=UTF-8''%EF%AC%81le.txt"),
    ("写真.jpg", "filename=\"download.jpg\"; filename*=UTF-8''%E5%86%99%E7%9C%9F.jpg"),
    ("写真", "filename=\"download\"; filename*=UTF-8''%E5%86%99%E7%9C%9F"),
    ("a.写真", "filename=\"a\"; filename*=UTF-8''a.%E5%86%99%E7%9C%9F"),
    ("😀.png", "filename=\"download.png\"; filename*=UTF-8''%F0%9F%98%80.png"),
    ("שלום.txt", "filename=\"download.txt\"; filename*=UTF-8''%D7%A9%D7%9C%D7%95%D7%9D.txt"),
    ("photo\u202egnp.exe", "filename=\"photo_gnp.exe\"; filename*=UTF-8''photo%E2%80%AEgnp.exe"),
    ("a／b.txt", "filename=\"a_b.txt\"; filename*=UTF-8''a%EF%BC%8Fb.txt"),  # NFKD makes a slash of it
    ("‥／etc", "filename=\".._etc\"; filename*=UTF-8''%E2%80%A5%EF%BC%8Fetc"),
    ("＂；％２２.txt", "filename=\"___22.txt\"; filename*=UTF-8''%EF%BC%82%EF%BC%9B%EF%BC%85%EF%BC%92%EF%BC%92.txt"),
    ("a\ud800.txt", "filename=\"a_.txt\"; filename*=UTF-8''a%3F.txt"),
    ("\udcff", "filename=\"download\"; filename*=UTF-8''%3F"),
    ("é" * 125 + ".txt", f"filename=\"{'e' * 125}.txt\"; filename*=UTF-8''{'%C3%A9' * 125}.txt"),
    ("a" * 251 + ".txt", f'filename="{"a" * 251}.txt"'),
]


@pytest.mark.parametrize(("name", "expected"), DISPOSITIONS)
def test_content_disposition(name: str, expected: str) -> None:
    for kind in ("inline", "attachment"):
        assert content_disposition(kind, name) == f"{kind}; {expected}"


GRAMMAR = re.compile(
    r'attachment; filename="(?P<plain>[A-Za-z0-9 ._-]+)"'
    r"(?:; filename\*=UTF-8''(?P<extended>(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+))?"
)


@examples
@given(ANY | LONG)
@example("a.txt ")
@example(" a .txt")
def test_any_name_is_one_line_that_is_read_back(name: str) -> None:
    last = name.rpartition("/")[2]
    value = content_disposition("attachment", name)
    match = GRAMMAR.fullmatch(value)
    assert match, value
    assert re.search("[A-Za-z0-9]", match["plain"])
    sendable = last.encode("utf-8", "replace").decode()
    if last:
        assert (match["plain"] if match["extended"] is None else unquote(match["extended"])) == sendable
        assert parse_options_header(value) == ("attachment", {"filename": sendable})


@examples
@given(st.sampled_from(CLEAN))
def test_a_cleaned_name_turns_no_text_around(row: tuple[str, str]) -> None:
    read = parse_options_header(content_disposition("inline", clean(row[0])))[1]["filename"]
    assert not set(read) & set(BIDI)


SURVIVING = [
    *["a", "a.txt", "a/b", "a/b/c.txt", "a b", " a", "a ", "a?b", "a#b", "a%b", "%2e%2e", "%2F", "a\\b", "a;b", "a:b"],
    *["a&b=c", "a+b", "é", "e\u0301", "写真", "😀", "...", "..a", ".a", "a..", "a/.b", "a/...", "\u202e", "a" * 2000],
    "a//b",
]
LOST = [
    *["a/", "a//", "a/b/"],  # folders
    *["", "/", "/a", "//a", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "a/../../b"],
    *["a\nb", "\n", "a\n", "a\rb", "a\0b", "a\tb", "\x1f", "a\x7f", "a\x85b", "a\u2028b", "a\u2029b"],
    *["\ud800", "a\udfffb", "a\udcff.txt"],
    *["a" * 2001, "é" * 334, "写" * 223],
]


@pytest.mark.parametrize("name", SURVIVING)
def test_a_name_that_survives_a_url(name: str) -> None:
    assert survives_url(name)


@pytest.mark.parametrize("name", LOST)
def test_a_name_that_does_not(name: str) -> None:
    assert not survives_url(name)


@pytest.fixture(scope="module")
def echo() -> Flask:
    app = Flask("echo")
    app.url_map.merge_slashes = False
    app.add_url_rule("/files/<path:name>", "file", lambda name: name.encode())
    return app


@examples
@given(name=ANY | st.sampled_from(SURVIVING + LOST))
def test_what_survives_comes_back(echo: Flask, name: str) -> None:
    if not survives_url(name):
        return
    with echo.test_request_context():
        url = url_for("file", name=name)
    assert not {".", ".."} & {unquote(segment) for segment in url.split("/")}  # a browser would resolve them
    answer = echo.test_client().get(url)
    assert (answer.status_code, answer.data) == (200, name.encode())
    assert len(quote(name)) <= 2000


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("a/./b", "a/b"),
        ("a/../b", "b"),
        ("./a", "a"),
        ("a/.", "a/"),
        ("a/b/..", "a/"),
        ("a/..", ""),
        (".", ""),
        ("./", ""),
        ("a//../b", "a/b"),
        ("a/b/../../c/.", "c/"),
        ("..", None),
        ("a/../..", None),
        ("a/../../a", None),
        ("a/...", "a/..."),
        (".a/b.", ".a/b."),
        ("a\\..\\b", "a\\..\\b"),
    ],
)
def test_dot_segments_are_resolved(path: str, resolved: str | None) -> None:
    assert resolve_dot_segments(path) == resolved


@examples
@given(st.lists(st.sampled_from(["a", "b", "", ".", ".."])).map("/".join))
def test_what_is_resolved_has_no_dot_segments(path: str) -> None:
    resolved = resolve_dot_segments(path)
    assert resolved is None or (not has_dot_segments(resolved) and resolve_dot_segments(resolved) == resolved)


def test_a_long_name_is_not_composed() -> None:
    assert compose("e\u0301") == "\u00e9"
    assert compose("e\u0301" * 600) == "e\u0301" * 600
