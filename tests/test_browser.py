"""The pages in real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .conftest import missing

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        missing("install Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that lets no error on its console pass."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    assert complaints == []


def test_a_person_adds_a_picture_looks_at_it_and_deletes_it(page: Page, gallery: str, tmp_path: Path) -> None:
    page.goto(gallery)
    sample = page.locator("img[alt='dunes.png']")
    sample.scroll_into_view_if_needed()
    assert sample.evaluate("image => image.decode().then(() => image.naturalWidth)") == 480
    picture = tmp_path / "my picture #1?.png"
    picture.write_bytes(page.request.get(f"{gallery}files/tide.png").body())

    page.get_by_label("Add pictures").set_input_files(picture)
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("link", name=picture.name).click()
    shown = page.locator(f'img[alt="{picture.name}"]')
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 480
    page.get_by_role("link", name="All versions").click()
    page.get_by_role("button", name="Make it the newest").click()
    assert page.get_by_role("link", name="2 versions").is_visible()

    page.get_by_role("link", name=picture.name).click()
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete all versions").click()
    assert page.url == f"{gallery}files/"
    assert page.get_by_role("link", name=picture.name).count() == 0


def test_the_listing_without_the_gallerys_templates(page: Page, gallery: str) -> None:
    page.goto(f"{gallery}files/welcome.txt?versions")
    page.get_by_role("link", name="Details").click()
    page.get_by_role("link", name="Open").click()
    assert "Welcome!" in page.locator("body").inner_text()
