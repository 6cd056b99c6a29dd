"""What a command prints: its output, the errors of single files, and on a terminal its progress.

::

    with Report() as report:
        with report.trying("photos/a.jpg"):
            for block in report.counted("photos/a.jpg", size, blocks):
                ...
    sys.exit(report.status)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from ..store import CorruptFile, IndexConflict
from .group import plain

_LINE = "\r\x1b[K\x1b[?7l{}\x1b[?7h"  # replaces the last line; what is too long for the terminal is cut off
_PAUSE = 0.2  # seconds
_DELAY = 1  # second before the progress of many small files is shown


class Report:
    """Output goes to stdout; errors, one line each, and on a terminal the progress go to stderr."""

    def __init__(self) -> None:
        self.status = 0
        """the command's exit status: 1 if something went wrong"""
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._started = time.monotonic()
        self._last_shown = self._started
        self._files = self._bytes = 0
        self._is_shown = False

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_shown:
            self._clear()
            click.echo(self._so_far(), err=True)

    def line(self, text: str) -> None:
        """Print a line of the command's output."""
        self._clear()
        click.echo(plain(text))

    def failed(self, name: str, error: Exception | str) -> None:
        """Report what went wrong with a file, and let the command continue."""
        self.status = 1
        self.skipped(name, error)

    def skipped(self, name: str, reason: Exception | str) -> None:
        """Report why a file is left out."""
        self._clear()
        click.echo(plain(f"{name}: {_text(reason, name)}"), err=True)

    @contextmanager
    def trying(self, name: str) -> Iterator[None]:
        """Report an error with this file and continue after the block; an error of the database ends the command."""
        try:
            yield
        except BrokenPipeError:
            raise
        except (OSError, ValueError, CorruptFile, IndexConflict) as error:
            self.failed(name, error)

    def counted(self, name: str, size: int | None, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the *blocks* of a file, and show the progress.

        :param size: bytes in the file; None: unknown
        """
        read, started = 0, time.monotonic()
        for block in blocks:
            yield block
            read += len(block)
            self._bytes += len(block)
            if self._terminal and time.monotonic() - self._last_shown >= _PAUSE:
                self._show(name, read, size, time.monotonic() - started)
        self._files += 1

    def advance(self, files: int) -> None:
        """Count *files* that are done, and after a second show how many."""
        self._files += files
        now = time.monotonic()
        if self._terminal and now - self._started >= _DELAY and now - self._last_shown >= _PAUSE:
            self._last_shown, self._is_shown = now, True
            click.echo(_LINE.format(self._so_far()), err=True, nl=False)

    def _show(self, name: str, read: int, size: int | None, seconds: float) -> None:
        self._last_shown, self._is_shown = time.monotonic(), True
        part = f"{min(100, 100 * read // size)} % of " if size else ""
        ending = f", {_clock(max(0, size - read) * seconds / max(1, read))} left" if size else ""
        click.echo(_LINE.format(plain(f"{self._so_far()}: {part}{name}{ending}")), err=True, nl=False)

    def _so_far(self) -> str:
        seconds = time.monotonic() - self._started
        size = f", {_size(self._bytes)}" if self._bytes else ""
        rate = f" ({_size(self._bytes / max(seconds, 0.001))}/s)" if self._bytes else ""
        return f"{self._files:,} files{size} in {_clock(seconds)}{rate}"

    def _clear(self) -> None:
        if self._is_shown:
            click.echo(_LINE.format(""), err=True, nl=False)


def _text(reason: Exception | str, name: str) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror + (f": {reason.filename!r}" if reason.filename not in (None, name) else "")
    return str(reason)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "bytes" else f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
