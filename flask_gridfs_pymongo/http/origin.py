"""May this request change anything? Cross-site request forgery, refused without tokens."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from .conditions import Fields

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def allowed(method: str, headers: Fields, host: str, trusted: Collection[str] = ()) -> bool:
    """Whether a browser sent this from a page of our own, or no browser sent it at all.

    The algorithm is that of Go's ``net/http.CrossOriginProtection``: Sec-Fetch-Site where the browser sends it, else
    Origin against Host; a client that sends neither is no browser.

    :param host: the request's Host
    :param trusted: origins (``https://example.com``) that may change things too
    """
    if method in _SAFE:
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
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def check_trusted(origins: Collection[str]) -> frozenset[str]:
    """Check origins that an application trusts.

    :raises ValueError: for what is not a scheme and a host, such as ``https://example.com/path``
    """
    if isinstance(origins, str):
        raise TypeError("trusted_origins must be a list of origins, not one str")
    for origin in origins:
        parts = urlsplit(origin)
        if not parts.scheme or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            raise ValueError(f"trusted_origins: {origin!r} is not an origin such as 'https://example.com'")
    return frozenset(origins)
