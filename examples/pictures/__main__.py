"""``python -m examples.pictures``: the pictures of the gallery's pages that README.rst shows, made with Chromium."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from playwright.sync_api import Browser, Page, Route, sync_playwright
from werkzeug.serving import make_server

from ..gallery.app import create_app
from ..mongod import running

HERE = Path(__file__).parent
SIZE = {"width": 1080, "height": 760}
FLAGS = ["--no-sandbox", "--disable-gpu"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as port, sync_playwright() as playwright:
        server = make_server("127.0.0.1", 0, create_app(f"mongodb://127.0.0.1:{port}/gallery"), threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.port}/files/"
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        browser.new_page().request.put(f"{address}welcome.txt", data="Welcome!\n\nAll of this is in MongoDB.\n")
        for scheme in ("light", "dark"):
            picture(browser, scheme, "listing", address)
            picture(browser, scheme, "file", f"{address}welcome.txt?details")
        for scheme in ("light", "dark"):
            picture(browser, scheme, "upload", address, upload)
        browser.close()
        server.shutdown()


def picture(browser: Browser, scheme: str, name: str, url: str, act: Callable[[Page], None] | None = None) -> None:
    page = browser.new_page(viewport=SIZE, color_scheme="dark" if scheme == "dark" else "light")
    page.goto(url, wait_until="networkidle")
    if act is not None:
        act(page)
    page.screenshot(path=HERE / f"{name}-{scheme}.png", animations="disabled")
    page.close()


def upload(page: Page) -> None:
    """Add files on a line that is slow, and fail where a picture should show a failure."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000}
    network.send("Network.emulateNetworkConditions", limits)
    page.route("**/files/", refuse_first)
    sizes = {"clouds.jpg": 1000, "harbour at dawn.jpg": 1_000_000, "welcome.txt": 600_000, "film.mp4": 9_000_000}
    page.get_by_label("Add files").set_input_files(
        [{"name": name, "mimeType": "", "buffer": bytes(size)} for name, size in sizes.items()]
    )
    page.wait_for_function(
        "() => [...document.querySelectorAll('progress')].filter(bar => bar.value > 0.05).length > 2"
    )


def refuse_first(route: Route) -> None:
    if route.request.method == "POST" and b"clouds.jpg" in (route.request.post_data_buffer or b"")[:1000]:
        route.abort()
    else:
        route.continue_()


if __name__ == "__main__":
    main()
