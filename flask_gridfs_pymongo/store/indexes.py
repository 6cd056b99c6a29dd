"""The indexes of a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pymongo import ASCENDING
from pymongo.errors import OperationFailure

Index = tuple[Literal["files", "chunks"], list[tuple[str, int]], dict[str, Any]]
WITH_PREVIOUS = {"previous": {"$exists": True}}
INDEXES: list[Index] = [
    ("files", [("filename", ASCENDING), ("uploadDate", ASCENDING)], {}),
    ("chunks", [("files_id", ASCENDING), ("n", ASCENDING)], {"unique": True}),
    ("files", [("previous", ASCENDING)], {"unique": True, "partialFilterExpression": WITH_PREVIOUS}),
]
"""The two that the GridFS specification names, and the one that orders our writers: collection, keys, options"""


def index_problem(there: Mapping[str, Any], index: Index) -> str | None:
    """What is wrong with *index* among those that are *there* (``index_information()``)."""
    _, keys, options = index
    same = [found for found in there.values() if found["key"] == keys]
    strict = [found for found in same if found.get("unique", False) >= options.get("unique", False)]
    narrowing = ("partialFilterExpression", "sparse", "collation")
    if any(all(found.get(name) == options.get(name) for name in narrowing) for found in strict):
        return None
    return "other options" if same else "missing"


def create_index(collection: Any, index: Index) -> str:
    """Create an index; returns why the server refuses, or an empty string."""
    try:
        collection.create_index(index[1], **index[2])
    except OperationFailure as error:
        return str(error).partition(", full error")[0]
    return ""
