"""Pages in a browser. A module may replace the *options* of its contexts, and say which errors its tests *provoke*."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from ...helpers.pages import Open, note_errors

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture
def options() -> dict[str, Any]:
    """Of the browser's context."""
    return {}


@pytest.fixture
def provoked() -> str:
    """A pattern of errors on the console that a test provokes; by default of none."""
    return "(?!)"


@pytest.fixture
def complaints(provoked: str) -> Iterator[list[str]]:
    """What the console may not say: errors, also of the Content-Security-Policy."""
    found: list[str] = []
    yield found
    assert [text for text in found if not re.search(provoked, text)] == []


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


@pytest.fixture
def opened(browser: Browser, site: Any, complaints: list[str]) -> Iterator[Open]:
    """``opened(option=value)`` is the listing of the module's *site*, in a context with these options."""
    with ExitStack() as contexts:

        def show(**options: Any) -> Page:
            context = contexts.enter_context(browser.new_context(**options))
            context.set_default_timeout(30_000)
            page = context.new_page()
            note_errors(page, complaints)
            page.goto(f"{site.address}/files/")
            return page

        yield show
