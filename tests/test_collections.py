"""store/collections.py: the options and the indexes of a bucket."""

from __future__ import annotations

import pymongo
from flask import Flask

from flask_gridfs_pymongo.store import Bucket

from .conftest import put


def test_the_indexes_of_the_specification_exist(store: Bucket) -> None:
    put(store, "a", b"1")
    files, chunks = store.files.index_information(), store.chunks.index_information()
    assert files["filename_1_uploadDate_1"]["key"] == [("filename", 1), ("uploadDate", 1)]
    assert chunks["files_id_1_n_1"]["unique"]


def test_writes_wait_for_a_majority_unless_the_application_decided(app: Flask, mongod: str) -> None:
    for options, expected in {"": "majority", "?w=1": 1, "?w=0": "majority", "?journal=true": "majority"}.items():
        with pymongo.MongoClient(f"{mongod}/{options}", connect=False) as client:
            store = Bucket(client.some)
            concerns = [collection.write_concern.document["w"] for collection in (store.files, store.chunks)]
            assert concerns == [expected, expected], options
