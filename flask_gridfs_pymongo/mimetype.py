"""A file's media type: from its name, or else from its first bytes.

::

    guess("notes.txt")  # "text/plain"
    guess(None, b"%PDF-1.7")  # "application/pdf"

The table is part of the package, so that a file has the same type on every host (:mod:`mimetypes` depends on the host).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection

SNIFF_BYTES = 2048
"""How many of a file's first bytes :func:`guess` uses; libmagic takes quadratic time for line breaks."""

UNKNOWN = "application/octet-stream"

PICTURES = frozenset("image/avif image/bmp image/gif image/jpeg image/png image/webp".split())
"""Pictures that browsers show, and in which no script runs."""
INLINE_TYPES = PICTURES.union(
    "text/plain"
    " audio/aac audio/flac audio/mp4 audio/mpeg audio/ogg audio/wav audio/webm"
    " video/matroska video/mp4 video/mpeg video/ogg video/quicktime video/webm".split()
)
"""Types that a browser may show in the page's origin: no script runs in any of them."""
_PASSIVE = INLINE_TYPES.union(
    "application/gzip application/octet-stream application/vnd.rar application/x-7z-compressed application/x-bzip2"
    " application/x-tar application/x-xz application/zip application/zstd"
    " font/otf font/ttf font/woff font/woff2 image/heic image/heif image/jxl image/tiff text/csv".split()
)

_WORD = "[a-z0-9!#$&^_.+-]+"
_PARAMETER = rf"""\s*;\s*({_WORD})\s*=\s*({_WORD}|"[a-z0-9!#$&^_.+:/=, -]*")"""
_PARAMETERS = re.compile(_PARAMETER, re.IGNORECASE | re.ASCII)
_MEDIA_TYPE = re.compile(rf"({_WORD}/{_WORD})((?:{_PARAMETER})*)", re.IGNORECASE | re.ASCII)
_logger = logging.getLogger("flask_gridfs_pymongo")

