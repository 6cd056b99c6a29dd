"""Code blocks of the documentation, run and closed."""

from __future__ import annotations

from flask import Flask


def close(app: Flask) -> None:
    for state in app.extensions["pymongo"].values():
        state.connection.client.close()
