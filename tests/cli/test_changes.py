"""``flask gridfs rm``, ``mv`` and ``cp``."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_changed, file_deleted
from flask_gridfs_pymongo.store import Bucket, StoredFile

from ..conftest import BIG, put, read
from ..helpers.commands import call

NAMES = ["a", "b", "d/e", "d/f/g"]


@pytest.fixture
def bucket(real: PyMongo) -> Bucket:
    """Each name in two versions."""
    bucket = real.bucket()
    for number in "12":
        for name in NAMES:
            put(bucket, name, f"{name} {number}".encode())
    return bucket


def counts(bucket: Bucket) -> dict[str, int]:
    return {row.file.filename: row.versions for page in bucket.pages() for row in page.rows}


ALL = dict.fromkeys(NAMES, 2)


class TestRm:
    @pytest.mark.parametrize(
        ("arguments", "question", "left"),
        [
            ("a", "the newest version of 'a'", ALL | {"a": 1}),
            ("a b", "the newest version of 'a', 'b'", ALL | {"a": 1, "b": 1}),
            ("--all-versions a", "all versions of 'a'", {"b": 2, "d/e": 2, "d/f/g": 2}),
            ("-r d", "the newest version of 2 files in 'd'", ALL | {"d/e": 1, "d/f/g": 1}),
            ("-r --all-versions d/ b", "all versions of 2 files in 'd/', 'b'", {"a": 2}),
            ("-r --all-versions /", "all versions of 4 files in '/'", {}),
            ("-r a d/e d a", "the newest version of 'a', 'd/e', 2 files in 'd'", dict.fromkeys(NAMES, 1) | {"b": 2}),
            ("a b d/e d/f/g no none", "the newest version of 6 files and folders", dict.fromkeys(NAMES, 1)),
        ],
    )
    def test_it_asks_first(
        self, app: Flask, bucket: Bucket, arguments: str, question: str, left: dict[str, int]
    ) -> None:
        for answer in (b"n\n", b"\n", b""):
            status, lines, errors = call(app, "rm", *arguments.split(), stdin=answer)
            assert (status, lines, errors[0].startswith(f"Delete {question}? [y/N]: ")) == (1, [], True)
        assert counts(bucket) == ALL
        assert call(app, "rm", *arguments.split(), stdin=b"y\n").status == ("no" in arguments)
        assert counts(bucket) == left
        assert all(bucket.chunks.find_one({"files_id": document["_id"]}) for document in bucket.files.find())
        assert bucket.chunks.count_documents({}) == bucket.files.count_documents({})

    @pytest.mark.parametrize("name", ["a", "d/e"])
    def test_the_version_before_is_then_the_newest(self, app: Flask, bucket: Bucket, name: str) -> None:
        assert call(app, "rm", "--yes", name) == (0, [], [])
        assert read(bucket, bucket.find(name)) == f"{name} 1".encode()
        assert call(app, "rm", "--yes", name) == (0, [], [])
        assert call(app, "rm", "--yes", name) == (1, [], [f"{name}: there is no such file or folder"])

    def test_a_folder_needs_to_be_meant(self, app: Flask, bucket: Bucket) -> None:
        said = "not deleted: it is a folder; -r deletes its contents"
        assert call(app, "rm", "--yes", "d", "d/", "/", "a", "a/") == (
            1,
            [],
            [*(f"{name}: {said}" for name in ("d", "d/", "/", "a/"))],
        )
        assert counts(bucket) == ALL | {"a": 1}
        assert call(app, "rm", "-r", "--yes", "a/", "no/").errors == [
            f"{name}: there is no such file or folder" for name in ("a/", "no/")
        ]
        assert counts(bucket) == ALL | {"a": 1}

    def test_files_without_a_name_and_the_signal(self, app: Flask, bucket: Bucket) -> None:
        bucket.files.insert_many([{"length": 0, "chunkSize": 1}, {"filename": 5, "length": 0, "chunkSize": 1}])
        told: list[tuple[str, int]] = []

        def listen(sender: Flask, file: StoredFile, versions: int) -> None:
            told.append((file.filename, versions))

        with file_deleted.connected_to(listen, app):
            assert call(app, "rm", "-r", "--yes", "--all-versions", "/") == (0, [], [])
        assert told == [*ALL.items(), ("", 1), ("", 1)]
        assert bucket.files.count_documents({}) == 0


class TestMv:
    def ids(self, bucket: Bucket, name: str) -> list[Any]:
        return [version.file.id for version in bucket.versions(name)]

    @pytest.mark.parametrize(
        ("arguments", "moved"),
        [
            ("a new", {"a": "new"}),
            ("a new/", {"a": "new/a"}),
            ("a d", {"a": "d/a"}),
            ("a b new", {"a": "new/a", "b": "new/b"}),
            ("d/e /", {"d/e": "e"}),
            ("d/ new", {"d/e": "new/e", "d/f/g": "new/f/g"}),
            ("d new", {"d/e": "new/d/e", "d/f/g": "new/d/f/g"}),
            ("d/ /", {"d/e": "e", "d/f/g": "f/g"}),
            ("d/f/ d", {"d/f/g": "d/g"}),
            ("a a/", {"a": "a/a"}),
        ],
    )
    def test_ids_and_history_stay(self, app: Flask, bucket: Bucket, arguments: str, moved: dict[str, str]) -> None:
        before = {name: self.ids(bucket, name) for name in NAMES}
        told: list[str] = []

        def listen(sender: Flask, file: StoredFile) -> None:
            told.append(file.filename)

        with file_changed.connected_to(listen, app):
            assert call(app, "mv", *arguments.split()) == (0, [], [])
        assert {moved.get(name, name): ids for name, ids in before.items()} == {
            name: self.ids(bucket, name) for name in counts(bucket)
        }
        assert told == list(moved.values())

    @pytest.mark.parametrize("arguments", ["d/d/ d/", "d/d ."])
    def test_files_take_names_that_others_leave(self, app: Flask, bucket: Bucket, arguments: str) -> None:
        for name in ("d/d/x", "d/d/d/x", "d/d/d/d/x", "d/d/y"):
            put(bucket, name, name.encode())
        assert call(app, "mv", *arguments.replace(".", "/").split()) == (0, [], [])
        for name in ("d/x", "d/d/x", "d/d/d/x", "d/y"):
            file = bucket.find(name)
            assert file is not None
            assert b"".join(bucket.read(file)) == name.replace("d/", "d/d/", 1).encode()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("a b", "a: shop.fs has a file 'b' already"),
            ("a a", "a: source and destination are the same"),
            ("no new", "no: there is no such file or folder"),
            ("d/ d/x", "d/: a folder cannot be moved or copied into itself ('d/x')"),
            ("d d", "d: a folder cannot be moved or copied into itself ('d')"),
            ("/ x/", "/: a folder cannot be moved or copied into itself ('x/')"),
            ("a /x", "a: not written: '/x' is not a valid path: one of its folders has no name"),
            ("a ../x/", "a: not written: '../x/a' is not a valid path: one of its folders is . or .."),
        ],
    )
    def test_nothing_is_moved_onto_another(self, app: Flask, bucket: Bucket, arguments: str, said: str) -> None:
        status, lines, errors = call(app, "mv", *arguments.split())
        assert (status, lines) == (1, [])
        assert errors == [said.replace("shop.fs", bucket.collections.name)]
        assert counts(bucket) == ALL

    def test_of_several_those_that_can_be_are_moved(self, app: Flask, bucket: Bucket) -> None:
        put(bucket, "new/a", b"")
        assert call(app, "mv", "a", "no", "b", "new").status == 1
        assert counts(bucket) == {"a": 2, "d/e": 2, "d/f/g": 2, "new/a": 1, "new/b": 2}


class TestCp:
    def test_the_newest_version_is_copied_with_what_is_known_of_it(self, app: Flask, bucket: Bucket) -> None:
        bucket.save("a", [BIG], content_type="image/png", fields={"owner": "me", "metadata": {"tags": ["red"]}})
        assert call(app, "cp", "a", "b") == (0, [], [])
        copy = bucket.find("b")
        assert copy is not None
        assert read(bucket, copy) == BIG
        assert (copy.content_type, copy.fields["owner"], copy.metadata["tags"]) == ("image/png", "me", ["red"])
        assert counts(bucket) == {"a": 3, "b": 3, "d/e": 2, "d/f/g": 2}

    def test_folders(self, app: Flask, bucket: Bucket) -> None:
        assert call(app, "cp", "d", "d/f/", "a", "x") == (0, [], [])
        assert counts(bucket) == ALL | dict.fromkeys(["x/a", "x/d/e", "x/d/f/g", "x/g"], 1)

    def test_onto_itself(self, app: Flask, bucket: Bucket) -> None:
        for arguments in (["a", "a"], ["d/", "d/"], ["d", "/"], ["/", "/"], ["/", "x/"]):
            assert call(app, "cp", *arguments).status == 1
        assert counts(bucket) == ALL

    def test_a_damaged_file_is_told(self, app: Flask, bucket: Bucket) -> None:
        file = put(bucket, "a", BIG)
        bucket.chunks.delete_one({"files_id": file.id, "n": 1})
        status, _, errors = call(app, "cp", "a", "b", "x/")
        assert (status, len(errors), errors[0].startswith("a: ")) == (1, 1, True)
        assert counts(bucket) == ALL | {"a": 3, "x/b": 1}
