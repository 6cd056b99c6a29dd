"""Listings of the store, and their query string: every order walks all names once, whatever the pages cut."""

from __future__ import annotations

import base64
import io
import shlex
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from bson import Binary, Code, DatetimeMS, ObjectId
from bson.raw_bson import RawBSONDocument
from flask import Flask
from flask.testing import FlaskClient
from pymongo.errors import ExecutionTimeout
from pymongo.monitoring import CommandListener

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, ids
from flask_gridfs_pymongo.store.listing import by_value as orders
from flask_gridfs_pymongo.store.listing import page as rows
from flask_gridfs_pymongo.store.listing.page import Key, Visibility

from ...conftest import Commands, put

START = datetime(2026, 1, 1, tzinfo=UTC)
JSON = {"Accept": "application/json"}
# name, day, bytes, type; in the order of upload
FILES: list[tuple[str, int, int, str | None]] = [
    ("b.txt", 1, 50, "text/plain"),
    ("a.txt", 2, 10, "text/plain"),
    ("b.txt", 3, 20, "text/html"),
    ("photos/x.png", 4, 20, "image/png"),
    ("photos/2024/y.png", 5, 70, "image/png"),
    ("Ärger.txt", 6, 20, None),
    ("photos0", 6, 0, None),
    ("a.txt", 9, 10, "text/plain"),
    ("b.txt", 7, 50, "text/plain"),
]
NEWEST = ["a.txt", "b.txt", "photos0", "Ärger.txt", "photos/2024/y.png", "photos/x.png"]
LARGEST = ["photos/2024/y.png", "b.txt", "photos/x.png", "Ärger.txt", "a.txt", "photos0"]
BY_TYPE = ["photos0", "Ärger.txt", "photos/2024/y.png", "photos/x.png", "a.txt", "b.txt"]
BY_NAME = ["a.txt", "b.txt", "photos/2024/y.png", "photos/x.png", "photos0", "Ärger.txt"]


def cursor(*key: Any) -> str:
    return ids.to_text([*key], max_length=16_000) or ""


def nested(levels: int) -> str:
    """The cursor of a file without a name, whose id holds a document in a document."""
    document = b"\5\0\0\0\0"
    for _ in range(levels):
        document = struct.pack("<i", len(document) + 8) + b"\3a\0" + document + b"\0"
    key = b"\n0\0" + b"\x031\0" + document + b"\0"
    key = struct.pack("<i", len(key) + 4) + key
    whole = b"\4_id\0" + key + b"\0"
    return "~" + base64.urlsafe_b64encode(struct.pack("<i", len(whole) + 4) + whole).rstrip(b"=").decode()


def store_raw(files: Any, names: list[str]) -> None:
    """Insert files with *names*, also such that are not UTF-8, which no driver sends."""
    for number, name in enumerate(names):
        octets = name.encode(errors="surrogateescape")
        stand_in = "x" * len(octets)
        document = {"_id": ObjectId(), "filename": stand_in, "length": number % 2, "chunkSize": 5}
        encoded = bson.encode(document | {"uploadDate": START, "contentType": "text/plain"})
        files.insert_one(RawBSONDocument(encoded.replace(stand_in.encode() + b"\0", octets + b"\0", 1)))


A_CURSOR = cursor(b"a", 5)
BAD_CURSORS = [
    ("name", ""),
    ("name", "a"),
    ("name", "~"),
    ("name", "0" * 24),
    ("name", cursor("a", None)),
    ("name", cursor(b"a")),
    ("name", cursor(b"a", None, None)),
    ("name", cursor(Binary(b"a", 5), None)),
    ("name", cursor({"$gt": ""}, None)),
    ("name", cursor(b"a" * 12_000, None)[:-4]),
    ("name", cursor(b"a" * 11_980, None) + "A" * 100),
    ("name", A_CURSOR),
    ("newest", A_CURSOR),
    ("newest", cursor(b"a", None)),
    ("newest", cursor(b"a", DatetimeMS(2**62))),
    ("newest", cursor(b"a", {"$gt": START})),
    ("size", A_CURSOR + "="),
    ("size", A_CURSOR + "AAAA"),
    ("size", A_CURSOR[1:]),
    ("size", cursor(b"a", None)),
    ("size", cursor(b"a", -1)),
    ("size", cursor(b"a", float("nan"))),
    ("size", cursor(b"a", True)),
    ("size", cursor(b"a", "5")),
    ("size", cursor(b"a", [5])),
    ("type", cursor(b"a", 5)),
    ("type", cursor(b"a", Code("text/plain"))),
]


