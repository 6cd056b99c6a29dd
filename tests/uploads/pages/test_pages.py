"""What a person does on the pages, in real Chromium."""

from __future__ import annotations

import io
import json
import random
import re
import wave
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from babel.messages.catalog import Catalog
from bson.objectid import ObjectId
from flask import Flask
from flask_babel import Babel
from jinja2 import DictLoader
from PIL import Image
from playwright.sync_api import Page, Route, expect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service.texts import DOMAIN
from flask_gridfs_pymongo.store import Bucket
from flask_gridfs_pymongo.store.listing import page as listing

from ... import catalogues
from ...conftest import JSON, ROOT, serving
from ...helpers.pages import NAMES, listed
from ...helpers.pictures import PNG

FILM = ROOT / "flask_gridfs_pymongo" / "serve" / "waves.webm"


def large_png() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (480, 320), "teal").save(data, "PNG")
    return data.getvalue()


class Site:
    """An application with several blueprints, over real sockets."""

    address: str

    def __init__(self, mongod: str, translations: Path) -> None:
        self.app = app = Flask("site")
        self.locale = "en"
        app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(translations)
        Babel(app, locale_selector=lambda: self.locale)
        self.mongo = mongo = PyMongo(app, uri=f"{mongod}/test_pages")
        mongo.cx.drop_database("test_pages")

        def open_to_all(action: str, filename: str | None) -> bool:
            return True

        for name, options in {
            "files": {"authorize": open_to_all, "max_size": 5_000_000},
            "many": {"base": "many", "read_only": True},
            "own": {"base": "own", "title": "Our papers", "stylesheet": "/own.css"},
        }.items():
            app.register_blueprint(mongo.uploads_blueprint(name, url_prefix=f"/{name}", **options))  # type: ignore[arg-type]

        @app.get("/own.css")
        def css() -> Any:
            return app.response_class("header { background: rgb(1, 2, 3) }", mimetype="text/css")

    def save(self, name: str, content: bytes, base: str = "fs") -> None:
        with self.app.app_context():
            self.mongo.save_file(name, io.BytesIO(content), base)

    def store(self, base: str = "fs") -> Bucket:
        return Bucket(self.mongo.cx.test_pages, base)


CAPITALS = "en_GB"
"""the locale in which each text of ours is in capitals"""


def write_capitals(folder: Path) -> None:
    def upper(text: str) -> str:
        return re.sub(
            r"%\(\w+\)s|\{\w+\}|\w+", lambda found: found[0] if found[0][0] in "%{" else found[0].upper(), text
        )

    catalog = Catalog(CAPITALS)
    for message in catalogues.read(catalogues.TEMPLATE):
        if message.id:
            plural = isinstance(message.id, (list, tuple))
            catalog.add(message.id, tuple(map(upper, message.id)) if plural else upper(str(message.id)))
    folder.mkdir(parents=True)
    (folder / f"{DOMAIN}.mo").write_bytes(catalogues.compiled(catalog))


@pytest.fixture(scope="module")
def site(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    translations = tmp_path_factory.mktemp("translations")
    write_capitals(translations / CAPITALS / "LC_MESSAGES")
    site = Site(mongod, translations)
    with serving(site.app) as site.address:
        yield site
    site.mongo.cx.drop_database("test_pages")
    site.mongo.cx.close()


@pytest.fixture(autouse=True)
def empty(site: Site) -> None:
    for base in ("fs", "own"):
        for kind in ("files", "chunks"):
            site.mongo.cx.test_pages[f"{base}.{kind}"].delete_many({})


def drop(page: Page, files: dict[str, bytes | int]) -> None:
    """As if these files were dropped on the page: each one's content, or how many zeros it has."""
    page.evaluate(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
            for (const type of ["dragover", "drop"]) {
                const options = {dataTransfer: transfer, bubbles: true, cancelable: true};
                document.body.dispatchEvent(new DragEvent(type, options));
            }
        }""",
        [[name, list(content) if isinstance(content, bytes) else content] for name, content in files.items()],
    )


@pytest.fixture
def throttle(page: Page) -> Callable[[int], None]:
    """``throttle(upload)`` lets no more than so many bytes go out in a second; -1: as many as can."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")

    def limit(upload: int) -> None:
        speeds = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload}
        network.send("Network.emulateNetworkConditions", speeds)

    return limit


