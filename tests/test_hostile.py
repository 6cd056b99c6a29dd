"""Files that want to run their scripts in our origin, opened in real Chromium."""

from __future__ import annotations

import io
import shutil
import struct
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from flask import Flask, redirect, request, url_for
from playwright.sync_api import Browser, Error, Page, sync_playwright
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from flask_gridfs_pymongo import PyMongo

from .conftest import missing
from .test_browser import FLAGS

SCRIPT = (
    "try{localStorage.setItem('pwned',1)}catch(e){}"
    "try{document.title='pwned'}catch(e){}"
    "try{parent.postMessage('pwned','*')}catch(e){}"
    "try{new Image().src='/pwned'}catch(e){}"
    "try{self.pwned=1}catch(e){}"
)
PAGE = f'<!doctype html><title>x</title><script>{SCRIPT}</script><img src=x onerror="{SCRIPT}">'
IMAGE = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{SCRIPT}"><script>{SCRIPT}</script></svg>'
XHTML = f'<html xmlns="http://www.w3.org/1999/xhtml"><head><script>{SCRIPT}</script></head></html>'
PDF = (
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert\\(1\\);this.pwned=1)>>>>endobj\n"
    "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n"
    "trailer<</Root 1 0 R>>"
)


def png_with_page() -> bytes:
    """A PNG signature and a text chunk that is a page."""
    text = b"tEXt" + PAGE.encode()
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(text) - 4) + text + b"\0\0\0\0"


def jar() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("index.html", PAGE)
    return archive.getvalue()


# The name, the content, and the type that a careless application stores; None: guessed, as for uploads.
HOSTILE: list[tuple[str, bytes, str | None]] = [
    ("page.html", PAGE.encode(), None),
    ("page.png", PAGE.encode(), None),
    ("page.txt", PAGE.encode(), None),
    ("page", PAGE.encode(), None),
    ("page.mp4", PAGE.encode(), None),
    ("chunk.png", png_with_page(), None),
    ("typed.png", PAGE.encode(), "TEXT/html ; charset=utf-7"),
    ("typed2", PAGE.encode(), "text/html,image/png"),
    ("typed3", PAGE.encode(), "text/html\r\nX-Evil: 1"),
    ("utf7.txt", b"+ADw-script+AD4-document.title='pwned'+ADw-/script+AD4-", "text/plain; charset=utf-7"),
    ("image.svg", IMAGE.encode(), None),
    ("image.svgz", IMAGE.encode(), None),
    ("image.gif", IMAGE.encode(), None),
    ("image", b"\n" * 5000 + IMAGE.encode(), None),
    ("page.xhtml", XHTML.encode(), None),
    ("page.xml", XHTML.encode(), None),
    ("style.xml", f'<?xml-stylesheet href="data:text/xsl,{SCRIPT}"?>{XHTML}'.encode(), "application/xslt+xml"),
    ("poly.gif", f"GIF89a/*{' ' * 20}*/=1;{SCRIPT}".encode(), None),
    ("script.js", SCRIPT.encode(), None),
    ("script.mjs", SCRIPT.encode(), "application/x-javascript"),
    ("script.txt", SCRIPT.encode(), None),
    ("script.json", SCRIPT.encode(), "application/json"),
    ("script.jpg", SCRIPT.encode(), None),
    ("old.txt", SCRIPT.encode(), "text/javascript1.5"),
    ("paper.pdf", PDF.encode(), None),
    ("files.zip", jar(), None),
    ("mail.mht", f"Content-Type: text/html\r\n\r\n{PAGE}".encode(), None),
    ('"><script>document.title="pwned"</script>.txt', b"a name", None),
    ("<img src=x onerror=document.title='pwned'>", PAGE.encode(), None),
    ("javascript:document.title='pwned'", b"a name", None),
]
NAMES = [name for name, _, _ in HOSTILE]


@dataclass
class Origin:
    """Our server, which counts who calls ``/pwned``."""

    address: str
    calls: list[str] = field(default_factory=list)

    def url(self, target: str, name: str) -> str:
        return f"{self.address}{target}?name={NAMES.index(name)}"


