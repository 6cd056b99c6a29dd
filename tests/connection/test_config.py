"""config.py: the settings, as tables; nothing here connects."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from datetime import timedelta
from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from flask import Flask
from pymongo import ReadPreference

from flask_gridfs_pymongo import PyMongo, config

PASSWORD = "p@s:/%w"
DEFAULTS = {"tz_aware": True, "host": ["localhost"], "port": 27017}
USER = {"USERNAME": "me", "PASSWORD": PASSWORD}
USER_OPTIONS = {"username": "me", "password": PASSWORD}


def read(app_name: str = "shop", uri: str | None = None, options: Any = None, **settings: Any) -> config.Settings:
    return config.read({f"MONGO_{name}": value for name, value in settings.items()}, "MONGO", app_name, uri, options)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({"HOST": None, "PORT": None, "DBNAME": None}, {}),
        ({"HOST": "db"}, {"host": ["db"]}),
        ({"HOST": "db:27018", "PORT": 27019}, {"host": ["db:27018"], "port": 27019}),  # the driver: host:port wins
        ({"HOST": ["a", "b:27018"]}, {"host": ["a", "b:27018"]}),
        ({"HOST": "a,b:27018"}, {"host": ["a,b:27018"]}),
        ({"HOST": "[::1]:27018"}, {"host": ["[::1]:27018"]}),
        ({"HOST": "/tmp/mongodb.sock"}, {"host": ["/tmp/mongodb.sock"]}),  # noqa: S108
        ({"PORT": 27018}, {"port": 27018}),
        ({"PORT": "27017"}, {"port": 27017}),
        ({"DBNAME": "other"}, {}),
        (USER, {**USER_OPTIONS, "authSource": "admin"}),
        ({**USER, "DBNAME": "other"}, {**USER_OPTIONS, "authSource": "other"}),
        ({**USER, "DBNAME": "other", "AUTH_SOURCE": "users"}, {**USER_OPTIONS, "authSource": "users"}),
        (
            {**USER, "DBNAME": "other", "AUTH_MECHANISM": "SCRAM-SHA-256"},
            {**USER_OPTIONS, "authSource": "other", "authMechanism": "SCRAM-SHA-256"},
        ),
        ({**USER, "DBNAME": "other", "AUTH_MECHANISM": "PLAIN"}, {**USER_OPTIONS, "authMechanism": "PLAIN"}),
        (
            {"USERNAME": "CN=me", "DBNAME": "other", "AUTH_MECHANISM": "MONGODB-X509"},
            {"username": "CN=me", "authMechanism": "MONGODB-X509"},
        ),
        ({"AUTH_MECHANISM": "MONGODB-X509"}, {"authMechanism": "MONGODB-X509"}),
        ({"USERNAME": "me", "AUTH_MECHANISM": "GSSAPI"}, {"username": "me", "authMechanism": "GSSAPI"}),
        ({"AUTH_MECHANISM": "MONGODB-AWS"}, {"authMechanism": "MONGODB-AWS"}),
        ({"REPLICA_SET": "rs0"}, {"replicaSet": "rs0"}),
        ({"READ_PREFERENCE": ReadPreference.NEAREST}, {"read_preference": ReadPreference.NEAREST}),
        ({"READ_PREFERENCE": "SECONDARY_PREFERRED"}, {"read_preference": ReadPreference.SECONDARY_PREFERRED}),
        ({"READ_PREFERENCE": "secondaryPreferred"}, {"read_preference": ReadPreference.SECONDARY_PREFERRED}),
        ({"READ_PREFERENCE": "PRIMARY"}, {"read_preference": ReadPreference.PRIMARY}),
        ({"MAX_POOL_SIZE": 7}, {"maxPoolSize": 7}),
        ({"SOCKET_TIMEOUT_MS": "500"}, {"socketTimeoutMS": 500}),
        ({"CONNECT_TIMEOUT_MS": 501}, {"connectTimeoutMS": 501}),
        ({"SERVER_SELECTION_TIMEOUT_MS": 0}, {"serverSelectionTimeoutMS": 0}),
        ({"DOCUMENT_CLASS": SON}, {"document_class": SON}),
        ({"DOCUMENT_CLASS": OrderedDict}, {"document_class": OrderedDict}),
        ({"DOCUMENT_CLASS": RawBSONDocument}, {"document_class": RawBSONDocument}),
        ({"CONNECT": False}, {"connect": False}),
    ],
)
def test_a_setting_becomes_an_option(settings: dict[str, Any], options: dict[str, Any]) -> None:
    found = read(**settings)
    assert found.options == DEFAULTS | options
    assert not found.mongomock


SERVER = "mongodb://u:p@db/in_uri"


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (
            {
                "HOST": "no",
                "PORT": "27017x",
                "DBNAME": "no.name",
                "USERNAME": "alone",
                "AUTH_SOURCE": "no",
                "AUTH_MECHANISM": "MONGODB-CR",
                "REPLICA_SET": "no",
                "READ_PREFERENCE": "no",
                "MAX_POOL_SIZE": "no",
            },
            {},
        ),
        ({"DOCUMENT_CLASS": SON, "CONNECT": False}, {"document_class": SON, "connect": False}),
        (
            {"SOCKET_TIMEOUT_MS": 1, "CONNECT_TIMEOUT_MS": 2, "SERVER_SELECTION_TIMEOUT_MS": 3},
            {"socketTimeoutMS": 1, "connectTimeoutMS": 2, "serverSelectionTimeoutMS": 3},
        ),
    ],
)
def test_a_uri_wins_over_what_it_could_have_said(settings: dict[str, Any], options: dict[str, Any]) -> None:
    found = read(URI=SERVER, **settings)
    assert found.options == {"tz_aware": True, "host": SERVER, **options}
    assert found.dbname == "in_uri"


@pytest.mark.parametrize(
    ("query", "setting"),
    [
        ("socketTimeoutMS=9", "SOCKET_TIMEOUT_MS"),
        ("connecttimeoutms=9", "CONNECT_TIMEOUT_MS"),
        ("SERVERSELECTIONTIMEOUTMS=9", "SERVER_SELECTION_TIMEOUT_MS"),
    ],
)
def test_a_timeout_in_the_uri_wins_over_its_setting(query: str, setting: str) -> None:
    uri = f"mongodb://db/?{query}"
    assert read(URI=uri, **{setting: 1}).options == {"tz_aware": True, "host": uri}


def test_a_given_uri_and_given_options_win_over_the_settings() -> None:
    found = read(uri="mongodb://b/two", options={"socketTimeoutMS": 2}, URI="mongodb://a/one", SOCKET_TIMEOUT_MS=1)
    assert (found.dbname, found.options["host"], found.options["socketTimeoutMS"]) == ("two", "mongodb://b/two", 2)
    assert read(options={"password": "b"}, USERNAME="a").options["password"] == "b"


def test_only_the_settings_of_the_prefix_are_read() -> None:
    settings = {"MONGO_DBNAME": "one", "MONGO2_DBNAME": "two"}
    assert config.read(settings, "MONGO2", "shop").dbname == "two"


@pytest.mark.parametrize(
    ("settings", "dbname"),
    [
        ({}, "shop"),
        ({"DBNAME": "other"}, "other"),
        ({"DBNAME": "größe-1"}, "größe-1"),
        ({"DBNAME": "d" * 63}, "d" * 63),
        ({"URI": "mongodb://db"}, "shop"),
        ({"URI": "mongodb://db/"}, "shop"),
        ({"URI": "mongodb://db/?w=1"}, "shop"),
        ({"URI": "mongodb://db", "DBNAME": "other"}, "shop"),
        ({"URI": "mongodb://db/other"}, "other"),
        ({"URI": "mongodb://a,b:27018/other?replicaSet=rs0"}, "other"),
        ({"URI": "mongomock://localhost/other"}, "other"),
        ({"URI": "mongodb+srv://me:you@cluster.invalid/other"}, "other"),
        ({"URI": "mongodb+srv://cluster.invalid/?srvServiceName=x&w=1&srvMaxHosts=2"}, "shop"),
    ],
)
def test_the_database_name(settings: dict[str, Any], dbname: str) -> None:
    found = read(**settings)
    assert found.dbname == dbname
    assert found.mongomock is settings.get("URI", "").startswith("mongomock:")


def test_mongomock_is_given_an_address_that_it_knows() -> None:
    assert read(URI="mongomock://localhost/other").options["host"] == "mongodb://localhost/other"


@pytest.mark.parametrize(
    ("settings", "error", "named"),
    [
        ({"HOST": 5}, TypeError, "MONGO_HOST"),
        ({"HOST": []}, TypeError, "MONGO_HOST"),
        ({"HOST": ""}, TypeError, "MONGO_HOST"),
        ({"HOST": "mongodb://db"}, ValueError, "MONGO_URI"),
        ({"HOST": f"me:{PASSWORD}@db"}, ValueError, "MONGO_HOST"),
        ({"HOST": "db:27017x"}, ValueError, "MONGO_HOST"),
        ({"PORT": "27017x"}, TypeError, "MONGO_PORT"),
        ({"PORT": 27017.0}, TypeError, "MONGO_PORT"),
        ({"PORT": True}, TypeError, "MONGO_PORT"),
        ({"PORT": 0}, ValueError, "MONGO_PORT"),
        ({"PORT": 65536}, ValueError, "MONGO_PORT"),
        ({"DBNAME": "a.b"}, ValueError, "MONGO_DBNAME"),
        ({"DBNAME": "a b"}, ValueError, "MONGO_DBNAME"),
        ({"DBNAME": ""}, ValueError, "MONGO_DBNAME"),
        ({"DBNAME": "a\n/"}, ValueError, "MONGO_DBNAME"),
        ({"DBNAME": 5}, ValueError, "MONGO_DBNAME"),
        ({"DBNAME": "é" * 32}, ValueError, "MONGO_DBNAME"),
        ({"app_name": "examples.gallery"}, ValueError, "MONGO_DBNAME"),
        ({"app_name": "examples.gallery", "URI": "mongodb://db"}, ValueError, "MONGO_URI"),
        ({"USERNAME": "me"}, ValueError, "MONGO_PASSWORD"),
        ({"PASSWORD": PASSWORD}, ValueError, "MONGO_USERNAME"),
        ({"USERNAME": "me", "AUTH_MECHANISM": "SCRAM-SHA-1"}, ValueError, "MONGO_PASSWORD"),
        ({"USERNAME": "me", "AUTH_MECHANISM": "PLAIN"}, ValueError, "MONGO_PASSWORD"),
        ({"USERNAME": 5, "PASSWORD": PASSWORD}, TypeError, "MONGO_USERNAME"),
        ({"USERNAME": "me", "PASSWORD": PASSWORD.encode()}, TypeError, "MONGO_PASSWORD"),
        ({"AUTH_SOURCE": 5}, TypeError, "MONGO_AUTH_SOURCE"),
        ({"AUTH_MECHANISM": "MONGODB-CR"}, ValueError, "MONGO_AUTH_MECHANISM: MongoDB 4.0 removed MONGODB-CR"),
        ({"AUTH_MECHANISM": "ROT13"}, ValueError, "MONGO_AUTH_MECHANISM"),
        ({"AUTH_MECHANISM": 5}, TypeError, "MONGO_AUTH_MECHANISM"),
        ({"REPLICA_SET": 5}, TypeError, "MONGO_REPLICA_SET"),
        ({"READ_PREFERENCE": "tertiary"}, ValueError, "MONGO_READ_PREFERENCE"),
        ({"READ_PREFERENCE": 2}, ValueError, "MONGO_READ_PREFERENCE"),
        ({"MAX_POOL_SIZE": "many"}, TypeError, "MONGO_MAX_POOL_SIZE"),
        ({"MAX_POOL_SIZE": -1}, ValueError, "MONGO_MAX_POOL_SIZE"),
        ({"MEMORY_CACHE": "16 MB"}, TypeError, "MONGO_MEMORY_CACHE"),
        ({"MEMORY_CACHE": -1}, ValueError, "MONGO_MEMORY_CACHE"),
        ({"TRASH": "30d"}, TypeError, "MONGO_TRASH"),
        ({"TRASH": True}, TypeError, "MONGO_TRASH"),
        ({"TRASH": timedelta(days=-1)}, ValueError, "MONGO_TRASH"),
        ({"TRASH": timedelta.max}, ValueError, "MONGO_TRASH must be at most"),
        ({"SOCKET_TIMEOUT_MS": "x"}, TypeError, "MONGO_SOCKET_TIMEOUT_MS"),
        ({"CONNECT_TIMEOUT_MS": 1.5}, TypeError, "MONGO_CONNECT_TIMEOUT_MS"),
        ({"SERVER_SELECTION_TIMEOUT_MS": -1}, ValueError, "MONGO_SERVER_SELECTION_TIMEOUT_MS"),
        ({"DOCUMENT_CLASS": str}, TypeError, "MONGO_DOCUMENT_CLASS"),
        ({"DOCUMENT_CLASS": "dict"}, TypeError, "MONGO_DOCUMENT_CLASS"),
        ({"CONNECT": "no"}, TypeError, "MONGO_CONNECT"),
        ({"AUTO_START_REQUEST": 1}, TypeError, "MONGO_AUTO_START_REQUEST"),
        ({"URI": 5}, TypeError, "MONGO_URI"),
        ({"URI": ""}, ValueError, "MONGO_URI"),
        ({"URI": "localhost"}, ValueError, "MONGO_URI"),
        ({"URI": f"mongodb://me:{PASSWORD}@db/x"}, ValueError, "MONGO_URI"),
        ({"URI": "mongodb://me:p%zz@db/x"}, ValueError, "MONGO_URI"),
        ({"URI": "mongodb://me:1/p*zz@db"}, ValueError, "MONGO_URI"),
        ({"URI": "mongodb://me:1/p zz@db"}, ValueError, "MONGO_URI"),
        ({"URI": "mongodb+srv://me:1/p*zz@cluster.invalid"}, ValueError, "MONGO_URI"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_setting(
    settings: dict[str, Any], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named) as raised:
        read(**settings)
    for piece in (PASSWORD, "s:/%w", "p%zz", "zz@"):
        assert piece not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None  # no traceback shows another's message


def test_both_halves_of_the_credentials_are_named() -> None:
    for half in ({"USERNAME": "me"}, {"PASSWORD": PASSWORD}):
        with pytest.raises(ValueError, match="MONGO_USERNAME and MONGO_PASSWORD"):
            read(**half)


@pytest.mark.parametrize("value", [True, False])
def test_auto_start_request_is_accepted_and_says_that_it_does_nothing(value: bool) -> None:
    app = Flask("shop")
    app.config["MONGO_AUTO_START_REQUEST"] = value
    with pytest.warns(DeprecationWarning, match="MONGO_AUTO_START_REQUEST has no effect") as warned:
        PyMongo(app)
    assert [warning.filename for warning in warned] == [__file__]


def test_nothing_warns_without_auto_start_request() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(URI="mongodb://db/x", CONNECT=True).options["connect"] is True


def test_no_password_in_a_repr() -> None:
    app = Flask("shop")
    app.config.update(MONGO_USERNAME="me", MONGO_PASSWORD="s3cret", MONGO_CONNECT=False)
    escaped = "mongodb://me:s3cret%40@db/shop?connect=false"
    for mongo in (PyMongo(app), PyMongo(app, "MONGO2", uri=escaped, password="s3cret")):
        shown = [mongo, mongo.cx, mongo.db, mongo.db.a, app.extensions["pymongo"]]
        shown += [state.settings for state in app.extensions["pymongo"].values()]
        assert "s3cret" not in repr(shown)
        mongo.cx.close()


class TestUriFromElsewhere:
    @pytest.mark.parametrize("end", ["\n", "\r\n", " ", " \n\n"])
    def test_what_a_file_with_a_secret_ends_in_is_stripped(self, end: str) -> None:
        assert read(URI=f"mongodb://localhost/shop{end}") == read(URI="mongodb://localhost/shop")

    @pytest.mark.parametrize("character", ["\n", "\t", "\0", "\x1b", "\x7f"])
    def test_other_control_characters_are_refused_and_not_quoted(self, character: str) -> None:
        with pytest.raises(ValueError, match="MONGO_URI must have no control characters") as error:
            read(URI=f"mongodb://me:secret{character}@localhost/shop")
        assert "secret" not in str(error.value)

    def test_a_uri_in_the_place_of_the_prefix_is_one(self) -> None:
        app, uri = Flask("shop"), "mongodb://me:secret@db.example/theirs"
        PyMongo(app, uri)
        state = app.extensions["pymongo"]["MONGO"]
        assert (state.settings.dbname, state.settings.options["host"]) == ("theirs", uri)
        with pytest.raises(RuntimeError, match=r"already has .* 'MONGO'") as error:
            PyMongo(app, uri)
        assert "secret" not in str(error.value)
        other = PyMongo(None, None)
        other.init_app(Flask("other"), uri)
        with pytest.raises(TypeError, match="twice") as twice:
            PyMongo(app, uri, uri=uri)
        assert "secret" not in str(twice.value)
