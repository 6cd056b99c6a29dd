"""The end of a resumable upload: it becomes a file, or is removed.

::

    with bucket.uploads.open_for_append(upload) as writer:
        file, first = finish(writer)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ... import mimetype
from ..errors import LeaseLost
from ..model import StoredFile
from ..reader import Reader
from ..retry import retry
from ..writing.commit import Check, Commit
from ..writing.content import Content
from ..writing.pipeline import CHUNK_SIZE, Digest
from .append import UploadWriter


def finish(
    writer: UploadWriter,
    content_type: str | None = None,
    fields: Mapping[str, Any] | None = None,
    check: Check | None = None,
    inspect: Callable[[StoredFile], None] | None = None,
) -> tuple[StoredFile, bool]:
    """Make the upload the newest version of its name: see :class:`.Commit`.

    It may be repeated: an earlier call may have committed, and died before it could reply.

    :param inspect: called with the file before it becomes visible; what it raises ends this call
    :return: the file, and whether this call ended the upload
    :raises CorruptFile: if stored bytes are missing
    :raises LeaseLost: if another request ended the upload meanwhile
    """
    tail = writer.save()
    with writer.lease.renewing(writer.offset, tail):
        document = writer.stored() if writer.may_be_stored else None
        if document is not None:
            file = writer.versions.stored(document)
        else:
            content = _content(writer, tail)
            commit = Commit(writer.versions, writer.claims, writer.filename, content, content_type, fields, check)
            if inspect is not None:
                inspect(commit.preview())
            file = commit.run().file
    first = writer.lease.end("stored")
    if not first:
        _check_whole(writer)
    return file, first


def terminate(writer: UploadWriter) -> None:
    """End the upload, and remove its bytes.

    :raises LeaseLost: if another request appends to it
    """
    writer.settle()
    if not writer.lease.end("gone"):
        raise LeaseLost
    if not writer.stored():  # else the process that stored it died before it could update the document
        _remove_chunks(writer)


def _content(writer: UploadWriter, tail: bytes) -> Content:
    """Store the last chunk, and read the content unless this process received all of it."""
    writer.complete(tail)
    file_id, length, digest = writer.lease.id, writer.offset, writer.digest
    if digest is None:
        now, digest = datetime.now(UTC), Digest()
        file = StoredFile(file_id, writer.filename, length, CHUNK_SIZE, now, mimetype.UNKNOWN, None)
        for piece in Reader(writer.versions.collections.primary.chunks, file, 0, length):
            digest.update(piece)
    return Content(file_id, length, digest)


def _remove_chunks(writer: UploadWriter) -> None:
    chunks = writer.versions.collections.primary.chunks
    retry(chunks, lambda: chunks.delete_many({"files_id": writer.lease.id}))


def _check_whole(writer: UploadWriter) -> None:
    """After a late commit: remove the file if another request has removed its bytes."""
    current = writer.lease.current()
    gone = current is not None and current["state"] == "gone"
    files, chunks = writer.versions.collections.primary
    own = {"files_id": writer.lease.id}
    if gone or retry(chunks, lambda: chunks.count_documents(own)) != -(-writer.offset // CHUNK_SIZE):
        files.delete_one({"_id": writer.lease.id})
        _remove_chunks(writer)
        raise LeaseLost
