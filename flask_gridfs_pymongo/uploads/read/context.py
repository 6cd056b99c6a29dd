"""What the templates of every page get, besides :data:`.texts.TEMPLATE_GLOBALS`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from flask import request

from ...http.headers import is_shown
from ...mimetype import PICTURES
from ...service import texts
from ...service.options import Options
from ...service.rights import listable
from ..target import target_of
from . import variant


def context(options: Options) -> dict[str, Any]:
    """Return the variables by their names."""
    return {
        "layout": "flask_gridfs_pymongo/base.html",
        "by_link": "link_token" in (request.view_args or {}),
        "title": texts.translated(options.title),
        "stylesheet": options.stylesheet,
        "smaller": variant.uncropped_widths(options),
        "has_variants": variant.is_available(),
        "pictures": PICTURES | {"image/svg+xml"},
        "made_smaller": variant.types(),
        "opens": partial(is_shown, inline_types=options.inline_types),
        "restorable_until": lambda: _restorable_until(options),
        "listable": lambda: listable(options, target_of(request).path),
    }


def _restorable_until(options: Options) -> str | None:
    """Return when that is deleted for good which is deleted now; None: at once."""
    seconds = options.bucket().collections.trash
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds") if seconds else None
