"""What the macro ``upload_form`` knows of a blueprint, on our pages and in those of the application."""

from __future__ import annotations

from typing import Any

from flask import current_app, request

from ...service.options import options_of
from ...service.rights import may


def upload_target(endpoint: str, folder: str = "") -> dict[str, Any]:
    """Describe where an upload form sends its files.

    :param endpoint: ``index`` of a blueprint; one that begins with a dot is of the present blueprint
    :param folder: where the files go, with a slash at its end; empty: the top
    :return: *endpoint*, whole; *largest*, the bytes that a file may have, or None; *slice*, those of a request of an
        upload that can go on, or None; *may_write*, whether the client may add files there:
        ``authorize("write", folder)``
    :raises ValueError: for an endpoint of no uploads blueprint
    """
    if endpoint.startswith("."):
        endpoint = f"{request.blueprint}{endpoint}"
    options = options_of(endpoint.rpartition(".")[0])
    return {
        "endpoint": endpoint,
        "largest": options.largest_file(current_app.config["MAX_CONTENT_LENGTH"]),
        "slice": options.slice(current_app.config["MAX_CONTENT_LENGTH"]),
        "may_write": not options.read_only and may(options, "write", folder),
    }
