"""Listings: buckets of few names and of very many, and the time for a page of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

import pymongo

from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.store.listing.page import Key

from .sending import CHUNK

LISTINGS = ("newest version", "first page", "late page", "past a name of many versions", "newest first")
_START = datetime(2020, 1, 1, tzinfo=UTC)


class Filled(NamedTuple):
    store: Bucket
    names: int


@contextmanager
def filled(uri: str, names: int, versions: int) -> Iterator[tuple[Filled, Filled]]:
    """Two buckets of one shape: with ten names and versions more than a page, and with very many."""
    with pymongo.MongoClient(uri) as client:
        db = client.get_default_database()

        def fill(base: str, names: int, versions: int) -> Filled:
            bucket = Bucket(db, base)
            bucket.writer("").abort()  # makes the indexes
            bucket.files.create_index([("uploadDate", -1), ("filename", 1)])  # flask gridfs index newest
            same = {"length": 0, "chunkSize": CHUNK, "contentType": "text/plain"}
            all_names = [f"n{n:06}" for n in range(names)] + ["m"] * versions
            documents = (
                {"filename": name, "uploadDate": _START + timedelta(seconds=n), **same}
                for n, name in enumerate(all_names)
            )
            while some := list(islice(documents, 10_000)):
                bucket.files.insert_many(some)
            return Filled(bucket, names)

        yield fill(f"few{uuid.uuid4().hex}", 120, 10), fill(f"many{uuid.uuid4().hex}", names, versions)


def fill(uri: str, prefix: str, names: int) -> None:
    """So many empty files in the bucket ``fs``, their names beginning with *prefix*."""
    with pymongo.MongoClient(uri) as client:
        bucket = Bucket(client.get_default_database())
        bucket.writer("").abort()  # makes the indexes
        same = {"length": 0, "chunkSize": CHUNK, "contentType": "text/plain", "uploadDate": _START}
        bucket.files.insert_many({"filename": f"{prefix}{n:06}", **same} for n in range(names))


def list_time(bucket: Filled, case: str) -> float:
    """Milliseconds for one of :data:`LISTINGS`, the mean of ten."""
    late = f"n{bucket.names - 101:06}"
    start = time.perf_counter()
    for _ in range(10):
        if case == "newest version":
            assert bucket.store.find("m")
        elif case == "first page":
            assert len(bucket.store.list(after=Key("m")).rows) == 100
        elif case == "newest first":
            assert len(bucket.store.list("newest", Key("n", _START + timedelta(seconds=bucket.names))).rows) == 100
        elif case == "late page":
            assert len(bucket.store.list(after=Key(late)).rows) == 100
        else:
            assert len(bucket.store.list().rows) == 100
    return (time.perf_counter() - start) / 10 * 1000
