"""The pages, the form and the listing in the layouts of applications: nothing of ours touches them, nor they ours."""

from __future__ import annotations

import io
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template, request, send_from_directory
from flask.testing import FlaskClient
from flask_admin import Admin, BaseView, expose
from flask_admin.theme import Bootstrap4Theme
from flask_babel import Babel
from jinja2 import ChoiceLoader, DictLoader
from playwright.sync_api import Page, expect

from flask_gridfs_pymongo import PyMongo

from ...conftest import HTML, Client, everyone, form, missing, nothing_stored, serving
from ...helpers.pages import contrasts, styles
from ...helpers.pictures import PNG

LAYOUT = """<!doctype html>
<html lang="en"><head><title>{% block title %}Shop{% endblock %}</title>
{% if request.cookies.sheet %}<link rel="stylesheet" href="{{ request.cookies.sheet }}">{% endif %}
{% block head %}{% endblock %}</head>
<body>
<header class="card">Shop</header><nav class="path"><a href="/">Home</a> <button>Buy</button></nav>
<main><h1>Shop</h1><h2 class="status">News</h2>{% block content %}{% endblock %}</main>
<dl><dt>a</dt><dd>b</dd></dl><table class="files"><tr><th>c</th><td>d</td></tr></table><code>e</code>
<form><label>f <input type="text"></label><progress></progress></form><footer id="status" class="name">g</footer>
</body></html>"""
BASE = """{% extends "layout.html" %}
{% from "flask_gridfs_pymongo/macros.html" import assets with context %}
{% block head %}{{ assets() }}{% endblock %}{% block content %}{% block main %}{% endblock %}{% endblock %}"""
IMPORT = '{% from "flask_gridfs_pymongo/macros.html" import files_listing, upload_form %}'
FORM = (
    '{% extends "layout.html" %}' + IMPORT + '{% block content %}{{ upload_form("uploads.index", "cv/",'
    "accept=options.accept, multiple=not options.one, folders=not options.flat, label=options.label) }}{% endblock %}"
)
TWO = (
    '{% extends "layout.html" %}' + IMPORT + "{% block content %}"
    '<section id="form">{{ upload_form("pictures.index") }}</section>'
    '<section id="list">{{ files_listing("uploads.index", "photos/", order="-name", view="table") }}</section>'
    "{% endblock %}"
)
ADMIN = (
    '{% extends "admin/master.html" %}' + IMPORT + '{% block body %}{{ upload_form("uploads.index", "cv/") }}'
    '{{ files_listing("uploads.index") }}{% endblock %}'
)
# What a layout may do to bare elements, to elements with our classes, and to what is inherited.
HOSTILE = """
html { font: italic 700 1rem/3 serif; letter-spacing: 4px; text-transform: uppercase; text-align: right; color: #eee }
body { background: #222; text-shadow: 1px 1px red; word-spacing: 9px; cursor: help }
a, button, input[type][name], h1, dt, code, td, th, li, summary, label, p, pre, time, select, form, nav
  { all: unset; color: #eee; font: 900 40px fantasy; padding: 50px; background: #eee; float: right }
.card, .name, .files, .upload, .icon, .path ol, .listing .summary, .queue li:not(.x):not(.y)
  { display: none; color: #fff; background: #fff }
ul li::before, summary::after, p::after { content: "hostile" }
[hidden] { display: block }
"""
PAGES = [
    *["/two", "/uploads/", "/uploads/?view=table&folder=photos/", "/uploads/a.txt?details", "/uploads/a.txt?delete"],
]


class Files(BaseView):  # type: ignore[misc]
    @expose("/")
    def index(self) -> str:
        return str(self.render("admin-files.html"))


