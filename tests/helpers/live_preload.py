"""Like ``tests.helpers.live``, but the database is used before gunicorn forks its workers."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

from flask import Flask

from flask_gridfs_pymongo import PyMongo

from ..helpers import live

# Python 3.12 warns of every fork of a process that has threads, and the driver has some from its first use on.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)


def create_app() -> Flask:
    app = live.create_app(read_only=True)
    mongo = PyMongo(app, "SECOND", uri=os.environ["LIVE_URI"])
    mongo.save_file("before.txt", io.BytesIO(b"before the fork"))

    @app.get("/second")
    def second() -> dict[str, Any]:
        name = mongo.db.fs.files.find_one_or_404({"filename": "before.txt"})["filename"]
        return {"name": name, "pid": os.getpid(), "parent": os.getppid()}

    return app
