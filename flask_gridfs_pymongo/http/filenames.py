"""File names: cleaning what clients send, and writing names into header fields and archives.

::

    clean("..\\\\docs\\\\a.txt")  # "docs/a.txt"
    content_disposition("inline", "docs/a.txt")  # 'inline; filename="a.txt"'
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote

from .paths import has_dot_segments

MAX_CHARACTERS = 1024
"""Longer texts are not normalised: CPython takes quadratic time and holds the GIL (python/cpython#149079)."""
MAX_NAME_BYTES = 255
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control, surrogate, line and paragraph separator
# Invisible characters (Unicode's Default_Ignorable_Code_Point), and overrides of text direction (MITRE T1036.002).
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Joiners and selectors shape their neighbours in Arabic and Indic scripts, and in emoji; elsewhere they are invisible.
_SHAPED = "[^\0-\u05ff\u200c\u200d\ufe0e\ufe0f]"
_STRAY = re.compile(
    f"(?<!{_SHAPED})(?<!{_SHAPED}[\ufe0e\ufe0f])[\u200c\u200d]|[\u200c\u200d](?!{_SHAPED})|(?<!{_SHAPED})[\ufe0e\ufe0f]"
)
WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[\d¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)
"""A file name that is a device in every folder on Windows"""
_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 8187 section 3.2.1, besides letters and digits


def clean(name: str) -> str:
    """Clean a client's file name; the result may be empty, and cleaning it again changes nothing.

    Normalises to NFC; removes control, surrogate, line separating, invisible and bidirectional format characters; takes
    both slashes as separators of folders; drops empty, ``.`` and ``..`` segments and outer spaces; shortens the part
    before the extension until all is 255 bytes of UTF-8. Of more than 1,024 characters the middle is removed first.
    """
    if len(name) > MAX_CHARACTERS:
        name = name[: MAX_CHARACTERS // 2] + name[-MAX_CHARACTERS // 2 :]
    while (cleaned := _clean_once(name)) != name:
        name = cleaned
    return name


def _clean_once(name: str) -> str:
    characters = _INVISIBLE.sub("", unicodedata.normalize("NFC", name))
    visible = "".join(character for character in characters if unicodedata.category(character) not in _UNSEEN)
    segments = (segment.strip() for segment in re.split(r"[/\\]", _STRAY.sub("", visible)))
    return shortened("/".join(segment for segment in segments if segment not in ("", ".", "..")))


def shortened(name: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return *name* in at most *max_bytes* of UTF-8; if it has an extension, that stays."""
    if len(name.encode()) <= max_bytes:
        return name
    stem, dot, extension = name.rpartition(".")
    ending = (dot + extension).encode()
    if "/" in extension or len(ending) > max_bytes // 2:
        stem, ending = name, b""
    kept = stem.encode()[: max_bytes - len(ending)].decode(errors="ignore")
    return kept + ending.decode()


def common_folder(names: Iterable[str]) -> str:
    """Return the deepest folder that contains all *names*, with a trailing slash; empty for the top."""
    folders = {name[: name.rfind("/") + 1] for name in names}
    first, last = min(folders, default=""), max(folders, default="")
    length = next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[: first.rfind("/", 0, length) + 1]


def unpackable(names: Iterable[str]) -> list[str]:
    """Make paths for an archive: on every system, each unpacks to a separate file below the current folder.

    Segments are cleaned (:func:`clean`); characters that Windows forbids become underscores. Names that would collide,
    also if only case differs or with a folder, get a number. A slash at the end stays: it names a folder.
    """
    paths = ["/".join([*_segments(name), *([""] * name.endswith("/"))]) or "unnamed" for name in names]
    taken = {path[: slash.start()].casefold() for path in paths for slash in re.finditer("/", path)}
    numbers: dict[str, int] = {}
    return [path if path.endswith("/") else _untaken(path, taken, numbers) for path in paths]


def _segments(name: str) -> Iterable[str]:
    for segment in re.split(r"[/\\]", name[:1024]):
        plain = re.sub('[<>:"|?*]', "_", shortened(clean(segment), 240)).rstrip(". ")
        if plain:
            yield f"_{plain}" if WINDOWS_DEVICE.fullmatch(plain) else plain


def _untaken(path: str, taken: set[str], numbers: dict[str, int]) -> str:
    unique = path
    while unique.casefold() in taken:
        number = numbers[path.casefold()] = numbers.get(path.casefold(), 1) + 1
        unique = numbered(path, number)
    taken.add(unique.casefold())
    return unique


def numbered(path: str, number: int) -> str:
    """Return a file's path with a number before the extension: ``image (2).jpg``."""
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    stem, ending = (stem, dot + extension) if stem else (name, "")
    return f"{folder}{slash}{stem} ({number}){ending}"


def compose(name: str) -> str:
    """Return *name* in Unicode's normal form C: macOS decomposes the names that it sends.

    Longer texts than :data:`MAX_CHARACTERS` stay as they are: normalising takes quadratic time.
    """
    return unicodedata.normalize("NFC", name) if len(name) <= MAX_CHARACTERS else name


def survives_url(name: str) -> bool:
    """Whether clients send *name* back unchanged if it is the path of a URL.

    Browsers resolve dot segments, routers refuse a leading slash and line breaks, a trailing slash means a folder,
    servers limit the length of a URL, and UTF-8 has no lone surrogates.
    """
    return (
        bool(name)
        and not name.startswith("/")
        and not name.endswith("/")
        and not has_dot_segments(name)
        and not re.search(r"[\0-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]", name)
        and len(quote(name)) <= 2000
    )


def content_disposition(kind: str, name: str) -> str:
    """Build a Content-Disposition (RFC 6266): one line of printable ASCII, whatever the name.

    The last segment of *name* goes into ``filename*`` (RFC 8187); ``filename`` is an approximation for old clients, of
    ASCII characters that all of them read alike.

    :param kind: ``inline`` or ``attachment``
    """
    last = name.rpartition("/")[2]
    stem, dot, extension = last.rpartition(".")
    if not dot:
        stem, extension = last, ""
    fallback = _ascii(stem) or "download"
    if ascii_extension := _ascii(extension):
        fallback += f".{ascii_extension}"
    value = f'{kind}; filename="{fallback}"'
    if fallback != last and last:
        value += f"; filename*=UTF-8''{quote(last, safe=_ATTR_CHAR, errors='replace')}"
    return value


def _ascii(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text[:MAX_CHARACTERS])
    kept = "".join(character for character in decomposed if not unicodedata.combining(character))
    replaced = re.sub(r"[^A-Za-z0-9 ._-]", "_", kept)
    return replaced if re.search(r"[A-Za-z0-9]", replaced) else ""