@pytest.fixture
def store(mongo: PyMongo) -> Bucket:
    store = Bucket(mongo.db)
    for name, day, length, content_type in FILES:
        document: dict[str, Any] = {"filename": name, "uploadDate": START + timedelta(days=day)}
        document |= {"length": length, "chunkSize": 100}
        store.files.insert_one(document | ({"contentType": content_type} if content_type else {}))
    return store


def walk(store: Bucket, order: str, limit: int, **filters: str) -> list[str]:
    """All names, page by page."""
    names: list[str] = []
    after: Key | None = None
    while True:
        page = store.list(order, after, limit, **filters)
        assert len(page.rows) <= limit
        names += [row.file.filename for row in page.rows]
        after = page.next
        if after is None:
            return names


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("order", "expected"), [("name", BY_NAME), ("newest", NEWEST), ("size", LARGEST), ("type", BY_TYPE)]
)
@pytest.mark.parametrize(
    ("prefix", "part"),
    [
        ("", ""),
        ("photos", ""),
        ("photos/", ""),
        ("", "TXT"),
        ("", "är"),
        ("", "."),
        ("p", ".png"),
        ("", "(a+)+$"),
        ("z", ""),
    ],
)
def test_each_order_has_each_name_once(
    store: Bucket, order: str, expected: list[str], limit: int, prefix: str, part: str
) -> None:
    wanted = [name for name in expected if name.startswith(prefix) and part.lower() in name.lower()]
    assert walk(store, order, limit, prefix=prefix, part=part) == wanted
    assert walk(store, f"-{order}", limit, prefix=prefix, part=part) == wanted[::-1]


@pytest.mark.parametrize("candidates", [1, 2, 3])
@pytest.mark.parametrize(("order", "expected"), [("newest", NEWEST), ("size", LARGEST), ("type", BY_TYPE)])
def test_older_versions_are_passed_over_however_the_queries_cut(
    store: Bucket, monkeypatch: pytest.MonkeyPatch, order: str, expected: list[str], candidates: int
) -> None:
    monkeypatch.setattr(orders, "_CANDIDATES", candidates)
    assert walk(store, order, 2) == expected
    assert walk(store, f"-{order}", 2) == expected[::-1]


@pytest.mark.parametrize("order", ["name", "newest", "size"])
@pytest.mark.parametrize("seconds", [0.1, 0.6, 1.0, 5.0])
def test_a_second_is_enough_for_what_is_passed_over(
    store: Bucket, monkeypatch: pytest.MonkeyPatch, order: str, seconds: float
) -> None:
    """A row that is shown may take longer: a page that has it is not refused because the database is far away."""
    clock = [0.0]
    monkeypatch.setattr(rows, "monotonic", lambda: clock[0])

    def decide(filename: str) -> bool:
        clock[0] += seconds
        return filename in visible

    visible = set(BY_NAME)
    assert len(store.list(order, shown=Visibility(decide)).rows) == len(BY_NAME)
    visible.clear()
    if seconds * (len(BY_NAME) - 1) < 1:
        assert store.list(order, shown=Visibility(decide)).rows == []
    else:
        with pytest.raises(ExecutionTimeout):
            store.list(order, shown=Visibility(decide))


