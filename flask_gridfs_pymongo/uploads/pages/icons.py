"""Which icon of ``static/types.svg`` a media type has."""

from __future__ import annotations

import re
from functools import lru_cache

_ICONS = {
    "image": r"image/.*",
    "video": r"video/.*",
    "audio": r"audio/.*",
    "pdf": r"application/pdf",
    "sheet": r"text/(csv|tab-separated-values)|application/.*(excel|spreadsheet).*",
    "slides": r"application/.*(powerpoint|presentation).*",
    "document": r"application/(rtf|.*(word|opendocument\.text|epub).*)|text/rtf",
    "archive": r"application/((x-)?(zip|gzip|bzip2|xz|7z-compressed|tar|rar|zstd|compressed-tar)|vnd\.rar)",
    "font": r"font/.*|application/(x-)?font.*",
    "code": r"text/(html|css|x-.*|javascript|xml)|application/(json|xml|.*\+(json|xml)|(x-)?(javascript|sh|yaml|sql))",
    "text": r"text/.*",
}


@lru_cache(1000)
def icon_name(content_type: str) -> str:
    """Return the name of the icon for a media type; ``folder`` counts as one."""
    if content_type == "folder":
        return "folder"
    bare = content_type.partition(";")[0].strip().lower()
    return next((name for name, types in _ICONS.items() if re.fullmatch(types, bare)), "file")
