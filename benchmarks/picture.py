"""The table as a picture: a group of bars for each row, scaled to its longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

_COLOURS = {"ours": "#2f7de1", "peer": "#b9bec6", "limit": "#5d6673"}
_NAMES = {"ours": "flask_gridfs_pymongo", "peer": "Flask-PyMongo 3.0.1", "limit": "the limit"}


def draw(results: Sequence[Any], about: str) -> str:
    """Draw results as an SVG document."""
    lines = []
    y = 56
    for result in results:
        values = [(kind, getattr(result, kind)) for kind in _COLOURS if getattr(result, kind) is not None]
        longest = max(value for _, value in values) or 1
        lines.append(f'<text x="12" y="{y + 12}">{escape(result.what)} ({result.unit})</text>')
        for kind, value in values:
            width = max(1, round(380 * value / longest))
            lines.append(f'<rect x="300" y="{y}" width="{width}" height="14" fill="{_COLOURS[kind]}"/>')
            lines.append(f'<text x="{308 + width}" y="{y + 12}">{value:.4g}</text>')
            y += 17
        y += 10
    legend = "".join(
        f'<rect x="{12 + 200 * n}" y="30" width="14" height="14" fill="{colour}"/>'
        f'<text x="{32 + 200 * n}" y="42">{_NAMES[kind]}</text>'
        for n, (kind, colour) in enumerate(_COLOURS.items())
    )
    size = f'width="780" height="{y + 10}" font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    about = f'<text x="12" y="18" fill="#5d6673">{escape(about)}</text>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', about, legend, *lines, "</svg>\n"])
