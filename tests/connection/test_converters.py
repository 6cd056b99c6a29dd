from __future__ import annotations

import pytest
from bson.objectid import ObjectId
from flask import Flask, url_for

from flask_gridfs_pymongo import BSONObjectIdConverter, PyMongo


@pytest.fixture
def tasks(app: Flask) -> Flask:
    PyMongo(app)
    app.add_url_rule("/<ObjectId:task_id>", "show", lambda task_id: repr(task_id))
    return app


def test_it_is_registered_as_objectid(tasks: Flask) -> None:
    assert tasks.url_map.converters["ObjectId"] is BSONObjectIdConverter


def test_a_valid_id_reaches_the_view_as_an_objectid(tasks: Flask) -> None:
    answer = tasks.test_client().get("/4cf139def4b6a1134c4ea6c4")
    assert answer.text == "ObjectId('4cf139def4b6a1134c4ea6c4')"


@pytest.mark.parametrize("bad", ["1", "4cf139def4b6a1134c4ea6c", "4cf139def4b6a1134c4ea6cg", "twelve-chars", "%0" * 12])
def test_anything_else_is_a_404(tasks: Flask, bad: str) -> None:
    assert tasks.test_client().get(f"/{bad}").status_code == 404


def test_url_for_writes_the_hexadecimal_form(tasks: Flask) -> None:
    with tasks.test_request_context():
        assert url_for("show", task_id=ObjectId("4cf139def4b6a1134c4ea6c4")) == "/4cf139def4b6a1134c4ea6c4"
