"""Files in GridFS: knows MongoDB and the GridFS format, nothing of Flask or HTTP."""

from . import ending, ids
from .bucket import Bucket
from .commit import IndexConflict, Unconfirmed, Vanished
from .holder import Holder
from .model import CorruptFile, StoredFile
from .resumable import Upload
from .turn import Overtaken, UploadBusy, UploadEnded
from .versions import Version
from .writer import FileTooLarge, Writer

__all__ = [
    "Bucket",
    "CorruptFile",
    "FileTooLarge",
    "Holder",
    "IndexConflict",
    "Overtaken",
    "StoredFile",
    "Unconfirmed",
    "Upload",
    "UploadBusy",
    "UploadEnded",
    "Vanished",
    "Version",
    "Writer",
    "ending",
    "ids",
]
