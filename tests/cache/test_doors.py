"""The file cache through each door: a second reader in any process asks for no chunk, and what was deleted is gone."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from gridfs import GridFS

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service.inspection import Refused
from flask_gridfs_pymongo.store import Sweep

from ..conftest import BIG, Commands, everyone
from ..helpers.doors import Doors, opened
from ..helpers.pictures import corners, encoded
from ..helpers.replica import until

NAME = "f/a.bmp"
PICTURE = encoded(corners(400, 300), "BMP")  # two chunks


class Reads(Commands):
    """Counts the commands that read documents, and those that read or join chunks."""

    @property
    def documents(self) -> int:
        return sum(command.get("find") == "fs.files" for command in self.all)

    @property
    def chunks(self) -> int:
        texts = [repr(command) for command in self.all]
        return sum("fs.chunks" in text and not re.search(r"'\$(bson|binary)Size'", text) for text in texts)


Open = Callable[..., Doors]


@pytest.fixture
def open_doors(uri: str, mongo: PyMongo, tmp_path: Path) -> Iterator[Open]:
    """``open_doors()`` opens them in the place of another process, with the same folder."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(opened(uri, file_cache=tmp_path / "cache", **options))


def fill(mongo: PyMongo) -> None:
    mongo.save_file(NAME, io.BytesIO(PICTURE))
    GridFS(mongo.cx.get_database(mongo.db.name)).put(BIG, filename="other")


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if len(path.name) > 60]


def range_of(doors: Doors) -> bytes:
    assert doors.status("GET", f"/u/{NAME}", Range="bytes=0-4,100-") == 206
    return b""


def thumbnail(doors: Doors) -> bytes:
    doors.mongo.db.fs.variants.delete_many({})
    assert doors.status("GET", f"/u/{NAME}?variant=thumb") == 200
    return b""


def printed(doors: Doors) -> bytes:
    return doors.app.test_cli_runner().invoke(args=["gridfs", "cat", NAME]).stdout_bytes


def got(url: str) -> Callable[[Doors], bytes]:
    def get(doors: Doors) -> bytes:
        assert doors.status("GET", url.replace("ID", doors.id_of("other")) if "ID" in url else url) == 200
        return doors.answer

    return get


