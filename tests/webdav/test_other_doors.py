"""Locks and properties of the drive, if another door deletes or renames the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import NewFile, Sweep
from flask_gridfs_pymongo.store.locks import locked

from ..conftest import Commands
from ..helpers.doors import PROPERTY, Doors, opened
from ..helpers.drive import LOCK
from ..helpers.renames import break_off

NAME, NEW, FOLDER = "f/a b.txt", "g/n\xe9w?.txt", "?folder=f/"


@pytest.fixture
def doors(mongo: PyMongo, uri: str) -> Iterator[Doors]:
    with opened(uri) as doors:
        yield doors


def expire(doors: Doors) -> None:
    past = datetime.now(UTC) - timedelta(days=2)
    doors.mongo.db.fs.files.update_many({"filename": NAME}, {"$set": {"metadata.expiresAt": past}})
    assert [gone.file.filename for gone in Sweep(doors.bucket).run()] == [NAME] * 2


def delete_each(doors: Doors) -> None:
    for _, version in doors.bucket.versions(NAME):
        doors.bucket.delete(id=version.id)


Way = Callable[[Doors], Any]
DELETES: dict[str, Way] = {
    "DELETE": lambda doors: doors.status("DELETE", "/u/f/a%20b.txt"),
    "POST ?delete": lambda doors: doors.status("POST", "/u/f/a%20b.txt?delete", {"confirm": "1"}),
    "a selection": lambda doors: doors.status("POST", "/u/?delete", {"id": doors.id_of(NAME), "confirm": "1"}),
    "rm": lambda doors: doors.command("rm", "--all-versions", "--yes", NAME),
    "rm -r": lambda doors: doors.command("rm", "-r", "--all-versions", "--yes", "f/"),
    "expire": expire,
    "delete": lambda doors: doors.bucket.delete(NAME),
    "delete, each version": delete_each,
    "delete_many": lambda doors: doors.bucket.delete_many([one.id for _, one in doors.bucket.versions(NAME)]),
    "the drive": lambda doors: doors.status("DELETE", "/dav/f/a%20b.txt", If="(<DAV:none>)(Not <DAV:none>)"),
}
RENAMES: dict[str, Way] = {
    "?move": lambda doors: doors.status("POST", "/u/f/a%20b.txt?move=g/n%C3%A9w%3F.txt"),
    "mv": lambda doors: doors.command("mv", NAME, NEW),
    "rename": lambda doors: doors.bucket.rename(NAME, NEW),
    "rename_many": lambda doors: doors.bucket.rename_many({NAME: NEW, "f/other": "g/other"}),
}


def prepared(doors: Doors) -> str:
    """Two versions of a file with a property and a lock, beside another one; returns the lock's token."""
    for name in (NAME, NAME, "f/other"):
        doors.bucket.save(name, [b"x"])
    for url in ("/dav/f/a%20b.txt", "/dav/f/other"):
        assert doors.status("PROPPATCH", url, PROPERTY) == 207
    answer = doors.http.open("/dav/f/a%20b.txt", method="LOCK", data=LOCK)
    return answer.headers["Lock-Token"]


def has_property(doors: Doors, url: str) -> bool:
    assert doors.status("PROPFIND", url, Depth="0") == 207
    return b">red<" in doors.answer


@pytest.mark.parametrize("way", DELETES)
def test_they_go_with_a_deleted_file(doors: Doors, way: str) -> None:
    """RFC 4918 section 9.6; OpenMarshal/npm-WebDAV-Server#82, golang/go#42839."""
    token = prepared(doors)
    if way == "the drive":
        assert doors.status("UNLOCK", "/dav/f/a%20b.txt", Lock_Token=token) == 204
    DELETES[way](doors)
    assert doors.bucket.count(NAME) == 0
    assert doors.status("UNLOCK", "/dav/f/a%20b.txt", Lock_Token=token) == 204
    assert doors.bucket.dav.locks.all() == []
    assert doors.status("MKCOL", "/dav/f/") in (201, 405)
    assert doors.status("PUT", "/dav/f/a%20b.txt", b"another file") == 201
    assert not has_property(doors, "/dav/f/a%20b.txt")
    if way != "rm -r":
        assert has_property(doors, "/dav/f/other")


