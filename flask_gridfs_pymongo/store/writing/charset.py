r"""Whether content is UTF-8: decided by its bytes, while they pass.

::

    check = Utf8()
    check.update(b"caf\xc3")
    check.update(b"\xa9")
    with_charset("text/plain", check.valid())  # "text/plain; charset=utf-8"
"""

from __future__ import annotations

import codecs


class Utf8:
    """Looks at content piece by piece, until one is not UTF-8."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()

    def update(self, data: bytes | bytearray | memoryview, final: bool = False) -> None:
        """Look at the next bytes."""
        if self._decoder is not None:
            try:
                self._decoder.decode(data, final)
            except UnicodeDecodeError:
                self._decoder = None

    def copy(self) -> Utf8:
        """Return one that goes its own way from here."""
        other = Utf8()
        if self._decoder is None or other._decoder is None:
            other._decoder = None
        else:
            other._decoder.setstate(self._decoder.getstate())
        return other

    def valid(self) -> bool:
        """Whether all of it was UTF-8; nothing follows."""
        self.update(b"", final=True)
        return self._decoder is not None


def with_charset(content_type: str, is_utf8: bool) -> str:
    """Name the charset of text that is UTF-8, if the type has no parameter yet."""
    is_text = content_type.lower().startswith("text/") and ";" not in content_type
    return f"{content_type}; charset=utf-8" if is_text and is_utf8 else content_type
