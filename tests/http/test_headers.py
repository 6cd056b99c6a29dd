"""http/headers.py: caching (RFC 9111) and the guard around content from strangers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.http import parse_cache_control_header, parse_options_header

from flask_gridfs_pymongo.http.headers import (
    IMMUTABLE,
    NO_STORE,
    PAGE,
    Caching,
    content_headers,
    media_type,
    page_policy,
)
from flask_gridfs_pymongo.mimetype import INLINE_TYPES

examples = settings(derandomize=True, max_examples=300, deadline=None, database=None)
UNKNOWN = "application/octet-stream"
LOCKED = "default-src 'none'; sandbox"
SHOWN = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; sandbox"
PLAYED = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'"


@pytest.mark.parametrize(
    ("max_age", "public", "immutable", "expected"),
    [
        (None, False, False, "private, no-cache"),
        (None, True, False, "public, no-cache"),
        (0, False, False, "private, max-age=0"),
        (0, True, False, "public, max-age=0"),
        (1, False, False, "private, max-age=1"),
        (3600, True, False, "public, max-age=3600"),
        (IMMUTABLE, False, True, "private, max-age=31536000, immutable"),
        (IMMUTABLE, True, True, "public, max-age=31536000, immutable"),
        (2**40, True, False, "public, max-age=1099511627776"),  # delta-seconds have no end (section 1.2.2)
    ],
)
def test_cache_control(max_age: int | None, public: bool, immutable: bool, expected: str) -> None:
    value = str(Caching(max_age, public, immutable))
    assert value == expected
    parsed = parse_cache_control_header(value)
    assert (parsed.max_age, bool(parsed.no_cache)) == (max_age, max_age is None)


def test_what_strangers_may_not_keep_is_private_unless_asked() -> None:
    assert str(Caching(60)) == "private, max-age=60"
    assert NO_STORE == "no-store"


TYPES = [  # a stored type, the bare type, the field's value
    ("image/png", "image/png", "image/png"),
    ("video/mp4", "video/mp4", "video/mp4"),
    ("application/json", "application/json", "application/json"),
    ("application/vnd.oasis.opendocument.text", *["application/vnd.oasis.opendocument.text"] * 2),
    ("image/svg+xml", "image/svg+xml", "image/svg+xml"),
    ("x-a/b!#$&^_.+-c", "x-a/b!#$&^_.+-c", "x-a/b!#$&^_.+-c"),
    # Types have no case
    ("IMAGE/PNG", "image/png", "image/png"),
    ("Image/Png", "image/png", "image/png"),
    ("TEXT/HTML", "text/html", "text/html; charset=utf-8"),
    ("Image/SVG+XML", "image/svg+xml", "image/svg+xml"),
    # Text is UTF-8 unless it says otherwise
    ("text/plain", "text/plain", "text/plain; charset=utf-8"),
    ("text/css", "text/css", "text/css; charset=utf-8"),
    ("text/x-anything", "text/x-anything", "text/x-anything; charset=utf-8"),
    ("text/plain;charset=utf-8", "text/plain", "text/plain; charset=utf-8"),
    ("text/plain; charset=ISO-8859-1", "text/plain", "text/plain; charset=ISO-8859-1"),
    ("text/plain; CHARSET=latin1", "text/plain", "text/plain; charset=latin1"),
    ('text/plain; charset="utf-8"', "text/plain", 'text/plain; charset="utf-8"'),
    ('text/plain; charset="ISO_8859-1:1987"', "text/plain", 'text/plain; charset="ISO_8859-1:1987"'),
    ("application/json; charset=utf-8", "application/json", "application/json; charset=utf-8"),
    # Parameters
    ("text/plain; format=flowed", "text/plain", "text/plain; format=flowed; charset=utf-8"),
    ("text/plain; charset=utf-8; format=flowed", "text/plain", "text/plain; charset=utf-8; format=flowed"),
    ("audio/webm;codecs=opus", "audio/webm", "audio/webm; codecs=opus"),
    ('video/mp4; codecs="avc1.42E01E, mp4a.40.2"', "video/mp4", 'video/mp4; codecs="avc1.42E01E, mp4a.40.2"'),
    ("multipart/mixed; boundary=xyz", "multipart/mixed", "multipart/mixed; boundary=xyz"),
    ('model/x; q=""', "model/x", 'model/x; q=""'),
    # White space around it, and around what stands in it
    (" image/png ", "image/png", "image/png"),
    ("image/png\n", "image/png", "image/png"),
    ("image/png\u2028", "image/png", "image/png"),
    ("text/plain \t; \tcharset = utf-8 ", "text/plain", "text/plain; charset=utf-8"),
    ("text/plain\r\n;\r\ncharset=utf-8", "text/plain", "text/plain; charset=utf-8"),
    # No media type
    *[
        (hostile, UNKNOWN, UNKNOWN)
        for hostile in (
            *["", " ", "/", "text", "text/", "/plain", "image", "png", ".png", "*", "*/*", "image/*", "null", "None"],
            *["text/html;x", "text/html;", "text/html; ;", "image/svg+xml ;", "image/png;x=", "image/png;=x"],
            *["image/png\nX: y", "image/png\r\nX-Evil: 1", "image/png\r\n\r\n<script>", "image\n/png", "image/\npng"],
            *["image/png;a=b\r\nX-Evil: 1", 'image/png;a="b\r\nX-Evil: 1"', 'image/png;a="b\nc"', "image/png;a=b\0"],
            *["text/html,image/png", "image/png,text/html", "image/png, text/html", "image/png;a=b,text/html"],
            *["image/png text/html", "image/png/html", "image//png", "image /png", "image/ png", "image\\png"],
            *['image/png;a="b', 'image/png;a=b"', 'image/png;a="b"c', 'image/png;a="b\\"c"', "image/png;a=b c"],
            *["image/png(comment)", "image/png;a=(b)", "image/png<", "image/png'", '"image/png"', "image/png:"],
            *["image/pn\xa0g", "image/\x00png", "image/p\x7fng", "image/é", "image/写真", "text/h\u0442ml", "image/😀"],
            *["text/ſcript", "image/\u212a", "image/png;\u212a=a", "image/png;a=ſ", "text/plain;charset=é"],  # ſ, K
            *[
                "text/plain;charset=ISO_8859-1:1987",
                "application/octet-streamapplication/octet-stream",
            ],
        )
    ],
]


@pytest.mark.parametrize(("stored", "bare", "value"), TYPES)
def test_media_type(stored: str, bare: str, value: str) -> None:
    assert media_type(stored) == (bare, value)


@examples
@given(
    st.text()
    | st.text(st.sampled_from('texplainimg/;= "charsutf-8\r\n,ſ\u212aé\0'))
    | st.sampled_from(TYPES).map(lambda row: row[0])
)
def test_any_stored_type_is_a_field(stored: str) -> None:
    bare, value = media_type(stored)
    assert re.fullmatch(r"[ -~]+", value)
    assert bare == bare.lower()
    assert re.fullmatch(r"[!#$&+.^_0-9a-z-]+/[!#$&+.^_0-9a-z-]+", bare)
    assert parse_options_header(value)[0] == bare
    assert media_type(value) == (bare, value)


def test_a_long_broken_type_costs_little() -> None:
    for hostile in (
        "a/b" + ";a=b" * 50_000 + ";",
        "a/b" + " " * 100_000 + "x",
        'a/b;a="' + "b" * 100_000,
        "a" * 200_000,
    ):
        assert media_type(hostile) == (UNKNOWN, UNKNOWN)


INLINE = {  # H2, H5, H6: what is shown, under which policy
    **dict.fromkeys(["text/plain", "TEXT/PLAIN", "text/plain;charset=latin1", "text/plain; format=flowed"], SHOWN),
    **{f"image/{kind}": SHOWN for kind in "avif bmp gif jpeg png webp PNG".split()},
    **{f"audio/{kind}": PLAYED for kind in "aac flac mp4 mpeg ogg wav webm x-wav webm;codecs=opus".split()},
    **{f"video/{kind}": PLAYED for kind in "matroska mp4 mpeg ogg quicktime webm MP4".split()},
}
ATTACHED = [
    *["text/html", "TEXT/HTML", "text/html; charset=utf-8", "text/html;x", "application/xhtml+xml", "text/xml"],
    *["application/xml", "application/rss+xml", "image/svg+xml", "Image/SVG+XML", "image/svg+xml ;", "image/svg"],
    *[
        "text/javascript",
        "application/javascript",
        "text/css",
        "text/csv",
        "text/markdown",
        "text/vtt",
        "text/calendar",
    ],
    *["application/pdf", "application/json", "application/zip", "application/wasm", "application/octet-stream"],
    *["multipart/mixed", "multipart/x-mixed-replace;boundary=a", "multipart/related", "message/rfc822", "message/http"],
    *[
        "application/x-shockwave-flash",
        "application/x-msdownload",
        "image/tiff",
        "image/x-icon",
        "image/vnd.x",
        "font/woff2",
    ],
    *["audio/x-scpls", "audio/midi", "video/x-msvideo", "video/mp2t", "text/plainx", "xtext/plain", "image/pngx"],
    *[
        "",
        " ",
        "x",
        "text",
        "image/",
        "image/*",
        "*/*",
        "image/png\nX: y",
        "text/html,image/png",
        "image/png,text/html",
    ],
]


@pytest.mark.parametrize("stored", INLINE)
def test_what_is_shown(stored: str) -> None:
    fields = content_headers(stored, "a.x")
    assert fields["Content-Disposition"] == 'inline; filename="a.x"'
    assert fields["Content-Security-Policy"] == INLINE[stored]
    attached = content_headers(stored, "a.x", as_attachment=True)
    assert attached["Content-Disposition"] == 'attachment; filename="a.x"'
    assert attached["Content-Security-Policy"] == LOCKED
    assert content_headers(stored, "a.x", as_attachment=False) == fields


def test_every_type_that_is_shown_is_in_the_table() -> None:
    assert {media_type(stored)[0] for stored in INLINE} == INLINE_TYPES


@pytest.mark.parametrize("stored", ATTACHED)
def test_what_is_saved(stored: str) -> None:
    fields = content_headers(stored, "a.x")
    assert fields["Content-Disposition"] == 'attachment; filename="a.x"'
    assert fields["Content-Security-Policy"] == LOCKED
    assert content_headers(stored, "a.x", as_attachment=True) == fields


@pytest.mark.parametrize("stored", ATTACHED)
def test_what_the_application_shows_all_the_same(stored: str) -> None:
    fields = content_headers(stored, "a.x", as_attachment=False)
    assert fields["Content-Disposition"] == 'inline; filename="a.x"'
    assert fields["Content-Security-Policy"] == (PLAYED if stored == "application/pdf" else LOCKED)  # H7


SCRIPTS = [
    *["javascript", "x-javascript", "ecmascript", "x-ecmascript", "jscript", "livescript", "javascript1.0"],
    *["javascript1.1", "javascript1.5"],
]


@pytest.mark.parametrize("as_attachment", [None, True, False])
@pytest.mark.parametrize("stored", [*INLINE, *ATTACHED])
def test_every_file_is_guarded(stored: str, as_attachment: bool | None) -> None:
    fields = content_headers(stored, '写真"\r\n.png', as_attachment)
    assert fields["X-Content-Type-Options"] == "nosniff"
    hidden = as_attachment is not False and ("javascript" in stored or stored == "text/css")
    assert fields["Content-Type"] == ("text/plain; charset=utf-8" if hidden else media_type(stored)[1])
    assert "default-src 'none'" in fields["Content-Security-Policy"]
    assert "script-src" not in fields["Content-Security-Policy"]
    assert set(fields) == {
        *["Content-Type", "Content-Disposition", "Content-Security-Policy", "X-Content-Type-Options"],
    }
    assert all(re.fullmatch("[ -~]+", value) for value in fields.values())


@pytest.mark.parametrize(
    ("stored", "inline_types", "value"),
    [
        *[(f"{kind}/{name}", (), "text/plain; charset=utf-8") for kind in ("text", "application") for name in SCRIPTS],
        ("TEXT/JavaScript; charset=utf-7", (), "text/plain; charset=utf-8"),
        ("text/javascript", ("text/javascript",), "text/javascript; charset=utf-8"),
        ("application/json", (), "application/json"),
        ("text/css", (), "text/plain; charset=utf-8"),
        ("Text/CSS; charset=latin-1", (), "text/plain; charset=utf-8"),
        ("text/css", ("text/css",), "text/css; charset=utf-8"),
    ],
)
def test_no_page_can_use_a_script_or_a_style_sheet_that_is_not_shown_on_purpose(
    stored: str, inline_types: tuple[str, ...], value: str
) -> None:
    """A script element runs any JavaScript type of the MIME Sniffing Standard, whatever Content-Disposition says."""
    assert content_headers(stored, "a.js", None, inline_types)["Content-Type"] == value


@pytest.mark.parametrize("stored", [*INLINE, *ATTACHED])
def test_a_policy_may_keep_frames_to_the_own_origin(stored: str) -> None:
    fields, framed = (content_headers(stored, "a.x", own_frames_only=own) for own in (False, True))
    assert framed["Content-Security-Policy"] == f"{fields['Content-Security-Policy']}; frame-ancestors 'self'"
    assert {**framed, "Content-Security-Policy": ""} == {**fields, "Content-Security-Policy": ""}


def test_our_own_pages() -> None:
    policy = dict(directive.strip().split(" ", 1) for directive in page_policy().split(";"))
    assert policy == {
        "default-src": "'none'",
        **dict.fromkeys(
            ["script-src", "style-src", "img-src", "media-src", "connect-src", "form-action"],
            "'self'",
        ),
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert PAGE == {
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