@pytest.mark.parametrize("way", RENAMES)
def test_they_go_with_a_renamed_file(doors: Doors, way: str) -> None:
    """Properties do; a lock ends (RFC 4918 section 7.7)."""
    token = prepared(doors)
    RENAMES[way](doors)
    assert doors.bucket.count(NEW) == 2
    assert doors.status("UNLOCK", "/dav/f/a%20b.txt", Lock_Token=token) == 204
    assert doors.bucket.dav.locks.all() == []
    doors.bucket.save(NAME, [b"another file"])
    assert doors.status("PUT", "/dav/f/a%20b.txt", b"one more") == 204
    assert has_property(doors, "/dav/g/n%C3%A9w%3F.txt")
    assert not has_property(doors, "/dav/f/a%20b.txt")
    assert has_property(doors, "/dav/g/other" if way == "rename_many" else "/dav/f/other")


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("name", [NAME, NEW])
def test_properties_go_with_a_file_whose_rename_the_next_write_completes(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, early: bool, name: str
) -> None:
    prepared(doors)
    with monkeypatch.context() as patched:
        break_off(patched, early=early)
        with pytest.raises(AutoReconnect):
            doors.bucket.rename(NAME, NEW)
    doors.http.open("/dav/g/n%C3%A9w%3F.txt", method="LOCK", data=LOCK)
    doors.bucket.save(name, [b"another file"])
    doors.bucket.save(NAME, [b"one more"])
    assert has_property(doors, "/dav/g/n%C3%A9w%3F.txt")
    assert not has_property(doors, "/dav/f/a%20b.txt")
    assert [locked(lock) for lock in doors.bucket.dav.locks.all()] == [NAME, NEW]


@pytest.mark.parametrize("way", ["PUT", "save_many", "MOVE", "COPY"])
def test_they_do_not_pass_on_from_an_expired_file(doors: Doors, way: str) -> None:
    """Nobody has deleted it yet when another file takes its name."""
    token = prepared(doors)
    past = datetime.now(UTC) - timedelta(seconds=1)
    doors.mongo.db.fs.files.update_one({"_id": doors.bucket.newest(NAME).id}, {"$set": {"metadata.expiresAt": past}})
    if way == "save_many":
        doors.bucket.save_many([NewFile(name, [b"another file"]) for name in (NAME, "f/more")])
    elif way == "PUT":
        assert doors.status("PUT", "/dav/f/a%20b.txt", b"another file") == 201
    else:
        doors.bucket.save("g", [b"another file"])
        assert doors.status(way, "/dav/g", Destination="/dav/f/a%20b.txt") == 201
    assert not has_property(doors, "/dav/f/a%20b.txt")
    assert doors.bucket.dav.locks.all() == []
    assert doors.status("UNLOCK", "/dav/f/a%20b.txt", Lock_Token=token) == 409
    assert has_property(doors, "/dav/f/other")


def test_they_stay_with_other_versions(doors: Doors) -> None:
    token = prepared(doors)
    doors.bucket.delete(NAME, 0)
    doors.status("PUT", "/u/f/a%20b.txt", b"one more")
    assert has_property(doors, "/dav/f/a%20b.txt")
    assert f"<{doors.bucket.dav.locks.all()[0]['token']}>" == token


@pytest.mark.parametrize("method", ["PUT", "LOCK"])
def test_a_lock_ends_if_another_tool_deletes_the_file(doors: Doors, method: str) -> None:
    """haiwen/seafdav#99: the name is locked for an hour, and nobody can end it."""
    prepared(doors)
    doors.mongo.db.fs.files.delete_many({"filename": NAME})
    assert doors.status(method, "/dav/f/a%20b.txt", LOCK if method == "LOCK" else b"") == 201
    assert len(doors.bucket.dav.locks.all()) == (method == "LOCK")


def test_the_lock_of_a_folder_stays_if_a_file_of_its_name_goes(doors: Doors) -> None:
    for name in ("a", "a/1"):
        doors.bucket.save(name, [b"x"])
    assert doors.status("LOCK", "/dav/a/", LOCK) == 200
    assert doors.status("DELETE", "/u/a") == 204
    assert doors.status("PUT", "/dav/a/1", b"x") == 423


