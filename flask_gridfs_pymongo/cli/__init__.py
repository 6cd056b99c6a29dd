"""``flask gridfs``: the command line of a bucket; each module has related commands."""

from .group import gridfs

__all__ = ["gridfs"]
