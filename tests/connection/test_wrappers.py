"""wrappers.py and mock.py: what is reached is ours, and the classic methods, on mongod and on mongomock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pymongo
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from flask import Flask
from pymongo import ReadPreference
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from werkzeug.exceptions import NotFound

from flask_gridfs_pymongo import ASCENDING, DESCENDING, PyMongo, mock, wrappers


@pytest.fixture(params=["mongod", "mongomock"])
def either_uri(uri: str, request: pytest.FixtureRequest) -> str:
    """Like ``uri``, and once more in mongomock."""
    return uri if request.param == "mongod" else f"mongomock://localhost/test_{uuid.uuid4().hex}"


@pytest.fixture
def mongo(app: Flask, either_uri: str) -> Iterator[PyMongo]:
    """A PyMongo object of ``app``, on mongod and on mongomock."""
    mongo = PyMongo(app, uri=either_uri)
    yield mongo
    mongo.cx.close()


@pytest.fixture
def real(app: Flask, uri: str) -> Iterator[PyMongo]:
    mongo = PyMongo(app, uri=uri)
    yield mongo
    mongo.cx.close()


NEAREST = {"read_preference": ReadPreference.NEAREST}
Reach = Callable[[PyMongo], Any]

COLLECTIONS: list[tuple[Reach, str]] = [
    (lambda mongo: mongo.db.a, "a"),
    (lambda mongo: mongo.db["a"], "a"),
    (lambda mongo: mongo.db.a.b, "a.b"),
    (lambda mongo: mongo.db.a["b"], "a.b"),
    (lambda mongo: mongo.db["a.b"], "a.b"),
    (lambda mongo: mongo.db.a.b["c"].d["e.f"], "a.b.c.d.e.f"),
    (lambda mongo: mongo.db["logs.update"], "logs.update"),
    (lambda mongo: mongo.db.logs["update"], "logs.update"),
    (lambda mongo: mongo.db.get_collection("a").b, "a.b"),
    (lambda mongo: mongo.db.get_collection("a", **NEAREST).b, "a.b"),
    (lambda mongo: mongo.db.create_collection("a").b, "a.b"),
    (lambda mongo: mongo.db.a.with_options(**NEAREST).b, "a.b"),
    (lambda mongo: mongo.db.with_options(**NEAREST).a.b, "a.b"),
    (lambda mongo: mongo.cx.other.a.b, "a.b"),
    (lambda mongo: mongo.cx["other"]["a"].b, "a.b"),
    (lambda mongo: mongo.cx.get_database("other").a.b, "a.b"),
    (lambda mongo: mongo.cx.get_database("other", **NEAREST).a.b, "a.b"),
    (lambda mongo: mongo.cx.get_database().a.b, "a.b"),
    (lambda mongo: mongo.cx.get_default_database().a.b, "a.b"),
    (lambda mongo: mongo.db.a.b.database.c, "c"),
    (lambda mongo: mongo.db.a.b.database.client.other.c, "c"),
]


@pytest.mark.parametrize(("reach", "name"), COLLECTIONS)
def test_however_deep_it_is_our_class(mongo: PyMongo, reach: Reach, name: str) -> None:
    ours = mock if isinstance(mongo.cx, mock.MongoClient) else wrappers
    found = reach(mongo)
    assert found.name == name
    assert [type(found), type(found.database)] == [ours.Collection, ours.Database]
    assert found.database.client is mongo.cx
    assert isinstance(found, wrappers.CollectionMixin)


def test_the_real_classes_are_the_driver_s_too(real: PyMongo) -> None:
    assert type(real.cx) is wrappers.MongoClient
    assert isinstance(real.cx, pymongo.MongoClient)
    assert isinstance(real.db, pymongo.database.Database)
    assert isinstance(real.db.a.b, pymongo.collection.Collection)
    assert issubclass(wrappers.MongoReplicaSetClient, wrappers.MongoClient)


def test_a_session_leads_to_our_classes(real: PyMongo) -> None:
    with real.cx.start_session() as session:
        assert type(session.client[real.db.name].a.b) is wrappers.Collection
        assert session.client is real.cx
        assert type(real.db.create_collection("made", session=session)) is wrappers.Collection


def test_options_reach_the_collections_below(real: PyMongo) -> None:
    options: dict[str, Any] = {
        "codec_options": CodecOptions(document_class=SON),
        "read_preference": ReadPreference.NEAREST,
        "write_concern": WriteConcern(w=0),
        "read_concern": ReadConcern("local"),
    }
    for found in (
        real.db.with_options(**options).a.b,
        real.db.a.with_options(**options).b["c"],
        real.db.get_collection("a", **options).b,
        real.cx.get_database("other", **options)["a"].b,
        real.cx.get_default_database(**options).a,
        real.db.create_collection("a", **options).b,
    ):
        assert {name: getattr(found, name) for name in options} == options


@pytest.mark.parametrize("level", ["cx", "db", "collection"])
def test_private_names_are_no_collections(real: PyMongo, level: str) -> None:
    reached = {"cx": real.cx, "db": real.db, "collection": real.db.a}[level]
    with pytest.raises(AttributeError, match="_private"):
        _ = reached._private


def test_find_one_or_404_takes_what_find_one_takes(mongo: PyMongo) -> None:
    things = mongo.db.shop.things
    things.insert_many([{"_id": 1, "n": 1, "x": "a"}, {"_id": 2, "n": 2, "x": "a"}])
    assert things.find_one_or_404(2) == {"_id": 2, "n": 2, "x": "a"}
    assert things.find_one_or_404({"n": 1}, {"x": 0}) == {"_id": 1, "n": 1}
    assert things.find_one_or_404({"x": "a"}, sort=[("n", DESCENDING)])["_id"] == 2
    assert things.find_one_or_404({"x": "a"}, sort=[("n", ASCENDING)], skip=1)["_id"] == 2
    assert things.find_one_or_404(filter={"n": 2}, projection=["n"]) == {"_id": 2, "n": 2}
    assert things.find_one_or_404()["x"] == "a"


def test_find_one_or_404_ends_a_request_with_404(mongo: PyMongo, app: Flask) -> None:
    app.add_url_rule("/<int:number>", "show", lambda number: mongo.db.things.find_one_or_404({"_id": number}))
    mongo.db.things.insert_one({"_id": 1})
    client = app.test_client()
    assert client.get("/1").json == {"_id": 1}
    assert client.get("/2").status_code == 404
    with pytest.raises(NotFound):
        mongo.db.a.b.find_one_or_404()


def test_times_are_aware_and_in_utc(mongo: PyMongo) -> None:
    east = timezone(timedelta(hours=2))
    mongo.db.times.insert_one({"_id": 1, "at": datetime(2020, 1, 2, 3, tzinfo=east)})
    for times in (mongo.db.times, mongo.db.with_options(**NEAREST).times, mongo.db.times.with_options(**NEAREST)):
        at = times.find_one_or_404(1)["at"]
        assert at == datetime(2020, 1, 2, 1, tzinfo=UTC)
        assert at.utcoffset() == timedelta(0)


def test_save_inserts_or_replaces(mongo: PyMongo) -> None:
    things = mongo.db.things
    document: dict[str, Any] = {"n": 1}
    made = things.save(document)
    assert document["_id"] == made
    assert things.save({"_id": made, "n": 2}) == made
    assert things.save({"_id": "new", "n": 3}, w=1) == "new"
    assert list(things.find(sort=[("n", ASCENDING)])) == [{"_id": made, "n": 2}, {"_id": "new", "n": 3}]


def test_insert_takes_one_document_or_several(mongo: PyMongo) -> None:
    things = mongo.db.things
    assert things.insert({"_id": 1}) == 1
    assert things.insert(SON(_id=2)) == 2
    assert things.insert([{"_id": 3}, {"_id": 4}], w=1) == [3, 4]
    assert things.insert({"_id": n} for n in (5, 6)) == [5, 6]
    assert things.count_documents({}) == 6
    with pytest.raises(DuplicateKeyError):
        things.insert({"_id": 1})


def test_insert_goes_on_after_an_error_only_where_asked(real: PyMongo) -> None:
    for go_on, left in ((False, [1]), (True, [1, 2])):
        real.db.things.remove()
        with pytest.raises(OperationFailure):
            real.db.things.insert([{"_id": 1}, {"_id": 1}, {"_id": 2}], continue_on_error=go_on)
        assert [found["_id"] for found in real.db.things.find().sort("_id")] == left


@pytest.mark.parametrize(
    ("arguments", "options", "left", "n", "existing"),
    [
        (({"x": 0}, {"$set": {"x": 5}}), {}, [5, 0, 1], 1, True),
        (({"x": 0}, {"$set": {"x": 5}}), {"multi": True}, [5, 5, 1], 2, True),
        (({"x": 0}, {"$set": {"x": 5}}), {"multi": True, "w": 1}, [5, 5, 1], 2, True),
        (({"_id": 2}, {"x": 7}), {}, [0, 0, 7], 1, True),
        (({"x": 8}, {"$set": {"x": 9}}), {}, [0, 0, 1], 0, False),
        (({"_id": 3}, {"$set": {"x": 9}}), {"upsert": True}, [0, 0, 1, 9], 1, False),
        (({"_id": 3}, {"$set": {"x": 9}}, True), {"multi": True}, [0, 0, 1, 9], 1, False),
        (({"_id": 3}, {"x": 9}, True), {}, [0, 0, 1, 9], 1, False),
    ],
)
def test_update(mongo: PyMongo, arguments: Any, options: Any, left: list[int], n: int, existing: bool) -> None:
    things = mongo.db.things
    things.insert([{"_id": 0, "x": 0}, {"_id": 1, "x": 0}, {"_id": 2, "x": 1}])
    answer = things.update(*arguments, **options)
    assert [found["x"] for found in things.find(sort=[("_id", ASCENDING)])] == left
    assert (answer["n"], answer["updatedExisting"]) == (n, existing)


def test_update_of_many_needs_operators(mongo: PyMongo) -> None:
    with pytest.raises(ValueError, match="multi=True needs"):
        mongo.db.things.update({}, {"x": 1}, multi=True)


@pytest.mark.parametrize(
    ("arguments", "options", "left"),
    [
        ((), {}, []),
        ((None,), {}, []),
        (({},), {}, []),
        ((1,), {}, [0, 2]),
        (({"x": 0},), {}, [2]),
        ((SON(x=0),), {"w": 1}, [2]),
        (({"x": 0},), {"multi": False}, [1, 2]),
        (({"x": 9},), {}, [0, 1, 2]),
    ],
)
def test_remove(mongo: PyMongo, arguments: Any, options: Any, left: list[int]) -> None:
    things = mongo.db.things
    things.insert([{"_id": 0, "x": 0}, {"_id": 1, "x": 0}, {"_id": 2, "x": 1}])
    assert things.remove(*arguments, **options)["n"] == 3 - len(left)
    assert [found["_id"] for found in things.find(sort=[("_id", ASCENDING)])] == left


def test_remove_takes_any_mapping_for_a_query(real: PyMongo) -> None:
    real.db.things.insert([{"_id": 0, "x": 0}, {"_id": 1}])
    raw = real.db.things.with_options(CodecOptions(document_class=RawBSONDocument)).find_one({"x": 0})
    assert real.db.things.remove(raw)["n"] == 1


FAILING: list[tuple[Callable[..., Any], Any]] = [
    (lambda things, **how: things.save({"_id": "b", "key": 1}, **how), "b"),
    (lambda things, **how: things.insert({"_id": "b"}, **how), "b"),
    (lambda things, **how: things.insert([{"_id": "b"}, {"_id": "a"}], **how), ["b", "a"]),
    (lambda things, **how: things.update({"_id": "b"}, {"$set": {"key": 1}}, **how), None),
    (lambda things, **how: things.update({"_id": "b"}, {"key": 1}, **how), None),
    (lambda things, **how: things.update({}, {"$set": {"key": 1}}, multi=True, **how), None),
    (lambda things, **how: things.remove({"$nonsense": 1}, **how), None),
    (lambda things, **how: things.remove({"$nonsense": 1}, multi=False, **how), None),
]


@pytest.mark.parametrize(("write", "answer"), FAILING)
def test_only_an_acknowledged_write_reports_its_failure(real: PyMongo, write: Callable[..., Any], answer: Any) -> None:
    things = real.db.things
    things.create_index("key", unique=True)
    things.insert([{"_id": "a", "key": 1}, {"_id": "b", "key": 2}])
    lax = things.with_options(write_concern=WriteConcern(w=0))
    waiting: list[tuple[Any, dict[str, Any]]] = [(things, {}), (things, {"safe": True}), (things, {"w": 1})]
    for collection, how in [*waiting, (lax, {"safe": True}), (lax, {"w": 1})]:
        with pytest.raises(OperationFailure):
            write(collection, **how)
    for collection, how in [(things, {"safe": False}), (things, {"w": 0}), (lax, {}), (lax, {"safe": False})]:
        assert write(collection, **how) == answer


def test_an_unacknowledged_write_is_written(app: Flask, either_uri: str) -> None:
    things = PyMongo(app, uri=either_uri, maxPoolSize=1).db.things  # one connection: the server answers in order
    assert things.insert({"_id": 1}, safe=False) == 1
    assert things.save({"_id": 2}, safe=False) == 2
    assert things.count_documents({}) == 2
    things.update({}, {"$set": {"x": 1}}, multi=True, safe=False)
    assert things.count_documents({"x": 1}) == 2
    things.remove(1, safe=False)
    assert things.count_documents({}) == 1
    things.remove(safe=False)
    assert things.count_documents({}) == 0
    things.database.client.close()
