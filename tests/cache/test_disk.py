"""cache/disk.py and cache/folder.py, over content that needs no database: what is read is what would be fetched."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import stat
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from flask_gridfs_pymongo.cache import Entry, disk
from flask_gridfs_pymongo.cache.disk import Disk
from flask_gridfs_pymongo.cache.folder import Folder

from ..conftest import content
from ..helpers.replica import until

SIZE = 3000
WEEK = 7 * 86400


def made(path: Path, size: int = 10**6, max_age: int = WEEK, pinned: int = 0, origin: str = "localhost") -> Disk:
    return Disk(Folder(str(path / "cache"), size, max_age, pinned), origin, "/_files/")


def entry(name: str = "a", length: int = SIZE, *, hashed: bool = True, modified: float = 1000.25) -> Entry:
    tag = hashlib.sha256(name.encode()).hexdigest()[:32]
    return Entry(name, tag, length, hashlib.sha256(content(length)).hexdigest() if hashed else None, modified)


class Source:
    """Where content is fetched: counts how often."""

    def __init__(self, length: int = SIZE) -> None:
        self.data, self.asked = content(length), 0

    def __call__(self, start: int, stop: int) -> Generator[bytes, None, None]:
        self.asked += 1
        for at in range(start, stop, 1000):
            yield self.data[at : min(at + 1000, stop)]


def get(disk: Disk, wanted: Entry | None = None, start: int = 0, stop: int | None = None) -> int:
    """Read an entry, which must be right; return how often it was fetched."""
    wanted = wanted or entry()
    source, stop = Source(wanted.length), wanted.length if stop is None else stop
    assert b"".join(disk.read(wanted, start, stop, source)) == source.data[start:stop]
    return source.asked


def files(path: Path) -> list[Path]:
    return [found for found in sorted((path / "cache").rglob("*")) if len(found.name) > 30]


@pytest.mark.parametrize("hashed", [True, False])
def test_what_was_read_whole_is_not_fetched_again(tmp_path: Path, hashed: bool) -> None:
    wanted, first, other = entry(hashed=hashed), made(tmp_path), made(tmp_path)
    assert [get(one, wanted) for one in (first, first, other, made(tmp_path))] == [1, 0, 0, 0]
    for span in ((0, 1), (999, 1001), (SIZE - 1, SIZE), (5, 5)):
        assert get(other, wanted, *span) == 0
    (found,) = files(tmp_path)
    assert (found.stat().st_mtime, found.read_bytes()) == (1000.25, content(SIZE))
    assert get(made(tmp_path, origin="elsewhere"), wanted) == 1
    assert get(first, wanted._replace(tag="0" * 32)) == 1
    assert get(first, wanted._replace(owner="b")) == 1
    assert first.folder.hits() == 6


def test_what_is_not_read_to_its_end_is_not_kept(tmp_path: Path) -> None:
    kept = made(tmp_path)
    pieces = kept.read(entry(), 0, SIZE, Source())
    next(pieces)
    assert [found.suffix for found in files(tmp_path)] == [".part"]
    pieces.close()
    assert files(tmp_path) == []

    def failing(start: int, stop: int) -> Generator[bytes, None, None]:
        yield content(SIZE)[:1000]
        raise ConnectionError("the database")

    with pytest.raises(ConnectionError):
        list(kept.read(entry(), 0, SIZE, failing))
    assert files(tmp_path) == []
    assert get(kept, entry(length=0)) == 0


def test_a_hash_that_differs_from_the_document_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrong = entry()._replace(sha256="0" * 64)
    assert [get(made(tmp_path), wrong) for _ in range(2)] == [1, 1]
    assert files(tmp_path) == []
    assert "not the SHA-256" in caplog.text


class TestRanges:
    def test_a_range_fetches_the_file_in_the_background(self, tmp_path: Path) -> None:
        kept = made(tmp_path)
        assert get(kept, None, 5, 10) == 1
        until(lambda: [found.suffix for found in files(tmp_path)] == [""], 10)
        assert get(kept, None, 5, 10) == get(made(tmp_path)) == 0
        assert list(kept.peek(entry("b"), 0, 5, Source())) == [content(SIZE)[:5]]
        assert list(kept.peek(entry(), 0, 5, failing)) == [content(SIZE)[:5]]

    def test_a_full_queue_keeps_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kept, going = made(tmp_path), threading.Event()

        def slow(start: int, stop: int) -> Generator[bytes, None, None]:
            if stop == SIZE:
                going.wait(10)
            yield content(SIZE)[start:stop]

        for n in range(disk._MAX_JOBS + 5):
            for _ in range(2):
                assert list(kept.read(entry(str(n)), 0, 5, slow)) == [content(SIZE)[:5]]
        assert len(kept._jobs) == disk._MAX_JOBS
        going.set()
        until(lambda: not kept._jobs, 10)
        assert len(files(tmp_path)) == disk._MAX_JOBS
        monkeypatch.setattr(disk, "_MAX_FETCHED", SIZE)
        get(kept, entry("large"), 0, 5)
        assert not kept._jobs

    def test_what_fails_in_the_background_is_logged_and_the_next_is_done(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        kept = made(tmp_path)

        def broken(start: int, stop: int) -> Generator[bytes, None, None]:
            if stop == SIZE:
                raise ValueError("no such chunk")
            yield b"12345"

        assert list(kept.read(entry(), 0, 5, broken)) == [b"12345"]
        until(lambda: not kept._jobs, 10)
        get(kept, None, 0, 5)
        until(lambda: bool(files(tmp_path)) and not kept._jobs, 10)
        assert "no such chunk" in caplog.text


def failing(start: int, stop: int) -> Generator[bytes, None, None]:
    raise AssertionError("was fetched")
    yield b""


def overwrite(path: Path) -> None:
    """Other bytes, with the old dates."""
    before = path.stat()
    path.write_bytes(bytes(SIZE))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path, make: Callable[[Path], Any]) -> None:
    path.unlink()
    make(path)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "other bytes": lambda path: path.write_bytes(bytes(SIZE)),
    "other bytes, with the old dates": overwrite,
    "another file": lambda path: replace(path, lambda path: path.write_bytes(bytes(SIZE))),
    "truncated": lambda path: os.truncate(path, SIZE - 1),
    "empty": lambda path: os.truncate(path, 0),
    "longer": lambda path: os.truncate(path, SIZE + 1),
    "missing": Path.unlink,
    "a symbolic link": lambda path: replace(path, lambda path: path.symlink_to("/etc/passwd")),
    "a link to nothing": lambda path: replace(path, lambda path: path.symlink_to("none")),
    "a pipe": lambda path: replace(path, os.mkfifo),
    "a socket": lambda path: replace(path, lambda path: os.mknod(path, stat.S_IFSOCK | 0o600)),
    "others may write": lambda path: path.chmod(0o666),
}


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_file_is_replaced(tmp_path: Path, damage: str, hashed: bool) -> None:
    wanted, known = entry(hashed=hashed), made(tmp_path)
    get(known, wanted)
    for reader in (known, made(tmp_path)):
        (path,) = files(tmp_path)
        DAMAGES[damage](path)
        assert [get(reader, wanted), get(reader, wanted)] == [1, 0]
    assert [found.read_bytes() for found in files(tmp_path)] == [content(SIZE)]


def test_a_file_that_is_truncated_while_it_is_read_is_read_on_from_the_database(tmp_path: Path) -> None:
    length = 1_000_000
    kept, wanted, source = made(tmp_path, 10**8), entry(length=length), Source(length)
    get(kept, wanted)
    pieces = kept.read(wanted, 0, length, source)
    first = next(pieces)
    os.truncate(files(tmp_path)[0], len(first) + 100)
    assert first + b"".join(pieces) == source.data
    assert source.asked == 1


def test_what_is_being_read_is_read_to_its_end(tmp_path: Path) -> None:
    length = 1_000_000
    kept, wanted = made(tmp_path, 10**8), entry(length=length)
    get(kept, wanted)
    pieces = kept.read(wanted, 0, length, failing)
    first = next(pieces)
    kept.forget(wanted.owner)
    assert files(tmp_path) == []
    assert first + b"".join(pieces) == content(length)


def test_a_large_file_is_verified_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get(made(tmp_path))
    monkeypatch.setattr(disk, "_MAX_AT_ONCE", SIZE - 1)
    other = made(tmp_path)
    assert get(other) == 1
    until(lambda: not other._jobs, 10)
    assert get(other) == 0


class TestTheFolder:
    def test_modes_and_groups_are_the_same_with_any_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o077)
        try:
            (tmp_path / "cache").mkdir()
            if os.geteuid() == 0:
                os.chown(tmp_path / "cache", -1, 12345)
            get(made(tmp_path))
        finally:
            os.umask(before)
        (path,) = files(tmp_path)
        group = (tmp_path / "cache").stat().st_gid
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o640, group)
        assert (stat.S_IMODE(path.parent.stat().st_mode), path.parent.stat().st_gid) == (0o2750, group)

    def test_links_to_folders_are_not_followed(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "cache").mkdir()
        outside = tmp_path / "outside"
        outside.mkdir()
        kept = made(tmp_path)
        name = kept._key(entry())
        (outside / name).write_bytes(b"foreign")
        (tmp_path / "cache" / name[:2]).symlink_to(outside)
        assert [get(kept), get(kept), get(made(tmp_path))] == [1, 1, 1]
        kept.forget("a")
        kept.folder.sweep()
        kept.folder.clear()
        assert [path.read_bytes() for path in outside.iterdir()] == [b"foreign"]
        assert len(caplog.records) == 2

    def test_a_folder_in_which_others_may_write_is_not_used(self, tmp_path: Path) -> None:
        kept = made(tmp_path)
        get(kept)
        files(tmp_path)[0].parent.chmod(0o777)
        assert [get(kept), get(kept)] == [1, 1]

    def test_other_files_stay(self, tmp_path: Path) -> None:
        kept = made(tmp_path, size=1)
        (tmp_path / "cache" / "00").mkdir(parents=True, mode=0o700)
        others = [tmp_path / "cache" / name for name in ("notes", "00/notes", "00/00", f"00/{'0' * 32}-{'g' * 32}")]
        for path in others:
            path.write_bytes(b"x" * 100)
        get(kept)
        kept.folder.clear()
        assert all(path.exists() for path in others)
        assert list(kept.folder.rows()) == []

    @pytest.mark.parametrize("path", ["/dev/null/cache", "/proc/none/cache"])
    def test_no_folder(self, path: str, caplog: pytest.LogCaptureFixture) -> None:
        kept = Disk(Folder(path, 10**6, WEEK, 0), "")
        assert [get(kept), get(kept), get(kept, None, 0, 5)] == [1, 1, 1]
        until(lambda: not kept._jobs, 10)
        kept.forget("a")
        assert kept.hand_over(entry()) is None
        assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1

    @pytest.mark.parametrize("function", ["write", "mkdir", "rename", "fsync", "ftruncate", "open", "pread"])
    def test_a_disk_that_is_full_read_only_or_broken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, function: str
    ) -> None:
        def refuse(*arguments: Any, **options: Any) -> Any:
            raise OSError(28, "No space left on device")

        get(made(tmp_path), entry("b"))
        kept = made(tmp_path)
        with monkeypatch.context() as broken:
            broken.setattr(os, function, refuse)
            assert [get(kept), get(kept)] == [1, 1]
            assert get(kept, entry("b")) == (function in ("open", "pread"))
        assert len(caplog.records) == 1
        assert len(files(tmp_path)) == 1 + (function == "pread")
        assert [get(kept), get(kept)] == [int(function != "pread"), 0]

    def test_a_table_of_uses_that_is_garbage(self, tmp_path: Path) -> None:
        kept = made(tmp_path)
        table = tmp_path / "cache" / ".uses"
        for make in (
            lambda: table.write_bytes(b"\xff" * 5000),
            lambda: table.write_bytes(b"x"),
            lambda: table.symlink_to("/etc/passwd"),
            table.mkdir,
            lambda: os.mkfifo(table),
        ):
            assert get(kept, entry("b")) in (0, 1)
            table.unlink(missing_ok=True) if not table.is_dir() else table.rmdir()
            make()
            assert get(kept, entry("b")) == 0
            kept.folder.hits()
            kept.folder.sweep()
            assert len(files(tmp_path)) == 1


class TestEviction:
    def test_what_was_used_last_stays_and_the_size_is_kept(self, tmp_path: Path) -> None:
        kept, other = made(tmp_path, size=SIZE * 10), made(tmp_path, size=SIZE * 10)
        for n in range(50):
            get((kept, other)[n % 2], entry(str(n)))
            assert get(other, entry("0")) == 0
            assert sum(path.stat().st_size for path in files(tmp_path)) <= SIZE * 10
        assert len(files(tmp_path)) >= 8
        assert [get(kept, entry(str(n))) for n in (0, 49, 48, 20)] == [0, 0, 0, 1]

    def test_a_file_that_is_too_large_drives_nothing_out(self, tmp_path: Path) -> None:
        kept = made(tmp_path, size=SIZE * 2)
        get(kept)
        assert [get(kept, entry("b", SIZE * 2 + 1)) for _ in range(2)] == [1, 1]
        assert get(kept) == 0

    def test_what_nobody_used_goes_by_age(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = made(tmp_path)
        for name in "ab":
            get(kept, entry(name))
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + WEEK - 10)
        get(kept, entry("a"))
        monkeypatch.setattr(time, "time", lambda: now + WEEK + 10)
        kept._swept -= disk._SWEEP_PERIOD + 1
        assert get(kept, entry("a")) == 0
        until(lambda: not kept._jobs, 10)
        assert len(files(tmp_path)) == 1
        assert [get(kept, entry("a")), get(kept, entry("b"))] == [0, 1]

    def test_what_a_web_server_may_be_sending_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = made(tmp_path, size=SIZE * 3, pinned=600)
        for name in "abc":
            get(kept, entry(name))
            assert kept.hand_over(entry(name))
        assert get(kept, entry("d")) == get(kept, entry("d")) == 1
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 601)
        assert [get(kept, entry("d")), get(kept, entry("d"))] == [1, 0]


class TestProcesses:
    def test_two_that_write_the_same_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kept, other = made(tmp_path), made(tmp_path)
        pieces = kept.read(entry(), 0, SIZE, Source())
        first = next(pieces)
        assert [get(other), get(other)] == [1, 1]  # the first one is writing it
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 100)
        assert [get(other), get(other)] == [1, 0]  # it was too slow
        assert first + b"".join(pieces) == content(SIZE)
        assert [path.read_bytes() for path in files(tmp_path)] == [content(SIZE)]
        assert get(kept) == 0

    @pytest.mark.parametrize("end", [list, Generator.close])
    def test_one_that_was_too_slow_leaves_the_other_alone(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        end: Callable[[Any], Any],
    ) -> None:
        slow, fast = (made(tmp_path).read(entry(), 0, SIZE, Source()) for _ in range(2))
        next(slow)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 100)
        first = next(fast)
        end(slow)
        assert first + b"".join(fast) == content(SIZE)
        assert get(made(tmp_path)) == 0
        assert caplog.records == []

    @pytest.mark.parametrize("hashed", [True, False])
    def test_one_that_is_killed_at_any_moment(self, tmp_path: Path, hashed: bool) -> None:
        """At each call of the operating system in turn."""
        wanted, step, ended = entry(hashed=hashed), 0, False
        while not ended:
            child = os.fork()
            if not child:
                _die_at_call(step)
                get(made(tmp_path), wanted)
                os._exit(1)
            ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
            reader = made(tmp_path)
            assert get(reader, wanted, 5, 10) in (0, 1)
            until(lambda reader=reader: not reader._jobs, 10)  # type: ignore[misc]
            assert get(reader, wanted) == 0
            assert [path.read_bytes() for path in files(tmp_path)] == [content(SIZE)]
            reader.folder.clear()
            step += 1
        assert step > 15

    def test_what_killed_ones_left_is_swept(self, tmp_path: Path) -> None:
        child = os.fork()
        if not child:
            pieces = made(tmp_path).read(entry(), 0, SIZE, Source())
            os._exit(not next(pieces))
        os.waitpid(child, 0)
        assert [path.suffix for path in files(tmp_path)] == [".part"]
        made(tmp_path).folder.sweep()
        assert files(tmp_path) == []

    def test_eight_at_once(self, tmp_path: Path) -> None:
        """They read, range, forget and evict the same files."""
        children = []
        for seed in range(8):
            child = os.fork()
            if not child:
                try:
                    _work(made(tmp_path, size=SIZE * 12), random.Random(seed))
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
        last = made(tmp_path, size=SIZE * 12)
        assert last.folder.sweep() <= SIZE * 12
        assert not [path for path in files(tmp_path) if path.suffix]


def _work(kept: Disk, chance: random.Random) -> None:
    for _ in range(15):
        wanted = entry(str(chance.randrange(20)), hashed=chance.random() < 0.5)
        action = chance.randrange(10)
        if action == 0:
            kept.forget(wanted.owner)
        elif action < 4:
            get(kept, wanted, 10, 20)
        else:
            get(kept, wanted)


def _die_at_call(number: int) -> None:
    """Let this process end at its call of that number of a function that touches the disk."""
    left = [number]

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **options: Any) -> Any:
            if not left[0]:
                os._exit(0)
            left[0] -= 1
            return call(*arguments, **options)

        return counting

    for name in ("open", "mkdir", "makedirs", "write", "pwrite", "ftruncate", "fchmod", "utime", "fsync", "rename"):
        setattr(os, name, wrapped(getattr(os, name)))