FOLDER_DELETES: dict[str, Way] = {
    "a selection": lambda doors: doors.status("POST", "/u/?delete", {"folder": "f/", "sure": "1"}),
    "rm -r": lambda doors: doors.command("rm", "-r", "--all-versions", "--yes", "f"),
}
FOLDER_MOVES: dict[str, Way] = {
    "a selection": lambda doors: doors.status("POST", "/u/?move=g", {"folder": "f/"}),
    "a new name": lambda doors: doors.status("POST", "/u/?move=g", {"folder": "f/", "name": "h"}),
    "mv": lambda doors: doors.command("mv", "f", "g"),
    "mv of what is in it": lambda doors: doors.command("mv", "f/", "g/h"),
}


def filled_folder(doors: Doors) -> None:
    """Two folders, an empty one, properties and a lock."""
    for folder in ("f", "f/sub", "f/empty", "other"):
        assert doors.status("MKCOL", f"/dav/{folder}/") == 201
        assert doors.status("PROPPATCH", f"/dav/{folder}/", PROPERTY) == 207
    for name in ("f/a", "f/sub/b", "other/c"):
        assert doors.status("PUT", f"/u/{name}", b"x") == 201


@pytest.mark.parametrize("way", FOLDER_DELETES)
def test_a_folder_that_is_deleted_goes_with_all_that_is_kept_of_it(doors: Doors, way: str) -> None:
    filled_folder(doors)
    assert doors.status("LOCK", "/dav/f/", LOCK) == 200
    FOLDER_DELETES[way](doors)
    assert [*doors.bucket.dav.folders("", 9)] == ["other/"]
    assert doors.bucket.dav.locks.all() == []
    assert doors.status("PROPFIND", "/dav/f/") == 404
    for name in ("f/a", "f/sub/b"):
        assert doors.status("PUT", f"/u/{name}", b"x") == 201
    assert [has_property(doors, f"/dav/{folder}/") for folder in ("f", "f/sub", "other")] == [False, False, True]


@pytest.mark.parametrize("way", FOLDER_MOVES)
def test_a_folder_that_is_moved_takes_along_what_is_kept_of_it(doors: Doors, way: str) -> None:
    filled_folder(doors)
    FOLDER_MOVES[way](doors)
    new = "g/f/" if way in ("a selection", "mv") else "g/h/"
    assert {*doors.bucket.dav.folders("", 9)} == {new, f"{new}sub/", f"{new}empty/", "other/"}
    assert doors.status("PROPFIND", "/dav/f/") == 404
    assert all(has_property(doors, f"/dav/{folder}") for folder in (new, f"{new}sub/", f"{new}empty/"))


def test_a_folder_stays_if_a_file_is_left_in_it(doors: Doors) -> None:
    filled_folder(doors)
    assert doors.command("rm", "-r", "--yes", "f/sub", "f/a") == 0
    doors.status("PUT", "/u/f/sub/b", b"1")
    doors.status("PUT", "/u/f/sub/b", b"2")
    assert doors.command("rm", "-r", "--yes", "f") == 0  # the newest version
    doors.status("PUT", "/u/g/sub/b", b"taken")
    assert doors.status("POST", "/u/?move=g", {"folder": "f/sub/"}) == 200
    assert doors.command("rm", "-r", "--yes", "f/empty/") == 1  # there is none for the commands
    assert {*doors.bucket.dav.folders("", 9)} == {"f/", "f/empty/", "other/"}
    assert has_property(doors, "/dav/f/")


def test_a_failure_leaves_the_file_deleted(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(doors)

    def fail(*arguments: Any) -> None:
        raise AutoReconnect

    monkeypatch.setattr(doors.bucket.dav, "_kept", fail)
    assert doors.bucket.delete(NAME) == 2


def test_it_costs_one_round_trip_and_only_if_the_drive_keeps_something(uri: str, mongo: PyMongo) -> None:
    commands = Commands()
    with opened(uri, event_listeners=[commands]) as doors:
        for kept in (0, 1):
            for name in ("a", "b"):
                doors.status("PUT", f"/u/{name}", b"x")
            counts = []
            for method, url in (("DELETE", "/u/a"), ("POST", "/u/b?move=c")):
                commands.sent.clear()
                assert doors.status(method, url) < 300
                counts.append(len(commands.sent))
            assert [count - kept for count in counts] == [4, 7], commands.sent
            doors.bucket.delete("c")
            doors.status("MKCOL", "/dav/folder/")
