"""A client of a drive that is mounted in an application, and bodies of its requests."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from defusedxml import ElementTree
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo

from ..conftest import everyone

LOCK = b"<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>"
PROPPATCH = b"<propertyupdate xmlns='DAV:'><set><prop><x xmlns='urn:x'>red</x></prop></set></propertyupdate>"
DAV = {"D": "DAV:"}
Drive = Callable[..., "Client"]


class Client:
    """Asks a drive at ``/dav``; a path is as a URL has it."""

    def __init__(self, client: FlaskClient, root: str = "/dav") -> None:
        self.client, self.root = client, root

    def ask(self, method: str, path: str, data: bytes = b"", to: str | None = None, **fields: str) -> TestResponse:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if to is not None:
            headers["Destination"] = f"http://localhost{self.root}/{to}"
        return self.client.open(f"{self.root}/{path}", method=method, data=data, headers=headers)

    def status(self, method: str, path: str, data: bytes = b"", to: str | None = None, **fields: str) -> int:
        return self.ask(method, path, data, to, **fields).status_code

    def found(self, path: str = "", depth: str = "1") -> list[str]:
        """The URLs that a PROPFIND shows."""
        answer = self.ask("PROPFIND", path, Depth=depth)
        assert answer.status_code == 207, answer.text
        return [href.text or "" for href in ElementTree.fromstring(answer.data).iterfind(".//D:href", DAV)]

    def lock(self, path: str, **fields: str) -> str:
        answer = self.ask("LOCK", path, LOCK, **fields)
        assert answer.status_code in (200, 201), answer.text
        return answer.headers["Lock-Token"].strip("<>")


def mounting(app: Flask, mongo: PyMongo) -> Drive:
    def mount(authorize: Any = everyone, root: str = "/dav", **options: Any) -> Client:
        drive = mongo.webdav_app(authorize=authorize, **options)
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {root: drive})  # type: ignore[method-assign]
        return Client(app.test_client(), root)

    return mount


def put(mongo: PyMongo, *names: str) -> None:
    for name in names:
        mongo.save_file(name, io.BytesIO(name.encode()))


def names(mongo: PyMongo) -> list[str]:
    return [row.file.filename for row in mongo.bucket().list().rows]


def text(mongo: PyMongo, name: str, version: int = -1) -> bytes:
    with mongo.bucket().open(name, version) as file:
        return file.read()
