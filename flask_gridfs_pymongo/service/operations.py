"""Operations on a file that the blueprint and the network drive share, besides sending and receiving."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import abort, current_app, request
from pymongo.errors import ExecutionTimeout, PyMongoError

from ..http.conditions import Fields, Outcome, evaluate
from ..signals import file_changed, file_deleted, file_saved, send
from ..store import Bucket, Deletion, StoredFile, Visibility, trim
from .clients import user_of
from .inspection import inspect
from .options import Rules
from .quota import count
from .rights import permit
from .texts import Message


def check_preconditions(method: str, headers: Fields, current: StoredFile | None, *, is_folder: bool = False) -> None:
    """Abort with 412 unless a request's preconditions hold for *current* (RFC 9110 section 13).

    :param is_folder: it is a folder, which has neither an entity tag nor a date
    """
    etag = current.etag if current else "" if is_folder else None
    modified = current.upload_date if current else None
    if evaluate(method, headers, etag, modified) is Outcome.FAILED:
        abort(412, "The file is not (or no longer) what the request's preconditions require; nothing was changed.")


def after_save(
    options: Rules, file: StoredFile, placeholder: StoredFile | None = None, *, is_placeholder: bool = False
) -> None:
    """Send the signal for a new version, and delete old ones beyond ``keep_versions``.

    :param placeholder: the version before it, if that is to be deleted, too
    :param is_placeholder: *file* may be one: delete no other version for it
    """
    bucket = options.bucket()
    count(options, file.filename, file.length)
    send(file_saved, file=file)
    if placeholder is not None:
        _tidy(file.filename, lambda: [placeholder] if bucket.delete_versions([placeholder], for_good=True) else [])
    if not is_placeholder:
        _trim(options, file.filename)


def deletion(options: Rules) -> Deletion | None:
    """Return the act of deleting that the current request is; None if there is no trash."""
    bucket = options.bucket()
    return bucket.deletion(user_of(options, request)) if bucket.collections.trash else None


def give_history(options: Rules, file: StoredFile, first: StoredFile) -> None:
    """Delete a file whose versions become versions of another one, before *first*: see :meth:`.Bucket.prepend`."""
    options.bucket().prepend(file, first)
    send(file_deleted, file=file, versions=0)
    _trim(options, first.filename)


def _trim(options: Rules, filename: str) -> None:
    keep = options.keep_versions
    if keep is not None:
        _tidy(filename, lambda: trim(options.bucket(), filename, keep))


def _tidy(filename: str, delete: Callable[[], list[StoredFile]]) -> None:
    try:
        deleted = delete()
    except PyMongoError as error:  # the change itself has succeeded
        current_app.logger.warning("old versions of %a were not deleted: %s", filename, error)
        return
    for old in deleted:
        send(file_deleted, file=old, versions=1)


def rename(
    options: Rules,
    file: StoredFile,
    new: str,
    check: Callable[[StoredFile], None],
    note: Mapping[str, Any] | None = None,
) -> StoredFile:
    """Rename a file and send the signal.

    :param file: its newest version, after :func:`inspect_renamed`
    :param check: called with the newest version, just before it is renamed; what it raises ends this
    :param note: as in :meth:`.Bucket.rename`
    :raises FileExistsError: if *new* is taken
    :raises FileNotFoundError: if the file was deleted meanwhile
    """
    bucket = options.bucket()

    def check_newest(newest: StoredFile) -> None:
        _check_renamed(options, newest, new)
        check(newest)

    bucket.rename(file.filename, new, check_newest, note)
    moved = bucket.newest(new)
    if moved is None:
        raise FileNotFoundError(f"{new!r} was deleted meanwhile")
    send(file_changed, file=moved)
    return moved


def complete_rename(options: Rules, filename: str, new: str) -> StoredFile | None:
    """Complete a rename for a client that repeats it, as it broke off, and send the signal; None: there was none."""
    bucket = options.bucket()
    try:
        bucket.rename(filename, new, _refuse)
    except (FileExistsError, FileNotFoundError):
        return None
    moved = bucket.newest(new)
    if moved is not None:
        send(file_changed, file=moved)
    return moved


def _refuse(newest: StoredFile) -> None:
    raise FileNotFoundError(newest.filename)


def inspect_renamed(options: Rules, newest: StoredFile, new: str) -> None:
    """Let the application inspect *newest* and all older versions under their *new* name: see :func:`.inspect`.

    Each is inspected once in a request, also if the rename asks again, for those that have come meanwhile.
    """
    bucket, before = options.bucket(), None
    inspected: set[tuple[str, str]] = request.environ.setdefault("flask_gridfs_pymongo.inspected", set())
    while options.inspect is not None and (versions := bucket.versions(newest.filename, before)):
        for number, version in versions:
            if (key := (repr(version.id), new)) not in inspected:
                document = {**version.document, "filename": new}
                inspect(options, bucket, replace(version, filename=new, document=document))
                inspected.add(key)
            before = number


def _check_renamed(options: Rules, newest: StoredFile, new: str) -> None:
    inspect_renamed(options, newest, new)
    permit(options, "delete", newest.filename, again=True)  # an inspection may take a minute
    permit(options, "write", new, again=True)


def rename_many(
    options: Rules, renames: Sequence[tuple[StoredFile, str]], note: Callable[[str], Mapping[str, Any]] | None = None
) -> Mapping[str, StoredFile | Exception]:
    """Rename several files as :meth:`.Bucket.rename_many` does, and send a signal for each.

    :param renames: the newest version of each name, after :func:`inspect_renamed`, with the new name
    :param note: as in :meth:`.Bucket.rename_many`
    """
    names = {file.filename: new for file, new in renames}

    def check(newest: StoredFile) -> None:
        _check_renamed(options, newest, names[newest.filename])

    outcomes = options.bucket().rename_many(names, check, note)
    for outcome in outcomes.values():
        if isinstance(outcome, StoredFile):
            send(file_changed, file=outcome)
    return outcomes


def name_taken(name: str) -> Message:
    """Return the error for a name that is taken."""
    return Message("There is already a file with the name %(name)s; nothing was changed.", name=repr(name))


def is_folder(bucket: Bucket, folder: str, shown: Visibility) -> bool:
    """Whether *folder* may be listed and holds a file that may be read."""
    if not shown.folder(folder):
        return False
    try:
        return bool(bucket.list(limit=1, prefix=folder, shown=shown).rows)
    except ExecutionTimeout:  # too many files that may not be shown
        return False
