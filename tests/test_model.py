"""store/model.py: what a files document means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.objectid import ObjectId

from flask_gridfs_pymongo.store import StoredFile


class TestModel:
    DATE = datetime(2020, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    BASE = {"_id": ObjectId("0123456789abcdef01234567"), "length": 3, "chunkSize": 9, "uploadDate": DATE}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"contentType": "a/b"}, "a/b"),
            ({"metadata": {"contentType": "a/b"}}, "a/b"),
            ({"contentType": "a/b", "metadata": {"contentType": "c/d"}}, "c/d"),
            ({"metadata": {"_contentType": "a/b", "mimetype": "c/d"}}, "a/b"),
            ({"contentType": "a/b", "metadata": {"mimetype": "c/d"}}, "c/d"),
            ({"contentType": "a/b", "metadata": {"contentType": "Binary/Octet-Stream"}}, "a/b"),
            ({"contentType": "application/octet-stream; x=y", "filename": "x.png"}, "image/png"),
            ({"contentType": "a/b", "metadata": {"contentType": ["c/d"], "_contentType": {}, "mimetype": ""}}, "a/b"),
            ({"contentType": "a/\udce9", "filename": "x.png"}, "image/png"),
            ({"filename": "x.PNG"}, "image/png"),
            ({"filename": "x"}, "application/octet-stream"),
            ({"filename": None}, "application/octet-stream"),
            ({"contentType": 5, "filename": "x.txt"}, "text/plain"),
            ({"metadata": "no mapping"}, "application/octet-stream"),
        ],
    )
    def test_the_content_type(self, fields: dict[str, Any], expected: str) -> None:
        assert StoredFile.from_document({**self.BASE, **fields}).content_type == expected

    def test_the_etag_is_made_of_what_tells_the_representation_apart(self) -> None:
        etag = StoredFile.from_document(self.BASE).etag
        other = {"_id": ObjectId(), "length": 4, "uploadDate": self.DATE + timedelta(milliseconds=1)}
        other |= {"md5": "m", "sha256": "0" * 64, "contentType": "image/png"}
        assert StoredFile.from_document({**self.BASE, "filename": "n", "aliases": ["m"]}).etag == etag
        assert len({etag, *(StoredFile.from_document({**self.BASE, k: v}).etag for k, v in other.items())}) == 7

    @pytest.mark.parametrize("identity", [5, "text", {"a": 1}, b"bytes", None, 2.5])
    def test_an_id_of_any_type_has_an_etag(self, identity: Any) -> None:
        etags = {StoredFile.from_document({**self.BASE, "_id": identity}).etag for _ in range(2)}
        assert len(etags) == 1

    @pytest.mark.parametrize("date", [None, "yesterday"])
    def test_without_a_date_the_id_tells_it(self, date: Any) -> None:
        file = StoredFile.from_document({**self.BASE, "uploadDate": date})
        assert file.upload_date == self.BASE["_id"].generation_time  # type: ignore[attr-defined]
