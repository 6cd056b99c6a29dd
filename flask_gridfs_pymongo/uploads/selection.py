"""Which revision a URL names, and whether its client may do what it asks with it.

``/NAME`` is the newest one, ``/NAME?version=N`` and ``/NAME?id=ID`` are older ones, ``/?id=ID`` is one of any name. A
path in Unicode's decomposed form (macOS) means the composed name where there is no file with its own.
"""

from __future__ import annotations

from typing import NoReturn

from flask import Request, abort, redirect

from ..http.filenames import compose
from ..http.headers import NO_STORE
from ..service.operations import check_preconditions
from ..service.options import Options
from ..service.rights import may, permit
from ..store import StoredFile
from .arguments import file_id, number
from .pages.render import url_of
from .target import Target


def select(options: Options, request: Request, target: Target, action: str, *, first_chunk: bool = False) -> StoredFile:
    """Return the revision that the URL names; *action* on its name is permitted.

    :param first_chunk: as in :meth:`.Bucket.find`
    :raises werkzeug.exceptions.HTTPException: 400 for a broken query, 403, or 404; 308 where a revision that is read by
        its id has another name by now; at the root, where a client may have guessed the id, always 404 for a file of
        which it may know nothing
    """
    names = [] if target.name is None else _meant(options, action, target.name)
    version, bucket = number(target.version, "version"), options.bucket()
    if target.id is not None:
        if version is not None:
            abort(400, "Give ?id or ?version, not both.")
        file = bucket.get(file_id(target.id, "id", bucket), first_chunk=first_chunk)
    elif target.name is None:
        abort(400, "Give ?id.")
    else:
        wanted = -1 if version is None else version
        found = (bucket.find(name, wanted, first_chunk=first_chunk) for name in names)
        file = next(filter(None, found), None)
    reading = request.method in ("GET", "HEAD")
    if file and names and reading and file.filename not in names and may(options, action, file.filename):
        _redirect(request, file)
    known = file and (file.filename in names or (target.name is None and may_know(options, action, file.filename)))
    if file is None or not known:
        abort(404, "There is no such file or version.")
    permit(options, action, file.filename)
    if not reading:  # else the answer depends on them, and not whether there is one
        check_preconditions(request.method, request.headers, file)
    return file


def _redirect(request: Request, file: StoredFile) -> NoReturn:
    """Answer that a revision has another name by now; a permanent link outlives a change of the name."""
    answer = redirect(url_of(file, {**request.args.to_dict(flat=False), "id": file.key}) or "", 308)
    answer.headers["Cache-Control"] = NO_STORE  # the name may change again
    abort(answer)


def may_know(options: Options, action: str, filename: str) -> bool:
    """Whether the client may learn that there is a file with this name, where it asks for it by an id."""
    return may(options, "read", filename) or may(options, action, filename)


def _meant(options: Options, action: str, filename: str) -> list[str]:
    """The names that a path may mean: the one that it spells, then its composed form; *action* on them is permitted."""
    composed = compose(filename)
    if composed == filename or not may(options, action, composed):
        permit(options, action, filename)
        return [filename]
    return [filename, composed] if may(options, action, filename) else [composed]
