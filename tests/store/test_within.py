"""A folder as a bucket of its own: it is as one that has only what is in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket, Key, Page, Visibility, Within
from flask_gridfs_pymongo.store.listing import by_value

from ..helpers.visibility import NAMES, document

FOLDER = "p (1)/\u00e4\U0001f600/"
ELSEWHERE = [
    "a",
    "p (1)/a",
    f"{FOLDER[:-1]}",
    f"{FOLDER[:-1]}!/a",
    f"{FOLDER[:-1]}0",
    "p (1)/z",
    "z",
    "P (1)/\u00c4\U0001f600/a",
]


@pytest.fixture
def buckets(mongo: PyMongo) -> tuple[Bucket, Bucket]:
    """A folder of a bucket, and a bucket that has the same files."""
    rng, stored = random.Random(7), []
    for name in NAMES:
        for _ in range(rng.choice([1, 1, 2])):
            stored.append(document(name, rng.randrange(4), rng.randrange(8), rng.choice(["image/png", "text/plain"])))
    inside = [{**one, "filename": FOLDER + one["filename"]} for one in stored]
    others = [document(name, 1, 2, "text/plain") for name in [*ELSEWHERE, FOLDER]]
    mongo.db["whole"].files.insert_many([*inside, *others, {"length": 0, "chunkSize": 5}])
    mongo.db["own"].files.insert_many(stored)
    return Within(mongo.bucket("whole"), FOLDER), mongo.bucket("own")


def pages(bucket: Bucket, **options: Any) -> Iterator[tuple[list[Any], list[str], Key | None]]:
    page: Page | None = bucket.list(**options)
    while page is not None:
        yield (
            [(row.file.filename, row.file.id, row.file.etag, row.versions) for row in page.rows],
            page.folders,
            page.next,
        )
        page = None if page.next is None else bucket.list(after=page.next, **options)


def test_each_listing_is_that_of_a_bucket_with_only_these_files(
    buckets: tuple[Bucket, Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_value, "_SCAN", 3)
    shown = Visibility(lambda name: not name.endswith("1"), lambda folder: folder != "a/b/")
    orders = ["name", "-name", "newest", "-size", "type"]
    prefixes, parts = ["", "a/", "a/b"], ["", "a", ".TXT", "p", "(1)", "\u00e4"]
    cases = [*product(orders, prefixes, parts, [False, True], [Visibility(), shown])]
    for order, prefix, part, folded, visible in random.Random(8).sample(cases, 50):
        options = {"order": order, "prefix": prefix, "part": part, "folded": folded, "limit": 4, "shown": visible}
        within, own = (list(pages(bucket, **options)) for bucket in buckets)
        assert within == own, options
    for order, folder in product(orders, ["", "a/"]):
        within, own = (bucket.folder(folder, order, limit=100, shown=shown) for bucket in buckets)
        assert within is not None
        assert own is not None
        assert [row.file.filename for row in within.rows] == [row.file.filename for row in own.rows]
        assert (within.folders, within.next) == (own.folders, own.next)


def test_a_file_is_found_by_its_name_and_id_only_if_it_is_inside(
    buckets: tuple[Bucket, Bucket], mongo: PyMongo
) -> None:
    within, own = buckets
    everything = mongo.bucket("whole")
    for name in NAMES:
        found, expected = within.find(name), own.find(name)
        assert found is not None
        assert expected is not None
        assert (found.id, found.filename, found.document["filename"]) == (expected.id, name, name)
        assert within.original(found).filename == FOLDER + name
        assert (within.number(found), within.count(name)) == (own.number(expected), own.count(name))
        assert [(n, v.id, v.filename) for n, v in within.versions(name)] == [
            (n, v.id, v.filename) for n, v in own.versions(name)
        ]
        assert within.get(found.id) == found
    for name in [*ELSEWHERE, FOLDER]:
        file = everything.find(name)
        assert file is not None
        assert within.get(file.id) is None
        assert within.get_many([file.id]) == []
    assert within.find("") is None
    with pytest.raises(AttributeError):
        within.save("a", [b""])


@pytest.mark.parametrize(
    "use",
    [
        lambda folder: folder.newest("a"),
        lambda folder: folder.dates("", 1),
        lambda folder: folder.delete("a"),
        lambda folder: folder.delete_many([1]),
        lambda folder: folder.rename("a", "b"),
        lambda folder: folder.save("a", [b""]),
    ],
)
def test_what_would_leave_the_folder_fails(buckets: tuple[Bucket, Bucket], use: Callable[[Bucket], Any]) -> None:
    with pytest.raises(AttributeError):
        use(buckets[0])
