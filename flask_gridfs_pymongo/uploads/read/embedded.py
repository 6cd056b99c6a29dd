"""The listing as a part of any page of the application: the macro ``files_listing``."""

from __future__ import annotations

from flask import render_template
from werkzeug.datastructures import MultiDict

from ...service.options import options_of
from ...service.rights import may, visibility_of
from ..pages import urls
from ..target import Kind, Target
from . import listing
from .context import context
from .index import choices


def files_listing(
    endpoint: str, folder: str = "", order: str = "name", view: str | None = None, limit: int = 100
) -> str:
    """Render the listing of a folder; empty if the client may not list it. Its links lead to the blueprint's own pages.

    :param endpoint: ``index`` of a blueprint
    :param folder: with a trailing slash; empty: the top
    :param order: as in ``?order``
    :param view: ``table``; None: tiles
    :param limit: the number of names, at most
    :raises ValueError: if the endpoint does not belong to an uploads blueprint
    """
    name = endpoint.rpartition(".")[0]
    options = options_of(name)
    if not may(options, "list", folder or None):
        return ""
    with urls.of(name):
        args = MultiDict({"folder": folder, "order": order, "limit": str(limit), **({"view": view} if view else {})})
        target = Target(Kind.ROOT, folder=folder)
        data = listing.build(options.bucket(), args, target, options.keys, visibility_of(options), sort=True)
        shown = {**data, **listing.links(args, data, listing.listing_query(args)), **choices(options, data)}
        asked = None if order == "name" else order
        page = {"layout": "flask_gridfs_pymongo/embedded.html", "view": view, "asked": asked, "after": urls.here()}
        return render_template(
            "flask_gridfs_pymongo/listing.html", **{**context(options), **shown, **page}, part=bool(data["next"])
        )