_TYPES = {
    extension: media_type
    for media_type, extensions in {
        "application/dash+xml": "mpd",
        "application/epub+zip": "epub",
        "application/gzip": "gz tgz",
        "application/json": "json map",
        "application/manifest+json": "webmanifest",
        "application/msword": "doc dot",
        "application/pdf": "pdf",
        "application/postscript": "ai eps ps",
        "application/rtf": "rtf",
        "application/vnd.apple.mpegurl": "m3u8",
        "application/vnd.ms-excel": "xls xlt",
        "application/vnd.ms-fontobject": "eot",
        "application/vnd.ms-powerpoint": "pot pps ppt",
        "application/vnd.oasis.opendocument.presentation": "odp",
        "application/vnd.oasis.opendocument.spreadsheet": "ods",
        "application/vnd.oasis.opendocument.text": "odt",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.rar": "rar",
        "application/vnd.sqlite3": "sqlite sqlite3",
        "application/wasm": "wasm",
        "application/x-7z-compressed": "7z",
        "application/x-bzip2": "bz2",
        "application/x-msdownload": "dll exe",
        "application/x-sh": "sh",
        "application/x-tar": "tar",
        "application/x-xz": "xz",
        "application/xhtml+xml": "xht xhtml",
        "application/xml": "xml xsd xsl xslt",
        "application/zip": "zip",
        "application/zstd": "zst",
        "audio/aac": "aac",
        "audio/flac": "flac",
        "audio/midi": "mid midi",
        "audio/mp4": "m4a",
        "audio/mpeg": "mp2 mp3",
        "audio/ogg": "oga ogg opus",
        "audio/wav": "wav",
        "audio/webm": "weba",
        "audio/x-aiff": "aif aifc aiff",
        "font/otf": "otf",
        "font/ttf": "ttf",
        "font/woff": "woff",
        "font/woff2": "woff2",
        "image/avif": "avif avifs",
        "image/bmp": "bmp dib",
        "image/gif": "gif",
        "image/heic": "heic",
        "image/heif": "heif hif",
        "image/jpeg": "jfif jpe jpeg jpg pjp pjpeg",
        "image/jxl": "jxl",
        "image/png": "apng png",
        "image/svg+xml": "svg svgz",
        "image/tiff": "tif tiff",
        "image/vnd.adobe.photoshop": "psd",
        "image/vnd.microsoft.icon": "ico",
        "image/webp": "webp",
        "message/rfc822": "eml mht mhtml",
        "text/calendar": "ics",
        "text/css": "css",
        "text/csv": "csv",
        "text/html": "htm html",
        "text/javascript": "js mjs",
        "text/markdown": "markdown md",
        "text/plain": "c cfg conf cpp h ini log py rs rst text toml ts txt yaml yml",
        "text/tab-separated-values": "tsv",
        "text/vcard": "vcard vcf",
        "text/vtt": "vtt",
        "video/matroska": "mkv",
        "video/mp2t": "m2ts mts",
        "video/mp4": "m4v mp4",
        "video/mpeg": "mpeg mpg",
        "video/ogg": "ogv",
        "video/quicktime": "mov qt",
        "video/webm": "webm",
        "video/x-msvideo": "avi",
    }.items()
    for extension in extensions.split()
}
# Names that other tools, old browsers and libmagic have for a type. None of them can make active content inline.
_ALIASES = {
    alias: media_type
    for media_type, aliases in {
        "application/gzip": "application/x-gzip",
        "application/pdf": "application/x-pdf",
        "application/zip": "application/x-zip application/x-zip-compressed",
        "audio/aac": "audio/aacp audio/x-aac audio/x-hx-aac-adts",
        "audio/flac": "audio/x-flac",
        "audio/mp4": "audio/m4a audio/x-m4a",
        "audio/mpeg": "audio/mp3 audio/mpeg3 audio/mpg audio/x-mp3 audio/x-mpeg audio/x-mpeg-3",
        "audio/ogg": "audio/opus audio/vorbis audio/x-ogg",
        "audio/wav": "audio/vnd.wave audio/wave audio/x-pn-wav audio/x-wav",
        "image/bmp": "image/ms-bmp image/x-bmp image/x-ms-bmp image/x-windows-bmp",
        "image/gif": "image/x-gif",
        "image/heic": "image/heic-sequence image/x-heic",
        "image/heif": "image/heif-sequence image/x-heif",
        "image/jpeg": "image/jpe image/jpg image/pjpeg image/x-citrix-jpeg image/x-jpeg image/x-jpg",
        "image/png": "image/apng image/vnd.mozilla.apng image/x-apng image/x-citrix-png image/x-png",
        "image/tiff": "image/tif image/x-tif image/x-tiff",
        "image/vnd.microsoft.icon": "image/ico image/icon image/x-icon image/x-ico",
        "image/webp": "image/x-webp",
        "video/matroska": "video/x-matroska",
        "video/mp4": "video/m4v video/x-m4v video/x-mp4",
        "video/mpeg": "video/mpg video/x-mpeg video/x-mpg",
        "video/ogg": "video/x-ogg",
        "video/webm": "video/x-webm",
    }.items()
    for alias in aliases.split()
}
SHOWN_MEDIA = frozenset(media_type for media_type in INLINE_TYPES if not media_type.startswith("text/"))
"""Images, audio and video that browsers show"""
_NOT_MEDIA = re.compile(
    r"text/|image/svg|application/(?:.*xml|json|pdf|zip|(?:x-)?javascript|x-dosexec|vnd\.microsoft\.portable-executable"
    r"|x-(?:pie-)?executable|x-sharedlib|x-object|x-mach-binary|x-java-applet|java-archive|x-shockwave-flash)\Z"
)


