"""Sends a stored file as the response to a request.

::

    return send(request, bucket, file, caching=Caching(60, public=True))
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import closing
from functools import partial
from typing import cast

from flask import Request, Response, current_app

from .. import mimetype
from ..http.conditions import Outcome, evaluate
from ..http.digests import is_wanted, repr_digest
from ..http.headers import Caching, content_headers
from ..http.response import Representation, hand_over, may_hand_over, respond
from ..store import Bucket, StoredFile
from .reads import Counted, reporter


def send(
    request: Request,
    bucket: Bucket,
    file: StoredFile,
    *,
    caching: Caching,
    as_attachment: bool | None = None,
    download_name: str | None = None,
    inline_types: Collection[str] = (),
    own_frames_only: bool = False,
) -> Response:
    """Answer with *file*, or as the request's preconditions and ranges require.

    :param caching: shortened if the file expires earlier
    :param as_attachment: None lets the type decide (:func:`.headers.content_headers`)
    :param download_name: the name under which clients save the file; None: its stored name
    :param inline_types: types to show in addition to those that always are
    :param own_frames_only: whether only pages of the same origin may show it in a frame
    :raises CorruptFile: if its document is invalid, as header fields would be wrong, too
    """
    file.ensure_sound()
    content_type = shown_type(request, bucket, file)
    if content_type != file.media_type and as_attachment is None and content_type not in mimetype.SHOWN_MEDIA:
        as_attachment = True
    name = file.filename if download_name is None else download_name
    guard = content_headers(
        content_type,
        name,
        as_attachment,
        frozenset(inline_types),
        own_frames_only=own_frames_only,
        charset=None if file.sha256 else "utf-8",  # text stored by this package has its charset if it is UTF-8
    )
    fields = {**guard, "Cache-Control": str(bounded(caching, file))}
    if file.sha256 and is_wanted(request.headers):
        fields["Repr-Digest"] = repr_digest(file.sha256)
    representation = Representation(
        etag=file.etag,
        modified=file.upload_date,
        date_is_strong=not file.shares_second,
        length=file.length,
        headers=fields,
        read=partial(bucket.read, file),
    )
    url = None
    if bucket.accel and mimetype.is_passive(content_type) and may_hand_over(request, file.length):
        url = bucket.handed_over(file)
    return _answer(request, bucket, file, representation, url)


def _answer(
    request: Request, bucket: Bucket, file: StoredFile, representation: Representation, url: str | None
) -> Response:
    """Answer with the representation, or let nginx do so by its *url*, and report to the application what is read."""
    response_class: type[Response] = current_app.response_class
    report = reporter(bucket) if request.method == "GET" else None
    if url is not None:
        answer = hand_over(representation, url, response_class)
        if report is not None:
            answer.call_on_close(partial(report, file, None))
        return answer
    answer = respond(request, representation, response_class)
    if report is not None and answer.status_code in (200, 206):
        answer.response = Counted(cast("Iterable[bytes]", answer.response), file, report)
    return answer


def bounded(caching: Caching, file: StoredFile) -> Caching:
    """Return *caching*, which ends at the latest when *file* expires."""
    if caching.max_age is None or file.expires_at is None:
        return caching
    left = file.expires_at - file.now()
    return caching._replace(max_age=max(0, min(caching.max_age, int(left.total_seconds()))))


def shown_type(request: Request, bucket: Bucket, file: StoredFile) -> str:
    """Return the media type of a file.

    If another tool stored it, and neither its document nor its name gives a type, its first bytes do.
    """
    is_untyped = file.content_type == mimetype.UNKNOWN and file.sha256 is None
    return (_sniffed(request, bucket, file) if is_untyped else None) or file.media_type


def _sniffed(request: Request, bucket: Bucket, file: StoredFile) -> str | None:
    """The type by the first bytes; None if the response has no content."""
    key = bucket.collections.name, file.etag
    found: str | None = bucket.types.get(key)
    etag, date = file.etag, file.upload_date
    if found is None and evaluate(request.method, request.headers, etag, date) is Outcome.PERFORM:
        with closing(bucket.read(file, 0, min(file.length, mimetype.SNIFF_BYTES), keep=False)) as pieces:
            found = mimetype.guess(None, b"".join(pieces))
        bucket.types.put(key, found, len(found))
    return found
