"""Errors as WebDAV answers them; the log has more.

::

    with told():
        permit(options, "write", name)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app
from pymongo.errors import ExecutionTimeout, PyMongoError
from werkzeug.exceptions import HTTPException
from wsgidav.dav_error import DAVError

from ..store import DISK_FULL, ContentDeleted, CorruptFile, IndexConflict, QuotaExceeded, Unconfirmed, codes, is_outage


@contextmanager
def told() -> Iterator[None]:
    """Turn any error into a DAVError: WsgiDAV puts these into its answers about several resources."""
    try:
        yield
    except Exception as error:
        raise as_dav_error(error) from error


def as_dav_error(error: Exception) -> DAVError:
    """Return *error* with a status for clients, and nothing that only the log may know."""
    if isinstance(error, DAVError):
        # WsgiDAV makes a 500 of what it does not know, and keeps it.
        return as_dav_error(error.src_exception) if error.value == 500 and error.src_exception else error
    if isinstance(error, HTTPException):
        return DAVError(error.code or 500, str(error.description or ""), src_exception=error)
    status, text = _status(error)
    if status >= 500:
        current_app.logger.error("%s: %a", text, str(error), exc_info=error if status == 500 else None)
    return DAVError(status, text)


def _status(error: Exception) -> tuple[int, str]:
    if isinstance(error, QuotaExceeded):
        return 507, f"{str(error).capitalize()}."
    if isinstance(error, ContentDeleted | IndexConflict):
        return 409, "The file found no place; nothing was stored."
    if isinstance(error, CorruptFile):
        return 500, "The stored file is damaged"
    if isinstance(error, PyMongoError) and DISK_FULL in codes(error):
        return 507, "The disk of the database is full; nothing was stored"
    if isinstance(error, Unconfirmed):
        return 503, "The database did not confirm this in time"
    if isinstance(error, ExecutionTimeout):
        return 503, "This takes too long here"
    if isinstance(error, PyMongoError) and is_outage(error):
        return 503, "The database does not answer"
    if isinstance(error, TimeoutError):
        return 503, "Others are faster all the time; try again"
    return 500, "This failed; the log of the application tells why"
