"""Translated texts, in the language that the application selects for the request.

If the application uses Flask-Babel, texts come from the catalogues in ``translations/``. Catalogues of the same domain
in the application's own translation directories take precedence. Without Flask-Babel all texts are English::

    abort(413, Message("A file may have at most %(size)s bytes.", size=1000))  # translated when a page shows it

The templates call :func:`gettext` and :func:`ngettext` as ``_text`` and ``_ntext``: ``_`` is left to the application.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from gettext import NullTranslations
from pathlib import Path
from typing import Any

from flask import current_app

DOMAIN = "flask_gridfs_pymongo"
TRANSLATIONS = Path(__file__).parent.parent / "translations"
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


class Message(str):
    """An English text with its values filled in; it keeps both, so that a page can translate it.

    :param text: English, with ``%(name)s`` for each value
    """

    text: str
    values: dict[str, Any]

    def __new__(cls, text: str, **values: Any) -> Message:
        self = super().__new__(cls, text % values)
        self.text, self.values = text, values
        return self


def translated(text: str) -> str:
    """Return *text* in the language of the request: a str, or a :class:`Message` with its values filled in."""
    if isinstance(text, Message):
        return str(_catalogue().gettext(text.text)) % text.values
    return str(_catalogue().gettext(text))


def gettext(text: str, **values: Any) -> str:
    """Translate *text* and fill in its *values*."""
    return translated(Message(text, **values))


def ngettext(singular: str, plural: str, num: int, **values: Any) -> str:
    """Translate the form that the language has for *num* things; *num* is one of the values."""
    return str(_catalogue().ngettext(singular, plural, num)) % {"num": num, **values}


def language() -> str:
    """Return the BCP 47 tag of the language of the texts."""
    if not getattr(_catalogue(), "files", None):
        return "en"
    from flask_babel import get_locale

    return str(get_locale()).replace("_", "-")


def number(value: float, digits: int = 0) -> str:
    """Format a number for the language: 1,234.5 or 1.234,5."""
    if "babel" not in current_app.extensions:
        return f"{value:,.{digits}f}"
    from babel.numbers import format_decimal

    pattern = "#,##0." + "0" * digits if digits else "#,##0"
    return str(format_decimal(value, pattern, locale=language().replace("-", "_")))


def size(length: int) -> str:
    """Format a number of bytes: 1.5 MiB."""
    if length < 1024:
        return ngettext("%(num)s byte", "%(num)s bytes", length)
    power = min((length.bit_length() - 1) // 10, len(_UNITS))
    return f"{number(length / 1024**power, 1)} {_UNITS[power - 1]}"


_ENGLISH = NullTranslations()


def _catalogue() -> NullTranslations:
    babel = current_app.extensions.get("babel")
    if babel is None:
        return _ENGLISH
    found: NullTranslations = _domain(tuple(babel.translation_directories)).get_translations()
    return found


@cache
def _domain(directories: tuple[str, ...]) -> Any:
    from flask_babel import Domain

    return Domain([str(TRANSLATIONS), *directories], DOMAIN)


TEMPLATE_GLOBALS: dict[str, Callable[..., Any]] = {
    "_text": gettext,
    "_ntext": ngettext,
    "_language": language,
    "_number": number,
    "_size": size,
}
"""Functions for the templates, also for macros in pages of the application"""
