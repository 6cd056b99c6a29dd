"""json.py: MongoDB's documents in ``jsonify``, in what views return, and in ``request.json``."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import json_util
from bson.raw_bson import RawBSONDocument
from flask import Flask, jsonify, request
from flask.json.provider import DefaultJSONProvider
from markupsafe import Markup

from flask_gridfs_pymongo import BSONProvider, ObjectId, PyMongo

from ..conftest import JSON, form

ID = ObjectId("4cf139def4b6a1134c4ea6c4")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
MONGODB = {  # what Flask-PyMongo 3 writes: bson.json_util
    "id": ID,
    "nested": [{"id": ID}, (ID,)],
    "date": NOW,
    "naive": datetime(2026, 1, 2),
    "long": bson.Int64(5),
    "decimal": bson.Decimal128("1.5"),
    "binary": b"\xff",
    "regex": re.compile("a", re.IGNORECASE),
    "code": bson.Code("f()"),
    "timestamp": bson.Timestamp(1, 2),
    "reference": bson.DBRef("tasks", ID),
    "keys": [bson.MinKey(), bson.MaxKey()],
    "numbers": [1, 1.5, float("nan"), float("inf"), -float("inf"), True, None],
    "texts": ["é", Markup("<b>")],
    "raw": RawBSONDocument(bson.encode({"id": ID})),
    "son": bson.SON([("b", 1), ("a", 2)]),
}


@dataclass
class Point:
    x: int
    at: ObjectId


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


def own_default(value: Any) -> Any:
    return f"{value.cents / 100} €" if isinstance(value, Money) else DefaultJSONProvider.default(value)


@pytest.fixture
def provider(app: Flask) -> BSONProvider:
    app.json = BSONProvider(app)
    return app.json


def test_what_mongodb_stores_is_written_and_read_as_by_flask_pymongo(provider: BSONProvider) -> None:
    text = provider.dumps(MONGODB)
    assert json.loads(text) == json.loads(json_util.dumps(MONGODB))
    assert repr(provider.loads(text)) == repr(json_util.loads(text))
    assert provider.loads(text.encode())["id"] == ID


def test_the_rest_is_written_as_by_flask(app: Flask) -> None:
    others = {"uuid": uuid.UUID(int=1), "decimal": Decimal("1.5"), "day": date(2026, 1, 2), "b": 1, "a": [{}, []]}
    before = app.json.dumps(others), app.json.dumps(others, indent=2, sort_keys=False)
    app.json = BSONProvider(app)
    assert (app.json.dumps(others), app.json.dumps(others, indent=2, sort_keys=False)) == before
    assert json.loads(app.json.dumps(Point(1, ID))) == {"x": 1, "at": {"$oid": str(ID)}}
    with pytest.raises(TypeError, match="Money"):
        app.json.dumps([Money(150)])


def test_views(app: Flask, mongo: PyMongo, provider: BSONProvider) -> None:
    mongo.db.tasks.insert_many([{"_id": ID, "title": "a"}, {"_id": 2}])
    app.add_url_rule("/one", "one", lambda: mongo.db.tasks.find_one())
    app.add_url_rule("/all", "all", lambda: jsonify(mongo.db.tasks.find().sort("title", -1)))
    app.add_url_rule("/keywords", "keywords", lambda: jsonify(task=ID, at={NOW}))
    app.add_url_rule("/echo", "echo", lambda: repr(request.get_json()), methods=["POST"])
    client = app.test_client()
    assert client.get("/one").text == f'{{"_id":{{"$oid":"{ID}"}},"title":"a"}}\n'
    assert client.get("/all").json == [{"_id": ID, "title": "a"}, {"_id": 2}]
    assert client.get("/keywords").json["task"] == ID
    assert client.post("/echo", json={"_id": ID}).text == repr({"_id": ID})
    app.debug = True
    assert client.get("/one").text.startswith('{\n  "_id": {\n')


@pytest.mark.parametrize(
    "value",
    ['{"$oid": 1}', '{"$oid": "x"}', '{"$oid": "x", "a": 1}', '{"$date": {}}', '{"$date": "x"}', '{"$date": null}',
     '{"$date": {"$numberLong": "9e99"}}', '{"$date": 1e300}', '{"$numberLong": {}}', '{"$numberDecimal": []}',
     '{"$binary": 1}', '{"$binary": {"base64": "é", "subType": "zz"}}', '{"$uuid": 5}', '{"$regex": []}', '{"$ref": 1}',
     '{"$timestamp": {"t": "a"}}', '{"$timestamp": 5}', '{"$code": 1}', '{"$regularExpression": {}}', "{", ""],
)  # fmt: skip
def test_what_is_not_extended_json_is_400(app: Flask, provider: BSONProvider, value: str) -> None:
    app.add_url_rule("/echo", "echo", lambda: repr(request.get_json()), methods=["POST"])
    app.testing = False
    answer = app.test_client().post("/echo", data=value, content_type="application/json")
    assert answer.status_code in (200, 400)


class TestWhatTheApplicationSetStays:
    def test_settings(self, app: Flask) -> None:
        app.json.sort_keys, app.json.mimetype = False, "application/vnd.shop+json"  # type: ignore[attr-defined]
        app.json = BSONProvider(app)
        assert app.json.dumps({"b": 1, "a": ID}) == f'{{"b": 1, "a": {{"$oid": "{ID}"}}}}'
        assert app.json.response(ID).mimetype == "application/vnd.shop+json"

    @pytest.mark.parametrize("how", ["before", "class before", "after", "subclass", "class of the app"])
    def test_a_default_of_its_own(self, app: Flask, how: str) -> None:
        class Own(DefaultJSONProvider):
            default = staticmethod(own_default)

        class Both(BSONProvider):
            default = staticmethod(own_default)

        class Shop(Flask):
            json_provider_class = Both

        if how == "before":
            app.json.default = own_default  # type: ignore[attr-defined]
        elif how == "class before":
            app.json = Own(app)
        app = Shop("shop") if how == "class of the app" else app
        app.json = {"subclass": Both, "class of the app": Both}.get(how, BSONProvider)(app)
        if how == "after":
            app.json.default = own_default
        written = app.json.dumps({"price": Money(150), "id": ID, "at": {Money(1)}})
        assert json.loads(written) == {"price": "1.5 €", "id": {"$oid": str(ID)}, "at": ["0.01 €"]}


def test_the_blueprint_answers_as_without_it(app: Flask, mongo: PyMongo, provider: BSONProvider) -> None:
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))
    client = app.test_client()
    created = client.post("/uploads/", data=form((b"1", "a")), headers=JSON)
    assert created.status_code == 201
    assert isinstance(json.loads(client.get("/uploads/", headers=JSON).text)["files"][0]["id"], str)
