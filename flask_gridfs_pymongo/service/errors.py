"""Failures and refusals: what the client sees, what is logged, and the signal.

One table, for the blueprint and the network drive, maps the errors of the store and the driver to a status and a text::

    failure = failure_of(error)
    log_failure(failure, error)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bson.errors import InvalidDocument
from flask import Flask, current_app, got_request_exception, request
from pymongo.errors import ConfigurationError, ExecutionTimeout, PyMongoError

from ..signals import request_refused, send
from ..store import (
    DISK_FULL,
    NO_PLAN,
    ContentDeleted,
    CorruptFile,
    IndexConflict,
    QuotaExceeded,
    Unconfirmed,
    Unsupported,
    codes,
    is_outage,
    missing_right,
    reason,
)
from .texts import Message

RETRY_AFTER = "5"
"""seconds, for transient failures"""
_NOT_REFUSED = (404, 409, 410, 412, 423)  # the answer is about the file's state


class Failure(NamedTuple):
    """The response to an error."""

    status: int
    text: str = ""
    """empty: the error's own text, which is written for clients"""
    transient: bool = False
    """whether the same request may succeed later"""


def _is(*kinds: type[Exception]) -> Callable[[Exception], bool]:
    return lambda error: isinstance(error, kinds)


def _has(code: int) -> Callable[[Exception], bool]:
    return lambda error: isinstance(error, PyMongoError) and code in codes(error)


# The first row that matches decides.
_FAILURES: tuple[tuple[Callable[[Exception], bool], Failure], ...] = (
    (_is(QuotaExceeded), Failure(507)),
    (_is(ContentDeleted, IndexConflict), Failure(409)),
    (_is(Unsupported), Failure(501)),
    (_is(CorruptFile, UnicodeEncodeError), Failure(500, "The stored file is damaged.")),
    (_has(DISK_FULL), Failure(507, "The disk of the database is full; nothing was stored.")),
    (
        _is(Unconfirmed),
        Failure(
            503,
            "The database did not confirm this in time. A new file may still appear, complete, and a deleted one may "
            "be gone.",
            transient=True,
        ),
    ),
    (_is(ExecutionTimeout), Failure(503, "This takes too long here.", transient=True)),
    (
        lambda error: isinstance(error, PyMongoError) and is_outage(error),
        Failure(503, "The storage is unavailable right now. Try again in a moment.", transient=True),
    ),
    (_has(18), Failure(500, "The database refuses the user or the password of this application.")),
    (_has(121), Failure(422, "A schema validator of the database refuses this; nothing was stored.")),
    (_has(166), Failure(403, "The files are a view of the database, which cannot be changed.")),
    (_has(61), Failure(500, "The collections of the files are sharded by a key that this does not support.")),
    (_has(NO_PLAN), Failure(500, "The database lacks an index for this, and scans no collections (notablescan).")),
    (
        _is(ConfigurationError),
        Failure(500, "The settings of the connection do not fit the database; see the log of the application."),
    ),
    (_is(PyMongoError, InvalidDocument), Failure(500, "The database refused this; see the log of the application.")),
    (_is(TimeoutError), Failure(503, "Other clients keep changing this; try again.", transient=True)),
)
FAILURES = (PyMongoError, InvalidDocument, CorruptFile, UnicodeEncodeError, IndexConflict, QuotaExceeded, Unsupported)
"""the errors that the table is for; any other one is a bug of the package or the application"""


def failure_of(error: Exception) -> Failure:
    """Return the response to *error*: 500 if no row matches."""
    if right := missing_right(error):
        command, collection = right
        return Failure(
            403,
            Message(
                "The database user of this application may not %(command)s in %(collection)s.",
                command=command,
                collection=collection,
            ),
        )
    found = next((failure for fits, failure in _FAILURES if fits(error)), None)
    if found is None:
        return Failure(500, "This failed; see the log of the application.")
    return found if found.text else found._replace(text=f"{str(error)[:1].upper()}{str(error)[1:]}.")


def log_failure(failure: Failure, error: Exception) -> None:
    """Log one line, in ASCII: the error may quote a name that contains line breaks. A bug goes to Flask's signal."""
    text = reason(error) if isinstance(error, PyMongoError) else str(error)
    unknown = None if isinstance(error, FAILURES) else error
    current_app.logger.error("%d %s: %a", failure.status, type(error).__name__, text, exc_info=unknown)
    if unknown is not None:
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)


def report_refusal(status: int, reason: str, filename: str | None) -> None:
    """Log a refused request and send the signal; a request for a missing file is not a refusal."""
    if status in _NOT_REFUSED:
        return
    token = request.args.get("upload", "")[:6]  # not all of it: it is a secret
    # In ASCII: a name must not be able to forge lines of the log.
    current_app.logger.warning(
        "refused %s %a: %d %a", request.method, f"?upload={token}..." if token else filename or "/", status, reason
    )
    send(request_refused, status=status, reason=reason, filename=filename)
