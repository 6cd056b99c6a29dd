"""What is below a folder of a bucket, as if that were all: for reading, by names without the path of the folder.

::

    shared = Within(bucket, "photos/2026/")
    shared.find("beach.jpg")  # "photos/2026/beach.jpg", called "beach.jpg"
    shared.get(file_id)  # None if it is elsewhere
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .bucket import Bucket
from .listing.page import Key, Page, Row, Visibility
from .model import StoredFile
from .reader import Reader
from .versions import Version


class Within(Bucket):
    """A folder of a bucket, for reading: it lacks what other methods need, which fail.

    :param folder: with a slash at its end; empty: the whole bucket
    """

    def __init__(self, bucket: Bucket, folder: str) -> None:
        self.collections, self.files, self.chunks = bucket.collections, bucket.files, bucket.chunks
        self.variants, self.types, self.accel = bucket.variants, bucket.types, bucket.accel
        self._bucket, self._folder, self._listed = bucket, folder, bucket._versions

    def find(self, filename: str, version: int = -1, *, first_chunk: bool = False) -> StoredFile | None:
        return self._inside(self._bucket.find(self._folder + filename, version, first_chunk=first_chunk))

    def get(self, file_id: Any, *, first_chunk: bool = False) -> StoredFile | None:
        return self._inside(self._bucket.get(file_id, first_chunk=first_chunk))

    def get_many(self, file_ids: Sequence[Any]) -> Sequence[StoredFile]:
        return [inside for file in self._bucket.get_many(file_ids) if (inside := self._inside(file))]

    def count(self, filename: str, limit: int = 0) -> int:
        return self._bucket.count(self._folder + filename, limit)

    def number(self, file: StoredFile) -> int:
        return self._bucket.number(self.original(file))

    def versions(self, filename: str, before: int | None = None, limit: int = 100) -> Sequence[Version]:
        found = self._bucket.versions(self._folder + filename, before, limit)
        return [Version(number, self._renamed(file)) for number, file in found]

    def read(self, file: StoredFile, start: int = 0, stop: int | None = None, *, keep: bool = True) -> Reader:
        return self._bucket.read(file, start, stop, keep=keep)

    def handed_over(self, file: StoredFile) -> str | None:
        return self._bucket.handed_over(file)

    def original(self, file: StoredFile) -> StoredFile:
        return _called(file, self._folder + file.filename)

    def _inside(self, file: StoredFile | None) -> StoredFile | None:
        """Return *file* by its name here; None if it is elsewhere, or marks the folder itself."""
        if file is None or not file.filename.startswith(self._folder) or file.filename == self._folder != "":
            return None
        return self._renamed(file)

    def _renamed(self, file: StoredFile) -> StoredFile:
        return _called(file, file.filename[len(self._folder) :])

    def _outside(self, shown: Visibility) -> Visibility:
        start = len(self._folder)

        def file(name: str) -> bool:
            return (not start or len(name) > start) and shown.file(name[start:])

        def folder(path: str) -> bool:
            return len(path) <= start or shown.folder(path[start:])

        return Visibility(file, folder)

    def _after(self, key: Key | None) -> Key | None:
        return key if key is None or key.filename is None else key._replace(filename=self._folder + key.filename)

    def _page(self, page: Page) -> Page:
        start, following = len(self._folder), page.next
        if following is not None and following.filename is not None:
            following = following._replace(filename=following.filename[start:])
        rows = [Row(self._renamed(file), versions) for file, versions in page.rows]
        return Page(rows, [folder[start:] for folder in page.folders], following)


def _called(file: StoredFile, filename: str) -> StoredFile:
    document = {**file.document, "filename": filename} if "filename" in file.document else file.document
    return replace(file, filename=filename, document=document)
