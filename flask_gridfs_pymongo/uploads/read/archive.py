"""ZIP archives of a folder or of selected files, made while they are sent.

``GET /?folder=photos/&zip`` contains every file below the folder, or those that a search finds there (``&q=report``),
``POST /?zip`` the versions that its ``id`` fields name, and what is below its ``folder`` fields. Nothing is compressed,
so that the length is known in advance, and no time is spent on pictures, which would not shrink.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask import Request, Response, abort, current_app

from ...http.filenames import common_folder, unpackable
from ...http.headers import NO_STORE, content_headers
from ...service.bodies import small_form
from ...service.options import Options
from ...service.reads import Counted, Report, reporter
from ...service.rights import permit, visibility_of
from ...service.texts import Message
from ...store import Bucket, StoredFile, damaged
from ..arguments import files_of, folder, outer_folders
from ..target import Target
from .listing import filters
from .zip_stream import Entry, size, stream

MAX_FILES = 10_000
_TOO_MANY = Message(
    "An archive may have at most %(count)s files; choose a smaller folder, or fewer files.", count=MAX_FILES
)


def of_folder(options: Options, request: Request, target: Target) -> Response:
    """Send the newest version of every file below ``?folder`` (by default of all) that the query asks for."""
    top = folder(target) or ""
    permit(options, "list", top or None)
    return _send(options, request, list(_found(options, filters(request.args, top, options.keys))), top)


def of_selection(options: Options, request: Request, target: Target) -> Response:
    """Send the versions that the form's ``id`` fields name."""
    if target.name is not None:
        abort(404, "Archives are made at the root: POST /?zip.")
    form = small_form(request)
    ids, folders = dict.fromkeys(form.getlist("id")), outer_folders(form.getlist("folder"))
    if not ids and not folders:
        abort(400, "Send a form with an id field for each file of the archive, or a folder field for each folder.")
    if len(ids) > MAX_FILES:
        abort(413, _TOO_MANY)
    bucket = options.bucket()
    visible = visibility_of(options)
    files = {file.key: file for file in files_of(ids, bucket) if visible.named(file.filename)}
    above = [file.filename for file in files.values()] + [top.rstrip("/") for top in folders]
    for top in folders:
        permit(options, "list", top)
        files |= {file.key: file for file in _found(options, {"prefix": top})}
        if len(files) > MAX_FILES:
            abort(413, _TOO_MANY)
    return _send(options, request, list(files.values()), common_folder(above))


def _found(options: Options, wanted: dict[str, Any]) -> Iterator[StoredFile]:
    count = 0
    for page in options.bucket().pages(**wanted, shown=visibility_of(options)):
        count += len(page.rows)
        if count > MAX_FILES:
            abort(413, _TOO_MANY)
        yield from (row.file for row in page.rows)


def _send(options: Options, request: Request, files: list[StoredFile], top: str) -> Response:
    """Send an archive of *files*, with *top* removed from the beginning of their names."""
    files = [file for file in files if file.filename != top or not file.marks_folder]
    if not files:
        abort(404, "There are no files for an archive.")
    bucket = options.bucket()
    report = reporter(bucket)
    broken = damaged(bucket.chunks, files)
    *names, missing = unpackable([*(_path(file, top) for file in files), "MISSING.txt"])
    entries = [
        Entry(name, 0, file.upload_date, lambda: ())
        if file.marks_folder
        else Entry(name, file.length, file.upload_date, partial(_content, bucket, file, report))
        for name, file in zip(names, files, strict=True)
        if file not in broken
    ]
    if broken:
        lost = "\n".join(name for name, file in zip(names, files, strict=True) if file in broken)
        text = f"These files are damaged and missing in this archive:\n\n{lost}\n".encode()
        entries.append(Entry(missing, len(text), datetime.now(UTC), lambda: [text]))
    title = top.rstrip("/").rpartition("/")[2] or options.title
    headers = {
        **content_headers("application/zip", f"{title}.zip", own_frames_only=True),
        "Cache-Control": NO_STORE,
        "Content-Length": str(size(entries)),
        "Accept-Ranges": "none",
    }
    body = () if request.method == "HEAD" else stream(entries)
    return current_app.response_class(body, 200, headers, direct_passthrough=True)


def _path(file: StoredFile, top: str) -> str:
    name = file.filename.removeprefix(top)
    return name if file.marks_folder else name.rstrip("/")


def _content(bucket: Bucket, file: StoredFile, report: Report | None) -> Iterator[bytes]:
    pieces = bucket.read(file)
    with closing(pieces if report is None else Counted(pieces, file, report)) as content:
        yield from content
