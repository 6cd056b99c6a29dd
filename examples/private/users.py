"""Who may log in: names and password hashes in ``db.users``."""

from __future__ import annotations

import click
from flask import Flask
from werkzeug.security import check_password_hash, generate_password_hash

from flask_gridfs_pymongo import PyMongo

_NOBODY = generate_password_hash("")  # costs a wrong name as much time as a wrong password


def verify(mongo: PyMongo, name: str, password: str) -> bool:
    """Whether *password* is that of *name*."""
    user = mongo.db.users.find_one({"_id": str(name)})
    return check_password_hash(user["password"] if user else _NOBODY, password) and user is not None


def owns(name: str | None, filename: str | None) -> bool:
    """Whether *filename* is in the folder of *name*; the listing as such has None and is every user's."""
    if not name or "/" in name:  # nobody, or somebody whose folder would be in another's
        return False
    return filename is None or filename.startswith(f"{name}/")


def add_command(app: Flask, mongo: PyMongo) -> None:
    """Add ``flask add-user NAME``."""

    @app.cli.command("add-user")
    @click.argument("name")
    @click.password_option()
    def add_user(name: str, password: str) -> None:
        if not name or "/" in name:
            raise click.BadParameter("a user's name is a folder's name: without a slash")
        user = {"password": generate_password_hash(password)}
        mongo.db.users.update_one({"_id": name}, {"$set": user}, upsert=True)
