"""Pages in a browser, whose context a test may give options of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ...helpers.pages import note_errors

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture
def options() -> dict[str, Any]:
    """Of the browser's context."""
    return {}


@pytest.fixture
def complaints() -> list[str]:
    """What the console may not say: errors, also of the Content-Security-Policy."""
    return []


@pytest.fixture
def context(browser: Browser, options: dict[str, Any]) -> Iterator[BrowserContext]:
    with browser.new_context(**options) as context:
        context.set_default_timeout(30_000)
        yield context


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Iterator[Page]:
    page = context.new_page()
    note_errors(page, complaints)
    yield page
    page.close()
    assert complaints == []
