"""uploads/pages/urls.py: what a client writes into a query stays, and a url_prefix has variables of any name."""

from __future__ import annotations

import io
import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.uploads.read import listing as listings

from ..conftest import HTML, JSON, everyone
from ..helpers.tus import TUS, patch

# Parameters of url_for and of functions of ours, names in the query, and a variable of the prefix.
KEYS = (
    "_anchor _external _method _scheme endpoint file filename query self url values user folder q prefix order"
    " view flat details versions before version id signed upload asset zip next limit format after at metadata.a"
).split()


def register(app: Flask, mongo: PyMongo, variable: str) -> FlaskClient:
    app.secret_key = "secret"
    options = {"authorize": everyone, "metadata": ("a",), "share": 60}
    app.register_blueprint(mongo.uploads_blueprint(url_prefix=f"/<{variable}>/u", **options))
    return app.test_client()


@pytest.mark.parametrize("key", KEYS)
def test_a_query_is_text_behind_the_url_of_a_file_that_was_renamed(app: Flask, real: PyMongo, key: str) -> None:
    http = register(app, real, "user")
    file_id = real.save_file("old.txt", io.BytesIO(b"old"))
    real.bucket().rename("old.txt", "new.txt")
    query = [("id", str(file_id)), (key, "b c&d"), (key, "https://evil.example/")]
    answer = http.get("/ann/u/old.txt", query_string=query, base_url="http://evil.example")
    if key == "signed":  # which is asked for first
        assert answer.status_code == 404
        return
    if key == "version":
        assert answer.status_code == 400
        return
    assert answer.status_code == 308
    location = urlsplit(answer.headers["Location"])
    assert (location.scheme, location.netloc, location.path, location.fragment) == ("", "", "/ann/u/new.txt", "")
    expected = query[:1] if key == "id" else query
    assert parse_qsl(location.query, keep_blank_values=True) == expected


def links(page: TestResponse) -> set[str]:
    """Where a page leads, without what is outside the blueprint."""
    assert page.status_code == 200
    return {unescape(url) for url in re.findall(r'(?:href|action|formaction|src|data-index)="([^"]*)"', page.text)}


@pytest.mark.parametrize(
    "variable", [key for key in KEYS if key.isidentifier() and key[0] != "_" and key != "filename"]
)
def test_a_variable_of_the_prefix_may_have_any_name(
    app: Flask, real: PyMongo, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setattr(listings, "_PAGE_SIZE", 1)
    http = register(app, real, variable)
    query = "q=x&view=table&order=newest"
    for name in ("a/x1.txt", "a/x2.txt"):
        assert http.put(f"/ann/u/{name}", data=b"x").headers["Location"] == f"/ann/u/{name}"
    for url in (
        f"/ann/u/?{query}",
        "/ann/u/?folder=a/&flat=1",
        "/ann/u/?prefix=a",
        "/ann/u/a/x1.txt?details&folder=a/",
    ):
        for link in links(http.get(url, headers=HTML)):
            assert link.startswith(("/ann/u/", "?", "#")), link
    listing = http.get(f"/ann/u/?{query}", headers=JSON)
    after = http.get(listing.json["next"], headers=JSON)  # type: ignore[index]
    names = [row["filename"] for page in (listing, after) for row in page.json["files"]]  # type: ignore[index]
    assert names == ["a/x2.txt", "a/x1.txt"]
    shared = http.post("/ann/u/a/x1.txt?share").json["url"]  # type: ignore[index]
    assert (shared.startswith("/ann/u/a/x1.txt?signed="), http.get(shared).data) == (True, b"x")
    upload = http.post("/ann/u/new.txt", headers={**TUS, "Upload-Length": "1"}).headers["Location"]
    assert upload.startswith("/ann/u/?upload=")
    assert patch(http, upload, 0, b"x").status_code == 204
    form = {"file": (io.BytesIO(b"y"), "y.txt")}
    first = http.get("/ann/u/a/x1.txt?details", headers=JSON).json["id"]  # type: ignore[index]
    for url, data, location in (
        ("/ann/u/?view=table", form, "/ann/u/?view=table"),
        ("/ann/u/a/x1.txt?restore&view=table", {}, "/ann/u/a/x1.txt?details=&view=table"),
        ("/ann/u/a/x1.txt?metadata&view=table", {"a": "1"}, "/ann/u/a/x1.txt?details=&view=table"),
        ("/ann/u/a/x1.txt?copy=b&view=table", {}, "/ann/u/b?details=&view=table"),
        ("/ann/u/b?delete&view=table", {}, "/ann/u/?view=table"),
        (f"/ann/u/a/x1.txt?delete&id={first}&view=table", {}, "/ann/u/a/x1.txt?details=&view=table"),
    ):
        answer = http.post(url, data=data, headers=HTML)
        assert (answer.status_code, answer.headers["Location"]) == (303, location)