class Shop:
    address: str

    def __init__(self, mongod: str, packages: Path) -> None:
        self.app = app = Flask("shop")
        app.secret_key = "of a test"
        Babel(app)  # Flask-Admin wants it if it is installed
        templates = {"layout.html": LAYOUT, "form.html": FORM, "two.html": TWO, "admin-files.html": ADMIN}
        app.jinja_loader = DictLoader({**templates, "flask_gridfs_pymongo/base.html": BASE})  # type: ignore[misc]
        self.mongo = mongo = PyMongo(app, uri=f"{mongod}/test_layouts")
        mongo.cx.drop_database("test_layouts")
        options: dict[str, Any] = {"authorize": everyone, "metadata": ("title",), "share": 60}
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", **options))
        pictures: dict[str, Any] = {"types": ["image/*"], "base": "pictures", "max_size": 1000}
        app.register_blueprint(mongo.uploads_blueprint("pictures", url_prefix="/pictures", **pictures))
        for swatch in ("default", "darkly"):
            admin = Admin(app, theme=Bootstrap4Theme(swatch=swatch), url=f"/{swatch}", endpoint=swatch)
            admin.add_view(Files(name="Files", endpoint=f"{swatch}-files", url=f"/{swatch}/files/"))
        app.add_url_rule("/hostile.css", "hostile", lambda: app.response_class(HOSTILE, mimetype="text/css"))
        app.add_url_rule("/npm/<path:name>", "npm", lambda name: send_from_directory(packages, name))
        app.add_url_rule("/form", "form", lambda: render_template("form.html", options=request.args))
        app.add_url_rule("/two", "two", lambda: render_template("two.html"))
        with app.app_context():
            for name in ("a.txt", "a.txt", "b.png", "photos/2026/c.png", "photos/d.txt"):
                mongo.save_file(name, io.BytesIO(PNG if name.endswith("png") else b"text"), metadata={"title": "x"})

    def stored(self, base: str = "fs") -> set[str]:
        return set(self.mongo.db[f"{base}.files"].distinct("filename"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("npm")


@pytest.fixture(scope="module")
def frameworks(packages: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        missing("install npm, which brings Bootstrap, Pico and Bulma")
    quiet = ("--no-audit", "--no-fund", "--silent", "--prefix", str(packages))
    names = ("bootstrap@5", "@picocss/pico@2", "bulma@1")
    subprocess.run([npm, "install", *quiet, *names], cwd=packages, check=True, timeout=120)
    return packages / "node_modules"


@pytest.fixture(scope="module")
def shop(mongod: str, packages: Path) -> Iterator[Shop]:
    shop = Shop(mongod, packages)
    with serving(shop.app) as shop.address:
        yield shop
    shop.mongo.cx.drop_database("test_layouts")
    shop.mongo.cx.close()


@pytest.fixture
def provoked() -> str:
    return "404|NAME_NOT_RESOLVED"


def show(page: Page, shop: Shop, target: str, sheet: str = "") -> None:
    page.context.add_cookies([{"name": "sheet", "value": sheet, "url": shop.address}])
    page.goto(f"{shop.address}{target}")
    for choice in page.locator(".fgp .select-all").all():
        choice.evaluate("box => box.click()")
    page.wait_for_load_state("networkidle")  # scripts that come late add elements
    page.locator(".fgp details").evaluate_all("all => all.forEach(one => Object.assign(one, {name: '', open: true}))")


def is_legible(page: Page, *about: str) -> None:
    found = contrasts(page)
    assert len(found) > 2, about
    assert {text: ratio for text, ratio in found.items() if ratio < 4.5} == {}, about


OURS = ".fgp, .fgp *"


def differences(found: list[dict[str, str]], usual: list[dict[str, str]]) -> list[tuple[str, str, str | None]]:
    pairs = zip(found, usual, strict=True)
    return [(one["class"], name, one.get(name)) for one, two in pairs for name, _ in one.items() ^ two.items()]


@pytest.mark.parametrize("target", PAGES)
def test_a_layout_and_what_is_ours_leave_each_other_alone(page: Page, shop: Shop, target: str) -> None:
    outside = ":is(html, body, body *):not(.fgp, .fgp *, link, script)"
    switch = "off => [...document.styleSheets].find(sheet => sheet.href?.includes('uploads.css')).disabled = off"
    show(page, shop, target)
    plain = styles(page, OURS)
    show(page, shop, target, "/hostile.css")
    assert differences(styles(page, OURS), plain) == []
    is_legible(page, target)
    with_ours = styles(page, outside)
    page.evaluate(switch, True)
    assert differences(styles(page, outside), with_ours) == []
    assert page.evaluate("getComputedStyle(document.querySelector('header')).display") == "none"  # the layout's own


@pytest.mark.clients
@pytest.mark.parametrize("target", ["/two", "/uploads/", "/uploads/a.txt?details"])
@pytest.mark.parametrize(
    ("sheet", "attribute", "asks_system"),
    [
        ("bootstrap/dist/css/bootstrap.min.css", "bsTheme", False),
        ("@picocss/pico/css/pico.min.css", "theme", True),
        ("bulma/css/bulma.min.css", "theme", False),
    ],
)
def test_frameworks(
    page: Page, shop: Shop, frameworks: Path, sheet: str, attribute: str, asks_system: bool, target: str
) -> None:
    """The name of the theme's attribute, and whether the system decides without one."""
    grounds = {"light": "rgb(246, 247, 249)", "dark": "rgb(20, 22, 26)"}
    show(page, shop, target)
    plain = styles(page, OURS)
    page.emulate_media(color_scheme="light")
    show(page, shop, target, f"/npm/node_modules/{sheet}")
    page.evaluate("document.documentElement.style.fontSize = '16px'")  # sizes follow the layout's
    found = [{**one, "color-scheme": "normal"} for one in styles(page, OURS)]
    assert differences(found, [{**one, "color-scheme": "normal"} for one in plain]) == []
    for theme, system in ((None, "dark"), (None, "light"), ("dark", "light"), ("light", "dark")):
        page.emulate_media(color_scheme=system)  # type: ignore[arg-type]
        choose = "([name, theme]) => theme && (document.documentElement.dataset[name] = theme)"
        page.evaluate(choose, [attribute, theme])
        ground = page.locator(".fgp").first.evaluate("root => getComputedStyle(root).backgroundColor")
        assert ground == grounds[theme or (system if asks_system else "light")], (theme, system)
        is_legible(page, target, str(theme), system)


def test_flask_admin(page: Page, shop: Shop) -> None:
    for swatch in ("default", "darkly"):
        for system in ("light", "dark"):
            page.emulate_media(color_scheme=system)  # type: ignore[arg-type]
            show(page, shop, f"/{swatch}/files/")
            expect(page.locator(".fgp .files .name")).to_have_text(["photos/", "a.txt", "b.png"])
            is_legible(page, swatch, system)


def drop(page: Page, selector: str, *names: str) -> None:
    page.evaluate(
        """([selector, names]) => {
            const dataTransfer = new DataTransfer();
            const types = {png: "image/png", pdf: "application/pdf"};
            for (const name of names) dataTransfer.items.add(new File(["x"], name, {type: types[name.split(".")[1]]}));
            const options = {dataTransfer, bubbles: true, cancelable: true};
            for (const type of ["dragover", "drop"])
                document.querySelector(selector).dispatchEvent(new DragEvent(type, options));
        }""",
        [selector, list(names)],
    )


def test_a_form_takes_what_it_says(page: Page, shop: Shop) -> None:
    rows, said = page.locator(".queue .state"), page.get_by_role("status")
    refused = "Files of this type are not accepted here"
    for accept, taken in {"image/*": "a.png", ".PDF, text/css": "b.pdf", "application/pdf": "b.pdf"}.items():
        show(page, shop, f"/form?accept={accept}&label=Choose your CV")
        expect(page.get_by_label("Choose your CV")).to_have_attribute("accept", accept)
        expect(page.get_by_role("button", name="Add a folder")).to_be_visible()
        drop(page, "body", "a.png", "b.pdf", "c")
        if accept == "application/pdf":  # the second one
            page.get_by_role("button", name="New version").click()
        expect(page.locator(".queue li", has=page.get_by_text(taken)).locator(".state")).to_have_text("Done")
        expect(page.locator(".queue [data-state=refused] .state")).to_have_text([refused] * 2)
    show(page, shop, "/form?one=1")
    expect(page.get_by_role("button", name="Add a folder")).to_have_count(0)
    drop(page, "h1", "d.png", "e.png")
    expect(said).to_have_text("Only one file can be added here")
    expect(rows).to_have_count(0)
    drop(page, "h1", "d.png")
    expect(rows).to_have_text(["Done"])
    assert {name for name in shop.stored() if name.startswith("cv/")} == {"cv/a.png", "cv/b.pdf", "cv/d.png"}


def test_each_of_two_forms_takes_what_falls_on_it(page: Page, shop: Shop) -> None:
    """The listing of one blueprint with its form, below the form of another one; both bring our scripts."""
    show(page, shop, "/two")
    hints = ["or drop them here At most 1000 bytes each.", "or drop them here"]
    expect(page.locator(".upload .hint")).to_have_text(hints)
    assert page.locator("#form").get_by_label("Add files").get_attribute("accept") == "image/*"
    drop(page, "h1", "nowhere.png")
    drop(page, "#form label", "one.png")
    expect(page.locator("#form .queue .state")).to_have_text(["Done"])
    expect(page.locator("#list .files .name, #list tbody .name")).to_have_text(["2026/", "d.txt"])
    page.locator("#list .select-all").check()
    expect(page.locator("#list .selected-count")).to_have_text("2 selected")  # a folder, too
    drop(page, "#list table", "e.pdf")
    expect(page.locator("#list tbody .name")).to_have_text(["2026/", "e.pdf", "d.txt"])
    assert page.url == f"{shop.address}/two"
    assert shop.stored("pictures") == {"one.png"}
    assert not any("nowhere" in name for name in shop.stored())
    page.locator("#list").get_by_role("link", name="d.txt").click()
    page.wait_for_url(f"{shop.address}/uploads/photos/d.txt?details**")


def test_a_listing_is_missing_where_it_may_not_be_listed(app: Flask, mongo: PyMongo) -> None:
    blueprint = mongo.uploads_blueprint(url_prefix="/<user>/files", authorize=lambda action, name: name != "secret/")
    app.register_blueprint(blueprint)
    app.jinja_loader = ChoiceLoader([DictLoader({"x": IMPORT + '{{ files_listing("uploads.index", folder) }}'})])  # type: ignore[misc]
    app.add_url_rule("/<user>/<folder>", "home", lambda user, folder: render_template("x", folder=f"{folder}/"))
    with app.app_context():
        for folder in ("secret", "open"):
            mongo.save_file(f"{folder}/a.txt", io.BytesIO(b"x"))
    browser = app.test_client()
    assert browser.get("/ann/secret").text.strip() == ""
    shown = browser.get("/ann/open?folder=secret/&q=zz", headers=HTML).text
    assert "/ann/files/open/a.txt?details" in shown
    assert "/ann/files/?asset=uploads.css" in shown
    assert "next=/ann/open?folder%3Dsecret/%26q%3Dzz" in shown


def tus(uploads: FlaskClient, name: str, data: bytes) -> Any:
    version = {"Tus-Resumable": "1.0.0"}
    told = {"Upload-Length": str(len(data)), "Upload-Metadata": f"filename {b64encode(name.encode()).decode()}"}
    created = uploads.post("/uploads/", headers={**version, **told})
    fields = {**version, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    return uploads.patch(created.location, data=data, headers=fields)


WAYS: dict[str, Callable[[FlaskClient, str, bytes], Any]] = {
    "PUT": lambda uploads, name, data: uploads.put(f"/uploads/{name}", data=data),
    "form": lambda uploads, name, data: uploads.post("/uploads/", data=form((data, name))),
    "named form": lambda uploads, name, data: uploads.post(f"/uploads/{name}", data=form((data, "x.png"))),
    "tus": tus,
}


@pytest.mark.parametrize("way", WAYS)
def test_other_types_are_refused_whatever_the_client_claims(client: Client, mongo: PyMongo, way: str) -> None:
    uploads = client(types=["image/png", "text/plain"])
    for name, data in {"a.pdf": b"%PDF-1.4", "b": b"\0\1", "c.png": b"<html><script>", "d.jpg": PNG}.items():
        answer = WAYS[way](uploads, name, data)
        assert answer.status_code == 415, name
        assert "send image/png or text/plain." in answer.json["detail"]
    assert nothing_stored(mongo)
    for name, data in {"a.png": PNG, "b.txt": b"x"}.items():
        assert WAYS[way](uploads, name, data).status_code in (201, 204)
    assert 'accept="image/png,text/plain"' in uploads.get("/uploads/", headers=HTML).text


@pytest.mark.parametrize(("types", "error"), [("image/*", TypeError), (["image"], ValueError), ([1], TypeError)])
def test_types_are_checked_when_the_blueprint_is_made(mongo: PyMongo, types: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"types|expected"):
        mongo.uploads_blueprint(types=types)
