"""http/cors.py: what pages of trusted origins may do and read; in Chromium from another origin."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, session
from playwright.sync_api import Browser, Page
from werkzeug.wrappers import Response

from flask_gridfs_pymongo import PyMongo

from ..conftest import HTML, Client, everyone, serving
from ..helpers.blocks import named
from ..helpers.nginx import sound
from ..helpers.pictures import picture

TRUSTED, OTHER = "https://app.example", "https://other.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "if-match,x-metadata-title,x-other",
}


def words(field: str | None) -> set[str]:
    return set((field or "").lower().split(", "))


ANSWERS = [
    ("GET", "/uploads/", 200),
    ("GET", "/uploads/a.txt", 200),
    ("GET", "/uploads/a.txt?details", 200),
    ("GET", "/uploads/?asset=uploads.css", 200),
    ("HEAD", "/uploads/a.txt", 200),
    ("GET", "/uploads/none", 404),
    ("PUT", "/uploads/b.txt", 201),
    ("PUT", "/uploads/a//b", 400),
    ("POST", "/uploads/", 400),
    ("DELETE", "/uploads/a.txt", 204),
    ("PATCH", "/uploads/a.txt", 405),
    ("OPTIONS", "/uploads/a.txt", 204),
]


class TestFields:
    @pytest.mark.parametrize(("method", "url", "status"), ANSWERS)
    def test_every_answer_can_be_read_by_a_trusted_origin(
        self, client: Client, mongo: PyMongo, method: str, url: str, status: int
    ) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"x"))
        uploads = client(authorize=everyone, trusted_origins=[TRUSTED])
        answer = uploads.open(url, method=method, headers={"Origin": TRUSTED}, buffered=True)
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == TRUSTED
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        wanted = {"etag", "location", "content-location", "content-range", "repr-digest"}
        assert wanted <= words(answer.headers["Access-Control-Expose-Headers"])
        assert "origin" in words(answer.headers["Vary"])

    @pytest.mark.parametrize(("method", "url", "status"), ANSWERS)
    @pytest.mark.parametrize("origin", [OTHER, "https://app.example:444", None])
    def test_and_by_no_other(
        self, client: Client, mongo: PyMongo, method: str, url: str, status: int, origin: str | None
    ) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"x"))
        uploads = client(authorize=everyone, trusted_origins=[TRUSTED])
        headers = PREFLIGHT | ({} if origin is None else {"Origin": origin})
        answer = uploads.open(url, method=method, headers=headers, buffered=True)
        assert "Access-Control-" not in str(answer.headers)
        assert "origin" in words(answer.headers["Vary"])

    def test_without_a_list_nothing_varies(self, client: Client, mongo: PyMongo) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"x"))
        answer = client().get("/uploads/a.txt", headers={"Origin": TRUSTED})
        assert "Vary" not in answer.headers
        assert "Access-Control-" not in str(answer.headers)

    @pytest.mark.parametrize(
        ("options", "url", "methods"),
        [
            ({}, "/uploads/a", {"get", "head", "post", "put", "delete"}),
            ({}, "/uploads/", {"get", "head", "post"}),
            ({"read_only": True}, "/uploads/a", {"get", "head"}),
        ],
    )
    def test_a_preflight(self, client: Client, options: dict[str, Any], url: str, methods: set[str]) -> None:
        uploads = client(authorize=lambda action, name: False, trusted_origins=[TRUSTED], **options)
        answer = uploads.options(url, headers={"Origin": TRUSTED, **PREFLIGHT})
        assert answer.status_code == 204
        allowed = words(answer.headers["Access-Control-Allow-Methods"])
        assert methods <= allowed
        assert ("put" in allowed) == ("put" in methods)
        wanted = {"content-type", "if-match", "if-none-match", "range", "repr-digest", "authorization", "x-csrftoken"}
        wanted |= {"x-request-id", "traceparent"}  # tus-js-client's addRequestId, and what traces requests
        assert wanted | {"x-metadata-title"} <= words(answer.headers["Access-Control-Allow-Headers"])
        assert "x-other" not in words(answer.headers["Access-Control-Allow-Headers"])

    @pytest.mark.parametrize(
        ("options", "policy"),
        [
            ({}, "same-origin"),
            ({"public": True}, "cross-origin"),
            ({"resource_policy": "same-site"}, "same-site"),
            ({"public": True, "resource_policy": "same-origin"}, "same-origin"),
        ],
    )
    def test_who_may_show_files(self, client: Client, mongo: PyMongo, options: dict[str, Any], policy: str) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"x"))
        uploads = client(**options)
        for url in ("/uploads/a.txt", "/uploads/", "/uploads/none", "/uploads/?asset=uploads.js"):
            answer = uploads.get(url, headers=HTML, buffered=True)
            assert answer.headers["Cross-Origin-Resource-Policy"] == policy

    def test_send_file_leaves_that_to_the_application(self, app: Flask, mongo: PyMongo) -> None:
        mongo.save_file("a.txt", io.BytesIO(b"x"))
        with app.test_request_context():
            assert "Cross-Origin-Resource-Policy" not in mongo.send_file("a.txt").headers


@pytest.fixture(scope="module")
def origins(mongod: str) -> Iterator[tuple[str, str]]:
    """The addresses of a page, and of a blueprint for it that wants a login; another port is another origin."""
    pages = Flask("pages")
    pages.add_url_rule("/", view_func=lambda: Response("<!doctype html><title>page</title>", mimetype="text/html"))
    files = Flask("files")
    files.secret_key = "a secret"
    mongo = PyMongo(files, uri=f"{mongod}/test_cors")

    def authorize(action: str, filename: str | None) -> bool:
        return session.get("user") == "ann"

    @files.get("/login")
    def login() -> str:
        session["user"] = "ann"
        return ""

    with serving(pages) as page:
        page = page.replace("127.0.0.1", "localhost")
        options: dict[str, Any] = {"authorize": authorize, "trusted_origins": [page]}
        files.register_blueprint(mongo.uploads_blueprint("own", url_prefix="/own", **options))
        shown = mongo.uploads_blueprint("shown", url_prefix="/shown", resource_policy="cross-origin", **options)
        files.register_blueprint(shown)
        with serving(files) as server:
            mongo.cx.drop_database("test_cors")
            with files.app_context():
                mongo.save_file("a.png", io.BytesIO(picture()))
                mongo.save_file("a.wav", io.BytesIO(sound(1)))
            yield page, server.replace("127.0.0.1", "localhost")
    mongo.cx.drop_database("test_cors")
    mongo.cx.close()


@pytest.fixture
def page(browser: Browser, origins: tuple[str, str]) -> Iterator[Page]:
    with browser.new_context() as context:
        context.request.get(f"{origins[1]}/login")
        page = context.new_page()
        page.goto(origins[0])
        yield page


FETCH = """async ([url, method, fields, body]) => {
    if (body === "form") { body = new FormData(); body.append("file", new File(["posted"], "posted.txt")); }
    const answer = await fetch(url, {method, headers: fields, body, credentials: "include"}).catch(() => null);
    return answer && [answer.status, await answer.text(), Object.fromEntries(answer.headers)];
}"""


def test_a_script_of_a_trusted_origin_reads_and_writes(page: Page, origins: tuple[str, str]) -> None:
    def fetch(method: str, name: str, body: str | None = None, **fields: str) -> Any:
        named = {field.replace("_", "-"): value for field, value in fields.items()}
        return page.evaluate(FETCH, [f"{origins[1]}/own/{name}", method, named, body])

    status, _, fields = fetch("PUT", "put.txt", "first", If_None_Match="*", Content_Type="text/plain")
    assert (status, fields["location"]) == (201, "/own/put.txt")
    status, _, fields = fetch("PUT", "put.txt", "second", If_Match=fields["etag"])
    assert status == 204
    assert fields["content-location"].startswith("/own/put.txt?id=")
    status, text, fields = fetch("GET", "put.txt", Range="bytes=1-3")
    assert (status, text, fields["content-range"]) == (206, "eco", "bytes 1-3/6")
    assert fields["etag"]
    status, text, _ = fetch("POST", "", "form")
    assert (status, '"posted.txt"' in text) == (201, True)
    assert fetch("PUT", "put.txt", "third", If_Match='"other"')[0] == 412
    assert fetch("DELETE", "put.txt")[0] == 204
    assert fetch("GET", "put.txt")[0] == 404


def test_an_upload_that_goes_on_from_a_trusted_origin(page: Page, origins: tuple[str, str]) -> None:
    def ask(method: str, url: str, body: str | None = None, **fields: str) -> Any:
        named = {"Tus-Resumable": "1.0.0"} | {field.replace("_", "-"): value for field, value in fields.items()}
        return page.evaluate(FETCH, [f"{origins[1]}{url}", method, named, body])

    status, _, fields = ask("POST", "/own/", Upload_Length="4", Upload_Metadata="filename dHVzLnR4dA==")
    assert (status, fields["upload-offset"]) == (201, "0")
    url, patch = fields["location"], {"Content_Type": "application/offset+octet-stream"}
    status, _, fields = ask("PATCH", url, "ab", Upload_Offset="0", Upload_Checksum="sha1 AAAA", **patch)
    assert status == 460
    assert ask("PATCH", url, "ab", Upload_Offset="0", **patch)[2]["upload-offset"] == "2"
    status, _, fields = ask("HEAD", url)
    assert (status, fields["upload-offset"], fields["upload-length"]) == (200, "2", "4")
    status, _, fields = ask("POST", url, "cd", Upload_Offset="2", X_HTTP_Method_Override="PATCH", **patch)
    assert (status, fields["content-location"].startswith("/own/tus.txt?id=")) == (204, True)
    assert ask("DELETE", url)[0] == 204
    assert ask("HEAD", url)[0] == 410


def test_the_script_of_the_docs(page: Page, origins: tuple[str, str]) -> None:
    script = named("cross-origin-script").replace("https://files.example.com/uploads/", f"{origins[1]}/own/")
    calls = 'return [await upload(new File(["x"], "docs.txt")), await list(), await ask("none").catch(String)]'
    uploaded, listed, refused = page.evaluate(f"async () => {{ {script} {calls} }}")
    assert [file["filename"] for file in uploaded] == ["docs.txt"]
    assert "docs.txt" in [file["filename"] for file in listed]
    assert refused == "Error: There is no such file or version."


@pytest.mark.parametrize(("prefix", "crossorigin", "shown"), [("own", False, 0), ("own", True, 1), ("shown", False, 1)])
def test_pictures_and_sounds(page: Page, origins: tuple[str, str], prefix: str, crossorigin: bool, shown: int) -> None:
    for tag, name, loaded in (("img", "a.png", "naturalWidth"), ("video", "a.wav", "duration")):
        found = page.evaluate(
            """([tag, url, crossorigin, loaded]) => new Promise((resolve) => {
                const element = document.createElement(tag);
                if (crossorigin) element.crossOrigin = "use-credentials";
                element.onload = element.onloadedmetadata = () => resolve(element[loaded]);
                element.onerror = () => resolve(0);
                element.src = url;
            })""",
            [tag, f"{origins[1]}/{prefix}/{name}", crossorigin, loaded],
        )
        assert found == shown, tag


def test_an_origin_that_is_not_trusted_reads_nothing(page: Page, origins: tuple[str, str]) -> None:
    page.goto(origins[0].replace("localhost", "127.0.0.1"))
    listing = f"{origins[1]}/own/?format=json"
    before = page.request.get(listing).json()
    attempts = [("GET", "a.png", None), ("PUT", "a.png", "x"), ("DELETE", "a.png", None), ("POST", "", "form")]
    for method, name, body in attempts:
        assert page.evaluate(FETCH, [f"{origins[1]}/own/{name}", method, {}, body]) is None
    assert page.request.get(listing).json() == before
