"""A sharded cluster, as a proxy plays it: all operations work, name the shard key, and outlive errors that pass."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import count

import pytest

from flask_gridfs_pymongo.store import Bucket, LeaseLost, Upload
from flask_gridfs_pymongo.store import retry as retries
from flask_gridfs_pymongo.store.resumable import lease
from flask_gridfs_pymongo.store.resumable.completion import finish

from ..helpers.doors import DATE, EXPECTED, LARGE, OPERATIONS, Doors, fill, opened, rename_many
from ..helpers.mongos import Command, Fault, mongos
from ..helpers.tus import TUS, patch

_READ_EVERYTHING = ("check", "check --verify", "check --repair")


@pytest.mark.slow
def test_each_command_on_chunks_names_the_shard_key(uri: str) -> None:
    with mongos(uri) as (proxy, address), opened(address) as doors:
        fill(doors.bucket)
        assert doors.mongo.cx.topology_description.topology_type_name == "Sharded"
        found, scattered = {}, set()
        for name, operation in OPERATIONS.items():
            begun = len(proxy.commands)
            found[name] = operation.do(doors)
            if any(scatters(command) for command in proxy.commands[begun:]):
                scattered.add(name)
        assert found == EXPECTED
        assert scattered == {*_READ_EVERYTHING}
        overwrite_and_withdraw(doors.bucket)
        assert not any(scatters(command) for command in proxy.commands if command.name == "delete")


def scatters(command: Command) -> bool:
    is_of_indexes = command.name.endswith("Indexes")
    return command.collection == "fs.chunks" and not is_of_indexes and not command.names("files_id")


def overwrite_and_withdraw(bucket: Bucket) -> None:
    """A resumable upload replaces the chunk of a crash, and takes its own back after it lost the lease."""
    upload = bucket.uploads.create("x", len(LARGE))
    bucket.chunks.insert_one({"files_id": upload.id, "n": 0, "data": b"of a crash"})
    with bucket.uploads.open_for_append(upload) as writer:
        writer.write(LARGE)
        file, _ = finish(writer)
    assert b"".join(bucket.read(file)) == LARGE
    upload = bucket.uploads.create("y", len(LARGE))
    with pytest.raises(LeaseLost):
        append_without_lease(bucket, upload)
    assert bucket.chunks.count_documents({"files_id": upload.id}) == 0


def test_an_upload_that_is_removed_in_parts_names_the_shard_key(uri: str) -> None:
    with mongos(uri) as (proxy, address), opened(address) as doors:
        bucket = doors.bucket
        upload = bucket.uploads.create("x", len(LARGE))
        with bucket.uploads.open_for_append(upload) as writer:
            writer.write(LARGE)
        bucket.uploads.collection.update_one({"_id": upload.id}, {"$set": {"expires": DATE}})
        for left in (2, 0):
            [expired] = bucket.uploads.expired()
            bucket.uploads.remove(expired, 2)
            assert bucket.chunks.count_documents({"files_id": upload.id}) == left
        assert not any(scatters(command) for command in proxy.commands)


def append_without_lease(bucket: Bucket, upload: Upload) -> None:
    with bucket.uploads.open_for_append(upload) as writer:
        bucket.uploads.collection.update_one({"_id": upload.id}, {"$inc": {"epoch": 1}})
        writer.write(LARGE)


def tus(doors: Doors) -> int:
    fields = {**TUS, "Upload-Length": str(len(_DATA)), "Upload-Metadata": "filename dHVz"}
    created = doors.http.post("/u/", headers=fields)
    if created.status_code != 201:
        return created.status_code
    return patch(doors.http, created.headers["Location"], 0, _DATA).status_code


_DATA = LARGE[:300_000]
# What is done with the file "x", the status, and how many versions of which name there are afterwards.
SWEPT: dict[str, tuple[Callable[[Doors], int], int, dict[str, int]]] = {
    "GET": (lambda doors: doors.status("GET", "/u/large"), 200, {"x": 1}),
    "PUT": (lambda doors: doors.status("PUT", "/u/new", _DATA), 201, {"new": 1}),
    "PUT over": (lambda doors: doors.status("PUT", "/u/x", _DATA), 204, {"x": 2}),
    "PUT if match": (lambda doors: doors.status("PUT", "/u/x", _DATA, If_Match="*"), 204, {"x": 2}),
    "DELETE": (lambda doors: doors.status("DELETE", "/u/x"), 204, {"x": 0}),
    "move": (lambda doors: doors.status("POST", "/u/x?move=y"), 201, {"x": 0, "y": 1}),
    "copy": (lambda doors: doors.status("POST", "/u/x?copy=y"), 201, {"x": 1, "y": 1}),
    "PATCH": (OPERATIONS["PATCH"].do, 200, {"x": 1}),
    "tus": (tus, 204, {"tus": 1}),
    "rename_many": (lambda doors: rename_many(doors, "x", "y"), 0, {"x": 0, "y": 1}),
}


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("name", SWEPT)
def test_any_command_may_fail_for_a_while(uri: str, monkeypatch: pytest.MonkeyPatch, name: str, done: bool) -> None:
    """Whether or not a shard has done it nevertheless; only what was not changed yet may be a 503."""
    monkeypatch.setattr(retries, "_PAUSE", 0.001)
    monkeypatch.setattr(lease, "LEASE_TTL", 0.1)
    do, expected, versions = SWEPT[name]
    with mongos(uri) as (proxy, address), opened(address) as doors:
        doors.bucket.save("large", io.BytesIO(LARGE))
        for number in count():
            for old in ("a.txt", "x", "y", "new", "tus"):
                doors.bucket.delete(old)
            for old in ("a.txt", "x"):
                doors.bucket.save(old, io.BytesIO(b"old"))
            failing = Nth(number)
            proxy.faults.append((failing, Fault(133, done)))
            status = do(doors)
            if proxy.faults:
                proxy.faults.clear()
                break
            if status == 503 and failing.command and failing.command.name in ("find", "aggregate"):
                status = do(doors)
            assert status == expected, failing.command
            for changed, wanted in versions.items():
                assert doors.bucket.count(changed) == wanted, failing.command
                assert not wanted or doors.status("GET", f"/u/{changed}") == 200
        assert number > 0
        assert doors.command("check", "--verify", "--idle") == 0


CODES = (
    6,
    63,
    70,
    83,
    117,
    133,
    145,
    149,
    150,
    199,
    216,
    227,
    239,
    249,
    250,
    272,
    314,
    317,
    319,
    342,
    343,
    371,
    384,
    402,
)
CODES += (406, 407, 433, 449, 450, 453, 462, 9001, 9996, 13388, 56846, 91331)
NOT_PRIMARY = (91, 189, 10058, 10107, 11600, 11602, 13435, 13436)  # the driver knows these in the error of a command


@pytest.mark.slow
def test_each_code_that_passes(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the error of a command, or of a document, and by a label alone."""
    monkeypatch.setattr(retries, "_PAUSE", 0.001)
    with mongos(uri) as (proxy, address), opened(address) as doors:
        doors.bucket.save("large", io.BytesIO(LARGE))
        chunks, file = of("fs.chunks", "find"), of("fs.files", "insert")
        answers = [Fault(code) for code in CODES] + [Fault(999_999, label="RetryableWriteError")]
        answers += [Fault(code, of_document=True) for code in (*CODES, *NOT_PRIMARY)]
        for number, fault in enumerate(answers):
            if not fault.of_document:
                proxy.faults.append((chunks, fault))
                assert doors.status("GET", "/u/large") == 200, fault
                assert doors.answer == LARGE, fault
            for done in (False, True):
                proxy.faults.append((file, fault._replace(done=done)))
                status = doors.status("PUT", f"/u/{number}", b"x")
                assert status == (204 if done else 201), (fault, done)
            assert doors.bucket.count(str(number)) == 2, fault
            assert not proxy.faults, fault
        proxy.faults.append((file, Fault(999_999)))
        assert doors.status("PUT", "/u/refused", b"x") == 500
        assert doors.command("check", "--idle") == 0


