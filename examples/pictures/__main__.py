"""``python -m examples.pictures``: the pictures of the gallery's pages that README.rst shows, made with Chromium."""

from __future__ import annotations

import io
import math
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from flask import request
from flask_babel import Babel
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

from flask_gridfs_pymongo.serve.app import create_app
from flask_gridfs_pymongo.serve.mongod import running

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--disable-gpu"]
DESK, PHONE = (1080, 760), (360, 740)
TEXT = "Packing list\n\n- tent, two sleeping bags\n- stove and matches\n- the map of the lakes\n- rain coats\n"
FILES = {
    "budget.xlsx": b"PK\3\4" + bytes(18_000),
    "notes.txt": TEXT.encode(),
    "tickets.pdf": b"%PDF-1.4" + bytes(90_000),
}
PHOTOS = ("alps", "bay", "canyon", "dawn", "fjord", "hills", "island", "moor", "pass", "ridge", "valley", "volcano")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as port, sync_playwright() as playwright:
        app = create_app(f"mongodb://127.0.0.1:{port}/gallery", writable=True, demo=True)
        Babel(app, locale_selector=lambda: request.accept_languages.best_match(["en", "de"]))
        server = make_server("127.0.0.1", 0, app, threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.port}/"
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        fill(browser.new_page(), address)
        summer = f"{address}?folder=photos/2026/"
        picture(browser, "listing-light", address)
        picture(browser, "listing-dark", address, scheme="dark")
        picture(browser, "table-german", f"{address}?view=table", language="de-DE")
        picture(browser, "selection", summer, select)
        picture(browser, "viewer", summer, turn_over)
        picture(browser, "phone", summer, size=PHONE)
        picture(browser, "upload-light", address, upload)
        browser.close()
        server.shutdown()


def fill(page: Page, address: str) -> None:
    for name, content in FILES.items():
        page.request.put(f"{address}{name}", data=content)
    for number, name in enumerate(PHOTOS):
        content = photo(number)
        page.request.put(f"{address}photos/2026/{name}.jpg", data=content)
        if name in ("bay", "fjord", "valley"):
            page.request.put(f"{address}{name}.jpg", data=content)
    page.close()


def photo(seed: int, width: int = 1600, height: int = 1200) -> bytes:
    """Draw rows of hills below a sky."""
    chance = random.Random(seed)
    sky, haze = [tuple(chance.randrange(60, 250) for _ in range(3)) for _ in range(2)]
    shade = Image.linear_gradient("L").resize((width, height))
    bands = [shade.point([a + (b - a) * level // 255 for level in range(256)]) for a, b in zip(sky, haze, strict=True)]
    image = Image.merge("RGB", bands)
    for layer in range(4):
        wide, narrow, left, right = (
            chance.uniform(3, 9),
            chance.uniform(9, 30),
            chance.uniform(0, 6),
            chance.uniform(0, 6),
        )
        line = [
            (
                x,
                height
                * (
                    0.45
                    + 0.14 * layer
                    + 0.05 * math.sin(wide * x / width + left)
                    + 0.02 * math.sin(narrow * x / width + right)
                ),
            )
            for x in range(0, width + 20, 20)
        ]
        colour = tuple(int(part * (0.8 - 0.18 * layer)) for part in haze)
        ImageDraw.Draw(image).polygon([(0, height), *line, (width, height)], fill=colour)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    return data.getvalue()


def picture(
    browser: Browser,
    name: str,
    url: str,
    act: Callable[[Page], None] | None = None,
    *,
    scheme: str = "light",
    language: str = "en-US",
    size: tuple[int, int] = DESK,
) -> None:
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        locale=language,
    )
    page.goto(url, wait_until="networkidle")
    if act is not None:
        act(page)
    page.screenshot(path=HERE / f"{name}.png", animations="disabled")
    page.close()


def select(page: Page) -> None:
    for name in ("bay", "canyon", "fjord"):
        page.get_by_role("checkbox", name=f"Select {name}.jpg").check()


def turn_over(page: Page) -> None:
    page.get_by_role("link", name="canyon.jpg").click()
    page.get_by_role("link", name="Next").wait_for()
    page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name="dawn.jpg").wait_for()
    page.wait_for_load_state("networkidle")


def upload(page: Page) -> None:
    """Upload files over a slow connection."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000}
    network.send("Network.emulateNetworkConditions", limits)
    sizes = {"harbour at dawn.jpg": 1_000_000, "route.txt": 600_000, "film.mp4": 9_000_000}
    page.get_by_label("Add files").set_input_files(
        [{"name": name, "mimeType": "", "buffer": bytes(size)} for name, size in sizes.items()]
    )
    page.wait_for_function(
        "() => [...document.querySelectorAll('progress')].filter(bar => bar.value > 0.03).length > 1"
    )


if __name__ == "__main__":
    main()
