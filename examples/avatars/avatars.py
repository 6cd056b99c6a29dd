"""Pictures that belong to documents: a user's avatar, and posts with pictures, with Flask-WTF's forms.

``SECRET_KEY=... flask --app examples.avatars.avatars run`` starts it; ``MONGO_URI`` names the MongoDB server (default:
on this machine).
"""

from __future__ import annotations

import os

from bson.objectid import ObjectId
from flask import Flask, redirect, render_template, url_for
from flask_wtf import CSRFProtect, FlaskForm
from flask_wtf.file import FileField, FileRequired, FileSize, MultipleFileField
from werkzeug.utils import secure_filename
from werkzeug.wrappers import Response
from wtforms import StringField
from wtforms.validators import InputRequired

from flask_gridfs_pymongo import PyMongo

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
CSRFProtect(app)
mongo = PyMongo(app, uri=os.environ.get("MONGO_URI", "mongodb://localhost/avatars"))
app.register_blueprint(mongo.uploads_blueprint("pictures", url_prefix="/pictures", base="pictures", read_only=True))

MOST_BYTES = 5_000_000
PICTURES = ["image/gif", "image/jpeg", "image/png", "image/webp"]
avatar = mongo.attachment("users", "avatar", base="pictures", types=PICTURES, max_size=MOST_BYTES, blueprint="pictures")


class AvatarForm(FlaskForm):  # type: ignore[misc]
    avatar = FileField(validators=[FileRequired(), FileSize(MOST_BYTES)])


class PostForm(FlaskForm):  # type: ignore[misc]
    text = StringField(validators=[InputRequired()])
    pictures = MultipleFileField(validators=[FileSize(MOST_BYTES)])


@app.get("/users/<name>")
def show_user(name: str) -> str:
    user = mongo.db.users.find_one({"_id": name}) or {}
    shown = {"avatar": avatar.url(user), "posts": mongo.db.posts.find({"author": name})}
    return render_template("user.html", name=name, form=AvatarForm(), post=PostForm(), **shown)


@app.post("/users/<name>/avatar")
def save_avatar(name: str) -> tuple[str, int] | Response:
    """The new file takes the place of the one before."""
    form = AvatarForm()
    if not form.validate_on_submit():
        return render_template("errors.html", form=form), 400
    mongo.db.users.update_one({"_id": name}, {"$setOnInsert": {}}, upsert=True)
    avatar.attach(name, form.avatar.data)
    return redirect(url_for("show_user", name=name))


@app.post("/users/<name>/avatar/delete")
def delete_avatar(name: str) -> Response:
    avatar.purge(name)
    return redirect(url_for("show_user", name=name))


@app.post("/users/<name>/posts")
def add_post(name: str) -> tuple[str, int] | Response:
    """Store the files first, so that a document never names a missing one."""
    form = PostForm()
    if not form.validate_on_submit():
        return render_template("errors.html", form=form), 400
    post_id, bucket, saved = ObjectId(), mongo.bucket("pictures"), []
    try:
        for number, picture in enumerate(form.pictures.data):
            filename = f"{post_id}/{number}-{secure_filename(picture.filename)}"
            saved.append(
                mongo.save_file(filename, picture, base="pictures", types=PICTURES, max_size=MOST_BYTES, author=name)
            )
        mongo.db.posts.insert_one({"_id": post_id, "author": name, "text": form.text.data, "pictures": saved})
    except Exception:
        for file_id in saved:
            bucket.delete(id=file_id)
        raise
    return redirect(url_for("show_user", name=name))


@app.post("/posts/<ObjectId:post_id>/delete")
def delete_post(post_id: ObjectId) -> Response:
    """Delete the document first, then its files."""
    post = mongo.db.posts.find_one_and_delete({"_id": post_id})
    for file_id in post["pictures"] if post else ():
        mongo.bucket("pictures").delete(id=file_id)
    return redirect(url_for("show_user", name=post["author"] if post else "nobody"))
