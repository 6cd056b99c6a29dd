"""``flask gridfs``: the command line of a bucket; each module has commands that belong together."""

from .group import gridfs

__all__ = ["gridfs"]
