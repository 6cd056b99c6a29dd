"""The arguments of ``uploads_blueprint`` and ``webdav_app``, each defined once.

An argument is a field: its type, its default, and below it its documentation. Its check is a row of :data:`_CHECKS`.
The methods get their signatures by :func:`.arguments.takes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property
from types import NoneType
from typing import Any

from flask import Blueprint, Request, abort, current_app, has_request_context, request

from ..http import origin
from ..http.headers import check_inline_types, page_policy
from ..http.metadata import Keys
from ..images import LARGE, THUMB, Variant
from ..mimetype import Types
from ..store import Bucket, Link, StoredFile, check_type

_RESOURCE_POLICIES = (None, "same-origin", "same-site", "cross-origin")
_SLICE = 8 * 1024 * 1024  # bytes
_ENVELOPE = 2048  # bytes of a form around a file
Authorize = Callable[[str, "str | None"], Any]
Authenticate = Callable[[str, str], Any]
ClientOf = Callable[[Request], "str | None"]
Csp = Mapping[str, str] | Callable[[], Mapping[str, str]]
Tenant = Callable[[], str]
_TENANT = re.compile("[A-Za-z0-9_-]{1,64}")
_MAX_DB = 63  # characters of a database's name
_RESERVED = frozenset({"admin", "config", "local", "system"})  # databases and collections of the server
Quota = Callable[[str], "tuple[str, int] | None"]
Inspect = Callable[[StoredFile, Callable[[], Iterator[bytes]]], Any]
MayUse = Callable[[Link], Any]
_BY_LINK = "flask_gridfs_pymongo.by_link"


@dataclass(frozen=True)
class Rules:
    """The rules of a bucket, for the blueprint and for the network drive."""

    open_bucket: Callable[[str, str | None], Bucket]
    """:meth:`.PyMongo.bucket`"""
    _: KW_ONLY
    base: str | Tenant = "fs"
    """the bucket's name, or a function without arguments that returns it for each request; another name than
    ``[A-Za-z0-9_-]{1,64}`` is a 404, and so is a tenant for which the function calls ``abort(404)``"""
    db: str | Tenant | None = None
    """the name of the bucket's database, or such a function; None: that of :attr:`.PyMongo.db`"""
    authorize: Authorize | None = None
    """``authorize(action, filename)``, asked before anything is read or stored; *action* is ``read``, ``write`` or
    ``delete`` of a file, or ``list``: of everything if *filename* is None, of a folder if it is a path that ends with a
    slash. A listing shows only files that may be read, in folders that may be listed. A falsy result means 403; the
    function may also abort. None: everybody may read and add files, nobody may delete or
    change any; a network drive is read-only."""
    read_only: bool = False
    """whether all changes are refused"""
    max_size: int | None = None
    """bytes in a file; None: no limit"""
    quota: Quota | None = None
    """``quota(filename)`` returns a beginning of *filename*, such as ``ann/``, and the bytes that all versions of all
    names with this beginning may have together, or None: no limit. What does not fit is a 507, before its body if that
    has a length, else as soon as it passes the limit. Pages that show what is left ask with the path of a folder, with
    a slash at its end; empty: the top. None: no limits"""
    types: Collection[str] | None = None
    """the media types that files may have, such as ``image/png`` or ``image/*``; None: all. They apply to the type that
    is stored, by name and first bytes, never to the client's claim; another one is a 415."""
    upload_timeout: float | None = 3600
    """seconds that the body of an upload may take; None: no limit"""
    metadata: Collection[str] = ()
    """the keys of a file's ``metadata`` that requests may set"""
    keep_versions: int | None = None
    """how many of the newest versions of a name are kept: each upload deletes some older ones, if they have been
    superseded for an hour; None: all are kept"""
    expire_after: float | None = None
    """seconds after its upload at which a version expires; None: never"""
    inspect: Inspect | None = None
    """``inspect(file, read)``, called when an upload is complete and nobody can see it yet; *file* is its
    :class:`.StoredFile`, and ``read()`` iterates over its content. If it raises :class:`.Refused` the response is
    422, if it fails otherwise 503, and nothing is stored."""
    inspect_timeout: float = 60
    """seconds that *inspect* may take"""
    client_of: ClientOf | None = None
    """``client_of(request)`` returns a text for the client to which an unfinished upload, a lock or an empty folder
    counts, so that no client takes all of them, or None. None: a client is who has logged in to the drive, else an
    address, unless it is private (a proxy's: use ``ProxyFix``)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if check := _CHECKS.get(field.name):
                check(field.name, getattr(self, field.name))

    @property
    def via(self) -> str | None:
        """The id of the link by whose rights the request is answered; None: by ``authorize``."""
        return None

    def committing(self, ids: Sequence[Any]) -> AbstractContextManager[object]:
        """Surround the commit of the files *ids*; what it raises on entry ends the upload."""
        return nullcontext()

    def bucket(self) -> Bucket:
        """Return the bucket, for the current application, or for the tenant of the current request."""
        base, db = self.base, self.db
        if callable(base) or callable(db):
            base, db = self._tenant()
        return self.open_bucket(base, db)

    def _tenant(self) -> tuple[str, str | None]:
        """Ask once in each request, so that all of it is about one bucket, also by the options of a link."""
        key = f"flask_gridfs_pymongo.tenant.{id(self.base)}.{id(self.db)}"
        environ = request.environ if has_request_context() else {}
        if key not in environ:
            base = _checked(self.base()) if callable(self.base) else self.base
            environ[key] = base, _checked(self.db(), _MAX_DB) if callable(self.db) else self.db
        found: tuple[str, str | None] = environ[key]
        return found

    @cached_property
    def accepted(self) -> Types | None:
        """*types*, if it is given."""
        return None if self.types is None else Types(self.types)

    @property
    def inspects(self) -> bool:
        """Whether a file is looked at before it is committed."""
        return self.accepted is not None or self.inspect is not None

    @cached_property
    def keys(self) -> Keys:
        """The keys of *metadata*, which read requests."""
        return Keys(self.metadata)


@dataclass(frozen=True)
class Drive(Rules):
    """The arguments of :meth:`.PyMongo.webdav_app`."""

    base: str | Tenant = "fs"
    _: KW_ONLY
    rules: Blueprint | None = None
    """a blueprint that :meth:`.PyMongo.uploads_blueprint` returned: the drive serves its bucket by its rules (*base*,
    *db*, *authorize*, *read_only*, *max_size*, *quota*, *types*, *upload_timeout*, *metadata*, *keep_versions*,
    *expire_after*, *inspect*, *inspect_timeout* and *client_of*), which must not be given here"""
    authenticate: Authenticate | None = None
    """``authenticate(user, password)``, asked with each request to the drive (HTTP basic authentication): use HTTPS;
    *authorize* finds the name in ``request.authorization.username`` (a blueprint does not check it). None: *authorize*
    identifies the user itself."""
    user_of: ClientOf | None = None
    """``user_of(request)`` returns the name of the user whose locks a request makes and may remove, if there is no
    *authenticate*. None: all clients are one user."""


@dataclass(frozen=True)
class Options(Rules):
    """The arguments of :meth:`.PyMongo.uploads_blueprint`."""

    name: str = "uploads"
    """the blueprint's name, so that ``url_for("uploads.file", filename=...)`` finds it"""
    _: KW_ONLY
    url_prefix: str | None = None
    """the prefix of its URLs"""
    max_request_size: int | None = None
    """bytes in a request; the application's ``MAX_CONTENT_LENGTH`` applies, too; None: no limit of its own"""
    max_form_parts: int = 1000
    """files and fields in a form, in place of ``MAX_FORM_PARTS``"""
    max_form_memory_size: int = 128 * 1024
    """bytes in a text field of a form, in place of ``MAX_FORM_MEMORY_SIZE``; at least 128 KiB, which the
    parser needs"""
    cache_for: int | None = None
    """seconds for which clients may cache the newest version of a name; None: they revalidate each time"""
    public: bool = False
    """whether shared caches (a CDN) may store files"""
    trusted_origins: Collection[str] = ()
    """origins (``https://example.com``) whose pages may read and change things here, with their visitors' cookies
    (CORS)"""
    resource_policy: str | None = None
    """the ``Cross-Origin-Resource-Policy`` of every answer, which decides whose pages may show files: ``same-origin``,
    ``same-site`` or ``cross-origin``; None: ``cross-origin`` with *public*, else ``same-origin``"""
    title: str = "Files"
    """the title of the pages"""
    uploaded_by: str | None = None
    """the key of a file's metadata, or of its document, with the name of the uploader, which the pages show"""
    csp: Csp | None = None
    """sources that the pages' Content-Security-Policy also allows, for a layout of the application:
    ``{"style-src": "https://cdn.example"}``, or a function that returns this for each request"""
    stylesheet: str | None = None
    """the URL of a stylesheet that the pages load after their own, from the same origin"""
    inline_types: Collection[str] = ()
    """media types that are shown in the browser, besides images, audio, video and plain text"""
    send_timeout: float | None = None
    """seconds that a client may take for a piece of a download (255 KiB) before its connection is closed, under servers
    that give access to their sockets (gunicorn, Werkzeug); None: no limit"""
    share: int | None = None
    """seconds for which links are valid that anybody who may read a file can make (``POST /NAME?share``); None: no
    links"""
    upload_links: bool = False
    """whether those who may write in a folder can make links by which anybody adds files to it"""
    may_use: MayUse | None = None
    """``may_use(link)``, asked about a :class:`.Link` at each use, before the body and again at the commit. A falsy
    result means 403; the function may also abort. None: a link outlives the rights of its maker."""
    variants: Mapping[str, Variant] | None = None
    """variants of pictures by their names, besides ``thumb`` (640 pixels) and ``large`` (1600):
    ``GET /NAME?variant=thumb``"""
    resumable: bool = True
    """whether uploads are resumable (tus 1.0.0); never if *read_only* is set"""
    upload_expires: float = 86_400
    """seconds after its last byte for which an upload can be resumed"""
    max_uploads: int = 1000
    """unfinished uploads in the bucket; one more is a 429. If more than half are taken, a client may have a tenth."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.authorize is not None and self.public:
            raise ValueError(
                "public=True lets shared caches answer without asking authorize: give only one of them, or register a"
                " second blueprint that is public and read_only"
            )
        object.__setattr__(self, "resumable", self.resumable and not self.read_only)

    @cached_property
    def all_variants(self) -> Mapping[str, Variant]:
        """*variants*, ``thumb`` and ``large``."""
        return {"thumb": THUMB, "large": LARGE, **(self.variants or {})}

    def page_policy(self, **added: str) -> str:
        """The Content-Security-Policy of a page, for this request.

        :param added: further sources that this page needs, by directive with ``_`` for ``-``
        """
        csp = self.csp() if callable(self.csp) else self.csp
        return page_policy(csp or {}, {directive.replace("_", "-"): sources for directive, sources in added.items()})

    def largest_file(self, max_content_length: int | None) -> int | None:
        """Return the size limit of a file, in bytes, by resumable uploads or else by forms; None: no limit.

        :param max_content_length: the application's limit for a request, in bytes
        """
        limits = [] if self.resumable else self._body_limits(max_content_length)
        limits += [] if self.max_size is None else [self.max_size]
        return max(0, min(limits)) if limits else None

    def slice(self, max_content_length: int | None) -> int | None:
        """Return how many bytes of a resumable upload our page sends in a request; None: it sends only forms.

        :param max_content_length: as in :meth:`largest_file`
        """
        return max(1, min([_SLICE, *self._body_limits(max_content_length)])) if self.resumable else None

    def _body_limits(self, max_content_length: int | None) -> list[int]:
        return [limit - _ENVELOPE for limit in (self.max_request_size, max_content_length) if limit is not None]


def answer_by(blueprint: str, options: Options) -> None:
    """Let :func:`options_of` return *options* for this blueprint until the current request is answered."""
    request.environ[f"{_BY_LINK}.{blueprint}"] = options


def options_of(blueprint: str | None) -> Options:
    """Return the options of an uploads blueprint of the application; in a request by a link, those that it gives.

    :param blueprint: its name, with the names of those that it is nested in
    :raises ValueError: if the application has none of this name
    """
    options = getattr(current_app.blueprints.get(blueprint or ""), "options", None)
    if has_request_context():
        options = request.environ.get(f"{_BY_LINK}.{blueprint}", options)
    if not isinstance(options, Options):
        raise ValueError(f"the app has no uploads blueprint with the name {blueprint!r}")
    return options


def _checked(name: Any, most: int = 64) -> str:
    """Return the name of a tenant's bucket or database; abort with 404 if it cannot be one."""
    if not isinstance(name, str) or not _TENANT.fullmatch(name) or len(name) > most or name.lower() in _RESERVED:
        abort(404, "There is no such file or version.")
    return name


