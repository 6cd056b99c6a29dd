"""The files of a form, each into a writer of its own while it arrives (multipart/form-data, RFC 7578).

::

    with ExitStack() as uploads:
        files = FormFiles(options, uploads, None, "photos/")
        texts = files.receive(request)
        files.parts[0].writer.commit()
"""

from __future__ import annotations

import io
from contextlib import ExitStack
from typing import IO, Any, cast

from flask import Request, abort
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from ..http.disposition import filename_of
from ..http.filenames import MAX_NAME_BYTES, clean, numbered, shortened
from ..store import Writer
from .bodies import READ_SIZE, SMALL_TIMEOUT, Body
from .formparser import FormParser, has_loaded
from .options import Rules
from .quota import Limit, limit_of
from .rights import permit
from .texts import Message

_SPARE = 1024 * 1024  # bytes of a form that may be something else than content


class FormFiles:
    """The files of one form.

    :param uploads: aborts those that are not committed
    :param filename: the name for the only file; None: each part's own, cleaned
    :param folder: a prefix of each part's own name
    """

    def __init__(self, options: Rules, uploads: ExitStack, filename: str | None, folder: str) -> None:
        self._options, self._uploads = options, uploads
        self._filename, self._folder = filename, folder
        self._names: dict[str, int] = {}  # with the last number that was given to each
        self.parts: list[Part] = []
        self._announced: int | None = None  # bytes of the whole form
        self._body: Body | None = None

    def receive(self, request: Request) -> MultiDict[str, str]:
        """Take the files; return the other fields.

        :raises FileTooLarge: for a file of more than ``max_size`` bytes
        :raises werkzeug.exceptions.HTTPException: for a broken form, or a name that is refused
        """
        self._announced = request.content_length
        if self._filename is not None:
            self._limit(self._filename)
        if has_loaded(request, "files"):
            for _, storage in request.files.items(multi=True):
                if storage.filename:
                    disposition = storage.headers.get("Content-Disposition", "")
                    part = self._start(filename_of(disposition, storage.filename), storage.content_type)
                    storage.stream.seek(0)  # the application may have read it, for a hash
                    while block := storage.stream.read(READ_SIZE):
                        part.write(block)
                    part.seek(0)
            return request.form
        if request.mimetype == "multipart/form-data":
            return self._parse(request)
        return MultiDict()  # other forms would be read into memory as a whole

    def _start(self, name: str | None, claim: str | None) -> Part:
        """Begin a file; one finished part keeps only its first bytes in memory."""
        if self._filename is not None and self.parts:
            abort(400, Message("Send one file only: the URL names %(name)s.", name=repr(self._filename)))
        target, own = self._filename, clean(name or "")
        if target is None:
            target = clean(f"{self._folder}/{own}") if own else ""
        if not target:
            abort(400, no_name_left(name))
        target = self._apart(target)
        permit(self._options, "write", target)
        limit = self._limit(target)
        if self._body is not None and not self.parts:
            self._body.relax(self._options.upload_timeout)
        writer = self._options.bucket().writer(target, limit.size)
        self.parts.append(Part(self._uploads.enter_context(writer), claim, limit))
        return self.parts[-1]

    def _limit(self, name: str) -> Limit:
        """Return how many bytes the file may have; abort with 507 if the form is certain to have more."""
        limit = limit_of(self._options, name, self._announced)
        if self._announced is not None and limit.covers(self._filename or self._folder):
            limit.check(self._announced - _SPARE)
        return limit.after((part.writer.filename, part.writer.length) for part in self.parts)

    def _apart(self, name: str) -> str:
        """Return *name*, numbered if an earlier file of this form has it: phones call each picture image.jpg."""
        unique = name
        while unique in self._names:
            number = self._names[name] = self._names[name] + 1
            unique = clean(numbered(shortened(name, MAX_NAME_BYTES - len(f" ({number})")), number))
        self._names[unique] = 1
        return unique

    def _parse(self, request: Request) -> MultiDict[str, str]:
        def stream_factory(
            total_content_length: int | None,
            content_type: str | None,
            filename: str | None,
            content_length: int | None = None,
        ) -> IO[bytes]:
            return cast("IO[bytes]", self._start(filename, content_type) if filename else _Unnamed())

        parser = FormParser(
            stream_factory,
            max_form_memory_size=request.max_form_memory_size,
            max_form_parts=request.max_form_parts,
            silent=False,
        )
        try:
            with Body(request, SMALL_TIMEOUT, small=True) as body:
                self._body = body
                if self._filename is not None:  # it may be written, as was asked before
                    body.relax(self._options.upload_timeout)
                stream = cast("IO[bytes]", body)
                _, form, _ = parser.parse(stream, request.mimetype, request.content_length, request.mimetype_params)
        except UnicodeDecodeError:
            raise BadRequest("The name of a file or field is not UTF-8; nothing was stored.") from None
        except ValueError as error:
            reason = Message("The form is broken or was cut off (%(error)s); nothing was stored.", error=error)
            raise BadRequest(reason) from None
        return cast("MultiDict[str, str]", form)


class Part:
    """The writer of one file, as the form parser uses it.

    :param claim: the content type that the client stated
    :param limit: how many bytes it may have
    """

    def __init__(self, writer: Writer, claim: str | None, limit: Limit) -> None:
        self.writer = writer
        self.claim = claim
        self.limit = limit

    def write(self, data: bytes) -> int:
        """Take the next bytes; return how many."""
        return self.writer.write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """End the part: that is how the parser marks it."""
        self.writer.finish()
        return 0


class _Unnamed(io.BytesIO):
    """An empty file field, as browsers send it if no file was chosen."""

    def write(self, data: Any) -> int:
        if data:
            abort(400, "A file part has no file name; nothing was stored.")
        return 0


def no_name_left(name: str | None) -> Message:
    """Return the error for a *name* of which cleaning left nothing."""
    return Message("The file name %(name)s has no usable characters; choose another one.", name=repr(name))
