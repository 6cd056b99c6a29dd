"""The types of arguments, checked where an application calls the store.

::

    check_types(version=version, limit=limit)  # TypeError: version must be int, not str
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import NoneType
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "before": (int, NoneType),
    "changes": (Mapping,),
    "content_type": (str, NoneType),
    "expires_at": (datetime, NoneType),
    "ids": (list, tuple),
    "fields": (Mapping, NoneType),
    "limit": (int,),
    "max_size": (int, NoneType),
    "metadata": (Mapping, NoneType),
    "new": (str,),
    "order": (str,),
    "part": (str,),
    "path": (str,),
    "prefix": (str,),
    "start": (int,),
    "stop": (int, NoneType),
    "version": (int,),
}


def check_types(**arguments: Any) -> None:
    """Raise TypeError, naming the argument, unless each one has its type."""
    for name, value in arguments.items():
        check_type(name, value, *_TYPES[name])


def check_type(argument: str, value: Any, *kinds: type) -> None:
    """Raise TypeError, naming *argument*, unless *value* is an instance of one of *kinds*."""
    if not isinstance(value, kinds):
        names = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
        raise TypeError(f"{argument} must be {names}, not {type(value).__name__}")