def _or_none(check: _Check) -> _Check:
    return lambda argument, value: None if value is None else check(argument, value)


def _or_tenant(check: _Check) -> _Check:
    return lambda argument, value: None if callable(value) else check(argument, value)


def _whole(least: int) -> _Check:
    def check(argument: str, value: Any) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(f"{argument} must be an int, not {value!r}")
        if value is None or value < least:
            raise ValueError(f"{argument} must be a whole number of at least {least}, not {value!r}")

    return check


def _seconds(argument: str, value: Any) -> None:
    if not isinstance(value, (int, float)) or not value > 0:
        raise ValueError(f"{argument} must be a number of seconds above 0, not {value!r}")


def _function(parameters: str) -> _Check:
    def check(argument: str, value: Any) -> None:
        if value is not None and not callable(value):
            raise TypeError(f"{argument} must be a function of {parameters}, not {value!r}")

    return check


def _resource_policy(argument: str, value: Any) -> None:
    if value not in _RESOURCE_POLICIES:
        raise ValueError(f"{argument} must be one of {_RESOURCE_POLICIES}, not {value!r}")


def _variants(argument: str, value: Any) -> None:
    for name, variant in value.items():
        if not isinstance(name, str) or not re.fullmatch("[A-Za-z0-9_-]+", name):
            raise ValueError(f"{argument}: a name has letters, digits, - and _ alone, not {name!r}")
        if not isinstance(variant, Variant):
            raise TypeError(f"{argument}: {name} must be a Variant, not {variant!r}")


