"""Names, headers and bodies that nobody thought of: by Hypothesis in process, and on the sockets of a gunicorn."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pymongo
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.http.filenames import clean

from .. import fuzz, fuzz_pictures
from ..conftest import start_gunicorn

pytestmark = pytest.mark.slow

examples = settings(derandomize=True, max_examples=60, deadline=None, database=None)
JSON = {"Accept": "application/json"}
BROWSER = {"Accept": "text/html"}
ODD = [
    *("", ".", "..", "/", "//", "a/", "/a", "a//b", "a/../b", "\\", "a\0b", "\r\n", "a\nX-Evil: 1", "%2e%2e", "?a#b"),
    *("\u202e", "e\u0301", "\ufffd", "<script>alert(1)</script>", "{{7*7}}", '"', "'", "$ne", "a" * 3000, "é" * 300),
    *(
        "\ud7ff\ue000",
        "\U0010ffff",
        "javascript:alert(1)",
        "COM1",
        "a.svg",
        "a.html",
        "\x7f",
        "\u2028",
        " ",
        "~",
        "a;b",
    ),
]
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(ODD)
contents = st.binary(max_size=300)
# What can stand in a WSGI environ: text of latin-1 characters, without line breaks.
values = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=60) | st.sampled_from(
    ["*", '"x"', "bytes=0-0", "bytes=0-,1-", "multipart/form-data; boundary=B", "Mon, 02 Jan 2006 15:04:05 GMT", "gzip"]
)
FIELDS = (
    "ACCEPT ACCEPT_LANGUAGE AUTHORIZATION CONTENT_DIGEST CONTENT_ENCODING CONTENT_RANGE COOKIE EXPECT HOST IF_MATCH"
    " IF_MODIFIED_SINCE IF_NONE_MATCH IF_RANGE IF_UNMODIFIED_SINCE ORIGIN RANGE REPR_DIGEST SEC_FETCH_SITE TE"
    " TRANSFER_ENCODING WANT_REPR_DIGEST X_FORWARDED_HOST X_HTTP_METHOD_OVERRIDE X_REQUESTED_WITH"
)
environs = st.dictionaries(
    st.sampled_from([*(f"HTTP_{name}" for name in FIELDS.split()), "CONTENT_TYPE", "CONTENT_LENGTH", "SERVER_NAME"]),
    values,
    max_size=4,
)
PARAMETERS = "after asset at before delete details download folder id order prefix q restore signed version versions"
queries = st.lists(
    st.tuples(st.sampled_from(PARAMETERS.split()), names | st.sampled_from(["0", "-1", "9" * 19, "size", "0" * 24])),
    max_size=4,
)


@pytest.fixture(scope="module")
def mongo(mongod: str) -> Iterator[PyMongo]:
    app = Flask("fuzz")
    app.testing = True  # an exception goes through to the test
    app.logger.setLevel("ERROR")
    mongo = PyMongo(app, uri=f"{mongod}/test_fuzz")
    app.register_blueprint(
        mongo.uploads_blueprint(url_prefix="/u", authorize=lambda action, filename: True, max_size=200)
    )
    with app.app_context():
        mongo.cx.drop_database("test_fuzz")
        mongo.save_file("first", io.BytesIO(b""))  # makes the indexes
        yield mongo
        mongo.cx.drop_database("test_fuzz")
        mongo.cx.close()


@pytest.fixture(scope="module")
def client(mongo: PyMongo) -> FlaskClient:
    (app,) = mongo._apps
    return app.test_client()


def empty(mongo: PyMongo) -> None:
    mongo.db.fs.files.delete_many({})
    mongo.db.fs.chunks.delete_many({})


def stored(mongo: PyMongo) -> list[tuple[str, bytes]]:
    """Name and content of every file, in the order in which they were stored; no chunk belongs to none."""
    found = []
    for document in mongo.db.fs.files.find().sort("_id", 1):
        chunks = mongo.db.fs.chunks.find({"files_id": document["_id"]}).sort("n", 1)
        found.append((document["filename"], b"".join(chunk["data"] for chunk in chunks)))
    assert len(mongo.db.fs.chunks.distinct("files_id")) == sum(bool(content) for _, content in found)
    return found


def listed(client: FlaskClient) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = client.get("/u/", headers=JSON).get_json()["files"]
    return files


@examples
@given(names, contents, st.none() | values)
def test_what_an_application_stores_is_listed_linked_and_served(
    mongo: PyMongo, client: FlaskClient, name: str, content: bytes, content_type: str | None
) -> None:
    assume(content or not name.endswith("/"))  # such a document only says that there is a folder
    empty(mongo)
    mongo.save_file(name, io.BytesIO(content), content_type=content_type)
    (file,) = listed(client)
    assert file["filename"] == name
    for url in (file["url"], file["permanent_url"]):
        answer = client.get(url)
        assert (answer.status_code, answer.data) == (200, content)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert str(answer.headers).isascii()
        separator = "&" if "?" in url else "?"
        for query in ("details", "versions", "delete"):
            assert client.get(f"{url}{separator}{query}", headers=BROWSER).status_code == 200
    page = client.get("/u/?flat=1", headers=BROWSER).text
    assert f'href="{escape(file["url"])}' in page
    assert "<script>alert" not in page
    assert client.post(f"{file['permanent_url']}&delete").status_code == 204
    assert stored(mongo) == []


@examples
@given(names.map(str.encode) | st.binary(max_size=20), st.binary(max_size=220), environs, queries)
def test_a_put(
    mongo: PyMongo,
    client: FlaskClient,
    name: bytes,
    content: bytes,
    environ: dict[str, str],
    query: list[tuple[str, str]],
) -> None:
    empty(mongo)
    # Without its head the body of a request is another one.
    environ = {key: value for key, value in environ.items() if key != "CONTENT_LENGTH"}
    target = f"/u/{quote_from_bytes(name)}"
    answer = client.put(target, data=content, query_string=dict(query), environ_overrides=environ)
    if answer.status_code != 201:
        assert 400 <= answer.status_code < 500
        assert stored(mongo) == []
        return
    sent = name.decode(errors="replace")
    assert stored(mongo) == [(sent, content)]
    assert clean(sent) == sent
    assert client.get(answer.headers["Location"]).data == content
    assert client.get(target).data == content


@examples
@given(
    st.sampled_from(["GET", "HEAD", "DELETE", "POST", "OPTIONS", "PATCH"]),
    names.map(str.encode) | st.binary(max_size=20),
    environs,
    queries,
)
def test_any_request(
    mongo: PyMongo, client: FlaskClient, method: str, name: bytes, environ: dict[str, str], query: list[tuple[str, str]]
) -> None:
    empty(mongo)
    mongo.save_file("a", io.BytesIO(b"content"))
    mongo.save_file(name.decode(errors="replace"), io.BytesIO(b"content"))
    for target in ("/u/", "/u/a", f"/u/{quote_from_bytes(name)}"):
        answer = client.open(target, method=method, query_string=dict(query), environ_overrides=environ)
        assert answer.status_code < 500
        if answer.status_code >= 400 and "X-Content-Type-Options" not in answer.headers:
            # Not ours: a Host or a path that leads nowhere.
            assert "HTTP_HOST" in environ or "SERVER_NAME" in environ or target not in ("/u/", "/u/a")


line = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)
part = st.tuples(
    st.just("file") | line, st.none() | names.filter(lambda name: not re.search('[\r\n"\\\\]', name)), contents
)


@examples
@given(st.lists(part, max_size=4), st.sampled_from(["", "folder=x/", "folder=../"]))
def test_a_form_stores_all_of_its_files_or_none(
    mongo: PyMongo, client: FlaskClient, parts: list[tuple[str, str | None, bytes]], query: str
) -> None:
    empty(mongo)
    body = b""
    for field, name, content in parts:
        file = b"" if name is None else b'; filename="%s"' % name.encode()
        field = re.sub(r'[";\\]', "", field)
        body += (
            b'--B\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (field.encode(), file) + content + b"\r\n"
        )
    answer = client.post(
        "/u/",
        data=body + b"--B--\r\n",
        content_type="multipart/form-data; boundary=B",
        query_string=query,
        headers=JSON,
    )
    if answer.status_code != 201:
        assert 400 <= answer.status_code < 500
        assert stored(mongo) == []
        return
    folder = query.partition("=")[2]
    wanted = [(clean(f"{folder}{clean(name)}"), content) for _, name, content in parts if name]
    found = stored(mongo)
    assert [content for _, content in found] == [content for _, content in wanted]
    for place, ((own, _), (name, _)) in enumerate(zip(found, wanted, strict=True)):
        assert (own == name) == (name not in [before for before, _ in found[:place]])  # else it is numbered
    files = answer.get_json()["files"]
    assert [(file["filename"], client.get(file["permanent_url"]).data) for file in files] == found


pieces = st.sampled_from(
    [
        *(b"--B\r\n", b"--B--\r\n", b"--B", b"--", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b": ", b";", b'"', b"\\", b"\0"),
        *(b"Content-Disposition: form-data", b'; name="file"', b'; filename="a"', b"; filename*=UTF-8''%e2", b"\xff"),
        *(b"Content-Type: text/html", b"Content-Length: 9", b"Content-Transfer-Encoding: base64", b"a" * 250),
    ]
)
VALID = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@examples
@given(st.booleans(), st.lists(pieces | st.binary(max_size=10), max_size=25).map(b"".join), environs)
def test_a_body_that_is_hardly_a_form(
    mongo: PyMongo, client: FlaskClient, begun: bool, body: bytes, environ: dict[str, str]
) -> None:
    empty(mongo)
    environ = {"CONTENT_TYPE": "multipart/form-data; boundary=B", **environ}
    answer = client.post("/u/", data=VALID * begun + body, environ_overrides=environ)
    if answer.status_code == 201 or answer.status_code == 303:
        assert stored(mongo)
    else:
        assert 400 <= answer.status_code < 500
        assert stored(mongo) == []


def test_random_bytes_on_sockets(mongod: str, tmp_path: Path) -> None:
    """``python -m tests.fuzz --seconds 600`` is the long run of this."""
    uri, log = f"{mongod}/test_fuzz_wire", tmp_path / "log"
    ping = b"GET /ping HTTP/1.1\r\nHost: fuzz\r\nConnection: close\r\n\r\n"
    with pymongo.MongoClient[Any](uri) as client, start_gunicorn("tests.fuzz:app()", log, LIVE_URI=uri) as address:
        client.drop_database("test_fuzz_wire")
        fuzz.veil(client["test_fuzz_wire"])
        before = fuzz.talk(address, ping).partition(b"\r\n\r\n")[2]
        outcome = fuzz.run(address, seed=0, count=1200)
        assert outcome.failures == []
        assert fuzz.settled(client["test_fuzz_wire"], outcome.refused) == []
        # It is no use where everything is refused.
        assert {200, 201, 204, 206, 400, 403, 404, 405, 412, 413} <= set(outcome.statuses)
        with ThreadPoolExecutor(8) as pool:  # as many as the server has threads
            answers = list(pool.map(lambda _: fuzz.talk(address, ping), range(8)))
        assert {answer.partition(b"\r\n\r\n")[2] for answer in answers} == {before}
        assert fuzz.stack_traces(log) == []
        client.drop_database("test_fuzz_wire")


def test_changed_pictures() -> None:
    outcome = fuzz_pictures.run(seed=1, seconds=10)
    assert outcome.failures == []
    assert outcome.outcomes["decoded"]
    assert outcome.outcomes["undecodable"]
