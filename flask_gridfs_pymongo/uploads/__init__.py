"""The file server: a blueprint that joins the store and HTTP."""

from .blueprint import uploads_blueprint

__all__ = ["uploads_blueprint"]
