"""What ``authorize`` hides is told by nothing: a bucket with hidden files answers as one that does not have them."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from typing import Any

import pytest
from bson.objectid import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from examples.private import users
from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service.options import Authorize
from flask_gridfs_pymongo.store.listing import by_value as orders

from ..conftest import HTML, JSON, Commands, seeds
from ..helpers.visibility import NAMES, document, folders_of

VALUES: dict[str, tuple[str | None, ...]] = {
    "order": (None, "newest", "size", "type", "-name", "-newest", "-size", "-type"),
    "q": (None, "a", "1", ".TXT"),
    "prefix": (None, "a", "a/b", "c/"),
    "folder": (None, "", "a/", "a/b/", "c/", "none/"),
    "view": (None, "table"),
}
QUERIES = [
    {name: value for name, value in zip(VALUES, values, strict=True) if value is not None}
    for values in product(*VALUES.values())
]


FOLDERS = sorted({folder for name in NAMES for folder in folders_of(name)})


Serve = Callable[..., FlaskClient]


@pytest.fixture
def serve(uri: str) -> Iterator[Serve]:
    """``serve(documents, authorize)`` gives a client of a blueprint at ``/u`` on a bucket with these documents."""
    with ExitStack() as stack:

        def start(
            documents: list[dict[str, Any]], authorize: Authorize, base: str = "fs", **options: Any
        ) -> FlaskClient:
            app = Flask(base)
            mongo = PyMongo(app, uri=uri, **options)
            stack.callback(mongo.cx.close)
            if documents:
                mongo.db[base].files.insert_many(documents)
            app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", base=base, authorize=authorize))
            return app.test_client()

        yield start


def answers(client: FlaskClient, url: str | None, accept: dict[str, str]) -> Iterator[tuple[int, dict[str, str], str]]:
    """The answer, and those of all pages after it."""
    while url:
        answer = client.get(url, headers=accept)
        headers = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
        yield answer.status_code, headers, re.sub("(upload|selection)-[0-9]+", "ID", answer.text)
        data = client.get(url, headers=JSON).get_json(silent=True) or {}
        url = data.get("next")
        assert not url or data["files"] or data["folders"], "a page that has a next one has a row"


def names(client: FlaskClient, url: str) -> list[str]:
    """What a listing shows on all its pages."""
    found: list[str] = []
    following: str | None = url
    while following:
        answer = client.get(following, headers=JSON)
        assert answer.status_code == 200
        found += [row["name"] for row in answer.json["folders"]] + [row["filename"] for row in answer.json["files"]]
        following = answer.json["next"]
    return found


@pytest.mark.parametrize("seed", seeds(6))
def test_no_answer_differs_from_that_of_a_bucket_without_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(orders, "_SCAN", rng.choice([2, 5, 128]))
    monkeypatch.setattr(orders, "_CANDIDATES", rng.choice([2, 7, 1000]))
    monkeypatch.setattr("flask_gridfs_pymongo.uploads.read.listing._PAGE_SIZE", rng.choice([1, 2, 3, 5, 100]))
    often, folders = rng.choice([0.1, 0.5, 0.9]), rng.choice([0, 0.2])
    hidden = {("read", name) for name in NAMES if rng.random() < often}
    hidden |= {("list", folder) for folder in FOLDERS if rng.random() < folders}

    def authorize(action: str, filename: str | None) -> bool:
        return (action, filename) not in hidden

    def is_listed(filename: str) -> bool:
        return authorize("read", filename) and all(authorize("list", folder) for folder in folders_of(filename))

    stored = [
        document(name, rng.randrange(4), rng.randrange(8), rng.choice(["image/png", "text/plain", "text/html"]))
        for name in NAMES
        for _ in range(rng.choice([1, 1, 1, 2, 5]))
    ]
    listed = [found for found in stored if is_listed(found["filename"])]
    clients = [serve(stored, authorize, "whole"), serve(listed, authorize, "listed")]

    urls = [clients[0].get("/u/", query_string=query).request.full_path for query in rng.sample(QUERIES, 12)]
    for found in stored:
        if not authorize("read", found["filename"]):
            urls += [f"/u/?id={found['_id']}", f"/u/?id={found['_id']}&details", f"/u/{found['filename']}?versions"]
    for url in urls:
        accept = rng.choice([JSON, HTML])
        whole, without = (list(answers(client, url, accept)) for client in clients)
        assert whole == without, url


@pytest.mark.parametrize("query", ["", "&details", "&versions", "&delete", "&download", "&id=1"])
def test_an_id_that_was_guessed_tells_nothing(serve: Serve, query: str) -> None:
    hidden = document("hidden")
    web = serve([hidden, document("seen")], lambda action, name: name != "hidden")
    for method in ("GET", "HEAD", "POST", "DELETE"):
        there, absent = (
            web.open(f"/u/?id={found}{query}", method=method, headers=JSON) for found in (hidden["_id"], ObjectId())
        )
        assert (there.status_code, there.headers, there.data) == (absent.status_code, absent.headers, absent.data)
        assert method != "GET" or there.status_code == 404


ROWS = [document(f"ann/salary {number:03}.txt", 1, number) for number in range(120)]


@pytest.mark.parametrize(
    "query",
    ["", "?q=salary", "?prefix=ann/", "?prefix=a", "?order=newest", "?order=size&q=1", "?order=type", "?folder="],
)
@pytest.mark.parametrize("own", [0, 1, 100, 101])
def test_a_page_is_full_of_what_is_permitted(serve: Serve, query: str, own: int) -> None:
    """With one's own files before and after those of somebody else, as the example has it."""
    mine = [document(f"{folder}bob/salary a1 {number}", 1, 60) for number in range(own) for folder in ("", "ann/")]

    def authorize(action: str, filename: str | None) -> bool:
        return filename in (None, "ann/", "bob/") or "bob/" in filename

    page = serve(ROWS + mine, authorize).get(f"/u/{query}", headers=JSON).json
    assert "salary 0" not in str(page)
    expected = {"": 2 * own, "?prefix=ann/": own, "?prefix=a": own}.get(query, 2 * own)
    if query == "?folder=":
        assert ([row["name"] for row in page["folders"]], page["next"]) == (["ann/", "bob/"][: 2 * own], None)
    else:
        assert (len(page["files"]), page["next"] is None) == (min(expected, 100), expected <= 100)


