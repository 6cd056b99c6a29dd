"""Every way in and out, with names and ids that ``authorize`` hides: each answers as if they did not exist."""

from __future__ import annotations

import io
import random
import re
from base64 import b64encode
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote
from zipfile import ZipFile

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo, Variant
from flask_gridfs_pymongo.store import ids

from ..conftest import HTML, JSON
from ..helpers.visibility import NAMES, document, folders_of

# What an answer has that is not the same in two buckets, and tells nothing.
_OWN = re.compile(
    r"[0-9a-f]{24}(?![0-9a-f])|[0-9a-f]{32}|(?<=upload=)[\w-]+|(?<=signed=)[\w.-]+"
    r'|20\d\d-[\d:.T+-]+|[A-Z][a-z]{2}, \d\d [^"]* GMT'
)
_TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "1"}
_PARTS = "multipart/form-data; boundary=B"
_FORM = "application/x-www-form-urlencoded"
Ask = dict[str, Any]


def _part(name: str) -> str:
    return f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nx\r\n--B--\r\n'


def _named(name: str, target: str) -> list[Ask]:
    """Requests that name a file, and where it or another one is to go."""
    url, to = f"/u/{quote(name)}", quote(target, safe="")
    conditions = [{}, {"If-Match": "*"}, {"If-None-Match": "*"}, {"If-Match": '"0"'}, {"Range": "bytes=0-0"}]
    flags = ["", "details", "versions", "versions&before=1", "delete", "variant=thumb", "version=0", "version=-2"]
    return [
        *({"method": method, "path": f"{url}?{flag}"} for method in ("GET", "HEAD") for flag in flags),
        *({"method": method, "path": url, "headers": fields} for method in ("GET", "DELETE") for fields in conditions),
        *({"method": "PUT", "path": url, "data": b"x", "headers": fields} for fields in conditions),
        {"method": "OPTIONS", "path": url},
        {"method": "PATCH", "path": url, "data": b'{"x": "1"}', "content_type": "application/merge-patch+json"},
        {"method": "POST", "path": f"{url}?metadata", "data": "x=1", "content_type": _FORM},
        {"method": "POST", "path": f"{url}?restore"},
        {"method": "POST", "path": f"{url}?restore&version=0", "headers": {"If-Match": '"0"'}},
        {"method": "POST", "path": f"{url}?share"},
        *({"method": "POST", "path": f"{url}?{flag}={to}"} for flag in ("move", "copy")),
        {"method": "POST", "path": f"{url}?copy", "data": f"to={to}", "content_type": _FORM},
        {"method": "POST", "path": url, "data": _part("any"), "content_type": _PARTS},
        {"method": "POST", "path": "/u/", "data": _part(name), "content_type": _PARTS},
        {"method": "POST", "path": url, "headers": _TUS},
        *(
            {"method": "POST", "path": "/u/", "headers": {**_TUS, **fields, "Upload-Metadata": f"filename {encoded}"}}
            for encoded in [b64encode(name.encode()).decode()]
            for fields in ({}, {"If-None-Match": "*"})
        ),
        {"method": "GET", "path": f"/u/?cursor={ids.to_text([name.encode(), None])}"},
        {"method": "GET", "path": f"/u/?order=-size&cursor={ids.to_text([name.encode(), 1])}&limit=2"},
    ]


