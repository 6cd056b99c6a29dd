"""cli/local.py: no stored name is ever written elsewhere, and a file is replaced as a whole or not at all."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.cli import local
from flask_gridfs_pymongo.cli.replacing import replacing
from flask_gridfs_pymongo.store import Bucket

from ..conftest import BIG, put
from ..helpers.commands import call, plant, start, tree

EVERYWHERE = [
    "", "/", "..", "../x", "a/../../x", "a/..", ".", "./a", "a/./b", "/etc/passwd", "//x", "a//b", "a/", "a\0b", "\0",
]  # fmt: skip
ON_WINDOWS = [
    r"..\x", r"a\..\..\x", r"\\host\share\x", r"C:\x", "C:x", "C:/x", "a:b", "a/b:$DATA", "con", "CON", "a/Nul.txt",
    "aux/b", "com1", "lpt9.tar.gz", "COM\u00b2", "conin$", "a.", "a /b", "a./b", "what?", "a*", 'a"b', "a<b", "a|b",
    "line\nbreak",
]  # fmt: skip
FINE = [
    "a",
    "a/b",
    "...",
    "..a",
    "a..",
    " a",
    "-rf",
    "~",
    "~root/x",
    "$HOME",
    "console",
    "nul_",
    "é",
    "日本",
    "a\u202eb",
]


@pytest.mark.parametrize("name", [*EVERYWHERE, *ON_WINDOWS, *FINE])
def test_a_name_is_a_path_or_refused(name: str, tmp_path: Path) -> None:
    windows = name in FINE and not name.endswith(".")
    for system, taken in ((False, name not in EVERYWHERE), (True, windows)):
        if taken:
            local.check_path(name, windows=system)
        else:
            with pytest.raises(ValueError, match=r"^not written: .* is not a valid path: "):
                local.check_path(name, windows=system)


@given(st.text(st.sampled_from("./\\\0a:"), max_size=12))
def test_no_path_leaves_its_folder(name: str) -> None:
    try:
        path = local.path_of(name)
    except ValueError:
        return
    assert os.path.normpath(os.path.join("/here", path)) == f"/here/{path}"


def test_names_that_get_and_sync_refuse(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket, here = real.bucket(), tmp_path / "here"
    for name in [*EVERYWHERE, "fine"]:
        put(bucket, name, b"1")
    bucket.files.insert_one({"length": 0, "chunkSize": 1})  # without a name
    for command in (["get", "/"], ["sync", "gridfs:"]):
        status, _, errors = call(app, *command, here)
        assert (status, len(errors)) == (1, len(EVERYWHERE) + 1)
        assert tree(tmp_path) == {"here/fine": b"1"}
        (here / "fine").unlink()
    assert call(app, "get", "../x", "a/../../x", tmp_path / "last") == (0, [], [])  # the last part is a path
    assert call(app, "get", "a/..", tmp_path / "last").status == 1
    assert call(app, "get", "/etc/passwd", tmp_path / "copy").status == 0
    assert tree(tmp_path) == {"last/x": b"1", "copy": b"1"}


def test_symbolic_links_lead_nowhere(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket, here, outside = real.bucket(), tmp_path / "here", plant(tmp_path / "outside", "x")
    for name in ("link/x", "link/new/y", "file", "last", "gone/z", "round/z", "inner/x", "null", "chain", "chained/x"):
        put(bucket, name, b"1")
    here.mkdir()
    (here / "link").symlink_to(outside)
    (here / "file").symlink_to(outside / "x")
    (here / "gone").symlink_to(tmp_path / "nowhere")
    (here / "last").symlink_to(tmp_path / "nowhere")
    (here / "round").symlink_to("round")
    (here / "null").symlink_to("/dev/null")
    (here / "chain").symlink_to("file")
    (here / "chained").symlink_to("link")
    (here / "real").mkdir()
    (here / "inner").symlink_to("real")
    for command in (["get", "/"], ["sync", "gridfs:"]):
        status, _, errors = call(app, *command, here)
        assert (status, [line.partition(":")[0] for line in errors]) == (
            1,
            ["chain", "chained/x", "file", "gone/z", "last", "link/new/y", "link/x", "null", "round/z"],
        )
        assert tree(outside) == {"x": b"x"}
        assert (here / "real" / "x").read_bytes() == b"1"
        assert (here / "file").is_symlink()
        assert (here / "last").is_symlink()
        assert not (tmp_path / "nowhere").exists()
        assert call(app, "sync", "--dry-run", "gridfs:", here).errors == errors


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("links", [["other/file"], ["next", "other/next", "file"], ["other/../next", "other/file"]])
def test_get_replaces_what_its_destination_leads_to(
    app: Flask, real: PyMongo, tmp_path: Path, links: list[str], there: bool
) -> None:
    put(real.bucket(), "a", b"new")
    target, link = plant(tmp_path, "other/x") / "other" / "file", tmp_path / "first"
    if there:
        target.write_bytes(b"old")
        target.chmod(0o640)
    for leads_to in links:
        link.symlink_to(leads_to)
        link = link.parent / leads_to
    assert call(app, "get", "a", tmp_path / "first") == (0, [], [])
    assert (tmp_path / "first").readlink() == Path(links[0])
    assert tree(tmp_path / "other").keys() - {"next"} == {"x", "file"}
    assert target.read_bytes() == b"new"
    assert not there or target.stat().st_mode & 0o777 == 0o640


def test_get_goes_round_no_circle_of_links(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    put(real.bucket(), "a", b"new")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    status, _, errors = call(app, "get", "a", tmp_path / "a")
    assert (status, len(errors), sorted(os.listdir(tmp_path))) == (1, 1, ["a", "b"])


@pytest.mark.parametrize("links", [["/dev/fd/1"], ["stdout", "/proc/self/fd/1"], ["fd/1", "/dev/fd"], []])
def test_get_writes_to_an_open_descriptor(uri: str, real: PyMongo, tmp_path: Path, links: list[str]) -> None:
    put(real.bucket(), "a", BIG)
    link = tmp_path / "link"  # as /dev/stdout is one, which no failure of this test shall replace
    for leads_to in links:
        link.symlink_to(leads_to)
        link = tmp_path / leads_to.removesuffix("/1")
    before = {path: path.readlink() for path in tmp_path.iterdir()}
    with (tmp_path / "out").open("w+b") as output:
        output.write(b"before")
        output.flush()
        with start(uri, "get", "a", tmp_path / "link" if links else "/dev/fd/1", stdout=output) as process:
            assert process.communicate() == (None, b"")
        assert process.returncode == 0
        output.write(b"after")
    assert (tmp_path / "out").read_bytes() == b"before" + BIG + b"after"
    assert {path: path.readlink() for path in tmp_path.iterdir() if path.is_symlink()} == before


def test_get_writes_to_devices_and_pipes(app: Flask, real: PyMongo, tmp_path: Path) -> None:
    put(real.bucket(), "a", BIG)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for place in ("pipe", "link"):
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit((tmp_path / "pipe").read_bytes)
            result = call(app, "get", "a", tmp_path / place)
            if result.status:
                (tmp_path / "pipe").write_bytes(b"")  # for the reader
            assert result == (0, [], [])
            assert reading.result() == BIG
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "next").symlink_to("null")
    for place in ("/dev/null", tmp_path / "null", tmp_path / "next"):
        assert call(app, "get", "a", place) == (0, [], [])
    assert (tmp_path / "null").is_symlink()
    assert Path("/dev/null").is_char_device()
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("command", [["get", "/"], ["sync", "gridfs:"]])
def test_what_is_in_the_way_stays(command: list[str], app: Flask, real: PyMongo, tmp_path: Path) -> None:
    bucket, here = real.bucket(), plant(tmp_path / "here", "folder/x", "file")
    for name in ("folder", "file/x", "pipe", "z" * 256, "z"):
        put(bucket, name, b"1")
    os.mkfifo(here / "pipe")
    status, _, errors = call(app, *command, here)
    assert (status, [line.partition(":")[0] for line in errors]) == (1, ["file/x", "folder", "pipe", "z" * 256])
    assert tree(here) == {"folder/x": b"folder/x", "file": b"file", "z": b"1"}
    assert (here / "pipe").is_fifo()


@pytest.mark.parametrize(
    "command", [["get", "d/"], ["get", "d"], ["get", "a", "b"], ["sync", "gridfs:"], ["get", "a", "slash"]]
)
def test_a_place_that_is_no_folder_is_refused_at_once(
    command: list[str], app: Flask, real: PyMongo, tmp_path: Path
) -> None:
    for name in ("a", "b", "d/e", "d/f"):
        put(real.bucket(), name, b"1")
    place = f"{plant(tmp_path, 'place')}/place"
    status, _, errors = call(app, *command, place)
    assert (status, errors[-1]) == (2, f"Error: {place!r} exists and is not a folder")
    assert tree(tmp_path) == {"place": b"place"}


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path, date = tmp_path / "a" / "b", datetime(2019, 5, 6, tzinfo=UTC)
    with replacing(str(path), date) as file:
        file.write(b"1")
        assert not path.exists()
    path.chmod(0o640)
    with pytest.raises(KeyboardInterrupt), replacing(str(path), date) as file:  # noqa: PT012
        file.write(b"2")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"a/b": b"1"}
    with replacing(str(path), date) as file:
        file.write(b"3")
    assert tree(tmp_path) == {"a/b": b"3"}
    assert path.stat().st_mode & 0o777 == 0o640


class TestWalk:
    def test_it_has_an_end_and_the_order_of_the_store(self, real_store: Bucket, tmp_path: Path) -> None:
        names = ["a-b", "a.b", "a/b", "a/é", "a/\U0001f600", "a/\uffee", "a/z/z", "ab", "b/.gridfs-1.part", "\x01", " "]
        plant(tmp_path, *names, "b/.gridfs-0123456789abcdef.part")
        (tmp_path / "a" / "loop").symlink_to(tmp_path)
        (tmp_path / "link").symlink_to("a-b")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "empty").mkdir()
        told: list[str] = []
        found = list(local.walk(str(tmp_path), pytest.fail, lambda path, reason: told.append(f"{path}: {reason}")))
        for name in names:
            put(real_store, name, b"")
        assert found == [row.file.filename for page in real_store.pages() for row in page.rows]
        assert sorted(told) == [
            f"{tmp_path}/a/loop: left out: a symbolic link",
            f"{tmp_path}/link: left out: a symbolic link",
            f"{tmp_path}/pipe: left out: not a regular file",
        ]

    def test_folders_may_be_deep(self, tmp_path: Path) -> None:
        """Deeper than the interpreter's calls, and then than any path."""
        deep = os.open(tmp_path, os.O_RDONLY)
        for _ in range(2100):
            os.mkdir("d", dir_fd=deep)
            below = os.open("d", os.O_RDONLY, dir_fd=deep)
            os.close(deep)
            deep = below
        os.close(deep)
        told: list[object] = []
        try:
            assert list(local.walk(str(tmp_path), lambda path, error: told.append(error), pytest.fail)) == []
        finally:
            subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # Python's own way is too deep
        assert [str(error).startswith("[Errno 36] File name too long") for error in told] == [True]
