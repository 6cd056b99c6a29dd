"""How programs save files over the drive: what they do in between costs no version."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from pymongo.errors import AutoReconnect
from werkzeug.test import TestResponse

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_deleted, file_saved
from flask_gridfs_pymongo.webdav import changes

from ..conftest import everyone
from ..helpers.drive import LOCK, Client, mounting


class Play:
    """``play("ann PUT a one; page PUT a two; 61 s later")`` does this, and gives what the versions of ``a`` hold.

    A user asks the drive; ``page`` is the blueprint.
    """

    def __init__(self, app: Flask, mongo: PyMongo) -> None:
        self._app, self._mongo = app, mongo
        self._tokens: dict[str, str] = {}
        self._drive: Client | None = None

    def __call__(self, steps: str, expected: tuple[int, ...] = (200, 201, 204), **options: Any) -> list[str]:
        if self._drive is None:
            options = {"authorize": everyone, **options}
            self._app.register_blueprint(self._mongo.uploads_blueprint(url_prefix="/uploads", **options))
            self._drive = mounting(self._app, self._mongo)(authenticate=lambda user, password: True, **options)
        for step in steps.split("; "):
            who, method, name, *more = step.split(" ")
            if method == "s":
                earlier(self._mongo, int(who))
            else:
                answer = self._ask(self._drive, who, method, name, *more)
                assert answer.status_code in expected, (step, answer.status_code, answer.text)
        bucket = self._mongo.bucket()
        return [b"".join(bucket.read(file)).decode() for _, file in bucket.versions("a")][::-1]

    def _ask(self, drive: Client, who: str, method: str, name: str, text: str = "") -> TestResponse:
        body = text.encode() if method == "PUT" else LOCK if method == "LOCK" else b""
        if who == "page":
            return drive.client.open(f"/uploads/{name}", method=method, data=body)
        fields = {"Authorization": f"Basic {base64.b64encode(f'{who}:'.encode()).decode()}"}
        if name in self._tokens:
            fields["If"] = f"({self._tokens[name]})"
        answer = drive.ask(method, name, body, to=text if method in ("MOVE", "COPY") else None, **fields)
        if "Lock-Token" in answer.headers:
            self._tokens[name] = answer.headers["Lock-Token"]
        elif method in ("DELETE", "MOVE"):  # which end the lock
            self._tokens.pop(name, None)
        return answer


@pytest.fixture
def play(app: Flask, mongo: PyMongo) -> Play:
    return Play(app, mongo)


def earlier(mongo: PyMongo, seconds: int) -> None:
    """Let everything have happened so much earlier."""
    for file in mongo.db.fs.files.find():
        changed = {"uploadDate": file["uploadDate"] - timedelta(seconds=seconds)}
        if "previousBy" in file:
            changed["previousBy.at"] = file["previousBy"]["at"] - timedelta(seconds=seconds)
        mongo.db.fs.files.update_one({"_id": file["_id"]}, {"$set": changed})


# The report, what is done, and the versions of "a" afterwards.
PLACEHOLDERS = [
    ("tracim/tracim#326", "ann PUT a one; ann PUT a two; ann PUT a; ann PUT a three", ["one", "two", "three"]),
    ("tracim/tracim#308", "ann PUT a; ann PUT a one; ann PUT a; ann PUT a two", ["one", "two"]),
    ("danmunn/redmine_dmsf#23", "ann PUT a one; ann PUT a; ann PUT a; ann PUT a; ann PUT a two", ["one", "two"]),
    ("mikedeboer/jsDAV#151", "ann LOCK a; ann PUT a; ann DELETE a; ann PUT a one", ["one"]),
    ("a lock first", "ann LOCK a; ann PUT a one", ["one"]),
    ("a lock and nothing", "ann LOCK a; ann PUT a; ann PUT a one", ["one"]),
    ("a lock of what is there", "ann PUT a one; ann LOCK a; ann PUT a; ann PUT a two", ["one", "two"]),
    ("filled by a move", "ann PUT a one; ann PUT b two; ann PUT a; ann MOVE b a", ["one", "two"]),
    ("filled by a copy", "ann PUT a one; ann PUT b two; ann PUT a; ann COPY b a", ["one", "two"]),
    ("put, renamed, filled", "ann PUT b; ann MOVE b a; ann PUT a one", ["one"]),
    ("nobody fills it", "ann PUT a one; ann PUT a", ["one", ""]),
    ("it is filled late", "ann PUT a one; ann PUT a; 61 s later; ann PUT a two", ["one", "", "two"]),
    ("it is filled just in time", "ann PUT a one; ann PUT a; 55 s later; ann PUT a two", ["one", "two"]),
    ("the clock was set back", "ann PUT a one; ann PUT a; -3600 s later; ann PUT a two", ["one", "", "two"]),
    ("the clocks of two servers differ", "ann PUT a one; ann PUT a; -5 s later; ann PUT a two", ["one", "two"]),
    ("another user fills it", "ann PUT a one; ann PUT a; bob PUT a two", ["one", "", "two"]),
    ("another door fills it", "ann PUT a one; ann PUT a; page PUT a two", ["one", "", "two"]),
    ("it came by another door", "ann PUT a one; page PUT a; ann PUT a two", ["one", "", "two"]),
    ("another door in between", "ann PUT a; page PUT a one; ann PUT a two", ["", "one", "two"]),
]


_SAVED = "ann PUT a 1; ann PUT a 2; "
_WORD = "ann PUT t new; ann MOVE a b; ann MOVE t a; ann DELETE b"
HISTORIES = [
    ("danmunn/redmine_dmsf#587, Word", _SAVED + _WORD, ["1", "2", "new"]),
    ("danmunn/redmine_dmsf#1413, vim", _SAVED + "ann MOVE a a~; ann PUT a new; ann DELETE a~", ["1", "2", "new"]),
    (
        "danmunn/redmine_dmsf#1413, davfs2 for vim",
        _SAVED + "ann LOCK 4913; ann DELETE 4913; ann MOVE a a~; ann LOCK a; ann DELETE a~; ann PUT a new",
        ["1", "2", "new"],
    ),
    (
        "danmunn/redmine_dmsf#185, Word with locks",
        _SAVED + f"ann LOCK a; ann LOCK t; {_WORD}",
        ["1", "2", "new"],
    ),
    ("nextcloud/server#9790, Excel", _SAVED + f"ann PUT t; ann LOCK t; {_WORD}", ["1", "2", "new"]),
    ("keeweb/keeweb#604, KeeWeb", _SAVED + "ann PUT .a.1 new; ann MOVE .a.1 a", ["1", "2", "new"]),
    (
        "PhilippC/keepass2android#3078, which deletes first",
        _SAVED + "ann PUT t new; ann DELETE a; ann MOVE t a",
        ["new"],
    ),
    (
        "schuyler/macdown3000#371, NSDocument",
        _SAVED + "ann MKCOL f/; ann PUT f/a new; ann MOVE a f/b; ann MOVE f/a a; ann DELETE f/",
        ["1", "2", "new"],
    ),
    (
        "MarkEdit-app/MarkEdit#870, the backup is removed late",
        _SAVED + "ann MOVE a a.sb; ann PUT a new; 300 s later; ann DELETE a.sb",
        ["1", "2", "new"],
    ),
    ("vim, backupcopy=yes", _SAVED + "ann PUT a~ 2; ann PUT a new; ann DELETE a~", ["1", "2", "new"]),
    (
        "emacs-lsp/lsp-mode#3516, Emacs, and the next save",
        _SAVED + "ann MOVE a a~; ann PUT a 3; ann DELETE a~; ann MOVE a a~; ann PUT a 4; ann DELETE a~",
        ["1", "2", "3", "4"],
    ),
    ("an empty file first", _SAVED + "ann MOVE a b; ann PUT a; ann PUT a new; ann DELETE b", ["1", "2", "new"]),
    ("a lock first", _SAVED + "ann MOVE a b; ann LOCK a; ann PUT a new; ann DELETE b", ["1", "2", "new"]),
    ("a copy", _SAVED + "ann PUT t new; ann MOVE a b; ann COPY t a; ann DELETE b", ["1", "2", "new"]),
    ("a copy of other content", "page PUT a 1; page PUT a 2; " + _WORD, ["1", "2", "new"]),
    ("one version", f"ann PUT a 1; {_WORD}", ["1", "new"]),
    ("twice", _SAVED + f"{_WORD}; {_WORD.replace('new', 'newer')}", ["1", "2", "new", "newer"]),
    (
        "two backups",
        _SAVED + "ann MOVE a b; ann PUT a 3; ann MOVE a c; ann PUT a 4; ann DELETE b; ann DELETE c",
        ["1", "2", "3", "4"],
    ),
    ("saved twice", _SAVED + "ann MOVE a b; ann PUT a 3; ann PUT a 4; ann DELETE b", ["1", "2", "3", "4"]),
    (
        "in a folder, as macOS does",
        _SAVED + "ann MKCOL f/; ann MOVE a f/a; ann PUT a new; ann DELETE f/",
        ["1", "2", "new"],
    ),
    ("just in time", _SAVED + "ann MOVE a b; 590 s later; ann PUT a new; ann DELETE b", ["1", "2", "new"]),
    ("the window is over", _SAVED + "ann MOVE a b; 601 s later; ann PUT a new; ann DELETE b", ["new"]),
    ("it is kept", _SAVED + "ann MOVE a b; ann PUT a new", ["new"]),
    ("another user renames it", _SAVED + "bob MOVE a b; ann PUT a new; ann DELETE b", ["new"]),
    ("another user puts the new one", _SAVED + "ann MOVE a b; bob PUT a new; ann DELETE b", ["new"]),
    ("another user deletes it", _SAVED + "ann MOVE a b; ann PUT a new; bob DELETE b", ["new"]),
    ("another user puts one more", _SAVED + "ann MOVE a b; ann PUT a 3; bob PUT a 4; ann DELETE b", ["3", "4"]),
    ("another door renames it", _SAVED + "page POST a?move=b; ann PUT a new; ann DELETE b", ["new"]),
    ("another door puts the new one", _SAVED + "ann MOVE a b; page PUT a new; ann DELETE b", ["new"]),
    ("another door puts one more", _SAVED + "ann MOVE a b; ann PUT a 3; page PUT a 4; ann DELETE b", ["3", "4"]),
    ("another door, then the drive", _SAVED + "ann MOVE a b; page PUT a 3; ann PUT a 4; ann DELETE b", ["3", "4"]),
    ("another door changes the old one", _SAVED + "ann MOVE a b; page PUT b 3; ann PUT a 4; ann DELETE b", ["4"]),
    (
        "another door moves the old one there and back",
        _SAVED + "ann MOVE a b; page POST b?move=c; page POST c?move=b; ann PUT a new; ann DELETE b",
        ["new"],
    ),
    ("another door deletes it", _SAVED + "ann MOVE a b; ann PUT a new; page DELETE b", ["new"]),
    ("deleted, then a new one", _SAVED + "ann MOVE a b; ann DELETE b; ann PUT a new", ["new"]),
    ("deleted at once", _SAVED + "ann DELETE a; ann PUT a new", ["new"]),
    ("an older file", f"ann PUT t old; {_SAVED}ann MOVE a b; ann MOVE t a; ann DELETE b", ["1", "2", "old"]),
    (
        "another user saves meanwhile",
        "ann PUT a 1; ann PUT t new; bob PUT a 2; ann MOVE a b; ann MOVE t a; ann DELETE b",
        ["1", "2", "new"],
    ),
    (
        "of a date to come",
        _SAVED + "-3600 s later; ann PUT t new; ann MOVE a b; ann MOVE t a; ann DELETE b",
        ["1", "2", "new"],
    ),
    (
        "two backups, the second goes first",
        _SAVED + "ann MOVE a b; ann PUT a 3; ann MOVE a c; ann PUT a 4; ann DELETE c; ann DELETE b",
        ["1", "2", "3", "4"],
    ),
    (
        "the backup of the last time",
        _SAVED + "ann PUT a~ 0; ann MOVE a a~; ann PUT a new; ann DELETE a~",
        ["0", "2", "new"],
    ),
    (
        "a folder of files, as macOS saves bundles",
        "ann MKCOL a.b/; ann PUT a.b/x 1; ann PUT a.b/y 1; ann MKCOL t/; ann PUT t/x 2; ann PUT t/y 2; "
        "ann MOVE a.b/ b/; ann MOVE t/ a.b/; ann DELETE b/; ann MOVE a.b/x a",
        ["1", "2"],
    ),
    ("deleted in turn", _SAVED + "ann MOVE a b; ann PUT a 3; ann DELETE a; ann DELETE b; ann PUT a 4", ["4"]),
]


@pytest.mark.parametrize(("report", "steps", "versions"), HISTORIES)
def test_history_survives_how_editors_save(
    play: Play, mongo: PyMongo, report: str, steps: str, versions: list[str]
) -> None:
    assert play(steps) == versions, report
    chunks = mongo.db.fs.chunks.count_documents({})
    assert chunks == mongo.db.fs.files.count_documents({}), "what is deleted leaves nothing"


@pytest.mark.parametrize(
    ("refused", "versions"), [("write a", ["new"]), ("delete b", ["new"]), ("read a", ["1", "2", "new"])]
)
def test_history_needs_write_of_the_one_and_delete_of_the_other(
    play: Play, mongo: PyMongo, refused: str, versions: list[str]
) -> None:
    late: list[str] = []
    play(_SAVED + "ann MOVE a b; ann PUT a new", authorize=lambda action, name: f"{action} {name}" not in late)
    late.append(refused)
    assert play("ann DELETE b", (403,) if refused == "delete b" else (204,)) == versions


def test_a_move_over_a_file_that_broke_off_costs_no_version(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its repetition only deletes what it has copied; another one with the same content is a version."""

    def gone(file: Any, **options: Any) -> None:
        raise AutoReconnect("gone")

    play("ann PUT a one; ann PUT b two")
    with monkeypatch.context() as broken:
        broken.setattr(changes, "_remove_one", gone)
        assert play("ann MOVE b a", (503,)) == ["one", "two"]
    assert play("ann MOVE b a") == ["one", "two"]
    assert play("ann GET b", (404,)) == ["one", "two"]
    assert play("ann PUT b two; ann MOVE b a") == ["one", "two", "two"]


