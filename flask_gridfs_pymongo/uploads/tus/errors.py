"""The errors that a tus client gets, each with what it needs to continue.

::

    raise errors.conflict(writer.offset)

The texts are for programs, which is why they are not translated.
"""

from __future__ import annotations

from typing import Any

from werkzeug.exceptions import HTTPException

from ...http import tus


class Refusal(HTTPException):
    """An error of the protocol.

    :param fields: header fields, with ``_`` for ``-``
    """

    def __init__(self, code: int, description: str, **fields: str) -> None:
        super().__init__(description)
        self.code = code
        self._fields = [(name.replace("_", "-"), value) for name, value in fields.items()]

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return super().get_headers(*args, **kwargs) + self._fields


def unknown() -> Refusal:
    """The token is nobody's, or not this client's."""
    return Refusal(404, "There is no such upload.")


def conflict(offset: int) -> Refusal:
    """The client is wrong about the offset, or somebody else moved it."""
    return Refusal(409, f"The offset of this upload is {offset}; go on from there.", Upload_Offset=str(offset))


def gone() -> Refusal:
    """The upload was terminated or has expired, bytes of it were lost, or the file that it became is gone."""
    return Refusal(410, "This upload was ended, its time is over, or its file is gone; start again.")


def version() -> Refusal:
    """The client speaks no version of tus that is known here."""
    return Refusal(412, f"Send Tus-Resumable: {tus.VERSION}.", Tus_Version=tus.VERSION)


def too_long(offset: int, limit: int | None) -> Refusal:
    """The body goes past the end of the upload."""
    detail = f"This upload may have {limit} bytes; with the body it would have more. Its offset is still {offset}."
    return Refusal(413, detail, Upload_Offset=str(offset))


def wrong_type() -> Refusal:
    """The body does not say that it is bytes of an upload."""
    return Refusal(415, f"The body of an upload has the type {tus.CONTENT_TYPE}.")


def busy() -> Refusal:
    """Another request is receiving bytes of the upload."""
    return Refusal(423, "Another request is sending bytes of this upload; try again.", Retry_After="1")


def too_many(number: int) -> Refusal:
    """The bucket has so many unfinished uploads that no more may begin."""
    return Refusal(429, f"There are {number} unfinished uploads; try again later.", Retry_After="60")


def wrong_checksum() -> Refusal:
    """The body is not what the client meant to send."""
    return Refusal(460, "The body does not match Upload-Checksum; nothing of it is kept.")
