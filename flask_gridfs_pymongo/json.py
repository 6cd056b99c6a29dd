"""MongoDB's documents in ``jsonify`` and ``request.json``, as Flask-PyMongo 2 and 3 have them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bson import json_util
from bson.code import Code
from bson.errors import BSONError
from flask import Flask
from flask.json.provider import DefaultJSONProvider

_OPTIONS = json_util.RELAXED_JSON_OPTIONS
_ATTRIBUTES = ("ensure_ascii", "sort_keys", "compact", "mimetype")


def _default(value: Any) -> Any:
    """Return *value*, of a type that JSON lacks, in types that it has.

    :raises TypeError: if neither MongoDB nor Flask knows its type
    """
    try:
        return json_util.default(value, _OPTIONS)
    except (TypeError, ValueError):  # a ValueError: of a UUID
        pass
    try:
        return DefaultJSONProvider.default(value)
    except TypeError:
        if isinstance(value, Iterable):
            return list(value)
        raise


class BSONProvider(DefaultJSONProvider):
    """Write and read MongoDB's types as Extended JSON, in its relaxed form.

    ::

        app.json = BSONProvider(app)


        @app.get("/tasks/<ObjectId:task_id>")
        def show_task(task_id):
            return mongo.db.tasks.find_one_or_404({"_id": task_id})  # {"_id":{"$oid":"..."},"title":"Buy milk"}

    Cursors and other iterables become lists. What the application's provider was set to until then stays, such
    as ``sort_keys``; so does a ``default`` function of its own, asked first.
    """

    default: Callable[[Any], Any] = staticmethod(_default)

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        before = getattr(app, "json", None)
        if isinstance(before, DefaultJSONProvider):
            for name in _ATTRIBUTES:
                setattr(self, name, getattr(before, name))
            if before.default is not DefaultJSONProvider.default:
                self.default = before.default

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Serialize *obj*; *kwargs* are those of ``json.dumps``, such as ``indent``."""
        return super().dumps(self._plain(obj), **kwargs)

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Deserialize *s*.

        :raises ValueError: if it is not JSON, or not what Extended JSON allows: ``request.get_json`` answers with 400
        """
        try:
            return json_util.loads(s, json_options=_OPTIONS, **kwargs)
        except (BSONError, LookupError, TypeError, ArithmeticError, AttributeError) as error:
            raise ValueError(f"the JSON has an invalid value of a MongoDB type: {error}") from error

    def _plain(self, value: Any) -> Any:
        """Return *value* in types of JSON: its encoder would take some of MongoDB's for plain texts and numbers."""
        if isinstance(value, Mapping):
            return {key: self._plain(member) for key, member in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._plain(member) for member in value]
        if isinstance(value, float):
            is_plain = math.isfinite(value)
        else:
            is_plain = value is None or (isinstance(value, (str, int)) and not isinstance(value, Code))
        return value if is_plain else self._plain(self._converted(value))

    def _converted(self, value: Any) -> Any:
        try:
            return self.default(value)
        except TypeError:
            return _default(value)
