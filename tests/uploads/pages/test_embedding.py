"""An application makes the pages its own: templates that extend ours, its layout, our form in its pages, its policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, g, render_template_string
from playwright.sync_api import Browser, expect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.http.headers import page_policy
from flask_gridfs_pymongo.http.origin import is_local

from ...conftest import HTML, JSON, Client, everyone, form, if_match, serving
from ...helpers.pages import listed

Template = Callable[[str, str], None]


@pytest.fixture
def template(app: Flask, tmp_path: Path) -> Template:
    """``template(name, source)`` is one of the application's."""
    app.template_folder = str(tmp_path)

    def write(name: str, source: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)

    return write


LAYOUT = (
    "<!doctype html><html lang=en><head><title>{% block title %}{% endblock %}</title>{% block head %}{% endblock %}"
    "</head><body><nav>Shop</nav>{% block content %}{% endblock %}</body></html>"
)
BASE = """
{% extends "layout.html" %}
{% from "flask_gridfs_pymongo/macros.html" import assets with context %}
{% block head %}{{ assets() }}{% endblock %}
{% block content %}<main>{% block main %}{% endblock %}</main>{% endblock %}
"""


class TestTemplates:
    @pytest.mark.parametrize(
        ("name", "block", "target"),
        [
            ("base", "header", ""),
            ("base", "footer", "a.txt?details"),
            ("listing", "toolbar", ""),
            ("listing", "files", "?folder="),
            ("listing", "upload", ""),
            ("details", "facts", "a.txt?details"),
            ("details", "actions", "a.txt?details"),
            ("versions", "versions", "a.txt?versions"),
            ("delete", "main", "a.txt?delete"),
            ("error", "main", "none"),
        ],
    )
    def test_a_template_extends_the_original_of_its_name(
        self, template: Template, client: Client, mongo: PyMongo, name: str, block: str, target: str
    ) -> None:
        template(
            f"flask_gridfs_pymongo/{name}.html",
            f'{{% extends "flask_gridfs_pymongo/original/{name}.html" %}}'
            f"{{% block {block} %}}<p>before</p>{{{{ super() }}}}<p>after</p>{{% endblock %}}",
        )
        browser = client(authorize=everyone)
        browser.post("/uploads/", data=form((b"x", "a.txt")))
        page = browser.get(f"/uploads/{target}", headers=HTML).text
        assert page.count("<p>before</p>") == page.count("<p>after</p>") == 1
        assert "uploads.css" in page
        assert page.index("<p>before</p>") < page.index("<p>after</p>")

    def test_macros_have_an_original_too(self, template: Template, client: Client) -> None:
        template(
            "flask_gridfs_pymongo/listing.html",
            '{% from "flask_gridfs_pymongo/original/macros.html" import size with context %}{{ size(2048) }}',
        )
        assert "2.0 KiB" in client().get("/uploads/", headers=HTML).text


@pytest.fixture
def shop(app: Flask, real: PyMongo, template: Template) -> Flask:
    """An application with a layout, whose policy is its own, and two forms in one of its pages."""
    template("layout.html", LAYOUT)
    template("flask_gridfs_pymongo/base.html", BASE)
    cv = real.uploads_blueprint("cv", url_prefix="/cv", base="cv", authorize=everyone)
    images = real.uploads_blueprint("images", url_prefix="/images", base="images", max_size=10)
    refused = real.uploads_blueprint("refused", url_prefix="/refused", authorize=lambda action, name: action != "write")
    for blueprint in (cv, images, refused):
        app.register_blueprint(blueprint)

    @app.get("/profile")
    def profile() -> str:
        return render_template_string(
            '{% extends "layout.html" %}'
            '{% from "flask_gridfs_pymongo/macros.html" import upload_form %}'
            "{% block content %}"
            '<section id="cv">{{ upload_form("cv.index", "ann/", accept=".pdf", next=url_for("profile")) }}</section>'
            '<section id="images">{{ upload_form("images.index") }}</section>'
            '<section id="refused">{{ upload_form("refused.index") }}</section>'
            "{% endblock %}"
        )

    return app


def stored(mongo: PyMongo, base: str) -> list[str]:
    return sorted(mongo.db[f"{base}.files"].distinct("filename"))


