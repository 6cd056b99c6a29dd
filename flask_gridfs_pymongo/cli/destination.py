"""The local folder that ``get`` and ``sync`` write to: where each file goes, and what a dry run would refuse.

::

    folder = Destination("copies", bucket)
    with folder.open(folder.path_of(file, "a.jpg"), file) as target:
        target.write(b"...")
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import BinaryIO

from ..http.filenames import compose
from ..store import Bucket, StoredFile
from .local import path_below
from .replacing import check_replaceable, remove_leftovers, replacing


class Destination:
    """A local folder, which may not exist yet.

    :param bucket: where the files come from
    :param dry_run: write nothing; what :meth:`open` would refuse is refused
    """

    def __init__(self, path: str, bucket: Bucket, *, dry_run: bool = False) -> None:
        self._path, self._bucket, self._dry_run = path, bucket, dry_run
        self._decomposed: dict[str, dict[str, str]] = {}
        self._tidied: set[str] = set()
        self._pretended: list[str] = []

    def path_of(self, file: StoredFile, rest: str) -> str:
        """Return the path below this folder for *rest*, the last part of the name of *file*.

        It is that of an existing file whose name differs in Unicode's normal form alone, as macOS decomposes names.

        :raises ValueError: if it would lie outside of this folder, also through a symbolic link
        """
        path = path_below(self._path, rest)
        if rest.isascii() or os.path.lexists(path):
            return path
        spelled = self._spelled(rest)
        if spelled == rest or self._bucket.find(file.filename.removesuffix(rest) + spelled):
            return path  # that file has a stored one of its own
        return path_below(self._path, spelled)

    def make(self, file: StoredFile, rest: str) -> None:
        """Make the folder that *file* marks; *rest* as for :meth:`path_of`.

        :raises OSError: if it cannot be made
        """
        path = self.path_of(file, rest.removesuffix("/")) if rest else self._path
        if not self._dry_run:
            os.makedirs(path, exist_ok=True)
        elif os.path.lexists(path) and not os.path.isdir(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    def _spelled(self, name: str) -> str:
        """Return *name* with the parts that exist spelled as they are here."""
        spelled: list[str] = []
        for part in name.split("/"):
            here, composed = os.path.join(self._path, *spelled), compose(part)
            found = [part, composed, self._decomposed_in(here).get(composed, part)]
            spelled.append(next((one for one in found if os.path.lexists(os.path.join(here, one))), part))
        return "/".join(spelled)

    def _decomposed_in(self, folder: str) -> dict[str, str]:
        """Return the entries of *folder* whose names are not composed, by their composed names."""
        if folder not in self._decomposed:
            names: list[str] = []
            with suppress(OSError):
                names = os.listdir(folder)
            self._decomposed[folder] = {compose(name): name for name in names if compose(name) != name}
        return self._decomposed[folder]

    def open(self, path: str, file: StoredFile) -> AbstractContextManager[BinaryIO]:
        """Return what opens *path* for the content of *file*: see :func:`.replacing`."""
        if self._dry_run:
            return self._pretend(path)
        folder = os.path.dirname(path)
        if folder not in self._tidied:
            self._tidied.add(folder)
            remove_leftovers(folder)
        return replacing(path, file.upload_date)

    @contextmanager
    def _pretend(self, path: str) -> Iterator[BinaryIO]:
        check_replaceable(path)
        # As names come in order, only those that this one begins with can be in the way of it or of later ones.
        while self._pretended and not path.startswith(self._pretended[-1]):
            self._pretended.pop()
        if any(path.startswith(f"{earlier}/") for earlier in self._pretended):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        with open(os.devnull, "wb") as nowhere:
            yield nowhere
        self._pretended.append(path)
