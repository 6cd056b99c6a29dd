"""libfaketime, and what an application does whose clock is wrong: ``python -m tests.helpers.clocks URI``."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Check


def faketime(days: int) -> dict[str, str] | None:
    """Return the environment of a process whose clock is so many days ahead; None if libfaketime is missing."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        return None
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": f"{days:+}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def act(uri: str) -> dict[str, Any]:
    app = Flask("wrong")
    mongo = PyMongo(app, uri=uri)
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", expire_after=3600, authorize=lambda *_: True))
    store, http = mongo.bucket(), app.test_client()
    seen: dict[str, Any] = {
        "hour": datetime.now(UTC).timestamp() / 3600,
        "found": [name for name in ("live", "dead", "mine") if store.find(name)],
        "listed": [row.file.filename for row in store.list().rows],
        "versions": [len(store.versions(name)) for name in ("live", "dead")],
        "move": http.post("/u/mine?move=live").status_code,
        "put": [http.put(f"/u/{name}", data=b"x").status_code for name in ("live", "dead", "new")],
        "repaired": [finding.id for finding in Check(store.collections, repair=True).findings()],
    }
    with store.writer("upload") as writer:
        writer.write(b"x" * 300_000)
        writer.finish()
        own = store.chunks.find({"files_id": writer.id})
        seen["chunks"] = [chunk["_id"].generation_time.timestamp() / 3600 for chunk in own]
    store.save("kept", io.BytesIO(b"x"))
    return seen


if __name__ == "__main__":
    print(json.dumps(act(sys.argv[1]), default=str))
