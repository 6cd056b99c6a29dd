"""Every setting on a real server: one mongod with ``--auth``, one replica set of one member."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any
from urllib.parse import quote

import pymongo
import pytest
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from flask import Flask
from pymongo import CursorType, ReadPreference
from pymongo.errors import (
    NetworkTimeout,
    OperationFailure,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)
from pymongo.monitoring import ServerHeartbeatListener

from flask_gridfs_pymongo import PyMongo, wrappers
from flask_gridfs_pymongo.serve import mongod as server

from ..conftest import missing
from ..helpers.replica import standalone

PASSWORD = "p@ss: /w%40rd?#"
USERS = [  # name, the database that knows it, mechanisms
    ("admin", "admin", ["SCRAM-SHA-1", "SCRAM-SHA-256"]),
    ("ann@home", "admin", ["SCRAM-SHA-256"]),
    ("old", "admin", ["SCRAM-SHA-1"]),
    ("clerk", "shop", ["SCRAM-SHA-256"]),
    ("guest", "users", ["SCRAM-SHA-256"]),
]


@dataclass
class Servers:
    """Where they listen."""

    auth: int
    replica: int
    silent: int
    """accepts connections and never answers"""
    closed: int
    """nobody is there"""


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    try:
        server.find()
    except SystemExit as error:
        missing(str(error))
    with (
        standalone("--auth") as auth,
        standalone("--replSet", "rs0") as replica,
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.socket() as closed,
    ):
        closed.bind(("127.0.0.1", 0))  # held, so that nobody else gets it; never listening
        _create_users(auth.port)
        _initiate(replica.port)
        yield Servers(auth.port, replica.port, silent.getsockname()[1], closed.getsockname()[1])


def _create_users(port: int) -> None:
    for name, database, mechanisms in USERS:
        # The first one by the localhost exception, the others by the first.
        who = {} if name == "admin" else {"username": "admin", "password": PASSWORD}
        with pymongo.MongoClient[Any]("127.0.0.1", port, **who) as client:
            role = {"role": "root", "db": "admin"}
            client[database].command("createUser", name, pwd=PASSWORD, roles=[role], mechanisms=mechanisms)


def _initiate(port: int) -> None:
    with pymongo.MongoClient[Any]("127.0.0.1", port, directConnection=True) as client:
        member = {"_id": 0, "host": f"127.0.0.1:{port}"}
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
        until = time.monotonic() + 60
        while not client.admin.command("hello")["isWritablePrimary"]:
            assert time.monotonic() < until, "no primary after a minute"
            time.sleep(0.02)


@contextmanager
def connected(settings: dict[str, Any], **options: Any) -> Iterator[PyMongo]:
    app = Flask("shop")
    app.testing = True
    app.config.update({f"MONGO_{name}": value for name, value in settings.items()})
    mongo = PyMongo(app, **options)
    try:
        with app.test_request_context():
            yield mongo
    finally:
        mongo.cx.close()


def _user(mongo: PyMongo) -> str:
    (user,) = mongo.db.command("connectionStatus")["authInfo"]["authenticatedUsers"]
    return f"{user['user']} of {user['db']}"


def _reach(mongo: PyMongo) -> Any:
    """The port that answers a ping, and the database's name."""
    assert mongo.db.command("ping")["ok"] == 1
    assert mongo.cx.address is not None
    return mongo.cx.address[1], mongo.db.name


def _stored(mongo: PyMongo) -> list[str]:
    mongo.db.things.replace_one({"_id": 1}, {"_id": 1}, upsert=True)
    return [name for name in mongo.cx.list_database_names() if name not in ("admin", "config", "local")]


def _slow(mongo: PyMongo) -> Any:
    mongo.db.slow.replace_one({"_id": 1}, {"_id": 1}, upsert=True)
    return mongo.db.slow.find_one({"$where": "sleep(1500) || true"})


def _two_connections(mongo: PyMongo) -> Any:
    mongo.db.many.delete_many({})
    mongo.db.many.insert_many([{"n": n} for n in range(20)])
    with mongo.db.many.find(cursor_type=CursorType.EXHAUST, batch_size=2) as cursor:
        next(cursor)  # has a connection to itself until it is closed
        return mongo.db.command("ping")["ok"]


def _read(mongo: PyMongo) -> Any:
    mongo.db.things.find_one()
    return mongo.db.things.read_preference


def _class(mongo: PyMongo) -> Any:
    mongo.db.things.replace_one({"_id": 1}, {"_id": 1, "in": {"a": 1}}, upsert=True)
    found = mongo.db.things.find_one({"_id": 1})
    return type(found), type(found["in"])


Settings = Callable[[Servers], dict[str, Any]]
Seen = Callable[[PyMongo], Any]
SOON = {"SERVER_SELECTION_TIMEOUT_MS": 200}


def _at(where: Servers, **settings: Any) -> dict[str, Any]:
    return {"HOST": "127.0.0.1", "PORT": where.replica, **settings}


def _auth(where: Servers, **settings: Any) -> dict[str, Any]:
    return {"HOST": "127.0.0.1", "PORT": where.auth, "PASSWORD": PASSWORD, **settings}


