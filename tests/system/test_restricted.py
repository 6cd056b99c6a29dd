"""Servers that allow less: the Stable API, users with few rights, validators, views, and settings that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure
from pymongo.server_api import ServerApi

from flask_gridfs_pymongo.serve import mongod as server

from ..conftest import HTML, form, missing
from ..helpers.doors import EXPECTED, OPERATIONS, Doors, fill, opened, outcomes
from ..helpers.replica import standalone

pytestmark = pytest.mark.slow

_COLLECTIONS = ("fs.files", "fs.chunks", "fs.uploads", "fs.variants", "fs.dav", "fs.links")
_WRITES = ["find", "insert", "update", "remove"]
# The actions of each user on the collections of the bucket, and on no others.
_USERS = {"complete": [*_WRITES, "listIndexes", "createIndex"], "plain": _WRITES, "narrow": _WRITES}


def test_every_operation_works_with_the_stable_api_alone(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    with opened(uri, server_api=ServerApi("1", strict=True)) as doors:
        fill(doors.bucket)
        assert outcomes(doors) == EXPECTED
    assert "apiStrict" not in caplog.text


_SOON = "serverMonitoringMode=poll&heartbeatFrequencyMS=500"  # the driver asks again after the next heartbeat
As = Callable[[str], str]


@pytest.fixture(scope="module")
def guarded() -> Iterator[As]:
    """``guarded(USER)`` is the URI of the database ``shop`` on a server with access control."""
    try:
        server.find()
    except SystemExit as error:
        missing(str(error))
    with standalone("--auth") as mongod:

        def uri(user: str) -> str:
            return f"mongodb://{user}:secret@{mongod.address}/shop?authSource={'admin' if user == 'root' else 'shop'}"

        with pymongo.MongoClient[Any](mongod.address) as client:
            client.admin.command("createUser", "root", pwd="secret", roles=["root"])
        with pymongo.MongoClient[Any](uri("root")) as client:
            client.shop.command("createUser", "read", pwd="secret", roles=["read"])
            for user, actions in _USERS.items():
                names = _COLLECTIONS[: 2 if user == "narrow" else None]
                resources = [{"db": "shop", "collection": collection} for collection in names]
                rights = [{"resource": resource, "actions": actions} for resource in resources]
                client.shop.command("createRole", user, privileges=rights, roles=[])
                client.shop.command("createUser", user, pwd="secret", roles=[user])
        yield uri


@pytest.fixture
def filled(guarded: As) -> As:
    with opened(guarded("root")) as doors:
        for collection in _COLLECTIONS:
            doors.mongo.db[collection].delete_many({})
        fill(doors.bucket)
    return guarded


def test_rights_on_the_collections_of_the_bucket_alone_are_enough(filled: As) -> None:
    with opened(filled("complete")) as doors:
        assert outcomes(doors) == EXPECTED


def test_rights_on_files_and_chunks_alone_are_enough_for_files(filled: As) -> None:
    """Resumable uploads and the drive have collections of their own; variants are made anew."""
    without = [name for name in EXPECTED if name.startswith(("tus", "dav", "PROP", "LOCK", "check", "index", "expire"))]
    with opened(filled("narrow")) as doors:
        found = {name: OPERATIONS[name].do(doors) for name in EXPECTED if name not in without}
        assert found == {name: status for name, status in EXPECTED.items() if name not in without}
        assert OPERATIONS["tus: create"].do(doors) == 403


def test_without_rights_on_indexes_writes_succeed_with_one_warning(
    filled: As, caplog: pytest.LogCaptureFixture
) -> None:
    """An administrator has made the indexes; check cannot see them, and index cannot make others."""
    with opened(filled("plain")) as doors:
        needing = {"index": 2, "check": 1, "check --verify": 1, "check --repair": 1}
        assert outcomes(doors) == {**EXPECTED, **needing}
    lines = [record.getMessage() for record in caplog.records if record.name == "flask_gridfs_pymongo"]
    assert len([line for line in lines if "are not known" in line]) == 1


def test_who_may_only_read_learns_what_is_missing(filled: As, caplog: pytest.LogCaptureFixture) -> None:
    with opened(filled("read")) as doors:
        before = doors.bucket.usage()
        reading = {name: operation for name, operation in OPERATIONS.items() if not operation.writes}
        assert {name: operation.do(doors) for name, operation in reading.items()} == {
            name: operation.expected for name, operation in reading.items()
        }
        for name in sorted(OPERATIONS.keys() - reading.keys() - {"index"}):  # which are there
            assert refusal_of(doors, name) in (403, 404, 1, 2, 412, "refused"), name
        assert doors.bucket.usage() == before
        for url in ("/u/new", "/dav/new"):
            assert doors.status("PUT", url, b"new") == 403
            assert b"may not insert in fs.chunks" in doors.answer
        assert doors.status("POST", "/u/a.txt?delete", Accept=HTML["Accept"]) == 403
        assert b"may not delete in fs.files" in doors.answer
    assert not any("{" in record.message for record in caplog.records), "a log line quotes a whole command"


def refusal_of(doors: Doors, name: str) -> Any:
    """A status, or that an error of Python says it."""
    if name.startswith("tus: ") and name != "tus: create":
        return 403  # there is no upload
    try:
        status = OPERATIONS[name].do(doors)
        return 403 if status == 207 and b"403 Forbidden" in doors.answer else status
    except OperationFailure as error:
        return "refused" if error.code == 13 else error
    except FileNotFoundError:  # what an operation before could not store
        return "refused"


def test_what_a_server_refuses_for_good_is_told(guarded: As) -> None:
    with opened(guarded("root").replace("/shop", "/validated")) as doors:
        doors.mongo.db.create_collection("fs.files", validator={"$jsonSchema": {"required": ["md5"]}})
        for url in ("/u/x", "/dav/x"):
            assert doors.status("PUT", url, b"x") == 422
            assert b"schema validator" in doors.answer
        assert doors.command("check", "--idle") == 0
    with opened(guarded("root").replace("/shop", "/viewed")) as doors:
        doors.mongo.db.create_collection("fs.files", viewOn="other", pipeline=[])
        assert doors.status("GET", "/u/") == 200
        for method, url in (("PUT", "/u/x"), ("POST", "/u/x"), ("PUT", "/dav/x")):
            assert doors.status(method, url, form((b"x", "x")) if method == "POST" else b"x") == 403
            assert b"view" in doors.answer
        assert doors.command("check") == 1


def test_settings_that_do_not_fit_are_told(guarded: As, uri: str) -> None:
    cases = {
        f"{uri}?loadBalanced=true": b"settings of the connection",
        f"{guarded('read').replace('secret', 'wrong')}&{_SOON}": b"the user or the password",
    }
    for address, reason in cases.items():
        with opened(address) as doors:
            for method, url in (("GET", "/u/x"), ("PUT", "/u/x"), ("PUT", "/dav/x")):
                assert doors.status(method, url, b"x") == 500
                assert reason in doors.answer
            assert doors.command("ls") == 2


def test_a_server_that_scans_no_collections(filled: As) -> None:
    """All operations work; for expire an index must be made, and its error says so."""
    with opened(filled("root")) as doors:
        assert doors.command("index", "metadata.expiresAt") == 0
        try:
            doors.mongo.cx.admin.command("setParameter", 1, notablescan=True)
            assert outcomes(doors) == EXPECTED
            doors.mongo.db.fs.files.drop_index("metadata.expiresAt_1_filename_1_uploadDate_1")
            result = doors.app.test_cli_runner().invoke(args=["gridfs", "expire"])
            assert "flask gridfs index" in result.stderr
        finally:
            doors.mongo.cx.admin.command("setParameter", 1, notablescan=False)
