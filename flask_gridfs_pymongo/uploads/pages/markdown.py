"""Markdown as HTML: headings, lists, links and code, with the extra ``markdown``.

::

    render("See [the map](map.pdf).")  # Markup('<p>See <a href="map.pdf">the map</a>.</p>\\n')
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from markdown_it.token import Token

TYPES = frozenset({"text/markdown", "text/x-markdown"})
_MAX_URLS = 1_000_000  # characters: a reference as long as half of the text can be used in each word of the rest
_LINK = re.compile(r"(https?|mailto):|[^:]*([/?#]|$)", re.IGNORECASE)


def render(text: str) -> Markup | None:
    """Return *text* as HTML; None if the library is not installed, or the HTML would be many times as long.

    By CommonMark (https://spec.commonmark.org/0.31.2/), but HTML in it is text, links are http, https, mailto or
    relative, a picture is its description, and headings are one level lower, as the page has one of the first.
    """
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        return None
    parser = MarkdownIt("commonmark", {"html": False})
    parser.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]
    parser.add_render_rule("image", _description)
    tokens = parser.parse(text)
    urls = (value for token in tokens for child in token.children or () for value in child.attrs.values())
    if sum(len(str(url)) for url in urls) > _MAX_URLS:
        return None
    for token in tokens:
        token.info = ""  # of a block of code, which would be its class
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - the library escapes texts


def _description(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    picture = tokens[index]
    return str(escape(self.renderInlineAsText(picture.children, options, env) or picture.attrs["src"]))
