"""store/links.py: the counter of a link under racing, failing and dying uploads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, Link
from flask_gridfs_pymongo.store.clock import Clock

from ..conftest import put


def later(monkeypatch: pytest.MonkeyPatch, **passed: float) -> None:
    now = Clock.now
    monkeypatch.setattr(Clock, "now", lambda clock: now(clock) + timedelta(**passed))


def make(store: Bucket, **limits: Any) -> Link:
    return store.links.create("upload", "inbox/", "uploads", **{"lifetime": 3600, **limits})


def state(store: Bucket, link: Link) -> tuple[int, str]:
    found = store.links.get(link.id)
    assert found is not None
    return found.files, found.status


def test_the_database_knows_no_token(store: Bucket) -> None:
    link = make(store, max_size=10, max_files=2, types=["image/*"], maker="ann")
    found = store.links.find(link.token)
    assert found == link
    assert found.token == ""
    assert link.token not in repr(link)
    assert link.token not in str(store.collections.links.find_one())
    assert store.links.find(link.token[:-1]) is store.links.find(link.id) is store.links.find("\ud800") is None


def test_racing_uploads_never_pass_the_limit(store: Bucket) -> None:
    link = make(store, max_files=5)

    def commit(number: int) -> bool:
        file_id = ObjectId()
        if taken := store.links.take(link, [file_id]):
            store.links.settle(link, [file_id])
        return taken

    with ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(commit, range(20))) == 5
    assert state(store, link) == (5, "used up")


def test_places_of_what_is_not_stored_are_given_back(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    link, stored, lost = make(store, max_files=2), put(store, "inbox/a", b"a").id, ObjectId()
    assert not store.links.take(link, [ObjectId(), ObjectId(), ObjectId()])
    assert store.links.take(link, [stored, lost])
    assert store.links.take(link, [lost, stored])  # repeated: the answer was lost
    assert state(store, link) == (0, "used up")
    assert not store.links.take(link, [ObjectId()])
    store.links.resolve(link.id, [lost])
    assert store.links.take(link, [lost])
    later(monkeypatch, minutes=11)  # the process was killed: one file is stored, the other one never will be
    assert state(store, link) == (1, "valid")
    assert store.links.take(link, [lost])
    store.links.settle(link, [lost])
    store.links.settle(link, [lost])  # repeated
    assert state(store, link) == (2, "used up")


def test_what_was_left_behind_is_found_by_whoever_needs_a_place(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    link = make(store, max_files=3)
    assert store.links.take(link, [ObjectId(), ObjectId()])
    assert not store.links.take(link, [ObjectId(), ObjectId()])
    later(monkeypatch, minutes=11)
    assert store.links.take(link, [ObjectId(), ObjectId()])


def test_one_without_a_limit_counts_too(store: Bucket) -> None:
    link, ids = make(store), [ObjectId() for _ in range(3)]
    assert store.links.take(link, ids)
    store.links.settle(link, ids[:2])
    assert state(store, link) == (2, "valid")


def test_its_end(store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    revoked, expired = make(store), make(store)
    assert store.links.revoke(revoked.id)
    assert not store.links.revoke(revoked.token)
    assert (state(store, revoked), store.links.take(revoked, [ObjectId()])) == ((0, "revoked"), False)
    later(monkeypatch, seconds=3601)
    assert (state(store, expired), store.links.take(expired, [ObjectId()])) == ((0, "expired"), False)
    assert store.collections.links.index_information()["expires_1"]["expireAfterSeconds"] == 7 * 86400


def test_one_that_is_only_signed_is_stored_when_it_is_used(store: Bucket) -> None:
    signed = make(store, max_files=1)
    store.collections.links.delete_many({})
    signed = Link(**{**vars(signed), "kind": "put", "path": "a.png"})
    with ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(lambda _: store.links.take(signed, [ObjectId()]), range(10))) == 1
    assert store.links.list() == []


def test_listing_and_the_command(app: Flask, mongo: PyMongo, store: Bucket) -> None:
    inbox, other = make(store, max_files=5), store.links.create("share", "photos/", "uploads", lifetime=60)
    below, gone = store.links.create("upload", "inbox/a/", "uploads", lifetime=60), make(store)
    store.links.revoke(gone.id)
    assert store.links.list() == [inbox, below, other]
    assert (store.links.list("inbox/"), store.links.list("inbox/", exact=True)) == ([inbox, below], [inbox])
    cli = app.test_cli_runner()
    lines = cli.invoke(args=["gridfs", "links"]).output.splitlines()
    assert [(line.split()[0], line.split()[-1]) for line in lines] == [
        *((inbox.id, "inbox/"), (below.id, "inbox/a/"), (other.id, "photos/"))
    ]
    assert "0 of 5 received" in lines[0]
    done = cli.invoke(args=["gridfs", "links", "--revoke", inbox.id])
    assert (done.exit_code, done.output) == (0, "")
    assert cli.invoke(args=["gridfs", "links", "--revoke", "unknown"]).exit_code == 2
    (left,) = json.loads(cli.invoke(args=["gridfs", "links", "inbox/", "--json"]).output)
    assert (left["id"], left["max_files"], left["files"]) == (below.id, None, 0)
    document = store.collections.links.find_one({"_id": below.id})
    assert document is not None
    store.collections.links.insert_many({**document, "_id": str(number)} for number in range(1000))
    assert len(cli.invoke(args=["gridfs", "links", "inbox/"]).output.splitlines()) == 1001
    assert len(store.links.list("inbox/", limit=5)) == 5


def test_in_mongomock() -> None:
    app = Flask(__name__)
    store = PyMongo(app, uri="mongomock://localhost/links").bucket()
    link = make(store, max_files=1)
    assert store.links.find(link.token) == link
    assert store.links.take(link, [1])
    assert not store.links.take(link, [2])
    store.links.resolve(link.id, [1])
    assert store.links.take(link, [2])
    assert [found.id for found in store.links.list("inbox/")] == [link.id]
