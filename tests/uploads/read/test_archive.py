"""uploads/read/archive.py: ZIP archives of folders and of chosen files."""

from __future__ import annotations

import io
import itertools
import os
import re
import shutil
import stat
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.http.filenames import common_folder, unpackable
from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.uploads.read import archive
from flask_gridfs_pymongo.uploads.read.zip_stream import Entry, size, stream

from ...conftest import BIG, HTML, Client, everyone


def unpacked(answer: TestResponse) -> dict[str, bytes]:
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    with zipfile.ZipFile(io.BytesIO(answer.data)) as found:
        assert found.testzip() is None
        assert {entry.compress_type for entry in found.infolist()} == {zipfile.ZIP_STORED}
        assert len(set(found.namelist())) == len(found.namelist())
        return {name: found.read(name) for name in found.namelist()}


def save(mongo: PyMongo, **files: bytes) -> dict[str, Any]:
    return {name: mongo.save_file(name, io.BytesIO(content)) for name, content in files.items()}


@pytest.fixture
def ids(mongo: PyMongo) -> dict[str, Any]:
    contents = {"a/b/one.txt": b"1", "a/two.bin": BIG, "a/empty": b"", "c.txt": b"c", "ab.txt": b"x"}
    return save(mongo, **contents)


class TestFolder:
    @pytest.mark.parametrize(
        ("query", "name", "expected"),
        [
            ("?folder=a/&zip", "a.zip", {"b/one.txt": b"1", "two.bin": BIG, "empty": b""}),
            ("?folder=a/b/&zip", "b.zip", {"one.txt": b"1"}),
            (
                "?zip",
                "Files.zip",
                {"a/b/one.txt": b"1", "a/two.bin": BIG, "a/empty": b"", "c.txt": b"c", "ab.txt": b"x"},
            ),
        ],
    )
    @pytest.mark.parametrize("read_only", [False, True])
    def test_every_file_below_it(
        self, client: Client, ids: dict[str, Any], query: str, name: str, expected: dict[str, bytes], read_only: bool
    ) -> None:
        answer = client(read_only=read_only).get(f"/uploads/{query}", headers=HTML)
        assert unpacked(answer) == expected
        assert answer.content_type == "application/zip"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]

    def test_the_newest_versions(self, client: Client, mongo: PyMongo, ids: dict[str, Any]) -> None:
        mongo.save_file("c.txt", io.BytesIO(b"newer"))
        assert unpacked(client().get("/uploads/?zip"))["c.txt"] == b"newer"

    def test_head_has_the_length_and_reads_nothing(
        self, client: Client, ids: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploads = client()
        length = uploads.get("/uploads/?zip").headers["Content-Length"]
        monkeypatch.setattr(Bucket, "read", lambda *span: pytest.fail("read"))
        answer = uploads.head("/uploads/?zip")
        assert (answer.status_code, answer.headers["Content-Length"], answer.data) == (200, length, b"")

    @pytest.mark.parametrize(
        ("query", "status"),
        [("?folder=a&zip", 400), ("?folder=none/&zip", 404), (f"?folder={'x' * 1001}/&zip", 400)],
    )
    def test_what_is_no_folder(self, client: Client, ids: dict[str, Any], query: str, status: int) -> None:
        assert client().get(f"/uploads/{query}").status_code == status

    def test_entries_have_the_date_of_the_file_and_everybody_may_read_them(
        self, client: Client, mongo: PyMongo
    ) -> None:
        dates = {
            "a": (datetime(2019, 5, 6, 7, 8, 9), (2019, 5, 6, 7, 8, 8)),
            "b": (datetime(1970, 1, 1), (1980, 1, 1, 0, 0, 0)),
            "c": (datetime(2200, 1, 1), (2107, 12, 31, 23, 59, 58)),
            "ü/d": (datetime(2107, 12, 31, 23, 59, 59), (2107, 12, 31, 23, 59, 58)),
            "e": (datetime(1, 1, 1), (1980, 1, 1, 0, 0, 0)),
        }
        for name, file_id in save(mongo, **dict.fromkeys(dates, b"x")).items():
            mongo.db.fs.files.update_one({"_id": file_id}, {"$set": {"uploadDate": dates[name][0]}})
        data = client().get("/uploads/?zip").data
        with zipfile.ZipFile(io.BytesIO(data)) as found:
            assert found.testzip() is None
            assert {entry.filename: entry.date_time for entry in found.infolist()} == {
                name: shown for name, (_, shown) in dates.items()
            }
            assert {entry.external_attr >> 16 for entry in found.infolist()} == {stat.S_IFREG | 0o644}
        seconds = int(dates["a"][0].replace(tzinfo=UTC).timestamp())
        assert data.count(struct.pack("<HHBl", 0x5455, 5, 1, seconds)) == 2  # the exact time, in UTC

    def test_its_own_text_is_dated_now(self, client: Client, mongo: PyMongo) -> None:
        stored = save(mongo, a=BIG, b=b"x")
        mongo.db.fs.chunks.delete_many({"files_id": stored["a"]})
        with zipfile.ZipFile(io.BytesIO(client().get("/uploads/?zip").data)) as found:
            assert abs(datetime(*found.getinfo("MISSING.txt").date_time) - datetime.now(UTC).replace(tzinfo=None)) < (
                timedelta(minutes=5)
            )


class TestSelection:
    def test_the_revisions_that_are_named(self, client: Client, mongo: PyMongo, ids: dict[str, Any]) -> None:
        new = mongo.save_file("c.txt", io.BytesIO(b"newer"))
        uploads = client(read_only=True)
        chosen = [ids["c.txt"], new, ids["a/b/one.txt"], ids["c.txt"]]
        answer = uploads.post("/uploads/?zip", data={"id": [str(one) for one in chosen]})
        assert unpacked(answer) == {"c.txt": b"c", "c (2).txt": b"newer", "a/b/one.txt": b"1"}

    def test_the_folder_that_all_are_in_is_not_repeated(self, client: Client, ids: dict[str, Any]) -> None:
        chosen = [str(ids["a/two.bin"]), str(ids["a/b/one.txt"])]
        answer = client().post("/uploads/?zip", data={"id": chosen})
        assert set(unpacked(answer)) == {"two.bin", "b/one.txt"}
        assert "a.zip" in answer.headers["Content-Disposition"]

    @pytest.mark.parametrize(
        ("url", "data", "status"),
        [
            ("/uploads/?zip", {}, 400),
            ("/uploads/?zip", {"id": "x"}, 400),
            ("/uploads/?zip", {"id": {"$gt": ""}}, 400),
            ("/uploads/?zip", {"id": "4cf139def4b6a1134c4ea6c4"}, 404),
            ("/uploads/c.txt?zip", {"id": "4cf139def4b6a1134c4ea6c4"}, 404),
            ("/uploads/?zip", {"id": [f"{n:024x}" for n in range(10_001)]}, 413),
            ("/uploads/?zip", {"id": ["0" * 1_100_000]}, 413),
            ("/uploads/?zip", {"id": ["x"] * 10_101}, 413),
        ],
    )
    def test_what_is_no_selection(self, client: Client, url: str, data: dict[str, Any], status: int) -> None:
        assert client().post(url, data=data).status_code == status

    def test_pages_of_other_origins_do_not_ask(self, client: Client, ids: dict[str, Any]) -> None:
        fields = {"Sec-Fetch-Site": "cross-site"}
        answer = client().post("/uploads/?zip", data={"id": str(ids["c.txt"])}, headers=fields)
        assert answer.status_code == 403

    @pytest.mark.parametrize("options", [{}, {"read_only": True}])
    def test_options_tell_what_it_takes(self, client: Client, options: dict[str, Any]) -> None:
        uploads = client(**options)
        assert uploads.options("/uploads/?zip").headers["Allow"] == "GET, HEAD, POST, OPTIONS"
        assert uploads.put("/uploads/?zip").status_code == 405


class TestRights:
    @pytest.mark.parametrize(
        ("hidden", "below", "chosen"),
        [
            ({("read", "a/two.bin")}, {"b/one.txt", "empty"}, {"a/empty", "a/b/one.txt", "c.txt"}),
            ({("list", "a/b/")}, {"two.bin", "empty"}, {"a/two.bin", "a/empty", "c.txt"}),
            ({("list", "a/")}, None, {"c.txt"}),
            ({("list", None)}, {"b/one.txt", "two.bin", "empty"}, {"a/two.bin", "a/empty", "a/b/one.txt", "c.txt"}),
            ({("read", "a/two.bin"), ("read", "a/b/one.txt"), ("read", "a/empty")}, None, {"c.txt"}),
        ],
    )
    def test_what_may_not_be_seen_is_left_out_silently(
        self,
        client: Client,
        ids: dict[str, Any],
        hidden: set[tuple[str, str | None]],
        below: set[str] | None,
        chosen: set[str],
    ) -> None:
        uploads = client(authorize=lambda action, filename: (action, filename) not in hidden)
        answer = uploads.get("/uploads/?folder=a/&zip")
        if below is None:
            assert answer.status_code in (403, 404)
        else:
            assert set(unpacked(answer)) == below
        selection = [str(ids[name]) for name in ("a/two.bin", "a/empty", "a/b/one.txt", "c.txt")]
        assert set(unpacked(uploads.post("/uploads/?zip", data={"id": selection}))) == chosen


class TestTrouble:
    def damage(self, mongo: PyMongo, file_id: Any, how: str) -> None:
        if how == "no chunk":
            mongo.db.fs.chunks.delete_one({"files_id": file_id, "n": 1})
        elif how == "short chunk":
            mongo.db.fs.chunks.update_one({"files_id": file_id, "n": 1}, {"$set": {"data": b"x"}})
        elif how == "text":
            mongo.db.fs.chunks.update_one({"files_id": file_id, "n": 0}, {"$set": {"data": "x"}})
        elif how == "longer":
            mongo.db.fs.files.update_one({"_id": file_id}, {"$inc": {"length": 1}})

    @pytest.mark.parametrize("how", ["no chunk", "short chunk", "text", "longer"])
    def test_damaged_files_are_named(self, app: Any, real: PyMongo, how: str) -> None:
        app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads", authorize=everyone))
        stored = save(real, **{"a/whole": b"w", "a/broken.bin": BIG, "a/MISSING.txt": b"mine"})
        self.damage(real, stored["a/broken.bin"], how)
        found = unpacked(app.test_client().get("/uploads/?folder=a/&zip"))
        assert found.keys() == {"whole", "MISSING.txt", "MISSING (2).txt"}
        assert found["MISSING.txt"] == b"mine"
        assert b"broken.bin" in found["MISSING (2).txt"]

    def test_what_goes_while_it_is_sent_cuts_the_connection(self, app: Any, real: PyMongo) -> None:
        app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads", authorize=everyone))
        save(real, **{"a": BIG, "b": BIG})
        answer = app.test_client().get("/uploads/?zip", buffered=False)
        pieces = iter(answer.response)
        next(pieces)
        real.db.fs.chunks.delete_many({})
        with pytest.raises(Exception, match="is missing"):
            list(pieces)

    def test_too_many_files(self, client: Client, ids: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        uploads = client()
        for most, status in ((5, 200), (4, 413)):
            monkeypatch.setattr(archive, "MAX_FILES", most)
            monkeypatch.setattr("flask_gridfs_pymongo.store.reading._PAGE", 2)
            assert uploads.get("/uploads/?zip").status_code == status


class TestNames:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["a.txt", "b/c.txt"], ["a.txt", "b/c.txt"]),
            (["../../etc/passwd", "/etc/passwd", "C:\\x\\y", "a/./b/../c"], None),
            (["a", "a", "A", "a"], ["a", "a (2)", "A (3)", "a (4)"]),
            (["a.txt", "A.TXT", "a (2).txt"], ["a.txt", "A (2).TXT", "a (2) (2).txt"]),
            (["a", "a/b"], ["a (2)", "a/b"]),
            (["a (2)/c", "a", "a/b"], ["a (2)/c", "a (3)", "a/b"]),
            (["", "/", "..", "..."], ["unnamed", "unnamed (2)", "unnamed (3)", "unnamed (4)"]),
            (["CON", "con.txt", "lpt1.tar.gz", "console", "aux/nul"], None),
            (["a. ", "a..", "b <c>?.txt", 'q"q|*'], ["a", "a (2)", "b _c__.txt", "q_q__"]),
            ([".profile", ".profile"], [".profile", ".profile (2)"]),
            (["x" * 300 + ".txt", "x" * 300 + ".txt", "é" * 2000], None),
            (["e\u0301", "é", "ß", "SS"], ["é", "é (2)", "ß", "SS (2)"]),
            (["evil\u202egpj.exe", "nul\0", "new\nline"], None),
            (["\ud800", "a\ud800b"], ["unnamed", "ab"]),
            ([], []),
        ],
    )
    def test_they_are_safe_to_unpack(self, names: list[str], expected: list[str] | None) -> None:
        made = unpackable(names)
        assert expected is None or made == expected
        assert len(made) == len(names) == len({name.casefold() for name in made})
        folders = {name[: found.start()].casefold() for name in made for found in re.finditer("/", name)}
        assert not folders & {name.casefold() for name in made}
        for segment in (segment for name in made for segment in name.split("/")):
            assert segment not in ("", ".", "..")
            assert len(segment.encode()) <= 255
            assert not re.search(r'[\\\0-\x1f<>:"|?*\u202e]|[. ]\Z', segment)
            assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", segment)
        assert unpackable(made) == made

    @pytest.mark.parametrize(
        ("names", "folder"),
        [
            ([], ""),
            (["a"], ""),
            (["a/b"], "a/"),
            (["a/b", "a/c"], "a/"),
            (["a/b/c", "a/b/d", "a/e"], "a/"),
            (["ab/c", "ac/d"], ""),
            (["a/b", "ab"], ""),
            (["a/b/x", "a/bc/x"], "a/"),
        ],
    )
    def test_the_common_folder(self, names: list[str], folder: str) -> None:
        assert common_folder(names) == folder


