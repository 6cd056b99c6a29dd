"""The application that gunicorn runs for the tests."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Response

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.decoder import pool, process
from flask_gridfs_pymongo.service import bodies


def create_app(**options: Any) -> Flask:
    """``/uploads`` is the blueprint with *options*, ``/sent/NAME`` is ``send_file``."""
    app = Flask(__name__)
    mongo = PyMongo(app, uri=os.environ["LIVE_URI"])
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", **options))

    @app.get("/sent/<path:filename>")
    def sent(filename: str) -> Response:
        return mongo.send_file(filename)

    @app.get("/ping")
    def ping() -> dict[str, Any]:
        return {"ok": mongo.db.command("ping")["ok"], "pid": os.getpid()}

    return app


def open_app() -> Flask:
    """Everybody may do everything, also delete."""
    return create_app(authorize=lambda action, filename: True)


def links_app() -> Flask:
    """Nobody may do anything without a link, which ``/link`` makes for a folder, and ``/url/NAME`` for a file."""
    app = create_app(authorize=lambda action, filename: False)
    app.secret_key = "secret"
    mongo: PyMongo = app.extensions["pymongo"]["MONGO"].owner
    app.add_url_rule("/link", "link", lambda: mongo.upload_link("inbox/", max_files=20))
    app.add_url_rule("/url/<path:name>", "url", lambda name: mongo.upload_url(name))
    return app


def drive_app(**options: Any) -> Flask:
    """``/dav`` is a network drive, in which everybody may do everything."""
    app = create_app()
    mongo: PyMongo = app.extensions["pymongo"]["MONGO"].owner
    drive = mongo.webdav_app(authorize=lambda action, filename: True, **options)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": drive})  # type: ignore[method-assign]
    return app


def pictures_app() -> Flask:
    """The child processes that decode pictures have the tasks of :mod:`.tasks`, and less time."""
    process._MAIN = process._MAIN.replace("main()", "import tests.helpers.tasks; main()")
    pool.TIMEOUT = 2
    return create_app()


def impatient_app() -> Flask:
    """An application that waits for slow bodies for a second; ``/closed`` and ``/closed-dav`` are closed to all."""
    bodies.SMALL = bodies.SMALL._replace(seconds=0.5)
    bodies.STORED = bodies.STORED._replace(seconds=1)
    app = create_app(authorize=lambda action, filename: True, metadata=["title"])
    mongo: PyMongo = app.extensions["pymongo"]["MONGO"].owner
    app.register_blueprint(
        mongo.uploads_blueprint("closed", url_prefix="/closed", authorize=lambda action, filename: False)
    )
    drives = {"/dav": "uploads", "/closed-dav": "closed"}
    mounts = {path: mongo.webdav_app(rules=app.blueprints[name]) for path, name in drives.items()}
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, mounts)  # type: ignore[method-assign]
    return app