def test_a_slow_database_takes_no_time_of_what_is_shown(app: Flask, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each query takes five seconds: of that, what is not shown takes its share."""
    clock = [0.0]
    monkeypatch.setattr(rows, "monotonic", lambda: clock[0])

    class Slow(CommandListener):
        def started(self, event: Any) -> None: ...

        def succeeded(self, event: Any) -> None:
            clock[0] += 5

        failed = started

    mongo = PyMongo(app, uri=uri, event_listeners=[Slow()])
    store = mongo.bucket()
    for number in range(20):
        put(store, f"{number:02}", b"x" * number)
    assert len(store.list().rows) == 20
    assert len(store.list(shown=Visibility(lambda name: name > "01")).rows) == 18
    with pytest.raises(ExecutionTimeout):
        store.list(shown=Visibility(lambda name: name < "03"))
    mongo.cx.close()


@pytest.mark.parametrize("order", ["size", "-newest", "type"])
def test_where_all_files_have_older_versions_they_are_passed_over_at_once(
    app: Flask, uri: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those come first, and a query for each of them would take longer than there is time."""
    monkeypatch.setattr("flask_gridfs_pymongo.store.listing.page._BUDGET", 60)  # queries are counted, not seconds
    commands = Commands()
    mongo = PyMongo(app, uri=uri, event_listeners=[commands])
    store = Bucket(mongo.db)
    store.files.insert_many(
        {"filename": f"{number:04}", "uploadDate": START + timedelta(days=version), "chunkSize": 5}
        | {"length": 1000 - version * 100, "contentType": f"a/{version}"}
        for version in range(2)
        for number in range(1500)
    )
    found = [row.file.length for row in store.list(order, limit=5).rows]
    mongo.cx.close()
    assert found == [900] * 5
    assert commands.sent.count("find") < 100


def test_a_row_has_the_newest_version_and_their_number(store: Bucket) -> None:
    (row, *_) = store.list("size", prefix="b").rows
    assert (row.file, row.versions) == (store.find("b.txt"), 3)


@pytest.mark.parametrize(
    ("path", "files", "folders"),
    [
        ("", ["a.txt", "b.txt", "photos0", "Ärger.txt"], ["photos/"]),
        ("photos/", ["photos/x.png"], ["photos/2024/"]),
        ("photos/2024/", ["photos/2024/y.png"], []),
        ("none/", [], []),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("order", ["name", "-name"])
def test_a_folder_has_what_is_directly_in_it(
    store: Bucket, path: str, files: list[str], folders: list[str], limit: int, order: str
) -> None:
    found: tuple[list[str], list[str]] = ([], [])
    after: Key | None = None
    while True:
        page = store.list(order, after, limit, prefix=path, folded=True)
        assert len(page.rows) + len(page.folders) <= limit
        found[0].extend(row.file.filename for row in page.rows)
        found[1].extend(page.folders)
        if page.next is None:
            break
        after = page.next
    assert found == ((files, folders) if order == "name" else (files[::-1], folders[::-1]))


def test_a_folder_is_stepped_over(real: PyMongo) -> None:
    store = Bucket(real.db)
    for name in ["a", *(f"full/{n:04}" for n in range(300)), "z"]:
        store.files.insert_one({"filename": name, "length": 0, "chunkSize": 1, "uploadDate": START})
    page = store.list(folded=True)
    assert ([row.file.filename for row in page.rows], page.folders) == (["a", "z"], ["full/"])


@pytest.mark.parametrize("last", ["\ud7ff", "\U0010ffff", "/", "ä", "\U0010fffe"])
def test_a_prefix_may_end_in_any_character(store: Bucket, last: str) -> None:
    for name in [last, last + "\U0010ffff", last + "a"]:
        store.files.insert_one({"filename": name, "length": 0, "chunkSize": 1, "uploadDate": START})
    assert walk(store, "name", 2, prefix=last) == sorted([last, last + "\U0010ffff", last + "a"])


class TestQueryString:
    @pytest.fixture
    def client(self, app: Flask, mongo: PyMongo, store: Bucket) -> FlaskClient:
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", read_only=True))
        return app.test_client()

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("", BY_NAME),
            ("?order=name", BY_NAME),
            ("?order=newest", NEWEST),
            ("?order=size", LARGEST),
            ("?order=type", BY_TYPE),
            ("?order=-name", BY_NAME[::-1]),
            ("?order=-newest", NEWEST[::-1]),
            ("?order=-size", LARGEST[::-1]),
            ("?order=-type", BY_TYPE[::-1]),
            ("?order=-name&folder=", ["Ärger.txt", "photos0", "b.txt", "a.txt"]),
            ("?order=newest&prefix=photos/", ["photos/2024/y.png", "photos/x.png"]),
            ("?q=A%CC%88rg", ["Ärger.txt"]),  # typed as two characters
            ("?folder=", ["a.txt", "b.txt", "photos0", "Ärger.txt"]),
            ("?folder=photos/", ["photos/x.png"]),
            ("?folder=photos/&q=png", ["photos/2024/y.png", "photos/x.png"]),
            ("?folder=photos/&order=size", ["photos/2024/y.png", "photos/x.png"]),
        ],
    )
    def test_what_it_lists(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, query: str, names: list[str]
    ) -> None:
        for size in (100, 1):
            monkeypatch.setattr("flask_gridfs_pymongo.uploads.read.listing._PAGE_SIZE", size)
            found, url = [], f"/u/{query}"
            while url:
                answer = client.get(url, headers=JSON)
                assert answer.status_code == 200
                found += [file["filename"] for file in answer.json["files"]]
                url = answer.json["next"]
            assert found == names
            assert client.get(f"/u/{query}", headers={"Accept": "text/html"}).status_code == 200

    @pytest.mark.parametrize(
        "query",
        [
            "?order=color",
            "?order=--name",
            "?order=-",
            "?q=" + "a" * 101,
            "?q=%00",
            "?prefix=" + "a" * 1001,
            "?folder=photos",
            *(f"?order={order}&cursor={text}" for order, text in BAD_CURSORS),
        ],
    )
    def test_what_is_wrong_with_it_is_said(self, client: FlaskClient, query: str) -> None:
        answer = client.get(f"/u/{query}", headers=JSON)
        assert answer.status_code == 400
        assert "?" in answer.json["detail"]

    @pytest.mark.parametrize("accept", ["application/json", "text/html"])
    def test_what_takes_too_long_says_what_helps(
        self, app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, accept: str
    ) -> None:
        def slow(*args: Any, **options: Any) -> None:
            raise ExecutionTimeout("operation exceeded time limit", 50)

        monkeypatch.setattr(orders, "_candidates", slow)
        answer = client.get("/u/?flat=1&order=newest", headers={"Accept": accept})
        assert answer.status_code == 503
        assert "flask gridfs index newest" in answer.text
        assert "exceeded" not in answer.text

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "order=-name",
            "order=newest",
            "order=-size",
            "order=type",
            "order=-type",
            "folder=",
            "folder=&order=-name",
        ],
    )
    def test_the_url_of_the_next_page_is_short_however_long_names_are(
        self, app: Flask, mongo: PyMongo, query: str
    ) -> None:
        long = "ö" * 1500
        names = [f"{long}{number}" for number in range(3)] + [f"{long}/{number}" for number in range(2)]
        for number, name in enumerate([*names, "hidden", "short"]):
            document = {"filename": name, "length": number % 2, "chunkSize": 5, "uploadDate": START}
            mongo.db.fs.files.insert_one(document | ({"contentType": "x" * 3000} if number % 2 else {}))
        hidden = mongo.db.fs.files.find_one({"filename": "hidden"})["_id"]
        app.register_blueprint(
            mongo.uploads_blueprint("v", url_prefix="/v", authorize=lambda action, name: name != "hidden")
        )
        client = app.test_client()
        found: list[str] = []
        urls = [f"/v/?{query}&limit=1"]
        while url := urls[-1]:
            assert len(url) <= 2000
            page = client.get(url, headers=JSON).json
            found += [row["filename"] for row in page["files"]] + [row["name"] for row in page["folders"]]
            urls.append(page["next"])
        assert sorted(found) == sorted([*names[:3], f"{long}/", "short"] if "folder=" in query else [*names, "short"])
        short = next(url for url in urls if "after_file" in url)
        own = short.partition("after_file=")[2].partition("&")[0]
        answers = [client.get(short.replace(own, other), headers=JSON) for other in (str(hidden), "0" * 24)]
        assert {(answer.status_code, answer.data) for answer in answers} == {(404, answers[0].data)}

    def test_a_key_that_is_too_long_to_be_read_is_named_by_its_id(self, client: FlaskClient, mongo: PyMongo) -> None:
        names = [f"{'z' * 13_000}{number}" for number in range(3)]
        for name in names:
            mongo.db.fs.files.insert_one({"filename": name, "length": 0, "chunkSize": 5, "uploadDate": START})
        found, url = list[str](), "/u/?order=newest&limit=1&prefix=z"
        while url and len(found) < 9:
            page = client.get(url, headers=JSON).json
            found += [row["filename"] for row in page["files"]]
            url = page["next"]
        assert found == names

    def test_where_an_id_is_long_too_no_page_is_lost(self, client: FlaskClient, mongo: PyMongo) -> None:
        names = [f"{'long' * 500}{number}" for number in range(3)]
        for name in names:
            mongo.db.fs.files.insert_one(
                {"_id": name, "filename": name, "length": 0, "chunkSize": 5, "uploadDate": START}
            )
        found, url = [], "/u/?limit=1&prefix=long"
        while url:
            page = client.get(url, headers=JSON).json
            found += [row["filename"] for row in page["files"]]
            url = page["next"]
            assert len(found) <= len(names)
        assert found == names

    @pytest.mark.parametrize("query", ["order=name", "order=newest", "order=-type&folder=", "order=size&prefix=a"])
    @pytest.mark.parametrize("name", ["a", "e\udce9", "a\0b", "Ä/ö"])
    def test_a_page_begins_after_any_name(self, app: Flask, real: PyMongo, query: str, name: str) -> None:
        store_raw(real.db.fs.files, ["0", name, "z"])
        app.register_blueprint(real.uploads_blueprint(url_prefix="/u", read_only=True))
        client, url, ids = app.test_client(), f"/u/?{query}&limit=1", []
        while url:
            page = client.get(url, headers=JSON).json
            ids += [row["id"] for row in page["files"]] + [row["name"] for row in page["folders"]]
            url = page["next"]
            assert not url or ("cursor=" in url and "after" not in url)
        everything = client.get(f"/u/?{query}", headers=JSON).json
        assert ids == [row["id"] for row in everything["files"]] + [row["name"] for row in everything["folders"]]

    @pytest.mark.parametrize("levels", [0, 60, 90, 200, 600, 900, 1200])
    def test_a_cursor_may_hold_any_id_that_urls_have(self, client: FlaskClient, levels: int) -> None:
        answer = client.get(f"/u/?cursor={nested(levels)}", headers=JSON)
        assert answer.status_code == (200 if levels < 100 else 400)

    @pytest.mark.parametrize("base", ["fs", "pictures of ann"])
    def test_the_command_that_an_error_names_makes_the_indexes(
        self, app: Flask, real: PyMongo, monkeypatch: pytest.MonkeyPatch, base: str
    ) -> None:
        real.db[base].files.insert_one(
            {"filename": "a.txt", "length": 0, "chunkSize": 5, "uploadDate": START, "metadata": {"taken_by": "Ann"}}
        )
        app.register_blueprint(real.uploads_blueprint(url_prefix="/u", base=base, metadata=["taken_by"]))

        def slow(*args: Any, **options: Any) -> None:
            raise ExecutionTimeout("operation exceeded time limit", 50)

        url = "/u/?order=-size&metadata.Taken-By=Ann"
        with monkeypatch.context() as patched:
            patched.setattr(orders, "_candidates", slow)
            answer = app.test_client().get(url, headers=JSON)
        assert answer.status_code == 503
        program, *arguments = shlex.split(answer.json["detail"].partition("An index helps: ")[2])
        assert program == "flask"
        assert app.test_cli_runner().invoke(args=arguments).exit_code == 0
        found = [index["key"] for index in real.db[base].files.index_information().values()]
        assert [("length", -1), ("filename", 1)] in found
        assert [("metadata.taken_by", 1), ("filename", 1), ("uploadDate", 1)] in found
        assert [row["filename"] for row in app.test_client().get(url, headers=JSON).json["files"]] == ["a.txt"]

    def test_folders_are_shown_to_those_who_may_list_them(self, app: Flask, mongo: PyMongo, store: Bucket) -> None:
        asked: list[tuple[str, str | None]] = []

        def authorize(action: str, filename: str | None) -> bool:
            asked.append((action, filename))
            return filename != "photos/"

        app.register_blueprint(mongo.uploads_blueprint("v", url_prefix="/v", authorize=authorize))
        client = app.test_client()
        assert client.get("/v/?folder=", headers=JSON).json["folders"] == []
        assert ("list", "photos/") in asked
        assert client.get("/v/?folder=photos/", headers=JSON).status_code == 403
        assert client.get("/v/?folder=photos/2024/", headers=JSON).status_code == 200

    def test_a_form_adds_to_the_folder(self, app: Flask, mongo: PyMongo) -> None:
        app.register_blueprint(mongo.uploads_blueprint("w", url_prefix="/w"))
        client = app.test_client()
        data = {"file": [(b"1", "../one.txt"), (b"2", "sub/two.txt")]}
        files = {"file": [(io.BytesIO(content), name) for content, name in data["file"]]}
        answer = client.post("/w/?folder=a/b/", data=files, headers=JSON)
        assert [file["filename"] for file in answer.json["files"]] == ["a/b/one.txt", "a/b/sub/two.txt"]
        answer = client.post("/w/?folder=a/", data={"file": (io.BytesIO(b""), "..")}, headers=JSON)
        assert answer.status_code == 400