@pytest.fixture(scope="module")
def origin(mongod: str) -> Iterator[Origin]:
    app = Flask("hostile")
    mongo = PyMongo(app, uri=f"{mongod}/test_hostile")
    mongo.cx.drop_database("test_hostile")
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", authorize=lambda action, filename: True))
    ids = [
        mongo.save_file(name, io.BytesIO(content), content_type=content_type) for name, content, content_type in HOSTILE
    ]
    found = Origin("")

    def url() -> str:
        return url_for("uploads.index", id=ids[int(request.args["name"])])

    @app.get("/embed")
    def embed() -> str:
        """A page of ours, without a policy of its own, that uses the file in every way."""
        listen = "<script>messages=[];addEventListener('message',event=>messages.push(event.data))</script>"
        ways = "<img src='{0}'><iframe src='{0}'></iframe><object data='{0}'></object><embed src='{0}'>"
        ways += "<script src='{0}'></script><script type=module src='{0}'></script><link rel=stylesheet href='{0}'>"
        ways += "<video src='{0}'></video><audio src='{0}'></audio><iframe src='/sent?name={1}'></iframe>"
        return f"<!doctype html><title>ours</title>{listen}{ways.format(url(), request.args['name'])}"

    @app.get("/file")
    def file() -> Response:
        return redirect(url())

    @app.get("/sent")
    def sent() -> Response:
        return mongo.send_file(NAMES[int(request.args["name"])])

    @app.get("/pwned")
    def pwned() -> str:
        found.calls.append(request.headers.get("Referer", "?"))
        return ""

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()
    mongo.cx.drop_database("test_hostile")
    mongo.cx.close()


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
    page = browser.new_page()
    yield page
    page.close()


def nothing_ran(page: Page, origin: Origin) -> None:
    """Nobody called, and nothing is left in what all pages of our origin share."""
    page.goto(f"{origin.address}/uploads/?asset=uploads.css")
    assert page.evaluate("localStorage.getItem('pwned')") is None
    assert origin.calls == []


@pytest.mark.parametrize("name", NAMES)
def test_opened_as_a_page(page: Page, origin: Origin, name: str) -> None:
    for target in ("/file", "/sent"):
        try:
            page.goto(origin.url(target, name))
            assert page.title() != "pwned"
        except Error as error:
            assert "Download is starting" in str(error) or "ERR_ABORTED" in str(error)  # noqa: PT017
    nothing_ran(page, origin)


@pytest.mark.parametrize("name", NAMES)
def test_used_by_a_page_of_ours(page: Page, origin: Origin, name: str) -> None:
    page.goto(origin.url("/embed", name))
    assert page.evaluate("[document.title, messages, self.pwned]") == ["ours", [], None]
    nothing_ran(page, origin)


def test_the_corpus_does_run_where_nobody_guards_it(page: Page, origin: Origin) -> None:
    """Else all of the above would prove nothing."""
    page.route("**/unguarded/*", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(f"{origin.address}/unguarded/page")
    assert page.title() == "pwned"
    assert page.evaluate("localStorage.getItem('pwned')") == "1"
    page.evaluate("localStorage.clear()")
    page.request.get(f"{origin.address}/pwned")
    assert origin.calls
    origin.calls.clear()


def test_our_own_pages_show_hostile_names_as_text(page: Page, origin: Origin) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{origin.address}/uploads/")
    assert page.get_by_text("script>.txt").count() == 1
    targets = page.locator("a").evaluate_all("links => links.map(link => link.href)")
    assert targets
    assert all(target.startswith(f"{origin.address}/uploads/") for target in targets)
    assert page.title() != "pwned"
    assert [text for text in complaints if "Failed to load resource" not in text] == []
    nothing_ran(page, origin)


def test_a_form_of_another_site_changes_nothing(page: Page, origin: Origin) -> None:
    form = (
        f"<form method=post enctype=multipart/form-data action='{origin.address}/uploads/page.txt?delete'>"
        "<input name=file value=x></form><script>document.forms[0].submit()</script>"
    )
    page.route("http://evil.example/", lambda route: route.fulfill(body=form, content_type="text/html"))
    with page.expect_response(lambda response: "?delete" in response.url) as sent:
        page.goto("http://evil.example/")
    assert sent.value.status == 403
    assert page.request.get(f"{origin.address}/uploads/page.txt?versions").ok
