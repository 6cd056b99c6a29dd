"""What the macro ``upload_form`` needs of a blueprint, on our pages and on those of the application."""

from __future__ import annotations

from typing import Any

from flask import current_app

from ...service import quota
from ...service.options import options_of
from ...service.rights import may
from . import urls


def upload_target(endpoint: str, folder: str = "") -> dict[str, Any]:
    """Describe the target of an upload form.

    :param endpoint: ``index`` of a blueprint; ``.index`` is that of the current blueprint
    :param folder: the folder of the files, with a trailing slash; empty: the top
    :return: *largest*, the bytes that a file may have, or None; *slice*, the bytes in a request of a resumable upload,
        or None; *quota*, the :class:`.Quota` of the folder, or None; *accept*, the types that files may have, as the
        attribute of a field; *may_write*, whether the client may add files there: ``authorize("write", folder)``
    :raises ValueError: if the endpoint does not belong to an uploads blueprint
    """
    options = options_of(endpoint.rpartition(".")[0] or urls.blueprint())
    return {
        "largest": options.largest_file(current_app.config["MAX_CONTENT_LENGTH"]),
        "slice": options.slice(current_app.config["MAX_CONTENT_LENGTH"]),
        "quota": quota.quota_for(options, folder),
        "accept": ",".join(options.types or ()),
        "may_write": not options.read_only and may(options, "write", folder),
    }
