"""DELETE, COPY and MOVE (RFC 4918 sections 9.6, 9.8 and 9.9), without WsgiDAV.

The order of calls::

    delete(found)
        check_if, check_parent_unlocked     the request's If field, and locks
        _attempt(tree, _may_delete)         If, locks and rights of each member
        _remove, _forget                    files, then properties and locks of folders
    transfer(source, path)
        _unlocked_target                    the target's folder, If and locks
        _attempt(tree, _may_go)             If, rights and new name of each member
        _clear                              deletes what is replaced, if no member failed
        _move, _forget, or copy_files       files, then properties and locks of folders

Both return the members that failed, each with its error; a folder stays if something in it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from flask import abort
from pymongo.errors import PyMongoError
from wsgidav.dav_error import DAVError
from wsgidav.util import get_uri_parent

from ..service.operations import complete_rename, deletion, give_history, inspect_renamed, rename, rename_many
from ..service.quota import check_renames, check_space
from ..service.rights import may, permit
from ..signals import file_deleted, send, send_deleted
from ..store import Deletion, QuotaExceeded, StoredFile, folders_of, is_outage, parent_of
from .copies import Arrived, batches, copy_files
from .errors import as_dav_error
from .files import File
from .folders import Folder, Member
from .names import storable
from .saves import followed_by, note, renamed_from

Errors = dict[Member, DAVError]


def delete(found: Member) -> Errors:
    """Delete a file, or a folder and all that is in it.

    :raises wsgidav.dav_error.DAVError: 423 if the folder that contains it is locked
    """
    found.check_if()
    found.check_parent_unlocked()
    errors: Errors = {}
    allowed = _attempt(found.tree()[::-1], _may_delete, errors)
    found.check_again()
    _remove(allowed, errors)
    return errors


def transfer(source: Member, path: str, *, is_move: bool, overwrite: bool, deep: bool) -> tuple[bool, Errors]:
    """Copy or move a file, or a folder and all that is in it.

    :param path: of the Destination
    :param overwrite: whether something may be replaced there
    :param deep: whether to include what is in a folder
    :return: whether something was replaced, and the errors
    :raises wsgidav.dav_error.DAVError: 423 if the source, the target or its folder is locked
    """
    path = path.rstrip("/") + "/" if isinstance(source, Folder) else path
    own, new = source.stored_name.removesuffix("/"), storable(path)
    target = _unlocked_target(source, path, is_move=is_move)
    if f"{own}/".startswith(f"{new}/") or f"{new}/".startswith(f"{own}/"):
        abort(403, "The Destination may not be the source, in the source, or a folder that contains the source.")
    if is_move and target is not None and _broke_off(source, target):
        target = None  # this request has put it there
    if target is not None and not overwrite:
        abort(412, "The Destination exists, and Overwrite is F; nothing was changed.")
    members = source.tree() if deep else [source]
    targets = {member: new + member.stored_name[len(own) :] for member in members}
    errors: Errors = {}
    allowed = _attempt(members, lambda member: _may_go(member, targets[member], is_move=is_move), errors)
    arriving = [(member, targets[member]) for member in allowed if isinstance(member, File)]
    if is_move:
        check_renames(source.options, [(file.stored_name, name) for file, name in arriving])
    else:
        check_space(source.options, [(name, file.stored.length) for file, name in arriving])
    if target is not None:
        if errors:
            raise next(iter(errors.values()))
        adds_versions = isinstance(source, File) or not is_move
        _clear(target, set(targets.values()) if adds_versions else set())
    files = [file for file, _ in arriving]
    filled = {folder for file in files for folder in folders_of(targets[file])}
    empty = {targets[member] for member in allowed if isinstance(member, Folder)} - filled
    if not is_move:
        source.dav.remember(*empty, owner=source.owner)
        copied = _attempt(allowed, copy_files(files, targets, overwrite=overwrite, made=note(source.dav)), errors)
        source.dav.copy_properties({member.stored_name: targets[member] for member in copied})
    elif isinstance(source, File):
        _move(allowed, targets, errors, overwrite=overwrite)
    else:
        source.dav.remember(*(empty | {f"{new}/"}), owner=source.owner)
        source.dav.begin_move(source.stored_name, f"{new}/")
        _move(allowed, targets, errors, overwrite=overwrite)
        if not errors:
            source.dav.end_move(f"{new}/")
    return target is not None, errors


def _broke_off(source: Member, target: Member) -> bool:
    """Whether a MOVE from *source* to *target* broke off: what it left there is not to be replaced."""
    if isinstance(source, Folder):
        return isinstance(target, Folder) and source.dav.is_move_of(source.stored_name, target.stored_name)
    return target.file is not None and target.file.renamed_from == source.stored_name


def moved_before(source: File, path: str) -> bool:
    """Complete a MOVE that broke off when nothing was left of its *source*; return whether there was one.

    :param source: a file or folder that is not there
    :param path: of the Destination
    """
    target, new = _unlocked_target(source, path, is_move=True), storable(path)
    permit(source.options, "delete", source.stored_name)
    permit(source.options, "write", new)
    if isinstance(target, Folder) and source.dav.is_move_of(f"{source.stored_name}/", f"{new}/"):
        source.dav.end_move(f"{new}/")
        return True
    if not isinstance(target, File) or complete_rename(source.options, source.stored_name, new) is None:
        return False
    _forget([source])
    return True


def _unlocked_target(source: Member, path: str, *, is_move: bool) -> Member | None:
    """Return what is at *path*, or None, after checking the locks and the If field for source and target."""
    target: Member | None = source.provider.get_resource_inst(path, source.environ)
    parent = source.provider.get_resource_inst(get_uri_parent(path), source.environ)
    if not isinstance(parent, Folder):
        abort(409, "The folder of the Destination does not exist.")
    source.check_if()
    if is_move:
        source.check_unlocked("infinity")
        source.check_parent_unlocked()
    if target is None:
        parent.check_unlocked()
    else:
        target.check_if()
        target.check_unlocked("infinity")
    return target


def _may_delete(member: Member) -> None:
    member.check_if()
    member.check_unlocked()
    permit(member.options, "delete", member.stored_name)


def _may_go(member: Member, new: str, *, is_move: bool) -> None:
    member.check_if()
    if is_move:
        permit(member.options, "delete", member.stored_name)
    permit(member.options, "write", new)
    storable(new)
    if is_move and isinstance(member, File):
        inspect_renamed(member.options, member.stored, new)


def _clear(target: Member, kept: set[str]) -> None:
    """Delete what is replaced, except files whose names are in *kept*: these get another version.

    :raises wsgidav.dav_error.DAVError: if something may not be deleted; then nothing was
    """
    errors: Errors = {}
    members = [member for member in target.tree()[::-1] if member.stored_name not in kept]
    allowed = _attempt(members, lambda member: permit(member.options, "delete", member.stored_name), errors)
    if not errors:
        _remove(allowed, errors)
    if errors:
        raise next(iter(errors.values()))


def _remove(members: list[Member], errors: Errors) -> None:
    """Delete *members*, folders after their members: files in batches, but one by one if their history may stay."""
    old = {file: renamed_from(file.stored, file.dav) for file in members if isinstance(file, File)}
    renamed = {name for name in old.values() if name is not None}
    taken = members[0].dav.there(renamed) if renamed else set()
    files = [file for file, name in old.items() if name not in taken]
    act = deletion(members[0].options) if members else None
    for batch in batches(files):
        bucket = batch[0].options.bucket()
        stored = [file.stored for file in batch]
        send_deleted(bucket, stored, bucket.delete_all_many(stored, act))
    others = set(members).difference(files)
    removed = _attempt([member for member in members if member in others], partial(_remove_one, act=act), errors)
    _forget([*files, *removed])


def _remove_one(member: Member, *, act: Deletion | None = None, is_moved: bool = False) -> None:
    """Delete a file with all versions, unless they become older versions of another one.

    :param act: by which it goes into the trash
    :param is_moved: its content is under another name: not into the trash
    """
    bucket = member.options.bucket()
    if isinstance(member, Folder):
        if member.marker is not None:
            bucket.delete_all(member.marker, act)
        return
    first = followed_by(bucket, member.stored)
    if first is not None and may(member.options, "write", first.filename):
        give_history(member.options, member.stored, first)
    elif deleted := bucket.delete_all(member.stored, act, for_good=is_moved):
        if is_moved:
            send(file_deleted, file=member.stored, versions=deleted)
        else:
            send_deleted(bucket, [member.stored], [deleted])


def _move(members: list[Member], targets: Mapping[Member, str], errors: Errors, *, overwrite: bool) -> None:
    """Rename files in batches if there are several, and what that leaves one by one."""
    files = [member for member in members if isinstance(member, File)]
    outcomes: dict[str, StoredFile | Exception] = {}
    for batch in batches(files) if len(files) > 1 else ():
        renames = [(file.stored, targets[file]) for file in batch]
        outcomes |= rename_many(batch[0].options, renames, partial(note, batch[0].dav))

    def finish(member: Member) -> None:
        outcome = outcomes.get(member.stored_name)
        if isinstance(member, Folder) and member.marker is not None:
            _move_marker(member, member.marker, targets[member])
        elif isinstance(member, File) and (outcome is None or isinstance(outcome, OSError)):
            _move_one(member, targets, overwrite=overwrite)
        elif isinstance(outcome, Exception):
            raise outcome

    gone = _attempt([*files, *(member for member in members if isinstance(member, Folder))], finish, errors)
    if folders := [member for member in gone if isinstance(member, Folder)]:
        folders[0].dav.copy_properties({folder.stored_name: targets[folder] for folder in folders})
    _forget(gone)


def _move_one(file: File, targets: Mapping[Member, str], *, overwrite: bool) -> None:
    made = note(file.dav, file.stored_name)
    try:
        rename(file.options, file.stored, targets[file], lambda newest: file.check_again(), made)
    except FileExistsError:  # the file there gets another version, as by a PUT
        with suppress(Arrived):
            copy_files([file], targets, overwrite=overwrite, made=made)(file)
        file.dav.copy_properties({file.stored_name: targets[file]})
        _remove_one(file, is_moved=True)
    except FileNotFoundError:
        abort(404, "It was deleted meanwhile.")


def _move_marker(folder: Folder, marker: StoredFile, new: str) -> None:
    bucket = folder.options.bucket()
    try:
        bucket.rename(marker.filename, new)
    except FileExistsError:
        bucket.delete_all(marker, for_good=True)
    except FileNotFoundError:  # somebody else deleted it
        pass


def _forget(gone: list[Member]) -> None:
    """Delete properties and locks of folders that are *gone*; those that contained it stay, even if empty now."""
    if gone:
        names, dav = {member.stored_name for member in gone}, gone[0].dav
        with suppress(QuotaExceeded):
            dav.remember(*({parent_of(name) for name in names} - names), owner=gone[0].owner)
        if folders := [member for member in gone if isinstance(member, Folder)]:
            dav.forget([folder.stored_name for folder in folders])
            gone[0].provider.locks.release({folder.get_ref_url() for folder in folders})


def _attempt(members: Iterable[Any], change: Callable[[Any], None], errors: Errors) -> list[Any]:
    """Call *change* for one after the other; return those that succeeded.

    Members of a folder that failed are left out, and so are folders that contain what failed.
    """
    changed = []
    failed = {member.stored_name for member in errors}
    holding = {folder for name in failed for folder in folders_of(name)}
    for member in members:
        name = member.stored_name
        if name in holding or not failed.isdisjoint(folders_of(name)):
            continue
        try:
            change(member)
        except Exception as error:
            if isinstance(error, PyMongoError) and is_outage(error):
                raise  # it would be the same for all others
            errors[member] = as_dav_error(error)
            failed.add(name)
            holding.update(folders_of(name))
        else:
            changed.append(member)
    return changed
