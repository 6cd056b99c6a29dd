"""Caches in the memory of this process; this package knows neither Flask nor MongoDB."""

from .memory import Memory

__all__ = ["Memory"]
