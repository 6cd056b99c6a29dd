"""Who may log in: names and password hashes in ``db.users``."""

from __future__ import annotations

import click
from flask import Flask
from werkzeug.security import check_password_hash, generate_password_hash

from flask_gridfs_pymongo import PyMongo

_NOBODY = generate_password_hash("")  # so that a wrong name takes as long as a wrong password


def verify(mongo: PyMongo, name: str, password: str) -> bool:
    """Whether this is the password of *name*."""
    user = mongo.db.users.find_one({"_id": str(name)})
    return check_password_hash(user["password"] if user else _NOBODY, password) and user is not None


def owns(name: str | None, filename: str | None) -> bool:
    """Whether *filename* is in the folder of *name*; None is the whole listing, which every user may see."""
    if not name or "/" in name:  # no user, or one whose folder would be in another's
        return False
    return filename is None or filename.startswith(f"{name}/")


def add_command(app: Flask, mongo: PyMongo) -> None:
    """Add ``flask add-user NAME``."""

    @app.cli.command("add-user")
    @click.argument("name")
    @click.password_option()
    def add_user(name: str, password: str) -> None:
        if not name or "/" in name:
            raise click.BadParameter("a user name must not be empty or contain a slash")
        user = {"password": generate_password_hash(password)}
        mongo.db.users.update_one({"_id": name}, {"$set": user}, upsert=True)
