"""What WebDAV needs beyond files, in ``base.dav``: empty folders, properties and locks. Files do not depend on it.

It goes with the files, whoever deletes and renames them: :class:`.Bucket` calls :meth:`Dav.drop` and :meth:`Dav.move`.

::

    bucket.dav.remember("photos/2026/")
    bucket.dav.set_property("photos/a.jpg", "{http://example.com/}colour", b"<colour>red</colour>")
    bucket.dav.locks.change(lambda locks: [*locks, lock])
    bucket.dav.drop(["photos/a.jpg"])

A path is the name of a file, or that of a folder with a slash at its end.
"""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pymongo import ASCENDING, DESCENDING, DeleteOne, ReplaceOne
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from .collections import Collections
from .errors import QuotaExceeded
from .listing.names import beginning_with, parent_of, successor
from .locks import LOCKS, Lock, Locks, locked
from .model import StoredFile, upload_date
from .retry import duplicates, missing_right, reason, retry

MAX_PROPERTIES = 100
"""of a file or folder"""
MAX_PROPERTY_SIZE = 64 * 1024
"""bytes"""
MAX_PROPERTIES_SIZE = 100 * 1024
"""bytes of all properties of a file or folder, with their names"""
MAX_READ = 16 * 1024 * 1024
"""bytes of properties that are read at once"""
MAX_FOLDERS = 1000
"""that one client made, and that are empty"""
MOVE_TTL = timedelta(days=7)
"""how long the same MOVE of a folder completes one that broke off; later it replaces what is at its target"""
_SWEPT_FOLDERS = 50  # folders looked at if a client has too many
# Prefixes of an _id, for ranges of its index: a folder's path follows, or the parent folder of what has a property.
_FOLDER, _PROPERTY = "folder:", "property:"
_MAX_SWEPT = 4  # properties checked in one sweep
_BATCH = 500  # folders
_COPIED = 200  # properties that are in memory at once
_logger = logging.getLogger("flask_gridfs_pymongo")
_UNUSED_TTL = 10  # seconds for which a bucket counts as one without a drive
_NO_VALUES = {"value": 0}  # a property's, which may be large


class Kept(NamedTuple):
    """All locks, and the properties of some files and folders."""

    locks: list[Lock]
    """all that have not expired"""
    properties: dict[str, dict[str, bytes]]
    """by path and name"""


