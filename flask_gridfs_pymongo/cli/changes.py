"""``flask gridfs rm``, ``mv`` and ``cp``: deleting, renaming and copying stored files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext

import click
from blinker import Signal

from ..signals import file_changed, file_saved, send, send_deleted
from ..store import Bucket, StoredFile
from .batches import batches
from .group import Failure, bucket_options, gridfs, plain
from .paths import StoredMatch, ensure_named, folder, is_folder, name_given, name_into, new_name, spelled, stored_files
from .report import Report
from .transfers import Transfers, transferring

_MAX_NAMED = 5  # files that a question lists by name


@gridfs.command("rm")
@click.argument("names", nargs=-1, required=True, type=name_given, metavar="NAME...")
@click.option("-r", "recursive", is_flag=True, help="Delete folders with their contents.")
@click.option("--all-versions", is_flag=True, help="Delete all versions, not only the newest.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@bucket_options
def rm_command(
    names: tuple[str, ...], recursive: bool, all_versions: bool, yes: bool, bucket: str, prefix: str | None
) -> None:
    """Delete the newest version of files. The version before it becomes the newest.

    \b
    Exit status:
      0  done
      1  a file is missing, a folder was named without -r, or the answer was no
      2  the command line is wrong, or the database does not answer
    """
    with transferring(prefix, bucket) as transfers:
        store, report = transfers.bucket, transfers.report
        names = tuple(spelled(store, name) for name in names)
        wanted = [name for name in dict.fromkeys(names) if recursive or not is_folder(store, name)]
        for name in names:
            if name not in wanted:
                report.failed(name, "not deleted: it is a folder; -r deletes its contents")
        if wanted and not yes:
            if sys.stdin is None:
                raise Failure("the standard input is closed, so nobody can answer; --yes does not ask")
            what = "all versions" if all_versions else "the newest version"
            click.confirm(plain(f"Delete {what} of {_amount(store, wanted)}?"), abort=True, err=True)
        folders = [folder(name) for name in wanted if folder(name) and is_folder(store, name.removesuffix("/"))]
        for batch in batches(_once(stored_files(store, wanted, report))):
            files = [one.file for one in batch]
            with transfers.interrupts.deferred():
                counts = store.delete_all_many(files) if all_versions else _delete(store, files)
            send_deleted(store, files, counts)
            report.advance(len(batch))
        store.dav.drop_folders(folders)


def _once(matches: Iterable[StoredMatch]) -> Iterator[StoredMatch]:
    """Leave out a file that comes again: only one of its versions is to be deleted."""
    seen = set()
    for one in matches:
        if not one.file.named or one.file.filename not in seen:
            yield one
        seen.add(one.file.filename)


def _delete(bucket: Bucket, newest: Sequence[StoredFile]) -> Sequence[int]:
    deleted = bucket.delete_versions(newest)
    return [min(deleted, 1)] * len(newest)


def _amount(bucket: Bucket, names: Sequence[str]) -> str:
    if len(names) > _MAX_NAMED:
        return f"{len(names):,} files and folders"
    folders = {name: bucket.usage(folder(name)).names for name in names if is_folder(bucket, name)}
    return ", ".join(f"{folders[name]:,} files in {name!r}" if name in folders else repr(name) for name in names)


@gridfs.command("mv")
@click.argument("sources", nargs=-1, required=True, type=name_given, metavar="SRC...")
@click.argument("destination", type=new_name, metavar="DST")
@bucket_options
def mv_command(sources: tuple[str, ...], destination: str, bucket: str, prefix: str | None) -> None:
    """Rename files, with all their versions. A name that is taken is refused.

    Files are renamed in batches of some hundred. If the command is killed, each file has its versions under one of the
    two names, or partly under both; the next write to either name, or the same command again, completes it.

    As with rsync, SRC/ is the contents of a folder; SRC is the file with this name, else the folder itself. DST is a
    folder if it ends with a slash, if there is such a folder, or if there is more than one SRC; / is the top folder.

    \b
    Exit status:
      0  done
      1  a file is missing, or its new name is taken
      2  the command line is wrong, or the database does not answer
    """
    with transferring(prefix, bucket) as transfers:
        store = transfers.bucket
        moved = [name for one in sources if folder(name := spelled(store, one)) and is_folder(store, name)]
        pairs = _with_new_names(transfers, sources, destination, is_move=True)
        for batch in batches(pairs, key=lambda pair: pair[0].file.filename):
            with transfers.interrupts.deferred():
                renamed = store.rename_many({one.file.filename: new for one, new in batch})
            _finish(transfers.report, batch, list(renamed.values()), file_changed)
        store.dav.move_folders(dict(_paths(name, destination) for name in moved))


@gridfs.command("cp")
@click.argument("sources", nargs=-1, required=True, type=name_given, metavar="SRC...")
@click.argument("destination", type=new_name, metavar="DST")
@bucket_options
def cp_command(sources: tuple[str, ...], destination: str, bucket: str, prefix: str | None) -> None:
    """Copy the newest versions of files, with their types and metadata.

    Nothing is replaced: under a name that is taken the copy becomes the newest version. SRC and DST are as for mv.

    \b
    Exit status:
      0  done
      1  a file is missing or damaged
      2  the command line is wrong, or the database does not answer
    """
    with transferring(prefix, bucket) as transfers:
        pairs = _with_new_names(transfers, sources, destination)
        for batch in batches(pairs, weight=lambda pair: pair[0].file.length):
            with transfers.interrupts.deferred() if len(batch) > 1 else nullcontext():  # one alone may be large
                copied = transfers.bucket.copy_many((one.file, new) for one, new in batch)
            _finish(transfers.report, batch, copied, file_saved)


def _with_new_names(
    transfers: Transfers, sources: tuple[str, ...], destination: str, *, is_move: bool = False
) -> Iterator[tuple[StoredMatch, str]]:
    """Iterate over the files that *sources* mean, each with its new name; what cannot be is reported."""
    store, report = transfers.bucket, transfers.report
    into_folder = len(sources) > 1 or is_folder(store, destination)
    for name in (spelled(store, name) for name in sources):
        if is_folder(store, name) and folder(destination).startswith(folder(name)):
            report.failed(name, f"a folder cannot be moved or copied into itself ({destination!r})")
            continue
        matches: Iterable[StoredMatch] = stored_files(store, [name], report)
        if is_move and _takes_own_names(store, name, destination):
            matches = sorted(matches, key=lambda one: len(one.rest))
        for one in matches:
            with report.trying(one.name):
                ensure_named(one.file)
                new = name_into(destination, one, into_folder)
                if new == one.file.filename:
                    raise ValueError("source and destination are the same")
                if one.file.marks_folder and (not new or store.find(new)):  # there is such a folder
                    if is_move:
                        store.delete_all(one.file, for_good=True)
                    continue
                yield one, new


def _takes_own_names(bucket: Bucket, name: str, destination: str) -> bool:
    """Whether something in a folder gets a name that something else in it has now: ``mv a/a/ a/`` with ``a/a/a/x``.

    Then shorter names go first.
    """
    old, new = _paths(name, destination)
    return old.startswith(new) and bool(bucket.list(prefix=old + old.removeprefix(new), limit=1).rows)


def _paths(name: str, destination: str) -> tuple[str, str]:
    """Return the path of the folder *name*, and the one that it gets at *destination*."""
    old = folder(name)
    return old, folder(destination) + ("" if name.endswith("/") else old[old.rfind("/", 0, -1) + 1 :])


def _finish(
    report: Report, batch: Sequence[tuple[StoredMatch, str]], outcomes: Sequence[StoredFile | Exception], signal: Signal
) -> None:
    """Report the errors of single files, and send the *signal* of the others; another error ends the command."""
    for outcome in outcomes:
        if isinstance(outcome, StoredFile):
            send(signal, file=outcome)
    for (one, _), outcome in zip(batch, outcomes, strict=True):
        with report.trying(one.name):
            if isinstance(outcome, Exception):
                raise outcome
    report.advance(len(batch))
