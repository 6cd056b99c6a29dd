"""Ctrl-C, SIGTERM and closing the terminal end a command at once, and leave nothing half done.

::

    with Interrupts() as interrupts:
        ...  # KeyboardInterrupt may be raised here
        with interrupts.deferred():
            ...  # but not here
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_CLEANUP_TIMEOUT = 10  # seconds in which a second signal does not interrupt the cleaning up after the first one


class Interrupts:
    """Raises KeyboardInterrupt for SIGINT, SIGTERM and SIGHUP, except those that the process ignores (nohup)."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._holds = self._came = False
        self._until = 0.0

    def __enter__(self) -> Interrupts:
        wanted = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._stop) for number in wanted}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        self._came = self._holds
        if not self._holds and time.monotonic() >= self._until:
            self._until = time.monotonic() + _CLEANUP_TIMEOUT
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals until the end of the block."""
        self._holds = True
        try:
            yield
        finally:
            self._holds = False
            if self._came:
                self._stop()
