"""The application that the command serves."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

import pymongo
from flask import Flask, Request, abort, request
from pymongo.errors import PyMongoError
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from ..extension import PyMongo
from .samples import add_samples
from .users import Users

_TIMEOUT = 6  # seconds for the first answer of the database


def create_app(
    uri: str,
    base: str = "fs",
    *,
    writable: bool = False,
    users: Users | None = None,
    dav: bool = False,
    address: IPv4Address | IPv6Address | None = None,
    demo: bool = False,
) -> Flask:
    """Build the application, and ask the database for the bucket.

    :param uri: names the database
    :param base: the bucket's name
    :param writable: whether clients may add, change and delete files
    :param users: who may do anything; None: everybody
    :param dav: whether there is a network drive at ``/dav/``
    :param address: the loopback address that the server listens on; None: it is another address
    :param demo: whether an empty bucket gets sample files, and the pages are those of a gallery
    :raises pymongo.errors.PyMongoError: if the database gives no answer within 6 seconds, or refuses one
    :raises TypeError, ValueError, ImportError: naming what is wrong or missing
    """
    app = Flask(__name__, static_folder=None)
    app.name = "files"  # the realm of the drive, too
    app.config["MONGO_CONNECT_TIMEOUT_MS"] = int(_TIMEOUT * 500)
    if address is not None:
        hosts = re.compile(rf"(localhost|{re.escape(in_url(address))})(:\d+)?")
        app.before_request(lambda: _check_host(hosts))
    mongo = PyMongo(app, uri=uri)
    uploads = mongo.uploads_blueprint(
        base=base,
        authorize=lambda action, filename: True,
        read_only=not writable,
        metadata=("title", "tags"),
        title="Gallery" if demo else "Files",
        client_of=_user_of if users else None,
    )
    if users:
        uploads.before_request(lambda: _log_in(users))
    app.register_blueprint(uploads)
    if dav:
        drive = mongo.webdav_app(rules=uploads, authenticate=users)
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": drive})  # type: ignore[method-assign]
    try:
        with pymongo.timeout(_TIMEOUT):
            mongo.db[f"{base}.files"].find_one({}, {"_id": 1})
    except PyMongoError:
        mongo.cx.close()
        raise
    if demo:
        add_samples(mongo.bucket(base))
    return app


def in_url(address: IPv4Address | IPv6Address) -> str:
    """Write the address as a URL has it (RFC 3986, section 3.2.2)."""
    return f"[{address}]" if address.version == 6 else str(address)


def _check_host(hosts: re.Pattern[str]) -> None:
    """Abort with 400 if a page of any site reaches the server by a host name of its own (DNS rebinding).

    ``TRUSTED_HOSTS`` matches no IPv6 address.
    """
    if not hosts.fullmatch(request.headers.get("Host", "")):
        abort(400)


def _user_of(request: Request) -> str | None:
    return request.authorization.username if request.authorization else None


def _log_in(users: Users) -> None:
    """Raise a 401 unless the request has name and password of one of them (RFC 7617)."""
    given = request.authorization
    if not given or not users(given.username or "", given.password or ""):
        # Werkzeug does not quote what is a token, and some clients need quotes (RFC 9110 section 11.5).
        raise Unauthorized(www_authenticate=WWWAuthenticate("basic", None, 'realm="files", charset="UTF-8"'))
