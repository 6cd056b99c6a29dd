"""Why something was not decoded."""

from __future__ import annotations


class Undecodable(ValueError):
    """It cannot be decoded, now or later.

    :param reason: a key of :data:`.images.LIMITS`, or ``undecodable``, ``memory`` or ``cpu``
    :param most: the limit that it exceeds
    """

    def __init__(self, reason: str, most: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.most = reason, most


class Unfinished(Exception):
    """It took longer than the deadline, or the child process died of it: this may be due to the machine's load."""


class Busy(Exception):
    """No child process had time for it, or none could be started; it was not tried."""
