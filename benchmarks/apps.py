"""What is compared, each an application for gunicorn: ours, Flask-PyMongo 3.0.1, and the limit.

The limit is the least that the same answer takes: the driver and Flask, or WSGI alone for a download, with nothing
decided and nothing checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import flask_pymongo
import pymongo
from bson.objectid import ObjectId
from flask import Flask, Response, jsonify, request
from pymongo.cursor import CursorType

import flask_gridfs_pymongo

URI = os.environ.get("BENCHMARK_URI", "mongodb://localhost/benchmark")


def ours(**options: Any) -> Flask:
    app = Flask("ours")
    mongo = flask_gridfs_pymongo.PyMongo(app, uri=URI, **options)
    app.add_url_rule("/files/<path:name>", view_func=lambda name: mongo.send_file(name), endpoint="send")
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", authorize=lambda action, filename: True))
    return app


def cached() -> Flask:
    return ours(file_cache=os.environ["BENCHMARK_CACHE"])


def handing_over() -> Flask:
    return ours(file_cache=os.environ["BENCHMARK_CACHE"], accel="/_files/")


def peer() -> Flask:
    app = Flask("peer")
    mongo = flask_pymongo.PyMongo(app, URI)

    @app.get("/files/<path:name>")
    def send(name: str) -> Response:
        return mongo.send_file(name)

    @app.post("/uploads/")
    def save() -> str:
        file = request.files["file"]
        mongo.save_file(file.filename or "", file)
        return ""

    return app


def limit() -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """WSGI for the download of a large file; Flask views for the rest."""
    app = Flask("limit")
    files, chunks = (pymongo.MongoClient(URI).get_default_database()[f"fs.{name}"] for name in ("files", "chunks"))

    @app.get("/empty")
    def empty() -> str:
        return ""

    @app.get("/aggregate/<path:name>")
    def aggregate(name: str) -> Response:
        return Response(_bare_aggregate(files, name))

    @app.put("/insert/<path:name>")
    def insert(name: str) -> Response:
        file_id, data = ObjectId(), request.get_data()
        chunks.insert_one({"files_id": file_id, "n": 0, "data": data})
        sizes = {"length": len(data), "chunkSize": 261_120}
        files.insert_one({"_id": file_id, "filename": name, "uploadDate": datetime.now(UTC), **sizes})
        return Response(status=201)

    @app.get("/list/<path:prefix>")
    def listing(prefix: str) -> Response:
        found = files.find({"filename": {"$gte": prefix}}, {"_id": 0}).sort("filename", 1).limit(100)
        return jsonify(list(found))

    @app.get("/find/<path:name>")
    def find(name: str) -> Response:
        files.find_one({"filename": name}, sort=[("uploadDate", -1)])
        return Response(status=304)

    def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith("/files/"):
            return app(environ, start_response)
        found = files.find_one({"filename": path.removeprefix("/files/")}, sort=[("uploadDate", -1)])
        start_response("200 OK", [("Content-Length", str(found["length"]))])
        return _stream(chunks, found["_id"])

    return wsgi


def _stream(chunks: Any, file_id: ObjectId) -> Iterator[bytes]:
    with chunks.find({"files_id": file_id}, {"data": 1, "_id": 0}, cursor_type=CursorType.EXHAUST, batch_size=8).sort(
        "n", 1
    ) as cursor:
        for chunk in cursor:
            yield chunk["data"]


def _bare_aggregate(files: Any, name: str) -> bytes:
    lookup = {
        "from": "fs.chunks",
        "let": {"id": "$_id"},
        "pipeline": [{"$match": {"$expr": {"$eq": ["$files_id", "$$id"]}, "n": 0}}],
        "as": "chunks",
    }
    pipeline = [{"$match": {"filename": name}}, {"$sort": {"uploadDate": -1}}, {"$limit": 1}, {"$lookup": lookup}]
    (found,) = files.aggregate(pipeline)
    data: bytes = found["chunks"][0]["data"]
    return data
