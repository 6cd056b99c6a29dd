"""The arguments of a method, defined once: as the fields of a dataclass.

::

    @takes(Options)
    def uploads_blueprint(self, *args, **options):
        return uploads_blueprint(Options(self.bucket, *args, **options))
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache, wraps
from itertools import pairwise
from textwrap import fill
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def takes(
    options: Callable[Concatenate[Any, P], object],
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Give a method the arguments of a dataclass, for ``help()``, Sphinx, editors and type checkers.

    :param options: the class; its first argument is not the caller's: the method passes it
    """
    _, *parameters = inspect.signature(options).parameters.values()
    known = [parameter.name for parameter in parameters]
    documented = docstrings(options)

    def decorate(method: Callable[..., R]) -> Callable[Concatenate[Any, P], R]:
        own = inspect.signature(method)
        signature = own.replace(parameters=[own.parameters["self"], *parameters])

        @wraps(method)
        def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                signature.bind(self, *args, **kwargs)
            except TypeError as error:
                meant = [match for name in kwargs.keys() - known for match in get_close_matches(name, known, 1)]
                remedy = f"did you mean {meant[0]!r}?" if meant else f"its arguments are {', '.join(known)}"
                raise TypeError(f"{method.__name__}(): {error}; {remedy}") from None
            return method(self, *args, **kwargs)

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": own.return_annotation}
        text, returned, rest = inspect.cleandoc(method.__doc__ or "").partition(":return:")
        rows = [f":param {name}: {documented.get(name, '')}" for name in known]
        wrapped = [
            fill(row, 100, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False) for row in rows
        ]
        call.__doc__ = "\n".join([text + wrapped[0], *wrapped[1:], returned + rest])
        return call

    return decorate


def docstrings(options: Any) -> dict[str, str]:
    """Return the docstring below each field of a class, which Python does not keep; empty without the source."""
    classes = _classes(options.__module__)
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
        for parent in reversed(options.__mro__)
        for field, text in pairwise(classes.get(parent.__name__, []))
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


@cache
def _classes(module: str) -> dict[str, list[ast.stmt]]:
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    return {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}
