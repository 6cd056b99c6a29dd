"""Content negotiation: which type of picture a client gets (RFC 9110 section 12.5.1)."""

from __future__ import annotations

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header


def picture_type(accept: str | None) -> str | None:
    """Choose by Accept: WebP where it is named, as by every browser that shows it; None: JPEG or PNG, as it suits.

    ::

        picture_type("image/avif,image/webp,*/*;q=0.8")  # "image/webp"
        picture_type("image/png")  # "image/png"
        picture_type("*/*")  # None
    """
    accepted = parse_accept_header(accept, MIMEAccept)
    webp = max((quality for name, quality in accepted if name.lower() == "image/webp"), default=0)
    jpeg, png = accepted.quality("image/jpeg"), accepted.quality("image/png")
    if webp and webp >= max(jpeg, png):
        return "image/webp"
    if jpeg == png:
        return None
    return "image/jpeg" if jpeg > png else "image/png"
