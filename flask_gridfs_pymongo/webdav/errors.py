"""Errors as answers of WebDAV; the log has details.

::

    with as_dav_errors():
        permit(options, "write", name)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException, ServiceUnavailable
from wsgidav.dav_error import DAVError

from ..service.errors import RETRY_AFTER, failure_of, log_failure


@contextmanager
def as_dav_errors() -> Iterator[None]:
    """Turn any error into a DAVError, which WsgiDAV can report for each of several resources."""
    try:
        yield
    except Exception as error:
        raise as_dav_error(error) from error


def as_dav_error(error: Exception) -> DAVError:
    """Return *error* with a status for clients, without details that belong only in the log."""
    if isinstance(error, DAVError):
        # WsgiDAV wraps other exceptions in a 500.
        return as_dav_error(error.src_exception) if error.value == 500 and error.src_exception else error
    if isinstance(error, HTTPException):
        return DAVError(error.code or 500, str(error.description or ""), src_exception=error)
    failure = failure_of(error)
    if failure.status >= 500 or isinstance(error, PyMongoError):
        log_failure(failure, error)
    passing = ServiceUnavailable(failure.text, retry_after=int(RETRY_AFTER)) if failure.transient else None
    return DAVError(failure.status, failure.text, src_exception=passing)
