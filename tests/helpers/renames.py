"""Renames that break off."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from flask_gridfs_pymongo.store.writing import changes, marks


def break_off(patched: pytest.MonkeyPatch, *, early: bool) -> None:
    """Let renames lose their database when the newest version has its new name; *early*: the others have not."""
    finish = changes.finish

    def lost(*arguments: Any) -> Any:
        raise AutoReconnect("gone")

    def gone(versions: Any, file: Any, *older: Any, **options: Any) -> Any:
        return lost() if older else finish(versions, file, **options)

    if early:
        patched.setattr(changes, "finish", gone)
    else:
        patched.setattr(marks, "unmark", lost)
