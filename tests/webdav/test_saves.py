"""How programs save files over the drive: what they do in between costs no version."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_deleted, file_saved

from ..conftest import everyone
from ..helpers.drive import LOCK, mounting

Play = Callable[..., list[str]]


@pytest.fixture
def play(app: Flask, mongo: PyMongo) -> Play:
    """``play("ann PUT a one; page PUT a two; 61 s later")`` does this, and gives what the versions of ``a`` hold.

    A user asks the drive; ``page`` is the blueprint. Other options are those of both.
    """

    def play(steps: str, **options: Any) -> list[str]:
        options = {"authorize": everyone, **options}
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", **options))
        client = mounting(app, mongo)(authenticate=lambda user, password: True, **options)
        tokens: dict[str, str] = {}
        for step in steps.split("; "):
            who, method, name, *more = step.split(" ")
            if method == "s":
                earlier(mongo, int(who))
                continue
            if who == "page":
                answer = client.client.open(f"/uploads/{name}", method=method, data="".join(more))
            else:
                fields = {"Authorization": f"Basic {base64.b64encode(f'{who}:'.encode()).decode()}"}
                if name in tokens:
                    fields["If"] = f"({tokens[name]})"
                body = LOCK if method == "LOCK" else "".join(more).encode() if method == "PUT" else b""
                answer = client.ask(method, name, body, to=more[0] if method in ("MOVE", "COPY") else None, **fields)
                tokens |= {name: token} if (token := answer.headers.get("Lock-Token", "")) else {}
            assert answer.status_code in (200, 201, 204), (step, answer.status_code, answer.text)
        return [b"".join(mongo.bucket().read(file)).decode() for _, file in mongo.bucket().versions("a")][::-1]

    return play


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
    ("haiwen/seafdav#99", "ann PUT a one; ann PUT a; ann PUT a; ann PUT a; ann PUT a two", ["one", "two"]),
    ("a lock first", "ann LOCK a; ann PUT a one", ["one"]),
    ("a lock and nothing", "ann LOCK a; ann PUT a; ann PUT a one", ["one"]),
    ("a lock of what is there", "ann PUT a one; ann LOCK a; ann PUT a; ann PUT a two", ["one", "two"]),
    ("filled by a move", "ann PUT a one; ann PUT b two; ann PUT a; ann MOVE b a", ["one", "two"]),
    ("filled by a copy", "ann PUT a one; ann PUT b two; ann PUT a; ann COPY b a", ["one", "two"]),
    ("put, renamed, filled", "ann PUT b; ann MOVE b a; ann PUT a one", ["one"]),
    ("nobody fills it", "ann PUT a one; ann PUT a", ["one", ""]),
    ("it is filled late", "ann PUT a one; ann PUT a; 61 s later; ann PUT a two", ["one", "", "two"]),
    ("it is filled just in time", "ann PUT a one; ann PUT a; 55 s later; ann PUT a two", ["one", "two"]),
    ("another user fills it", "ann PUT a one; ann PUT a; bob PUT a two", ["one", "", "two"]),
    ("another door fills it", "ann PUT a one; ann PUT a; page PUT a two", ["one", "", "two"]),
    ("it came by another door", "ann PUT a one; page PUT a; ann PUT a two", ["one", "", "two"]),
    ("another door in between", "ann PUT a; page PUT a one; ann PUT a two", ["", "one", "two"]),
]


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
