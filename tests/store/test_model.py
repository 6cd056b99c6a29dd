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
            ({"contentType": "Image/JPG"}, "image/jpeg"),
            ({"contentType": "image/x-png; a=b"}, "image/png; a=b"),
            ({"filename": "x"}, "application/octet-stream"),
            ({"filename": None}, "application/octet-stream"),
            ({"contentType": 5, "filename": "x.txt"}, "text/plain"),
            ({"metadata": "no mapping"}, "application/octet-stream"),
        ],
    )
    def test_the_content_type(self, fields: dict[str, Any], expected: str) -> None:
        assert StoredFile.from_document({**self.BASE, **fields}).content_type == expected

    def test_an_alias_is_another_name_of_its_type_but_not_in_the_tag(self) -> None:
        alias, registered, own = (
            StoredFile.from_document({**self.BASE, "contentType": name, "charset": "utf-8"})
            for name in ("image/jpg", "image/jpeg", "image/jpg; charset=x")
        )
        assert alias.media_type == registered.media_type == "image/jpeg; charset=utf-8"
        assert alias.etag != registered.etag
        assert (own.content_type, own.charset, own.media_type) == ("image/jpeg", "x", "image/jpeg; charset=x")

    @pytest.mark.parametrize(
        ("fields", "content_type", "charset", "media_type"),
        [
            ({"contentType": "text/plain", "charset": "utf-8"}, "text/plain", "utf-8", "text/plain; charset=utf-8"),
            ({"contentType": "a/b; c=d", "charset": "x"}, "a/b; c=d", "x", "a/b; c=d; charset=x"),
            ({"filename": "a.txt", "charset": "a:b"}, "text/plain", "a:b", 'text/plain; charset="a:b"'),
            ({"contentType": "text/plain; charset=utf-8"}, "text/plain", "utf-8", "text/plain; charset=utf-8"),
            ({"contentType": "A/B;Charset=X; c=d"}, "A/B; c=d", "X", "A/B;Charset=X; c=d"),
            ({"contentType": 'a/b; charset="x,y"', "charset": "z"}, "a/b", "x,y", 'a/b; charset="x,y"'),
            ({"contentType": 'a/b; charset=""', "charset": "\r\nX: y"}, "a/b", None, 'a/b; charset=""'),
            ({"contentType": 'a/b; c="; charset=x"'}, 'a/b; c="; charset=x"', None, 'a/b; c="; charset=x"'),
            ({"contentType": "a/b", "charset": 'x"; y="z'}, "a/b", None, "a/b"),
            ({"contentType": "a/b", "charset": "é"}, "a/b", None, "a/b"),
            ({"contentType": "a/b", "charset": ""}, "a/b", None, "a/b"),
            ({"contentType": "a/b", "charset": ["utf-8"]}, "a/b", None, "a/b"),
        ],
    )
    def test_the_charset(self, fields: dict[str, Any], content_type: str, charset: str | None, media_type: str) -> None:
        file = StoredFile.from_document({**self.BASE, **fields})
        assert (file.content_type, file.charset, file.media_type) == (content_type, charset, media_type)

    @pytest.mark.parametrize(
        ("fields", "etag"),
        [
            ({"contentType": "text/plain; charset=utf-8", "sha256": "0" * 64}, "5e2c619b2a608c6133fcafe337b49f43"),
            (
                {"metadata": {"contentType": "text/plain; charset=utf-8"}, "sha256": "0" * 64, "charset": "own"},
                "5e2c619b2a608c6133fcafe337b49f43",
            ),
            ({"contentType": 'Text/HTML;charset="latin-1"; x=y'}, "034934ee63b4cbd30e8b78bff6f2e592"),
            ({"contentType": "text/plain"}, "6dbb3594f8401d98bb25db8b6d24d5dd"),
            ({"filename": "a.txt"}, "6dbb3594f8401d98bb25db8b6d24d5dd"),
            ({"contentType": "image/png", "charset": 5}, "f745256dda36ab2714e0f736149d44e3"),
        ],
    )
    def test_the_etag_of_what_was_stored_before_stays(self, fields: dict[str, Any], etag: str) -> None:
        assert StoredFile.from_document({**self.BASE, **fields}).etag == etag

    def test_the_etag_is_made_of_what_tells_the_representation_apart(self) -> None:
        etag = StoredFile.from_document(self.BASE).etag
        other = {"_id": ObjectId(), "length": 4, "uploadDate": self.DATE + timedelta(milliseconds=1)}
        other |= {"md5": "m", "sha256": "0" * 64, "contentType": "image/png", "charset": "utf-8"}
        assert StoredFile.from_document({**self.BASE, "filename": "n", "aliases": ["m"]}).etag == etag
        assert len({etag, *(StoredFile.from_document({**self.BASE, k: v}).etag for k, v in other.items())}) == 8

    @pytest.mark.parametrize("identity", [5, "text", {"a": 1}, b"bytes", None, 2.5])
    def test_an_id_of_any_type_has_an_etag(self, identity: Any) -> None:
        etags = {StoredFile.from_document({**self.BASE, "_id": identity}).etag for _ in range(2)}
        assert len(etags) == 1

    @pytest.mark.parametrize("date", [None, "yesterday"])
    def test_without_a_date_the_id_tells_it(self, date: Any) -> None:
        file = StoredFile.from_document({**self.BASE, "uploadDate": date})
        assert file.upload_date == self.BASE["_id"].generation_time  # type: ignore[attr-defined]