def test_history_of_a_name_that_another_tool_decomposed(play: Play, mongo: PyMongo) -> None:
    decomposed, bucket = "e\u0301", mongo.bucket()
    bucket.save(decomposed, [b"1"])
    play(f"ann MOVE {decomposed} b; ann PUT {decomposed} new; ann DELETE b")
    assert [b"".join(bucket.read(file)) for _, file in bucket.versions("\xe9")] == [b"new", b"1"]


def test_keep_versions_counts_them_together(play: Play) -> None:
    saves = [f"ann MOVE a b; ann PUT a {number}; ann DELETE b; 7200 s later" for number in range(3)]
    assert play(f"ann PUT a first; {'; '.join(saves)}", keep_versions=2) == ["1", "2"]


def test_the_application_is_told_that_no_version_was_deleted(app: Flask, play: Play) -> None:
    heard: list[tuple[str, int]] = []

    def deleted(sender: Flask, file: Any, versions: int) -> None:
        heard.append((file.filename, versions))

    with file_deleted.connected_to(deleted, app):
        play(_SAVED + _WORD)
    assert heard == [("b", 0)]


@pytest.mark.parametrize(("report", "steps", "versions"), PLACEHOLDERS)
def test_an_empty_file_that_is_filled_at_once_is_no_version(
    play: Play, report: str, steps: str, versions: list[str]
) -> None:
    assert play(steps) == versions, report


def test_keep_versions_waits_until_it_is_filled(play: Play) -> None:
    steps = "ann PUT a one; ann PUT a two; 7200 s later; ann PUT a; 50 s later; ann PUT a three; ann PUT a"
    assert play(steps, keep_versions=2) == ["two", "three", ""]


def test_the_application_is_told_of_what_was_deleted(app: Flask, play: Play) -> None:
    heard: list[tuple[str, int]] = []

    def saved(sender: Flask, file: Any) -> None:
        heard.append(("saved", file.length))

    def deleted(sender: Flask, file: Any, versions: int) -> None:
        heard.append(("deleted", file.length))

    with file_saved.connected_to(saved, app), file_deleted.connected_to(deleted, app):
        play("ann PUT a; ann PUT a one")
    assert heard == [("saved", 0), ("saved", 3), ("deleted", 0)]


def test_documents_at_rest_name_nobody(play: Play, mongo: PyMongo) -> None:
    play("ann PUT a one; ann COPY a b; ann LOCK c; ann MOVE b d")
    assert "ann" not in str([*mongo.db.fs.files.find()])
    assert mongo.bucket()._claims.remove_all() == 3
    assert mongo.db.fs.files.count_documents({"previousBy": {"$exists": True}}) == 0
