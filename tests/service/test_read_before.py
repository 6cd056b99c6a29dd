"""service/bodies.py: bodies that the application has read before, for a log or to check a signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request

from flask_gridfs_pymongo import PyMongo

from ..conftest import BIG, JSON, Client, everyone, form, nothing_stored

READERS: dict[str, Callable[[], Any]] = {
    "get_data": lambda: request.get_data(),
    "data": lambda: request.data,
    "get_json": lambda: request.get_json(silent=True),
    "form": lambda: request.form,
    "values": lambda: request.values,
    "files": lambda: request.files,
    "content of files": lambda: [file.read() for file in request.files.values()],
    "data and form": lambda: (request.get_data(), request.form),
}


@pytest.mark.parametrize("reader", READERS)
def test_it_arrives_all_the_same(app: Flask, client: Client, reader: str) -> None:
    app.before_request(lambda: (READERS[reader](), None)[1])
    uploads = client(authorize=everyone, metadata=["k"])
    assert uploads.put("/uploads/put", data=BIG).status_code == 201
    assert uploads.put("/uploads/json", data=b'{"a": 1}', content_type="application/json").status_code == 201
    assert uploads.post("/uploads/", data=form((BIG, "form"), (b"2", "second")), headers=JSON).status_code == 201
    tus = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    started = {**tus, "Upload-Length": str(len(BIG)), "Upload-Metadata": "filename dHVz"}
    begun = uploads.post("/uploads/", data=BIG[:9], headers=started)
    assert begun.headers["Upload-Offset"] == "9"
    appended = uploads.patch(begun.headers["Location"], data=BIG[9:], headers={**tus, "Upload-Offset": "9"})
    assert appended.status_code == 204
    for name in ("put", "form", "tus"):
        assert uploads.get(f"/uploads/{name}").data == BIG
    assert uploads.get("/uploads/json").data == b'{"a": 1}'
    curl = {"content_type": "application/x-www-form-urlencoded"}  # whatever the body is
    assert uploads.put("/uploads/curl", data=BIG, **curl).status_code == 201
    assert uploads.get("/uploads/curl").data == BIG
    change = {"data": b'{"k": "v"}', "content_type": "application/merge-patch+json"}
    assert uploads.patch("/uploads/put", **change).status_code == 200
    assert uploads.post("/uploads/put?move=moved", data={"name": "moved"}, headers=JSON).status_code < 400


def test_what_was_not_kept_is_told(app: Flask, client: Client, mongo: PyMongo) -> None:
    uploads = client()
    for read in (
        lambda: request.stream.read(),
        lambda: request.stream.read(1),
        lambda: request.get_data(cache=False),
    ):
        app.before_request_funcs[None] = [lambda read=read: (read(), None)[1]]
        with pytest.raises(RuntimeError, match=r"read it by request.get_data\(\)"):
            uploads.put("/uploads/a", data=b"12345")
        with pytest.raises(RuntimeError, match=r"read it by request.get_data\(\)"):
            uploads.post("/uploads/", data=form((b"12345", "a")))
    assert nothing_stored(mongo)
