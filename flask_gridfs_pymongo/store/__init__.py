"""Files in GridFS: knows MongoDB and the GridFS format, nothing of Flask or HTTP."""

from .files import FileStore, Version
from .model import CorruptFile, StoredFile
from .writer import FileTooLarge, Writer

__all__ = ["CorruptFile", "FileStore", "FileTooLarge", "StoredFile", "Version", "Writer"]
