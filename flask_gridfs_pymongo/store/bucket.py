"""A GridFS bucket: the interface of the store for applications and the rest of the package.

::

    bucket = Bucket(client["shop"])
    bucket.save("notes.txt", io.BytesIO(b"Buy milk"))
    b"".join(bucket.read(bucket.find("notes.txt")))
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Semaphore
from typing import TYPE_CHECKING, Any

from ..cache import Memory
from .arguments import check_type, check_types
from .collections import Collections
from .dav import Dav
from .links import Links
from .listing.trashed import TrashKey, TrashPage, trashed
from .model import StoredFile
from .reading import ReadOnlyBucket
from .resumable.uploads import ResumableUploads
from .strict import check_name
from .usage import Taken
from .variants import Variants
from .versions import Versions
from .writing.batches import NewFile, Ready, commit_many, save_many
from .writing.changes import prepend, rename
from .writing.claims import Claims
from .writing.commit import Check, Saved
from .writing.deletes import delete_all_many, delete_versions
from .writing.marks import finish
from .writing.metadata import update_metadata
from .writing.renames import rename_many
from .writing.restore import restore_many
from .writing.sources import Readable, blocks
from .writing.trash import Deletion, remove, together
from .writing.writer import Writer

if TYPE_CHECKING:
    from ..cache.disk import Disk


class Bucket(ReadOnlyBucket):
    """One GridFS bucket.

    :param database: the database, of the driver or of mongomock
    :param base: the bucket's name; its collections are ``base.files`` and ``base.chunks``
    :param streams: how many more exhaust cursors the client may open; None: use none
    :param memory: keeps the content of small files; None: do not keep any
    :param types: keeps content types that were found by a file's first bytes; None: do not keep any
    :param disk: keeps content on local disk; None: do not keep any
    :param trash: seconds that deleted files stay in the trash; 0: they are deleted for good
    """

    def __init__(
        self,
        database: Any,
        base: str = "fs",
        streams: Semaphore | None = None,
        memory: Memory | None = None,
        types: Memory | None = None,
        disk: Disk | None = None,
        *,
        trash: int = 0,
    ) -> None:
        self.collections = Collections(database, base, disk, trash)
        self.files, self.chunks = self.collections.files, self.collections.chunks
        self._versions = self._listed = Versions(self.collections, memory)
        self._streams, self._disk = streams, disk
        self.accel = disk is not None and disk.accel is not None
        self.types = types or Memory(0)
        self._claims = Claims(self.collections)
        self.uploads = ResumableUploads(self._versions, self._claims)
        self.variants = Variants(self.collections)
        self.dav = Dav(self.collections)
        self.links = Links(self.collections)
        self.taken = Taken(self.collections)

    def update_metadata(
        self, filename: str | StoredFile | None, changes: Mapping[str, Any], version: int = -1, *, id: Any = None
    ) -> StoredFile:
        """Change keys of a version's ``metadata``; the others stay, and so does its entity tag.

        :param filename: the name, or the version itself; None if *id* is given
        :param changes: new values; None removes a key
        :return: the changed version
        :raises FileNotFoundError: if there is no such file or version
        :raises ValueError: for a key that is empty, holds a dot or NUL, or begins with ``$``
        :raises TypeError: if another tool stored something other than a mapping
        """
        file = filename if isinstance(filename, StoredFile) else self._one(filename, version, id)
        check_types(changes=changes)
        changed = update_metadata(self._versions, file, changes)
        if changed is None:
            raise FileNotFoundError(f"{file.filename!r} was deleted meanwhile")
        finish(self._versions, changed)
        return changed

    def writer(self, filename: str, max_size: int | None = None) -> Writer:
        """Begin an upload under *filename*; *max_size* is in bytes."""
        check_name(filename)
        check_types(max_size=max_size)
        self.collections.indexes.ensure()
        self.dav.prepare()
        return Writer(self._versions, self._claims, filename, max_size)

    def save(
        self,
        filename: str,
        source: Readable | Iterable[bytes] | os.PathLike[str],
        *,
        content_type: str | None = None,
        fields: Mapping[str, Any] | None = None,
        max_size: int | None = None,
        expires_at: datetime | None = None,
        check: Check | None = None,
        inspect: Callable[[StoredFile], None] | None = None,
    ) -> StoredFile:
        """Save the content of *source* as the newest version of *filename*. No signal is sent.

        Versions are totally ordered, and none is dated before the one that it follows, even if clocks are wrong.

        :param source: a binary file object, a :class:`~pathlib.Path`, or an iterable of bytes
        :param content_type: None: guess it from the name, else from the first bytes; its charset is stored as
            ``charset``
        :param fields: further fields of the files document, such as ``metadata``
        :param max_size: bytes
        :param expires_at: when it expires; in UTC if it has no time zone, as in PyMongo
        :param check: called with the version that this one will follow (None for the first one), and again if another
            upload came first; what it raises ends the upload
        :param inspect: called with the file before it becomes visible; what it raises ends the upload
        :raises FileTooLarge: for more bytes than *max_size*; nothing is stored
        :raises IndexConflict: if a unique index of the application refuses the document
        :raises Unconfirmed: if the server does not confirm whether it stored the document
        :raises ContentDeleted: if the content was deleted meanwhile
        """
        check_types(content_type=content_type, fields=fields, max_size=max_size, expires_at=expires_at)
        check_types(metadata=(fields or {}).get("metadata"))
        if expires_at is not None:
            given = fields or {}
            fields = {**given, "metadata": {**(given.get("metadata") or {}), "expiresAt": expires_at}}
        with self.writer(filename, max_size) as writer:
            for block in blocks(source):
                writer.write(block)
            if inspect is not None:
                inspect(writer.preview(content_type, fields))
            return writer.commit(content_type, fields, check).file

    def save_many(self, uploads: Iterable[NewFile]) -> Sequence[StoredFile | Exception]:
        """Save several files, each as :meth:`save` does, in a few round trips for 200 small ones.

        :param uploads: read as they are needed; those with the same name become versions in this order
        :return: for each upload the file, or what :meth:`save` would raise; after the database has failed, the files
            that are left are not tried, and have its error
        """
        return save_many(self._versions, self.writer, uploads)

    def commit_many(self, uploads: Sequence[Ready]) -> Sequence[Saved | Exception]:
        """Commit several uploads, in two round trips if nobody else uploads under the same names.

        :return: for each upload what ``Writer.commit`` would return or raise; as in :meth:`save_many`
        """
        return commit_many(self._versions, uploads)

    def copy(self, filename: str, new: str, version: int = -1) -> StoredFile:
        """Save a version, with its type, fields and metadata, as the newest version of *new*.

        :raises FileNotFoundError: if there is no such file or version
        """
        check_types(new=new)
        file = self._one(filename, version, None)
        fields = {**file.fields, "metadata": file.metadata}
        return self.save(new, self.read(file), content_type=file.media_type, fields=fields)

    def copy_many(self, copies: Iterable[tuple[StoredFile, str]]) -> Sequence[StoredFile | Exception]:
        """Save several versions, each as the newest version of another name: :meth:`copy` in batches.

        :param copies: each version with the new name
        :return: for each of them the copy, or the error, as in :meth:`save_many`
        """
        wanted = list(copies)
        files = self.prefetched(file for file, _ in wanted)
        return self.save_many(
            NewFile(new, self.content(file), file.media_type, {**file.fields, "metadata": file.metadata})
            for file, (_, new) in zip(files, wanted, strict=True)
        )

    def rename(
        self,
        filename: str,
        new: str,
        check: Callable[[StoredFile], None] | None = None,
        note: Mapping[str, Any] | None = None,
    ) -> int:
        """Rename all versions of a name; what is uploaded meanwhile under the old name stays there.

        If it was interrupted, the same call completes it.

        :param check: called with the newest version just before it is renamed; what it raises ends this
        :param note: the field ``NOTE`` for the newest version
        :return: how many versions were renamed
        :raises FileNotFoundError: if there is no such file
        :raises FileExistsError: if *new* is taken
        :raises ValueError: if *new* is empty
        """
        check_types(new=new)
        self.collections.indexes.ensure()
        renamed = rename(self._versions, self._claims, filename, new, check, note)
        self.dav.move({filename: new})
        return renamed

    def prepend(self, newest: StoredFile, first: StoredFile) -> None:
        """Make *newest* and every older version of its name versions of another name that come before *first*.

        Those that are not older than *first* get dates just before it. If *first* and what comes after it was deleted
        meanwhile, they are deleted, too.
        """
        prepend(self._versions, newest, first)
        self.dav.drop([newest.filename])
        found = self._versions.newest(first.filename)
        if found and found.id == newest.id:
            self.delete_all(found)

    def rename_many(
        self,
        names: Mapping[str, str],
        check: Callable[[StoredFile], None] | None = None,
        note: Callable[[str], Mapping[str, Any]] | None = None,
    ) -> Mapping[str, StoredFile | Exception]:
        """Rename all versions of several names, each as :meth:`rename` does, in a few round trips for 500 names.

        :param names: the new name for each old one
        :param check: as in :meth:`rename`, for each of them
        :param note: as in :meth:`rename`, for each old name
        :return: for each old name its newest version under the new name, or what :meth:`rename` would raise
        """
        self.collections.indexes.ensure()
        outcomes = rename_many(self._versions, self._claims, names, check, note)
        self.dav.move({name: names[name] for name, outcome in outcomes.items() if isinstance(outcome, StoredFile)})
        return outcomes

    def deletion(self, by: str | None = None) -> Deletion | None:
        """Return one act of deleting, for the methods that follow; None if there is no trash.

        :param by: who deletes
        """
        seconds = self.collections.trash
        if not seconds:
            return None
        now = self.collections.clock.now()
        return Deletion(now, now + timedelta(seconds=seconds), by)

    def delete(
        self, filename: str | None = None, version: int | None = None, *, id: Any = None, for_good: bool = False
    ) -> int:
        """Delete all versions of a name, or one: into the trash if there is one, else documents first, then content.

        :param version: as in :meth:`find`; None: all that exist now
        :param id: the ``_id`` of a version, in place of a name
        :param for_good: not into the trash
        :return: how many were deleted
        :raises Unconfirmed: if the server does not confirm that their documents are deleted
        """
        if (filename is None) == (id is None):
            raise TypeError("give either a filename or an id")
        if filename is None:
            return self.delete_many([id], for_good=for_good)
        check_name(filename)
        if version is None:
            newest = self._versions.newest(filename)
            return self.delete_all(newest, for_good=for_good) if newest else 0
        file = self.find(filename, version)
        return self.delete_versions([file], for_good=for_good) if file else 0

    def delete_all(self, newest: StoredFile, deletion: Deletion | None = None, *, for_good: bool = False) -> int:
        """Delete *newest* and every older version of its name; return how many.

        Versions that were uploaded since *newest* was found stay. If a rename of the name broke off, it is completed
        first, and nothing is left to delete under the old name.

        :param deletion: like *for_good*, as in :meth:`delete_versions`
        """
        check_type("newest", newest, StoredFile)
        return self.delete_all_many([newest], deletion, for_good=for_good)[0]

    def delete_all_many(
        self, newest: Sequence[StoredFile], deletion: Deletion | None = None, *, for_good: bool = False
    ) -> Sequence[int]:
        """Delete the *newest* versions of some names with all older ones, as :meth:`delete_all` does, in batches.

        :param deletion: like *for_good*, as in :meth:`delete_versions`
        :return: how many were deleted of each; those that somebody else deletes at this moment may count, too
        """
        self.collections.indexes.ensure()
        act = None if for_good else deletion or self.deletion()
        deleted = delete_all_many(self._versions, self.variants, newest, act)
        self.dav.drop([file.filename for file in newest if file.named])
        return deleted

    def delete_many(self, ids: Sequence[Any], deletion: Deletion | None = None, *, for_good: bool = False) -> int:
        """Delete versions, their documents first; return how many. Renames of them that broke off are completed before.

        After a retry all of them count, as the first attempt may have deleted them.

        :param deletion: like *for_good*, as in :meth:`delete_versions`
        :raises Unconfirmed: if the server does not confirm that their documents are deleted
        """
        check_types(ids=ids)
        return self.delete_versions(self._versions.of_ids(ids), deletion, for_good=for_good)

    def delete_versions(
        self, files: Sequence[StoredFile], deletion: Deletion | None = None, *, for_good: bool = False
    ) -> int:
        """Delete versions that were found before, as :meth:`delete_many` does.

        :param deletion: of :meth:`deletion`, if several calls are one act, or it is known who deletes
        :param for_good: not into the trash
        """
        self.collections.indexes.ensure()
        act = None if for_good else deletion or self.deletion()
        deleted = delete_versions(self._versions, self.variants, files, act)
        self.dav.drop(list(dict.fromkeys(file.filename for file in files if file.named)))
        return deleted

    def trash(
        self,
        prefix: str = "",
        after: TrashKey | None = None,
        limit: int = 100,
        *,
        at: datetime | None = None,
        shown: Callable[[str], bool] = lambda name: True,
    ) -> TrashPage:
        """Return a page of what is in the trash, what was deleted last first.

        A row is the newest of the versions of a name that were deleted together, with their number. Several files
        without a name that were deleted together come on one page.

        :param prefix: what the names began with
        :param after: the *next* of the page before
        :param limit: rows on the page, at most
        :param at: only what was deleted at this time, by one :meth:`deletion`
        :param shown: which names the page may show
        :raises pymongo.errors.ExecutionTimeout: if passing over what is not shown takes more than a second
        """
        check_types(prefix=prefix, limit=limit)
        return trashed(self._versions, shown, prefix, after, limit, at)

    def restore(self, id: Any, merge: bool = False) -> StoredFile:
        """Restore a version that is in the trash, and those that were deleted together with it, as they were.

        Versions of which others stayed come back to their places among these.

        :param id: the ``_id`` of one of them
        :param merge: if there is another file with the name by now, make them its older versions; those that are not
            older than its first version get dates just before it
        :return: the newest of the versions that were restored
        :raises FileNotFoundError: if it is not in the trash
        :raises FileExistsError: if there is another file with the name, without *merge*
        """
        outcomes = self.restore_many([id], merge=merge)
        if not outcomes:
            raise FileNotFoundError(f"{self.collections.name} has nothing with id {id!r} in its trash")
        _, restored = outcomes[0]
        if isinstance(restored, Exception):
            raise restored
        return restored

    def restore_many(
        self, ids: Sequence[Any], *, merge: bool = False
    ) -> Sequence[tuple[StoredFile, StoredFile | Exception]]:
        """Restore several as :meth:`restore` does, in a few round trips for 500 files whose names are free.

        :return: the newest of the versions that were deleted together, with what :meth:`restore` would return or
            raise; what is not in the trash is left out
        """
        check_types(ids=ids)
        self.collections.indexes.ensure()
        return restore_many(self._versions, self._claims, ids, merge=merge)

    def in_trash(self, ids: Sequence[Any]) -> Sequence[StoredFile]:
        """Return what is in the trash with these ``_id``: the newest of the versions that were deleted together."""
        check_types(ids=ids)
        return [self._versions.stored(group[-1]) for group in together(self._versions, ids)]

    def empty_trash(self, ids: Sequence[Any]) -> int:
        """Delete for good what is in the trash, with what was deleted together with each; return how many versions.

        What is restored meanwhile stays.
        """
        check_types(ids=ids)
        groups = together(self._versions, ids)
        return len(remove(self.collections, self.variants, [document for group in groups for document in group]))
