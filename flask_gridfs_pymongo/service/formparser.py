"""Werkzeug's form parser, without its faults at the end of a block.

The parser reads blocks of 64 KiB. If one ends within a delimiter (``\\r\\n--boundary--``, RFC 2046 section 5.1.1), it
may keep the ``\\r`` as the last byte of a file, or miss a delimiter followed by spaces (pallets/werkzeug#3285). So here
a block ends before a line that may be a delimiter. Also, files get the names that clients meant
(:mod:`.http.disposition`), and the error for a form that exceeds a limit names the limit.

:func:`init_app` does this for every form of an application, whoever parses it.

This is the only module that relies on private names of Werkzeug and Flask, which a new version may change.
"""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from typing import IO, Any, cast

from flask import Flask, Request, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser, MultiPartParser

from ..http.disposition import filename_of

FORM = "application/x-www-form-urlencoded"


class _WholeDelimiters:
    """A multipart body whose blocks end outside of delimiters: the parser's input."""

    def __init__(self, stream: IO[bytes], boundary: str) -> None:
        self._stream = stream
        self._delimiter = b"--" + boundary.encode("ascii", "replace")
        self._held = b""  # the beginning of the next block

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes (at least one, until the end) that do not end within a delimiter."""
        block, end = self._held, 0
        while not end and len(block) < size:
            data = self._stream.read(size - len(block))
            if not data:
                self._held = b""
                return block
            block += data
            end = self._safe_end(block)
        end = end or size  # a line as long as a block is not a delimiter
        self._held = block[end:]
        return block[:end]

    def _safe_end(self, block: bytes) -> int:
        """Return how many bytes of *block* the parser may have: all but a line break at the end; if the last line
        may be a delimiter, all but this line and the line break before it."""
        end = len(block) - (2 if block.endswith(b"\r\n") else block.endswith((b"\r", b"\n")))
        start = 1 + max(block.rfind(b"\r", 0, end), block.rfind(b"\n", 0, end))
        line = block[start : min(end, start + len(self._delimiter))]
        if not self._delimiter.startswith(line):
            return end
        return max(0, start - (2 if block[:start].endswith(b"\r\n") else 1))


class _Kept:
    """A stream that keeps what is read; then *data* is at its end, as the stream is."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.data = io.BytesIO()

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self.data.write(block)
        return block


class _Parts(MultiPartParser):
    """Gives each file the name that its client meant, and says which limit a form exceeds."""

    _count = 0  # of files that have begun and fields that have ended

    def start_file_streaming(self, event: Any, total_content_length: int | None) -> IO[bytes]:
        self._count += 1
        disposition = event.headers.get("Content-Disposition", "")
        named = replace(event, filename=filename_of(disposition, event.filename) or "")
        return super().start_file_streaming(named, total_content_length)

    def get_part_charset(self, headers: Headers) -> str:
        self._count += 1
        return super().get_part_charset(headers)

    def parse(self, stream: IO[bytes], boundary: bytes, content_length: int | None) -> Any:
        try:
            return super().parse(stream, boundary, content_length)
        except RequestEntityTooLarge as error:
            if error.description == RequestEntityTooLarge.description:  # the parser's own
                error.description = self._limit()
            raise

    def _limit(self) -> str:
        if self.max_form_parts is not None and self._count >= self.max_form_parts:
            return f"A form may have at most {self.max_form_parts} parts (max_form_parts); nothing was stored."
        return (
            f"A text field of a form may have at most {self.max_form_memory_size} bytes (max_form_memory_size);"
            " nothing was stored."
        )


class FormParser(FormDataParser):
    """A :class:`~werkzeug.formparser.FormDataParser` that finds every delimiter, wherever its reads end.

    The stream that it returns for a form without files can be rewound, as a client may call any body such a form.
    """

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> Any:
        if mimetype == FORM:
            kept = _Kept(stream)
            _, form, files = super().parse(cast("IO[bytes]", kept), mimetype, content_length, options)
            return kept.data, form, files
        source = stream
        if mimetype == "multipart/form-data":
            source = cast("IO[bytes]", _WholeDelimiters(stream, (options or {}).get("boundary", "")))
        _, form, files = super().parse(source, mimetype, content_length, options)
        return stream, form, files

    def _parse_multipart(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str]
    ) -> Any:
        boundary = options.get("boundary", "").encode("ascii")
        if not boundary:
            raise ValueError("Missing boundary")
        cls = getattr(self, "cls", None)  # deprecated in Werkzeug 3.2
        parts = _Parts(
            stream_factory=self.stream_factory,
            max_form_memory_size=self.max_form_memory_size,
            max_form_parts=self.max_form_parts,
            **({} if cls is None else {"cls": cls}),
        )
        form, files = parts.parse(stream, boundary, content_length)
        return stream, form, files


def init_app(app: Flask) -> None:
    """Let *app* parse forms with :class:`FormParser`, also in its ``before_request`` functions."""
    preprocessors = app.url_value_preprocessors[None]  # these run first
    if _use_form_parser not in preprocessors:
        preprocessors.insert(0, _use_form_parser)


def has_loaded(request: Request, name: str) -> bool:
    """Whether the ``stream``, ``form`` or ``files`` of *request* was used already."""
    return name in request.__dict__


def cached_body(request: Request) -> bytes | None:
    """Return the body if :meth:`~flask.Request.get_data` has read it and kept it; else None."""
    return cast("bytes | None", request.__dict__.get("_cached_data"))


def _use_form_parser(endpoint: str | None, values: dict[str, Any] | None) -> None:
    request.form_data_parser_class = _on_top_of(request.form_data_parser_class)  # type: ignore[arg-type]


@cache
def _on_top_of(parser: type[FormDataParser]) -> type[FormDataParser]:
    return parser if issubclass(parser, FormParser) else type("FormParser", (FormParser, parser), {})
