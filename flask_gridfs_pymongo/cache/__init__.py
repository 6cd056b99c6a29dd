"""Content that need not be fetched again; this package knows neither Flask nor MongoDB.

:mod:`.disk`, which has dependencies of its own, is imported if the application has a ``file_cache``.
"""

from .entry import Entry
from .memory import Memory

__all__ = ["Entry", "Memory"]
