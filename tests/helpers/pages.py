"""Pages in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def note_errors(page: Page, errors: list[str]) -> None:
    """From now on, append to *errors* those of scripts on *page*, and of the Content-Security-Policy."""
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
