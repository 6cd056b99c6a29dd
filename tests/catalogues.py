"""``python -m tests.catalogues``: bring the catalogues in ``translations/`` up to date with the texts of the package.

It extracts the texts, merges them into each catalogue, compiles the catalogues, and tells what is left to translate.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from flask_gridfs_pymongo.service.texts import DOMAIN, TRANSLATIONS

PACKAGE = TRANSLATIONS.parent
TEMPLATE = TRANSLATIONS / f"{DOMAIN}.pot"
LOCALES = ("de", "es")
METHODS = [("service/**.py", "python"), ("uploads/**.py", "python"), ("templates/**.html", "jinja2")]
_DATE = datetime(2026, 11, 25, tzinfo=UTC)  # one that does not change with each run
_FACTS: dict[str, Any] = {
    "domain": DOMAIN,
    "header_comment": "# Texts of flask-gridfs-pymongo; python -m tests.catalogues brings them up to date.",
    **{"project": "flask-gridfs-pymongo", "version": "0", "creation_date": _DATE, "revision_date": _DATE},
    **{"msgid_bugs_address": "none", "last_translator": "none", "language_team": "none", "charset": "utf-8"},
}
# The function, and which of its arguments are texts; abort(), problem() and Failure() get those that hold no values.
_ONE, _SECOND, _PLURAL = (1,), (2,), (1, 2)
KEYWORDS = {
    **{"_text": _ONE, "Message": _ONE, "gettext": _ONE, "ngettext": _PLURAL, "_ntext": _PLURAL},
    **{"abort": _SECOND, "problem": _SECOND, "Failure": _SECOND},
}


def extract() -> Catalog:
    """Return the texts of the package, without the lines that they stand in: those change with every edit."""
    catalog = Catalog(**_FACTS)
    found = extract_from_dir(PACKAGE, METHODS, keywords=KEYWORDS, options_map={"**.html": {"encoding": "utf-8"}})
    for filename, _, text, comments, context in found:
        catalog.add(text, None, [(filename, 0)], auto_comments=comments, context=context)
    return catalog


def po_file(locale: str) -> Path:
    return TRANSLATIONS / locale / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def compiled(catalog: Catalog) -> bytes:
    output = io.BytesIO()
    write_mo(output, catalog)
    return output.getvalue()


def untranslated(catalog: Catalog) -> Iterator[str]:
    for message in catalog:
        forms = message.string if isinstance(message.string, (list, tuple)) else [message.string]
        if message.id and (message.fuzzy or not all(forms)):
            yield str(message.id)


def _write(path: Path, catalog: Catalog) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog, width=120, sort_output=True, ignore_obsolete=True, include_lineno=False)


def main() -> None:
    template = extract()
    _write(TEMPLATE, template)
    for locale in LOCALES:
        path = po_file(locale)
        catalog = read(path) if path.exists() else Catalog(locale, **_FACTS, fuzzy=False)
        catalog.update(template, no_fuzzy_matching=True)
        _write(path, catalog)
        path.with_suffix(".mo").write_bytes(compiled(catalog))
        for text in untranslated(catalog):
            print(f"{locale}: {text}")


if __name__ == "__main__":
    main()
