"""Undo after a deletion, and the page of the trash, in real Chromium: by mouse, by keyboard, and without script."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Page, expect

from flask_gridfs_pymongo import PyMongo

from ...conftest import everyone, serving
from ...helpers.pages import Open, listed, said

FILES = ["a.txt", "b.txt", "c.txt", "docs/d.txt"]


class Site:
    address: str

    def __init__(self, mongod: str) -> None:
        self.app = app = Flask("trash")
        self.mongo = mongo = PyMongo(app, uri=f"{mongod}/test_browser_trash", trash=3600)
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/files", authorize=everyone))

    def save(self, *names: str) -> None:
        with self.app.app_context():
            for name in names:
                self.mongo.save_file(name, io.BytesIO(b"text"))

    def names(self) -> list[str]:
        return sorted(name for name in self.mongo.db["fs.files"].distinct("filename") if name)


@pytest.fixture(scope="module")
def serving_site(mongod: str) -> Iterator[Site]:
    site = Site(mongod)
    with serving(site.app) as site.address:
        yield site
    site.mongo.cx.drop_database("test_browser_trash")
    site.mongo.cx.close()


@pytest.fixture
def site(serving_site: Site) -> Site:
    for name in ("fs.files", "fs.chunks"):
        serving_site.mongo.db[name].delete_many({})
    serving_site.save(*FILES)
    return serving_site


@pytest.fixture
def provoked() -> str:
    return "the server responded with a status of 4"


def axe(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_undo_by_mouse_and_by_keyboard(opened: Open, site: Site) -> None:
    page = opened()
    page.locator(".status").evaluate("status => { status.dataset.same = 'yes'; }")
    for name in ("a.txt", "docs/"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("button", name="Delete…").click()
    question = page.get_by_role("dialog")
    expect(question.get_by_role("heading")).to_have_text("Move 2 items to the trash?")
    expect(question).to_contain_text(re.compile(r"restored until \w{3} \d+, 20\d\d"))
    question.get_by_role("button", name="Move to the trash").click()
    listed(page, "b.txt", "c.txt")
    status = page.get_by_role("status")
    expect(status).to_contain_text("2 files were moved to the trash.")
    expect(status).to_have_attribute("data-same", "yes")  # screen readers tell what changes in what was there
    axe(page)
    status.get_by_role("button", name="Undo").click()
    listed(page, "docs/", "a.txt", "b.txt", "c.txt")
    said(page, "2 files were restored.")
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    assert site.names() == FILES

    page.locator(".listing .name", has_text="c.txt").focus()
    page.keyboard.press("Delete")
    expect(page.get_by_role("dialog").get_by_role("button", name="Move to the trash")).to_be_focused()
    page.keyboard.press("Enter")
    listed(page, "docs/", "a.txt", "b.txt")
    said(page, "1 file was moved to the trash.")
    page.keyboard.press("Control+z")
    listed(page, "docs/", "a.txt", "b.txt", "c.txt")
    said(page, "c.txt was restored.")
    expect(page.locator(".listing .name").first).to_be_focused()
    page.keyboard.press("Control+z")  # there is nothing more to undo
    site.save("b.txt")
    page.get_by_role("link", name="b.txt").click()  # a file that is open
    over = page.locator(".over")
    over.get_by_role("link", name="Delete version 1…").click()
    over.get_by_role("button", name="Move to the trash").click()
    expect(over.get_by_role("status")).to_contain_text("A version of b.txt was moved to the trash.")
    expect(over.locator(".versions > li")).to_have_count(1)
    over.get_by_role("button", name="Undo").press("Enter")
    expect(over.get_by_role("status")).to_have_text("b.txt was restored.")
    expect(over.locator(".versions > li")).to_have_count(2)
    over.get_by_role("link", name="Delete…", exact=True).first.click()
    page.get_by_role("button", name="Move to the trash").click()
    listed(page, "docs/", "a.txt", "c.txt")
    said(page, "b.txt was moved to the trash.")
    page.get_by_role("button", name="Undo").press("Enter")
    listed(page, "docs/", "a.txt", "b.txt", "c.txt")
    assert site.names() == FILES


@pytest.mark.parametrize("width", [1280, 390])
def test_undo_is_seen_wherever_the_page_is_scrolled(opened: Open, site: Site, width: int) -> None:
    documents = [{"filename": f"{number:02}.bin", "length": 0, "chunkSize": 1} for number in range(60)]
    site.mongo.db["fs.files"].insert_many(documents)
    page = opened(viewport={"width": width, "height": 800})
    page.get_by_role("checkbox", name="Select c.txt").check()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Move to the trash").click()
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_in_viewport(ratio=1)
    assert page.evaluate("scrollY") > 500
    assert undo.evaluate("""button => {
        const {x, y, width, height} = button.getBoundingClientRect();
        return document.elementFromPoint(x + width / 2, y + height / 2) === button;
    }""")


def test_the_page_of_the_trash(opened: Open, site: Site) -> None:
    page = opened(viewport={"width": 1280, "height": 800})
    page.get_by_role("link", name="Show all files").click()
    listed(page, *FILES)
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Move to the trash").click()
    said(page, "4 files were moved to the trash.")
    listed(page)
    page.get_by_role("link", name="Trash").click()
    expect(page.get_by_role("heading", name="Trash")).to_be_visible()
    expect(page).to_have_title("Trash – Files")
    listed(page, *FILES)
    page.go_back()
    expect(page.get_by_text("There is nothing here yet.")).to_be_visible()
    page.go_forward()
    listed(page, *FILES)
    page.get_by_role("button", name="Restore docs/d.txt").click()
    said(page, "docs/d.txt was restored.")
    listed(page, *FILES[:3])
    site.save("a.txt")
    page.get_by_role("checkbox", name="Select a.txt").focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator(".selected-count")).to_have_text("2 selected")
    axe(page)
    page.get_by_role("button", name="Restore", exact=True).first.click()
    question = page.get_by_role("dialog")
    expect(question.get_by_role("heading")).to_have_text("1 name is taken")
    expect(question).to_contain_text("b.txt was restored.")
    axe(page)
    question.get_by_role("button", name="Restore as older versions").click()
    said(page, "a.txt was restored.")
    listed(page, "c.txt")
    page.get_by_role("checkbox", name="Select c.txt").check()
    page.keyboard.press("Delete")
    expect(question.get_by_role("heading")).to_have_text("Delete 1 file?")
    page.keyboard.press("Escape")
    listed(page, "c.txt")
    page.get_by_role("button", name="Delete for good…").click()
    question.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The trash is empty.")).to_be_visible()
    assert site.mongo.db["fs.files"].count_documents({}) == 4  # a.txt has two versions
    page.get_by_role("link", name="Files", exact=True).click()
    listed(page, "docs/", "a.txt", "b.txt")
    page.get_by_label("Add files").set_input_files({"name": "e.txt", "mimeType": "", "buffer": b"x"})
    listed(page, "docs/", "a.txt", "b.txt", "e.txt")


def test_without_script(opened: Open, site: Site) -> None:
    page = opened(java_script_enabled=False, viewport={"width": 390, "height": 844})

    def do(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).first.click()

    for undone in (True, False):
        for name in ("a.txt", "docs/"):
            page.get_by_role("checkbox", name=f"Select {name}").check()
        do("Delete…")
        do("Move to the trash")
        listed(page, "b.txt", "c.txt")
        said(page, "2 files were moved to the trash.")
        if undone:
            do("Undo")
            listed(page, "docs/", "a.txt", "b.txt", "c.txt")
    page.get_by_role("link", name="Trash").click()
    listed(page, "a.txt", "docs/d.txt")
    site.save("a.txt")
    do("Restore a.txt")
    do("Restore as older versions")
    said(page, "a.txt was restored.")
    page.get_by_role("checkbox", name="Select docs/d.txt").check()
    do("Delete for good…")
    page.go_back()
    listed(page, "docs/d.txt")
    page.go_forward()
    do("Delete")
    said(page, "docs/d.txt was deleted for good.")
    expect(page.get_by_text("The trash is empty.")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("There is no such file in the trash.")).to_be_visible()
    assert site.names() == ["a.txt", "b.txt", "c.txt"]
