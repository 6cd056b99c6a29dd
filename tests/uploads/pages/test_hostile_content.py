"""Files that want to run their scripts in our origin, opened in real Chromium."""

from __future__ import annotations

import io
import struct
import wave
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from flask import Flask, redirect, request, url_for
from playwright.sync_api import Browser, BrowserContext, Error, Page
from werkzeug.wrappers import Response

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.mimetype import guess

from ...conftest import serving
from ...helpers.pages import note_errors
from ...helpers.pictures import picture

# Where it runs it says so in every way it can; "pwned" is followed by the number of the file in HOSTILE.
SCRIPT = (
    "try{localStorage.setItem('pwned',1)}catch(e){}"
    "try{document.title='pwned'}catch(e){}"
    "try{parent.postMessage('pwned','*')}catch(e){}"
    "try{new Image().src='/pwned'}catch(e){}"
    "try{self.pwned=1}catch(e){}"
    "try{postMessage('pwned')}catch(e){}"
)
PAGE = f'<!doctype html><title>x</title><script>{SCRIPT}</script><img src=x onerror="{SCRIPT}">'
IMAGE = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{SCRIPT}"><script>{SCRIPT}</script></svg>'
XHTML = f'<html xmlns="http://www.w3.org/1999/xhtml"><head><script>{SCRIPT}</script></head></html>'
PDF = (
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R"
    "/OpenAction<</S/JavaScript/JS(app.alert\\(1\\);this.pwned=1)>>>>endobj\n"
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
    ("style.css", b"html{background:url(/pwned)}", None),
    ("style.txt", b"html{background:url(/pwned)}", "text/css"),
    ("old.txt", SCRIPT.encode(), "text/javascript1.5"),
    ("paper.pdf", PDF.encode(), None),
    ("files.zip", jar(), None),
    ("mail.mht", f"Content-Type: text/html\r\n\r\n{PAGE}".encode(), None),
    ('"><script>document.title="pwned"</script>.txt', b"a name", None),
    ("<img src=x onerror=document.title='pwned'>", PAGE.encode(), None),
    ("javascript:document.title='pwned'", b"a name", None),
]
NAMES = [name for name, _, _ in HOSTILE]
CONTENTS = [content.replace(b"pwned", b"pwned%d" % number) for number, (_, content, _) in enumerate(HOSTILE)]
WAYS = (
    "<img src='{0}'><iframe src='{0}'></iframe><object data='{0}'></object><embed src='{0}'>"
    "<script src='{0}'></script><script type=module src='{0}'></script><link rel=stylesheet href='{0}'>"
    "<video src='{0}'></video><audio src='{0}'></audio>"
)
# Gathers what the files say; workers are no elements.
LISTEN = """<!doctype html><title>ours</title><script>
    said = [];
    hear = event => said.push(event.data);
    addEventListener('message', hear);
    started = [];
    function start(url) {
        for (const type of ['classic', 'module'])
            started.push(new Promise(done => {
                const worker = new Worker(url, {type});
                worker.onmessage = event => { hear(event); done(); };
                worker.onerror = done;
            }));
        started.push(navigator.serviceWorker.register(url).then(() => said.push('service worker'), () => 0));
    }
</script>"""
HEARD = """async () => {
    await Promise.all(started);
    return [document.title, ...said, ...Object.keys(self).filter(name => name.startsWith('pwned'))];
}"""


@dataclass
class Origin:
    """Our server, which counts who calls ``/pwned*``."""

    address: str
    calls: list[str] = field(default_factory=list)

    def url(self, target: str, *names: str) -> str:
        return f"{self.address}{target}?" + "&".join(f"file={NAMES.index(name)}" for name in names)


