"""``flask gridfs``: the command line of a bucket; each module has commands that belong together."""

from . import changes, check, expire, indexes, listing, sync, transfers
from .group import gridfs

__all__ = ["changes", "check", "expire", "gridfs", "indexes", "listing", "sync", "transfers"]
