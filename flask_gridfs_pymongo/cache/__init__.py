"""Content and what was found out about it, kept in this process; knows neither Flask nor MongoDB."""

from .memory import Memory

__all__ = ["Memory"]
