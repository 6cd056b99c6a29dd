"""libfaketime, and what an application does whose clock is wrong: ``python -m tests.helpers.clocks URI LINK...``."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.http import http_date

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Check
from flask_gridfs_pymongo.uploads.read import signed_links


def faketime(days: int) -> dict[str, str] | None:
    """Return the environment of a process whose clock is so many days ahead; None if libfaketime is missing."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        return None
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": f"{days:+}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def create(uri: str) -> tuple[Flask, PyMongo]:
    """An application whose signed links others open, too."""
    app = Flask("clocks")
    app.secret_key = "clocks"
    mongo = PyMongo(app, uri=uri)
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", expire_after=3600, authorize=lambda *_: True))
    return app, mongo


def link(app: Flask, mongo: PyMongo, filename: str, expires_in: int) -> str:
    """A signed link; it may have expired."""
    store = mongo.bucket()
    file = store.find(filename)
    assert file is not None
    with app.test_request_context():
        return signed_links.signed_url(store, "uploads", file, signed_links.expiry(store, expires_in), None)


def conditional(http: FlaskClient, name: str, date: datetime) -> list[int]:
    """The statuses if the file was not modified since *date*: of a GET, of a GET of a range, and of a PUT."""
    since = http_date(date)
    return [
        http.get(f"/u/{name}", headers={"If-Modified-Since": since}).status_code,
        http.get(f"/u/{name}", headers={"If-Range": since, "Range": "bytes=0-0"}).status_code,
        http.put(f"/u/{name}", data=b"x", headers={"If-Unmodified-Since": since}).status_code,
    ]


def act(uri: str, signed: list[str]) -> dict[str, Any]:
    app, mongo = create(uri)
    store, http = mongo.bucket(), app.test_client()
    dated = store.find("dated")
    assert dated is not None
    told = http.get("/u/dated").last_modified
    assert told is not None
    seen: dict[str, Any] = {
        "told": told <= datetime.now(UTC),
        "signed": [http.get(url).status_code for url in signed],
        "link": link(app, mongo, "mine", 3600),
        "since": [conditional(http, "dated", dated.upload_date - timedelta(hours=hours)) for hours in (2, 0)],
        "expired": store.update_metadata("live", {"title": "x"}).expired,
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
    print(json.dumps(act(sys.argv[1], sys.argv[2:]), default=str))
