"""What an application decided for a blueprint: the arguments of ``mongo.uploads_blueprint()``, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app

from ..http import origin
from ..http.headers import check_inline_types, page_policy
from ..http.metadata import Keys
from ..images import Variant
from ..store import Bucket, StoredFile

_RESOURCE_POLICIES = ("same-origin", "same-site", "cross-origin")
_SLICE = 8 * 1024 * 1024  # bytes
_ENVELOPE = 2048  # bytes of a form around a file
Authorize = Callable[[str, "str | None"], Any]
Csp = Mapping[str, str] | Callable[[], Mapping[str, str]]
Inspect = Callable[[StoredFile, Callable[[], Iterator[bytes]]], Any]


@dataclass(frozen=True)
class Options:
    """The arguments of :meth:`.PyMongo.uploads_blueprint`, which explains each; checked."""

    bucket: Callable[[], Bucket]
    authorize: Authorize | None
    read_only: bool
    max_size: int | None
    max_request_size: int | None
    max_form_parts: int
    max_form_memory_size: int
    cache_for: int | None
    public: bool
    trusted_origins: Collection[str]
    resource_policy: str | None
    title: str
    stylesheet: str | None
    inline_types: Collection[str]
    upload_timeout: float | None
    send_timeout: float | None
    share: int | None
    variants: Mapping[str, Variant]
    metadata: Keys
    keep_versions: int | None
    expire_after: float | None
    inspect: Inspect | None
    inspect_timeout: float
    resumable: bool
    """never where *read_only* is set"""
    upload_expires: float
    max_uploads: int
    csp: Csp | None
    uploaded_by: str | None

    def __post_init__(self) -> None:
        for argument in ("max_size", "max_request_size", "cache_for", "keep_versions", "share"):
            value = getattr(self, argument)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise TypeError(f"{argument} must be an int or None, not {value!r}")
            if value is not None and value < 0:
                raise ValueError(f"{argument} must be 0 or more, not {value}")
        for argument, least in (("max_form_parts", 1), ("max_form_memory_size", 128 * 1024)):  # what the parser needs
            value = getattr(self, argument)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{argument} must be a whole number of at least {least}, not {value!r}")
        for argument in ("upload_timeout", "send_timeout", "expire_after"):
            value = getattr(self, argument)
            if value is not None and not value > 0:
                raise ValueError(f"{argument} must be a number of seconds above 0, or None, not {value!r}")
        if self.share == 0:
            raise ValueError("share must be a number of seconds above 0, or None")
        if not self.upload_expires > 0:
            raise ValueError(f"upload_expires must be a number of seconds above 0, not {self.upload_expires!r}")
        if isinstance(self.max_uploads, bool) or not isinstance(self.max_uploads, int) or self.max_uploads < 1:
            raise ValueError(f"max_uploads must be a whole number above 0, not {self.max_uploads!r}")
        for name, variant in self.variants.items():
            if not isinstance(name, str) or not re.fullmatch("[A-Za-z0-9_-]+", name):
                raise ValueError(f"variants: a name has letters, digits, - and _ alone, not {name!r}")
            if not isinstance(variant, Variant):
                raise TypeError(f"variants: {name} must be a Variant, not {variant!r}")
        check_inline_types(self.inline_types)
        if self.keep_versions == 0:
            raise ValueError("keep_versions must be 1 or more: the newest version always stays")
        if not self.inspect_timeout > 0:
            raise ValueError(f"inspect_timeout must be a number of seconds above 0, not {self.inspect_timeout!r}")
        if self.authorize is not None and not callable(self.authorize):
            raise TypeError("authorize must be a function of (action, filename)")
        if self.inspect is not None and not callable(self.inspect):
            raise TypeError("inspect must be a function of (file, read)")
        if self.authorize is not None and self.public:
            raise ValueError(
                "public=True lets shared caches answer for authorize: give only one of them, or register a public,"
                " read_only blueprint beside the one that decides"
            )
        origin.check_trusted(self.trusted_origins)
        if self.resource_policy not in (None, *_RESOURCE_POLICIES):
            raise ValueError(
                f"resource_policy must be None or one of {_RESOURCE_POLICIES}, not {self.resource_policy!r}"
            )
        if not callable(self.csp):
            page_policy(self.csp or {})

    def page_policy(self, **added: str) -> str:
        """The Content-Security-Policy of a page, for this request.

        :param added: sources that this page needs beside the others, by directive with ``_`` for ``-``
        """
        csp = self.csp() if callable(self.csp) else self.csp
        return page_policy(csp or {}, {directive.replace("_", "-"): sources for directive, sources in added.items()})

    def largest_file(self, max_content_length: int | None) -> int | None:
        """How many bytes a file may have, in slices or alone in a form; None: any number.

        :param max_content_length: the application's limit for a request, in bytes
        """
        limits = [] if self.resumable else self._body_limits(max_content_length)
        limits += [] if self.max_size is None else [self.max_size]
        return max(0, min(limits)) if limits else None

    def slice(self, max_content_length: int | None) -> int | None:
        """How many bytes of an upload that can go on our page sends in a request; None: it sends forms alone.

        :param max_content_length: as in :meth:`largest_file`
        """
        return max(1, min([_SLICE, *self._body_limits(max_content_length)])) if self.resumable else None

    def _body_limits(self, max_content_length: int | None) -> list[int]:
        return [limit - _ENVELOPE for limit in (self.max_request_size, max_content_length) if limit is not None]


def options_of(blueprint: str | None) -> Options:
    """Return what the application decided for one of its uploads blueprints.

    :param blueprint: its name, with those that it is nested in
    :raises ValueError: where the application has none of this name
    """
    options = getattr(current_app.blueprints.get(blueprint or ""), "options", None)
    if not isinstance(options, Options):
        raise ValueError(f"the app has no uploads blueprint with the name {blueprint!r}")
    return options