class Dav:
    """The folders, properties and locks of one bucket."""

    def __init__(self, collections: Collections) -> None:
        self._collection, self._clock = collections.dav, collections.clock
        self._files = collections.primary.files
        self.locks = Locks(collections)
        self._swept, self._swept_folder = _PROPERTY, _FOLDER
        self._used, self._next_question = False, 0.0

    def in_use(self) -> bool:
        """Whether anything is kept here; a bucket without a drive is asked again after ten seconds."""
        if self.locks.made:
            return True
        if not self._used and time.monotonic() >= self._next_question:
            try:
                self._used = bool(self._find({}, 1))
            except OperationFailure as error:
                if not missing_right(error):
                    raise  # who may not read it has no drive
            self._next_question = time.monotonic() + _UNUSED_TTL
        return self._used

    def prepare(self) -> None:
        """Ask now if this process has not asked yet, so that a later request does not have to."""
        if not self._next_question:
            self.in_use()

    def begin_move(self, old: str, new: str) -> None:
        """Note that the folder *new* is being filled with what is in *old*."""
        change = {"$set": {"from": old, "began": self.now()}, "$setOnInsert": {"made": self.now()}}
        self._retry(lambda: self._collection.update_one({"_id": _FOLDER + new}, change, upsert=True))

    def end_move(self, new: str) -> None:
        """Note that all of it has arrived."""
        change = {"$unset": {"from": "", "began": ""}}
        self._retry(lambda: self._collection.update_one({"_id": _FOLDER + new}, change))

    def is_move_of(self, old: str, new: str) -> bool:
        """Whether a move of the folder *old* to *new* broke off less than :data:`MOVE_TTL` ago."""
        begun = {"_id": _FOLDER + new, "from": old, "began": {"$gt": self.now() - MOVE_TTL}}
        return self._retry(lambda: self._collection.find_one(begun, {"_id": 1})) is not None

    def remember(self, *folders: str, owner: str | None = None) -> None:
        """Keep *folders* even if they are empty, with the present date; the top always exists.

        :param owner: the client who makes them
        :raises QuotaExceeded: if it would have more than :data:`MAX_FOLDERS`; then nothing is kept
        """
        now = self.now()
        new = self._insert([{"_id": _FOLDER + folder, "made": now, "owner": owner} for folder in folders if folder])
        if owner is None or not new or self._count_folders(owner) <= MAX_FOLDERS:
            return
        self._sweep_folders(owner)
        if self._count_folders(owner) > MAX_FOLDERS:
            self._delete([{"_id": document["_id"]} for document in new])
            raise QuotaExceeded(f"a client has at most {MAX_FOLDERS} empty folders")

    def forget(self, paths: Collection[str]) -> None:
        """Delete the folders and properties that are kept under *paths*, as these files and folders are gone."""
        folders = [{"_id": _FOLDER + path} for path in paths if path.endswith("/")]
        self._delete([*folders, *self._keys_of_properties(paths)])

    def drop(self, names: Collection[str]) -> None:
        """Delete the properties and locks of files that were deleted: of those *names* that there is no file of."""
        with self._logging():
            if not names or not self.in_use():
                return
            locks, properties = self._kept(names)
            kept = {_path_and_name(one["_id"])[0] for one in properties} | {locked(lock) for lock in locks} & set(names)
            if not kept:
                return
            gone = {name for name in kept - self.there(kept) if not self.exists(f"{name}/")}
            self._delete([{"_id": one["_id"]} for one in properties if _path_and_name(one["_id"])[0] in gone])
            self.locks.end(locks, gone)

    def move(self, names: Mapping[str, str], *, late: bool = False) -> None:
        """Move the properties of files that were renamed, and end their locks (RFC 4918 section 9.9).

        :param names: the new name of each old one
        :param late: the rename broke off a while ago: locks stay, and the properties of new names, as they may be new
        """
        with self._logging():
            if not names or not self.in_use():
                return
            locks, properties = self._kept({*names, *names.values()}, values=True)
            moved: dict[str, Any] = {}
            for one in properties:
                path, name = _path_and_name(one["_id"])
                if path in names:
                    key = {"_id": _key(names[path]) + name}
                    moved[key["_id"]] = ReplaceOne(key, {**key, "value": one["value"]}, upsert=True)
            gone = {*names} if late else {*names, *names.values()}
            rest = [one["_id"] for one in properties if one["_id"] not in moved]
            others = [DeleteOne({"_id": key}) for key in rest if _path_and_name(key)[0] in gone]
            if changes := [*moved.values(), *others]:
                self._retry(lambda: self._collection.bulk_write(changes))
            if not late:
                self.locks.end(locks, gone)

    def drop_folders(self, folders: Iterable[str]) -> None:
        """Forget *folders* whose files were deleted or renamed, and what is kept in them; not if a file is left."""
        with self._logging():
            self._drop_emptied([folder for folder in folders if self._is_emptied(folder)])

    def move_folders(self, names: Mapping[str, str]) -> None:
        """Move empty folders and the properties of folders after the files in them; not if a file is left.

        :param names: the new path of each old one
        """
        with self._logging():
            emptied = [old for old in names if self._is_emptied(old)]
            for old in emptied:
                found = {one["_id"]: one for one in self._find(_below(_FOLDER + old))}
                paths = {key.removeprefix(_FOLDER): names[old] + key[len(_FOLDER + old) :] for key in found}
                self._insert([{**found[_FOLDER + one], "_id": _FOLDER + paths[one]} for one in paths])
                self.copy_properties({old: names[old], **paths})
            self._drop_emptied(emptied)

    def _drop_emptied(self, folders: Sequence[str]) -> None:
        if folders:
            within = [kept for folder in folders for kept in (_FOLDER + folder, _PROPERTY + folder, _key(folder))]
            self._retry(lambda: self._collection.delete_many({"$or": list(map(_below, within))}))
            locks = self.locks.all()
            self.locks.end(locks, {name for name in map(locked, locks) if f"{name}/".startswith(tuple(folders))})

    def _is_emptied(self, folder: str) -> bool:
        """Whether no file is in a *folder* any more, if anything may be kept of it."""
        selection = {"filename": _below(folder)["_id"]}
        return self.in_use() and retry(self._files, lambda: self._files.find_one(selection, {"_id": 1})) is None

    @contextmanager
    def _logging(self) -> Iterator[None]:
        """Log an error: the files are deleted or renamed, which is what counts."""
        try:
            yield
        except (PyMongoError, TimeoutError) as error:
            why = reason(error) if isinstance(error, PyMongoError) else error
            _logger.warning("%s: locks or properties stay behind: %s", self._collection.full_name, why)

    def folders_and_locks(self, top: str, limit: int) -> tuple[list[str], list[Lock]]:
        """Return at most *limit* of the remembered folders, *top* and those below it, and the locks, by one query."""
        selection = {"$or": [{"_id": LOCKS}, _below(_FOLDER + top)]}
        found = {one["_id"]: one for one in self._find(selection, limit + 1, DESCENDING)}  # the locks come first
        locks = self.locks.of(found.pop(LOCKS, None))
        return [key.removeprefix(_FOLDER) for key in found][:limit], locks

    def folders(self, top: str, limit: int) -> dict[str, datetime | None]:
        """Return at most *limit* of the remembered folders, *top* and those below it, each with its date if known."""
        found = self._find(_below(_FOLDER + top), limit)
        return {folder["_id"].removeprefix(_FOLDER): folder.get("made") for folder in found}

    def read(self, path: str, *, deep: bool, names: Collection[str] | None, values: bool) -> Kept:
        """Return the locks, and the properties of a file or folder.

        :param deep: also the properties of what is directly in the folder
        :param names: of the properties to read; None: all
        :param values: whether to read the values; otherwise they are empty
        :raises QuotaExceeded: if the values have more than :data:`MAX_READ`
        """
        ranges = [_below(_key(path)), *([_below(f"{_PROPERTY}{path}\0")] if deep else [])]
        if names is not None:
            name = {"$regex": f"\\x00({'|'.join(map(re.escape, names))})$"}  # a pattern has no NUL
            ranges = [{"_id": {**each["_id"], **name}} for each in ranges] if names else []
        locks, properties = self._with_locks(ranges, values=values, limited=True)
        return Kept(locks, _by_path(properties))

    def set_property(self, path: str, name: str, value: bytes) -> None:
        """Give a file or folder a property.

        :raises QuotaExceeded: if it has :data:`MAX_PROPERTIES`, name and *value* exceed :data:`MAX_PROPERTY_SIZE`, or
            all of them :data:`MAX_PROPERTIES_SIZE`
        """
        found = self._find(_below(_key(path)), projection={"size": {"$binarySize": "$value"}})
        there = {_path_and_name(one["_id"])[1]: one["size"] for one in found} | {name: len(value)}
        if len(there) > MAX_PROPERTIES or len(name) + len(value) > MAX_PROPERTY_SIZE:
            raise QuotaExceeded(f"a file has at most {MAX_PROPERTIES} properties of {MAX_PROPERTY_SIZE} bytes")
        if sum(len(key) + size for key, size in there.items()) > MAX_PROPERTIES_SIZE:
            raise QuotaExceeded(f"a file has at most {MAX_PROPERTIES_SIZE} bytes of properties")
        key, self._used = {"_id": _key(path) + name}, True
        self._retry(lambda: self._collection.update_one(key, {"$set": {"value": value}}, upsert=True))

    def remove_property(self, path: str, name: str) -> None:
        """Delete a property, if it exists."""
        self._retry(lambda: self._collection.delete_one({"_id": _key(path) + name}))

    def copy_properties(self, paths: Mapping[str, str]) -> None:
        """Replace the properties of files and folders by copies of others' properties.

        :param paths: the path to copy to for each path to copy from
        """
        self._delete(self._keys_of_properties(paths.values()))
        keys = [found["_id"] for found in self._kept(paths)[1]]
        for start in range(0, len(keys), _COPIED):
            copies = []
            for found in self._find({"_id": {"$in": keys[start : start + _COPIED]}}, projection=None):
                path, name = _path_and_name(found["_id"])
                copies.append({"_id": _key(paths[path]) + name, "value": found["value"]})
            self._insert(copies)

    def sweep(self) -> None:
        """Delete a few properties whose files or folders are gone: not everything that deletes a file deletes them."""
        found = self._find({"_id": {"$gt": self._swept, "$lt": successor(_PROPERTY)}}, _MAX_SWEPT)
        self._swept = found[-1]["_id"] if len(found) == _MAX_SWEPT else _PROPERTY
        gone = [one["_id"] for one in found if not self.exists(_path_and_name(one["_id"])[0])]
        if gone:
            self._retry(lambda: self._collection.delete_many({"_id": {"$in": gone}}))

    def now(self) -> datetime:
        """Return the time by the server's clock."""
        return self._clock.now()

    def _kept(self, paths: Iterable[str], *, values: bool = False) -> tuple[list[Lock], list[dict[str, Any]]]:
        """Find all locks, and the properties of files and folders, with one range for those in the same folder."""
        wanted, by_parent = set(paths), defaultdict(list)
        for path in wanted:
            by_parent[parent_of(path)].append(_key(path))
        ranges = [_below(f"{_PROPERTY}{parent}\0" if keys[1:] else keys[0]) for parent, keys in by_parent.items()]
        locks, found = list[Lock](), list[dict[str, Any]]()
        for start in range(0, len(ranges), _BATCH):
            locks, properties = self._with_locks(ranges[start : start + _BATCH], values=values)
            found += [one for one in properties if _path_and_name(one["_id"])[0] in wanted]
        return locks, found

    def _with_locks(
        self, ranges: list[dict[str, Any]], *, values: bool, limited: bool = False
    ) -> tuple[list[Lock], list[dict[str, Any]]]:
        """Find all locks, and what is in *ranges*, in one round trip; *limited*: at most :data:`MAX_READ` of values."""
        selection, projection = {"$or": [{"_id": LOCKS}, *ranges]}, None if values else _NO_VALUES
        found = self._find(selection, projection=projection, limited=limited)
        stored = next((one for one in found if one["_id"] == LOCKS), None)
        return self.locks.of(stored), [one for one in found if one["_id"] != LOCKS]

    def _keys_of_properties(self, paths: Iterable[str]) -> list[dict[str, str]]:
        return [{"_id": found["_id"]} for found in self._kept(paths)[1]]

    def _insert(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Insert those that are not there yet, and return them."""
        if not documents:
            return []
        self._used = True
        try:
            self._retry(lambda: self._collection.insert_many(documents, ordered=False))
        except BulkWriteError as error:
            there = duplicates(error)
            return [document for index, document in enumerate(documents) if index not in there]
        return documents

    def _count_folders(self, owner: str) -> int:
        own = {**_below(_FOLDER), "owner": owner}
        return int(self._retry(lambda: self._collection.count_documents(own, limit=MAX_FOLDERS + 1)))

    def _sweep_folders(self, owner: str) -> None:
        """Forget a few folders that exist without it, as something is in them."""
        rest = {"_id": {"$gt": self._swept_folder, "$lt": successor(_FOLDER)}, "owner": owner}
        folders = self._find(rest, _SWEPT_FOLDERS)
        self._swept_folder = folders[-1]["_id"] if len(folders) == _SWEPT_FOLDERS else _FOLDER
        paths = [one["_id"].removeprefix(_FOLDER) for one in folders]
        self._delete([{"_id": _FOLDER + path} for path in paths if self._holds(path)])

    def _delete(self, keys: list[dict[str, str]]) -> None:
        if keys:
            self._retry(lambda: self._collection.bulk_write([DeleteOne(key) for key in keys], ordered=False))

    def _find(
        self,
        selection: Mapping[str, Any],
        limit: int = 0,
        order: int = ASCENDING,
        *,
        projection: Mapping[str, Any] | None = _NO_VALUES,
        limited: bool = False,
    ) -> list[dict[str, Any]]:
        def find() -> list[dict[str, Any]]:
            found, size = [], 0
            with closing(self._collection.find(selection, projection).sort("_id", order).limit(limit)) as cursor:
                for document in cursor:
                    found.append(document)
                    size += len(document.get("value", b""))
                    if limited and size > MAX_READ:
                        raise QuotaExceeded(f"the properties have more than {MAX_READ} bytes: ask for fewer")
            return found

        result: list[dict[str, Any]] = self._retry(find)
        return result

    def there(self, names: Collection[str]) -> set[str]:
        """Return those of *names* that there is a file of which has not expired."""
        wanted, fields = {"filename": {"$in": list(names)}}, ["filename", "uploadDate", "metadata.expiresAt"]
        found = retry(self._files, lambda: list(self._files.find(wanted, fields)))
        versions = (StoredFile.from_document(one, now=self.now) for one in sorted(found, key=upload_date))
        newest = {version.filename: version for version in versions if version.named}
        return {name for name, version in newest.items() if not version.expired}

    def exists(self, path: str) -> bool:
        """Whether there is a file, or with a slash at its end a folder."""
        if not path.endswith("/"):
            return self._files.find_one({"filename": path}, {"_id": 1}) is not None
        return bool(self.folders(path, 1)) or self._holds(path)

    def _holds(self, folder: str) -> bool:
        """Whether there is something in a folder."""
        within = {"filename": _below(folder)["_id"]}
        return len(self.folders(folder, 2)) == 2 or self._files.find_one(within, {"_id": 1}) is not None

    def _retry(self, operation: Callable[[], Any]) -> Any:
        return retry(self._collection, operation)


def _key(path: str) -> str:
    """The prefix of the _id of each property of *path*; names have no NUL."""
    parent = parent_of(path)
    return f"{_PROPERTY}{parent}\0{path[len(parent) :]}\0"


def _path_and_name(key: str) -> tuple[str, str]:
    parent, last, name = key.removeprefix(_PROPERTY).split("\0", 2)
    return parent + last, name


def _by_path(found: list[dict[str, Any]]) -> dict[str, dict[str, bytes]]:
    properties: dict[str, dict[str, bytes]] = {}
    for one in found:
        path, name = _path_and_name(one["_id"])
        properties.setdefault(path, {})[name] = one.get("value", b"")
    return properties


def _below(prefix: str) -> dict[str, Any]:
    return {"_id": beginning_with(prefix)}
