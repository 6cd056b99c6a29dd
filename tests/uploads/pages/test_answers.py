"""Each number, link and message of the pages is about what is shown, and the next page in the history is there."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from PIL import Image
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from flask_gridfs_pymongo import PyMongo

from ...conftest import HTML, JSON, Client, everyone, form, serving
from ...helpers.pages import listed
from ...helpers.pictures import encoded


class Site:
    address: str

    def __init__(self, mongod: str) -> None:
        self.app = app = Flask("answers")
        self.mongo = mongo = PyMongo(app, uri=f"{mongod}/test_answers")
        mongo.cx.drop_database("test_answers")
        options: dict[str, Any] = {"authorize": everyone, "metadata": ("title", "tags")}
        app.register_blueprint(mongo.uploads_blueprint("files", url_prefix="/files", **options))

    def save(self, name: str, content: bytes = b"x", **metadata: Any) -> None:
        with self.app.app_context():
            self.mongo.save_file(name, io.BytesIO(content), metadata=metadata)

    def metadata(self, name: str) -> dict[str, Any]:
        found = self.mongo.db["fs.files"].find_one({"filename": name})
        assert found is not None
        return {key: value for key, value in found["metadata"].items() if key in ("title", "tags", "n")}


@pytest.fixture(scope="module")
def site(mongod: str) -> Iterator[Site]:
    site = Site(mongod)
    with serving(site.app) as site.address:
        yield site
    site.mongo.cx.drop_database("test_answers")
    site.mongo.cx.close()


@pytest.fixture(autouse=True)
def _empty(site: Site) -> None:
    for name in ("fs.files", "fs.chunks"):
        site.mongo.db[name].delete_many({})


@pytest.fixture
def options() -> dict[str, Any]:
    return {"has_touch": True}


@pytest.fixture
def provoked() -> str:
    return "40[49]|502|ERR_FAILED"


def test_an_archive_holds_what_the_page_counts(client: Client, mongo: PyMongo) -> None:
    uploads = client(metadata=("tags",), authorize=everyone)
    for name, tags in {"a/report.txt": ["x", "y"], "a/b/report2.txt": ["x"], "a/c.txt": ["y"], "d.txt": ["x"]}.items():
        mongo.save_file(name, io.BytesIO(b"x"), metadata={"tags": tags})
    for query, names in {
        "": ["a/b/report2.txt", "a/c.txt", "a/report.txt", "d.txt"],
        "?q=report": ["a/b/report2.txt", "a/report.txt"],
        "?folder=a/&q=REPORT2": ["b/report2.txt"],
        "?folder=a/": ["b/report2.txt", "c.txt", "report.txt"],
        "?prefix=a/r": ["a/report.txt"],
        "?flat=1&metadata.tags=x": ["a/b/report2.txt", "a/report.txt", "d.txt"],
        "?flat=1&metadata.tags=x&metadata.tags=y": ["a/report.txt"],
        "?view=table&order=size&q=c.": ["a/c.txt"],
    }.items():
        shown = uploads.get(f"/uploads/{query}", headers=HTML).text
        link = shown.partition(">Download as ZIP<")[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
        archive = zipfile.ZipFile(io.BytesIO(uploads.get(link).data))
        assert sorted(archive.namelist()) == names, query


def test_a_part_of_a_listing_is_called_so(client: Client, mongo: PyMongo) -> None:
    uploads = client()
    for number in range(3):
        mongo.save_file(f"{number}.txt", io.BytesIO(b"x"))
    whole, first = (uploads.get(f"/uploads/{query}", headers=HTML).text for query in ("", "?limit=2"))
    assert "3 files, 3 bytes" in whole
    assert "2 files on this page, 2 bytes" in first
    assert "Download all as ZIP" in first
    following = uploads.get("/uploads/?limit=2", headers=JSON).get_json()["next"]
    assert "1 file on this page, 1 byte" in uploads.get(following.replace("format=json", ""), headers=HTML).text


@pytest.mark.parametrize(
    ("query", "title"),
    [
        *[("", "Files"), ("?folder=a/b%20c/", "b c – Files"), ("?q=<x>", "“&lt;x&gt;” – Files")],
        *[("?flat=1", "All files – Files"), ("?folder=a/&q=c", "“c” – Files")],
    ],
)
def test_titles(client: Client, mongo: PyMongo, query: str, title: str) -> None:
    mongo.save_file("a/b c/d.txt", io.BytesIO(b"x"))
    page = client().get(f"/uploads/{query}", headers=HTML).text
    assert f"<title>{title}</title>" in page
    assert title.removesuffix(" – Files") in page.partition("<h1")[2].partition("</h1>")[0]


def test_the_history_after_questions_and_selections(page: Page, site: Site) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        site.save(name)
    page.goto(f"{site.address}/files/")
    page.goto(f"{site.address}/files/?order=name")
    for name in ("a.txt", "b.txt"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("button", name="Delete…").click()
    question = page.locator("dialog").get_by_role("heading")
    expect(question).to_have_text("Delete 2 files?")
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(page.locator(".selected-count")).to_have_text("2 selected")
    page.go_back()
    expect(page).to_have_url(f"{site.address}/files/")
    for name in ("a.txt", "b.txt"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("button", name="Delete…").click()
    expect(question).to_have_text("Delete 2 files?")
    site.mongo.db["fs.files"].delete_one({"filename": "b.txt"})  # in another tab
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("1 file was deleted. 1 no longer exists.")
    listed(page, "c.txt")
    page.get_by_role("checkbox", name="Select c.txt").check()
    page.get_by_role("button", name="Move…").click()
    page.get_by_role("button", name="Move here").click()
    expect(page.get_by_role("status")).to_have_text("0 files were moved. 1 file is there already.")


@pytest.mark.parametrize("page_of", ["details", "versions"])
def test_back_from_an_open_file_that_was_loaded_again(page: Page, site: Site, page_of: str) -> None:
    for _ in range(2):
        site.save("a.txt")
    page.goto(f"{site.address}/files/")
    page.get_by_role("link", name={"details": "a.txt", "versions": "2 versions"}[page_of], exact=True).click()
    page.wait_for_url(f"**/a.txt?{page_of}*")
    page.reload()
    page.get_by_role("link", name="Version 2", exact=True).wait_for()
    page.go_back()
    listed(page, "a.txt")
    page.go_forward()
    expect(page.get_by_role("link", name="Version 2", exact=True)).to_be_visible()


def test_back_from_a_form_that_failed(page: Page, site: Site) -> None:
    for name in ("a.txt", "b.txt"):
        site.save(name)
    page.goto(f"{site.address}/files/")
    page.goto(f"{site.address}/files/a.txt?details")
    page.get_by_text("Rename, move or copy…").click()
    page.get_by_label("New name").fill("b.txt")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("a.txt")
    expect(page.get_by_label("New name")).to_have_value("b.txt")
    page.go_back()  # a page, not the browser's question
    listed(page, "a.txt", "b.txt")
    page.get_by_role("link", name="a.txt").click()  # over the listing it is told there
    page.get_by_text("Rename, move or copy…").click()
    page.get_by_label("New name").fill("b.txt")
    page.keyboard.press("Enter")
    expect(page.locator(".over .status")).to_contain_text("There is already a file with the name 'b.txt'")
    expect(page.get_by_label("New name")).to_have_value("b.txt")


def test_a_question_is_a_page_too_and_the_one_before_it_is_there(client: Client, mongo: PyMongo) -> None:
    for name in ("a.txt", "b/c.txt"):
        mongo.save_file(name, io.BytesIO(b"x"))
    uploads = client(authorize=everyone)
    (file,) = [row["id"] for row in uploads.get("/uploads/", headers=JSON).json["files"] if row["filename"] == "a.txt"]
    for action, said in {"delete": "Delete 2 items?", "move": "Move 2 items to", "copy": "Copy 2 items to"}.items():
        answer = uploads.post(f"/uploads/?{action}", data={"id": file, "folder": "b/"}, headers=HTML)
        assert answer.status_code == 303
        question = uploads.get(answer.location, headers=HTML)
        assert said in question.text
        assert 'value="b/"' in question.text
    mongo.db["fs.files"].delete_many({})
    assert uploads.get(answer.location, headers=HTML).status_code == 404


def test_a_new_name_stays_in_its_folder(page: Page, site: Site) -> None:
    site.save("a/b/c.txt")
    page.goto(f"{site.address}/files/a/b/c.txt?details")
    page.get_by_text("Rename, move or copy…").click()
    expect(page.get_by_label("Folder")).to_have_value("a/b/")
    page.get_by_label("New name").fill("new.txt")
    page.keyboard.press("Enter")  # as the first button is: Move
    expect(page.get_by_role("status")).to_have_text("a/b/c.txt is now a/b/new.txt.")
    page.goto(f"{site.address}/files/?folder=a/")
    page.get_by_text("New", exact=True).click()
    page.get_by_label("New folder").fill("x y")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading")).to_have_text("x y")
    expect(page).to_have_url(re.compile(r"[?&]folder=a/x(\+|%20)y/"))


def test_one_save_keeps_all_fields_and_their_types(page: Page, site: Site) -> None:
    site.save("a.txt", title="old", tags=["red"], n=5)
    page.goto(f"{site.address}/files/a.txt?details")
    expect(page.locator("dl div", has_text="Title")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(1)
    page.get_by_label("Title", exact=True).fill("new")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    assert site.metadata("a.txt") == {"title": "new", "tags": ["red"], "n": 5}
    page.get_by_label("Tags", exact=True).first.fill("blue")
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    assert site.metadata("a.txt") == {"title": "new", "tags": ["blue"], "n": 5}
    page.get_by_role("button", name="Add another value: Title").click()
    page.keyboard.type("second")
    site.mongo.db["fs.files"].update_one({}, {"$set": {"metadata.tags": ["theirs"]}})  # by somebody else
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Title", exact=True)).to_have_count(3)
    assert site.metadata("a.txt") == {"title": ["new", "second"], "tags": ["theirs"], "n": 5}


def test_what_is_open_asks_before_what_was_typed_is_lost(page: Page, site: Site) -> None:
    for name in ("a.txt", "b.txt"):
        site.save(name, title="old")
    asked: list[str] = []
    answers = [False]

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept() if answers[-1] else dialog.dismiss()

    page.on("dialog", answer)
    page.goto(f"{site.address}/files/")
    page.get_by_role("link", name="a.txt", exact=True).click()
    field = page.locator("dialog").get_by_label("Title", exact=True)
    field.fill("new")
    ways = [
        lambda: page.keyboard.press("Escape"),
        page.go_back,
        page.locator("dialog").get_by_role("button", name="Close").click,
        page.locator("dialog").get_by_role("link", name="Next").click,
        page.locator("dialog").get_by_role("link", name="Delete…").click,
    ]
    for number, leave in enumerate(ways, 1):
        leave()
        page.wait_for_function("document.querySelector('dialog[open] textarea')?.value === 'new'")
        expect(page).to_have_url(f"{site.address}/files/a.txt?details")
        assert asked == ["Discard your changes?"] * number
    page.locator("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").last).to_have_text("Saved.")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    page.get_by_role("link", name="a.txt", exact=True).click()
    field.fill("newer")
    assert len(asked) == len(ways)  # what is saved is no question
    answers.append(True)
    page.locator("dialog").get_by_role("link", name="Next").click()
    expect(page).to_have_url(f"{site.address}/files/b.txt?details")
    field.fill("newer")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    expect(page).to_have_url(f"{site.address}/files/")
    assert len(asked) == len(ways) + 2
    assert [site.metadata(name)["title"] for name in ("a.txt", "b.txt")] == ["new", "old"]


UNREACHABLE = "The server cannot be reached. Try again in a moment."
SIGNED_OUT = "You were signed out, or this page has expired. Sign in in another tab, or reload the page."
FITS: dict[str, Callable[[Route], None]] = {
    UNREACHABLE: lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>"),
    SIGNED_OUT: lambda route: route.fulfill(content_type="text/html", body="<h1>Log in</h1>"),
}


@pytest.mark.parametrize("said", FITS)
def test_what_one_typed_stays_if_a_proxy_or_a_login_answers(page: Page, site: Site, said: str) -> None:
    for name in ("a.txt", "b.txt"):
        site.save(name, title="old")
    page.goto(f"{site.address}/files/")
    page.get_by_role("checkbox", name="Select b.txt").check()
    page.route("**/?move=*", FITS[said])
    page.get_by_role("button", name="Move…").click()
    expect(page.get_by_role("status")).to_have_text(said)
    expect(page.locator(".selected-count")).to_have_text("1 selected")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").wait_for()
    page.route("**/?delete=*", FITS[said])
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text(said)  # where one looks
    page.keyboard.press("Escape")
    page.get_by_role("link", name="a.txt", exact=True).click()
    field = page.get_by_role("dialog").get_by_label("Title", exact=True)
    field.fill("new")
    page.route("**/*metadata", FITS[said])
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text(said)
    expect(field).to_have_value("new")
    page.unroute("**/*metadata")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Saved.")
    assert site.metadata("a.txt") == {"title": "new"}


def test_a_second_click_sends_nothing_again(page: Page, site: Site) -> None:
    for content in (b"1", b"2"):
        site.save("a.txt", content)
    page.goto(f"{site.address}/files/")
    page.get_by_role("link", name="a.txt", exact=True).click()
    held: list[Route] = []
    page.route("**/*restore*", lambda route: held.append(route))
    page.get_by_role("button", name="Restore version 1").dblclick()
    expect(page.locator(".busy")).to_be_visible()
    page.evaluate("fetch(location.href)")  # what the second click sent is there before this
    assert len(held) == 1
    held[0].continue_()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Version 1 restored.")
    expect(page.locator(".busy")).to_have_count(0)
    assert site.mongo.db["fs.files"].count_documents({}) == 3


def test_without_a_connection_one_stays_where_one_is(page: Page, site: Site) -> None:
    site.save("a.txt")
    page.goto(f"{site.address}/files/")
    page.route("**/a.txt?details*", lambda route: route.abort())
    page.get_by_role("link", name="a.txt", exact=True).click()
    expect(page.get_by_role("status")).to_have_text(UNREACHABLE)
    listed(page, "a.txt")


def test_a_name_without_a_visible_character_can_be_clicked(page: Page, site: Site) -> None:
    site.save("  ")
    for view in ("tiles", "table"):
        page.goto(f"{site.address}/files/?view={view}")
        page.get_by_role("link", name="(no name)").click()
        expect(page.locator(".over h1")).to_have_text("(no name)")


def test_without_script_a_picture_that_is_broken_is_an_icon(browser: Browser, site: Site) -> None:
    site.save("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(500))
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site.address}/files/")
        expect(page.get_by_label("Select all")).to_be_hidden()  # it needs a script
        shown = Image.open(io.BytesIO(page.locator(".files .thumb").screenshot())).convert("RGB")
        colours = [colour for _, colour in shown.getcolors(shown.width * shown.height)]
        assert any(green > max(red, blue) + 60 for red, green, blue in colours)  # the icon's


@pytest.mark.parametrize(
    ("target", "link"),
    [("a/b/none", "?folder=a/b/"), ("none", ""), ("?folder=a/b/&order=none", ""), ("a/b/c?version=7", "?folder=a/b/")],
)
def test_an_error_leads_to_what_is_there(client: Client, target: str, link: str) -> None:
    page = client().get(f"/uploads/{target}", headers=HTML).text
    main = page[page.index("<main") : page.index("</main>")]
    assert f'href="/uploads/{link}"' in main


def test_what_cannot_be_shown_says_so(page: Page, site: Site) -> None:
    site.save("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(500))
    site.save("damaged.txt", b"x" * 300_000)
    site.mongo.db["fs.chunks"].delete_one({"n": 1})
    page.goto(f"{site.address}/files/broken.png?details")
    expect(page.locator(".preview")).to_have_text("This picture cannot be shown.")
    page.goto(f"{site.address}/files/damaged.txt?details&part=5")
    expect(page.locator(".damaged").first).to_have_text("damaged")
    expect(page.get_by_role("link", name="Open", exact=True)).to_have_count(0)


def test_the_viewer_on_a_phone(page: Page, site: Site) -> None:
    for name in ("a.png", "b.png", "c.png"):
        site.save(name, encoded(Image.effect_noise((900, 700), 90)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{site.address}/files/")
    page.locator("a.thumb").nth(1).click()
    page.get_by_role("button", name="Enlarge b.png").wait_for()
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "b.png?id=" in url and "variant" not in url]  # the original only in full
    page.get_by_role("button", name="Enlarge b.png").click()
    dialog = page.locator(".enlarged")
    expect(page).to_have_url(re.compile("#full$"))
    expect(dialog.get_by_role("img", name="b.png")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Enlarge b.png")).to_be_focused()
    expect(page).not_to_have_url(re.compile("#"))
    page.keyboard.press("Enter")
    dialog.get_by_role("link", name="Next").click()
    expect(dialog.get_by_role("img", name="c.png")).to_be_visible()
    swipe = """([from, to]) => {
        const dialog = document.querySelector(".enlarged");
        const touch = (x) => [new Touch({identifier: 1, target: dialog, clientX: x, clientY: 300})];
        dialog.dispatchEvent(new TouchEvent("touchstart", {touches: touch(from)}));
        dialog.dispatchEvent(new TouchEvent("touchend", {changedTouches: touch(to)}));
    }"""
    page.evaluate(swipe, [100, 300])
    expect(dialog.get_by_role("img", name="b.png")).to_be_visible()
    page.evaluate(swipe, [300, 100])
    expect(dialog.get_by_role("img", name="c.png")).to_be_visible()


def test_a_picture_in_full_in_a_layout_with_a_base(browser: Browser, site: Site) -> None:
    site.save("a.png", encoded(Image.effect_noise((90, 70), 90)))
    with browser.new_context(bypass_csp=True) as context:
        page = context.new_page()
        page.goto(f"{site.address}/files/")
        page.evaluate("document.head.append(Object.assign(document.createElement('base'), {href: '/shop/'}))")
        page.locator("a.thumb").click()
        page.get_by_role("button", name="Enlarge a.png").click()
        expect(page).to_have_url(f"{site.address}/files/a.png?details#full")


def conflict(page: Page) -> None:
    page.get_by_text("Rename, move or copy…").click()
    page.get_by_label("New name").fill("b.txt")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Conflict")


STATES: dict[str, Callable[[Page], Any]] = {
    "a.txt?details#rename": lambda page: page.get_by_text("Rename, move or copy…").click(),
    "a.txt?details#conflict": conflict,
    "a.txt?details#values": lambda page: page.get_by_role("button", name="Add another value: Title").click(),
    "photo.png?details#full": lambda page: page.get_by_role("button", name="Enlarge photo.png").click(),
    "?q=a.txt#selected": lambda page: page.get_by_role("checkbox", name="Select a.txt").check(),
}


def test_axe_finds_nothing_on_a_phone_in_any_state(page: Page, site: Site) -> None:
    for name in ("a.txt", "b.txt"):
        site.save(name)
    site.save("photo.png", encoded(Image.effect_noise((90, 70), 90)))
    page.set_viewport_size({"width": 390, "height": 800})
    for target, enter in STATES.items():
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.goto(f"{site.address}/files/{target.partition('#')[0]}")
        enter(page)
        for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            results = Axe().run(page, options=rules)
            assert results.violations_count == 0, (target, scheme, results.generate_report())


def test_times_go_on(browser: Browser, site: Site) -> None:
    site.save("a.txt")
    with browser.new_context(locale="en-GB", timezone_id="UTC") as context:
        page = context.new_page()
        page.clock.install()
        page.goto(f"{site.address}/files/a.txt?details")
        uploaded = page.locator("dl time")
        expect(uploaded).to_have_text(re.compile(r"^\d"))  # 30 November 2026, not November 30, 2026
        page.clock.run_for(3 * 60_000)
        expect(uploaded).to_contain_text("3 minutes ago")


def test_a_size_that_is_refused_has_one_name(client: Client) -> None:
    uploads = client(max_size=3)
    for headers in (HTML, JSON):
        answer = uploads.post("/uploads/", data=form((b"1234", "a")), headers=headers)
        assert answer.status == "413 Content Too Large"
        assert "Content Too Large" in answer.text


def test_assets_are_kept_for_good_by_their_release(client: Client) -> None:
    uploads = client()
    page = uploads.get("/uploads/", headers=HTML).text
    sheet = page.partition('rel="stylesheet" href="')[2].partition('"')[0].replace("&amp;", "&")
    kept = uploads.get(sheet)
    assert "immutable" in kept.headers["Cache-Control"]
    packed = uploads.get(sheet, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == kept.data
    assert packed.headers["ETag"] != kept.headers["ETag"]
    version = sheet.partition("&v=")[2]
    for name in ("uploads.css", "uploads.js", "queue.js"):
        other = uploads.get(f"/uploads/?asset={name}&v=other")
        assert other.headers["Cache-Control"] == "no-cache"
        references = other.text.count("?asset=")
        assert references == other.text.count(f"&v={version}") > 0
    assert set(re.findall(r'modulepreload.*href="\S*asset=(\w+)', page)) == {
        "page",
        "browse",
    }  # no script waits for another one
    assert "queue.js" not in page  # what sends files is loaded after the pictures
    assert page.count("uploads.css") == 1
    assert uploads.get("/uploads/?asset=../setup.py").status_code == 404


def test_who_was_refused_at_the_root_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client(authorize=lambda action, name: False).get("/uploads/")
    assert "refused GET '/': 403" in caplog.text


def test_nothing_moves_while_a_page_loads(page: Page, site: Site) -> None:
    """Over a slow network, so that the style sheet, scripts and pictures come one after the other."""
    for number in range(3):
        site.save(f"{number}.png", encoded(Image.effect_noise((500, 400), 90)))
    site.save("notes.txt", b"notes")
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    limits = {"offline": False, "latency": 80, "downloadThroughput": 500_000, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", limits)
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach(entry => shift += entry.value))"
        ".observe({type: 'layout-shift', buffered: true});"
    )
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        for target in ("", "?view=table", "1.png?details", "notes.txt?details"):
            page.goto(f"{site.address}/files/{target}", wait_until="networkidle")
            assert page.evaluate("shift") < 0.1, (target, width)


def test_people_see_folders_in_every_order_and_programs_what_they_always_got(client: Client, mongo: PyMongo) -> None:
    for name, size in {"f/file 10": 1, "f/file 2": 3, "f/file 1": 2, "f/sub 10/x": 9, "f/sub 9/x": 9}.items():
        mongo.save_file(name, io.BytesIO(bytes(size)))
    uploads = client(read_only=True)

    def shown(url: str) -> list[str]:
        found: list[str] = []
        while url:
            page = uploads.get(url, headers=HTML).text
            found += re.findall(r'class="name" .*?dir="auto"[^>]*>([^<]+)</a>', page)
            more = re.search(r'rel="next" href="([^"]+)"', page)
            url = more[1].replace("&amp;", "&") if more else ""
        return found

    for limit in ("1", "2", "100"):
        assert shown(f"/uploads/?folder=f/&limit={limit}") == ["sub 9/", "sub 10/", "file 1", "file 2", "file 10"]
        assert shown(f"/uploads/f/?order=size&limit={limit}") == ["sub 9/", "sub 10/", "file 2", "file 1", "file 10"]
    answer = uploads.get("/uploads/?folder=f/&order=size", headers=JSON).json
    assert [file["length"] for file in answer["files"]] == [9, 9, 3, 2, 1]
    assert "unsorted" not in answer


def test_pages_are_in_the_view_and_order_of_the_cookies_unless_the_url_names_them(
    client: Client, mongo: PyMongo
) -> None:
    uploads = client(read_only=True)
    for name in ("a", "b", "c"):
        mongo.save_file(name, io.BytesIO(b"x" * ord(name)))

    def shown(query: str, **headers: str) -> tuple[list[str], bool]:
        page = uploads.get(f"/uploads/{query}", headers=headers or HTML).text
        return re.findall(r'class="name"[^>]* title="([^"]*)"', page), "<table>" in page

    for view, order, query, names, table in (
        ("table", "-name", "", "cba", True),
        ("table", "-name", "?view=tiles&order=name", "abc", False),
        ("table", "-name", "?view=tiles", "cba", False),
        ("tiles", "size", "?view=table", "cba", True),
        ("tiles", "none", "", "abc", False),  # of an earlier release
        ("<table>", "-name\0", "", "abc", False),
        ("", "", "", "abc", False),
    ):
        uploads.set_cookie("uploads_view", view, path="/uploads/")
        uploads.set_cookie("uploads_order", order, path="/uploads/")
        assert shown(query) == ([*names], table), (view, order, query)
    uploads.set_cookie("uploads_order", "-size", path="/uploads/")
    page = uploads.get("/uploads/?limit=1&order=name", headers=HTML).text
    more = re.search(r'rel="next" href="([^"]+)"', page)
    assert more
    assert shown(more[1].rpartition("/")[2].replace("&amp;", "&"))[0] == ["b"]
    assert [file["filename"] for file in uploads.get("/uploads/", headers=JSON).json["files"]] == ["a", "b", "c"]


def test_more_than_5000_names_are_in_alphabetical_order_and_the_page_says_so(client: Client, mongo: PyMongo) -> None:
    names = [f"{number}" for number in range(5000)]
    mongo.db["fs.files"].insert_many([{"filename": name, "length": 0, "chunkSize": 1} for name in names])
    uploads, said = client(read_only=True), "they are in alphabetical order"
    page = uploads.get("/uploads/", headers=HTML).text
    assert said not in page
    assert page.index(">9</a>") < page.index(">10</a>")
    mongo.db["fs.files"].insert_one({"filename": "x", "length": 0, "chunkSize": 1})
    for order in ("", "?order=size", "?order=name"):
        page = uploads.get(f"/uploads/{order}", headers=HTML).text
        assert said in page
        assert page.index(">1000</a>") < page.index(">101</a>")
        second = re.search(r'rel="next" href="([^"]+)"', page)
        assert second
        assert said in uploads.get(second[1].replace("&amp;", "&"), headers=HTML).text
