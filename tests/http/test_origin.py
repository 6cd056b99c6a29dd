"""http/origin.py: the situations of the tests of Go's net/http.CrossOriginProtection, and more of their kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from flask_gridfs_pymongo.http.origin import allowed, check_trusted, refusal

examples = settings(derandomize=True, max_examples=300, deadline=None, database=None)
HOST = "example.com"
OWN, ATTACKER, TRUSTED = "https://example.com", "https://attacker.example", "https://trusted.example"


def ask(method: str, site: str | None, origin: str | None, host: str = HOST, trusted: Any = ()) -> bool:
    fields = {"Sec-Fetch-Site": site, "Origin": origin}
    return allowed(method, Headers({name: value for name, value in fields.items() if value is not None}), host, trusted)


@pytest.mark.parametrize(
    ("method", "site", "origin", "expected"),
    [
        # What a browser says of itself
        ("POST", "same-origin", None, True),
        ("POST", "none", None, True),
        ("POST", "cross-site", None, False),
        ("POST", "same-site", None, False),
        # An older browser, or none
        ("POST", None, None, True),
        ("POST", None, OWN, True),
        ("POST", None, ATTACKER, False),
        ("POST", None, "null", False),
        # Safe methods
        ("GET", "cross-site", None, True),
        ("HEAD", "cross-site", None, True),
        ("OPTIONS", "cross-site", None, True),
        ("PUT", "cross-site", None, False),
        # And more
        *[
            (method, "cross-site", ATTACKER, False)
            for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "MKCOL", "")
        ],
        *[(method, None, ATTACKER, False) for method in ("POST", "PUT", "PATCH", "DELETE", "get", "Get", "GET ")],
        *[(method, None, ATTACKER, True) for method in ("GET", "HEAD", "OPTIONS")],
        # Sec-Fetch-Site counts more than Origin
        ("POST", "same-origin", OWN, True),
        ("POST", "same-origin", ATTACKER, True),
        ("POST", "none", ATTACKER, True),
        ("POST", "none", "null", True),
        ("POST", "cross-site", OWN, False),
        ("POST", "same-site", OWN, False),
        ("POST", "same-site", "https://other.example.com", False),
        ("POST", "cross-site", "null", False),
        # A value that no browser sends is no permission
        ("POST", "Same-Origin", None, False),
        ("POST", "SAME-ORIGIN", OWN, False),
        ("POST", "same-origin, cross-site", None, False),
        ("POST", "same-origin,same-origin", None, False),
        ("POST", "?", None, False),
        ("POST", "xnone", None, False),
        # Empty is absent
        ("POST", "", None, True),
        ("POST", "", "", True),
        ("POST", "", OWN, True),
        ("POST", "", ATTACKER, False),
        ("POST", None, "", True),
        # Hosts compare whole, without case; the scheme is unknown behind a proxy
        ("POST", None, "http://example.com", True),
        ("POST", None, "https://EXAMPLE.com", True),
        ("POST", None, "https://example.com:8080", False),
        ("POST", None, "https://example.com:443", False),
        ("POST", None, "https://example.com.", False),
        ("POST", None, "https://www.example.com", False),
        ("POST", None, "https://example.com.attacker.example", False),
        ("POST", None, "https://attackerexample.com", False),
        ("POST", None, "https://example.com@attacker.example", False),
        ("POST", None, "https://attacker.example#example.com", False),
        ("POST", None, "https://attacker.example/example.com", False),
        ("POST", None, "https://attacker.example?example.com", False),
        ("POST", None, "https://example.com, https://attacker.example", False),
        ("POST", None, "example.com", False),
        ("POST", None, "file://", False),
        ("POST", None, "https://", False),
        ("POST", None, "https:", False),
        ("POST", None, "https://[", False),
        ("POST", None, "https://[::1", False),
        ("POST", None, "chrome-extension://abcdef", False),
        ("POST", None, "data:text/html,x", False),
        ("POST", None, " ", False),
        ("POST", None, "*", False),
    ],
)
def test_who_may_change_something(method: str, site: str | None, origin: str | None, expected: bool) -> None:
    assert ask(method, site, origin) is expected


@pytest.mark.parametrize(
    ("origin", "site", "expected"),
    [
        (TRUSTED, None, True),
        (TRUSTED, "cross-site", True),
        (ATTACKER, None, False),
        (ATTACKER, "cross-site", False),
        # And more
        (TRUSTED, "same-site", True),
        (TRUSTED, "", True),
        (OWN, None, True),
        (OWN, "same-origin", True),
        (None, "cross-site", False),
        (None, None, True),
        ("null", None, False),
        ("null", "cross-site", False),
        ("", "cross-site", False),
        # The list is exact
        ("http://trusted.example", None, False),
        ("https://trusted.example:8443", None, False),
        ("https://trusted.example/", None, False),
        ("https://sub.trusted.example", "cross-site", False),
        ("https://trusted.example.attacker.example", "cross-site", False),
        (f"{TRUSTED}, {ATTACKER}", "cross-site", False),
    ],
)
def test_trusted_origins(origin: str | None, site: str | None, expected: bool) -> None:
    assert ask("POST", site, origin, trusted=check_trusted([TRUSTED])) is expected


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("http://127.0.0.1:5000", "127.0.0.1:5000", True),
        ("http://127.0.0.1:5000", "localhost:5000", False),
        ("http://127.0.0.1:5000", "127.0.0.1:5001", False),
        ("http://127.0.0.1", "127.0.0.1:5000", False),
        ("http://[::1]:5000", "[::1]:5000", True),
        ("http://[::1]:5000", "[::2]:5000", False),
        ("https://example.com", "EXAMPLE.COM", True),
        # Werkzeug's Request.host is empty for these; the field itself is not
        ("http://my_files.example", "my_files.example", True),
        ("http://my_files.example:8080", "My_Files.example:8080", True),
        ("http://my_files.example", "your_files.example", False),
        # A proxy may name the default port, a browser never does
        ("http://example.com", "example.com:80", True),
        ("https://example.com", "example.com:443", True),
        ("https://[::1]", "[::1]:443", True),
        ("https://example.com", "example.com:80", False),
        ("http://example.com", "example.com:443", False),
        ("http://example.com", "example.com:8080", False),
        ("http://example.com:80", "example.com", False),
        ("https://example.com", "example.com:4430", False),
        ("ftp://example.com", "example.com:443", False),
        ("http://", ":80", False),
        # There may be no Host
        ("null", "", False),
        ("file://", "", False),
        ("https://", "", False),
        (ATTACKER, "", False),
        (None, "", True),
    ],
)
def test_origin_against_host(origin: str | None, host: str, expected: bool) -> None:
    assert ask("POST", None, origin, host) is expected


def test_a_refusal_says_what_met_what_and_what_helps() -> None:
    said = refusal(Headers({"Origin": ATTACKER, "Sec-Fetch-Site": "cross-site"}), "files.example:81")
    for part in (ATTACKER, "Host files.example:81", "cross-site", "$http_host", "trusted_origins"):
        assert part in said
    assert len(refusal(Headers({"Origin": "x" * 9000, "Sec-Fetch-Site": "y" * 9000}), "z" * 9000)) < 1500


@examples
@given(st.text(), st.sampled_from([None, "", "cross-site", "same-site"]))
def test_no_text_is_an_origin_of_ours(origin: str, site: str | None) -> None:
    fields = {"Origin": origin} if site is None else {"Origin": origin, "Sec-Fetch-Site": site}
    expected = not origin and not site
    assert allowed("POST", fields, HOST, [TRUSTED]) is expected


@pytest.mark.parametrize(
    ("origin", "valid"),
    [
        ("https://example.com", True),
        ("https://example.com:8080", True),
        ("http://example.com", True),
        ("example.com", False),
        ("https://", False),
        ("https://example.com/", False),
        ("https://example.com/path", False),
        ("https://example.com?query=value", False),
        ("https://example.com#fragment", False),
        ("https://ex ample.com", False),
        ("", False),
        ("null", False),
        # And more
        ("http://localhost:5000", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:5000", True),
        ("https://xn--bcher-kva.example", True),
        ("https://a_b.example", True),
        ("chrome-extension://abcdef", True),
        ("https://example.com?", False),
        ("https://example.com#", False),
        ("https://example.com:", False),
        ("https://example.com:port", False),
        ("https://example.com:123456", False),
        ("https://user@example.com", False),
        ("https://user:password@example.com", False),
        # No browser writes it so, and it would never match
        ("https://EXAMPLE.com", False),
        ("HTTPS://example.com", False),
        ("https://bücher.example", False),
        ("https://*.example.com", False),
        ("*", False),
        ("//example.com", False),
        ("://example.com", False),
        ("https:example.com", False),
        ("https:/example.com", False),
        ("https://[::1", False),
        ("https://[", False),
        ("https://example.com\n", False),
        (" https://example.com", False),
        ("https://example.com ", False),
        ("https://exa\tmple.com", False),
        ("https://example.com\\", False),
        ("https://a,https://b", False),
    ],
)
def test_what_can_be_trusted(origin: str, valid: bool) -> None:
    if valid:
        assert check_trusted([TRUSTED, origin]) == {TRUSTED, origin}
        assert ask("POST", "cross-site", origin, trusted=check_trusted([origin]))
    else:
        with pytest.raises(ValueError, match="is not an origin such as") as raised:
            check_trusted([TRUSTED, origin])
        assert repr(origin) in str(raised.value)


def test_trusted_origins_are_a_list() -> None:
    assert check_trusted([]) == frozenset()
    with pytest.raises(TypeError, match="list of origins"):
        check_trusted(TRUSTED)
