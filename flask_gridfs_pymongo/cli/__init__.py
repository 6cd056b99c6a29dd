"""``flask gridfs``: the command line of a bucket; each module has related commands."""

from . import changes, check, expire, indexes, listing, sync, transfers
from .group import gridfs

__all__ = ["changes", "check", "expire", "gridfs", "indexes", "listing", "sync", "transfers"]
