"""The pages in the language of the request, with the real Flask-Babel."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from flask import Flask, request
from flask.testing import FlaskClient
from flask_babel import Babel, lazy_gettext

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service import texts
from flask_gridfs_pymongo.service.texts import DOMAIN, Message

from .. import catalogues
from ..conftest import HTML, JSON, everyone, form

PAGES = "", "?folder=", "?q=none", "?view=table", "a %(b)s.txt?details", "a %(b)s.txt?versions", "a %(b)s.txt?delete"
Site = Callable[..., FlaskClient]


@pytest.fixture
def site(app: Flask, real: PyMongo) -> Site:
    """``site(locale, **options)``: a client of an application with Flask-Babel; None: without it."""

    def make(locale: str | None = None, *, translations: Path | None = None, **options: Any) -> FlaskClient:
        if translations:
            app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(translations)
        if locale:
            Babel(app, locale_selector=lambda: request.args.get("lang", locale))
        app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads", authorize=everyone, **options))
        with app.test_request_context():
            for content in (b"zero", b"one"):
                real.save_file("a %(b)s.txt", io.BytesIO(content))
        return app.test_client()

    return make


def page(client: FlaskClient, target: str) -> str:
    answer = client.get(f"/uploads/{target}".replace("%", "%25"), headers=HTML)
    assert answer.status_code == 200, (target, answer.data)
    return answer.text


@pytest.mark.parametrize("locale", ["en", "de", "es", "de_AT", "fr"])
def test_every_page_is_there_in_every_language(site: Site, locale: str) -> None:
    client = site(locale, title="100 % ours")
    language = {"de_AT": "de-AT", "fr": "en"}.get(locale, locale)
    for target in PAGES:
        assert f'<html lang="{language}">' in page(client, target)


@pytest.mark.parametrize(
    ("locale", "count", "name", "size"),
    [
        (None, "2 versions", "Delete a %(b)s.txt?", "At most 1.5 KiB each."),
        ("en", "2 versions", "Delete a %(b)s.txt?", "At most 1.5 KiB each."),
        ("de", "2 Versionen", "a %(b)s.txt löschen?", "Je höchstens 1,5 KiB."),
        ("es", "2 versiones", "¿Eliminar a %(b)s.txt?", "Máximo 1,5 KiB cada uno."),
    ],
)
def test_values_and_counts_are_filled_in(site: Site, locale: str | None, count: str, name: str, size: str) -> None:
    client = site(locale, max_size=1536)
    assert re.sub(r"\s+", " ", count) in page(client, "")
    assert size in page(client, "")
    assert name in page(client, "a %(b)s.txt?delete")


@pytest.mark.parametrize("locale", [None, "en", "de"])
def test_details_of_errors_are_translated_for_people_alone(
    site: Site, locale: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    client = site(locale, max_size=10)
    shown = [
        client.get("/uploads/none", headers=HTML).text,
        client.get("/uploads/a?version=x", headers=HTML).text,
        client.post("/uploads/", data=form((b"x" * 11, "b.txt")), headers=HTML).text,
    ]
    german = (
        "Diese Datei oder Version gibt es nicht.",
        "?version muss eine ganze Zahl",
        "Eine Datei darf höchstens 10",
    )
    english = ("There is no such file or version.", "?version must be a whole number", "A file may have at most 10")
    assert all(text in page for text, page in zip(german if locale == "de" else english, shown, strict=True))
    assert ("<h1>Nicht gefunden</h1>" in shown[0]) == (locale == "de")
    answer = client.post("/uploads/", data=form((b"x" * 11, "b.txt")), headers=JSON)
    assert answer.json is not None
    assert answer.json["detail"] == "A file may have at most 10 bytes; nothing was stored."
    languages = {**JSON, "Accept-Language": "de"}  # as a browser sends it for our scripts; locale_selector decides
    answer = client.post("/uploads/", data=form((b"x" * 11, "b.txt")), headers=languages)
    assert answer.json is not None
    assert (german if locale == "de" else english)[2] in answer.json["detail"]
    with caplog.at_level(logging.WARNING):
        client.post("/uploads/", data=form((b"x" * 11, "b.txt")), headers=HTML)
    assert "A file may have at most 10 bytes" in caplog.messages[-1]


def write(folder: Path, locale: str, domain: str, texts: dict[str, str]) -> Path:
    path = folder / locale / "LC_MESSAGES" / f"{domain}.mo"
    path.parent.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(locale)
    for text, translation in texts.items():
        catalog.add(text, translation)
    path.write_bytes(catalogues.compiled(catalog))
    return folder


def test_an_application_brings_a_language_of_its_own_and_changes_a_text(site: Site, tmp_path: Path) -> None:
    write(tmp_path, "fr", DOMAIN, {"Search": "Chercher"})
    client = site("fr", translations=write(tmp_path, "de", DOMAIN, {"Search": "Finden"}))
    assert '<html lang="fr">' in page(client, "")
    assert "Chercher" in page(client, "")
    german = page(client, "?lang=de")
    assert "Finden" in german
    assert "Herunterladen" in page(client, "a %(b)s.txt?details&lang=de")


def test_the_title_is_the_applications_own_text(site: Site, tmp_path: Path, app: Flask) -> None:
    client = site(
        "de", translations=write(tmp_path, "de", "messages", {"Papers": "Papiere"}), title=lazy_gettext("Papers")
    )
    assert "<title>Papiere</title>" in page(client, "")


def test_underscore_is_the_applications_own(site: Site, tmp_path: Path, app: Flask) -> None:
    """In a layout of its own, which knows nothing of our catalogue."""
    (tmp_path / "flask_gridfs_pymongo").mkdir()
    layout = "{{ _('<b>%(name)s</b>', name='<') }} {{ _('100%%') }} {{ _text('Search') }}"
    (tmp_path / "flask_gridfs_pymongo/base.html").write_text(layout)
    app.template_folder = str(tmp_path)
    client = site("de", translations=write(tmp_path, "de", "messages", {"<b>%(name)s</b>": "<i>%(name)s</i>"}))
    assert page(client, "") == "<i>&lt;</i> 100% Suchen"


@pytest.mark.parametrize(
    ("length", "english", "german"),
    [
        (0, "0 bytes", "0 Bytes"),
        (1, "1 byte", "1 Byte"),
        (1023, "1023 bytes", "1023 Bytes"),
        (1024, "1.0 KiB", "1,0 KiB"),
        (1_234_567, "1.2 MiB", "1,2 MiB"),
        (2**40 * 1023, "1,023.0 TiB", "1.023,0 TiB"),
        (2**50, "1.0 PiB", "1,0 PiB"),
        (2**62, "4,096.0 PiB", "4.096,0 PiB"),
    ],
)
def test_sizes(app: Flask, length: int, english: str, german: str) -> None:
    with app.test_request_context():
        assert texts.size(length) == english
    Babel(app, locale_selector=lambda: "de")
    with app.test_request_context():
        assert texts.size(length) == german


def test_a_message_is_its_english_text() -> None:
    text = Message("%(size)s of 100 %%", size=7)
    assert text == "7 of 100 %"
    assert (text.text, text.values) == ("%(size)s of 100 %%", {"size": 7})


def test_the_template_has_every_text_of_the_package() -> None:
    """Where this fails: ``python -m tests.catalogues``."""
    extracted = {message.id for message in catalogues.extract()}
    assert extracted == {message.id for message in catalogues.read(catalogues.TEMPLATE)}


def translations(compiled: bytes) -> list[Any]:
    """All but the header, which names the version of Babel that wrote it."""
    return [(message.id, message.string) for message in read_mo(io.BytesIO(compiled)) if message.id]


@pytest.mark.parametrize("locale", catalogues.LOCALES)
def test_a_catalogue_is_whole_and_compiled(locale: str) -> None:
    """Where this fails: ``python -m tests.catalogues``, translate what it names, and run it again."""
    path = catalogues.po_file(locale)
    catalog = catalogues.read(path)
    assert [*catalogues.untranslated(catalog)] == []
    assert translations(path.with_suffix(".mo").read_bytes()) == translations(catalogues.compiled(catalog))
    wanted = {message.id for message in catalogues.read(catalogues.TEMPLATE)}
    assert {message.id for message in catalog} == wanted
    assert [(message.id, error) for message in catalog for error in message.check(catalog)] == []
