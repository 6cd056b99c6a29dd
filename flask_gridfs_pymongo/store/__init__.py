"""Files in GridFS: knows MongoDB and the GridFS format, nothing of Flask or HTTP."""

from .bucket import Bucket
from .model import CorruptFile, StoredFile
from .versions import Version
from .writer import FileTooLarge, Writer

__all__ = ["Bucket", "CorruptFile", "FileTooLarge", "StoredFile", "Version", "Writer"]
