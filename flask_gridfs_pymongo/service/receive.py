"""Storing the body of a request: a raw PUT, or the files of a form.

::

    file, followed = save_body(request, options, "notes.txt", check=check)
    files = save_form(request, options, filename=None, folder="photos/", check=None)
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, TypeVar

from flask import Request, abort
from pymongo.errors import PyMongoError
from werkzeug.exceptions import Conflict

from ..http.digests import expected
from ..http.metadata import Value
from ..http.response import is_conditional
from ..store import Bucket, CorruptFile, FileTooLarge, NewFile, Ready, Saved, StoredFile
from .bodies import READ_SIZE, Body
from .inspection import inspect
from .multipart import FormFiles
from .options import Rules
from .quota import limit_of, too_large
from .rights import permit
from .texts import Message

_NO_FILE = Message("The form has no file: send multipart/form-data with at least one part that has a filename.")
_logger = logging.getLogger("flask_gridfs_pymongo")
T = TypeVar("T")
R = TypeVar("R")
_Check = Callable[[StoredFile | None], None]


class PartlyStored(Exception):
    """Some files of a form are stored and the others are not, and the database failed to delete them again."""

    def __init__(self, files: list[StoredFile]) -> None:
        self.files = files


def save_body(
    request: Request, options: Rules, filename: str, *, check: _Check, note: Mapping[str, Any] | None = None
) -> Saved:
    """Save the raw body under *filename*, which is clean.

    :param check: as in :meth:`.Writer.commit`; if the request has preconditions, also called before the body is read
    :param note: further fields of the document
    """
    if request.mimetype == "multipart/form-data":
        abort(415, "PUT takes the bare content; send a form with POST.")
    length, max_size, bucket = request.content_length, options.max_size, options.bucket()
    if length is not None and max_size is not None and length > max_size:
        raise too_large(max_size)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        abort(415, "Content-Encoding is not supported: send the body without it.")
    digests = or_400(expected, request.headers)
    fields = fields_of(or_400(options.keys.of_fields, request.headers), request.content_type)
    _check_early(request, bucket, filename, check)
    limit = limit_of(options, filename, length)
    limit.check(length)
    with Body(request, options.upload_timeout) as body, bucket.writer(filename, limit.size) as writer:
        others = {name: hashlib.new(name) for name in {digest.algorithm for digest in digests} - {"sha256"}}
        hashes = {**others, "sha256": writer.sha256}
        try:
            while block := body.read(READ_SIZE):
                writer.write(block)
                for computed in others.values():
                    computed.update(block)
        except FileTooLarge:
            raise limit.refusal() from None
        if length is not None and writer.length != length:
            sizes = {"received": writer.length, "length": length}
            abort(400, Message("The body ended after %(received)s of %(length)s bytes; nothing was stored.", **sizes))
        for digest in digests:
            if hashes[digest.algorithm].digest() != digest.digest:
                abort(400, Message("The body does not match its %(field)s; nothing was stored.", field=digest.field))
        fields = {**with_expiry(options, fields), **(note or {})}
        if options.inspects:
            inspect(options, bucket, writer.preview(fields=fields))
        permit(options, "write", filename, again=True)
        with options.committing([writer.id]):
            return writer.commit(fields=fields, check=check)


def _check_early(request: Request, bucket: Bucket, filename: str, check: _Check) -> None:
    """Check preconditions before the body is read, too; without any, the check at the commit is enough."""
    if is_conditional(request.headers):
        check(bucket.newest(filename))


def save_copy(options: Rules, file: StoredFile, filename: str, check: _Check) -> StoredFile:
    """Save a copy of *file*, with its type, fields and metadata, as the newest version of *filename*, which is clean.

    :param check: as in :meth:`.Writer.commit`
    """
    (copied,) = save_copies(options, [(file, filename, check)])
    if isinstance(copied, Exception):
        raise copied
    return copied


def save_copies(
    options: Rules,
    copies: Sequence[tuple[StoredFile, str, _Check]],
    note: Mapping[str, Any] | None = None,
    before_checks: Callable[[], None] = lambda: None,
) -> Sequence[StoredFile | Exception]:
    """Save several copies as :func:`save_copy` does, in batches; return for each the copy, or the error.

    :param copies: the file, the new name and the check of each
    :param note: further fields of the documents
    :param before_checks: called before the checks of each batch
    """
    bucket = options.bucket()

    def new_file(file: StoredFile, filename: str, check: _Check) -> NewFile:
        def may_follow(newest: StoredFile | None) -> None:
            permit(options, "write", filename, again=True)
            check(newest)

        def look(copied: StoredFile) -> None:
            inspect(options, bucket, copied)
            before_checks()

        fields = with_expiry(options, {**file.fields, **(note or {}), "metadata": file.metadata})
        return NewFile(filename, bucket.content(file), file.media_type, fields, may_follow, look)

    fetched = bucket.prefetched(file for file, _, _ in copies) if len(copies) > 1 else (file for file, _, _ in copies)
    outcomes = bucket.save_many(
        new_file(file, filename, check) for file, (_, filename, check) in zip(fetched, copies, strict=True)
    )
    return [
        Conflict("This version was deleted meanwhile; nothing was stored.")
        if isinstance(outcome, CorruptFile) and bucket.get(file.id) is None
        else outcome
        for outcome, (file, _, _) in zip(outcomes, copies, strict=True)
    ]


def save_form(
    request: Request, options: Rules, *, filename: str | None, folder: str, check: _Check | None
) -> list[StoredFile]:
    """Save every file of a form, all of them or none; if neither succeeds, :class:`PartlyStored` says which are stored.

    Parts are stored while they arrive: of a finished one, only its first bytes stay in memory. If the form was parsed
    already (by Flask-WTF, for example), the files come from there.

    :param filename: the name for the only file; None: each part's own, cleaned
    :param folder: a prefix of each part's own name
    :param check: for a *filename*, as in :func:`save_body`
    """
    bucket = options.bucket()
    if filename is not None and check is not None:
        permit(options, "write", filename)
        _check_early(request, bucket, filename, check)
    with ExitStack() as uploads:
        form = FormFiles(options, uploads, filename, folder)
        try:
            texts = form.receive(request)
        except FileTooLarge:
            raise form.parts[-1].limit.refusal() from None
        parts = form.parts
        if not parts:
            abort(400, _NO_FILE)
        metadata = or_400(options.keys.of_form, texts.items(multi=True))
        fields = [with_expiry(options, fields_of(metadata, part.claim)) for part in parts]
        if options.inspects:
            for part, own in zip(parts, fields, strict=True):
                inspect(options, bucket, part.writer.preview(fields=own))
        for part in parts:
            permit(options, "write", part.writer.filename, again=True)
        own_fields = zip(parts, fields, strict=True)
        with options.committing([part.writer.id for part in parts]):
            return _commit(bucket, [Ready(part.writer, fields=own, check=check) for part, own in own_fields])


def _commit(bucket: Bucket, uploads: Sequence[Ready]) -> list[StoredFile]:
    """Commit all *uploads*; if one fails, delete the others again."""
    outcomes = bucket.commit_many(uploads)
    saved = [outcome.file for outcome in outcomes if isinstance(outcome, Saved)]
    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if not errors:
        return saved
    try:
        bucket.delete_versions(saved, for_good=True)
    except PyMongoError as error:
        names = ", ".join(ascii(file.filename) for file in saved)
        _logger.error("%s: stored, and not deleted again, though another file of the form failed: %s", names, error)
        raise PartlyStored(saved) from errors[0]
    raise errors[0]


def fields_of(metadata: Mapping[str, Value], claim: str | None) -> dict[str, Any]:
    """Return the additional fields of an uploaded file's document.

    :param metadata: the metadata that the request sets
    :param claim: the content type that the client stated
    """
    claimed = {"clientContentType": claim[:255]} if claim else {}
    return {"metadata": {**metadata, **claimed}}


def with_expiry(options: Rules, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Add the date at which a file expires to the fields of its document, if ``expire_after`` is set.

    The date of a copy is that of its source, else everybody could prolong it by restoring it.
    """
    if options.expire_after is None or "expiresAt" in fields.get("metadata", {}):
        return dict(fields)
    date = options.bucket().collections.clock.now() + timedelta(seconds=options.expire_after)
    return {**fields, "metadata": {**fields.get("metadata", {}), "expiresAt": date}}


def or_400(read: Callable[[T], R], source: T) -> R:
    """Return ``read(source)``; a ValueError is a 400."""
    try:
        return read(source)
    except ValueError as error:
        abort(400, Message("%(error)s; nothing was stored.", error=error))
