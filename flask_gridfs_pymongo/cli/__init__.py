"""``flask gridfs``: the command line of a bucket; each module has commands that belong together."""

from . import check, expire, indexes
from .group import gridfs

__all__ = ["check", "expire", "gridfs", "indexes"]
