"""A small image and media gallery: the uploads blueprint, as it is."""

from __future__ import annotations

from flask import Flask, redirect, url_for
from werkzeug.wrappers import Response

from flask_gridfs_pymongo import PyMongo

from .samples import samples


def create_app(uri: str) -> Flask:
    """Build the gallery on the database that *uri* names, with a few samples where it never ran before."""
    app = Flask(__name__)
    # Else a page of any site could come in by a name of its own for 127.0.0.1 (DNS rebinding).
    app.config["TRUSTED_HOSTS"] = ["127.0.0.1", "localhost"]
    mongo = PyMongo(app, uri=uri)
    # On this machine everybody is the owner. A public gallery asks who it is before it answers "delete".
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