def test_what_a_shard_may_have_stored_is_not_taken_back(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The insert of the document has an effect, and from then on the shard of the files has no primary."""
    monkeypatch.setattr(retries, "_PAUSE", 0.01)
    inserted: list[Command] = []

    def is_insert(command: Command) -> bool:
        inserted.extend([command] if of("fs.files", "insert")(command) else [])
        return bool(inserted)

    with mongos(uri) as (proxy, address), opened(f"{address}?serverSelectionTimeoutMS=200") as doors:
        proxy.faults += [
            (is_insert, Fault(133, done=True)),
            *[(lambda command: bool(inserted) and command.collection == "fs.files", Fault(133))] * 500,
        ]
        assert doors.status("PUT", "/u/x", b"new") == 503
        proxy.faults.clear()
        assert doors.status("GET", "/u/x") == 200
        assert doors.answer == b"new"


def of(collection: str, name: str) -> Callable[[Command], bool]:
    return lambda command: (command.collection, command.name) == (collection, name)


@pytest.mark.usefixtures("no_indexes")
def test_files_that_are_sharded_by_another_key(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    """No unique index orders their writers: the first write says so, and check once, with a status of its own."""
    with mongos(uri, files=("filename",), chunks=("files_id", "n")) as (_, address), opened(address) as doors:
        sharded = doors.mongo.cx["config"]["collections"]
        keys = {"files": {"filename": 1}, "chunks": {"files_id": 1, "n": 1}}
        known = [{"_id": f"{doors.mongo.db.name}.fs.{name}", "key": key} for name, key in keys.items()]
        sharded.insert_many(known)
        try:
            for content in (b"1", b"2"):
                doors.bucket.save("x", io.BytesIO(content))
            errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
            assert len(errors) == 1
            assert "previous" in errors[0]
            assert "conditional" in errors[0]
            for options in ((), ("--repair",), ("--json",)):
                result = doors.app.test_cli_runner().invoke(args=["gridfs", "check", *options])
                assert result.exit_code == 3
                assert result.stdout.count("it is sharded by filename") == 1
            assert OPERATIONS["PATCH"].do(doors) == 404
            doors.bucket.save("a.txt", io.BytesIO(b"a"))
            assert OPERATIONS["PATCH"].do(doors) == 500  # MongoDB 7.0 would do it
            assert b"sharded by a key that this does not support" in doors.answer
            doors.bucket.chunks.drop_index("files_id_1_n_1")
            assert doors.command("check") == 1
            assert doors.command("check", "--repair") == 3
        finally:
            sharded.delete_many({"_id": {"$in": [one["_id"] for one in known]}})


class Nth:
    """Fits the command with this number, and notes it."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.command: Command | None = None

    def __call__(self, command: Command) -> bool:
        self._left -= 1
        if self._left < 0:
            self.command = command
        return self._left < 0
