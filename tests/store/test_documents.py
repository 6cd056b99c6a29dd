"""Files documents as other tools left them: each harms only itself, whatever type a field has."""

from __future__ import annotations

import base64
import io
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import NotFound

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ..conftest import HTML, JSON, everyone

DATE = datetime(2020, 1, 1, tzinfo=UTC)
STANDARD: CodecOptions[Any] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
ANY: list[Any] = [  # a value of every BSON type
    *[None, True, 5, 2.5, float("nan"), float("inf"), float("-inf"), -1, -1294967296, Int64(2**40), 1e300, ""],
    *[
        "text",
        Decimal128("3"),
        Decimal128("NaN"),
        DATE,
        DatetimeMS(2**60),
        DatetimeMS(-(2**60)),
        Timestamp(1577836800, 1),
    ],
    *[ObjectId(b"12bytes-long"), b"bytes", Binary(b"x", 128), Binary(uuid.UUID(int=7).bytes, 4), Regex("a.*", "i")],
    *[Code("x"), Code("x", {"y": 1}), MinKey(), MaxKey(), DBRef("x", 1), {}, {"a": {"b": 1}}, {"$ref": 5, "$id": 1}],
    *[[], [3], ["odd.txt"], [DATE], [None, DATE, "text"], [{"a": 1}]],
]
GONE = object()
LATIN = "caf\udce9.txt"  # what the driver makes of a name in Latin-1


def raw(document: dict[str, Any]) -> RawBSONDocument:
    """*document* in BSON, with its lone surrogates as the bytes that they stand for."""
    marks = {"\udce9": "\u0001\u0002\u0003"}

    def marked(value: Any) -> Any:
        if type(value) is str:
            return value.replace("\udce9", marks["\udce9"])
        return {marked(key): marked(one) for key, one in value.items()} if isinstance(value, dict) else value

    encoded = bson.encode(marked(document), codec_options=STANDARD)
    return RawBSONDocument(encoded.replace(b"\x01\x02\x03", b"\xe9\xe9\xe9"))


def put(mongo: PyMongo, filename: Any = "odd.txt", data: bytes | None = b"abc", **fields: Any) -> Any:
    document = {"_id": ObjectId(), "filename": filename, "length": len(data or b""), "chunkSize": 261120}
    document |= {"uploadDate": DATE, **fields}
    document = {name: value for name, value in document.items() if value is not GONE}
    db = mongo.cx.get_database(mongo.db.name, codec_options=STANDARD)
    db["fs.files"].insert_one(raw(document))
    if data is not None:
        db["fs.chunks"].insert_one(raw({"_id": ObjectId(), "files_id": document["_id"], "n": 0, "data": data}))
    return document["_id"]


@pytest.fixture
def uploads(app: Flask, real: PyMongo) -> FlaskClient:
    """A client of ``/u`` that sees errors as strangers do, in a bucket with two good files."""
    app.register_blueprint(real.uploads_blueprint(url_prefix="/u", authorize=everyone))
    app.testing = False
    for name in ("a.txt", "z.txt"):
        put(real, name, b"good", contentType="text/plain")
    return app.test_client()


