"""Metadata in requests: values for the keys that an application declared, each a text or a list of texts.

::

    keys = Keys(("title", "tags"))
    keys.of_fields({"X-Metadata-Title": "Notes"})  # {"title": "Notes"}
    keys.of_patch(b'{"title": null, "tags": ["red", "blue"]}')
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from .conditions import Fields

Value = str | list[str]

PATCH_TYPE = "application/merge-patch+json"
"""RFC 7396"""

_HEADER = "x-metadata-"
_QUERY = "metadata."
_SHOWN = "was."
_RESERVED = ("contentType", "_contentType", "mimetype", "clientContentType", "expiresAt")  # they have a meaning already
_MAX_TEXT_BYTES = 1024  # of a text in UTF-8
_MAX_TEXTS = 20
_EXT_VALUE = re.compile(r"utf-8'[a-z0-9-]*'((?:[a-z0-9!#$&+.^_`|~-]|%[0-9a-f]{2})*)", re.IGNORECASE | re.ASCII)


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


class Keys:
    """The keys that requests may set; ``Title`` and ``title`` are the same key, as are ``taken-by`` and ``taken_by``.

    :param declared: the keys, as they are stored
    :raises TypeError: for one str in place of a list of them
    :raises ValueError: for a key that a header field cannot carry, that is the same as another one, or that has a
        meaning of its own in a files document
    """

    def __init__(self, declared: Collection[str] = ()) -> None:
        if isinstance(declared, str):
            raise TypeError("metadata must be a list of keys, not one str")
        self._declared: dict[str, str] = {}
        for key in declared:
            if not isinstance(key, str) or not re.fullmatch("[A-Za-z0-9_-]+", key):
                raise ValueError(f"metadata: {key!r} must consist of ASCII letters, digits, '-' and '_'")
            if _folded(key) in map(_folded, _RESERVED):
                raise ValueError(f"metadata: {key!r} has a meaning of its own in GridFS; choose another key")
            if other := self._declared.get(_folded(key)):
                raise ValueError(f"metadata: {other!r} and {key!r} are the same key in a request; drop one of them")
            self._declared[_folded(key)] = key

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared.values())

    def of_fields(self, fields: Fields) -> dict[str, Value]:
        """Read the ``X-Metadata-KEY`` fields of a PUT.

        A value is plain ASCII, or ``UTF-8''`` and the percent-encoded text (RFC 8187 section 3.2). Several of these
        with commas between them are a list.

        :raises ValueError: for a key that is not declared, or a value that breaks the rules
        """
        found = {name[len(_HEADER) :]: value for name, value in fields.items() if name.lower().startswith(_HEADER)}
        return {self._key(name): _checked(name, _field_value(name, value)) for name, value in found.items()}

    def of_form(self, fields: Iterable[tuple[str, str]]) -> dict[str, Value]:
        """Read the fields of a form, or of tus's ``Upload-Metadata``: *KEY* or ``metadata.KEY``.

        A key that is given several times becomes a list. Other fields and empty ones are ignored.

        :raises ValueError: for a value that breaks the rules
        """
        texts: dict[str, list[str]] = {}
        for name, value in fields:
            key = self._declared.get(_folded(name.removeprefix(_QUERY)))
            if key and value:
                texts.setdefault(key, []).append(value.replace("\r\n", "\n"))  # browsers send CRLF
        return {key: _checked(key, found[0] if len(found) == 1 else found) for key, found in texts.items()}

    def of_edit(self, fields: Iterable[tuple[str, str]]) -> dict[str, Value | None]:
        """Read a form that changes metadata: like :meth:`of_form`, but a key whose fields are all empty is None.

        Fields *KEY[]* are a list, even of one text. A key is left out if its fields are the same as *was.KEY*, what the
        form showed: values of other types, and what somebody else changed meanwhile, stay as they are.

        :raises ValueError: for a value that breaks the rules
        """
        now: dict[str, list[str]] = {}
        was: dict[str, list[str]] = {}
        lists = set()
        for name, value in fields:
            shown, bare = name.startswith(_SHOWN), name.removeprefix(_SHOWN).removeprefix(_QUERY)
            if key := self._declared.get(_folded(bare.removesuffix("[]"))):
                (was if shown else now).setdefault(key, []).extend([value.replace("\r\n", "\n")] if value else [])
                lists |= {key} if bare.endswith("[]") else set()
        changed = {key: texts for key, texts in now.items() if texts != was.get(key)}
        single = changed.keys() - lists
        return {
            key: _checked(key, texts[0] if key in single and len(texts) == 1 else texts) if texts else None
            for key, texts in changed.items()
        }

    def of_patch(self, body: bytes) -> dict[str, Value | None]:
        """Read a JSON merge patch (RFC 7396) of the metadata: each key's new value, or None to remove it.

        :raises ValueError: for an invalid patch, or a key that is not declared
        """
        try:
            patch = json.loads(body)
        except (ValueError, RecursionError):
            raise ValueError("The body is not JSON") from None
        if not isinstance(patch, dict):
            raise ValueError("The body must be a JSON object of keys and their new values")
        return {self._key(name): None if value is None else _checked(name, value) for name, value in patch.items()}

    def of_query(self, args: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
        """Read the ``metadata.KEY=text`` pairs of a query string.

        :raises ValueError: for a key that is not declared, or an invalid text
        """
        wanted: dict[str, list[str]] = {}
        for name, text in args:
            if name.startswith(_QUERY):
                wanted.setdefault(self._key(name[len(_QUERY) :]), []).append(str(_checked(name, text)))
        return wanted

    def _key(self, name: str) -> str:
        if key := self._declared.get(_folded(name)):
            return key
        known = ", ".join(self) or "none"
        raise ValueError(f"The metadata key {name[:100]!r} is not one of those accepted here: {known}")


def _field_value(name: str, value: str) -> Value:
    if not value.isascii():
        raise ValueError(f"X-Metadata-{name} is not ASCII: send UTF-8'' and the percent-encoded text (RFC 8187)")
    if not value.lower().startswith("utf-8'"):
        return value
    elements = [_EXT_VALUE.fullmatch(element.strip(" \t")) for element in value.split(",")]
    try:
        texts = [unquote_to_bytes(element[1]).decode() for element in elements if element]
    except UnicodeDecodeError:
        texts = []
    if len(texts) < len(elements):
        raise ValueError(f"X-Metadata-{name} is invalid: send UTF-8'' and the percent-encoded text (RFC 8187)")
    return texts[0] if len(texts) == 1 else texts


def _checked(name: str, value: Any) -> Value:
    texts = value if isinstance(value, list) else [value]
    if len(texts) > _MAX_TEXTS:
        raise ValueError(f"Metadata {name[:100]!r}: a list may have at most {_MAX_TEXTS} texts")
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"Metadata {name[:100]!r}: a value must be a text or a list of texts")
        if len(text.encode(errors="surrogatepass")) > _MAX_TEXT_BYTES:
            raise ValueError(f"Metadata {name[:100]!r}: a text may have at most {_MAX_TEXT_BYTES} bytes of UTF-8")
        if re.search("[\0\ud800-\udfff]", text):
            raise ValueError(f"Metadata {name[:100]!r}: a text must not contain NUL or half of a surrogate pair")
    checked: Value = value
    return checked