Throttle = Callable[[int], None]


@pytest.fixture
def held(page: Page) -> list[Route]:
    """Uploads that do not go out."""
    routes: list[Route] = []
    page.route("**/files/", lambda route: routes.append(route) if route.request.method == "POST" else route.continue_())
    return routes


class TestUploads:
    def test_dropped_files_go_in_a_few_requests_and_appear(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/")
        expect(page.get_by_text("There is nothing here yet.")).to_be_visible()
        together, most = set(), []

        def hold(route: Route) -> None:
            together.add(route)
            most.append(len(together))
            if len(together) == 3:
                for held in list(together):
                    together.discard(held)
                    held.continue_()

        page.route("**/files/", lambda route: hold(route) if route.request.method == "POST" else route.continue_())
        drop(page, {"photo.png": PNG, **{f"{n}.bin": 4_900_000 for n in range(3)}})  # two are too much for one form
        expect(page.locator(".files > li")).to_have_count(4)
        assert max(most) == 3
        expect(page.get_by_role("status")).to_have_text("4 files uploaded")
        expect(page.locator(".queue")).to_be_hidden()
        image = page.locator(".files img").first
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1

    def test_the_bar_moves_on_a_slow_line_and_a_running_upload_keeps_the_page(
        self, page: Page, site: Site, throttle: Throttle
    ) -> None:
        page.goto(f"{site.address}/files/")
        throttle(50_000)
        page.get_by_label("Add files").set_input_files(
            {"name": "film.mp4", "mimeType": "video/mp4", "buffer": random.Random(1).randbytes(1_000_000)}
        )
        bar = page.get_by_role("progressbar", name="film.mp4")
        seen: list[float] = []
        while len(seen) < 2:
            page.wait_for_function("last => document.querySelector('progress')?.value > last", arg=max(seen, default=0))
            seen.append(bar.evaluate("bar => bar.value"))
        expect(page.locator(".queue .state")).to_have_text(re.compile(r"^[\d.]+ KiB/s, \d+ s left$"))
        prevented = "() => !window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
        assert page.evaluate(prevented) is True
        throttle(-1)
        listed(page, "film.mp4")
        assert page.evaluate(prevented) is False

    def test_one_is_canceled_and_sent_again(self, page: Page, site: Site, throttle: Throttle) -> None:
        page.goto(f"{site.address}/files/")
        throttle(20_000)
        drop(page, {"slow.bin": 500_000, "quick.txt": b"quick"})
        row = page.locator(".queue li", has_text="slow.bin")
        page.wait_for_function("() => document.querySelector('progress')?.value > 0")
        expect(page.locator(".queue li", has_text="quick.txt").locator(".state")).to_have_text("Waiting")
        row.get_by_role("button", name="Cancel").click()
        expect(row.locator(".state")).to_have_text("Canceled")
        expect(row.get_by_role("button", name="Retry")).to_be_focused()
        listed(page, "quick.txt")
        assert site.store().find("slow.bin") is None
        throttle(-1)
        page.keyboard.press("Enter")
        listed(page, "quick.txt", "slow.bin")

    def test_a_killed_connection_is_told_and_retried(self, page: Page, site: Site, complaints: list[str]) -> None:
        page.goto(f"{site.address}/files/")
        page.route("**/files/", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
        drop(page, {"a.txt": b"a"})
        row = page.locator(".queue li")
        expect(row.locator(".state")).to_have_text("The connection was lost")
        expect(page.get_by_role("status")).to_have_text("a.txt: The connection was lost")
        page.unroute("**/files/")
        row.get_by_role("button", name="Retry").click()
        listed(page, "a.txt")
        assert [text for text in complaints if "net::ERR_FAILED" not in text] == []  # the browser's own word for it
        complaints.clear()

    def test_limits_are_told_before_and_one_failure_stops_no_other(
        self, page: Page, site: Site, complaints: list[str]
    ) -> None:
        page.goto(f"{site.address}/files/")
        expect(page.locator(".upload .hint")).to_contain_text("At most 4.8 MiB each.")
        drop(page, {"large": 5_000_001, "..": b"x", "good": b"x"})
        listed(page, "good")
        expect(page.locator(".queue .state")).to_have_text(
            ["Larger than the limit of 4.8 MiB", re.compile("choose another one")]
        )
        expect(page.get_by_role("status")).to_have_text("1 uploaded, 2 failed")
        assert all("status of 400" in text for text in complaints)  # the server's word for ".."
        complaints.clear()

    def test_a_taken_name_is_told_its_version(self, page: Page, site: Site, throttle: Throttle) -> None:
        for _ in range(3):
            site.save("taken.txt", b"x")
        site.save("taken.txt.bak", b"x")
        page.goto(f"{site.address}/files/")
        throttle(20_000)
        drop(page, {"taken.txt": 200_000, "taken": b"new"})
        expect(page.get_by_role("dialog").get_by_role("listitem")).to_have_text(["taken.txt"])
        page.get_by_role("button", name="New version").click()
        row = page.locator(".queue li", has=page.get_by_text("taken.txt", exact=True))
        expect(row.locator(".note")).to_have_text("new version of an existing file")
        throttle(-1)
        expect(page.locator(".files").get_by_role("link", name="4 versions")).to_be_visible()
        listed(page, "taken", "taken.txt", "taken.txt.bak")

    def test_folders_are_kept(self, page: Page, site: Site, tmp_path: Path) -> None:
        (tmp_path / "trip" / "day 1").mkdir(parents=True)
        (tmp_path / "trip" / "a.txt").write_text("a")
        (tmp_path / "trip" / "day 1" / "b.txt").write_text("b")
        site.save("2026/old.txt", b"old")
        page.goto(f"{site.address}/files/?folder=2026/")
        with page.expect_file_chooser() as chooser:
            page.get_by_text("New", exact=True).click()
            page.get_by_role("button", name="Upload a folder").click()
        chooser.value.set_files(tmp_path / "trip")
        listed(page, "trip/", "old.txt")
        page.locator(".files").get_by_role("link", name="trip/").click()
        listed(page, "day 1/", "a.txt")
        page.locator(".listing").get_by_role("link", name="day 1/").click()
        expect(page.get_by_label("Path").get_by_role("listitem")).to_have_text(["Files", "2026", "trip", "day 1"])
        page.locator(".listing").get_by_role("link", name="b.txt").click()
        expect(page.locator(".preview pre")).to_have_text("b")
        expect(page).to_have_url(f"{site.address}/files/2026/trip/day%201/b.txt?details")

    def test_pictures_are_pasted_under_names_of_their_own(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/")
        page.evaluate(
            """() => {
                const clipboardData = new DataTransfer();
                for (const name of ["image.png", "image.jpg", "image.jpg", "image.jpg"])
                    clipboardData.items.add(new File(["x"], name, {type: "image/png"}));
                document.dispatchEvent(new ClipboardEvent("paste", {clipboardData}));
            }"""
        )
        names = page.locator(".files .name")
        expect(names).to_have_count(4)
        pasted, *others = sorted(names.all_inner_texts())
        assert re.fullmatch(r"Pasted \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.png", pasted)
        assert others == ["image (2).jpg", "image (3).jpg", "image.jpg"]
        assert all(row.versions == 1 for row in site.store().list().rows)


@pytest.fixture(scope="module")
def many(site: Site) -> Iterator[int]:
    """Documents of 5,000 files, one a day; nobody opens them. A page has the time that it needs on a busy machine."""
    begin = datetime(2010, 1, 1, tzinfo=UTC)
    site.store("many").writer("x").abort()  # for the indexes
    site.store("many").files.insert_many(
        {
            "_id": ObjectId(),
            "filename": f"f{number:04}.bin",
            "length": number,
            "chunkSize": 261120,
            "uploadDate": begin + timedelta(days=number),
            "contentType": "application/octet-stream",
        }
        for number in range(5000)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_BUDGET", 60)
        yield 5000


class TestBrowsing:
    def test_5000_files_page_by_page(self, page: Page, site: Site, many: int) -> None:
        page.goto(f"{site.address}/many/")
        seen = page.locator(NAMES).all_inner_texts()
        page.get_by_role("link", name="More files").click()
        page.wait_for_url("**cursor=**")
        seen += page.locator(NAMES).all_inner_texts()
        client, more = site.app.test_client(), page.get_by_role("link", name="More files").get_attribute("href")
        while more:
            answer = client.get(more, headers=JSON).json
            assert answer is not None
            seen += [file["filename"] for file in answer["files"]]
            more = answer["next"]
        assert seen == [f"f{number:04}.bin" for number in range(many)]

    @pytest.mark.parametrize(("order", "first"), [("Newest", "f4999"), ("Size", "f4999"), ("Type", "f0000")])
    def test_other_orders_and_a_search(self, page: Page, site: Site, many: int, order: str, first: str) -> None:
        page.goto(f"{site.address}/many/")
        page.locator(".menu summary", has_text="Order").click()
        page.get_by_label("Order").get_by_role("link", name=order).click()
        expect(page.locator(".files .name").first).to_have_text(f"{first}.bin")
        page.get_by_label("Search by name").fill("F12")
        page.keyboard.press("Enter")
        page.wait_for_url("**q=F12*")
        expect(page.locator(".files .name")).to_have_count(100)
        assert all("f12" in name for name in page.locator(NAMES).all_inner_texts())
        expect(page.get_by_label("Order").locator("[aria-current]")).to_have_text(order)
        page.get_by_label("Search by name").fill("nothing like it")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text("No files match “nothing like it”.")).to_be_visible()

    def test_previews_and_times_in_words(self, page: Page, site: Site) -> None:
        site.save("a.txt", b"first line\nsecond")
        site.save("b.png", PNG)
        site.save("empty.txt", b"")
        page.goto(f"{site.address}/files/")
        expect(page.locator(".files pre")).to_have_text("first line\nsecond")
        expect(page.locator(".files img")).to_have_count(1)
        expect(page.locator(".files time").first).to_have_text(re.compile("now|seconds? ago"))
        expect(page.locator(".files .size").first).to_have_attribute("title", "17 bytes")

    def test_a_table_stays_in_other_orders_searches_folders_and_pages(self, page: Page, site: Site, many: int) -> None:
        site.save("2026/a.txt", b"x")
        page.goto(f"{site.address}/files/")
        page.get_by_role("link", name="Table").click()
        headings = [re.compile(f"^{text}") for text in ("Name", "Type", "Size", "Uploaded", "Versions")]
        expect(page.get_by_role("columnheader")).to_have_text(headings)
        page.get_by_role("row", name="2026/").get_by_role("link").click()
        expect(page.get_by_role("row").nth(1)).to_have_text(re.compile(r"a\.txt\s+text/plain\s*1 byte"))
        expect(page.get_by_label("Order")).to_be_hidden()  # the heads are there for it
        page.get_by_role("columnheader", name="Uploaded").get_by_role("link").click()
        page.wait_for_url("**order=newest*")
        page.get_by_label("Search by name").fill("a")
        page.keyboard.press("Enter")
        page.wait_for_url("**q=a*")
        expect(page.get_by_role("columnheader")).to_have_text(headings)
        page.goto(f"{site.address}/many/?view=table")
        page.get_by_role("link", name="More files").click()
        expect(page.get_by_role("row").nth(1)).to_have_text(re.compile("^ *f0100.bin"))

    def test_names_that_begin_so(self, page: Page, site: Site, many: int) -> None:
        page.goto(f"{site.address}/many/?prefix=f499")
        listed(page, *(f"f499{last}.bin" for last in range(10)))

    def test_tiny_pictures_keep_their_size_and_large_ones_fill_the_tile(self, page: Page, site: Site) -> None:
        site.save("large.png", large_png())
        site.save("tiny.png", PNG)
        page.goto(f"{site.address}/files/")
        fits = "image => image.decode().then(() => getComputedStyle(image).objectFit)"
        assert [image.evaluate(fits) for image in page.locator(".files img").all()] == ["cover", "none"]

    def test_a_film_plays_and_seeks(self, page: Page, site: Site) -> None:
        site.save("films/waves.webm", FILM.read_bytes())
        page.goto(f"{site.address}/files/films/waves.webm?details")
        expect(page.get_by_label("Path").get_by_role("listitem")).to_have_text(["Files", "films"])
        place = page.locator("video").evaluate(
            """async film => {
                film.muted = true;
                await film.play();
                film.currentTime = 7;
                await new Promise(resolve => film.addEventListener("seeked", resolve, {once: true}));
                return [film.currentTime >= 7, film.videoWidth > 0];
            }"""
        )
        assert place == [True, True]

    def test_what_plays_is_not_taken_away_by_an_upload(self, page: Page, site: Site) -> None:
        site.save("waves.webm", FILM.read_bytes())
        page.goto(f"{site.address}/files/")
        page.locator("video").evaluate("async film => { film.muted = film.loop = true; await film.play(); }")
        drop(page, {"a.txt": b"a"})
        expect(page.get_by_role("status")).to_have_text("1 file uploaded")
        expect(page.locator(".queue .state")).to_have_text("Done")
        assert page.locator("video").evaluate("film => film.isConnected && !film.paused")

    def test_media_play_and_seek(self, page: Page, site: Site) -> None:
        """Sound: Debian's Chromium plays it as it plays films, in ranges."""
        sound = io.BytesIO()
        with wave.open(sound, "wb") as output:
            output.setparams((1, 1, 8000, 0, "NONE", ""))
            output.writeframes(random.Random(2).randbytes(8000 * 300))  # five minutes
        site.save("long.wav", sound.getvalue())
        page.goto(f"{site.address}/files/long.wav?details")
        with page.expect_response(lambda response: response.status == 206 and "id=" in response.url):
            place = page.locator("audio").evaluate(
                """async audio => {
                    audio.muted = true;
                    await audio.play();
                    audio.currentTime = 250;
                    await new Promise(resolve => audio.addEventListener("seeked", resolve, {once: true}));
                    return [audio.duration, audio.currentTime];
                }"""
            )
        assert place[0] == 300
        assert place[1] >= 250


class TestAFilesPage:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"permissions": ["clipboard-read", "clipboard-write"]}

    def test_versions_come_back_and_go(self, page: Page, site: Site) -> None:
        for content in (b"zero", b"one", b"two"):
            site.save("a.txt", content)
        page.goto(f"{site.address}/files/a.txt?details")
        expect(page.locator(".preview pre")).to_have_text("two")
        page.get_by_role("link", name="Version 1", exact=True).click()
        expect(page.locator(".preview pre")).to_have_text("zero")
        page.locator(".versions li", has_text="Version 1").get_by_role("button", name="Restore").click()
        expect(page.locator(".preview pre")).to_have_text("zero")
        expect(page.locator(".versions .number")).to_have_text([f"Version {n}" for n in (4, 3, 2, 1)])
        expect(page.get_by_role("button", name="Restore")).to_have_count(3)  # the newest one is it already
        page.get_by_role("link", name="Delete version 2…").click()
        expect(page.get_by_text("Only this version will be deleted")).to_be_visible()
        page.get_by_role("button", name="Delete").click()
        expect(page.locator(".versions .number")).to_have_count(3)
        page.get_by_role("link", name="Delete…", exact=True).first.click()
        page.get_by_role("link", name="Cancel").click()
        page.get_by_role("link", name="Delete…", exact=True).first.click()
        expect(page.get_by_text("All 3 versions will be deleted.")).to_be_visible()
        page.get_by_role("button", name="Delete").click()
        expect(page).to_have_url(f"{site.address}/files/")
        assert site.store().count("a.txt") == 0

    def test_links_are_copied(self, page: Page, site: Site) -> None:
        site.save("ä ?.txt", b"x")
        page.goto(f"{site.address}/files/%C3%A4%20%3F.txt?details")
        page.get_by_role("button", name="Copy link").click()
        expect(page.get_by_role("status")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == f"{site.address}/files/%C3%A4%20%3F.txt"
        page.get_by_role("button", name="Copy permanent link").click()
        expect(page.get_by_role("button", name="Copied")).to_have_count(2)
        assert "?id=" in page.evaluate("navigator.clipboard.readText()")

    def test_there_is_no_button_for_what_is_refused(self, page: Page, site: Site) -> None:
        site.save("a.txt", b"x", "own")
        site.save("a.txt", b"x", "own")
        page.goto(f"{site.address}/own/a.txt?details")
        expect(page.get_by_text("Restore")).to_have_count(1)
        assert page.get_by_text("Delete").count() == 0


AWKWARD = {
    "a" * 200 + ".txt": b"long",
    "تقرير سنوي.txt": "مرحبا".encode(),
    "‮gpj.exe": b"MZ",
    "empty.png": b"",
    "tiny.png": PNG,
    "sound.wav": b"RIFF",
    "film.mp4": b"\0\0\0\x18ftypisom",
    "notes.txt": b"notes\n" * 500,
    "paper.pdf": b"%PDF-1.4",
    "folder/inside.txt": b"x",
}


class TestForEverybody:
    TARGETS = (
        *[
            "",
            "?folder=folder/",
            "?view=table",
            "?q=nothing-at-all",
            "notes.txt?details",
            "tiny.png?details",
        ],
        *["notes.txt?versions", "notes.txt?delete", "missing", "sound.wav?details"],
    )

    @pytest.mark.parametrize("target", TARGETS)
    def test_axe_finds_nothing_and_nothing_sticks_out(
        self, page: Page, site: Site, complaints: list[str], target: str
    ) -> None:
        """All rules on each page; again on one of each width, and those of colours in the dark."""
        for name, content in AWKWARD.items():
            site.save(name, content)
        site.save("notes.txt", b"again")

        def axe(*rules: str) -> None:
            options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
            results = Axe().run(page, options=options)
            assert results.violations_count == 0, (page.viewport_size, results.generate_report())

        outside = "width => [...document.querySelectorAll('*')].filter("
        outside += "element => element.getBoundingClientRect().right > width).map(element => element.outerHTML)"
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(f"{site.address}/files/{target}")
        axe()
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(20, 22, 26)"
        axe("color-contrast")
        for width in (320, 1280, 3840):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, page.evaluate(outside, width)
            if target in ("", "?view=table", "notes.txt?details") and width != 1280:
                axe()
        ours = [text for text in complaints if "404" not in text and "416" not in text]
        assert ours == []
        complaints.clear()

    def test_an_upload_in_progress_is_accessible_too(self, page: Page, site: Site, held: list[Route]) -> None:
        page.goto(f"{site.address}/files/")
        drop(page, {"a.bin": 1000, "b.bin": 5_000_001})
        expect(page.locator(".queue li")).to_have_count(2)
        expect(page.get_by_role("status")).to_have_text("Uploading 2 files")
        expect(page.get_by_role("status")).to_have_class(re.compile("unseen"))  # the tray shows it
        assert Axe().run(page).violations_count == 0
        page.get_by_role("button", name="Cancel").click()

    def test_with_the_keyboard_alone(self, page: Page, site: Site) -> None:
        for content in (b"zero", b"one"):
            site.save("a.txt", content)
        page.goto(f"{site.address}/files/")

        def tab_to(name: str) -> None:
            reached = []
            for _ in range(40):
                page.keyboard.press("Tab")
                reached.append(
                    page.evaluate("(document.activeElement.ariaLabel ?? document.activeElement.innerText).trim()")
                )
                if reached[-1] == name:
                    return
            raise AssertionError((name, reached))

        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
        tab_to("Order")
        page.keyboard.press("Enter")
        tab_to("Newest")
        page.keyboard.press("Enter")
        page.wait_for_url("**order=newest*")
        tab_to("a.txt")
        page.keyboard.press("Enter")
        expect(page.locator(".versions .number")).to_have_count(2)
        tab_to("Restore version 1")
        page.keyboard.press("Enter")
        expect(page.locator(".versions .number")).to_have_count(3)
        tab_to("Delete…")
        page.keyboard.press("Enter")
        expect(page.get_by_text("This cannot be undone.")).to_be_visible()
        tab_to("Delete")
        page.keyboard.press("Enter")
        expect(page.get_by_text("There is nothing here yet.")).to_be_visible()


class TestWithoutScript:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"java_script_enabled": False, "viewport": {"width": 360, "height": 700}}

    def test_everything_works(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/files/?folder=docs/")
        for content in (b"zero", b"one"):
            page.get_by_label("Add files").set_input_files(
                {"name": "a.txt", "mimeType": "text/plain", "buffer": content}
            )
            page.get_by_role("button", name="Upload").click()
            expect(page.get_by_role("status")).to_contain_text("was added")
        expect(page).to_have_url(f"{site.address}/files/?folder=docs/")
        page.get_by_role("link", name="Table").click()
        page.get_by_role("link", name="a.txt").click()
        expect(page.locator(".preview pre")).to_have_text("one")
        expect(page.get_by_role("button", name="Copy link")).to_have_count(0)
        expect(page.get_by_role("link", name="/files/docs/a.txt", exact=True)).to_be_visible()
        page.get_by_role("button", name="Restore").click()
        expect(page.locator(".preview pre")).to_have_text("zero")
        page.get_by_role("link", name="Delete…", exact=True).first.click()
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_text("There is nothing here yet.")).to_be_visible()


class TestMadeOnesOwn:
    def test_title_and_stylesheet(self, page: Page, site: Site) -> None:
        page.goto(f"{site.address}/own/")
        expect(page).to_have_title("Our papers")
        colour = "getComputedStyle(document.querySelector('header')).backgroundColor"
        assert page.evaluate(colour) == "rgb(1, 2, 3)"

    def test_templates_and_their_blocks(self, page: Page, site: Site) -> None:
        own = (
            "{% extends 'flask_gridfs_pymongo/base.html' %}"
            "{% block header %}<p>Mine</p>{% endblock %}{% block main %}{{ files|length }} files{% endblock %}"
        )
        usual = site.app.jinja_loader
        site.app.jinja_loader = DictLoader({"flask_gridfs_pymongo/listing.html": own})  # type: ignore[misc]
        site.app.jinja_env.cache.clear()  # type: ignore[union-attr]
        try:
            page.goto(f"{site.address}/files/")
            expect(page.locator("header")).to_have_text("Mine")
            expect(page.locator("main")).to_have_text("0 files")
        finally:
            site.app.jinja_loader = usual  # type: ignore[misc]
            site.app.jinja_env.cache.clear()  # type: ignore[union-attr]

    def test_every_text_goes_through_one_place(
        self, page: Page, site: Site, held: list[Route], complaints: list[str]
    ) -> None:
        """The catalogue: all texts of all pages, in capitals."""
        for content in (b"zero", b"one"):
            site.save("a.txt", content)
        site.locale = CAPITALS
        try:
            for target in ("", "?folder=", "?q=none", "a.txt?details", "a.txt?versions", "a.txt?delete", "missing"):
                page.goto(f"{site.address}/files/{target}")
                text = page.locator("body").inner_text()
                text = re.sub(
                    r"4\.8 MiB|a\.txt|text/plain|/files/\S*|zero|“?none”?|one|[0-9a-f]{64}|\d+ BYTES|.* ago|now",
                    "",
                    text,
                )
                assert text.upper() == text, target
            page.goto(f"{site.address}/files/")
            drop(page, {"B.BIN": 1000, "C.BIN": 5_000_001})
            expect(page.locator(".queue")).to_contain_text("CANCEL")
            expect(page.locator(".queue")).to_contain_text("LARGER THAN THE LIMIT")
            page.get_by_role("button", name="CANCEL").click()
            site.locale = "de"
            page.goto(f"{site.address}/files/")
            drop(page, {"c.bin": 5_000_001})
            expect(page.locator(".queue .facts")).to_have_text("4,8 MiB  Größer als erlaubt (höchstens 4,8 MiB)")
        finally:
            site.locale = "en"
        assert [text for text in complaints if "404" not in text] == []
        complaints.clear()

    def test_json_twins(self, site: Site) -> None:
        """What a page shows is there as JSON, on the same URL."""
        for content in (b"zero", b"one"):
            site.save("docs/a.txt", content)
        client = site.app.test_client()
        wanted = {
            "/files/": ["files", "folders", "next", "order", "folder", "prefix", "q"],
            "/files/?folder=docs/": ["files", "folders", "next", "order", "folder", "prefix", "q"],
            "/files/docs/a.txt?versions": ["filename", "versions", "next"],
            "/files/docs/a.txt?details": [
                *["filename", "id", "length", "content_type", "upload_date", "sha256", "etag", "url", "permanent_url"]
            ],
            "/files/docs/a.txt?delete": ["filename", "versions", "single"],
            "/files/none": ["type", "title", "status", "detail"],
        }
        for target, keys in wanted.items():
            answer = client.get(target, headers={"Accept": "application/json"})
            assert set(keys) <= set(json.loads(answer.data)), target
        assert urlsplit(client.get("/files/", headers={"Accept": "text/html"}).request.url).path == "/files/"