def _csp(argument: str, value: Any) -> None:
    if not callable(value):
        page_policy(value)


def _uploads(argument: str, value: Any) -> None:
    if not isinstance(getattr(value, "options", None), Options):
        raise TypeError(f"{argument} must be a blueprint that uploads_blueprint() returned, not {value!r}")


_Check = Callable[[str, Any], object]
_CHECKS: dict[str, _Check] = {
    "base": _or_tenant(lambda argument, value: check_type(argument, value, str)),
    "db": _or_tenant(lambda argument, value: check_type(argument, value, str, NoneType)),
    "authorize": _function("(action, filename)"),
    "max_size": _or_none(_whole(0)),
    "quota": _function("(filename)"),
    "types": _or_none(lambda argument, value: Types(value)),
    "upload_timeout": _or_none(_seconds),
    "metadata": lambda argument, value: Keys(value),
    "keep_versions": _or_none(_whole(1)),  # the newest one always stays
    "expire_after": _or_none(_seconds),
    "inspect": _function("(file, read)"),
    "inspect_timeout": _seconds,
    "client_of": _function("(request)"),
    "user_of": _function("(request)"),
    "rules": _or_none(_uploads),
    "authenticate": _function("(user, password)"),
    "max_request_size": _or_none(_whole(0)),
    "max_form_parts": _whole(1),
    "max_form_memory_size": _whole(128 * 1024),
    "cache_for": _or_none(_whole(0)),
    "trusted_origins": lambda argument, value: origin.check_trusted(value),
    "resource_policy": _resource_policy,
    "csp": _or_none(_csp),
    "inline_types": lambda argument, value: check_inline_types(value),
    "send_timeout": _or_none(_seconds),
    "share": _or_none(_whole(1)),
    "may_use": _function("(link)"),
    "variants": _or_none(_variants),
    "upload_expires": _seconds,
    "max_uploads": _whole(1),
}