class TestInAnApplicationsPage:
    @pytest.fixture
    def address(self, shop: Flask) -> Iterator[str]:
        with serving(shop) as address:
            yield address

    @pytest.mark.parametrize("script", [True, False])
    def test_two_forms_on_one_page_each_store_and_go_on(
        self, browser: Browser, real: PyMongo, address: str, script: bool
    ) -> None:
        with browser.new_context(java_script_enabled=script) as context:
            page = context.new_page()
            page.goto(f"{address}/profile")
            expect(page.locator("#refused")).to_be_empty()
            files = page.locator("#cv").get_by_label("Add files")
            assert files.get_attribute("accept") == ".pdf"
            with page.expect_navigation(url=f"{address}/profile"):
                files.set_input_files({"name": "cv.pdf", "mimeType": "", "buffer": b"%PDF"})
                if not script:
                    page.locator("#cv").get_by_role("button", name="Upload").click()
            assert stored(real, "cv") == ["ann/cv.pdf"]
            assert stored(real, "images") == []

    def test_a_form_tells_the_page_what_was_stored(self, browser: Browser, real: PyMongo, address: str) -> None:
        page = browser.new_page()
        page.goto(f"{address}/profile")
        page.evaluate("document.addEventListener('uploads:done', event => window.told = event.detail.files)")
        files = page.locator("#images").get_by_label("Add files")
        files.set_input_files([{"name": n, "mimeType": "", "buffer": bytes(s)} for n, s in (("a", 9), ("large", 11))])
        row = page.locator("#images .queue li", has_text="large")
        expect(row.locator(".state")).to_have_text("Larger than the limit of 10 bytes")
        page.wait_for_function("window.told")
        assert [file["filename"] for file in page.evaluate("window.told")] == ["a"]
        assert stored(real, "images") == ["a"]
        page.close()

    def test_our_pages_in_the_applications_layout(self, browser: Browser, real: PyMongo, address: str) -> None:
        page = browser.new_page()
        page.goto(f"{address}/cv/")
        expect(page.get_by_role("navigation").first).to_have_text("Shop")
        page.get_by_label("Add files").set_input_files({"name": "a\u202eb.txt", "mimeType": "", "buffer": b"x"})
        listed(page, "ab.txt")
        expect(page.get_by_role("status")).to_contain_text("is stored as “ab.txt”.")
        page.close()


class TestPolicy:
    @pytest.mark.parametrize(
        ("added", "expected"),
        [
            ({}, "default-src 'none'; script-src 'self'; "),
            ({"script-src": "'nonce-a1' https://cdn.example"}, "script-src 'self' 'nonce-a1' https://cdn.example; "),
            ({"default-src": "'self'"}, "default-src 'self'; "),
            ({"font-src": "https://fonts.example"}, "; font-src https://fonts.example"),
        ],
    )
    def test_sources_are_added(self, added: dict[str, str], expected: str) -> None:
        assert expected in page_policy(added) + "; "
        assert "base-uri 'none'" in page_policy(added)

    @pytest.mark.parametrize(
        "added",
        [
            {"script-src": "a; object-src *"},
            {"script-src": "a, b"},
            {"script-src": "a\nb"},
            {"script-src": ""},
            {"script-src": " a"},
            {"Script-Src": "a"},
            {"": "a"},
            {"script-src": "ä"},
        ],
    )
    def test_what_is_no_source_is_refused_when_the_blueprint_is_made(
        self, mongo: PyMongo, added: dict[str, str]
    ) -> None:
        with pytest.raises(ValueError, match="csp"):
            mongo.uploads_blueprint(csp=added)

    def test_a_nonce_for_each_request_and_none_for_files(self, app: Flask, client: Client) -> None:
        @app.before_request
        def count() -> None:
            g.nonce = f"'nonce-{app.config.setdefault('COUNT', 0)}'"
            app.config["COUNT"] += 1

        browser = client(csp=lambda: {"style-src": g.nonce}, inline_types=("text/html",))
        policies = [browser.get("/uploads/", headers=HTML).headers["Content-Security-Policy"] for _ in range(2)]
        assert ["nonce-0" in policies[0], "nonce-1" in policies[1]] == [True, True]
        assert "nonce-2" in browser.get("/uploads/none", headers=HTML).headers["Content-Security-Policy"]
        browser.put("/uploads/a.html", data="<p>")
        assert "nonce" not in browser.get("/uploads/a.html", headers=HTML).headers["Content-Security-Policy"]


