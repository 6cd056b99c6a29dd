"""A private file server with a login page.

``SECRET_KEY=... flask --app examples.private.login add-user ann``, then ``... run``; ``MONGO_URI`` names the server.
"""

from __future__ import annotations

import os

from flask import Flask, flash, redirect, render_template, request, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from werkzeug.wrappers import Response

from flask_gridfs_pymongo import PyMongo

from . import users

app = Flask(__name__)
app.config.update(SECRET_KEY=os.environ["SECRET_KEY"], SESSION_COOKIE_SAMESITE="Lax")
mongo = PyMongo(app, uri=os.environ.get("MONGO_URI", "mongodb://localhost/private"))
users.add_command(app, mongo)
logins = LoginManager(app)
logins.login_view = "login"


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


@logins.user_loader
def load_user(name: str) -> User | None:
    return User(name) if mongo.db.users.find_one({"_id": name}) else None


uploads = mongo.uploads_blueprint(
    url_prefix="/files", authorize=lambda action, filename: users.owns(current_user.get_id(), filename)
)


@uploads.before_request
@login_required
def only_with_a_login() -> None:
    """Redirect visitors who are not logged in to the login page."""


app.register_blueprint(uploads)


@app.get("/")
@login_required
def home() -> Response:
    return redirect(url_for("uploads.index", folder=f"{current_user.id}/"))


@app.route("/login", methods=["GET", "POST"])
def login() -> Response | str:
    if request.method == "POST":
        name = request.form.get("name", "")
        if users.verify(mongo, name, request.form.get("password", "")):
            login_user(User(name))
            return redirect(url_for("home"))
        flash("The name or the password is wrong.")
    return render_template("login.html")


@app.post("/logout")
def logout() -> Response:
    logout_user()
    return redirect(url_for("login"))
