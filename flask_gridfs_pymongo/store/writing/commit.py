"""The commit: inserts the files document of content whose chunks are stored, as the newest version of a name.

::

    Commit(versions, claims, "notes.txt", Content(file_id, length, digest)).run()

It may be repeated, even by another process: the same content is committed once.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from ..errors import ContentDeleted, IndexConflict, Unconfirmed
from ..model import StoredFile, unless_expired
from ..retry import RetryBudget, is_outage, is_unconfirmed, reason, retry
from ..strict import NOT_IN_TRASH
from ..versions import Versions
from .changes import expire_older
from .claims import Claims, place
from .content import Content, document_of
from .marks import NOW, finish, finish_claiming
from .pipeline import CHUNK_SIZE
from .watch import Watch

_ATTEMPTS = 200
_PAUSE = 0.02  # seconds at most between two attempts
_MILLISECOND = timedelta(milliseconds=1)
_LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)
Check = Callable[["StoredFile | None"], None]
_logger = logging.getLogger("flask_gridfs_pymongo")


class Saved(NamedTuple):
    """What a commit did."""

    file: StoredFile
    followed: StoredFile | None
    """the version that was the newest before; None if the name was free"""


class _State(Enum):
    NEW = "the server has no document"
    SENT = "the document was sent, and there was no answer"
    MISPLACED = "the document is stored, but another version came between it and the one that it should follow"
    PLACED = "the document is stored in the right place"


class Commit:
    """Makes *content* the newest version of *filename*.

    Versions are totally ordered, and none is dated before the one that it follows, even if clocks are wrong: see
    :mod:`.claims`. The commit is repeated until it succeeds, is refused, or can no longer succeed.

    ============= ============================= ====================================== ========================
    state         step                          outcome                                next
    ============= ============================= ====================================== ========================
    ``NEW``       look for the newest version,  stored                                 ``PLACED``; verify if
                  insert                                                               in doubt
                                                no answer                              ``SENT``
                                                another writer has the place           ``NEW``
                                                the same content was committed before  ``PLACED``
    ``SENT``      ask for the document          it is there                            verify
                                                it is not                              as ``NEW``, then verify
    (verify)      count chunks; look for        chunks are gone                        remove it, ContentDeleted
                  versions in between           it follows                             ``PLACED``
                                                another one came in between            ``MISPLACED``
    ``MISPLACED`` look again, move it           moved                                  verify its place
                                                somebody deleted it                    ContentDeleted
    ============= ============================= ====================================== ========================

    After a transient error the step is repeated. Any other error ends the commit: if *check* refuses, a misplaced
    document is removed; if the server does not answer, :class:`.Unconfirmed` is raised.

    The other parameters, and what is raised, are those of :meth:`.Bucket.save`.
    """

    def __init__(
        self,
        versions: Versions,
        claims: Claims,
        filename: str,
        content: Content,
        content_type: str | None = None,
        fields: Mapping[str, Any] | None = None,
        check: Check | None = None,
    ) -> None:
        self._versions, self._claims = versions, claims
        self._files, self._chunks = versions.collections.primary
        self._document, self._check = document_of(filename, content, content_type, fields), check
        self._watch = content.watch or Watch(versions.collections, late=True)
        self._id, self.filename = content.id, filename
        self._newest: StoredFile | None = None  # what it followed in the last attempt
        self._state = _State.NEW

    def preview(self) -> StoredFile:
        """Return the file that :meth:`run` will make; only its date will differ."""
        return self._versions.stored(self._versions.collections.as_read(self._document))

    def run(self) -> Saved:
        """Commit, and return the stored file; if the same content was committed before, return that version."""
        budget = RetryBudget(self._files)
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    if not self.is_placed:
                        self._step()
                except PyMongoError as error:
                    self._watch.doubt()
                    if not budget.lasts(error):
                        raise
                if self.is_placed:
                    self._sweep()
                    return Saved(self.preview(), unless_expired(self._newest))
                time.sleep(random.uniform(0, min(attempt / 1000, _PAUSE)))  # noqa: S311  so that they do not race again
            raise IndexConflict(
                f"{self.filename!r} could not be stored as the newest version: the unique index on previous "
                f"refused it {_ATTEMPTS} times; nothing was stored"
            )
        except PyMongoError as error:
            if self._state is _State.NEW:
                raise
            raise self.given_up(error) from error
        except Exception:
            if self._state is _State.MISPLACED:
                self._take_back()
            raise

    def _sweep(self) -> None:
        for document in self._claims.sweep():
            try:
                finish(self._versions, StoredFile.from_document(document))
            except PyMongoError as error:
                _logger.info("%a: its rename is completed later: %a", document["filename"], reason(error))

    @property
    def is_placed(self) -> bool:
        """Whether the document is stored in the right place."""
        return self._state is _State.PLACED

    def given_up(self, error: PyMongoError) -> PyMongoError:
        """Return what to raise if nothing more can be done after *error*."""
        if self._state is _State.NEW:
            return error
        return Unconfirmed(f"{self.filename!r} may be stored, or not: {error}")

    def _step(self) -> None:
        if self._state is _State.MISPLACED:
            self._move()
        elif self._state is _State.SENT and self._is_stored():
            self._verify()
        else:
            self._insert()

    def _insert(self) -> None:
        before = self._state
        self._look()
        self._state = _State.SENT
        try:
            self._watch.write(partial(self._files.insert_one, self._document))
        except DuplicateKeyError as error:
            self._state = before
            if self._is_stored():
                self._ensure_whole()
                self._state = _State.PLACED
            else:
                self._give_way(error)
            return
        except PyMongoError as error:
            if not is_outage(error):  # it was refused
                self._state = before
            raise
        if self._watch.sure:
            self._state = _State.PLACED
        else:
            self._verify()

    def _verify(self) -> None:
        self._ensure_whole()
        self._verify_place()

    def _verify_place(self) -> None:
        follows = self._claims.follows(self.filename, self._id, self._newest, self._later)
        self._state = _State.PLACED if follows else _State.MISPLACED

    def _move(self) -> None:
        """Move the document after the newest version: inserted again, it could lose its chunks to a late delete."""
        self._look()
        place = {name: self._document[name] for name in ("previous", "uploadDate")}
        change = {"$set": place, "$currentDate": NOW}
        try:
            own = {"_id": self._id, **NOT_IN_TRASH}
            moved = retry(self._files, lambda: self._files.update_one(own, change))
        except DuplicateKeyError as error:
            self._give_way(error)
            return
        if moved.matched_count:
            self._verify_place()
        elif self._is_stored():  # in the trash
            self._state = _State.PLACED
        else:
            raise ContentDeleted(f"{self.filename!r} was deleted while it was uploaded; nothing was stored")

    @property
    def _later(self) -> dict[str, Any]:
        return self._versions.after(self.filename, self._newest)

    def _look(self) -> None:
        self.follow(self._versions.newest(self.filename, self._id if self._state is _State.MISPLACED else None))

    def follow(self, newest: StoredFile | None) -> None:
        """Ask *check* about the version to follow, claim the place after it, and choose a date after its date."""
        self._newest = newest
        if self._check is not None:
            self._check(unless_expired(newest))
        if newest is not None:
            finish(self._versions, newest)
            if newest.expired:
                expire_older(self._versions, newest)
        date = _date_after(newest, self._versions.collections.clock.now())
        self._document |= {**self._claims.make(self.filename, newest), "uploadDate": date}

    def _is_stored(self) -> bool:
        stored = retry(self._files, lambda: self._files.find_one({"_id": self._id}))
        if stored is not None:
            self._document = stored
        return stored is not None

    def _give_way(self, error: DuplicateKeyError) -> None:
        """Free the place if its claim is invalid; the next step looks again."""
        index = (error.details or {}).get("keyPattern", {"previous": 1})
        if list(index) != ["previous"]:
            fields = ", ".join(index)
            raise IndexConflict(
                f"the unique index on {fields} of {self._files.name} refuses {self.filename!r}: another "
                f"document has the same {fields}; nothing was stored"
            ) from error
        claimed = place(self.filename, self._newest and self._newest.id)
        finish_claiming(self._versions, claimed)
        self._claims.release(claimed, later=self._later)

    def _ensure_whole(self) -> None:
        """Remove the document and raise ContentDeleted if chunks were deleted."""
        wanted = -(-self._document["length"] // CHUNK_SIZE)
        found = retry(self._chunks, lambda: self._chunks.count_documents({"files_id": self._id}))
        if found != wanted:
            self._take_back()
            raise ContentDeleted(f"chunks of {self.filename!r} vanished while it was uploaded; nothing was stored")

    def _take_back(self) -> None:
        retry(self._files, lambda: self._files.delete_one({"_id": self._id}))


def insert_many(commits: Sequence[Commit]) -> None:
    """Insert the documents of several commits that know what they follow, as the first step of each."""
    files, first, *others = commits[0]._files, *(commit._watch for commit in commits)
    for commit in commits:
        commit._state = _State.SENT
    refused: Collection[int] = ()
    try:
        first.write(partial(files.insert_many, [commit._document for commit in commits], ordered=False))
    except PyMongoError as error:
        if is_unconfirmed(error):
            raise
        if is_outage(error):
            first.doubt()
        elif isinstance(error, BulkWriteError):
            refused = {one["index"] for one in error.details["writeErrors"]}
        else:
            refused = range(len(commits))
    for watch in others:
        watch.join(first)
    for number, commit in enumerate(commits):
        if number in refused:
            commit._state = _State.NEW
        elif commit._watch.sure:
            commit._state = _State.PLACED


def _date_after(newest: StoredFile | None, now: datetime) -> datetime:
    # After the last date of Python the _id orders them.
    return now if newest is None else max(now, min(newest.upload_date, _LATEST - _MILLISECOND) + _MILLISECOND)