class TestWhoMayWrite:
    @pytest.mark.parametrize(
        ("folder", "shown"), [(None, False), ("", False), ("ann/", True), ("ann/deep/", True), ("bob/", False)]
    )
    def test_the_form_is_there_for_those_who_may_write_here(
        self, client: Client, folder: str | None, shown: bool
    ) -> None:
        asked = []

        def authorize(action: str, filename: str | None) -> bool:
            if action == "write":
                assert isinstance(filename, str)
                asked.append(filename)
                return filename.startswith("ann/")
            return True

        query = "" if folder is None else f"?folder={folder}"
        page = client(authorize=authorize).get(f"/uploads/{query}", headers=HTML).text
        assert ('class="upload"' in page) == ("addable" in page) == shown
        assert set(asked) == {folder or ""}

    def test_nobody_adds_to_what_is_read_only(self, client: Client) -> None:
        assert 'class="upload"' not in client(read_only=True).get("/uploads/", headers=HTML).text


class TestNext:
    @pytest.mark.parametrize(
        ("path", "local"),
        [
            ("/", True),
            ("/profile?a=b#c", True),
            ("/ä ö", True),
            ("", False),
            ("profile", False),
            ("//evil.example", False),
            ("/\\evil.example", False),
            ("\\/evil.example", False),
            ("/\t/evil.example", False),
            ("/\n/evil.example", False),
            ("https://evil.example", False),
            ("javascript:alert(1)", False),
            (" /", False),
        ],
    )
    def test_a_form_goes_on_to_paths_of_this_site_alone(
        self, client: Client, mongo: PyMongo, path: str, local: bool
    ) -> None:
        assert is_local(path) == local
        answer = client().post("/uploads/", query_string={"next": path}, data=form((b"x", "a")), headers=HTML)
        assert answer.status_code == (303 if local else 400)
        assert stored(mongo, "fs") == (["a"] if local else [])
        if local:
            assert urlsplit(answer.location).netloc == ""


class TestNotices:
    def test_what_was_done_is_told_once_where_one_was(self, client: Client) -> None:
        browser = client(authorize=everyone)

        def told(answer: Any) -> str:
            assert answer.status_code == 303
            pages = [browser.get(answer.location, headers=HTML).text for _ in range(2)]
            texts = [page.split('class="status">')[1].split("</div>")[0] for page in pages]
            assert texts[1] == ""
            return f"{answer.location.removeprefix('/uploads/')} {texts[0]}"

        place = "folder=docs/&order=newest&view=table"
        upload = browser.post(f"/uploads/?{place}", data=form((b"x", "a<b>.txt")), headers=HTML)
        assert told(upload) == f"?{place} docs/a&lt;b&gt;.txt was added."
        upload = browser.post(f"/uploads/?{place}", data=form((b"x", "b.txt"), (b"x", "a<b>.txt")), headers=HTML)
        assert told(upload) == f"?{place} 2 files were added."
        url = "/uploads/docs/a%3Cb%3E.txt"
        first = if_match(browser, f"{url}?version=0")
        restored = browser.post(f"{url}?version=0&restore&{place}", headers=HTML | first)
        assert told(restored).endswith("Version 1 restored.")
        assert place in restored.location
        deleted = browser.post(f"{url}?version=0&delete&{place}", headers=HTML | first)
        assert told(deleted).endswith("A version of docs/a&lt;b&gt;.txt was deleted.")
        assert place in deleted.location
        deleted = browser.post(f"{url}?delete&{place}", headers=HTML)
        assert told(deleted) == f"?{place} docs/a&lt;b&gt;.txt was deleted."
        assert told(browser.post("/uploads/docs/b.txt?delete", headers=HTML)) == "?folder=docs/ docs/b.txt was deleted."

    def test_the_longest_name_fits_into_a_cookie(self, client: Client) -> None:
        browser = client()
        answer = browser.post("/uploads/", data=form((b"x", "文" * 85)), headers=HTML)
        assert len(answer.headers["Set-Cookie"]) < 4096
        assert "文" * 80 in browser.get(answer.location, headers=HTML).text

    def test_many_names_are_cut_to_fit_into_a_cookie(self, client: Client) -> None:
        browser = client(authorize=everyone)
        names = [f"{number}{'文' * 70}" for number in range(9)]
        for folder in ("", "b/"):
            browser.post(f"/uploads/?folder={folder}", data=form(*((b"x", name) for name in names)))
        files = browser.get("/uploads/?folder=", headers=JSON).get_json()["files"]
        assert [file["filename"] for file in files] == names
        answer = browser.post("/uploads/?move=b", data={"id": [file["id"] for file in files]}, headers=HTML)
        assert len(answer.headers["Set-Cookie"]) < 4096
        page = browser.get(answer.location, headers=HTML).text
        assert f"b/{names[0]}, b/{names[1]}" in page
        assert "文…" in page
