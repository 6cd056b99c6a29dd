"""The pages in real Chromium."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect


def test_a_person_adds_a_picture_looks_at_it_and_deletes_it(page: Page, gallery: str, tmp_path: Path) -> None:
    page.goto(gallery)
    sample = page.locator("img[src*='dunes.png']")
    sample.scroll_into_view_if_needed()
    assert sample.evaluate("image => image.decode().then(() => image.naturalWidth)") == 480
    picture = tmp_path / "my picture #1?.png"
    picture.write_bytes(page.request.get(f"{gallery}tide.png").body())

    page.get_by_label("Add files").set_input_files(picture)
    page.locator(".files").get_by_role("link", name=picture.name).click()
    shown = page.locator(f'img[alt="{picture.name}"]')
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 480
    page.get_by_role("button", name="Close").click()
    page.get_by_label("Add files").set_input_files(picture)
    page.get_by_role("button", name="New version").click()
    page.get_by_role("link", name="2 versions").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".versions .number")).to_have_text(["Version 3", "Version 2", "Version 1"])

    page.get_by_role("link", name="Delete…", exact=True).first.click()
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url(gallery)
    expect(page.get_by_role("link", name=picture.name)).to_have_count(0)
