"""People with many files: folders, selections, a viewer, links to share, small screens; in real Chromium."""

from __future__ import annotations

import io
import socket
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from markupsafe import escape
from playwright.sync_api import Page, expect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.uploads.pages.icons import icon_name

from ...conftest import HTML, JSON, Client, everyone, serving
from ...helpers.pages import NAMES, listed
from ...helpers.pictures import PNG

FILES = {
    "photos/2026/a.png": PNG,
    "photos/2026/b.png": PNG,
    "photos/2026/c.png": PNG,
    "photos/d.txt": b"d",
    "notes.txt": b"notes",
    "paper.pdf": b"%PDF-1.4",
    "page.html": b"<p>",
}


class Site:
    address: str

    def __init__(self, mongod: str) -> None:
        self.app = app = Flask("people")
        app.secret_key = "of a test"
        self.mongo = mongo = PyMongo(app, uri=f"{mongod}/test_people")
        options = {"share": 3600, "inline_types": ("application/pdf",), "uploaded_by": "user", "authorize": everyone}
        app.register_blueprint(mongo.uploads_blueprint("files", url_prefix="/files", **options))  # type: ignore[arg-type]
        app.register_blueprint(mongo.uploads_blueprint("plain", url_prefix="/plain", read_only=True))

    def fill(self) -> None:
        with self.app.app_context():
            for name, content in FILES.items():
                self.mongo.save_file(name, io.BytesIO(content), metadata={"user": "Ann"})

    def names(self) -> set[str]:
        return set(self.mongo.db["fs.files"].distinct("filename"))


@pytest.fixture(scope="module")
def site(mongod: str) -> Iterator[Site]:
    site = Site(mongod)
    with serving(site.app) as site.address:
        yield site
    site.mongo.cx.drop_database("test_people")
    site.mongo.cx.close()


@pytest.fixture(autouse=True)
def filled(site: Site) -> None:
    for name in ("fs.files", "fs.chunks"):
        site.mongo.db[name].delete_many({})
    site.fill()


