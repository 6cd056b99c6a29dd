"""``flask gridfs rm``, ``mv`` and ``cp``: deleting, renaming and copying stored files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click

from ..signals import file_changed, file_deleted, file_saved, send
from ..store import Bucket, StoredFile
from .group import Failure, bucket_options, gridfs, plain
from .paths import folder, is_folder, name_given, name_into, new_name, spelled, stored_files
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
        seen = set()  # of a file that is named twice only one version is deleted
        for one in stored_files(store, wanted, report):
            with report.trying(one.name):
                if one.file.named and one.file.filename in seen:
                    continue
                seen.add(one.file.filename)
                every = all_versions and one.file.named
                deleted = store.delete_all(one.file) if every else store.delete(id=one.file.id)
                if deleted:
                    send(file_deleted, file=one.file, versions=deleted)


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

    As with rsync, SRC/ is the contents of a folder; SRC is the file with this name, else the folder itself. DST is a
    folder if it ends with a slash, if there is such a folder, or if there is more than one SRC; / is the top folder.

    \b
    Exit status:
      0  done
      1  a file is missing, or its new name is taken
      2  the command line is wrong, or the database does not answer
    """

    def move(bucket: Bucket, file: StoredFile, new: str) -> None:
        bucket.rename(file.filename, new)
        if moved := bucket.newest(new):
            send(file_changed, file=moved)

    with transferring(prefix, bucket) as transfers:
        _each(transfers, sources, destination, move)


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

    def copy(bucket: Bucket, file: StoredFile, new: str) -> None:
        send(file_saved, file=bucket.copy(file.filename, new))

    with transferring(prefix, bucket) as transfers:
        _each(transfers, sources, destination, copy)


def _each(
    transfers: Transfers, sources: tuple[str, ...], destination: str, act: Callable[[Bucket, StoredFile, str], None]
) -> None:
    store, report = transfers.bucket, transfers.report
    into_folder = len(sources) > 1 or is_folder(store, destination)
    for name in (spelled(store, name) for name in sources):
        if is_folder(store, name) and folder(destination).startswith(folder(name)):
            report.failed(name, f"a folder cannot be moved or copied into itself ({destination!r})")
            continue
        for one in stored_files(store, [name], report):
            with report.trying(one.name):
                one.ensure_named()
                new = name_into(destination, one, into_folder)
                if new == one.file.filename:
                    raise ValueError("source and destination are the same")
                act(store, one.file, new)
