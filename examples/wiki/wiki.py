"""The classic wiki of Flask-PyMongo: pages, links between them, and uploads.

``flask --app examples.wiki.wiki run`` starts it; ``MONGO_URI`` names the MongoDB server (default: on this machine).
"""

from __future__ import annotations

import os
import re
from typing import Any

from flask import Flask, redirect, render_template, request, url_for
from markupsafe import Markup, escape
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from flask_gridfs_pymongo import PyMongo

app = Flask(__name__)
mongo = PyMongo(app, uri=os.environ.get("MONGO_URI", "mongodb://localhost/wiki"))

WIKIPART = re.compile(r"([A-Z][a-z0-9_]+)")
WIKIWORD = re.compile(r"([A-Z][a-z0-9_]+(?:[A-Z][a-z0-9_]+)+)")


@app.template_filter()
def totitle(value: str) -> str:
    return " ".join(WIKIPART.findall(value)) or value


@app.template_filter()
def wikify(value: str) -> Markup:
    """Make paragraphs, and a link of every WikiWord."""
    parts = [
        Markup('<a href="{}">{}</a>').format(url_for("show_page", pagepath=part), totitle(part))
        if WIKIWORD.fullmatch(part)
        else escape(part)
        for part in WIKIWORD.split(value)
    ]
    paragraphs = re.split(r"(?:\r?\n){2,}", Markup("").join(parts))
    return Markup("").join(Markup("<p>{}</p>").format(Markup(paragraph)) for paragraph in paragraphs)  # noqa: S704


@app.get("/")
def redirect_to_homepage() -> Response:
    return redirect(url_for("show_page", pagepath="HomePage"))


@app.get("/<path:pagepath>")
def show_page(pagepath: str) -> str:
    page = mongo.db.pages.find_one_or_404({"_id": pagepath})
    return render_template("page.html", page=page, pagepath=pagepath)


@app.get("/edit/<path:pagepath>")
def edit_page(pagepath: str) -> str:
    page = mongo.db.pages.find_one_or_404({"_id": pagepath})
    return render_template("edit.html", page=page, pagepath=pagepath)


@app.post("/edit/<path:pagepath>")
def save_page(pagepath: str) -> Response:
    if "cancel" not in request.form:
        mongo.db.pages.update({"_id": pagepath}, {"$set": {"body": request.form["body"]}}, w=1, upsert=True)
    return redirect(url_for("show_page", pagepath=pagepath))


@app.get("/uploads/<path:filename>")
def get_upload(filename: str) -> Any:
    return mongo.send_file(filename, cache_for=0)


@app.post("/uploads/<path:filename>")
def save_upload(filename: str) -> Any:
    if request.files.get("file"):
        mongo.save_file(filename, request.files["file"])
        return redirect(url_for("get_upload", filename=filename))
    return render_template("upload.html", filename=filename)


@app.errorhandler(404)
def new_page(error: NotFound) -> tuple[str, int]:
    """Offer to create what is missing: an upload or a page."""
    pagepath = request.path.lstrip("/").removeprefix("edit/")
    if pagepath.startswith("uploads/"):
        return render_template("upload.html", filename=pagepath.removeprefix("uploads/")), 404
    return render_template("edit.html", page=None, pagepath=pagepath), 404
