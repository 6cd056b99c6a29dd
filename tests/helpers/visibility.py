"""A bucket with files that ``authorize`` hides, requests that name them, and queries over it."""

from __future__ import annotations

import io
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zipfile import ZipFile

from bson.objectid import ObjectId
from werkzeug.test import TestResponse

from flask_gridfs_pymongo.store import ids

START = datetime(2026, 1, 1, tzinfo=UTC)


NAMES = "a a.txt a/ a/1 a/2.txt a/b/1 a/b/2 a/b/c/1 a/bc b/1 b/2 b/3.txt ba c/d/e/f.png c/d/g /x x//y Ä/1 z z/z".split()


def folders_of(filename: str) -> list[str]:
    return [filename[: place + 1] for place, letter in enumerate(filename) if letter == "/"]


def document(name: str, length: int = 0, days: float = 0, content_type: str = "text/plain") -> dict[str, Any]:
    """A files document as any tool may have written it."""
    date = START + timedelta(days=days)
    found = {"_id": ObjectId(), "filename": name, "length": length, "chunkSize": 5, "uploadDate": date}
    return {**found, "contentType": content_type}


# What an answer has that is not the same in two buckets, and tells nothing.
_OWN = re.compile(
    r"[0-9a-f]{24}(?![0-9a-f])|[0-9a-f]{32}|(?<=upload=)[\w-]+|(?<=signed=)[\w.-]+|(?<=/~)[\w.-]+|(?<=visit=)[\w-]+"
    r'|20\d\d-[\d:.T+-]+|[A-Z][a-z]{2}, \d\d [^"]* GMT'
)
_TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "1"}
_PARTS = "multipart/form-data; boundary=B"
_FORM = "application/x-www-form-urlencoded"
Ask = dict[str, Any]


def _part(name: str) -> str:
    return f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nx\r\n--B--\r\n'


def named(name: str, target: str) -> list[Ask]:
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


def by_id(file_id: Any, name: str) -> list[Ask]:
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


def listings(folder: str) -> list[Ask]:
    paths = ["/u/?zip", f"/u/?folder={quote(folder)}&zip", f"/u/{quote(folder)}", f"/u/{quote(folder[:-1])}"]
    paths += [f"/u/{quote(folder)}?zip", "/u/?metadata.x=1", f"/u/?metadata.x=2&folder={quote(folder)}"]
    return [{"method": "GET", "path": path} for path in [*paths, "/u/?metadata.x=1&order=-type&limit=1"]]


def told(answer: TestResponse) -> tuple[int, list[tuple[str, str]], str]:
    """What an answer tells."""
    fields = sorted((n, _OWN.sub("OWN", value)) for n, value in answer.headers.items() if n != "Content-Length")
    if answer.mimetype == "application/zip" and answer.data:
        return answer.status_code, fields, str(ZipFile(io.BytesIO(answer.data)).namelist())
    return answer.status_code, fields, _OWN.sub("OWN", re.sub("(upload|selection)-[0-9]+", "", answer.text))