# A way to read, what it reads, how many documents it asks for
WAYS: dict[str, tuple[Callable[[Doors], bytes], bytes, int]] = {
    "a name": (got(f"/u/{NAME}"), PICTURE, 1),
    "of another tool": (got("/u/other"), BIG, 1),
    "an id": (got("/u/?id=ID"), BIG, 2),
    "ranges": (range_of, b"", 1),
    "a variant": (thumbnail, b"", 2),
    "the drive": (got(f"/dav/{NAME}"), PICTURE, 1),
    "a command": (printed, PICTURE, 1),
    "open": (lambda doors: doors.bucket.open(NAME).read(), PICTURE, 1),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_second_reader_asks_for_a_document_and_no_chunk(mongo: PyMongo, open_doors: Open, way: str) -> None:
    read, expected, documents = WAYS[way]
    fill(mongo)
    first = open_doors()
    for url, content in ((f"/u/{NAME}", PICTURE), ("/u/other", BIG)):
        assert got(url)(first) == content
    assert read(open_doors(event_listeners=[reads := Reads()])) == expected
    assert (reads.documents, reads.chunks) == (documents, 0)


def test_each_way_fills_it_and_an_archive_reads_from_it(mongo: PyMongo, open_doors: Open, tmp_path: Path) -> None:
    fill(mongo)
    for way in ("a name", "a variant", "the drive", "a command", "ranges"):
        doors = open_doors()
        WAYS[way][0](doors)
        until(lambda: [path.suffix for path in files(tmp_path)] == [""], 10)
        files(tmp_path)[0].unlink()
    zipped = got("/u/?folder=f/&zip")(doors)
    assert len(files(tmp_path)) == 1
    mongo.db.fs.chunks.update_many({}, {"$set": {"data": b""}})
    with closing(open_doors().bucket.read(doors.bucket.find(NAME))) as pieces:  # type: ignore[arg-type]
        assert b"".join(pieces) == PICTURE
    assert PICTURE in zipped


def test_a_miss_costs_one_round_trip_more_and_a_304_none(mongo: PyMongo, open_doors: Open) -> None:
    fill(mongo)
    reads = Reads()
    doors = open_doors(event_listeners=[reads])
    got(f"/u/{NAME}")(doors)
    assert (reads.documents, reads.chunks) == (1, 1)
    assert doors.status("GET", f"/u/{NAME}", If_None_Match="*") == 304
    assert doors.status("HEAD", f"/u/{NAME}") == 200
    assert (reads.documents, reads.chunks) == (3, 1)


def test_what_is_read_to_guess_a_type_fetches_nothing_else(mongo: PyMongo, open_doors: Open, tmp_path: Path) -> None:
    fill(mongo)
    doors = open_doors(event_listeners=[reads := Reads()])
    got("/u/other")(doors)
    assert (len(files(tmp_path)), reads.chunks) == (1, 2)


def expire(doors: Doors) -> Any:
    past = datetime.now(UTC) - timedelta(days=2)
    doors.mongo.db.fs.files.update_many({"filename": NAME}, {"$set": {"metadata.expiresAt": past}})
    return list(Sweep(doors.bucket).run())


DELETES: dict[str, Callable[[Doors], Any]] = {
    "DELETE": lambda doors: doors.status("DELETE", f"/u/{NAME}"),
    "DELETE by id": lambda doors: doors.status("DELETE", f"/u/?id={doors.id_of(NAME)}"),
    "POST ?delete": lambda doors: doors.status("POST", f"/u/{NAME}?delete", {"confirm": "1"}),
    "a selection": lambda doors: doors.status("POST", "/u/?delete", {"id": doors.id_of(NAME), "confirm": "1"}),
    "rm": lambda doors: doors.command("rm", "--all-versions", "--yes", NAME),
    "rm -r": lambda doors: doors.command("rm", "-r", "--all-versions", "--yes", "f/"),
    "expire": expire,
    "delete": lambda doors: doors.bucket.delete(NAME),
    "the drive": lambda doors: doors.status("DELETE", f"/dav/{NAME}"),
}


@pytest.mark.parametrize("way", DELETES)
def test_what_is_deleted_is_removed(mongo: PyMongo, open_doors: Open, tmp_path: Path, way: str) -> None:
    fill(mongo)
    doors, other = open_doors(), open_doors()
    for each in (doors, other):
        assert got(f"/u/{NAME}")(each) == PICTURE
    DELETES[way](other)
    assert files(tmp_path) == []
    for each in (doors, other):
        assert each.status("GET", f"/u/{NAME}") == 404
    mongo.save_file(NAME, io.BytesIO(BIG))
    for each in (doors, other):
        assert got(f"/u/{NAME}")(each) == BIG


def test_rights_and_expiry_are_asked_each_time(app: Flask, mongo: PyMongo, uri: str, tmp_path: Path) -> None:
    mongo.save_file("a", io.BytesIO(BIG))
    for number, (allowed, status) in enumerate([(True, 200), (False, 403), (True, 200)]):
        app = Flask("rights")
        cached = PyMongo(app, uri=uri, file_cache=str(tmp_path / "cache"))
        app.register_blueprint(
            cached.uploads_blueprint(url_prefix="/u", authorize=lambda action, filename, may=allowed: may)
        )
        assert app.test_client().get("/u/a").status_code == status, number
        cached.cx.close()
    mongo.db.fs.files.update_one({}, {"$set": {"metadata.expiresAt": datetime(2020, 1, 1, tzinfo=UTC)}})
    with opened(uri, file_cache=tmp_path / "cache") as doors:
        assert doors.status("GET", "/u/a") == 404


def test_a_file_that_is_refused_is_not_kept(app: Flask, uri: str, mongo: PyMongo, tmp_path: Path) -> None:
    kept = []

    def inspect(file: Any, read: Any) -> None:
        assert b"".join(read()) == BIG
        kept.extend(files(tmp_path))
        raise Refused("A virus.")

    other = Flask("inspects")
    cached = PyMongo(other, uri=uri, file_cache=tmp_path / "cache")
    other.register_blueprint(cached.uploads_blueprint(url_prefix="/u", authorize=everyone, inspect=inspect))
    assert other.test_client().put("/u/a", data=BIG).status_code == 422
    assert kept == files(tmp_path) == []
    cached.cx.close()


def test_buckets_databases_and_servers_have_entries_of_their_own(uri: str, tmp_path: Path) -> None:
    """Though their documents are the same."""
    name = uri.rpartition("/")[2]
    date = datetime(2020, 1, 1, tzinfo=UTC)
    made = {}
    hosts = (uri, uri.replace("127.0.0.1", "localhost"))
    for number, (host, db, base) in enumerate([(hosts[0], name, "fs"), (hosts[0], name, "b"), (hosts[1], name, "fs")]):
        app = Flask(f"app{number}")
        mongo = PyMongo(app, uri=host, file_cache=str(tmp_path / "cache"))
        bucket = mongo.bucket(base, db)
        content = bytes([number]) * 5
        bucket.files.delete_many({})
        bucket.chunks.delete_many({})
        bucket.files.insert_one({"_id": 1, "filename": "a", "length": 5, "chunkSize": 9, "uploadDate": date})
        bucket.chunks.insert_one({"files_id": 1, "n": 0, "data": content})
        file = bucket.find("a")
        assert file is not None
        made[number] = [b"".join(bucket.read(file)) for _ in range(2)], content
        mongo.db.drop_collection("b.files")
        mongo.cx.close()
    assert all(found == [content] * 2 for found, content in made.values())
    assert len(files(tmp_path)) == 3


@pytest.mark.parametrize(
    ("uris", "same"),
    [
        (("mongodb://a,b/x", "mongodb://u:p%40@B:27017,a/x?replicaSet=r"), True),
        (("mongodb://a/x", "mongodb://b/x"), False),
        (("mongodb://a/x", "mongodb://a:27018/x"), False),
        (("mongodb+srv://a.b.c/x", "mongodb+srv://u:p@a.b.c?w=1"), True),
        (("mongodb://%2Ftmp%2Fa.sock/x", "mongodb://%2Ftmp%2Fb.sock/x"), False),
    ],
)
def test_a_server_is_known_by_its_address(uris: tuple[str, str], same: bool) -> None:
    apps = [Flask("a"), Flask("b")]
    for app, uri in zip(apps, uris, strict=True):
        PyMongo(app, uri=uri)
    first, second = (app.extensions["pymongo"]["MONGO"].settings.servers for app in apps)
    assert (first == second) is same
    assert "p" not in first.replace("tmp", "").replace("sock", "") + second.replace("tmp", "").replace("sock", "")


@pytest.mark.parametrize(
    ("settings", "error", "named"),
    [
        ({"file_cache": "cache"}, ValueError, "file_cache must be an absolute path"),
        ({"file_cache": 5}, TypeError, "file_cache must be the path of a folder"),
        ({"file_cache": b"/cache"}, TypeError, "file_cache must be the path of a folder"),
        ({"file_cache_size": -1}, ValueError, "file_cache_size must be 0 or more"),
        ({"file_cache_age": "a week"}, TypeError, "file_cache_age must be an integer"),
        ({"file_cache_age": timedelta(days=-1)}, ValueError, "file_cache_age must be 0 or more"),
        ({"file_cache": "/c", "accel": "_files/"}, ValueError, "accel must be a path that begins and ends with"),
        ({"file_cache": "/c", "accel": "/_files"}, ValueError, "accel must be a path that begins and ends with"),
        ({"file_cache": "/c", "accel": "/"}, ValueError, "accel must be a path that begins and ends with"),
        ({"file_cache": "/c", "accel": "/a b/"}, ValueError, "accel must be a path that begins and ends with"),
        ({"file_cache": "/c", "accel": 5}, TypeError, "accel must be a str"),
        ({"accel": "/_files/"}, ValueError, "accel needs file_cache.*MONGO_FILE_CACHE"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        PyMongo(Flask("tests"), **settings)
    app = Flask("tests")
    app.config.update({f"MONGO_{name.upper()}": value for name, value in settings.items()})
    with pytest.raises(error, match=f"(?i){named}"):
        PyMongo(app)


def test_the_nearest_setting_counts() -> None:
    app = Flask("tests")
    app.config.update(MONGO_FILE_CACHE="/a", MONGO_FILE_CACHE_SIZE="5", MONGO_FILE_CACHE_AGE=timedelta(days=1))
    PyMongo(file_cache=Path("/b")).init_app(app, file_cache=None, file_cache_age=5)
    found = app.extensions["pymongo"]["MONGO"].settings
    assert (found.file_cache, found.file_cache_size, found.file_cache_age) == ("/b", 5, 5)
    assert "file_cache" not in found.options
