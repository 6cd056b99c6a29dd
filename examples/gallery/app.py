"""A small image and media gallery: the uploads blueprint with its defaults."""

from __future__ import annotations

from flask import Flask, redirect, url_for
from werkzeug.wrappers import Response

from flask_gridfs_pymongo import PyMongo

from .samples import samples


def create_app(uri: str) -> Flask:
    """Build the gallery on the database that *uri* names, with a few samples at its first start."""
    app = Flask(__name__)
    # Otherwise a page of any site could reach it under a host name of its own (DNS rebinding).
    app.config["TRUSTED_HOSTS"] = ["127.0.0.1", "localhost"]
    mongo = PyMongo(app, uri=uri)
    # Everybody on this machine may do everything. A public gallery has to check who the user is.
    gallery = mongo.uploads_blueprint(
        url_prefix="/files", title="Gallery", authorize=lambda action, filename: True, metadata=("title", "tags")
    )
    app.register_blueprint(gallery)

    @app.get("/")
    def home() -> Response:
        return redirect(url_for("uploads.index"))

    if mongo.db.gallery.update_one({"_id": "samples"}, {"$set": {"stored": True}}, upsert=True).upserted_id:
        for name, content in samples():
            mongo.save_file(name, content)
    return app