@pytest.fixture(scope="module")
def origin(mongod: str) -> Iterator[Origin]:
    app = Flask("hostile")
    mongo = PyMongo(app, uri=f"{mongod}/test_hostile")
    mongo.cx.drop_database("test_hostile")
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", authorize=lambda action, filename: True))
    ids = [
        mongo.save_file(name, io.BytesIO(content), content_type=content_type)
        for (name, _, content_type), content in zip(HOSTILE, CONTENTS, strict=True)
    ]
    found = Origin("")

    @app.get("/embed")
    def embed() -> str:
        """A page of ours, without a policy of its own, that uses files in every way."""
        urls = [
            url
            for number in request.args.getlist("file")
            for url in (url_for("uploads.index", id=ids[int(number)]), url_for("sent", file=number))
        ]
        return LISTEN + "".join(f"{WAYS.format(url)}<script>start('{url}')</script>" for url in urls)

    @app.get("/file")
    def file() -> Response:
        return redirect(url_for("uploads.index", id=ids[int(request.args["file"])]))

    @app.get("/sent")
    def sent() -> Response:
        return mongo.send_file(NAMES[int(request.args["file"])])

    @app.get("/careless")
    def careless() -> Response:
        """The file as a server without a guard sends it."""
        number = int(request.args["file"])
        return Response(CONTENTS[number], content_type=guess(NAMES[number], CONTENTS[number]))

    @app.get("/careless/picture")
    def careless_picture() -> Response:
        return Response(picture(), content_type="image/png")

    @app.get("/careless/album")
    def album() -> str:
        targets = ("/uploads/good.png", "/uploads/good.png?download", "/careless/picture")
        return "".join(f"<img src='{request.args['of']}{target}'>" for target in targets)

    @app.get("/careless/embed")
    def careless_embed() -> str:
        url = url_for("careless", file=request.args["file"])
        return f"{LISTEN}{WAYS.format(url)}<script>start('{url}')</script>"

    @app.get("/pwned<int:number>")
    def pwned(number: int) -> str:
        found.calls.append(NAMES[number])
        return ""

    with serving(app) as found.address:
        yield found
    mongo.cx.drop_database("test_hostile")
    mongo.cx.close()


@pytest.fixture
def context(browser: Browser, origin: Origin) -> Iterator[BrowserContext]:
    origin.calls.clear()
    with browser.new_context() as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def traces(page: Page, origin: Origin) -> list[str]:
    """Who called, and what is left in what all pages of our origin share."""
    page.goto(f"{origin.address}/uploads/?asset=uploads.css")
    left: list[str] = page.evaluate("Object.keys(localStorage)")
    return [*left, *origin.calls]


def opened(page: Page, url: str) -> str:
    """What the page's title is then; a download has none."""
    try:
        page.goto(url)
    except Error as error:
        assert "Download is starting" in str(error) or "ERR_ABORTED" in str(error)  # noqa: PT017
        return ""
    return page.title()


@pytest.mark.parametrize("target", ["/file", "/sent"])
def test_opened_as_pages(page: Page, origin: Origin, target: str) -> None:
    titles = [opened(page, origin.url(target, name)) for name in NAMES]
    assert [title for title in titles if title.startswith("pwned")] == []
    assert traces(page, origin) == []


@pytest.mark.parametrize("start", range(0, len(NAMES), 8))
def test_used_by_a_page_of_ours(page: Page, origin: Origin, start: int) -> None:
    page.goto(origin.url("/embed", *NAMES[start : start + 8]))
    assert page.evaluate(HEARD) == ["ours"]
    assert traces(page, origin) == []


@pytest.mark.parametrize(
    ("page_of", "name"),
    [
        ("/careless", "page.html"),
        ("/careless", "page"),
        ("/careless", "page.xhtml"),
        ("/careless", "image.svg"),
        ("/careless", "image.gif"),
        ("/careless/embed", "page.png"),
        ("/careless/embed", "image.svg"),
        ("/careless/embed", "script.js"),
        ("/careless/embed", "script.txt"),
        ("/careless/embed", "script.json"),
    ],
)
def test_these_run_where_nobody_guards_them(page: Page, origin: Origin, page_of: str, name: str) -> None:
    """Else the tests above would prove nothing."""
    payload = f"pwned{NAMES.index(name)}"
    opened(page, origin.url(page_of, name))
    if page_of == "/careless":
        assert page.title() == payload
    else:
        heard = page.evaluate(HEARD)
        assert payload in heard
        assert ("service worker" in heard) is (name == "script.js")
    found = traces(page, origin)
    assert payload in found
    assert name in found


