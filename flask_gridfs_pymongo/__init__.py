"""A Flask extension for people who keep files in MongoDB.

:class:`PyMongo` is the connection, and builds the blueprint that serves GridFS over HTTP::

    mongo = PyMongo(app)
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))
"""

from bson.objectid import ObjectId
from pymongo import ASCENDING, DESCENDING

from .converters import BSONObjectIdConverter
from .extension import PyMongo
from .images import Variant
from .json import BSONProvider
from .service.inspection import Refused

__all__ = [
    "ASCENDING",
    "DESCENDING",
    "BSONObjectIdConverter",
    "BSONProvider",
    "ObjectId",
    "PyMongo",
    "Refused",
    "Variant",
]
