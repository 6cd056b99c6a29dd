"""Which revision a URL names, and whether its client may do what it asks with it.

``/NAME`` is the newest one, ``/NAME?version=N`` and ``/NAME?id=ID`` are older ones, ``/?id=ID`` is one of any name. A
path in Unicode's decomposed form (macOS) means the composed name where there is no file with its own.
"""

from __future__ import annotations

from typing import NoReturn

from flask import Request, abort, redirect

from ..http.conditions import Fields, Outcome, evaluate, last_modified
from ..http.filenames import compose
from ..http.headers import NO_STORE
from ..store import StoredFile
from .arguments import file_id, number
from .options import Options
from .pages import url_of
from .rights import may, permit


def select(
    options: Options, request: Request, filename: str | None, action: str, *, first_chunk: bool = False
) -> StoredFile:
    """Return the revision that the URL names; *action* on its name is permitted.

    :param filename: the URL's; None at the root, where ``?id`` tells it
    :param first_chunk: as in :meth:`.Bucket.find`
    :raises werkzeug.exceptions.HTTPException: 400 for a broken query, 403, or 404; 308 where a revision that is read by
        its id has another name by now; at the root, where a client may have guessed the id, always 404 for a file of
        which it may know nothing
    """
    names = [] if filename is None else _meant(options, action, filename)
    version, bucket = number(request.args, "version"), options.bucket()
    if "id" in request.args:
        if version is not None:
            abort(400, "Give ?id or ?version, not both.")
        file = bucket.get(file_id(request.args, "id", bucket), first_chunk=first_chunk)
    elif filename is None:
        abort(400, "Give ?id.")
    else:
        wanted = -1 if version is None else version
        found = (bucket.find(name, wanted, first_chunk=first_chunk) for name in names)
        file = next(filter(None, found), None)
    reading = request.method in ("GET", "HEAD")
    if file and names and reading and file.filename not in names and may(options, action, file.filename):
        _redirect(request, file)
    known = file and (file.filename in names or (filename is None and may_know(options, action, file.filename)))
    if file is None or not known:
        abort(404, "There is no such file or version.")
    permit(options, action, file.filename)
    return file


def _redirect(request: Request, file: StoredFile) -> NoReturn:
    """Answer that a revision has another name by now; a permanent link outlives a change of the name."""
    answer = redirect(url_of(file, {**request.args.to_dict(flat=False), "id": file.key}) or "", 308)
    answer.headers["Cache-Control"] = NO_STORE  # the name may change again
    abort(answer)


def may_know(options: Options, action: str, filename: str) -> bool:
    """Whether the client may learn that there is a file with this name, where it asks for it by an id."""
    return may(options, "read", filename) or may(options, action, filename)


def check_preconditions(method: str, headers: Fields, current: StoredFile | None) -> None:
    """Abort with 412 where a request's preconditions do not hold for *current* (RFC 9110 section 13)."""
    etag = current.etag if current else None
    modified = last_modified(current.upload_date) if current else None
    if evaluate(method, headers, etag, modified) is Outcome.FAILED:
        abort(412, "The file is not (or no longer) what the request's preconditions say; nothing was changed.")


def _meant(options: Options, action: str, filename: str) -> list[str]:
    """The names that a path may mean: the one that it spells, then its composed form; *action* on them is permitted."""
    composed = compose(filename)
    if composed == filename or not may(options, action, composed):
        permit(options, action, filename)
        return [filename]
    return [filename, composed] if may(options, action, filename) else [composed]


def names_one(request: Request) -> bool:
    """Whether the URL names one revision, by its id or its number."""
    return "id" in request.args or "version" in request.args
