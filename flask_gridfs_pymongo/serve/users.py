"""Who may log in: names and password hashes in a file."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from werkzeug.security import check_password_hash

_HINT = "make one with: python -c 'from werkzeug.security import generate_password_hash as g; print(g(input()))'"


class Users:
    """Checks passwords: ``users("ann", "secret")``.

    :param file: has a line ``NAME:HASH`` for each user, with a hash by :func:`werkzeug.security.generate_password_hash`
    :raises OSError: if the file cannot be read
    :raises ValueError: naming the line that is wrong
    """

    def __init__(self, file: Path) -> None:
        self._hashes: dict[str, str] = {}
        data = file.read_bytes()
        try:  # PowerShell writes UTF-16
            text = data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError(f"{file} is neither UTF-8 nor UTF-16") from None
        for number, line in enumerate(text.splitlines(), 1):
            name, _, hash = line.strip().partition(":")
            if not name:
                continue
            if not _is_hash(hash):
                raise ValueError(f"{file}, line {number}: it is not NAME:HASH with a hash by Werkzeug; {_HINT}")
            if name in self._hashes:
                raise ValueError(f"{file}, line {number}: {name} has another line")
            self._hashes[name] = hash
        if not self._hashes:
            raise ValueError(f"{file} has no lines NAME:HASH; {_HINT}")
        self._key = secrets.token_bytes(16)
        self._known: dict[str, bytes] = {}

    def __call__(self, name: str, password: str) -> bool:
        """Whether this is the password of *name*; a wrong name takes as long as a wrong password."""
        # A hash takes 0.05 seconds and 32 MiB by design, and a page of pictures sends a hundred requests.
        digest = hashlib.blake2b(password.encode(), key=self._key).digest()
        if digest == self._known.get(name):
            return True
        hash = self._hashes.get(name)
        matches = check_password_hash(hash or next(iter(self._hashes.values())), password) and hash is not None
        if matches:
            self._known[name] = digest
        return matches


def _is_hash(text: str) -> bool:
    try:
        check_password_hash(text, "")
    except ValueError:
        return False
    return text.count("$") >= 2
