"""``python -m benchmarks.pages``: when pages are painted, and how far they move, on a slow phone with a slow network.

A folder of 25 photos, cold, over what Chromium's tools call Fast 3G, with the processor slowed four times; the median
of five loads: the largest contentful paint (good: below 2.5 s) and the cumulative layout shift (good: below 0.1).
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path
from threading import Thread
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

from examples.pictures.__main__ import photo
from flask_gridfs_pymongo.serve.app import create_app
from flask_gridfs_pymongo.serve.mongod import running

FAST_3G = {"offline": False, "latency": 562.5, "downloadThroughput": 180_000, "uploadThroughput": 84_375}
LOADS = 5
MEASURE = """
window.paint = window.shift = 0;
const watch = (type, note) =>
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({type, buffered: true});
watch("largest-contentful-paint", (entry) => (paint = entry.startTime));
watch("layout-shift", (entry) => (shift += entry.value));
"""
PAGES = {
    "the listing": "?folder=photos/",
    "the table": "?folder=photos/&view=table",
    "a photo": "photos/1.jpg?details",
    "a text": "notes.txt?details",
    "an empty folder": "?folder=none/",
    "a question": "notes.txt?delete",
}


def load(browser: Browser, url: str, width: int) -> tuple[float, float]:
    """Return milliseconds and the shift of one cold load."""
    with browser.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        page.add_init_script(MEASURE)
        tools = context.new_cdp_session(page)
        tools.send("Network.enable")
        tools.send("Network.emulateNetworkConditions", FAST_3G)
        tools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        page.goto(url, wait_until="networkidle", timeout=60_000)
        found: Any = page.evaluate("[paint, shift]")
        return found[0], found[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as port, sync_playwright() as playwright:
        app = create_app(f"mongodb://127.0.0.1:{port}/gallery", writable=True, demo=True)
        client = app.test_client()
        client.put("/notes.txt", data=b"notes\n" * 50)
        for number in range(25):
            client.put(f"/photos/{number}.jpg", data=photo(number, 3000, 2000))
            for variant in ("thumb", "large"):
                client.get(f"/photos/{number}.jpg?variant={variant}", headers={"Accept": "image/webp,*/*"})
        server = make_server("127.0.0.1", 0, app, threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, target in PAGES.items():
            for width in (1280, 390):
                found = [load(browser, f"http://127.0.0.1:{server.port}/{target}", width) for _ in range(LOADS)]
                paint, shift = (statistics.median(values) for values in zip(*found, strict=True))
                print(f"{name:16} {width:5} px  LCP {paint / 1000:.2f} s  CLS {shift:.3f}", flush=True)
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