class TestNames:
    @pytest.fixture
    def store(self, mongo: PyMongo) -> Bucket:
        return Bucket(mongo.db)

    def test_names_come_in_order_with_their_newest_version(self, store: Bucket) -> None:
        for name in ["b", "a", "c/d", "b", "ä", "b"]:
            put(store, name, name.encode())
        assert [(row.file.filename, row.versions) for row in store.list().rows] == [
            ("a", 1),
            ("b", 3),
            ("c/d", 1),
            ("ä", 1),
        ]
        assert [row.file.filename for row in store.list(after=Key("b")).rows] == ["c/d", "ä"]
        assert store.list(after=Key("a")).rows[0].file == store.find("b")

    @pytest.mark.parametrize("versions", [1, 99, 100, 127, 128, 129, 300])
    def test_a_name_with_many_versions_is_stepped_over(self, store: Bucket, versions: int) -> None:
        start = datetime(2020, 1, 1, tzinfo=UTC)
        names = ["a"] * 3 + ["b"] * versions + ["c"] * 2
        store.files.insert_many(
            {"filename": name, "length": 0, "chunkSize": 5, "uploadDate": start + timedelta(seconds=n)}
            for n, name in enumerate(names)
        )
        rows = [(row.file.filename, row.versions, row.file.upload_date) for row in store.list().rows]
        assert rows == [
            ("a", 3, start + timedelta(seconds=2)),
            ("b", min(versions, 100), start + timedelta(seconds=2 + versions)),
            ("c", 2, start + timedelta(seconds=4 + versions)),
        ]

    def test_an_empty_bucket_has_no_names(self, store: Bucket) -> None:
        assert store.list() == ([], [], None)
        assert store.versions("a") == []
