"""store/versions.py: the order of a name's versions."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from bson.objectid import ObjectId

from flask_gridfs_pymongo.store import Bucket

from ..conftest import put


class TestVersions:
    def test_they_are_counted_from_both_ends(self, store: Bucket) -> None:
        ids = [put(store, "a", bytes([n])).id for n in range(3)]
        table = {0: 0, 1: 1, 2: 2, -1: 2, -2: 1, -3: 0}
        found = {version: store.find("a", version) for version in table}
        assert {version: file.id for version, file in found.items() if file} == {v: ids[n] for v, n in table.items()}
        assert [store.find("a", version) for version in (3, -4, 2**31, -(2**63))] == [None] * 4

    def test_a_new_one_is_dated_after_the_one_it_follows_whatever_the_clock_says(self, store: Bucket) -> None:
        first = put(store, "a", b"1")
        future = datetime(2100, 1, 1, tzinfo=UTC)
        store.files.update_one({"_id": first.id}, {"$set": {"uploadDate": future}})
        second = put(store, "a", b"2")
        assert second.upload_date == future + timedelta(milliseconds=1)
        assert store.find("a") == second

    def test_after_the_last_date_there_is_the_order_of_ids_is_left(self, store: Bucket) -> None:
        first, last = put(store, "a", b"1"), datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)
        store.files.update_one({"_id": first.id}, {"$set": {"uploadDate": last}})
        for content in (b"2", b"3"):
            newest = put(store, "a", content)
            assert (newest.upload_date, store.find("a")) == (last, newest)

    def tied(self, store: Bucket, plan: str) -> list[ObjectId]:
        """Files of one name, a letter for each; those with the same letter have the same upload date."""
        identities = [ObjectId() for _ in plan]
        order = sorted(range(len(plan)), key=lambda n: (plan[n], identities[n]))
        for n in random.Random(plan).sample(range(len(plan)), len(plan)):
            date = datetime(2020, 1, 1 + ord(plan[n]) - ord("a"), tzinfo=UTC)
            document = {"_id": identities[n], "filename": "t", "length": 0, "chunkSize": 5, "uploadDate": date}
            store.files.insert_one(document)
        return [identities[n] for n in order]

    @pytest.mark.parametrize("plan", ["aa", "aab", "abb", "abbbc", "aaaa", "abbccd", "aabbbbbbccd", "abcd"])
    def test_equal_dates_are_ordered_by_id_wherever_they_stand(self, store: Bucket, plan: str) -> None:
        expected = self.tied(store, plan)
        size = len(plan)
        forward = [store.find("t", version) for version in range(size)]
        backward = [store.find("t", version) for version in range(-size, 0)]
        assert [file.id for file in forward if file] == [file.id for file in backward if file] == expected
        for limit in (1, 2, 3, size):  # every page cuts the ties elsewhere
            numbers, before = [], None
            while page := store.versions("t", before, limit):
                assert len(page) <= limit
                numbers += [(version.number, version.file.id) for version in page]
                before = page[-1].number
            assert numbers == [(n, expected[n]) for n in reversed(range(size))]

    @pytest.mark.parametrize("first_chunk", [False, True])
    def test_a_twin_behind_an_array_is_found(self, store: Bucket, first_chunk: bool) -> None:
        """The server looks into arrays: it sorts one between two twins, and hides the second of them."""
        date, ids = datetime(2020, 1, 1, tzinfo=UTC), sorted((ObjectId(), ObjectId()), reverse=True)
        store.files.create_index([("filename", 1), ("uploadDate", 1)])
        for file_id, stored in [(ids[0], date), (ObjectId(), [date, 1]), (ids[1], date)]:
            document = {"_id": file_id, "filename": "t", "length": 0, "chunkSize": 5, "uploadDate": stored}
            store.files.insert_one(document)
        assert next(iter(store.files.find({"filename": "t"}).sort("uploadDate", -1)))["_id"] == ids[1]
        found = [store.find("t", version, first_chunk=first_chunk) for version in (-1, -2)]
        assert [file.id for file in found if file] == ids

    @pytest.mark.parametrize("keys", [3, 1000])
    def test_names_of_many_versions_are_numbered_alike(
        self, store: Bucket, monkeypatch: pytest.MonkeyPatch, keys: int
    ) -> None:
        monkeypatch.setattr("flask_gridfs_pymongo.store.versions._KEYS", keys)
        expected = self.tied(store, "abcdef")
        found = [store.find("t", version) for version in range(-7, 7)]
        assert [file and file.id for file in found] == [None, *expected, *expected, None]
        assert [store.number(file) for file in found[7:13] if file] == list(range(6))
        page = store.versions("t", 5, 4)
        assert [(version.number, version.file.id) for version in page] == [(n, expected[n]) for n in (4, 3, 2, 1)]

    def test_equal_dates_in_the_listing(self, store: Bucket) -> None:
        expected = self.tied(store, "abbb")
        (row,) = store.list().rows
        assert (row.file.id, row.versions) == (expected[-1], 4)

    def test_uploads_from_many_threads_are_all_kept_in_one_order(self, real_store: Bucket) -> None:
        with ThreadPoolExecutor(8) as pool:
            saved = list(pool.map(lambda n: put(real_store, "a", bytes([n])), range(40)))
        found = [version.file for version in real_store.versions("a")]
        assert sorted(file.id for file in found) == sorted(file.id for file in saved)
        dates = [file.upload_date for file in found]
        assert dates == sorted(set(dates), reverse=True)
