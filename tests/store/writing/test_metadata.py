"""A file's metadata: changes of single keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import Decimal128, Regex

from flask_gridfs_pymongo.store import Bucket, StoredFile

from ...conftest import put


def stored(store: Bucket, name: str = "a", version: int = -1) -> StoredFile:
    file = store.find(name, version)
    assert file is not None
    return file


def test_keys_are_set_and_removed_and_others_stay(store: Bucket) -> None:
    first, second = put(store, "a", b"first"), put(store, "a", b"second")
    before = stored(store).etag
    changed = store.update_metadata("a", {"title": "A", "tags": ["x"], "views": 3})
    assert changed.metadata == stored(store).metadata
    assert changed.metadata == {"title": "A", "tags": ["x"], "views": 3, "contentType": second.content_type}
    store.update_metadata("a", {"title": None, "missing": None, "views": 4})
    assert stored(store).metadata == {"tags": ["x"], "views": 4, "contentType": second.content_type}
    assert stored(store).etag == before
    assert "tags" not in stored(store, version=0).metadata
    store.update_metadata("a", {"title": "first"}, version=0)
    store.update_metadata(None, {"more": 1}, id=first.id)
    assert stored(store, version=0).metadata == {"title": "first", "more": 1, "contentType": first.content_type}
    assert store.update_metadata("a", {}).id == second.id


def test_what_is_not_there(store: Bucket) -> None:
    put(store, "a", b"x")
    with pytest.raises(FileNotFoundError, match="'a', version 1"):
        store.update_metadata("a", {"title": "x"}, version=1)
    with pytest.raises(FileNotFoundError, match="id"):
        store.update_metadata(None, {"title": "x"}, id="none")
    with pytest.raises(TypeError, match="either a filename or an id"):
        store.update_metadata(None, {"title": "x"})


@pytest.mark.parametrize("key", ["", "a.b", "$set", "a\0b"])
def test_keys_that_mongodb_reads_otherwise(store: Bucket, key: str) -> None:
    put(store, "a", b"x")
    with pytest.raises(ValueError, match="no dot"):
        store.update_metadata("a", {key: "x"})


@pytest.mark.parametrize("metadata", ["text", 1, 1.5, [], [{"a": 1}], True, b"x", Regex("a"), Decimal128("1")])
def test_metadata_of_another_shape_is_left_alone(store: Bucket, metadata: Any) -> None:
    saved = put(store, "a", b"x")
    store.files.update_one({"_id": saved.id}, {"$set": {"metadata": metadata}})
    assert stored(store).metadata == {}
    assert repr(stored(store).fields["metadata"]) == repr(metadata)
    with pytest.raises(TypeError, match="not a mapping"):
        store.update_metadata("a", {"title": "x"})
    assert repr(stored(store).fields["metadata"]) == repr(metadata)


@pytest.mark.parametrize("change", [{"$set": {"metadata": None}}, {"$unset": {"metadata": ""}}])
def test_no_metadata_at_all(store: Bucket, change: dict[str, Any]) -> None:
    saved = put(store, "a", b"x")
    store.files.update_one({"_id": saved.id}, change)
    assert store.update_metadata("a", {"title": "x"}).metadata == {"title": "x"}


def test_editors_of_different_keys_lose_nothing(real_store: Bucket) -> None:
    put(real_store, "a", b"x")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: real_store.update_metadata("a", {f"key{number}": number}), range(64)))
    assert {f"key{number}": number for number in range(64)}.items() <= stored(real_store).metadata.items()
