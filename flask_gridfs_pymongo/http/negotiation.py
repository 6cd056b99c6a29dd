"""Content negotiation for pictures (RFC 9110 section 12.5.1)."""

from __future__ import annotations

from werkzeug.datastructures import MIMEAccept


def picture_type(accepted: MIMEAccept) -> str | None:
    """Choose a type by Accept: WebP only if it is named, as by every browser that supports it; None: JPEG or PNG.

    ::

        picture_type(request.accept_mimetypes)  # "image/webp" for "image/avif,image/webp,*/*;q=0.8"
    """
    webp = max((quality for name, quality in accepted if name.lower() == "image/webp"), default=0)
    jpeg, png = accepted.quality("image/jpeg"), accepted.quality("image/png")
    if webp and webp >= max(jpeg, png):
        return "image/webp"
    if jpeg == png:
        return None
    return "image/jpeg" if jpeg > png else "image/png"