def listed(uploads: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    """All rows of a listing, by its JSON; the pages for people are seen, too, of one order."""
    url, rows = f"/u/{query}", []
    while url:
        if "order" not in query:
            assert uploads.get(url, headers=HTML).status_code == 200
        answer = uploads.get(url, headers=JSON)
        assert answer.status_code == 200, url
        rows += answer.json["files"]
        assert len(rows) < 1000, "a listing without an end"
        url = answer.json["next"]
    return rows


def rows_in_every_order(uploads: FlaskClient, count: int, field: str = "") -> list[dict[str, Any]]:
    """The rows of *count* odd files, each of which stands once in every order, whatever the pages cut.

    Only the order by *field*, which has every value of :data:`ANY`, leaves out the arrays that hold its values.
    """
    orders: dict[str, list[dict[str, Any]]] = {}
    left_out = {("uploadDate", "?order=newest"): 2, ("length", "?order=size"): 1, ("contentType", "?order=type"): 2}
    for query in ("", "?order=newest", "?order=size", "?order=type", "?folder="):
        rows = listed(uploads, query)
        assert {"a.txt", "z.txt"} < {row["filename"] for row in rows}
        orders[query] = sorted((row for row in rows if row["filename"] not in ("a.txt", "z.txt")), key=repr)
        assert len(orders[query]) == count - left_out.get((field, query), 0), (query, [row["filename"] for row in rows])
        assert all(row in orders[""] for row in orders[query])
        parameter = query.replace("?order=", "?limit=7&order=-") if "order" in query else "?limit=7&order=-name"
        assert listed(uploads, parameter) == rows[::-1]
    return orders[""]


def use(uploads: FlaskClient, row: dict[str, Any], *, damaged: bool = False, content: bytes = b"abc") -> None:
    """Look at a file at its URLs in every way."""
    assert row["damaged"] is damaged
    for url in {row["url"], row["permanent_url"]} - {None}:
        answer, head = uploads.get(url), uploads.head(url)
        assert answer.status_code == head.status_code == (500 if damaged else 200), url
        if damaged:
            assert "damaged" in answer.json["detail"]
            assert not {"ETag", "Last-Modified", "Accept-Ranges", "Content-Disposition"} & {*answer.headers.keys()}
            assert head.headers["Content-Type"] == answer.headers["Content-Type"]
        else:
            assert answer.data == content
            assert head.headers["Content-Length"] == str(len(content))
            assert uploads.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
        for page in ("details", "versions", "delete"):
            target = f"{url}{'&' if '?' in url else '?'}{page}"
            for fields in (HTML, JSON) if url == row["permanent_url"] else (JSON,):
                assert uploads.get(target, headers=fields).status_code == 200, target


def check_neighbours(uploads: FlaskClient, real: PyMongo) -> None:
    """Nothing but the good files is left."""
    assert real.db.fs.files.count_documents({}) == real.db.fs.chunks.count_documents({}) == 2
    for name in ("a.txt", "z.txt"):
        assert uploads.get(f"/u/{name}").data == b"good"


@pytest.fixture
def _pages_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_gridfs_pymongo.uploads.read.listing._PAGE_SIZE", 3)


def is_length(value: Any) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return is_number or value == Decimal128("3")


@pytest.mark.usefixtures("no_indexes")
@pytest.mark.parametrize(
    "number", [Int64, float, lambda value: Decimal128(f"{value}E+0"), lambda value: Decimal128(f"{value}.0")]
)
def test_numbers_of_every_type_are_read(app: Flask, real: PyMongo, uploads: FlaskClient, number: Any) -> None:
    key = put(real, "x", None, length=number(20), chunkSize=number(10))
    chunks = [{"files_id": key, "n": number(n), "data": b"abcdefghij"} for n in range(2)]
    real.db.fs.chunks.insert_many(chunks)
    assert uploads.get("/u/x").data == b"abcdefghij" * 2
    assert uploads.get("/u/x", headers={"Range": "bytes=-3"}).data == b"hij"
    assert (Bucket(real.db).usage("x").bytes, Bucket(real.db).usage().bytes) == (20, 28)
    result = app.test_cli_runner().invoke(args=["gridfs", "check", "--verify", "--json"])
    assert [one["subject"] for one in json.loads(result.output)["findings"]] == ["index"] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("_pages_of_three")
class TestEveryType:
    """Each value of :data:`ANY` in the place of each field, all of them in one bucket."""

    @pytest.mark.parametrize("field", ["length", "chunkSize"])
    def test_a_number(self, app: Flask, real: PyMongo, uploads: FlaskClient, field: str) -> None:
        kinds = ("txt", "png", "svg", "mp4", "mp3", "pdf")  # a page shows each of them in another way
        values = {f"{n:02}.{kinds[n % len(kinds)]}": value for n, value in enumerate([GONE, *ANY])}
        odd = {name: put(real, name, **{field: value}) for name, value in values.items()}
        damaged = {name: not is_length(value) for name, value in values.items()}
        for row in rows_in_every_order(uploads, len(values), field):
            name = row["filename"]
            assert (row["length"] is None) == damaged[name]
            if damaged[name]:
                use(uploads, row, damaged=True)
        result = app.test_cli_runner().invoke(args=["gridfs", "check", "--json"])
        found = json.loads(result.output)["findings"]
        invalid = {one["name"] for one in found if one["problems"][0]["kind"] == "invalid document"}
        assert invalid == {name for name in values if damaged[name]}
        for name in values:
            assert uploads.put(f"/u/{name}", data=b"new").status_code == 204
            assert uploads.get(f"/u/{name}").data == b"new"
            versions = uploads.get(f"/u/{name}?versions", headers=JSON).json["versions"]
            assert [version["damaged"] for version in versions] == [False, damaged[name]]
            if damaged[name]:
                assert uploads.delete(f"/u/{name}?id={odd[name]}").status_code == 204
            assert uploads.delete(f"/u/{name}").status_code == 204
        check_neighbours(uploads, real)

    def test_a_name(self, real: PyMongo, uploads: FlaskClient) -> None:
        """What is no text is no name: such files come after all others; those with an array are found by id alone."""
        values = [GONE, *[value for value in ANY if value not in ("", "text") and not isinstance(value, list)]]
        odd = {str(put(real, value)) for value in values}
        hidden = [put(real, value) for value in ANY if isinstance(value, list)]
        rows = listed(uploads)
        assert [row["filename"] for row in rows[:2]] == ["a.txt", "z.txt"]
        assert odd <= {row["id"] for row in rows[2:]} <= odd | {str(identity) for identity in hidden}
        for row in rows[2:]:
            assert (row["filename"], row["url"]) == ("", f"/u/?id={row['id']}")
            use(uploads, row)
            assert uploads.post(f"{row['url']}&restore").status_code == 400
        for identity in [*odd, *hidden]:
            assert uploads.delete(f"/u/?id={identity}").status_code == 204
            assert uploads.get(f"/u/?id={identity}").status_code == 404
        check_neighbours(uploads, real)

    @pytest.mark.parametrize("value", [GONE, *ANY], ids=lambda value: "gone" if value is GONE else repr(value))
    def test_a_date(self, real: PyMongo, uploads: FlaskClient, value: Any) -> None:
        """What has no date comes before all that have one, for everybody."""
        odd, store = put(real, uploadDate=value), Bucket(real.db)
        earlier = put(real, uploadDate=datetime(1, 1, 1, tzinfo=UTC), data=b"old")
        expected = [earlier, odd] if isinstance(value, datetime) else [odd, earlier]
        for number, identity in enumerate(expected):
            for version in (number, number - 2):
                found = store.find("odd.txt", version)
                assert found is not None
                assert (found.id, store.number(found)) == (identity, number)
        assert [version.file.id for version in store.versions("odd.txt")] == expected[::-1]
        assert [row["versions"] for row in listed(uploads)] == [1, 2, 1]
        assert uploads.put("/u/odd.txt", data=b"new").status_code == 204
        assert uploads.get("/u/odd.txt").data == uploads.get("/u/odd.txt?version=2").data == b"new"
        assert uploads.delete("/u/odd.txt").status_code == 204
        check_neighbours(uploads, real)

    def test_dates_in_every_order(self, real: PyMongo, uploads: FlaskClient) -> None:
        for n, value in enumerate([GONE, *ANY]):
            put(real, f"{n:02}.txt", uploadDate=value)
        for row in rows_in_every_order(uploads, 1 + len(ANY), "uploadDate"):
            use(uploads, row)

    @pytest.mark.parametrize(
        "fields",
        ["contentType charset md5 sha256 aliases", "metadata", "metadata.contentType", "metadata._contentType"],
    )
    def test_what_is_only_told(self, real: PyMongo, uploads: FlaskClient, fields: str) -> None:
        """Several at once where none hides another; each file has another value in each of them."""
        for n in range(len(ANY)):
            odd: dict[str, Any] = {}
            for at, field in enumerate(fields.split()):
                outer, _, inner = field.partition(".")
                value = ANY[(n + at) % len(ANY)]
                odd[outer] = {inner: value} if inner else value
            put(real, f"{n:02}.txt", **odd)
        for row in rows_in_every_order(uploads, len(ANY), fields.split()[0]):
            use(uploads, row)

    def test_an_id(self, real: PyMongo, uploads: FlaskClient) -> None:
        refused = [{"$ref": 5, "$id": 1}, Decimal128("NaN")]  # by the server; as equal to another one
        values = [value for value in ANY if not isinstance(value, list | Regex) and value not in refused]
        for n, value in enumerate(values):
            put(real, f"{n:02}.txt", _id=value)
        for row in rows_in_every_order(uploads, len(values)):
            use(uploads, row)
            assert "'" not in json.dumps(row["id"])  # no repr
            assert uploads.delete(row["permanent_url"]).status_code == 204
            assert uploads.get(row["permanent_url"]).status_code == 404
        check_neighbours(uploads, real)


def id_text(value: Any) -> str:
    """The ``_id`` as URLs have it, made by hand."""
    encoded = bson.encode({"_id": value}, codec_options=STANDARD)
    return "~" + base64.urlsafe_b64encode(encoded).rstrip(b"=").decode()


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


class TestIds:
    VALUES = (
        uuid.UUID(int=7),
        {"tenant": uuid.UUID(int=7), "n": 1},
        "some/id",
        7.5,
        {"n": [1, {"a": None}]},
        b"",
        DATE,
    )

    @pytest.mark.parametrize("representation", ["standard", "pythonLegacy", "javaLegacy", "unspecified"])
    def test_with_any_representation_of_uuids(self, app: Flask, uri: str, representation: str) -> None:
        mongo = PyMongo(app, uri=f"{uri}?uuidRepresentation={representation}")
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", authorize=everyone))
        app.secret_key = "secret"
        app.add_url_rule("/sent", view_func=lambda: mongo.send_file(id=value), endpoint="sent")
        uploads = app.test_client()
        for identity in self.VALUES:
            put(mongo, "a.txt", _id=identity)
            (row,) = listed(uploads)
            assert row["permanent_url"] == f"/u/a.txt?id={id_text(identity)}"
            use(uploads, row)
            stored = Bucket(mongo.db).find("a.txt")
            assert stored is not None
            value = stored.id
            assert uploads.get("/sent").data == b"abc"
            with app.test_request_context():
                assert uploads.get(mongo.uploads_url("a.txt")).data == b"abc"
            assert uploads.delete(f"/u/?id={id_text(identity)}").status_code == 204
            assert mongo.db.fs.files.count_documents({}) == mongo.db.fs.chunks.count_documents({}) == 0
        mongo.cx.close()

    @pytest.mark.parametrize(
        "value",
        [
            *[{"$gt": ""}, {"$ne": None}, {"$exists": True}, {"$where": "1"}, {"$regex": ".*"}, {"$in": ["a"]}],
            *[Regex(".*"), Regex("", "i"), [1], [{"$gt": ""}], nested(50), MinKey(), MaxKey(), None],
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
    def test_a_value_is_never_an_operator(self, real: PyMongo, uploads: FlaskClient, method: str, value: Any) -> None:
        for url in ("/u/", "/u/a.txt"):
            assert uploads.open(f"{url}?id={id_text(value)}", method=method).status_code == 404
        store = Bucket(real.db)
        assert not store.delete_many([value])
        assert store.get(value) is None
        check_neighbours(uploads, real)

    @pytest.mark.parametrize(
        "text",
        [
            *[
                "",
                "~",
                "~~",
                "a.txt",
                "4cf1",
                "4CF139DEF4B6A1134C4EA6C4",
                id_text(ObjectId("4cf139def4b6a1134c4ea6c4")),
                id_text(nested(300)),
            ],
            *[id_text(5) + "=", id_text(5) + "A", id_text(5)[:-1], id_text("x" * 800), "~" + "A" * 100, "~\u00e9"],
            "~" + base64.urlsafe_b64encode(bson.encode({"_id": 5, "b": 1})).rstrip(b"=").decode(),
            "~" + base64.urlsafe_b64encode(bson.encode({"id": 5})).rstrip(b"=").decode(),
            "~" + base64.urlsafe_b64encode(bytes(raw({"_id": LATIN}).raw)).rstrip(b"=").decode(),
        ],
    )
    def test_what_is_not_written_so_is_a_400(self, real: PyMongo, uploads: FlaskClient, text: str) -> None:
        for method in ("GET", "DELETE"):
            answer = uploads.open("/u/", method=method, query_string={"id": text})
            assert answer.status_code == 400
        check_neighbours(uploads, real)

    def test_send_file_takes_what_save_file_returns(self, app: Flask, mongo: PyMongo) -> None:
        saved = mongo.save_file("a.txt", io.BytesIO(b"1"))
        mongo.save_file("a.txt", io.BytesIO(b"2"))
        with app.test_request_context():
            assert b"".join(mongo.send_file(id=saved).response) == b"1"
            with pytest.raises(NotFound):
                mongo.send_file(id="none")
            for arguments in ({}, {"filename": "a.txt", "id": saved}):
                with pytest.raises(TypeError, match="either a filename or an id"):
                    mongo.send_file(**arguments)


@pytest.mark.slow
@pytest.mark.usefixtures("_pages_of_three")
def test_names_that_are_not_utf8(real: PyMongo, uploads: FlaskClient) -> None:
    """They stand where the server has them, are damaged, and go by their id."""
    odd = {str(put(real, f"caf{LATIN[3]}{n:03}.txt")) for n in range(150)}
    for name in ("caf", "cag", "caf\u8fff", "caf\ua000", "caf\U0010ffff"):
        put(real, name)
    rows = rows_in_every_order(uploads, 155)
    broken = [row for row in rows if row["id"] in odd]
    assert len(broken) == 150
    assert all(row["filename"].startswith("caf\ufffd") for row in broken)
    use(uploads, broken[0], damaged=True)
    for row in broken:
        assert uploads.delete(row["url"]).status_code == 204
    assert len(listed(uploads)) == 7


@pytest.mark.usefixtures("_pages_of_three")
@pytest.mark.parametrize("value", [LATIN, {"path": LATIN}], ids=["text", "document"])
def test_an_id_that_is_not_utf8_harms_only_its_file(
    app: Flask, real: PyMongo, uploads: FlaskClient, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    """No query can ask for it: it is damaged, and an upload follows it."""
    monkeypatch.setattr("flask_gridfs_pymongo.store.maintenance.check._BATCH", 1)
    put(real, _id=value)
    put(real, "b.txt")
    store = real.bucket()
    assert store.delete_all_many([file for name in ("odd.txt", "b.txt") if (file := store.newest(name))]) == [0, 1]
    (row,) = rows_in_every_order(uploads, 1)
    use(uploads, row, damaged=True)
    for flag in ("restore", "copy=b", "move=b"):
        answer = uploads.post(f"/u/odd.txt?{flag}")
        assert (answer.status_code, "damaged" in answer.json["detail"]) == (500, True), flag
    assert uploads.get("/u/?zip").status_code == 200
    result = app.test_cli_runner().invoke(args=["gridfs", "check", "--json"])
    assert result.exit_code == 1
    (invalid,) = [one for one in json.loads(result.output)["findings"] if one["subject"] == "file"]
    assert (invalid["name"], invalid["problems"][0]["kind"]) == ("odd.txt", "invalid document")
    for content in (b"new", b"newer"):
        assert uploads.put("/u/odd.txt", data=content).status_code == 204
        assert uploads.get("/u/odd.txt").data == content
    assert uploads.delete("/u/odd.txt").status_code == 204
    assert len(listed(uploads)) == 3
    for name in ("a.txt", "z.txt"):
        assert uploads.get(f"/u/{name}").data == b"good"


def test_a_length_that_is_missing_is_that_of_an_empty_file_where_there_are_no_chunks(
    app: Flask, real: PyMongo, uploads: FlaskClient
) -> None:
    put(real, data=None, length=GONE)
    (row,) = rows_in_every_order(uploads, 1)
    use(uploads, row, content=b"")
    result = app.test_cli_runner().invoke(args=["gridfs", "check"])
    assert "invalid" not in result.output


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89"


@pytest.mark.parametrize(
    ("fields", "data", "expected", "disposition"),
    [
        ({"filename": GONE}, PNG, "image/png", "inline"),
        ({"filename": "x"}, PNG, "image/png", "inline"),
        ({"filename": "x.foo", "contentType": "binary/octet-stream"}, PNG, "image/png", "inline"),
        ({"filename": "x", "metadata": {"contentType": "application/octet-stream"}}, PNG, "image/png", "inline"),
        ({"filename": "x", "contentType": "image/gif"}, PNG, "image/gif", "inline"),
        ({"filename": "x.pdf"}, PNG, "application/pdf", "attachment"),
        ({"filename": GONE}, b"<html><script>alert(1)</script></html>", "text/html; charset=utf-8", "attachment"),
        ({"filename": GONE}, b"just text\n", "text/plain; charset=utf-8", "attachment"),
        ({"filename": GONE}, b"%PDF-1.4\n", "application/pdf", "attachment"),
        ({"filename": GONE}, b"", "application/octet-stream", "attachment"),
    ],
)
def test_only_where_nothing_tells_the_type_the_bytes_do(
    real: PyMongo, uploads: FlaskClient, fields: Any, data: bytes, expected: str, disposition: str
) -> None:
    pytest.importorskip("magic")
    identity = put(real, fields.pop("filename"), data, **fields)
    url = f"/u/?id={identity}"
    answer = uploads.get(url)
    assert (answer.headers["Content-Type"], answer.data) == (expected, data)
    assert answer.headers["Content-Disposition"].startswith(disposition)
    head = uploads.head(url)
    assert head.headers["Content-Type"] == expected
    if data:
        part = uploads.get(url, headers={"Range": "bytes=1-2"})
        assert (part.headers["Content-Type"], part.data) == (expected, data[1:3])
    assert uploads.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    told = expected in ("image/gif", "application/pdf") and data == PNG
    listed_type = next(row["content_type"] for row in listed(uploads) if row["id"] == str(identity))
    assert listed_type == (expected if told else "application/octet-stream")
