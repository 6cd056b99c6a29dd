"""The style sheet, scripts and icons of our pages, by URLs that name their release: browsers keep them for good.

::

    url("page.js")  # "/uploads/?asset=page.js&v=1f0c29a4d3"
"""

from __future__ import annotations

import gzip
import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

from . import urls

_FOLDER = Path(__file__).parents[2] / "static"
_FILES = {path.name: path.read_bytes() for path in _FOLDER.iterdir()}
_REFERENCE = re.compile(rb"\?asset=[a-z]+\.(?:js|svg)")
_IMPORT = re.compile(rb'from "\./\?asset=([a-z]+\.js)"')

VERSION = hashlib.sha256(b"".join(content for _, content in sorted(_FILES.items()))).hexdigest()[:10]
"""of all assets together: scripts of two releases never meet"""
ASSETS = {
    name: content if name.endswith(".svg") else _REFERENCE.sub(rb"\g<0>&v=" + VERSION.encode(), content)
    for name, content in _FILES.items()
}
"""their contents by name; each refers to the others of its release"""
MODIFIED = datetime.fromtimestamp(max(path.stat().st_mtime for path in _FOLDER.iterdir()), UTC)
"""when the newest of them was"""
PACKED = {name: gzip.compress(content, mtime=0) for name, content in ASSETS.items()}
"""the same, compressed"""


def url(name: str, endpoint: str = ".index") -> str:
    """Return the URL of an asset.

    :param endpoint: ``index`` of the blueprint that sends it
    """
    return urls.index({"asset": name, "v": VERSION}, endpoint)


def imports(name: str) -> list[str]:
    """Return the names of the scripts that a script needs to begin, so that a page can load all of them at once."""
    found = [name]
    for script in found:
        found += [needed for needed in map(bytes.decode, _IMPORT.findall(_FILES[script])) if needed not in found]
    return found[1:]