class Types:
    """A set of media types: ``"image/png" in Types(["image/*"])``.

    :param patterns: media types, or ``image/*`` for all that begin so
    :raises TypeError: for one str in place of a list, or a list of something else
    :raises ValueError: for an invalid pattern

    Aliases are what they mean: ``"image/jpg" in Types(["image/jpeg"])``.
    """

    def __init__(self, patterns: Collection[str]) -> None:
        if isinstance(patterns, str) or not isinstance(patterns, Collection):
            raise TypeError(f"types must be a list of media types, not one {type(patterns).__name__}")
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise TypeError(f"types must be a list of str, not of {type(pattern).__name__}")
            if not re.fullmatch(r"[a-z0-9.+_-]+/([a-z0-9.+_-]+|\*)|\*/\*", pattern):
                raise ValueError(f"types: {pattern!r} is not a media type such as 'image/png' or 'image/*'")
        self._patterns = frozenset(map(meaning, patterns))

    def __contains__(self, media_type: str) -> bool:
        bare = meaning(media_type).partition(";")[0].strip().lower()
        return not self._patterns.isdisjoint({bare, f"{bare.partition('/')[0]}/*", "*/*"})

    def __and__(self, other: Types) -> Collection[str]:
        """Return what is in both: ``image/png`` for ``image/*`` and ``image/png``."""
        return sorted({one for one in self._patterns if one in other} | {one for one in other._patterns if one in self})

    def __str__(self) -> str:
        return " or ".join(sorted(self._patterns))


def parse(media_type: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Parse a media type (RFC 9110 section 8.3.1).

    :return: ``type/subtype`` in lower case and the parameters, their names in lower case and their values unchanged,
        with quotes if they have any; None if it is not a media type
    """
    match = _MEDIA_TYPE.fullmatch(media_type.strip())
    if match is None:
        return None
    return match[1].lower(), [(name.lower(), value) for name, value in _PARAMETERS.findall(match[2])]


def meaning(media_type: str) -> str:
    """Return a media type by its registered name: ``image/jpeg`` for ``image/jpg``; its parameters stay."""
    bare, semicolon, parameters = media_type.partition(";")
    found = _ALIASES.get(bare.strip().lower())
    return media_type if found is None else f"{found}{semicolon}{parameters}"


def guess(filename: str | None, head: bytes = b"") -> str:
    """Guess a media type from a file's name, else from its first bytes.

    The bytes can also overrule the name: if it is that of an image, audio or video that browsers show, but the content
    begins like text, markup, a PDF or a program, the bytes decide. They never make inline what the name makes an
    attachment.

    :param filename: the name; only its last extension counts
    :param head: the first bytes of the content, :data:`SNIFF_BYTES` of them at most
    :return: ``type/subtype``; ``application/octet-stream`` if it is unknown
    """
    extension = (filename or "").rpartition(".")[2].lower() if "." in (filename or "") else ""
    by_name = _TYPES.get(extension)
    if extension == "ts" and len(head) > 188 and set(head[:1024:188]) == {0x47}:  # packets of MPEG, not TypeScript
        return "video/mp2t"
    if by_name is not None and by_name not in SHOWN_MEDIA:
        return by_name
    by_bytes = _sniff(head[:SNIFF_BYTES]) if head else UNKNOWN
    if by_name is not None and not _NOT_MEDIA.match(by_bytes):
        return by_name
    return by_bytes


def by_name(filename: str) -> str | None:
    """Return the media type that a file has by its name alone; None if it is unknown, or its content has to decide."""
    extension = filename.rpartition(".")[2].lower() if "." in filename else ""
    return None if extension == "ts" else _TYPES.get(extension)


def is_passive(media_type: str) -> bool:
    """Whether it is known that no script can run in a file of this type, even if a proxy drops our policies."""
    return media_type.partition(";")[0].strip().lower() in _PASSIVE


def _load() -> Callable[[bytes], str]:
    try:
        import magic
    except ImportError:
        _logger.warning(
            "python-magic finds no libmagic (Debian: apt-get install libmagic1); types are guessed from names alone"
        )
        return lambda head: UNKNOWN
    return lambda head: magic.from_buffer(head, mime=True)


_sniffer: Callable[[bytes], str] | None = None


def _sniff(head: bytes) -> str:
    global _sniffer
    if _sniffer is None:
        _sniffer = _load()
    found = _sniffer(head)
    return UNKNOWN if found.startswith(("inode/", "application/x-empty")) else meaning(found)
