"""Errors as answers of WebDAV; the log has details."""

from __future__ import annotations

from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException, ServiceUnavailable
from wsgidav.dav_error import DAVError, DAVErrorCondition

from ..service.errors import RETRY_AFTER, failure_of, log_failure
from ..service.quota import OverQuota


def as_dav_error(error: Exception) -> DAVError:
    """Return *error* with a status for clients, without details that belong only in the log."""
    if isinstance(error, DAVError):
        # WsgiDAV wraps other exceptions in a 500.
        return as_dav_error(error.src_exception) if error.value == 500 and error.src_exception else error
    if isinstance(error, OverQuota):  # RFC 4331 section 6
        condition = DAVErrorCondition("{DAV:}quota-not-exceeded")
        return DAVError(507, str(error.description), src_exception=error, err_condition=condition)
    if isinstance(error, HTTPException):
        return DAVError(error.code or 500, str(error.description or ""), src_exception=error)
    failure = failure_of(error)
    if failure.status >= 500 or isinstance(error, PyMongoError):
        log_failure(failure, error)
    passing = ServiceUnavailable(failure.text, retry_after=int(RETRY_AFTER)) if failure.transient else None
    return DAVError(failure.status, failure.text, src_exception=passing)
