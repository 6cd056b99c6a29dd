"""What people come for, twelve tasks, done in real Chromium by touch alone, by keyboard alone, and without script."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, expect

from flask_gridfs_pymongo import PyMongo

from ...conftest import everyone, serving
from ...helpers.pages import Open, listed, said
from ...helpers.pictures import PNG


class Site:
    address: str

    def __init__(self, mongod: str) -> None:
        self.app = app = Flask("tasks")
        app.secret_key = "of a test"
        self.mongo = mongo = PyMongo(app, uri=f"{mongod}/test_tasks")
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/files", authorize=everyone, share=60))

    def names(self) -> set[str]:
        return set(self.mongo.db["fs.files"].distinct("filename"))


@pytest.fixture
def site(mongod: str) -> Iterator[Site]:
    site = Site(mongod)
    site.mongo.cx.drop_database("test_tasks")
    with site.app.app_context():
        for name in ("a.png", "b.png", "docs/plan.txt", "file 2.txt", "file 10.txt", "notes.txt", "notes.txt"):
            site.mongo.save_file(name, io.BytesIO(PNG if name.endswith("png") else b"text"))
    with serving(site.app) as site.address:
        yield site
    site.mongo.cx.drop_database("test_tasks")
    site.mongo.cx.close()


FIRST = ("docs/", "a.png", "b.png", "file 2.txt", "file 10.txt", "notes.txt")


def test_by_touch(opened: Open, site: Site) -> None:
    page = opened(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    listed(page, *FIRST)
    top = page.locator(".files").first.bounding_box()
    assert top is not None
    assert top["y"] <= 160

    def choose(*names: str) -> None:
        for name in names:
            page.get_by_role("checkbox", name=f"Select {name}").tap()

    def do(name: str, place: Page | Locator = page) -> None:
        place.get_by_role("button", name=name, exact=True).tap()

    page.locator(".new summary").tap()  # upload
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Upload files").tap()
    chooser.value.set_files({"name": "new.txt", "mimeType": "", "buffer": b"new"})
    expect(page.locator(".listing .name", has_text="new.txt")).to_be_visible()
    choose("new.txt")  # rename
    do("Rename")
    page.get_by_label("New name").fill("renamed.txt")
    page.keyboard.press("Enter")
    listed(page, *FIRST, "renamed.txt")
    choose("renamed.txt", "docs/")  # copy, a folder too
    do("Copy…")
    page.get_by_label("Folder", exact=True).fill("both")
    do("Copy here")
    listed(page, "both/", *FIRST, "renamed.txt")
    choose("renamed.txt")  # move into a folder
    do("Move…")
    page.get_by_role("dialog").get_by_role("button", name="docs/").tap()
    expect(page.get_by_role("heading", name="Move 1 item to docs")).to_be_visible()
    do("Move here")
    listed(page, "both/", *FIRST)
    page.locator(".menu summary").first.tap()  # another order, and back
    page.get_by_role("link", name="Newest").tap()
    expect(page.locator(".listing .name").first).to_have_text("both/")
    page.get_by_role("link", name="Table").tap()
    expect(page.get_by_role("table")).to_be_visible()
    page.get_by_role("link", name="Tiles").tap()
    expect(page.get_by_role("table")).to_have_count(0)
    page.locator(".menu summary").first.tap()
    page.get_by_role("link", name="Name", exact=True).tap()
    listed(page, "both/", *FIRST)
    listing = page.url
    page.locator(".files .thumb").first.tap()  # look, and on to the next one
    expect(page.locator(".over h1")).to_have_text("a.png")
    expect(page.get_by_role("link", name="Download", exact=True).first).to_be_in_viewport()
    swipe = """preview => {
        const touch = (x) => new Touch({identifier: 1, target: preview, clientX: x, clientY: 300});
        preview.dispatchEvent(new TouchEvent("touchstart", {touches: [touch(300)], bubbles: true}));
        preview.dispatchEvent(new TouchEvent("touchend", {changedTouches: [touch(100)], bubbles: true}));
    }"""
    page.locator(".over .preview").evaluate(swipe)
    expect(page.locator(".over h1")).to_have_text("b.png")
    page.locator(".over").evaluate("over => { over.scrollTop = over.scrollHeight; }")
    expect(page.locator(".over h1")).not_to_be_in_viewport()
    expect(page.get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
    do("Close")
    expect(page.locator(".over")).to_be_hidden()
    assert page.url == listing
    page.get_by_role("link", name="notes.txt").tap()  # restore
    page.get_by_role("button", name="Restore version 1").tap()
    said(page, "Version 1 restored.")
    do("Close")
    choose("file 2.txt")  # share
    with page.expect_response("**/*share*") as shared:
        do("Share…")
    assert page.request.get(site.address + shared.value.json()["url"]).text() == "text"
    choose("docs/")  # download several
    with page.expect_download() as download:
        do("Download as ZIP")
    inside = zipfile.ZipFile(download.value.path()).namelist()
    assert sorted(inside) == ["docs/plan.txt", "docs/renamed.txt", "file 2.txt"]
    do("Delete…")  # delete
    do("Delete", page.get_by_role("dialog"))
    listed(page, "both/", "a.png", "b.png", "file 10.txt", "notes.txt")
    page.get_by_role("searchbox").tap()  # find
    page.get_by_role("searchbox").fill("plan")
    page.get_by_role("button", name="Search").tap()
    listed(page, "both/docs/plan.txt")
    assert site.names() == {
        *("a.png", "b.png", "file 10.txt", "notes.txt", "both/renamed.txt", "both/docs/plan.txt"),
    }


def test_by_keyboard(opened: Open, site: Site) -> None:
    """With the keys of docs/pages.rst."""
    page = opened(viewport={"width": 1280, "height": 800})
    top = page.locator(".files").first.bounding_box()
    assert top is not None
    assert top["y"] <= 130
    press = page.keyboard.press

    def tab_to(name: str) -> None:
        reached = "const it = document.activeElement; return (it.ariaLabel ?? it.innerText).trim()"
        for _ in range(60):
            press("Tab")
            if page.evaluate(f"() => {{ {reached} }}") == name:
                return
        raise AssertionError(name)

    def on(name: str) -> None:
        page.locator(".listing .name", has_text=name).first.focus()

    tab_to("Order")  # another order
    press("Enter")
    tab_to("Size")
    press("Enter")
    page.wait_for_url("**order=size*")
    listed(page, "docs/", "a.png", "b.png", "file 2.txt", "file 10.txt", "notes.txt")
    on("a.png")  # look, to the next one, and back to the place
    press("ArrowRight")
    press("Enter")
    expect(page.locator(".over h1")).to_have_text("b.png")
    expect(page.get_by_role("link", name="Download", exact=True).first).to_be_in_viewport(ratio=1)
    press("ArrowLeft")
    expect(page.locator(".over h1")).to_have_text("a.png")
    press("Escape")
    expect(page.locator(".over")).to_be_hidden()
    expect(page.locator(".name", has_text="b.png")).to_be_focused()
    on("notes.txt")  # restore
    press("Enter")
    expect(page.locator(".over h1")).to_have_text("notes.txt")
    tab_to("Restore version 1")
    press("Enter")
    said(page, "Version 1 restored.")
    press("Escape")
    expect(page.locator(".over")).to_be_hidden()
    on("b.png")  # rename
    press("F2")
    expect(page.get_by_label("New name")).to_be_focused()
    page.keyboard.type("z")
    press("Enter")
    listed(page, "docs/", "a.png", "z.png", "file 2.txt", "file 10.txt", "notes.txt")
    on("docs/")
    press("F2")
    page.keyboard.type("papers")
    press("Enter")
    listed(page, "papers/", "a.png", "z.png", "file 2.txt", "file 10.txt", "notes.txt")
    page.get_by_role("checkbox", name="Select z.png").focus()  # move into a folder
    press("Space")
    page.get_by_role("button", name="Move…").focus()
    press("Enter")
    expect(page.get_by_label("Folder", exact=True)).to_be_focused()
    page.keyboard.type("papers")
    press("Enter")
    listed(page, "papers/", "a.png", "file 2.txt", "file 10.txt", "notes.txt")
    on("file 10.txt")  # delete
    press("Delete")
    expect(page.get_by_role("dialog").get_by_role("button", name="Delete")).to_be_focused()
    press("Enter")
    listed(page, "papers/", "a.png", "file 2.txt", "notes.txt")
    on("papers/")  # into a folder, and back
    press("Enter")
    listed(page, "z.png", "plan.txt")  # in the same order
    page.go_back()
    listed(page, "papers/", "a.png", "file 2.txt", "notes.txt")
    on("papers/")  # download several
    press("Space")
    expect(page.locator(".selected-count")).to_have_text("1 selected")
    press("Space")
    expect(page.locator(".selection")).to_be_hidden()
    press("Control+a")
    expect(page.locator(".selected-count")).to_have_text("4 selected")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as ZIP").press("Enter")
    assert len(zipfile.ZipFile(download.value.path()).namelist()) == 5
    press("Escape")
    expect(page.locator(".selection")).to_be_hidden()
    press("/")  # find
    page.keyboard.type("PLAN")
    press("Enter")
    listed(page, "papers/plan.txt")
    assert site.names() == {"a.png", "file 2.txt", "notes.txt", "papers/plan.txt", "papers/z.png"}


def test_without_script(opened: Open, site: Site, tmp_path: Path) -> None:
    page = opened(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    new = tmp_path / "new.txt"
    new.write_text("new")

    def do(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).click()

    def choose(*names: str) -> None:
        for name in names:
            page.get_by_role("checkbox", name=f"Select {name}").check()

    page.get_by_label("Add files").set_input_files(new)  # upload
    do("Upload")
    listed(page, *FIRST[:4], "file 10.txt", "new.txt", "notes.txt")
    choose("new.txt", "docs/")  # copy
    do("Copy…")
    page.get_by_label("Folder", exact=True).fill("both")
    do("Copy here")
    said(page, "2 files were copied.")
    choose("new.txt")  # move into a folder
    do("Move…")
    do("docs/")
    do("Move here")
    said(page, "1 file was moved.")
    page.get_by_role("link", name="notes.txt").click()  # restore and rename
    page.get_by_role("button", name="Restore version 1").click()
    said(page, "Version 1 restored.")
    page.get_by_text("Rename, move or copy…").click()
    page.get_by_label("New name").fill("memo.txt")
    do("Move")
    said(page, "notes.txt is now memo.txt.")
    page.get_by_role("link", name="Files", exact=True).click()
    listed(page, "both/", "docs/", "a.png", "b.png", "file 2.txt", "file 10.txt", "memo.txt")
    choose("docs/", "file 2.txt")  # download several
    with page.expect_download() as download:
        do("Download as ZIP")
    inside = zipfile.ZipFile(download.value.path()).namelist()
    assert sorted(inside) == ["docs/new.txt", "docs/plan.txt", "file 2.txt"]
    do("Delete…")
    expect(page.get_by_role("heading", name="Delete 2 items?")).to_be_visible()
    do("Delete")
    said(page, "3 files were deleted.")
    page.locator(".menu summary").first.click()  # another order
    page.get_by_role("link", name="Name").click()
    page.wait_for_url("**order=-name*")
    page.get_by_text("New", exact=True).click()  # a folder
    page.get_by_label("New folder").fill("fresh")
    do("Create")
    page.wait_for_url(re.compile("folder=fresh/"))
    page.get_by_role("searchbox").fill("plan")  # find
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No files match “plan”.")).to_be_visible()
    assert site.names() == {"a.png", "b.png", "both/docs/plan.txt", "both/new.txt", "file 10.txt", "memo.txt"}
