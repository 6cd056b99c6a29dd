"""Protection against cross-site request forgery (CSRF) without tokens: which requests may change anything.

::

    allowed("POST", {"Origin": "https://evil.example"}, "shop.example")  # False
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from .conditions import Fields

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# As browsers write it (RFC 6454 section 6.2): in lower case, without user and path.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def allowed(method: str, headers: Fields, host: str, trusted: Collection[str]) -> bool:
    """Whether a request comes from a page of this site, or from a client that is not a browser.

    The algorithm is that of Go's ``net/http.CrossOriginProtection``: Sec-Fetch-Site decides if the browser sends it,
    else Origin is compared with Host; a client that sends neither is not a browser.

    :param host: the request's Host field, as it was sent
    :param trusted: origins (``https://example.com``) that may change things, too
    """
    if method in _SAFE_METHODS:
        return True
    origin = headers.get("Origin")
    if origin is not None and origin in trusted:
        return True
    site = headers.get("Sec-Fetch-Site")
    if site:
        return site in ("same-origin", "none")
    if not origin:
        return True
    try:
        sender = urlsplit(origin)
    except ValueError:
        return False
    # Some proxies always name the port in Host; browsers never name a default port in Origin.
    default_port = _DEFAULT_PORTS.get(sender.scheme, "")
    return bool(sender.netloc) and sender.netloc.lower() in (host.lower(), host.lower().removesuffix(default_port))


def refusal(headers: Fields, host: str) -> str:
    """Explain why :func:`allowed` refused: Origin, Host and the remedy."""
    site = headers.get("Sec-Fetch-Site")
    detail = f" (Sec-Fetch-Site: {site[:255]})" if site else ""
    origin = (headers.get("Origin") or "none")[:255]
    return (
        "Pages of another origin may not change anything here: the request has"
        f" Origin {origin} and Host {host[:255] or 'none'}{detail}. If this is your own page, let the proxy pass the"
        " Host field on (nginx: proxy_set_header Host $http_host); to allow another origin, name it in trusted_origins."
    )


def check_trusted(origins: Collection[str]) -> frozenset[str]:
    """Check the origins that an application trusts.

    :raises ValueError: for anything that no browser sends as an origin, such as ``https://example.com/path``
    """
    if isinstance(origins, str):
        raise TypeError("trusted_origins must be a list of origins, not one str")
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"trusted_origins: {origin!r} is not an origin such as 'https://example.com'")
    return frozenset(origins)


def is_local(path: str) -> bool:
    """Whether a redirect to *path* stays on this site: it begins with one slash, and browsers remove none of it."""
    return path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable()
