"""``GET /?trash``: what is in the trash and the client may delete, what was deleted last first.

A row stands for all versions of a name that were deleted together, with the ``id`` of the newest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask import Request, abort
from werkzeug.wrappers import Response

from ...mimetype import guess
from ...service.options import Options
from ...service.rights import may, permit
from ...service.texts import Message
from ...store import Bucket, Row, TrashKey, ids, is_utf8
from ..arguments import folder, text
from ..pages import render as pages
from ..pages import urls
from ..target import Target

_PAGE_SIZE = 100  # rows
_MAX_LENGTH = 16_000  # characters of a cursor


def get(options: Options, request: Request, target: Target) -> Response:
    """Send a page of the trash; the names began with the folder of the URL, or with ``?prefix``."""
    pages.check_reachable(options)
    bucket, prefix = with_trash(options), folder(target) or text(request.args, "prefix")
    found = bucket.trash(prefix, _after(bucket, request.args), _PAGE_SIZE, shown=partial(may, options, "delete"))
    following = None
    if found.next is not None:
        cursor = ids.to_text(list(found.next), bucket.collections.codec_options, _MAX_LENGTH)
        format = request.args.get("format")
        following = urls.index({"trash": "", "prefix": prefix or None, "format": format, "cursor": cursor})
    return pages.page("trash.html", {"files": [_describe(options, row) for row in found.rows], "next": following})


def with_trash(options: Options) -> Bucket:
    """Return the bucket, which has a trash; abort if it has none, or nobody may delete anything."""
    bucket = options.bucket()
    if not bucket.collections.trash:
        abort(404, "There is no trash: the application has not set MONGO_TRASH.")
    if options.authorize is None:
        permit(options, "delete", None)
    return bucket


def _describe(options: Options, row: Row) -> dict[str, Any]:
    """Return the JSON for a row; it has no URL, as nothing is sent from the trash.

    Of a file that the client may delete, but not read, it tells no more than the question before a deletion.
    """
    describe = pages.describe if may(options, "read", row.file.filename) else pages.identify
    file, trashed = describe(row.file, versions=row.versions), row.file.trashed
    if trashed is not None:
        at, until = (date.astimezone(UTC).isoformat(timespec="milliseconds") for date in trashed[:2])
        file["trashed"] = {"at": at, "until": until, "by": trashed.by}
    return {"content_type": guess(row.file.filename), **file, "id": row.file.key, "url": None, "permanent_url": None}


def _after(bucket: Bucket, args: Mapping[str, str]) -> TrashKey | None:
    if "cursor" not in args:
        return None
    try:
        match ids.from_text(args["cursor"], bucket.collections.codec_options, _MAX_LENGTH):
            case [datetime() as at, str() as name] if is_utf8(name):
                return TrashKey(at, name)
    except ValueError:
        pass
    abort(400, Message("?cursor is not one of this listing: start it again, and take the URL in its next."))