@pytest.mark.parametrize("name", ["style.css"])
def test_a_style_sheet_acts_where_nobody_guards_it(page: Page, origin: Origin, name: str) -> None:
    page.goto(origin.url("/careless/embed", name))
    assert name in traces(page, origin)


def sound() -> bytes:
    """A second of silence."""
    written = io.BytesIO()
    with wave.open(written, "wb") as output:
        output.setparams((1, 1, 8000, 0, "NONE", ""))
        output.writeframes(bytes(8000))
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "what_is_seen"),
    [
        ("good.png", picture(), "document.images[0].naturalWidth === 1"),
        ("good.txt", b"Hello", "document.body.innerText === 'Hello'"),
        ("good.wav", sound(), "document.querySelector('video')?.readyState === 4"),
    ],
)
def test_a_harmless_file_is_shown_without_a_complaint(
    page: Page, origin: Origin, name: str, content: bytes, what_is_seen: str
) -> None:
    errors: list[str] = []
    note_errors(page, errors)
    target = f"{origin.address}/uploads/{name}"
    page.request.put(target, data=content)
    page.goto(target)
    page.wait_for_function(what_is_seen)
    page.request.delete(target)
    assert [text for text in errors if "favicon" not in text] == []


def test_pictures_are_shown_by_our_pages_and_by_no_other_site(page: Page, origin: Origin) -> None:
    """Also one that is an attachment, so that a page of ours can show what nobody may open."""
    target = f"{origin.address}/uploads/good.png"
    page.request.put(target, data=picture())
    for site, ours in ((origin.address, 1), (origin.address.replace("127.0.0.1", "localhost"), 0)):
        page.goto(f"{site}/careless/album?of={origin.address}")
        widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert widths == [ours, ours, 1]
    page.request.delete(target)


def test_our_own_pages_show_hostile_names_as_text(page: Page, origin: Origin) -> None:
    errors: list[str] = []
    note_errors(page, errors)
    page.goto(f"{origin.address}/uploads/?flat=1")
    assert page.get_by_text("script>.txt").count() == 1
    targets = page.locator("a").evaluate_all("links => links.map(link => link.href)")
    assert targets
    assert all(target.startswith(f"{origin.address}/uploads/") for target in targets)
    for name in NAMES[-3:]:
        found = page.request.get(
            f"{origin.address}/uploads/?prefix={quote(name)}", headers={"Accept": "application/json"}
        )
        (file,) = found.json()["files"]
        for query in ("details", "versions", "delete"):
            page.goto(f"{origin.address}{file['url']}?{query}")
            shown = page.locator("body").inner_text()
            assert all(part in shown for part in name.split("/"))  # its folders are links of their own
            assert not page.title().startswith("pwned")
    assert [text for text in errors if "Failed to load resource" not in text] == []
    assert traces(page, origin) == []


@pytest.mark.parametrize("target", ["page.txt?delete", "page.txt?restore", "page.txt", ""])
def test_a_form_of_another_site_changes_nothing(page: Page, origin: Origin, target: str) -> None:
    form = (
        f"<form method=post enctype=multipart/form-data action='{origin.address}/uploads/{target}'>"
        "<input type=file name=file></form><script>"
        "const files = new DataTransfer(); files.items.add(new File(['x'], 'evil.txt'));"
        "document.querySelector('input').files = files.files; document.forms[0].submit()</script>"
    )
    page.route("http://evil.example/", lambda route: route.fulfill(body=form, content_type="text/html"))
    with page.expect_response(lambda response: response.request.method == "POST") as sent:
        page.goto("http://evil.example/")
    assert sent.value.status == 403
    json = {"Accept": "application/json"}
    versions = page.request.get(f"{origin.address}/uploads/page.txt?versions", headers=json).json()["versions"]
    assert len(versions) == 1
    assert not page.request.get(f"{origin.address}/uploads/evil.txt").ok
