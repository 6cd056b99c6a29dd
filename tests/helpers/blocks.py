"""The code blocks of README.rst and docs/, which tests/test_docs.py runs page by page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.rst", *sorted(ROOT.glob("docs/*.rst")))}

_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n(?:   :name: ([\w-]+)\n)?\n((?:   .*\n|\n)+)", re.MULTILINE)
_FILE = re.compile(r"(?:#|//|/\*|<!--|\{#) ([\w./-]+\.\w+)(?: -->| \*/| #\})?\n")


class Block(NamedTuple):
    language: str
    name: str
    text: str

    @property
    def file(self) -> str | None:
        """The name that its first line, a comment, gives it."""
        match = _FILE.match(self.text)
        return match[1] if match else None

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The commands of a console block, each with what it prints."""
        return re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", self.text, re.MULTILINE)


def blocks(page: str) -> list[Block]:
    found = _BLOCK.findall(PAGES[page].read_text())
    return [
        Block(language, name, re.sub("^   ", "", text, flags=re.MULTILINE).strip() + "\n")
        for language, name, text in found
    ]


def named(name: str) -> str:
    """The text of the one block with this name."""
    (found,) = (block.text for page in PAGES for block in blocks(page) if block.name == name)
    return found
