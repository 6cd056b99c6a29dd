"""Every way in and out, with names and ids that ``authorize`` hides: each answers as if they did not exist."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_gridfs_pymongo import PyMongo, Variant

from ..conftest import HTML, JSON, seeds
from ..helpers.visibility import NAMES, by_id, document, folders_of, listings, named, told


def nobody(action: str, filename: str | None) -> bool:
    return False


@pytest.mark.parametrize("seed", seeds(2))
def test_each_answers_as_if_what_is_hidden_did_not_exist(uri: str, seed: int) -> None:
    rng = random.Random(seed)
    hidden = set(rng.sample(NAMES, len(NAMES) // 2))
    unlisted = rng.sample(sorted({folder for name in NAMES for folder in folders_of(name)}), rng.choice([0, 2]))

    def authorize(action: str, filename: str | None) -> bool:
        return filename not in (unlisted if action == "list" else hidden)

    stored = [
        document(name, 0, rng.randrange(8), "image/png") | {"metadata": {"x": rng.choice(["1", "2"])}}
        for name in NAMES
        for _ in range(rng.choice([1, 1, 3]))
    ]
    asks = [ask for name in NAMES for ask in named(name, rng.choice([*NAMES, "new"]))]
    asks += [ask for found in stored for ask in by_id(found["_id"], found["filename"])]
    asks += [ask for folder in ("a/", "a/b/", "c/d/", "none/") for ask in listings(folder)]
    with ExitStack() as stack:
        clients: list[FlaskClient] = []
        for base in ("whole", "bare"):
            app = Flask(base)
            app.secret_key = "secret"
            mongo = PyMongo(app, uri=uri)
            stack.callback(mongo.cx.close)
            there = [found for found in stored if base == "whole" or found["filename"] not in hidden]
            mongo.db[base].files.insert_many(there)
            options: dict[str, Any] = {"metadata": ["x"], "share": 60, "variants": {"thumb": Variant(10, 10)}}
            app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", base=base, authorize=authorize, **options))
            clients.append(app.test_client())
        for ask in [*rng.sample(asks, 150), *listings("")]:
            accept = rng.choice([JSON, JSON, HTML])
            fields = {**ask, "headers": {**accept, **ask.get("headers", {})}}
            answers = [client.open(**fields) for client in clients]
            whole, bare = map(told, answers)
            assert whole == bare, ask
            assert whole[0] < 500, ask
            if not ask["path"].startswith("/u//"):  # which is none of the blueprint's
                assert {"Content-Security-Policy", "Cross-Origin-Resource-Policy", "X-Content-Type-Options"} <= {
                    *answers[0].headers.keys()
                }, ask


def test_by_a_link_everything_is_hidden(uri: str) -> None:
    """Whatever is asked with a link for uploads as the login, answers tell nothing of the files that are there."""
    rng = random.Random(0)
    stored = [document(name, 0, rng.randrange(8), "image/png") for name in NAMES for _ in range(rng.choice([1, 2]))]
    asks = [ask for name in NAMES for ask in named(name, rng.choice([*NAMES, "new"]))]
    asks += [ask for found in stored for ask in by_id(found["_id"], found["filename"])]
    asks += [ask for folder in ("", "a/", "a/b/", "c/d/", "none/") for ask in listings(folder)]
    with ExitStack() as stack:
        clients: list[tuple[FlaskClient, list[str]]] = []
        for base in ("whole", "bare"):
            app = Flask(base)
            app.secret_key = "secret"
            mongo = PyMongo(app, uri=uri)
            stack.callback(mongo.cx.close)
            mongo.db[base].files.insert_many(stored if base == "whole" else [document("other")])
            options: dict[str, Any] = {"metadata": ["x"], "share": 60, "upload_links": True}
            app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", base=base, authorize=nobody, **options))
            with app.test_request_context():
                links = [mongo.upload_link("a/"), mongo.upload_link(""), mongo.upload_url("new/1")]
            clients.append((app.test_client(), links))
        for ask in rng.sample(asks, 200):
            headers, number = {**rng.choice([JSON, HTML]), **ask.get("headers", {})}, rng.randrange(3)
            answers = [
                client.open(**{**ask, "headers": headers, "path": ask["path"].replace("/u/", f"{links[number]}/", 1)})
                for client, links in clients
            ]
            whole, bare = map(told, answers)
            assert whole == bare, ask
            assert whole[0] < 500, ask
            assert whole[0] not in (204, 206, 304, 307, 308) or ask["method"] == "OPTIONS", ask
