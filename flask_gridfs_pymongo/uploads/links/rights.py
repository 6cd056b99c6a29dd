"""What a link permits: the blueprint's options, with the link in place of ``authorize``.

::

    by = adding(options, link)
    views.answer(by, ROUTES)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any

from flask import abort
from pymongo.errors import PyMongoError

from ...mimetype import Types, by_name
from ...service.inspection import refused_type
from ...service.options import Options
from ...service.texts import Message
from ...store import Link, Unconfirmed

ENDED = {
    "revoked": Message("This link was revoked."),
    "expired": Message("This link has expired."),
    "used up": Message("This link has been used up."),
}


class _Every(Collection[str]):
    """All origins: a link is the login, and no cookie is asked for."""

    def __contains__(self, origin: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


EVERY_ORIGIN = _Every()


@dataclass(frozen=True)
class ByLink(Options):
    """The options for a request by a link."""

    _: KW_ONLY
    link: Link

    @property
    def via(self) -> str:
        """The id of the link."""
        return self.link.id

    @contextmanager
    def committing(self, ids: Sequence[Any]) -> Iterator[None]:
        """Take places of the link for the files *ids*; abort with 410 if it has none left, or has ended meanwhile."""
        links = self.bucket().links
        check_use(self, self.link)
        if not links.take(self.link, ids):
            now = links.get(self.link.id)
            abort(410, ENDED.get(now.status if now else "expired", ENDED["used up"]))
        try:
            yield
        except Unconfirmed:  # they may be stored
            raise
        except Exception:
            with suppress(PyMongoError):
                links.resolve(self.link.id, ids)
            raise
        with suppress(PyMongoError):  # they are stored
            links.settle(self.link, ids)


def check_use(options: Options, link: Link) -> None:
    """Abort with 403, or as the application does, if ``may_use`` refuses."""
    if options.may_use is not None and not options.may_use(link):
        abort(403, "This link may not be used any more.")


def adding(options: Options, link: Link) -> ByLink:
    """Return the options by which a link adds files: those of the blueprint, and its own limits."""
    sizes = [size for size in (options.max_size, link.max_size) if size is not None]
    types = [Types(types) for types in (options.types, link.types) if types is not None]
    return by(
        options,
        link,
        authorize=_inside(link, types),
        max_size=min(sizes, default=None),
        types=types[0] & types[-1] if types else None,
    )


def by(
    options: Options,
    link: Link,
    authorize: Callable[[str, str | None], bool],
    kind: type[ByLink] = ByLink,
    **changes: Any,
) -> ByLink:
    """Return *options* with these *changes* for a request by *link*."""
    own = {field.name: getattr(options, field.name) for field in fields(Options)}
    rights = {"authorize": authorize, "trusted_origins": EVERY_ORIGIN, "public": False, "share": None}
    return kind(**{**own, **rights, **changes}, link=link)


def _inside(link: Link, types: Sequence[Types]) -> Callable[[str, str | None], bool]:
    def authorize(action: str, filename: str | None) -> bool:
        name = link.path if filename == "" else filename or ""  # the place of the link, as its own page calls it
        if action != "write" or not (name == link.path or (link.kind == "upload" and name.startswith(link.path))):
            return False
        known = by_name(name)
        for accepted in types:
            if known is not None and known not in accepted:
                raise refused_type(accepted, known)
        return True

    return authorize
