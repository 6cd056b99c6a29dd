"""Smaller pictures: a photo of 12 megapixels, and the time that Pillow alone takes for it."""

from __future__ import annotations

import io
import time

import pymongo
from PIL import Image

from flask_gridfs_pymongo.store import Bucket

from .measure import Server, repeat


def photo() -> bytes:
    """A JPEG of 4,000 by 3,000 pixels."""
    image = Image.merge("RGB", [Image.effect_noise((400, 300), 60) for _ in range(3)]).resize((4000, 3000))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def store(uri: str, name: str, content: bytes) -> None:
    with pymongo.MongoClient(uri) as client:
        Bucket(client.get_default_database()).save(name, [content], content_type="image/jpeg")


def made(server: Server, uri: str, url: str) -> float:
    """Milliseconds for a picture that was not asked for before."""
    with pymongo.MongoClient(uri) as client:
        client.get_default_database()["fs.variants"].delete_many({})
    return repeat(server, url, 1)


def bare(content: bytes) -> float:
    """Milliseconds of Pillow alone for the same picture."""
    start = time.perf_counter()
    with Image.open(io.BytesIO(content)) as image:
        image.thumbnail((640, 640))
        image.save(io.BytesIO(), "JPEG")
    return (time.perf_counter() - start) * 1000
