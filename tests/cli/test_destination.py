"""cli/destination.py: what a dry run refuses, dates, names in another normal form, and what killed commands left."""

from __future__ import annotations

import io
import os
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import gridfs
import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.cli.replacing import check_replaceable, replacing

from ..conftest import BIG, put
from ..helpers.commands import call, plant, tree

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def both(app: Flask, *arguments: str | Path) -> tuple[int, list[str], list[str]]:
    """Return what a dry run says, after which the run says the same."""
    dry = call(app, "sync", "--dry-run", *arguments)
    assert call(app, "sync", *arguments) == dry
    return dry


def test_a_dry_run_finds_what_the_run_refuses(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket, here = real.bucket(), plant(tmp_path / "here", "folder/x", "file", "hash", "z/same")
    for name in (
        "folder",
        "file/x",
        "pipe",
        "link",
        "out/x",
        "new/" + "y" * 256 + "/a",
        "../x",
        "z",
        "z/same",
        "z-",
        "gone",
    ):
        put(bucket, name, b"z/same" if name == "z/same" else b"1")
    for name in ("made", "made/x", "made-", "made/y/z", "made0"):  # "made" is in the way of two others
        put(bucket, name, b"1")
    bucket.files.update_one({"_id": put(bucket, "hash", b"2").id}, {"$set": {"sha256": "0" * 64}})
    bucket.files.update_one({"_id": put(bucket, "length", b"2").id}, {"$set": {"length": -1}})
    bucket.chunks.delete_one({"files_id": put(bucket, "chunk", BIG).id, "n": 1})
    bucket.files.insert_one({"length": 0, "chunkSize": 1})  # without a name
    os.mkfifo(here / "pipe")
    (here / "link").symlink_to("file")
    (here / "out").symlink_to(tmp_path)
    before = tree(tmp_path)
    dry = call(app, "sync", "--dry-run", "gridfs:", here)
    assert tree(tmp_path) == before
    assert call(app, "sync", "gridfs:", here) == dry
    assert (dry.status, dry.lines) == (1, ["get gone", "get made", "get made-", "get made0", "get z-"])
    refused = [line.partition(":")[0] for line in dry.errors]
    assert refused[:-1] == [
        "../x", "chunk", "file/x", "folder", "hash", "length", "link", "made/x", "made/y/z",
        "new/" + "y" * 256 + "/a", "out/x", "pipe", "z",
    ]  # fmt: skip


def test_a_dry_run_opens_what_the_run_would_read(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    here = plant(tmp_path / "here", "a", "b")
    if os.geteuid():
        (here / "a").chmod(0)
    (here / os.fsdecode(b"\xff")).write_bytes(b"1")
    status, lines, errors = both(app, here, "gridfs:x")
    assert (status, lines[-1]) == (1, "put x/b")
    assert len(errors) == 1 + bool(os.geteuid())


def test_what_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root may write everywhere, the test asks the function that does not try."""
    here = plant(tmp_path, "closed/a")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed")
    for path, blamed in (("closed/a", "closed/a"), ("closed/b", "closed/b"), ("closed/new/er/b", "closed/new")):
        with pytest.raises(PermissionError) as caught:
            check_replaceable(str(here / path))
        assert caught.value.filename == str(here / blamed)
    check_replaceable(str(here / "open"))


@pytest.mark.parametrize("command", [["get", "/"], ["get", "a/b"], ["sync", "gridfs:"]])
def test_files_get_the_dates_of_their_versions(command: list[str], app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket, here = real.bucket(), plant(tmp_path / "here", "a/b")
    dates = {
        "a/b": datetime(2019, 5, 6, 7, 8, 9, 123000, UTC),
        "undated": None,
        "old": datetime(1950, 1, 1, tzinfo=UTC),
    }
    for name, date in dates.items():
        bucket.files.update_one({"_id": put(bucket, name, b"1").id}, {"$set": {"uploadDate": date}})
    bucket.files.insert_one({"_id": 1, "filename": "unknown", "length": 0, "chunkSize": 1})
    bucket.files.insert_one({"_id": 2, "filename": "late", "length": 0, "chunkSize": 1, "uploadDate": datetime.max})
    now = datetime.now(UTC).timestamp()
    assert call(app, *command, here) == (
        0,
        [f"get {name}" for name in sorted([*dates, "late", "unknown"])] * (command[0] == "sync"),
        [],
    )
    got = {str(path.relative_to(here)): path.stat().st_mtime for path in here.rglob("*") if path.is_file()}
    got["a/b"] = got.pop("b", got.get("a/b", 0))
    assert got["a/b"] == dates["a/b"].timestamp()
    for name in got.keys() - {"a/b", "late"}:  # what nobody knows is the time of the copy
        assert got[name] == pytest.approx(now, abs=60)


class TestNamesInAnotherForm:
    def test_up_and_down_there_is_one_file(self, app: Flask, real: PyMongo, tmp_path: Path) -> None:
        """As macOS sends it, in the name of a folder and of a file."""
        bucket, here = real.bucket(), plant(tmp_path, f"{DECOMPOSED}/{DECOMPOSED}.txt", "plain")
        assert both(app, here, "gridfs:") == (0, [f"put {COMPOSED}/{COMPOSED}.txt", "put plain"], [])
        for arguments in ((here, "gridfs:"), ("gridfs:", here)):
            assert call(app, "sync", *arguments) == (0, [], [])
        put(bucket, f"{COMPOSED}/{COMPOSED}.txt", b"new")
        put(bucket, f"{COMPOSED}/plain", b"new")
        assert both(app, "gridfs:", here).lines == [f"get {COMPOSED}/{COMPOSED}.txt", f"get {COMPOSED}/plain"]
        expected = {f"{DECOMPOSED}/{DECOMPOSED}.txt": b"new", f"{DECOMPOSED}/plain": b"new", "plain": b"plain"}
        assert tree(here) == expected
        assert call(app, "get", "/", here) == (0, [], [])
        assert tree(here) == expected

    def test_a_folder_with_both_forms(self, app: Flask, real: PyMongo, tmp_path: Path) -> None:
        """They cannot both be stored; again and again it is the same one."""
        here = plant(tmp_path, COMPOSED, DECOMPOSED)
        for printed in ([f"put {COMPOSED}"], []):
            status, lines, errors = both(app, here, "gridfs:") if not printed else call(app, "sync", here, "gridfs:")
            assert (status, lines, len(errors)) == (1, printed, 1)
            assert errors[0].startswith(f"{here}/{DECOMPOSED}: not stored: ")
        assert real.bucket().count(COMPOSED) == 1

    def test_what_others_stored_decomposed(self, app: Flask, real: PyMongo, tmp_path: Path) -> None:
        driver = gridfs.GridFSBucket(real.db)
        driver.upload_from_stream(f"d/{DECOMPOSED}", io.BytesIO(b"theirs"))
        assert call(app, "cat", f"d/{DECOMPOSED}").lines == ["theirs"]
        here = plant(tmp_path / "here", COMPOSED)
        (here / COMPOSED).write_bytes(b"theirs")
        assert call(app, "sync", "gridfs:d", here) == (0, [], [])
        put(real.bucket(), f"d/{COMPOSED}", b"ours")  # now there are two
        for printed in ([f"get d/{DECOMPOSED}", f"get d/{COMPOSED}"], []):
            assert call(app, "sync", "gridfs:d", here).lines == printed
        assert tree(here) == {COMPOSED: b"ours", DECOMPOSED: b"theirs"}
        assert call(app, "sync", here, "gridfs:d").lines == []

    def test_every_command_finds_the_composed_name(self, app: Flask, real: PyMongo, tmp_path: Path) -> None:
        bucket, here = real.bucket(), plant(tmp_path, DECOMPOSED)
        folder, name = unicodedata.normalize("NFD", "é"), "é/é"
        assert call(app, "put", here / DECOMPOSED, f"{folder}/") == (0, [], [])
        assert call(app, "put", here / DECOMPOSED, f"{folder}/{folder}") == (0, [], [])
        assert call(app, "ls", folder).lines == call(app, "ls", f"{folder}/").lines == [f"é/{COMPOSED}", name]
        given = f"{folder}/{folder}"
        assert call(app, "cat", given).lines == [DECOMPOSED]
        assert call(app, "stat", given).lines[0] == f"    name: {name}"
        assert call(app, "du", given).status == call(app, "get", given, tmp_path / "out").status == 0
        assert call(app, "get", folder, tmp_path / "out2").status == 0
        assert call(app, "sync", f"gridfs:{folder}", tmp_path / "out3").lines == [f"get é/{COMPOSED}", f"get {name}"]
        assert call(app, "cp", given, f"{folder}/{folder}{folder}") == (0, [], [])
        assert call(app, "mv", f"{folder}/{folder}{folder}", f"{folder}{folder}") == (0, [], [])
        assert call(app, "rm", "--yes", given) == (0, [], [])
        assert sorted(bucket.files.distinct("filename")) == [f"é/{COMPOSED}", "éé"]
        bucket.rename("éé", folder * 2)  # as others stored it
        assert call(app, "mv", folder * 2, "éé") == (0, [], [])


def test_a_killed_command_leaves_its_part_to_the_next_one(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    """And to no command in which it still runs."""
    here = plant(tmp_path / "here", "a")
    put(real.bucket(), "a", BIG)
    for command in (["get", "a", here / "a"], ["get", "/", here], ["sync", "gridfs:", here]):
        with replacing(str(here / "b"), datetime.now(UTC)) as running:
            plant(here, "a", ".gridfs-0123456789abcdef.part", ".gridfs-no.part")
            assert call(app, *command).status == 0
            assert len(list(here.glob(".gridfs-*"))) == 2
            running.write(b"b")
        assert tree(here) == {"a": BIG, "b": b"b", ".gridfs-no.part": b".gridfs-no.part"}
