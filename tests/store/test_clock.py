"""store/clock.py: clocks of an application or a server that are a day off decide nothing about what is stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from flask_gridfs_pymongo import PyMongo

from ..conftest import JSON, ROOT, missing
from ..helpers.clocks import create, faketime, link
from ..helpers.drive import LOCK, mounting
from ..helpers.replica import TIMEOUTS, replica_set, standalone, until


def wrong(days: int) -> dict[str, str]:
    return faketime(days) or missing("install libfaketime (Debian: apt-get install libfaketime)")


@pytest.mark.parametrize("days", [-1, 1])
def test_an_application_whose_clock_is_wrong(uri: str, days: int) -> None:
    app, mongo = create(uri)
    environ, store, now = wrong(days), mongo.bucket(), datetime.now(UTC)
    soon, past = now + timedelta(hours=12), now - timedelta(hours=2)
    never = dict.fromkeys(("live", "dead", "mine", "dated"))
    for name, expires in (*never.items(), ("live", soon), ("dead", past)):
        store.save(name, [name.encode()], expires_at=expires)
    store.collections.clock.now()
    young = ObjectId.from_datetime(now - timedelta(minutes=50))
    store.chunks.insert_one({"_id": young, "files_id": ObjectId(), "n": 0, "data": b"x"})
    signed = [link(app, mongo, "mine", seconds) for seconds in (3600, -7200)]
    command = [sys.executable, "-m", "tests.helpers.clocks", uri, *signed]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    hour = now.timestamp() / 3600
    assert abs(seen.pop("hour") - hour) > 23
    assert all(abs(made - hour) < 0.1 for made in seen.pop("chunks"))
    answer = app.test_client().get(seen.pop("link"))
    assert answer.status_code == 200
    assert 3300 < (answer.cache_control.max_age or 0) <= 3600
    assert seen == {
        "told": True,
        "signed": [200, 410],
        "since": [[200, 200, 412], [304, 206, 204]],
        "expired": False,
        "found": ["live", "mine"],
        "listed": ["dated", "live", "mine"],
        "versions": [2, 0],
        "move": 409,
        "put": [204, 201, 201],
        "repaired": [],
    }
    documents = list(store.files.find({"filename": "live"}).sort("uploadDate", 1))
    expiry = [document["metadata"].get("expiresAt") for document in documents]
    assert (expiry[0], abs(expiry[1] - soon) < timedelta(seconds=1)) == (None, True)
    for name in ("live", "dead", "new", "kept"):
        file = store.find(name)
        assert file is not None
        assert abs(file.upload_date - now) < timedelta(minutes=5)
        assert name == "kept" or abs(file.expires_at - now - timedelta(hours=1)) < timedelta(minutes=5)  # type: ignore[operator]
    mongo.cx.close()


@pytest.mark.replica
def test_a_server_whose_clock_was_set(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock holds for each process, whenever it asked the server for the time."""
    with standalone() as server:
        uri = f"mongodb://{server.address}/clock?{TIMEOUTS}"
        before = PyMongo(app, uri=uri)
        client = mounting(app, before)()
        assert client.status("PUT", "a", b"x") == 201
        for days in (1, -1):
            server.kill()
            with monkeypatch.context() as environ:
                for name, value in wrong(days).items():
                    environ.setenv(name, value)
                server.start()
            token = client.lock("a", Timeout="Second-3600")
            new = type(app)("new")
            second = PyMongo(new, uri=uri)
            other = mounting(new, second)()
            assert (other.status("PUT", "a", b"y"), other.status("LOCK", "a", LOCK)) == (423, 423)
            assert client.status("PUT", "a", b"y") == 423
            expected = datetime.now(UTC) + timedelta(days=days)
            assert abs(before.bucket().collections.clock.now() - expected) < timedelta(minutes=5)
            assert client.status("UNLOCK", "a", Lock_Token=f"<{token}>") == 204
            second.cx.close()
        before.cx.close()


@pytest.mark.replica
@pytest.mark.slow
@pytest.mark.parametrize("days", [-1, 1])
def test_a_failover_to_a_member_whose_clock_is_wrong(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Its clock counts for each application as soon as that knows the member."""
    with replica_set() as replicas:
        uri = f"{replicas.uri}/clock?replicaSet=tests&{TIMEOUTS}"
        pairs = [create(uri) for _ in range(3)]
        drives, https = [mounting(*pair)() for pair in pairs], [app.test_client() for app, _ in pairs]
        first = pairs[0][1].bucket().save("a", [b"x"])
        before = link(*pairs[0], "a", 3600)
        primary = replicas.one("PRIMARY")
        with monkeypatch.context() as environ:
            for name, value in wrong(days).items():
                environ.setenv(name, value)
            for member in replicas.members:
                if member is not primary:
                    member.kill()
                    member.start()
                    until(replicas.is_whole)
        primary.kill()
        for http in https:
            until(lambda http=http: http.get("/u/a?details", headers=JSON).status_code == 200)
        token = drives[0].lock("a", Timeout="Second-3600")
        assert [drive.status("PUT", "a", b"y") for drive in drives] == [423] * 3
        expected = datetime.now(UTC) + timedelta(days=days)
        for _, mongo in pairs:
            assert abs(mongo.bucket().collections.clock.now() - expected) < timedelta(minutes=5)
        made = link(*pairs[0], "a", 3600)
        statuses = [[http.get(url).status_code for http in https] for url in (before, made)]
        assert statuses == [[410 if days > 0 else 200] * 3, [200] * 3]
        assert drives[1].status("UNLOCK", "a", Lock_Token=f"<{token}>") == 204
        assert https[2].put("/u/a", data=b"z").status_code == 204
        told, newest = https[1].get("/u/a").last_modified, pairs[0][1].bucket().find("a")
        assert newest is not None
        assert told is not None
        assert first.upload_date < newest.upload_date
        assert told <= datetime.now(UTC)
        for _, mongo in pairs:
            mongo.cx.close()
