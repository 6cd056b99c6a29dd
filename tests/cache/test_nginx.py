"""Files of the file cache, sent by a real nginx with the docs' configuration: each answer is the application's own."""

from __future__ import annotations

import http.client
import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask, Response
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_gridfs_pymongo import PyMongo

from ..conftest import BIG, content, everyone, serving
from ..helpers.blocks import named
from ..helpers.nginx import running_nginx
from ..helpers.pictures import corners, encoded
from ..helpers.wire import CONDITIONS

pytestmark = pytest.mark.clients
N = len(BIG)
HUGE = "9" * 30
# Of each kind: one range, one that nginx reads in another way, several, and what is none.
RANGES = [
    *("bytes=0-0", "bytes=0-", "bytes=5-9", f"bytes={N - 1}-", f"bytes=0-{N - 1}", f"bytes=0-{N + 5}", "bytes=-1"),
    *(f"bytes=-{N}", f"bytes=-{N + 1}", "bytes=-0", f"bytes={N}-", f"bytes={N}-{N + 1}", "bytes=000-004", "BYTES=1-2"),
    *("bytes= 1-2", "bytes=1-2 ", "bytes=1 - 2", "bytes=,1-2", "bytes=1-2,", "bytes=9-1", "bytes=", "bytes=-", "bytes"),
    *(f"bytes=0-{HUGE}", f"bytes={HUGE}-", f"bytes=-{HUGE}", "bytes=0-1,5-6", "bytes=0-4,3-9", "bytes=0-0,-1"),
    *(f"bytes=0-1,{N}-", "items=0-1", "bytes=a-b", "bytes=1-2;3-4", "bytes=0x1-2", "none", "bytes=1-2-3", "bytes=--1"),
    ",".join(["bytes=0-0", *(f"{n}-{n}" for n in range(2, 60, 2))]),
]
FIELDS: list[dict[str, str]] = [
    {},
    *({"Range": field} for field in RANGES),
    *(fields for fields, _ in CONDITIONS if "Range" not in fields),
    *({"Range": "bytes=1-2", "If-Range": value} for value in ("{etag}", '"x"', "{date}", "W/{etag}")),
    {"Want-Repr-Digest": "sha-256=1"},
    {"Origin": "https://trusted.example"},
    {"Accept-Encoding": "gzip, br"},
    {"Range": "bytes=1-2", "Want-Repr-Digest": "sha-256=1", "Origin": "https://trusted.example"},
]
SCRIPTED = [
    *("text/html", "application/xhtml+xml", "image/svg+xml", "application/xml", "text/xml", "application/rss+xml"),
    *("application/pdf", "text/javascript", "application/x-javascript", "text/css", "message/rfc822", "text/x-unknown"),
    *("application/x-shockwave-flash", "multipart/related", "application/json", "x/y", "TEXT/HTML; charset=utf-8"),
]
_OWN = {"date", "server", "connection", "keep-alive"}  # fields of each server itself


class Answer(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


def ask(address: str, url: str, method: str = "GET", **fields: str) -> Answer:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, url, headers={name.replace("_", "-"): value for name, value in fields.items()})
        answer = connection.getresponse()
        found = [(name.lower(), value) for name, value in answer.getheaders() if name.lower() not in _OWN]
        assert len(found) == len(dict(found)), found
        return Answer(answer.status, dict(found), answer.read())
    finally:
        connection.close()


class Front:
    """The same bucket behind nginx, and answered by the application alone."""

    def __init__(self, mongo: PyMongo, folder: Path, front: str, alone: str, handed: list[str]) -> None:
        self.mongo, self.folder, self.front, self.alone, self.handed = mongo, folder, front, alone, handed
        self.allowed = True
        self.application = ""
        self.location = self.accel = ""
        """of nginx's configuration"""

    def get(self, url: str, method: str = "GET", **fields: str) -> Answer:
        """Ask for a file that is in the cache."""
        if not any(url in path for path in self.handed):
            ask(self.front, url)
        return ask(self.front, url, method, **fields)


