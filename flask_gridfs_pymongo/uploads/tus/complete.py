"""Completion of a tus upload whose bytes have all arrived: it is committed like any other upload.

::

    with lease(options, upload) as writer:
        fields = finish(options, upload, writer)
"""

from __future__ import annotations

from contextlib import ExitStack

from werkzeug.exceptions import HTTPException

from ...http import tus
from ...http.digests import repr_digest
from ...service.inspection import inspect
from ...service.operations import after_save, check_preconditions
from ...service.options import Options
from ...service.receive import with_expiry
from ...service.rights import permit
from ...store import CorruptFile, IndexConflict, StoredFile, Upload, UploadWriter, completion
from ..pages import render as pages
from . import errors


def finish(options: Options, upload: Upload, writer: UploadWriter) -> dict[str, str]:
    """Commit the upload; return the header fields that describe the file.

    A refusal terminates the upload; after a transient failure, the next request tries again.
    """

    def check(newest: StoredFile | None) -> None:
        permit(options, "write", upload.filename, again=True)
        check_preconditions("PUT", upload.details["conditions"], newest)

    def look(unseen: StoredFile) -> None:
        inspect(options, options.bucket(), unseen)
        committing.enter_context(options.committing([upload.id]))

    try:
        with ExitStack() as committing:
            fields = with_expiry(options, upload.details["fields"])
            file, first = completion.finish(writer, fields=fields, check=check, inspect=look)
    except CorruptFile:
        completion.terminate(writer)
        raise errors.gone() from None
    except IndexConflict:
        completion.terminate(writer)
        raise
    except HTTPException as refusal:
        if refusal.code is None or refusal.code < 500:
            completion.terminate(writer)
        raise
    if first:
        after_save(options, file)
    return _file_fields(None if file.expired else file)


def state_of_stored(options: Options, upload: Upload) -> dict[str, str]:
    """Return the fields that describe a completed upload; abort with 410 if its file was deleted.

    Otherwise a client that uploads the same file again would believe that it is stored.
    """
    return tus.state(upload.offset, upload.length, None) | _file_fields(options.bucket().get(upload.id))


def _file_fields(file: StoredFile | None) -> dict[str, str]:
    if file is None:
        raise errors.gone()
    fields = {"ETag": f'"{file.etag}"', "Content-Location": pages.permanent_url(file) or ""}
    return fields | ({"Repr-Digest": repr_digest(file.sha256)} if file.sha256 else {})
