"""How an upload that could go on ends: it becomes a file, or nothing of it stays.

::

    with bucket.uploads.hold(upload) as holder:
        file, first = finish(holder)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ... import mimetype
from ..charset import Utf8
from ..errors import LeaseLost
from ..model import StoredFile
from ..reader import Reader
from ..writing.commit import CHUNK_SIZE, Content, commit, preview
from .append import Holder


def finish(
    holder: Holder,
    content_type: str | None = None,
    fields: Mapping[str, Any] | None = None,
    check: Callable[[StoredFile | None], None] | None = None,
    inspect: Callable[[StoredFile], None] | None = None,
) -> tuple[StoredFile, bool]:
    """Make the upload the newest version of its name: see :func:`.commit.commit`.

    It can be repeated: who did it before may have died before it could tell.

    :param inspect: called with the file before anybody can see it; what it raises ends this call
    :return: the file, and whether it was this call that ended the upload
    :raises CorruptFile: where bytes that were safe are gone
    :raises LeaseLost: where somebody else ended the upload meanwhile
    """
    tail = holder.save()
    with holder.turn.kept(holder.offset, tail):
        if document := holder.chunks.stored():
            file = StoredFile.from_document(document)
        else:
            content = _content(holder, tail)
            if inspect is not None:
                inspect(preview(holder.filename, content, content_type, fields))
            file = commit(holder.versions, holder.filename, content, content_type, fields, check)
    first = holder.turn.end("stored")
    if not first:
        _check_whole(holder)
    return file, first


def terminate(holder: Holder) -> None:
    """End the upload, and remove its bytes.

    :raises LeaseLost: where somebody else goes on with it
    """
    holder.settle()
    if not holder.turn.end("gone"):
        raise LeaseLost
    if not holder.chunks.stored():  # else who stored it died before the document could say so
        holder.chunks.remove()


def _content(holder: Holder, tail: bytes) -> Content:
    """Bring the last chunk to its place, and look at what is stored."""
    if tail:
        holder.chunks.insert([holder.chunks.make(holder.offset // CHUNK_SIZE, tail)])
    holder.chunks.keep(_chunks_of(holder))
    file_id, name, length = holder.turn.id, holder.filename, holder.offset
    file = StoredFile(file_id, name, length, CHUNK_SIZE, datetime.now(UTC), mimetype.UNKNOWN, None)
    stored, utf8 = holder.versions.collections.primary.chunks, Utf8()
    head = b"".join(Reader(stored, file, 0, min(length, mimetype.SNIFF_BYTES)))
    sha256, look = holder.sha256, list[Callable[[bytes], None]]()
    if mimetype.guess(name, head).startswith("text/"):
        look.append(utf8.update)
    if sha256 is None:
        sha256 = hashlib.sha256()
        look.append(sha256.update)
    for piece in Reader(stored, file, 0, length) if look else ():
        for update in look:
            update(piece)
    return Content(file_id, length, sha256.hexdigest(), head, utf8.valid())


def _chunks_of(holder: Holder) -> int:
    """How many chunks the file has."""
    return -(-holder.offset // CHUNK_SIZE)


def _check_whole(holder: Holder) -> None:
    """After a commit that came late: leave no file whose bytes somebody else has removed."""
    current = holder.turn.current()
    gone = current is not None and current["state"] == "gone"
    if gone or holder.chunks.count() != _chunks_of(holder):
        holder.chunks.remove_file()
        raise LeaseLost
