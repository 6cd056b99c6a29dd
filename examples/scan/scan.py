"""A file server that scans every upload with ClamAV before anybody can see it.

``flask --app examples.scan.scan run`` starts it. ``CLAMD`` (``host:port``) names the ``clamd``, which needs
``TCPSocket 3310``, and ``MONGO_URI`` the MongoDB server (default: both on this machine).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator

from flask import Flask

from flask_gridfs_pymongo import PyMongo, Refused
from flask_gridfs_pymongo.store import StoredFile

_TIMEOUT = 30  # seconds for each step


def scan(file: StoredFile, read: Callable[[], Iterator[bytes]]) -> None:
    """Send the content to clamd by its command INSTREAM: blocks with their lengths, then an empty one (clamd(8))."""
    host, _, port = os.environ.get("CLAMD", "127.0.0.1:3310").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT) as clamd:
        clamd.sendall(b"zINSTREAM\0")
        for piece in read():
            clamd.sendall(struct.pack("!L", len(piece)) + piece)
        clamd.sendall(struct.pack("!L", 0))
        with clamd.makefile("rb") as answers:
            answer = answers.read().rstrip(b"\0").decode()
    if answer.endswith(" FOUND"):
        raise Refused(f"{answer.removeprefix('stream: ').removesuffix(' FOUND')} was found in {file.filename}.")
    if answer != "stream: OK":
        raise RuntimeError(f"clamd: {answer}")  # the upload gets a 503, and nothing is stored


app = Flask(__name__)
mongo = PyMongo(app, uri=os.environ.get("MONGO_URI", "mongodb://localhost/scan"))
# clamd accepts 25 MB by default (StreamMaxLength); larger files could not be scanned.
app.register_blueprint(mongo.uploads_blueprint(url_prefix="/files", inspect=scan, max_size=25_000_000))
