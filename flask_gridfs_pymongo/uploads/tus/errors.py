"""The errors of the tus protocol, each with what a client needs to continue.

::

    raise errors.conflict(writer.offset)

The texts are for programs, and not translated.
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
    """The token is unknown, or the upload belongs to another client."""
    return Refusal(404, "There is no such upload.")


def conflict(offset: int) -> Refusal:
    """The client has the wrong offset, or another request has changed it."""
    return Refusal(409, f"The offset of this upload is {offset}; continue from there.", Upload_Offset=str(offset))


def gone() -> Refusal:
    """The upload was terminated or has expired, bytes of it were lost, or its file was deleted."""
    return Refusal(410, "This upload was terminated or has expired, or its file was deleted; start again.")


def version() -> Refusal:
    """The client uses another version of tus."""
    return Refusal(412, f"Send Tus-Resumable: {tus.VERSION}.", Tus_Version=tus.VERSION)


def too_long(offset: int, limit: int | None) -> Refusal:
    """The body exceeds the length of the upload."""
    detail = f"This upload may have at most {limit} bytes, which the body exceeds. Its offset is still {offset}."
    return Refusal(413, detail, Upload_Offset=str(offset))


def wrong_type() -> Refusal:
    """The body has another media type than bytes of an upload."""
    return Refusal(415, f"The body of an upload must have the type {tus.CONTENT_TYPE}.")


def busy() -> Refusal:
    """Another request is receiving bytes of the upload."""
    return Refusal(423, "Another request is sending bytes of this upload; try again.", Retry_After="1")


def too_many(number: int) -> Refusal:
    """The bucket has too many unfinished uploads."""
    return Refusal(429, f"There are {number} unfinished uploads; try again later.", Retry_After="60")


def too_many_of_one() -> Refusal:
    """The client has too many unfinished uploads."""
    return Refusal(429, "You have too many unfinished uploads; finish them, or try again later.", Retry_After="60")


def wrong_checksum() -> Refusal:
    """The body does not match its checksum."""
    return Refusal(460, "The body does not match Upload-Checksum; none of its bytes are kept.")