@pytest.fixture(scope="module")
def front(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("accel")
    with ExitStack() as stack:
        handed: list[str] = []
        made = []
        for name, options in (("front", {"file_cache": folder / "cache", "accel": "/_files/"}), ("alone", {})):
            app = Flask(name)
            app.secret_key = "tests"
            mongo = PyMongo(app, uri=f"{mongod}/test_accel", **options)  # type: ignore[arg-type]
            stack.callback(mongo.cx.close)
            made.append((app, mongo))
        front = Front(made[0][1], folder, "", "", handed)
        stack.callback(front.mongo.cx.drop_database, "test_accel")
        for app, mongo in made:
            rules = mongo.uploads_blueprint(
                url_prefix="/uploads",
                authorize=lambda action, filename: front.allowed,
                trusted_origins=["https://trusted.example"],
                inline_types=["application/pdf", "text/html", "image/svg+xml"],
                share=60,
            )
            app.register_blueprint(rules)
            app.add_url_rule("/sent/<name>", view_func=lambda name, mongo=mongo: mongo.send_file(name), endpoint="sent")
            app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": mongo.webdav_app(authorize=everyone)})  # type: ignore[method-assign]

        @made[0][0].after_request
        def note(response: Response) -> Response:
            handed.extend(response.headers.getlist("X-Accel-Redirect"))
            return response

        front.application, front.alone = (stack.enter_context(serving(app)) for app, _ in made)
        front.location = (
            named("nginx-proxy").replace("/uploads/", "/").replace("http://127.0.0.1:8000", front.application)
        )
        front.accel = named("nginx-accel").replace("/var/cache/shop/", f"{folder}/cache/")
        front.front = stack.enter_context(running_nginx(folder, front.location + front.accel))
        bucket = mongo.bucket()
        bucket.files.delete_many({})
        bucket.chunks.delete_many({})
        for name in ("film.mp4", "a.txt", "data"):
            bucket.save(name, io.BytesIO(BIG))
        for number, content_type in enumerate(SCRIPTED):
            bucket.save(f"scripted{number}", io.BytesIO(b"x"), content_type=content_type)
        bucket.save("empty.txt", io.BytesIO(b""))
        yield front


def differences(front: Front, url: str, method: str, template: dict[str, str], own: Answer) -> list[Any]:
    etag, date = own.fields["etag"], own.fields["last-modified"]
    fields = {
        name: value.format(etag=etag, tag=etag[:-1], date=date) if "{" in value else value
        for name, value in template.items()
    }
    expected, found = (ask(address, url, method, **fields) for address in (front.alone, front.front))
    if found.fields.get("content-type", "").startswith("multipart/"):  # the boundaries are random
        ends = [answer.fields.pop("content-type").encode()[-32:] for answer in (expected, found)]
        assert ends[0] != ends[1]
        expected = expected._replace(body=expected.body.replace(*ends))
    if found.status == 206:  # nginx leaves out what a 206 says itself
        expected.fields.pop("accept-ranges", None)
        found.fields.pop("accept-ranges", None)
    if found == expected:
        return []
    said = [(found.status, expected.status), *(found.fields.items() ^ expected.fields.items())]
    return [(method, fields, found.body == expected.body, said)]


@pytest.mark.slow
@pytest.mark.parametrize("url", ["/uploads/film.mp4", "/uploads/a.txt", "/uploads/empty.txt"])
def test_conditions_and_ranges_are_answered_as_the_application_does(front: Front, url: str) -> None:
    own = ask(front.alone, url)
    assert ask(front.front, url) == own
    wrong: list[Any] = []
    front.handed.clear()
    for fields in FIELDS:
        for method in ("GET", "HEAD"):
            wrong += differences(front, url, method, fields, own)
    assert wrong == []
    assert len(front.handed) >= (14 if len(own.body) else 0)


def test_each_door_is_sent_by_nginx_with_its_own_fields(front: Front) -> None:
    file = front.mongo.bucket().find("film.mp4")
    assert file is not None
    urls = ["/uploads/film.mp4?download", f"/uploads/film.mp4?id={file.id}", "/sent/film.mp4", "/dav/film.mp4"]
    (app,) = front.mongo._apps
    with app.test_request_context():
        urls.append(front.mongo.uploads_url("film.mp4"))
    for url in urls:
        ask(front.front, "/uploads/film.mp4")
        front.handed.clear()
        found, expected = ask(front.front, url), ask(front.alone, url)
        assert (found, len(front.handed)) == (expected, 1), url
        assert found.body == BIG


def test_types_in_which_scripts_can_run_are_not_handed_over(front: Front) -> None:
    front.handed.clear()
    for number in range(len(SCRIPTED)):
        name = f"scripted{number}"
        for url in (f"/uploads/{name}", f"/uploads/{name}?download", f"/sent/{name}", f"/dav/{name}"):
            assert [ask(front.front, url).body for _ in range(2)] == [b"x"] * 2, url
    assert front.handed == []


def test_the_internal_location_cannot_be_asked_for(front: Front) -> None:
    front.get("/uploads/film.mp4")
    path = front.handed[-1]
    assert (front.folder / "cache" / path.removeprefix("/_files/")).is_file()
    for url in (
        path,
        f"{path}?x",
        path.replace("_", "%5f"),
        f"/uploads/..{path}",
        f"/{path}",
        "/_files/.uses",
        "/_files/",
    ):
        answer = ask(front.front, url)
        assert (answer.status, BIG[:9] in answer.body) == (404, False), url
    assert ask(front.front, "/uploads/film.mp4", X_Accel_Redirect="/_files/.uses").body == BIG


def test_rights_are_asked_before_and_what_is_deleted_is_gone(front: Front) -> None:
    bucket = front.mongo.bucket()
    bucket.save("own.mp4", io.BytesIO(BIG))
    assert front.get("/uploads/own.mp4").body == BIG
    front.handed.clear()
    front.allowed = False
    try:
        assert [ask(front.front, "/uploads/own.mp4", **fields).status for fields in ({}, {"Range": "bytes=1-2"})] == [
            403
        ] * 2
    finally:
        front.allowed = True
    assert front.handed == []
    for data in (content(300_000), content(400_000)):
        bucket.delete("own.mp4")
        assert ask(front.front, "/uploads/own.mp4").status == 404
        bucket.save("own.mp4", io.BytesIO(data))
        assert [ask(front.front, "/uploads/own.mp4").body for _ in range(2)] == [data] * 2
    assert len(front.handed) == 2


def test_variants_and_archives_are_not_handed_over(front: Front) -> None:
    picture = encoded(corners(), "PNG")
    front.mongo.bucket().save("p/a.png", io.BytesIO(picture))
    assert front.get("/uploads/p/a.png").body == picture
    front.handed.clear()
    assert ask(front.front, "/uploads/p/a.png?variant=thumb").fields["content-type"].startswith("image/")
    assert picture in ask(front.front, "/uploads/?folder=p/&zip").body
    assert front.handed == []


# What is wrong with the configuration, and what the command says of files
MISTAKES: dict[tuple[str, str], dict[str, str]] = {
    ("", ""): {"film.mp4": "", "none": "a 404 of the type", "scripted0": "of the type text/html"},
    ("add_header ETag", "add_header X-Tag"): {
        "film.mp4": "ETag is missing: add_header ETag $upstream_http_etag always;"
    },
    ("$upstream_http_content_security_policy", "none"): {"film.mp4": "Content-Security-Policy is 'none' in place of"},
    ("internal;", ""): {"film.mp4": "anybody can read it; its location must be internal"},
    ("/cache/;", "/none/;"): {"film.mp4": "a 404 with"},
}


def test_the_command_names_what_is_missing(front: Front, tmp_path: Path) -> None:
    (app,) = front.mongo._apps

    def test(url: str) -> tuple[int, str, str]:
        result = app.test_cli_runner().invoke(args=["gridfs", "cache", "--test", url])
        return result.exit_code, result.stdout, result.stderr

    for number, ((old, new), files) in enumerate(MISTAKES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        with running_nginx(folder, front.location + front.accel.replace(old, new)) as address:
            for name, said in files.items():
                url = f"{address}/uploads/{name}"
                status, printed, errors = test(url)
                if said:
                    assert (status, printed, said in errors, errors.count("\n")) == (1, "", True, 1), (said, errors)
                else:
                    assert (status, printed, errors) == (0, f"{url}: nginx sends it with all header fields\n", "")
    assert test(url)[0] == test("none")[0] == 2  # nobody is there
    status, printed, errors = test(front.application + "/uploads/film.mp4")
    assert (status, printed) == (1, "")
    assert "X-Accel-Redirect comes through: this is not nginx" in errors
    status, printed, errors = test(front.alone + "/uploads/film.mp4")
    assert (status, printed) == (1, "")
    assert "did not come from the file cache of this machine" in errors
