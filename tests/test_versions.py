"""store/versions.py: the order of a name's versions."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from bson.objectid import ObjectId

from flask_gridfs_pymongo.store import Bucket

from .conftest import put


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
