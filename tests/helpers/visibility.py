"""A bucket with files that ``authorize`` hides, and queries over it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bson.objectid import ObjectId

START = datetime(2026, 1, 1, tzinfo=UTC)


NAMES = "a a.txt a/ a/1 a/2.txt a/b/1 a/b/2 a/b/c/1 a/bc b/1 b/2 b/3.txt ba c/d/e/f.png c/d/g /x x//y Ä/1 z z/z".split()


def folders_of(filename: str) -> list[str]:
    return [filename[: place + 1] for place, letter in enumerate(filename) if letter == "/"]


def document(name: str, length: int = 0, days: float = 0, content_type: str = "text/plain") -> dict[str, Any]:
    """A files document as any tool may have written it."""
    date = START + timedelta(days=days)
    found = {"_id": ObjectId(), "filename": name, "length": length, "chunkSize": 5, "uploadDate": date}
    return {**found, "contentType": content_type}
