"""The ``ObjectId`` URL converter."""

from __future__ import annotations

from typing import Any

from bson.errors import InvalidId
from bson.objectid import ObjectId
from werkzeug.routing import BaseConverter, ValidationError


class BSONObjectIdConverter(BaseConverter):
    """Convert a URL segment of 24 hexadecimal digits to a :class:`~bson.objectid.ObjectId`.

    :meth:`PyMongo.init_app` registers it as ``ObjectId``; anything else is a 404::

        @app.route("/<ObjectId:task_id>")
        def show_task(task_id):
            return render_template("task.html", task=mongo.db.tasks.find_one_or_404(task_id))
    """

    def to_python(self, value: str) -> ObjectId:
        try:
            return ObjectId(value)
        except InvalidId:
            raise ValidationError from None

    def to_url(self, value: Any) -> str:
        return str(value)
