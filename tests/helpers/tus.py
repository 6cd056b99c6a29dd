"""What tests of resumable uploads send, and how their processes die."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_gridfs_pymongo.store import (
    Bucket,
)


def lapse(store: Bucket, field: str = "busy") -> None:
    """Let the time that all uploads have be over."""
    past = {"$set": {field: datetime(2020, 1, 1, tzinfo=UTC)}}
    store.uploads.collection.update_many({}, past)


class Crash(BaseException):
    """The process is gone: nothing more of it happens."""


def crash(*args: Any, **kwargs: Any) -> None:
    raise Crash


TUS = {"Tus-Resumable": "1.0.0"}


PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


def patch(client: FlaskClient, url: str, offset: int | str, body: bytes = b"", **fields: str) -> TestResponse:
    sent = {**PATCH, "Upload-Offset": str(offset)}
    return client.patch(
        url, data=body, headers=sent | {name.replace("_", "-"): value for name, value in fields.items()}
    )