_ZEROS = bytes(1 << 24)


def sparse(entries: list[Entry], path: Path) -> Path:
    """Write the archive to a file, with holes for zeros."""
    with path.open("wb") as file:
        for piece in stream(entries):
            if piece is _ZEROS:
                file.seek(len(piece), os.SEEK_CUR)
            else:
                file.write(piece)
        assert file.tell() == size(entries)
    return path


def zeros(length: int) -> Iterator[bytes]:
    yield from itertools.repeat(_ZEROS, length // len(_ZEROS))
    yield bytes(length % len(_ZEROS))


@pytest.mark.slow
def test_an_entry_of_4_gib_and_a_place_beyond(tmp_path: Path) -> None:
    """At the border, where a length looks like "see the Zip64 field"; for the programs that there are."""
    now, length = datetime.now(UTC), 2**32 - 1
    large = Entry("large", length, now, partial(zeros, length))
    first, last = (Entry(name, 5, now, lambda: [b"Hello"]) for name in ("first", "last"))
    archive = sparse([first, large, last], tmp_path / "a.zip")
    with zipfile.ZipFile(archive) as found:
        assert found.getinfo("large").file_size == length
        assert found.read("first") == found.read("last") == b"Hello"
    for command in (["unzip", "-tq"], ["7z", "t"], ["bsdtar", "-tf"]):
        if shutil.which(command[0]):
            subprocess.run([*command, archive], check=True, capture_output=True)


def test_a_content_of_another_length_is_an_error() -> None:
    for content in ([b"12"], [b"1", b"2", b"34"], []):
        with pytest.raises(ValueError, match="not 3"):
            list(stream([Entry("a", 3, datetime.now(UTC), lambda content=content: content)]))  # type: ignore[misc]


def test_very_many_entries() -> None:
    entries = [Entry(f"{number}", 0, datetime.now(UTC), lambda: []) for number in range(70_000)]
    data = b"".join(stream(entries))
    assert len(data) == size(entries)
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert len(found.namelist()) == 70_000