# Settings, what is looked at, and what it is: a value, a function of the servers, or an error.
ROWS: dict[str, tuple[Settings, Seen, Any]] = {
    "URI": (
        lambda at: {"URI": f"mongodb://127.0.0.1:{at.replica}/by_uri", "PORT": at.closed, "DBNAME": "no"},
        _reach,
        lambda at: (at.replica, "by_uri"),
    ),
    "URI without a database": (
        lambda at: {"URI": f"mongodb://127.0.0.1:{at.replica}", "DBNAME": "no"},
        _reach,
        lambda at: (at.replica, "shop"),
    ),
    "URI with a password": (
        lambda at: {"URI": f"mongodb://ann%40home:{quote(PASSWORD, safe='')}@127.0.0.1:{at.auth}"},
        _user,
        "ann@home of admin",
    ),
    "URI with a source": (
        lambda at: {"URI": f"mongodb://guest:{quote(PASSWORD, safe='')}@127.0.0.1:{at.auth}/x?authSource=users"},
        _user,
        "guest of users",
    ),
    "URI and a timeout": (
        lambda at: {"URI": f"mongodb://127.0.0.1:{at.replica}", "SOCKET_TIMEOUT_MS": 100},
        _slow,
        NetworkTimeout,
    ),
    "URI and a document class": (
        lambda at: {"URI": f"mongodb://127.0.0.1:{at.replica}", "DOCUMENT_CLASS": SON},
        _class,
        (SON, SON),
    ),
    "HOST": (
        lambda at: {"HOST": f"127.0.0.1:{at.replica}", "PORT": at.closed},
        _reach,
        lambda at: (at.replica, "shop"),
    ),
    "HOST by default": (lambda at: {"PORT": at.replica}, _reach, lambda at: (at.replica, "shop")),
    "PORT": (lambda at: _at(at, PORT=str(at.replica)), _reach, lambda at: (at.replica, "shop")),
    "DBNAME": (lambda at: _auth(at, USERNAME="admin", DBNAME="other", AUTH_SOURCE="admin"), _stored, ["other"]),
    "USERNAME and PASSWORD": (lambda at: _auth(at, USERNAME="ann@home"), _user, "ann@home of admin"),
    "USERNAME of DBNAME": (lambda at: _auth(at, USERNAME="clerk", DBNAME="shop"), _user, "clerk of shop"),
    "PASSWORD that is wrong": (
        lambda at: _auth(at, USERNAME="ann@home", PASSWORD="s3cret"),
        _user,
        OperationFailure,
    ),
    "no USERNAME": (lambda at: {"PORT": at.auth}, _stored, OperationFailure),
    "AUTH_SOURCE": (lambda at: _auth(at, USERNAME="guest", AUTH_SOURCE="users"), _user, "guest of users"),
    "AUTH_SOURCE and DBNAME": (
        lambda at: _auth(at, USERNAME="ann@home", DBNAME="other", AUTH_SOURCE="admin"),
        _user,
        "ann@home of admin",
    ),
    "AUTH_MECHANISM by agreement": (lambda at: _auth(at, USERNAME="old"), _user, "old of admin"),
    "AUTH_MECHANISM": (
        lambda at: _auth(at, USERNAME="old", AUTH_MECHANISM="SCRAM-SHA-1"),
        _user,
        "old of admin",
    ),
    "AUTH_MECHANISM that the user does not have": (
        lambda at: _auth(at, USERNAME="old", AUTH_MECHANISM="SCRAM-SHA-256"),
        _user,
        OperationFailure,
    ),
    "REPLICA_SET": (
        lambda at: _at(at, REPLICA_SET="rs0"),
        lambda mongo: (mongo.db.command("ping")["ok"], mongo.cx.topology_description.replica_set_name),
        (1, "rs0"),
    ),
    "REPLICA_SET that is another": (lambda at: _at(at, REPLICA_SET="rs1", **SOON), _reach, ServerSelectionTimeoutError),
    "READ_PREFERENCE": (
        lambda at: _at(at, READ_PREFERENCE="secondaryPreferred"),
        _read,
        ReadPreference.SECONDARY_PREFERRED,
    ),
    "READ_PREFERENCE by constant": (
        lambda at: _at(at, READ_PREFERENCE=ReadPreference.NEAREST),
        _read,
        ReadPreference.NEAREST,
    ),
    "READ_PREFERENCE that no member meets": (
        lambda at: _at(at, READ_PREFERENCE="SECONDARY", REPLICA_SET="rs0", **SOON),
        _read,
        ServerSelectionTimeoutError,
    ),
    "MAX_POOL_SIZE": (lambda at: _at(at, MAX_POOL_SIZE=1), _two_connections, WaitQueueTimeoutError),
    "MAX_POOL_SIZE that suffices": (lambda at: _at(at, MAX_POOL_SIZE=2), _two_connections, 1),
    "SOCKET_TIMEOUT_MS": (lambda at: _at(at, SOCKET_TIMEOUT_MS=100), _slow, NetworkTimeout),
    "CONNECT_TIMEOUT_MS": (
        lambda at: {
            "PORT": at.silent,
            "HOST": "127.0.0.1",
            "CONNECT_TIMEOUT_MS": 123,
            "SERVER_SELECTION_TIMEOUT_MS": 900,
        },
        _reach,
        (ServerSelectionTimeoutError, "connectTimeoutMS: 123.0ms"),
    ),
    "SERVER_SELECTION_TIMEOUT_MS": (
        lambda at: {"PORT": at.closed, "HOST": "127.0.0.1", "SERVER_SELECTION_TIMEOUT_MS": 234},
        _reach,
        (ServerSelectionTimeoutError, "Timeout: 0.234s"),
    ),
    "DOCUMENT_CLASS": (lambda at: _at(at, DOCUMENT_CLASS=SON), _class, (SON, SON)),
    "DOCUMENT_CLASS that is raw": (
        lambda at: _at(at, DOCUMENT_CLASS=RawBSONDocument),
        _class,
        (RawBSONDocument, RawBSONDocument),
    ),
    "DOCUMENT_CLASS by default": (_at, _class, (dict, dict)),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_setting_does_what_it_says(servers: Servers, row: str) -> None:
    settings, seen, expected = ROWS[row]
    with connected(settings(servers), waitQueueTimeoutMS=100) as mongo:
        error, message = expected if isinstance(expected, tuple) else (expected, ".")
        if isinstance(error, type) and issubclass(error, Exception):
            with pytest.raises(error, match=message) as raised:
                seen(mongo)
            assert "s3cret" not in str(raised.value)
        else:
            assert seen(mongo) == (expected(servers) if isinstance(expected, FunctionType) else expected)


class _Heartbeat(ServerHeartbeatListener):
    """Whether the client has begun to talk to its server."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def started(self, event: Any) -> None:
        self.begun.set()

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


@pytest.mark.parametrize(("connect", "at_once"), [({}, True), ({"CONNECT": True}, True), ({"CONNECT": False}, False)])
def test_connect_says_whether_the_first_use_connects(servers: Servers, connect: dict[str, Any], at_once: bool) -> None:
    heartbeat = _Heartbeat()
    with connected(_at(servers, **connect), event_listeners=[heartbeat]) as mongo:
        assert not heartbeat.begun.is_set()  # init_app never connects
        assert mongo.cx is not None
        assert heartbeat.begun.wait(10 if at_once else 0.2) is at_once
        assert mongo.db.command("ping")["ok"] == 1
        assert heartbeat.begun.wait(10)


def test_auto_start_request_changes_nothing(servers: Servers) -> None:
    with (
        pytest.warns(DeprecationWarning, match="MONGO_AUTO_START_REQUEST"),
        connected(_at(servers, AUTO_START_REQUEST=True)) as mongo,
    ):
        assert _reach(mongo) == (servers.replica, "shop")


@pytest.mark.parametrize("document_class", [dict, SON, RawBSONDocument])
def test_files_are_served_with_every_document_class(servers: Servers, document_class: Any) -> None:
    name = f"{document_class.__name__}.txt"
    with connected(_at(servers, DOCUMENT_CLASS=document_class)) as mongo:
        saved = mongo.save_file(name, io.BytesIO(b"first"))
        mongo.save_file(name, io.BytesIO(b"second"), metadata={"a": 1})
        answers = [mongo.send_file(name, version=version) for version in (0, -1)]
        assert [b"".join(answer.response) for answer in answers] == [b"first", b"second"]  # type: ignore[arg-type]
        assert answers[0].mimetype == "text/plain"
        found = mongo.db.fs.files.find_one_or_404({"filename": name})
        assert isinstance(found, document_class)
        assert found["_id"] == saved
        for answer in answers:
            answer.close()


def test_sessions_and_transactions_use_our_classes(servers: Servers) -> None:
    with connected(_at(servers, REPLICA_SET="rs0", DBNAME="transactions")) as mongo:
        things = mongo.db.create_collection("things")
        with mongo.cx.start_session() as session:
            assert session.client is mongo.cx
            session.start_transaction()
            things.insert_one({"_id": 1}, session=session)
            assert things.find_one_or_404({"_id": 1}, session=session) == {"_id": 1}
            assert things.count_documents({}) == 0
            session.abort_transaction()
            with session.start_transaction():
                things.insert_one({"_id": 2}, session=session)
            session.with_transaction(lambda inner: things.insert_one({"_id": 3}, session=inner))
            given = mongo.db.create_collection("more", session=session)
        assert type(given) is wrappers.Collection
        assert [found["_id"] for found in things.find().sort("_id")] == [2, 3]
        mongo.cx.drop_database("transactions")


def test_the_classic_replica_set_client(servers: Servers) -> None:
    with wrappers.MongoReplicaSetClient(f"127.0.0.1:{servers.replica}", replicaSet="rs0") as client:
        assert type(client.shop.a.b) is wrappers.Collection
        assert client.admin.command("hello")["setName"] == "rs0"
