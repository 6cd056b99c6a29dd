r"""The charset of text: as a parameter of its media type, and a check, while it is written, whether it is UTF-8.

::

    check = Utf8()
    check.update(b"caf\xc3")
    check.update(b"\xa9")
    check.valid()  # True
    split("text/plain; charset=utf-8")  # "text/plain", "utf-8"
"""

from __future__ import annotations

import codecs
from typing import Any

from ..mimetype import parse


class Utf8:
    """An incremental check whether content is UTF-8."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()

    def update(self, data: bytes | bytearray | memoryview, final: bool = False) -> None:
        """Check the next bytes."""
        if self._decoder is not None:
            try:
                self._decoder.decode(data, final)
            except UnicodeDecodeError:
                self._decoder = None

    def copy(self) -> Utf8:
        """Return an independent copy of the present state."""
        other = Utf8()
        if self._decoder is None or other._decoder is None:
            other._decoder = None
        else:
            other._decoder.setstate(self._decoder.getstate())
        return other

    def valid(self) -> bool:
        """Whether all of it was UTF-8; call it after the last bytes."""
        self.update(b"", final=True)
        return self._decoder is not None


def split(media_type: str) -> tuple[str, str | None]:
    """Return a media type without its charset, and the charset or None."""
    _, parameters = parse(media_type) or ("", [])
    charset = dict(reversed(parameters)).get("charset")
    if charset is None:
        return media_type, None
    others = [f"{name}={value}" for name, value in parameters if name != "charset"]
    return "; ".join([media_type.partition(";")[0].strip(), *others]), charset.strip('"') or None


def join(media_type: str, charset: str) -> str:
    """Add a charset to a media type."""
    quoted = charset if parse(f"text/plain; charset={charset}") else f'"{charset}"'
    return f"{media_type}; charset={quoted}"


def is_charset(value: Any) -> bool:
    """Whether *value* can be the charset of a media type."""
    return type(value) is str and split(f'text/plain; charset="{value}"') == ("text/plain", value)