class TestTheListing:
    def test_folders_come_first_and_all_files_are_one_click_away(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/")
        listed(page, "photos/", "notes.txt", "page.html", "paper.pdf")
        expect(page.locator(".summary")).to_contain_text("1 folder, 3 files, 16 bytes")
        expect(page.get_by_role("searchbox")).to_have_count(1)
        page.get_by_role("link", name="Show all files").click()
        listed(page, *sorted(FILES))
        page.locator(".menu", has_text="Order").locator("summary").click()
        page.get_by_label("Order").get_by_role("link", name="Size").click()
        page.wait_for_url("**order=size*")
        page.get_by_label("View").get_by_role("link", name="Table").click()
        expect(page.get_by_role("columnheader", name="Size")).to_have_attribute("aria-sort", "descending")
        expect(page.locator(NAMES)).to_have_count(len(FILES))
        for direction, expected in (("ascending", sorted(FILES)), ("descending", sorted(FILES)[::-1])):
            page.get_by_role("columnheader", name="Name").get_by_role("link").click()
            expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", direction)
            listed(page, *expected)
        page.get_by_role("columnheader", name="Type").get_by_role("link").click()
        page.wait_for_url("**order=type*")
        page.get_by_role("link", name="Show folders").click()
        expect(page.locator(".listing .name").first).to_have_text("photos/")
        page.get_by_role("link", name="photos/").click()
        listed(page, "2026/", "d.txt")

    def test_the_order_goes_along_into_folders_and_back(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?view=table")
        page.get_by_role("columnheader", name="Name").get_by_role("link").click()
        expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")
        listed(page, "photos/", "paper.pdf", "page.html", "notes.txt")
        page.get_by_role("link", name="photos/").click()
        listed(page, "2026/", "d.txt")
        page.get_by_role("link", name="2026/").click()
        listed(page, "c.png", "b.png", "a.png")
        page.get_by_role("link", name="a.png").click()
        page.get_by_label("Path").get_by_role("link", name="2026").click()
        listed(page, "c.png", "b.png", "a.png")
        expect(page.get_by_role("table")).to_be_visible()

    def test_view_and_order_are_remembered_and_a_link_shows_what_it_says(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/")
        page.get_by_label("View").get_by_role("link", name="Table").click()
        page.get_by_role("columnheader", name="Name").get_by_role("link").click()
        backwards = ["photos/", "paper.pdf", "page.html", "notes.txt"]
        listed(page, *backwards)
        page.get_by_role("link", name="photos/").click()
        listed(page, "2026/", "d.txt")
        page.go_back()
        listed(page, *backwards)
        page.goto(f"{site.address}/files/")
        listed(page, *backwards)
        expect(page.get_by_role("table")).to_be_visible()
        page.goto(f"{site.address}/files/?view=tiles&order=name")
        listed(page, "photos/", *backwards[:0:-1])
        expect(page.get_by_role("table")).to_have_count(0)
        page.get_by_role("link", name="photos/").click()
        listed(page, "2026/", "d.txt")
        expect(page.get_by_role("table")).to_have_count(0)
        page.goto(f"{site.address}/files/")
        listed(page, *backwards)  # somebody's link chooses nothing
        assert [cookie["path"] for cookie in page.context.cookies()] == ["/files/", "/files/"]
        page.get_by_label("View").get_by_role("link", name="Tiles").click()
        expect(page.get_by_role("table")).to_have_count(0)
        page.goto(f"{site.address}/files/")
        expect(page.get_by_role("table")).to_have_count(0)

    @pytest.mark.parametrize("name", ["new/deep/", "new/deep"])
    def test_a_new_folder_is_one_that_a_file_is_added_to(self, page: Page, site: Site, name: str) -> None:
        page.goto(f"{site.address}/files/?folder=photos/&view=table")
        page.get_by_text("New", exact=True).click()
        page.get_by_label("New folder").fill(name)
        page.keyboard.press("Enter")
        page.wait_for_url("**folder=photos/new/deep/**")
        page.get_by_label("Add files").set_input_files({"name": "a.txt", "mimeType": "", "buffer": b"x"})
        expect(page.get_by_role("row").nth(1)).to_contain_text("a.txt")
        assert "photos/new/deep/a.txt" in site.names()

    def test_programs_get_all_names_as_before(self, site: Site) -> None:
        answer = site.app.test_client().get("/files/", headers=JSON)
        assert answer.json is not None
        assert [file["filename"] for file in answer.json["files"]] == sorted(FILES)
        assert answer.json["files"][0]["uploaded_by"] == "Ann"

    def test_who_uploaded_it(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?view=table")
        expect(page.get_by_role("row", name="notes.txt")).to_contain_text("Ann")
        page.goto(f"{site.address}/files/notes.txt?details")
        expect(page.locator("dl div", has_text="Uploaded by")).to_contain_text("Ann")

    def test_500_files_are_a_few_requests(self, page: Page, site: Site) -> None:
        documents = [
            {"filename": f"many/{number:03}.bin", "length": 0, "chunkSize": 1, "metadata": {}} for number in range(500)
        ]
        site.mongo.db["fs.files"].insert_many(documents)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{site.address}/files/?folder=many/")
        page.wait_for_load_state("networkidle")
        expect(page.locator(".files .name")).to_have_count(100)
        assert len(asked) < 15, asked


class TestSelecting:
    def check(self, page: Page, name: str, **how: Any) -> None:
        page.get_by_role("checkbox", name=f"Select {name}").click(**how)

    def test_some_all_and_none(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?flat=1")
        expect(page.get_by_role("button", name="Delete…")).to_be_hidden()
        every = page.get_by_role("checkbox", name="Select all")
        self.check(page, "notes.txt")
        expect(page.locator(".selected-count")).to_have_text("1 selected")
        assert every.evaluate("box => box.indeterminate")
        self.check(page, "photos/2026/a.png", modifiers=["Shift"])
        expect(page.locator(".selected-count")).to_have_text("4 selected")
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Delete…")).to_be_hidden()
        every.focus()
        page.keyboard.press("Space")
        expect(page.locator(".selected-count")).to_have_text("7 selected")
        page.keyboard.press("Escape")
        page.locator(".files a.name").first.focus()
        page.keyboard.press("Control+a")
        expect(page.locator(".selected-count")).to_have_text("7 selected")

    def test_the_bar_is_there_wherever_one_scrolls_and_moves_nothing(self, page: Page, site: Site) -> None:
        documents = [{"filename": f"many/{number:03}.bin", "length": 0, "chunkSize": 1} for number in range(60)]
        site.mongo.db["fs.files"].insert_many(documents)
        page.goto(f"{site.address}/files/?folder=many/")
        first = page.locator(".files > li").first
        before = first.bounding_box()
        self.check(page, "000.bin")
        assert first.bounding_box() == before
        expect(page.get_by_role("searchbox")).to_be_hidden()  # the bar is replaced
        bar = page.get_by_role("button", name="Delete…")
        expect(bar).to_be_in_viewport(ratio=1)
        page.keyboard.press("End")
        page.locator("header").wait_for(state="attached")
        expect(bar).to_be_in_viewport(ratio=1)

    def test_as_an_archive(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?folder=photos/2026/")
        self.check(page, "a.png")
        self.check(page, "c.png")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert zipfile.ZipFile(download.value.path()).namelist() == ["a.png", "c.png"]
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as ZIP").click()
        assert zipfile.ZipFile(download.value.path()).namelist() == ["a.png", "b.png", "c.png"]

    @pytest.mark.parametrize("view", ["", "&view=table"])
    def test_several_go_after_a_question(self, page: Page, site: Site, view: str) -> None:
        place = f"{site.address}/files/?folder=photos/2026/{view}"
        page.goto(place)
        self.check(page, "a.png")
        self.check(page, "b.png")
        page.get_by_role("button", name="Delete…").click()
        question = page.get_by_role("dialog")
        expect(question.get_by_role("heading")).to_have_text("Delete 2 files?")
        expect(question.get_by_role("listitem")).to_contain_text(["photos/2026/a.png", "photos/2026/b.png"])
        assert Axe().run(page).violations_count == 0
        page.get_by_role("link", name="Cancel").click()
        expect(question).to_be_hidden()
        assert site.names() == set(FILES)
        page.get_by_role("button", name="Delete…").click()
        question.get_by_role("button", name="Delete").click()
        expect(page).to_have_url(place)
        expect(page.get_by_role("status")).to_have_text("2 files were deleted.")
        listed(page, "c.png")
        assert site.names() == set(FILES) - {"photos/2026/a.png", "photos/2026/b.png"}

    def test_several_move_into_a_folder(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?folder=photos/2026/")
        self.check(page, "a.png")
        self.check(page, "b.png")
        page.get_by_role("button", name="Move…").click()
        page.get_by_label("Folder", exact=True).fill("best/")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_have_text("2 files were moved.")
        listed(page, "c.png")
        assert {"best/a.png", "best/b.png"} < site.names()

    def test_a_selection_outlives_an_upload(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?folder=photos/2026/")
        self.check(page, "b.png")
        page.get_by_label("Add files").set_input_files({"name": "0.txt", "mimeType": "", "buffer": b"x"})
        expect(page.locator(".files .name").first).to_have_text("0.txt")
        expect(page.get_by_role("checkbox", name="Select b.png")).to_be_checked()
        expect(page.locator(".selected-count")).to_have_text("1 selected")


class TestDeletingSeveral:
    def keys(self, client: Any, *wanted: str) -> list[str]:
        found = {file["filename"]: file["id"] for file in client.get("/uploads/", headers=JSON).json["files"]}
        return [found[name] for name in wanted]

    def save(self, mongo: PyMongo) -> None:
        for name in ("a", "b", "b", "mine"):
            mongo.save_file(name, io.BytesIO(b"x"))

    def test_all_versions_of_each(self, client: Client, mongo: PyMongo) -> None:
        self.save(mongo)
        browser = client(authorize=everyone)
        answer = browser.post("/uploads/?delete", data={"id": self.keys(browser, "a", "b")}, headers=JSON)
        assert answer.status_code == 204
        assert mongo.db["fs.files"].distinct("filename") == ["mine"]
        assert mongo.db["fs.chunks"].count_documents({}) == 1

    def test_all_or_none_where_one_is_refused(self, client: Client, mongo: PyMongo) -> None:
        self.save(mongo)
        browser = client(authorize=lambda action, name: action != "delete" or name != "mine")
        answer = browser.post("/uploads/?delete", data={"id": self.keys(browser, "a", "mine")}, headers=JSON)
        assert answer.status_code == 403
        assert mongo.db["fs.files"].count_documents({}) == 4

    @pytest.mark.parametrize(
        ("keys", "status"), [([], 400), (["zz"], 400), (["0" * 24], 404), (["0" * 24] * 1001, 400)]
    )
    def test_what_names_no_file(self, client: Client, mongo: PyMongo, keys: list[str], status: int) -> None:
        self.save(mongo)
        assert client(authorize=everyone).post("/uploads/?delete", data={"id": keys}).status_code == status

    def test_no_button_for_what_is_refused(self, client: Client, mongo: PyMongo) -> None:
        self.save(mongo)
        page = client().get("/uploads/", headers=HTML).text
        assert "delete=" not in page
        assert 'name="id"' in page  # an archive is permitted


class TestAFilesPage:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"permissions": ["clipboard-read", "clipboard-write"]}

    def test_from_picture_to_picture_and_in_full(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?folder=photos/2026/")
        page.locator(".files .thumb").nth(1).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("b.png")
        expect(page.get_by_label("Path").get_by_role("link")).to_have_text(["Files", "photos", "2026"])
        for key, shown in (("ArrowRight", "c.png"), ("ArrowRight", "c.png"), ("ArrowLeft", "b.png")):
            expect(page.get_by_label("Previous and next file")).to_be_visible()
            page.keyboard.press(key)
            expect(page.get_by_role("heading", level=1)).to_have_text(shown)
        page.get_by_role("link", name="Previous").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("a.png")
        expect(page.get_by_role("link", name="Previous")).to_have_count(0)
        page.get_by_role("button", name="a.png").click()
        dialog = page.locator(".enlarged")
        expect(dialog).to_be_visible()
        assert Axe().run(page).violations_count == 0
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        page.get_by_role("button", name="a.png").press("Enter")
        page.keyboard.press("ArrowRight")
        expect(page.locator(".over h1")).to_have_text("b.png")
        expect(dialog).to_be_visible()  # the next one is in full, too
        dialog.click()
        expect(dialog).to_be_hidden()

    def test_the_order_is_the_listings_own(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?flat=1&order=type&view=table")
        order = page.locator(NAMES).all_inner_texts()
        page.get_by_role("link", name=order[2], exact=True).click()
        expect(page.get_by_role("link", name="Next", exact=True)).to_be_visible()
        page.keyboard.press("ArrowRight")
        expect(page).to_have_title(order[3])

    def test_a_page_that_one_opens_by_itself_has_no_neighbours(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/notes.txt?details")
        expect(page.locator(".neighbours")).to_be_hidden()

    @pytest.mark.parametrize(
        ("name", "opens"), [("notes.txt", True), ("photos/2026/a.png", True), ("paper.pdf", True), ("page.html", False)]
    )
    def test_what_would_be_saved_is_not_offered_to_be_opened(self, site: Site, name: str, opens: bool) -> None:
        text = site.app.test_client().get(f"/files/{name}?details", headers=HTML).text
        assert text.count(">Open</a>") == (2 if opens else 0)
        assert text.count(">Download</a>") == 2

    def test_a_pdf_is_shown_where_it_may_be_and_frames_are_allowed_there_alone(self, page: Page, site: Site) -> None:
        policy = page.goto(f"{site.address}/files/paper.pdf?details").headers["content-security-policy"]  # type: ignore[union-attr]
        assert "frame-src 'self'" in policy
        expect(page.locator("iframe")).to_have_attribute("title", "paper.pdf")
        other = page.goto(f"{site.address}/files/notes.txt?details").headers["content-security-policy"]  # type: ignore[union-attr]
        assert "frame-src" not in other
        plain = site.app.test_client().get("/plain/paper.pdf?details", headers=HTML)
        assert "frame-src" not in plain.headers["Content-Security-Policy"]
        assert "<iframe" not in plain.text

    def test_a_link_to_share_works_without_a_login(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/notes.txt?details")
        page.get_by_role("button", name="Share…").click()
        expect(page.get_by_role("status")).to_contain_text("Link copied; it works until")
        link = page.evaluate("navigator.clipboard.readText()")
        assert link.startswith(f"{site.address}/files/notes.txt?signed=")
        assert page.request.get(link).text() == "notes"

    def test_it_gets_another_name(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/notes.txt?details")
        page.get_by_text("Rename, move or copy…").click()
        page.get_by_label("New name").fill("new folder/notes.txt")
        page.get_by_role("button", name="Move").click()
        expect(page.get_by_role("status")).to_have_text("notes.txt is now new folder/notes.txt.")
        expect(page.get_by_label("Path").get_by_role("link")).to_have_text(["Files", "new folder"])
        page.get_by_text("Rename, move or copy…").click()
        page.get_by_label("New name").fill("copy.txt")
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("copy.txt")
        assert {"new folder/copy.txt", "new folder/notes.txt"} == site.names() - set(FILES)

    def test_versions_count_from_one(self, page: Page, site: Site) -> None:
        site.fill()
        page.goto(f"{site.address}/files/notes.txt?details")
        expect(page.locator("dl").first).to_contain_text("2 of 2")
        page.get_by_role("link", name="Version 1", exact=True).click()
        expect(page.locator("dl").first).to_contain_text("1 of 2")
        page.goto(f"{site.address}/files/notes.txt?versions")
        page.get_by_label("Path").get_by_role("link", name="notes.txt").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("notes.txt")

    def test_latin_1_is_readable(self, page: Page, site: Site) -> None:
        with site.app.app_context():
            site.mongo.save_file("old.txt", io.BytesIO("Grüße aus Köln".encode("latin-1")))
            site.mongo.save_file("long.txt", io.BytesIO(("ä" * 2000).encode()))
        page.goto(f"{site.address}/files/")
        expect(page.locator("li", has_text="old.txt").locator("pre")).to_have_text("Grüße aus Köln")
        expect(page.locator("li", has_text="long.txt").locator("pre")).to_have_text("ä" * 300 + "…")
        page.goto(f"{site.address}/files/old.txt?details")
        expect(page.get_by_role("region", name="Text")).to_have_text("Grüße aus Köln")
        page.get_by_role("region", name="Text").focus()
        expect(page.get_by_role("region", name="Text")).to_be_focused()


class TestWithoutScript:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"java_script_enabled": False}

    def test_selecting_and_deleting_work(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?folder=photos/2026/&order=size")
        page.get_by_role("checkbox", name="Select a.png").check()
        page.get_by_role("button", name="Delete…").click()
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("status")).to_have_text("1 file was deleted.")
        expect(page).to_have_url(f"{site.address}/files/?folder=photos/2026/&order=size")
        assert "photos/2026/a.png" not in site.names()


class TestScreens:
    def test_the_first_file_is_above_the_fold_of_a_phone(self, page: Page, site: Site) -> None:
        page.set_viewport_size({"width": 360, "height": 740})
        page.goto(f"{site.address}/files/")
        box = page.locator(".files .name", has_text="notes.txt").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 740

    @pytest.mark.parametrize("view", ["", "&view=table"])
    def test_at_200_percent_nothing_sticks_out(self, page: Page, site: Site, view: str) -> None:
        page.set_viewport_size({"width": 640, "height": 400})
        for target in (f"?folder=photos/2026/{view}", "photos/2026/a.png?details", "notes.txt?details"):
            page.goto(f"{site.address}/files/{target}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 640

    def test_all_buttons_of_a_selection_are_on_the_screen_of_a_phone(self, page: Page, site: Site) -> None:
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto(f"{site.address}/files/?folder=photos/2026/")
        page.get_by_role("checkbox", name="Select a.png").check()
        for button in ("Download as ZIP", "Move…", "Share…", "Rename", "Delete…"):
            box = page.locator(".selection").get_by_role("button", name=button).bounding_box()
            assert box is not None, button
            assert box["x"] + box["width"] <= 390, button

    def test_paper_has_what_one_reads_and_no_buttons(self, page: Page, site: Site) -> None:
        page.emulate_media(media="print")
        page.goto(f"{site.address}/files/")
        expect(page.locator(".files .name").first).to_be_visible()
        for control in (".upload", ".search", ".menu", "[type=checkbox]"):
            assert not any(found.is_visible() for found in page.locator(control).all()), control

    def test_forced_colours_show_what_is_selected(self, page: Page, site: Site) -> None:
        page.emulate_media(forced_colors="active")
        page.goto(f"{site.address}/files/")
        expect(page.locator(".new summary")).to_have_css("border-top-width", "1px")  # its ground is not seen
        page.get_by_role("checkbox", name="Select notes.txt").check()
        widths, adjusted = (
            page.locator(".files > li:not(.folder)").evaluate_all(
                f"tiles => tiles.map(tile => getComputedStyle(tile).{name})"
            )
            for name in ("borderTopWidth", "forcedColorAdjust")
        )
        assert widths == ["2px", "1px", "1px"]
        assert adjusted == ["auto"] * 3  # its texts are in the colours of the system, too

    def test_axe_finds_nothing_in_a_selection_or_a_pdf(self, page: Page, site: Site) -> None:
        for target in ("?folder=photos/2026/", "?view=table", "paper.pdf?details"):
            page.goto(f"{site.address}/files/{target}")
            if "pdf" not in target:
                page.get_by_role("checkbox", name="Select all").check()
                page.keyboard.press("Escape")
                page.get_by_text("New", exact=True).click()
            for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                results = Axe().run(page, options=rules)
                assert results.violations_count == 0, (target, scheme, results.generate_report())


class TestWhoIsRefused:
    @pytest.mark.parametrize(
        ("target", "link"),
        [
            ("/uploads/", None),
            ("/uploads/bob/a.txt", None),
            ("/uploads/ann/secret/a.txt", "ann/"),
            ("/uploads/?folder=ann/secret/", "ann/"),
        ],
    )
    def test_the_page_leads_to_what_is_permitted(self, client: Client, target: str, link: str | None) -> None:
        page = client(authorize=lambda action, name: name == "ann/").get(target, headers=HTML)
        assert page.status_code == 403
        main = page.text[page.text.index("<main") : page.text.index("</main>")]
        assert ("<a " in main) == (link is not None)
        if link:
            assert f'href="/uploads/?folder={link}">{link}</a>' in main
        assert "sign in" in main


@pytest.mark.parametrize(
    ("referrer", "leads_back"),
    [("http://localhost/uploads/a?details&q=x", True), ("http://other/", False), (None, False)],
)
def test_after_a_form_that_failed_one_goes_back(
    client: Client, mongo: PyMongo, referrer: str | None, leads_back: bool
) -> None:
    for name in ("a", "b"):
        mongo.save_file(name, io.BytesIO(b"x"))
    headers = {**HTML, **({"Referer": referrer} if referrer else {})}
    answer = client(authorize=everyone).post("/uploads/a?copy=b", headers=headers)
    assert answer.status_code == 409
    assert (f'href="{escape(referrer or "")}">Back</a>' in answer.text) == leads_back
    assert ("Back" in answer.text) == leads_back


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class TestWithoutADatabase:
    def test_programs_do_not_wait_for_what_was_never_there(self, app: Flask, silent: int) -> None:
        mongo = PyMongo(app, uri=f"mongodb://127.0.0.1:{silent}/none")
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))
        client, begin = app.test_client(), time.monotonic()
        begin_tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "1", "Upload-Metadata": "filename YQ=="}
        answers = [
            *(client.get(f"/uploads/{target}") for target in ("", "a", "?zip", "a?variant=thumb")),
            *(client.put("/uploads/a", data=b"x"), client.delete("/uploads/a"), client.post("/uploads/a?move=b")),
            *(
                client.post("/uploads/", headers=begin_tus),
                client.head("/uploads/?upload=" + "a" * 43, headers=begin_tus),
            ),
        ]
        assert [answer.status_code for answer in answers] == [503] * 9
        assert time.monotonic() - begin < 25  # nine seconds where nothing else runs; the driver waits for 30 each time
        mongo.cx.close()

    @pytest.mark.parametrize("answers", [False, True])
    @pytest.mark.parametrize("target", ["", "?folder=a/", "a.txt?details", "a.txt?versions"])
    def test_a_page_tells_within_a_second(self, app: Flask, silent: int, answers: bool, target: str) -> None:
        """Where nothing listens, and where somebody does who is frozen; as everybody else does a download waits."""
        mongo = PyMongo(app, uri=f"mongodb://127.0.0.1:{silent if answers else 1}/none")
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))
        begin = time.monotonic()
        answer = app.test_client().get(f"/uploads/{target}", headers=HTML)
        assert time.monotonic() - begin < 6  # one where nothing else runs; the driver waits for thirty
        assert answer.status_code == 503
        assert "The storage is unavailable right now" in answer.text
        assert "Try again" in answer.text
        mongo.cx.close()


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("folder", "folder"),
        ("image/png", "image"),
        ("IMAGE/PNG; x=y", "image"),
        ("video/mp4", "video"),
        ("audio/ogg", "audio"),
        ("application/pdf", "pdf"),
        ("text/csv", "sheet"),
        ("application/vnd.ms-excel", "sheet"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "sheet"),
        ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "slides"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "document"),
        ("application/vnd.oasis.opendocument.text", "document"),
        ("application/msword", "document"),
        ("application/zip", "archive"),
        ("application/gzip", "archive"),
        ("font/woff2", "font"),
        ("application/json", "code"),
        ("text/x-python", "code"),
        ("text/plain; charset=utf-8", "text"),
        ("application/octet-stream", "file"),
        ("nonsense", "file"),
        ("", "file"),
    ],
)
def test_kinds(content_type: str, name: str) -> None:
    assert icon_name(content_type) == name
