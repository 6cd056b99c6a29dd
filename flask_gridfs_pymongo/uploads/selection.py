"""Finding the version that a URL names, if its client may use it.

``/NAME`` is the newest version, ``/NAME?version=N`` and ``/NAME?id=ID`` are any version of the name, and ``/?id=ID`` is
a version of any name. A path in Unicode's decomposed form (macOS) means the composed name unless a file has its own.
"""

from __future__ import annotations

from typing import NoReturn

from flask import Request, abort, redirect

from ..http.conditions import names_tag
from ..http.filenames import compose
from ..http.headers import NO_STORE
from ..http.response import is_conditional
from ..service.operations import check_preconditions
from ..service.options import Options
from ..service.rights import may, permit
from ..store import StoredFile
from .arguments import file_id, number
from .pages.render import url_of
from .target import Target


def select(
    options: Options,
    request: Request,
    target: Target,
    action: str,
    *,
    first_chunk: bool = False,
    changes: bool = True,
) -> StoredFile:
    """Return the version that the URL names; *action* on its name is permitted.

    :param first_chunk: as in :meth:`.Bucket.find`
    :param changes: whether a request that is no GET or HEAD changes something
    :raises werkzeug.exceptions.HTTPException: 400 for an invalid query, 403, or 404; 308 if a version that is read by
        its id was renamed; at the root always 404 for a file that the client may not know, as it may have guessed the
        id; 428 if a change names a version by its number alone
    """
    reading = request.method in ("GET", "HEAD")
    names = [] if target.name is None else meant(options, action, target.name)
    version, bucket = number(target.version, "version"), options.bucket()
    if target.id is not None:
        if version is not None:
            abort(400, "Give ?id or ?version, not both.")
        file = bucket.get(file_id(target.id, "id", bucket), first_chunk=first_chunk)
    elif target.name is None:
        abort(400, "Give ?id.")
    else:
        if changes and not reading and version is not None and not names_tag(request.headers):
            # Clients and proxies may repeat a DELETE (RFC 9110 section 9.2.2), and the number then means another one.
            abort(428, "A version's number may change: name it by ?id=, or by its entity tag in If-Match.")
        wanted = -1 if version is None else version
        found = (bucket.find(name, wanted, first_chunk=first_chunk) for name in names)
        file = next(filter(None, found), None)
    if file and names and reading and file.filename not in names and may(options, action, file.filename):
        _redirect(request, file)
    known = file and (file.filename in names or (target.name is None and may_know(options, action, file.filename)))
    if file is None or not known:
        abort(404, "There is no such file or version.")
    permit(options, action, file.filename)
    if not reading:  # if reading, they decide about the response's status
        check_preconditions(request.method, request.headers, file)
    return file


def check_again(options: Options, request: Request, target: Target, file: StoredFile) -> None:
    """Abort with 412 unless the request's preconditions still hold, just before the change of the selected *file*."""
    if is_conditional(request.headers):
        bucket = options.bucket()
        current = bucket.get(file.id) if target.is_version else bucket.newest(file.filename)
        check_preconditions(request.method, request.headers, current)


def _redirect(request: Request, file: StoredFile) -> NoReturn:
    """Redirect to the version's new name: permanent links outlive renaming."""
    answer = redirect(url_of(file, {**request.args.to_dict(flat=False), "id": file.key}) or "", 308)
    answer.headers["Cache-Control"] = NO_STORE  # the name may change again
    abort(answer)


def may_know(options: Options, action: str, filename: str) -> bool:
    """Whether a client that asks by id may learn that a file with this name exists."""
    return may(options, "read", filename) or may(options, action, filename)


def meant(options: Options, action: str, filename: str) -> list[str]:
    """Return the names that a path may mean and the client may use: its own spelling, then the composed one."""
    composed = compose(filename)
    if composed == filename or not may(options, action, composed):
        permit(options, action, filename)
        return [filename]
    return [filename, composed] if may(options, action, filename) else [composed]
