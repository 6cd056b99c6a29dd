"""pyproject.toml describes the package, except for its page on PyPI, where relative links of README.rst are dead."""

import re
from pathlib import Path

from setuptools import setup

_RELATIVE = "(?!https?:)"
_PICTURE = rf"\.\. image:: {_RELATIVE}.*\n(?:   .*\n)*\n*"
_LIST_OF_PICTURES = r"More pictures:(?:.+\n)+\n*"
_LINK = rf"`([^`<]+?)\s+<{_RELATIVE}[^>]*>`_"

readme = re.sub(f"{_PICTURE}|{_LIST_OF_PICTURES}", "", Path("README.rst").read_text(encoding="utf-8"))
setup(long_description=re.sub(_LINK, r"\1", readme), long_description_content_type="text/x-rst")
