"""What goes wrong inside: damaged files, races, refused writes, a full disk. Nothing half is ever shown."""

from __future__ import annotations

import http.client
import io
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pymongo
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_saved
from flask_gridfs_pymongo.store import Bucket, Check, StoredFile, retry
from flask_gridfs_pymongo.store.writing import commit
from flask_gridfs_pymongo.store.writing.pipeline import CHUNK_SIZE

from ..conftest import Serve, if_match
from ..helpers.replica import TIMEOUTS, Mongod, standalone, until
from ..helpers.wire import call

LARGE = random.Random(6).randbytes(80 * CHUNK_SIZE)


@pytest.fixture
def client(app: Flask, real: PyMongo) -> FlaskClient:
    """A client of ``/uploads`` on mongod, which sees errors as strangers do."""
    app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads", authorize=lambda action, filename: True))
    app.testing = False
    return app.test_client()


@pytest.fixture
def store(real: PyMongo) -> Bucket:
    return Bucket(real.db)


def unreferenced(store: Bucket) -> int:
    return int(store.chunks.count_documents({"files_id": {"$nin": store.files.distinct("_id")}}))


class TestDamagedFiles:
    def test_known_before_the_first_byte_it_is_a_500(
        self, client: FlaskClient, store: Bucket, caplog: pytest.LogCaptureFixture
    ) -> None:
        saved = store.save("broken", [b"content"])
        store.chunks.delete_many({})
        answer = client.get("/uploads/broken")
        assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
        assert "damaged" in answer.get_json()["detail"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "ETag" not in answer.headers
        (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert f"chunk 0 of file {saved.id} ('broken')" in record.getMessage()
        assert record.exc_info is None

    def test_known_later_the_connection_is_cut(self, serve: Serve, uri: str) -> None:
        """Though the client gets fewer bytes than Content-Length says, which no client takes for the file."""
        parts = urlsplit(serve("tests.helpers.live:create_app()", LIVE_URI=uri))
        with pymongo.MongoClient(uri) as connection:
            store = Bucket(connection.get_default_database())
            for loss, target in product(("chunk", "file"), ("/uploads/large", "/sent/large", "/uploads/large?id={id}")):
                saved = store.save("large", [LARGE])
                client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
                client.request("GET", target.format(id=saved.id))
                answer = client.getresponse()
                begun = answer.read(1000)
                if loss == "file":
                    store.delete(id=saved.id)
                else:
                    store.chunks.delete_one({"files_id": saved.id, "n": 79})
                with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                    begun += answer.read()
                assert answer.length  # not 0, and not None: bytes are missing
                client.close()
                again = call(parts.netloc, "GET", target.format(id=saved.id))
                assert again == (404 if loss == "file" else 200), target
                store.delete_many([saved.id])


class TestRaces:
    def test_clocks_that_disagree_make_one_order_for_all(
        self, store: Bucket, real: PyMongo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each thread is a process whose clock is up to an hour off."""
        skew, date_after = threading.local(), commit._date_after

        def skewed(newest: StoredFile | None, now: datetime) -> datetime:
            return date_after(newest, now + timedelta(seconds=skew.seconds))

        monkeypatch.setattr(commit, "_date_after", skewed)
        order: list[bytes] = []

        def upload(number: int) -> None:
            skew.seconds = random.Random(number).uniform(-3600, 3600)
            own = Bucket(real.db)
            saved = own.save("a", [b"%d" % number])
            newer = [version.file.id for version in own.versions("a")]
            assert saved.id in newer
            order.append(b"%d" % number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(upload, range(24)))
        found = [version.file for version in store.versions("a")]
        assert len(found) == 24
        assert len({file.upload_date for file in found}) == 24
        stored = store.files.find({"filename": "a"}).sort("uploadDate", 1)
        chain = [(document["previous"]["_id"], document["_id"]) for document in stored]
        assert [before for before, _ in chain] == [None, *[own for _, own in chain[:-1]]]  # each follows the one before
        # One after the other: whoever starts after an upload was acknowledged is newer, whatever the clocks say.
        for seconds in (3600, -3600, 0):
            skew.seconds = seconds
            saved = store.save("a", [b"late"])
            assert store.find("a") == saved

    def test_uploads_against_deletes(self, client: FlaskClient, store: Bucket, app: Flask) -> None:
        statuses: list[int] = []

        def act(number: int) -> None:
            own = app.test_client()
            if number % 3:
                statuses.append(own.put("/uploads/a", data=b"%d" % number * 100_000).status_code)
            else:
                statuses.append(own.delete("/uploads/a").status_code)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(act, range(60)))
        assert set(statuses) <= {201, 204, 404, 409}  # what is deleted before it is acknowledged is a 409
        for version in store.versions("a"):
            assert len(b"".join(store.read(version.file))) == version.file.length
        assert unreferenced(store) == 0

    def test_the_first_uploads_create_the_indexes_at_once(self, real: PyMongo) -> None:
        with ThreadPoolExecutor(16) as pool:
            saved = list(pool.map(lambda n: Bucket(real.db, "new").save("a", [b"%d" % n]), range(16)))
        store = Bucket(real.db, "new")
        assert {version.file.id for version in store.versions("a")} == {file.id for file in saved}
        assert {"files_id_1_n_1"} < set(store.chunks.index_information())
        assert {"filename_1_uploadDate_1", "previous_1"} < set(store.files.index_information())

    @pytest.mark.usefixtures("no_indexes")
    def test_indexes_that_somebody_else_made_are_named_and_used(
        self, store: Bucket, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.chunks.create_index([("files_id", 1), ("n", 1)])  # not unique
        store.files.create_index([("filename", 1), ("uploadDate", 1)], sparse=True)
        store.files.create_index([("previous", 1)], name="previous_1")
        for content in (b"1", b"2"):
            store.save("a", [content])
        found = store.find("a")
        assert found is not None
        assert b"".join(store.read(found)) == b"2"
        warnings = [record.getMessage() for record in caplog.records if "cannot create the index" in record.message]
        assert len(warnings) == 3  # once, though there were two uploads
        assert all(keys in line for keys, line in zip(("uploadDate", "files_id", "previous"), warnings, strict=True))

    def test_of_two_that_initialize_one_app_one_is_told(self) -> None:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        for _ in range(50):
            app, barrier = Flask("raced"), threading.Barrier(8)

            def init(_: int, app: Flask = app, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait()
                try:
                    PyMongo(app, uri="mongodb://localhost/raced")
                except RuntimeError:
                    return False
                return True

            with ThreadPoolExecutor(8) as pool:
                assert sum(pool.map(init, range(8))) == 1
        sys.setswitchinterval(interval)

    def test_chunks_that_vanish_before_the_commit_end_the_upload(
        self, client: FlaskClient, store: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So it is where somebody takes a running upload's chunks for garbage, as it took longer than a minute."""
        monkeypatch.setattr("flask_gridfs_pymongo.store.writing.watch._SHORT", -1)
        upload = store.writer("a")
        upload.write(bytes(9 * CHUNK_SIZE))
        until(lambda: store.chunks.delete_many({"files_id": upload.id}).deleted_count)
        with pytest.raises(Exception, match="vanished"):
            upload.commit()
        upload.abort()
        assert store.find("a") is None
        assert unreferenced(store) == 0


@pytest.fixture(scope="module")
def refusing() -> Iterator[Mongod]:
    """A server that fails where it is told to."""
    with standalone("--setParameter", "enableTestCommands=1") as server:
        yield server


@pytest.fixture
def refused(refusing: Mongod, app: Flask) -> Iterator[tuple[FlaskClient, Any]]:
    """A client of an application on that server, and ``fail(mode, **data)``, which is off again after the test."""
    mongo = PyMongo(app, uri=f"mongodb://{refusing.address}/refused?{TIMEOUTS}")
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", authorize=lambda action, filename: True))
    mongo.cx.drop_database("refused")
    app.testing = False

    def fail(mode: Any, **data: Any) -> None:
        mongo.cx.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)

    with app.app_context():
        yield app.test_client(), fail
    fail("off")
    mongo.cx.close()


def twins(app: Flask, filename: str) -> None:
    """Two versions of another tool, whose dates do not tell their order: a form commits the next one by itself."""
    files = app.extensions["pymongo"]["MONGO"].connection.client.refused.fs.files
    fields = {"filename": filename, "length": 0, "chunkSize": 1, "uploadDate": datetime(2020, 1, 1)}
    files.insert_many([dict(fields), dict(fields)])


class TestRefusedWrites:
    @pytest.mark.parametrize("namespace", ["refused.fs.chunks", "refused.fs.files"])
    @pytest.mark.parametrize(
        ("failure", "status"),
        [
            ({"errorCode": 14031}, 507),  # OutOfDiskSpace
            ({"errorCode": 13}, 500),  # Unauthorized
            ({"errorCode": 10334}, 500),  # BSONObjectTooLarge
            ({"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}, 503),
        ],
    )
    @pytest.mark.parametrize("form", [True, False])
    def test_they_are_told_and_nothing_is_shown(
        self, refused: Any, app: Flask, namespace: str, failure: Any, status: int, form: bool
    ) -> None:
        client, fail = refused
        client.put("/uploads/before", data=b"x")
        fail("alwaysOn", failCommands=["insert"], namespace=namespace, **failure)
        body = LARGE[: 9 * CHUNK_SIZE]
        if form:
            head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            kind = {"Content-Type": "multipart/form-data; boundary=b"}
            answer = client.post("/uploads/", data=head + body + b"\r\n--b--\r\n", headers=kind)
        else:
            answer = client.put("/uploads/a", data=body)
        fail("off")
        assert answer.status_code == status
        assert ("Retry-After" in answer.headers) == (status == 503)
        assert "refused.fs" not in answer.text
        listed = client.get("/uploads/", headers={"Accept": "application/json"}).get_json()["files"]
        shown = {"before"} if "writeConcernError" not in failure or "chunks" in namespace else {"before", "a"}
        assert {file["filename"] for file in listed} == shown
        for name in shown:
            assert client.get(f"/uploads/{name}").status_code == 200  # whole, also where nobody was told

    @pytest.mark.parametrize("collection", ["fs.files", "fs.chunks"])
    def test_a_validator_is_no_outage_and_the_log_has_no_content(
        self, refused: Any, app: Flask, caplog: pytest.LogCaptureFixture, collection: str
    ) -> None:
        client, _ = refused
        db = app.extensions["pymongo"]["MONGO"].connection.client.refused
        db.create_collection(collection, validator={"owner": {"$exists": True}})
        answer = client.put("/uploads/a", data=b"secret content")
        assert (answer.status_code, answer.headers.get("Retry-After")) == (422, None)
        assert "validation" in caplog.text
        assert "secret content" not in caplog.text
        assert db.fs.files.count_documents({}) == db.fs.chunks.count_documents({}) == 0

    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize(
        "failure", [{"closeConnection": True}, {"errorCode": 11600}, {"errorCode": 189}, {"errorCode": 10107}]
    )
    @pytest.mark.parametrize("command", ["insert", "find", "aggregate", "createIndexes", "getMore"])
    def test_what_passes_is_waited_for(self, refused: Any, command: str, failure: Any, times: int) -> None:
        client, fail = refused
        fail({"times": times}, failCommands=[command], **failure)
        answer = client.put("/uploads/a", data=LARGE[: 9 * CHUNK_SIZE])
        assert answer.status_code == 201
        fail("off")
        if command == "getMore":
            fail({"times": times}, failCommands=[command], **failure)
        assert client.get("/uploads/a").data == LARGE[: 9 * CHUNK_SIZE]

    @pytest.mark.parametrize("command", ["listIndexes", "find", "aggregate"])
    def test_a_check_waits_for_what_passes(self, refused: Any, app: Flask, command: str) -> None:
        client, fail = refused
        client.put("/uploads/a", data=b"x")
        check = Check(app.extensions["pymongo"]["MONGO"].connection.bucket("refused", "fs").collections)
        check.collections.clock.now()  # so that the check asks nothing else first
        fail({"times": 3}, failCommands=[command], errorCode=24)
        assert (list(check.findings()), check.files) == ([], 1)

    @pytest.mark.parametrize("code", [43, 175, 237])  # CursorNotFound, QueryPlanKilled, CursorKilled
    def test_a_cursor_that_is_gone_is_opened_again(self, refused: Any, code: int) -> None:
        client, fail = refused
        client.put("/uploads/a", data=LARGE[: 9 * CHUNK_SIZE])
        fail({"times": 2}, failCommands=["getMore"], errorCode=code)
        assert client.get("/uploads/a").data == LARGE[: 9 * CHUNK_SIZE]

    @pytest.mark.parametrize("method", ["insert_many", "insert_one"])
    def test_an_insert_whose_answer_was_lost_is_not_stored_twice(
        self, refused: Any, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        client, _ = refused
        insert, lost = getattr(pymongo.collection.Collection, method), []

        def insert_and_lose(self: Any, documents: Any) -> None:
            insert(self, documents)
            if not lost:
                lost.append(documents)
                raise AutoReconnect("connection reset by peer")

        monkeypatch.setattr(pymongo.collection.Collection, method, insert_and_lose)
        body = LARGE[: 9 * CHUNK_SIZE]
        assert client.put("/uploads/a", data=body).status_code == 201
        assert lost
        assert client.get("/uploads/a").data == body
        assert client.get("/uploads/a?version=1").status_code == 404

    @pytest.mark.parametrize(("namespace", "answer", "status"), [("fs.files", 500, 200), ("fs.chunks", 204, 404)])
    def test_a_delete_that_fails_half_way_leaves_all_or_nothing(
        self, refused: Any, namespace: str, answer: int, status: int
    ) -> None:
        client, fail = refused
        client.put("/uploads/a", data=b"content")
        fail("alwaysOn", failCommands=["delete"], errorCode=13, namespace=f"refused.{namespace}")
        assert client.delete("/uploads/a").status_code == answer
        fail("off")
        assert client.get("/uploads/a").status_code == status

    @pytest.mark.parametrize("inserts", [0, 1])
    @pytest.mark.parametrize(("code", "status"), [(14031, 507), (13, 500)])
    def test_a_form_of_several_files_is_stored_wholly_or_not_at_all(
        self, refused: Any, app: Flask, code: int, status: int, inserts: int
    ) -> None:
        """All names are one insert, unless the versions of one tell no order."""
        client, fail = refused
        twins(app, "c")
        told: list[str] = []
        with file_saved.connected_to(lambda sender, file: told.append(file.filename), app):
            fail({"skip": inserts}, failCommands=["insert"], namespace="refused.fs.files", errorCode=code)
            answer = client.post("/uploads/", data={"file": [(io.BytesIO(b"x"), name) for name in "abc"]})
        fail("off")
        assert answer.status_code == status
        assert [client.get(f"/uploads/{name}").status_code for name in ("a", "b", "c?version=2")] == [404] * 3
        assert told == []

    def test_what_of_a_form_cannot_be_taken_back_is_told(self, refused: Any, app: Flask) -> None:
        client, fail = refused
        twins(app, "c")
        told: list[str] = []
        with file_saved.connected_to(lambda sender, file: told.append(file.filename), app):
            client.put("/uploads/before", data=b"x")
            fail({"skip": 1}, failCommands=["insert", "delete"], namespace="refused.fs.files", errorCode=13)
            answer = client.post("/uploads/", data={"file": [(io.BytesIO(b"x"), name) for name in "abc"]})
        fail("off")
        assert answer.status_code == 503
        assert "'a', 'b'" in answer.get_json()["detail"]
        assert told == ["before", "a", "b"]
        assert [client.get(f"/uploads/{name}").status_code for name in ("a", "b", "c?version=2")] == [200, 200, 404]

    @pytest.mark.parametrize("query", ["?version=0", ""])
    @pytest.mark.parametrize("lost", ["fs.files", "fs.chunks"])
    def test_a_delete_whose_answer_is_lost_takes_no_more_than_was_asked(
        self, refused: Any, monkeypatch: pytest.MonkeyPatch, lost: str, query: str
    ) -> None:
        client, _ = refused
        delete, left = pymongo.collection.Collection.delete_many, [2]

        def delete_and_lose(self: Any, selection: Any) -> Any:
            result = delete(self, selection)
            if self.name == lost and left[0]:
                left[0] -= 1
                raise AutoReconnect("connection reset by peer")
            return result

        for content in (b"first", b"second"):
            client.put("/uploads/a", data=content)
        monkeypatch.setattr(pymongo.collection.Collection, "delete_many", delete_and_lose)
        named = if_match(client, f"/uploads/a{query}")
        assert client.delete(f"/uploads/a{query}", headers=named).status_code == 204
        assert left == [0]
        assert client.get("/uploads/a").status_code == (200 if query else 404)

    @pytest.mark.parametrize("code", [24, 50, 262, 6, 11601])  # LockTimeout, MaxTimeMSExpired, ExceededTimeLimit, ...
    @pytest.mark.parametrize(
        ("command", "namespace"), [("insert", "fs.chunks"), ("insert", "fs.files"), ("delete", "")]
    )
    def test_an_error_that_passes_is_waited_for(self, refused: Any, code: int, command: str, namespace: str) -> None:
        client, fail = refused
        where = {"namespace": f"refused.{namespace}"} if namespace else {}
        fail({"times": 2}, failCommands=[command], errorCode=code, **where)
        assert client.put("/uploads/a", data=b"content").status_code == 201
        assert client.get("/uploads/a").data == b"content"
        assert client.delete("/uploads/a").status_code == 204
        assert client.get("/uploads/a").status_code == 404

    def test_what_is_not_confirmed_may_appear(self, refused: Any) -> None:
        client, fail = refused
        failure = {"code": 64, "errmsg": "waiting for replication timed out"}
        fail({"times": 1}, failCommands=["insert"], namespace="refused.fs.files", writeConcernError=failure)
        answer = client.put("/uploads/a", data=b"content")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "may still appear" in answer.get_json()["detail"]
        fail({"times": 1}, failCommands=["delete"], namespace="refused.fs.files", writeConcernError=failure)
        answer = client.delete("/uploads/a?version=0", headers=if_match(client, "/uploads/a?version=0"))
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5")

    def test_an_upload_in_doubt_keeps_its_chunks(self, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no answer to the commit comes, the file may be there: it must be whole."""
        client, _ = refused
        monkeypatch.setattr(retry.RetryBudget, "lasts", lambda budget, error: False)
        insert = pymongo.collection.Collection.insert_one

        def insert_and_lose(self: Any, document: Any) -> None:
            insert(self, document)
            raise AutoReconnect("connection reset by peer")

        monkeypatch.setattr(pymongo.collection.Collection, "insert_one", insert_and_lose)
        assert client.put("/uploads/a", data=b"content").status_code == 503
        assert client.get("/uploads/a").data == b"content"


@pytest.mark.replica
@pytest.mark.replica
def test_a_full_disk_shows_nothing_half(serve: Serve) -> None:
    """mongod may write no further than it has: it ends itself. After its restart all that was acknowledged is there."""
    with standalone() as server:
        uri = f"mongodb://{server.address}/full?serverSelectionTimeoutMS=2000&heartbeatFrequencyMS=500"
        address = urlsplit(serve("tests.helpers.live:create_app()", LIVE_URI=uri)).netloc
        call(address, "PUT", "/uploads/before", b"before")
        hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (100_000, hard))
        with suppress(ConnectionError):  # the server may close before it has read all
            assert call(address, "PUT", "/uploads/a", LARGE) in (503, 507)
        server.kill()
        server.start()
        until(lambda: call(address, "GET", "/uploads/before") == 200)
        assert call(address, "GET", "/uploads/a") == 404
        assert call(address, "PUT", "/uploads/a", LARGE) == 201


@pytest.mark.replica
@pytest.mark.replica
def test_a_frozen_server_does_not_keep_the_threads(serve: Serve) -> None:
    """With no socket timeout: the driver's monitor notices, and interrupts what waits."""
    with standalone() as server:
        uri = f"mongodb://{server.address}/frozen?{TIMEOUTS}".replace("=15000", "=1500")
        address = urlsplit(serve("tests.helpers.live:create_app()", "--threads", "4", LIVE_URI=uri)).netloc
        assert call(address, "PUT", "/uploads/a", b"content") == 201
        server.signal(signal.SIGSTOP)
        try:
            start = time.monotonic()
            with ThreadPoolExecutor(8) as pool:
                statuses = list(pool.map(lambda _: call(address, "GET", "/uploads/a"), range(8)))
            assert statuses == [503] * 8
            assert time.monotonic() - start < 15
        finally:
            server.signal(signal.SIGCONT)
        until(lambda: call(address, "GET", "/uploads/a") == 200)
