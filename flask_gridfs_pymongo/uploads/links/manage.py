"""Making, listing and revoking links: ``POST /FOLDER/?links``, ``GET /FOLDER/?links`` and ``POST /?revoke=ID``."""

from __future__ import annotations

from collections.abc import Collection
from types import NoneType
from typing import Any
from urllib.parse import urljoin

from flask import Request, abort, current_app, url_for
from werkzeug.wrappers import Response

from ...http.filenames import clean
from ...mimetype import Types
from ...service.bodies import small_form
from ...service.clients import user_of
from ...service.options import Options
from ...service.rights import may, permit
from ...service.texts import gettext
from ...store import Link, check_type
from ..arguments import folder, number
from ..pages import flash, urls
from ..pages import render as pages
from ..target import Target

_MAX_BYTES = 180  # of a folder: the names of files below it need some, too
_TTL = 7 * 86_400  # seconds
_MAX_TTL = 366 * 86_400
_MAX_LISTED = 1000


def url_of(blueprint: str, token: str, **variables: Any) -> str:
    """Return the URL of the link with this *token*; *variables* are those of the ``url_prefix``.

    :raises TypeError: for a variable that the ``url_prefix`` does not have
    """
    endpoint = f"{blueprint}.index"
    for name in variables:
        if not current_app.url_map.is_endpoint_expecting(endpoint, name):
            raise TypeError(f"{name} is neither an argument nor a variable of the url_prefix of {blueprint!r}")
    return url_for(endpoint, link_token=token, **variables).removesuffix("/")


def check_made(expires_in: int, maker: str | None = None) -> None:
    """Check what each new link has.

    :raises TypeError, ValueError: naming the argument that is wrong
    """
    check_type("maker", maker, str, NoneType)
    check_type("expires_in", expires_in, int)
    if not 0 < expires_in <= _MAX_TTL:
        raise ValueError(f"expires_in must be 1 to {_MAX_TTL} seconds, not {expires_in}")


def check_limits(options: Options, max_size: int | None, max_files: int | None, types: Collection[str] | None) -> None:
    """Check the limits of a new link.

    :raises TypeError, ValueError: naming the argument that is wrong
    """
    for name, value, least in (("max_size", max_size, 0), ("max_files", max_files, 1)):
        check_type(name, value, int, NoneType)
        if value is not None and not least <= value < 2**63:
            raise ValueError(f"{name} must be a whole number of at least {least}, not {value}")
    if types is not None:
        Types(types)
    if options.read_only:
        raise ValueError("a link for uploads needs a blueprint that is not read_only")


def make(
    options: Options,
    blueprint: str,
    top: str,
    *,
    expires_in: int = _TTL,
    max_size: int | None = None,
    max_files: int | None = None,
    types: Collection[str] | None = None,
    maker: str | None = None,
) -> Link:
    """Make a link by which anybody may add files below the folder *top*.

    :raises TypeError, ValueError: naming the argument that is wrong
    """
    check_type("folder", top, str)
    check_made(expires_in, maker)
    if top and (not clean(top) or f"{clean(top)}/" != top or len(top.encode()) > _MAX_BYTES):
        raise ValueError(
            f"folder must be '' or a clean path of at most {_MAX_BYTES} bytes that ends with /, not {top!r}"
        )
    check_limits(options, max_size, max_files, types)
    limits: dict[str, Any] = {"max_size": max_size, "max_files": max_files, "types": types}
    return options.bucket().links.create("upload", top, blueprint, lifetime=expires_in, maker=maker, **limits)


def of_folder(options: Options, request: Request, target: Target) -> Response:
    """Answer with the links to a folder, and to those below it."""
    pages.check_reachable(options)
    return _page(options, request, _folder(options, target))


def add(options: Options, request: Request, target: Target) -> Response:
    """Make a link to a folder; only this response has its URL."""
    top, form, blueprint = _folder(options, target), small_form(request), str(request.blueprint)
    given = {name: number(form.get(name) or None, name) for name in ("expires_in", "max_size", "max_files")}
    limits: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        link = make(options, blueprint, top, maker=user_of(options, request), **limits)
    except ValueError as error:
        abort(400, f"{str(error)[:1].upper()}{str(error)[1:]}.")
    data = {"url": url_of(blueprint, link.token), **link.facts()}
    if not pages.is_browser():
        return pages.created(data)
    return _page(options, request, top, made={**data, "address": urljoin(request.url_root, data["url"])})


def revoke(options: Options, request: Request, target: Target) -> Response:
    """Make a link useless from now on."""
    _check_enabled(options)
    links, link_id = options.bucket().links, request.args["revoke"]
    link = links.get(link_id)
    if link is None or not _is_own(options, request, link):
        abort(404, "There is no such link.")
    links.revoke(link_id)
    if not pages.is_browser():
        return pages.empty(204)
    return flash.redirect(urls.index({"links": "", "folder": target.folder}), gettext("The link was revoked."))


def _page(options: Options, request: Request, top: str, made: Any = None) -> Response:
    links = options.bucket().links.list(top, limit=_MAX_LISTED)
    found = [link.facts() for link in links if _is_own(options, request, link)]
    return pages.page("links.html", {"folder": top, "links": found}, status=201 if made else 200, made=made)


def _folder(options: Options, target: Target) -> str:
    _check_enabled(options)
    top = folder(target) or ""
    permit(options, "write", top)
    return top


def _check_enabled(options: Options) -> None:
    if not options.upload_links:
        abort(403, "Links for uploads are disabled: give uploads_blueprint() upload_links=True.")


def _is_own(options: Options, request: Request, link: Link) -> bool:
    """Whether the client may see a link and revoke it: who may write there, and read what it shows."""
    shows = "read" if link.path.rpartition("/")[2] else "list"
    return (
        link.blueprint == request.blueprint
        and may(options, "write", link.path)
        and (link.kind == "upload" or may(options, shows, link.path or None))
    )
