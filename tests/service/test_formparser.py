"""Forms whose delimiters stand where a read of the parser ends: no file gains or loses a byte."""

from __future__ import annotations

import hashlib
import io
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Request, request
from flask.testing import FlaskClient
from flask_wtf.csrf import CSRFProtect
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser, MultiPartParser

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service.formparser import FormParser

READ = 64 * 1024  # bytes that the parser reads at once
BOUNDARIES = ["b", "b" * 38, "-" * 29 + "7" * 41]
CONTENTS = {
    "random": random.Random(1).randbytes(3 * READ),
    "line breaks": b"\r\n" * (3 * READ // 2),
    "carriage returns": b"\r" * 3 * READ,
    "almost delimiters": (b"\r\n--" + b"b" * 37 + b"\n--x\r") * (3 * READ // 47 + 1),
}


def part(boundary: str, name: str, content: bytes, filename: str | None = None, padding: str = "") -> bytes:
    kind = f'; filename="{filename}"' if filename else ""
    head = f'--{boundary}{padding}\r\nContent-Disposition: form-data; name="{name}"{kind}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(layout: str, boundary: str, content: bytes, padding: str = "") -> bytes:
    """A body with *content* as a file; *padding* stands behind every delimiter."""
    field = part(boundary, "field", b"value", padding=padding)
    before = field if layout in ("after a field", "between fields") else b""
    after = field if layout == "between fields" else b""
    if layout == "first of two":
        after = part(boundary, "file", b"second", "second", padding)
    end = f"--{boundary}--{padding}\r\n".encode()
    return before + part(boundary, "file", content, "a.bin", padding) + after + end


def sliding(layout: str, boundary: str, block: int, offset: int, content: bytes, padding: str = "") -> bytes:
    """A form whose file ends *offset* bytes before the end of the parser's read number *block*."""
    head = form(layout, boundary, b"@", padding).index(b"@")
    return form(layout, boundary, content[: block * READ - offset - head], padding)


LAYOUTS = ["alone", "first of two", "after a field", "between fields"]


class Slowly(io.BytesIO):
    """A stream whose reads are short, as those of a chunked body may be."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 1 + self.tell() % 13))


def parsed(body: bytes, boundary: str, stream: Callable[[bytes], Any] = io.BytesIO) -> tuple[dict[str, str], Any]:
    parser = FormParser(lambda **_: io.BytesIO(), silent=False)
    source = stream(body)
    same, fields, files = parser.parse(source, "multipart/form-data", len(body), {"boundary": boundary})
    assert same is source
    return fields.to_dict(), {file.filename: file.read() for _, file in files.items(multi=True)}


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("block", [1, 2])
def test_a_file_is_what_was_sent_wherever_a_read_ends(boundary: str, layout: str, block: int) -> None:
    for offset in range(201):
        body = sliding(layout, boundary, block, offset, CONTENTS["random"])
        fields, files = parsed(body, boundary)
        content = CONTENTS["random"][: len(files["a.bin"])]
        assert body == form(layout, boundary, content), f"{offset} bytes before the end"
        assert files["a.bin"] == content
        assert files.get("second") == (b"second" if layout == "first of two" else None)
        assert fields == ({"field": "value"} if "field" in layout else {})


@pytest.mark.parametrize("padding", ["", " ", " \t ", " " * 300])
@pytest.mark.parametrize("name", CONTENTS)
def test_whatever_stands_before_and_behind_a_delimiter(name: str, padding: str) -> None:
    """Content may end in what begins a delimiter; a delimiter may end in spaces (RFC 2046 section 5.1.1)."""
    boundary = "b" * 38
    for offset in (*range(50), *range(50, 50 + len(padding), 7)):
        body = sliding("first of two", boundary, 1, offset, CONTENTS[name], padding)
        _, files = parsed(body, boundary)
        assert body == form("first of two", boundary, CONTENTS[name][: len(files["a.bin"])], padding)
        assert files["second"] == b"second"


@pytest.mark.parametrize("boundary", BOUNDARIES[1:])
def test_short_reads_are_as_good_as_long_ones(boundary: str) -> None:
    for size in range(100):
        content = CONTENTS["almost delimiters"][:size]
        body = form("first of two", boundary, content)
        assert parsed(body, boundary, Slowly)[1] == {"a.bin": content, "second": b"second"}


def test_blocks_are_full_and_the_body_is_read_to_its_end_and_no_further() -> None:
    asked = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size
            asked.append(size)
            return super().read(size)

    body = form("alone", "b", CONTENTS["random"])
    parsed(body, "b", Counted)
    assert max(asked) == READ
    assert len(asked) <= len(body) // READ + 3  # two of them tell that there is no more


def test_a_body_that_breaks_off_within_a_delimiter_is_an_error() -> None:
    body = form("alone", "b", CONTENTS["random"])
    for missing in range(3, 9):
        with pytest.raises(ValueError, match="Invalid form-data"):
            parsed(body[:-missing], "b")


@pytest.fixture(params=["installed", "3.2"])
def werkzeug(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its version; 3.2 has another order of a parser's arguments, and warns of *cls*."""
    if request.param == "3.2":
        original: Callable[..., None] = MultiPartParser.__init__
        before: Callable[..., None] = FormDataParser.__init__

        def without_cls(self: FormDataParser, *args: Any, **kwargs: Any) -> None:
            before(self, *args, **kwargs)
            self.cls = kwargs.get("cls")  # type: ignore[assignment]

        monkeypatch.setattr(FormDataParser, "__init__", without_cls)

        def init(
            self: MultiPartParser,
            stream_factory: Any = None,
            max_form_memory_size: int | None = None,
            buffer_size: int = READ,
            max_form_parts: int | None = None,
            **others: Any,
        ) -> None:
            if "cls" in others:
                warnings.warn("The 'cls' parameter is deprecated", DeprecationWarning, stacklevel=2)
            limits = {"max_form_memory_size": max_form_memory_size, "max_form_parts": max_form_parts}
            original(self, stream_factory, buffer_size=buffer_size, **limits, **others)

        monkeypatch.setattr(MultiPartParser, "__init__", init)
    return str(request.param)


def test_a_parser_has_its_arguments_in_every_version(werkzeug: str) -> None:
    body, content = form("after a field", "b", CONTENTS["random"]), CONTENTS["random"]
    assert parsed(body, "b") == ({"field": "value"}, {"a.bin": content})
    for limits in ({"max_form_parts": 1}, {"max_form_memory_size": 4}):
        parser = FormParser(lambda **_: io.BytesIO(), silent=False, **limits)
        with pytest.raises(RequestEntityTooLarge, match=next(iter(limits))):
            parser.parse(io.BytesIO(body), "multipart/form-data", len(body), {"boundary": "b"})


@pytest.mark.filterwarnings("ignore:The 'cls' parameter is deprecated")
def test_a_class_for_fields_is_passed_on(werkzeug: str) -> None:
    class Fields(ImmutableMultiDict[str, Any]):
        pass

    body = form("after a field", "b", b"")
    parser = FormParser(lambda **_: io.BytesIO(), cls=Fields)  # type: ignore[arg-type]
    _, fields, _ = parser.parse(io.BytesIO(body), "multipart/form-data", len(body), {"boundary": "b"})
    assert type(fields) is Fields


class TestEveryWayIn:
    """Each parses a form in its own way; *send* posts a file and returns the hash of what came out."""

    @pytest.fixture
    def mongo(self, app: Flask) -> PyMongo:
        app.secret_key = "secret"
        return PyMongo(app, uri="mongomock://localhost/test")

    @pytest.fixture
    def client(self, app: Flask, mongo: PyMongo) -> FlaskClient:
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))

        @app.post("/saved")
        def saved() -> dict[str, Any]:
            file_id = mongo.save_file("a", request.files["file"])
            return {"files": [{"sha256": mongo.db.fs.files.find_one({"_id": file_id})["sha256"]}]}

        return app.test_client()

    def check(self, client: FlaskClient, path: str, **options: Any) -> None:
        boundary = "b" * 38
        for offset in range(38, 46):
            body = sliding("alone", boundary, 1, offset, CONTENTS["random"])
            content = CONTENTS["random"][: len(body) - len(form("alone", boundary, b""))]
            answer = client.post(
                path, input_stream=io.BytesIO(body), content_type=f"multipart/form-data; boundary={boundary}", **options
            )
            assert answer.status_code in (200, 201), answer.text
            assert answer.json is not None
            assert answer.json["files"][0]["sha256"] == hashlib.sha256(content).hexdigest(), offset

    @pytest.fixture(params=["length", "chunked"])
    def options(self, request: pytest.FixtureRequest, app: Flask) -> dict[str, Any]:
        """How a server tells where the body ends."""
        if request.param == "chunked":
            return {"environ_overrides": {"wsgi.input_terminated": True}}

        def announce(environ: dict[str, Any], start_response: Any, inner: Any = app.wsgi_app) -> Any:
            environ["CONTENT_LENGTH"] = str(len(environ["wsgi.input"].getvalue()))
            return inner(environ, start_response)

        app.wsgi_app = announce  # type: ignore[method-assign]
        return {}

    @pytest.mark.parametrize("path", ["/uploads/", "/uploads/name", "/saved"])
    def test_plainly(self, client: FlaskClient, path: str, options: dict[str, Any]) -> None:
        self.check(client, path, **options)

    @pytest.mark.parametrize("path", ["/uploads/", "/saved"])
    def test_after_a_function_that_reads_the_form(
        self, app: Flask, client: FlaskClient, path: str, options: dict[str, Any]
    ) -> None:
        app.before_request(lambda: request.form.get("x"))
        self.check(client, path, **options)

    def test_after_a_function_that_reads_the_body(
        self, app: Flask, client: FlaskClient, options: dict[str, Any]
    ) -> None:
        app.before_request(lambda: request.get_data() and None)
        self.check(client, "/saved", **options)

    @pytest.mark.parametrize("path", ["/uploads/", "/saved"])
    def test_with_csrf_protection(self, app: Flask, client: FlaskClient, path: str, options: dict[str, Any]) -> None:
        CSRFProtect(app)
        token = client.get("/uploads/").text.split('name="csrf_token" value="')[1].split('"')[0]
        self.check(client, path, headers={"X-CSRFToken": token}, **options)

    @pytest.mark.parametrize("path", ["/uploads/", "/saved"])
    def test_with_a_parser_of_the_applications_own(
        self, app: Flask, client: FlaskClient, path: str, options: dict[str, Any]
    ) -> None:
        used = []

        class Parser(FormDataParser):
            def parse(self, *args: Any, **kwargs: Any) -> Any:
                used.append(self)
                return super().parse(*args, **kwargs)

        class OwnRequest(Request):
            form_data_parser_class = Parser

        app.request_class = OwnRequest
        self.check(client, path, **options)
        assert bool(used) == (path == "/saved")

    @pytest.mark.parametrize("path", ["/uploads/", "/saved"])
    def test_with_several_objects_on_one_application(
        self, app: Flask, client: FlaskClient, path: str, options: dict[str, Any]
    ) -> None:
        for prefix in ("SECOND", "THIRD"):
            PyMongo(app, prefix, uri="mongomock://localhost/test")
        app.before_request(lambda: request.form.get("x"))
        self.check(client, path, **options)
        assert len(app.url_value_preprocessors[None]) == 1


def test_views_that_read_the_body_themselves_get_it_as_it_is(app: Flask) -> None:
    PyMongo(app, uri="mongomock://localhost/test")
    body = sliding("alone", "b", 1, 5, CONTENTS["random"])
    seen = []

    @app.post("/")
    def view() -> str:
        seen.extend([request.environ["wsgi.input"], request.stream.read(READ), request.stream.readline()])
        return ""

    stream = io.BytesIO(body)
    fields = {"CONTENT_LENGTH": str(len(body))}
    app.test_client().post("/", input_stream=stream, content_type="multipart/form-data; boundary=b", headers=fields)
    assert seen == [stream, body[:READ], body[READ : body.index(b"\n", READ) + 1]]


def test_the_limit_on_a_request_still_holds(app: Flask) -> None:
    PyMongo(app, uri="mongomock://localhost/test")
    app.config["MAX_CONTENT_LENGTH"] = READ
    app.post("/", endpoint="view")(lambda: str(len(request.files)))
    for size, status in ((READ + 1, 413), (READ - 200, 200)):
        body = form("alone", "b", CONTENTS["random"][:size])
        answer = app.test_client().post("/", data=body, content_type="multipart/form-data; boundary=b")
        assert answer.status_code == status
