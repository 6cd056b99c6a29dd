"""The signals that an application can connect to (https://flask.palletsprojects.com/signals/); it is their sender."""

from __future__ import annotations

from typing import Any

from blinker import Namespace, Signal
from flask import current_app

_signals = Namespace()

file_saved = _signals.signal("file-saved")
"""A file was stored: *file*, a :class:`.StoredFile`."""

file_deleted = _signals.signal("file-deleted")
"""A file was deleted: *file*, a :class:`.StoredFile`, and *versions*, how many versions of its name were deleted."""

file_changed = _signals.signal("file-changed")
"""A request changed a file's metadata or name: *file*, the :class:`.StoredFile` as it is now."""

request_refused = _signals.signal("request-refused")
"""A request to a blueprint was refused: *status*, *reason*, and *filename*, None at the root."""


def send(signal: Signal, **facts: Any) -> None:
    """Send *signal* for the current application, with *facts* as its arguments."""
    signal.send(current_app._get_current_object(), **facts)  # type: ignore[attr-defined]