@pytest.mark.parametrize(
    "query", ["", "prefix=b", "prefix=by/link/", "q=1", "order=newest", "order=size", "folder=&q=b"]
)
@pytest.mark.parametrize("refused", ["by/", "by/link/"])
def test_a_folder_that_may_not_be_listed_is_listed_by_no_query(serve: Serve, query: str, refused: str) -> None:
    """What is in it is there for those who know its name."""
    stored = [document(name) for name in ("by/link/1", "by/link/deep/1", "by/1", "b1")]
    web = serve(stored, lambda action, name: action != "list" or name != refused)
    expected = [] if "prefix=by" in query else ["b1"] if refused == "by/" else ["b1", "by/1"]
    assert sorted(names(web, f"/u/?{query}")) == expected
    assert web.get(f"/u/?folder={refused}", headers=JSON).status_code == 403
    assert web.get("/u/by/link/1?details", headers=JSON).status_code == 200


def test_a_folder_without_a_readable_file_does_not_show_its_name(serve: Serve) -> None:
    stored = [document(name) for name in ("ann/secret merger/1", "ann/1", "bob/deep/er/2", "bob/1", "c/d/e")]
    web = serve(stored, lambda action, name: action == "list" or str(name).startswith("bob/deep"))
    assert names(web, "/u/?folder=") == ["bob/"]
    assert names(web, "/u/?folder=bob/") == ["bob/deep/"]
    assert names(web, "/u/?folder=ann/") == []


def test_the_rule_of_the_example(serve: Serve) -> None:
    stored = [*ROWS, document("bob/1"), document("bob2/1"), document("1")]
    web = serve(stored, lambda action, name: users.owns("bob", name))
    for query in ("", "?q=1", "?prefix=b", "?order=size", "?order=newest"):
        assert names(web, f"/u/{query}") == ["bob/1"], query
    assert names(web, "/u/?folder=") == ["bob/"]


@pytest.mark.parametrize("query", ["", "?folder=", "?q=1", "?prefix=f", "?order=-name", "?order=-name&folder="])
def test_a_folder_that_is_refused_is_stepped_over_in_one_seek(serve: Serve, query: str) -> None:
    commands = Commands()
    stored = [document(f"full/{number}") for number in range(2000)] + [document("f1")]
    web = serve(stored, lambda action, name: name != "full/", event_listeners=[commands])
    assert names(web, f"/u/{query}") == ["f1"]
    assert commands.sent.count("find") <= 3  # one is for files without a name


@pytest.mark.parametrize("query", ["", "folder=", "q=1", "order=newest", "order=size&prefix=f"])
def test_after_a_second_among_hidden_files_it_is_a_503_with_advice(serve: Serve, query: str) -> None:
    def slow(action: str, filename: str | None) -> bool:
        time.sleep(0.01 if action == "read" else 0)
        return action == "list"

    web = serve([document(f"f{number}1") for number in range(1000)], slow)
    start = time.monotonic()
    answer = web.get(f"/u/?{query}", headers=JSON)
    assert answer.status_code == 503
    assert time.monotonic() - start < 5
    for advice in ("folder", "prefix"):
        assert advice in answer.json["detail"]
