"""Refusals: one line in the log and one signal for each."""

from __future__ import annotations

from flask import current_app, request

from ..signals import request_refused, tell

_NOT_REFUSED = (404, 409, 410, 412, 423)  # what is asked for is not there, or is otherwise just now


def tell_refusal(status: int, reason: str, filename: str | None) -> None:
    """Log a refused request and send the signal; a request for what is not there is no refusal."""
    if status in _NOT_REFUSED:
        return
    token = request.args.get("upload", "")[:6]  # no more: it is a secret
    # As ASCII: a name from outside must not write lines of its own.
    current_app.logger.warning(
        "refused %s %a: %d %a", request.method, f"?upload={token}..." if token else filename, status, reason
    )
    tell(request_refused, status=status, reason=reason, filename=filename)