def _by_id(file_id: Any, name: str) -> list[Ask]:
    """Requests that name a revision by its id, which somebody may have guessed."""
    url, other = f"/u/?id={file_id}", f"/u/{quote(name)}?id={file_id}"
    flags = ["", "&details", "&versions", "&delete", "&download", "&variant=thumb"]
    return [
        *({"method": method, "path": f"{url}{flag}"} for method in ("GET", "HEAD") for flag in flags),
        {"method": "GET", "path": other},
        {"method": "DELETE", "path": other},
        {"method": "DELETE", "path": url},
        *({"method": "POST", "path": f"{url}&{flag}"} for flag in ("restore", "share", "copy=new", "move=new")),
        {"method": "POST", "path": f"{url}&metadata", "data": "x=1", "content_type": _FORM},
        *({"method": "POST", "path": f"/u/{quote(name)}?{flag}&id={file_id}"} for flag in ("restore", "copy=new2")),
        *(
            {"method": "POST", "path": f"/u/?{flag}", "data": f"id={file_id}&to=new3", "content_type": _FORM}
            for flag in ("zip", "delete", "move")
        ),
        {"method": "PATCH", "path": url, "data": b'{"x": "1"}', "content_type": "application/merge-patch+json"},
        *({"method": "GET", "path": f"/u/?after_file={file_id}&order={order}"} for order in ("name", "-type", "size")),
    ]


def _listings(folder: str) -> list[Ask]:
    paths = ["/u/?zip", f"/u/?folder={quote(folder)}&zip", f"/u/{quote(folder)}", f"/u/{quote(folder[:-1])}"]
    paths += [f"/u/{quote(folder)}?zip", "/u/?metadata.x=1", f"/u/?metadata.x=2&folder={quote(folder)}"]
    return [{"method": "GET", "path": path} for path in [*paths, "/u/?metadata.x=1&order=-type&limit=1"]]


def told(answer: TestResponse) -> tuple[int, list[tuple[str, str]], str]:
    """What an answer tells."""
    fields = sorted((n, _OWN.sub("OWN", value)) for n, value in answer.headers.items() if n != "Content-Length")
    if answer.mimetype == "application/zip" and answer.data:
        return answer.status_code, fields, str(ZipFile(io.BytesIO(answer.data)).namelist())
    return answer.status_code, fields, _OWN.sub("OWN", re.sub("(upload|selection)-[0-9]+", "", answer.text))


@pytest.mark.parametrize("seed", range(2))
def test_each_answers_as_if_what_is_hidden_did_not_exist(uri: str, seed: int) -> None:
    rng = random.Random(seed)
    hidden = set(rng.sample(NAMES, len(NAMES) // 2))
    unlisted = rng.sample(sorted({folder for name in NAMES for folder in folders_of(name)}), rng.choice([0, 2]))

    def authorize(action: str, filename: str | None) -> bool:
        return filename not in (unlisted if action == "list" else hidden)

    stored = [
        document(name, 0, rng.randrange(8), "image/png") | {"metadata": {"x": rng.choice(["1", "2"])}}
        for name in NAMES
        for _ in range(rng.choice([1, 1, 3]))
    ]
    asks = [ask for name in NAMES for ask in _named(name, rng.choice([*NAMES, "new"]))]
    asks += [ask for found in stored for ask in _by_id(found["_id"], found["filename"])]
    asks += [ask for folder in ("a/", "a/b/", "c/d/", "none/") for ask in _listings(folder)]
    with ExitStack() as stack:
        clients: list[FlaskClient] = []
        for base in ("whole", "bare"):
            app = Flask(base)
            app.secret_key = "secret"
            mongo = PyMongo(app, uri=uri)
            stack.callback(mongo.cx.close)
            there = [found for found in stored if base == "whole" or found["filename"] not in hidden]
            mongo.db[base].files.insert_many(there)
            options: dict[str, Any] = {"metadata": ["x"], "share": 60, "variants": {"thumb": Variant(10, 10)}}
            app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", base=base, authorize=authorize, **options))
            clients.append(app.test_client())
        for ask in [*rng.sample(asks, 150), *_listings("")]:
            accept = rng.choice([JSON, JSON, HTML])
            fields = {**ask, "headers": {**accept, **ask.get("headers", {})}}
            answers = [client.open(**fields) for client in clients]
            whole, bare = map(told, answers)
            assert whole == bare, ask
            assert whole[0] < 500, ask
            if not ask["path"].startswith("/u//"):  # which is none of the blueprint's
                assert {"Content-Security-Policy", "Cross-Origin-Resource-Policy", "X-Content-Type-Options"} <= {
                    *answers[0].headers.keys()
                }, ask
