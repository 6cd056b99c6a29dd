"""Whose an upload, a lock or an empty folder is: one client may not take what all have to share.

::

    owner = owner_of(options, request)  # a text for each client, or None
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv6Address, ip_address, ip_network

from flask import Request

from .options import Rules

# Many clients may have them: they are a proxy's, or those of a network behind one.
_SHARED = [
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
]


def owner_of(options: Rules, request: Request, user: str = "") -> str | None:
    """Return a text that stands for the client; None if many clients may look alike.

    It is ``client_of(request)`` if the application gives that, else the *user* who has logged in, else the address. All
    who come by one link and look alike are one client.
    """
    client = (user or _address(request)) if options.client_of is None else options.client_of(request)
    client = options.via if client is None else client
    # Hashed, so that documents name nobody and stay small.
    return None if client is None else hashlib.sha256(str(client).encode(errors="surrogatepass")).hexdigest()


def user_of(options: Rules, request: Request) -> str | None:
    """Return the name of who sends a request: who has logged in to the drive, else ``client_of(request)``, or None."""
    user = request.environ.get("wsgidav.auth.user_name") or (options.client_of and options.client_of(request))
    return str(user).encode(errors="replace").decode() if user else None  # the database takes only UTF-8


def _address(request: Request) -> str | None:
    """Return the address as Werkzeug knows it, of IPv6 the network, which is one customer's (RFC 6177)."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:  # a Unix socket's
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if any(address in network for network in _SHARED):
        return None
    return str(ip_network((address, 64), strict=False) if isinstance(address, IPv6Address) else address)
