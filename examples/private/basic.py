"""A private file server with HTTP basic authentication, for curl and scripts; serve it over HTTPS only.

``flask --app examples.private.basic add-user ann``, then ``... run``; ``MONGO_URI`` names the MongoDB server.
"""

from __future__ import annotations

import os

from flask import Flask
from flask_httpauth import HTTPBasicAuth

from flask_gridfs_pymongo import PyMongo

from . import users

app = Flask(__name__)
mongo = PyMongo(app, uri=os.environ.get("MONGO_URI", "mongodb://localhost/private"))
users.add_command(app, mongo)
auth = HTTPBasicAuth(realm="files")


@auth.verify_password
def verify(name: str, password: str) -> str | None:
    return name if users.verify(mongo, name, password) else None


uploads = mongo.uploads_blueprint(
    url_prefix="/files", authorize=lambda action, filename: users.owns(auth.current_user(), filename)
)


@uploads.before_request
@auth.login_required
def only_with_a_login() -> None:
    """Answer 401 unless name and password are right."""


app.register_blueprint(uploads)
