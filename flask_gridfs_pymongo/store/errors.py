"""What the store raises: each is one kind of failure, and each door has a status for it."""

from __future__ import annotations

from pymongo.errors import PyMongoError


class CorruptFile(Exception):
    """A stored file's document and its chunks contradict each other."""


class ContentDeleted(CorruptFile):
    """The content was deleted while it was uploaded; nothing was stored."""


class IndexConflict(Exception):
    """A unique index does not let the file in; nothing was stored."""


class Unconfirmed(PyMongoError):
    """The server did not confirm a write in time: it may have been done, wholly, or not at all."""


class FileTooLarge(Exception):
    """More bytes were written than the limit of the file, or of the upload, allows."""


class UploadBusy(Exception):
    """Another request is receiving bytes of the upload."""


class UploadEnded(Exception):
    """The upload cannot be resumed: it is stored, or it was terminated or expired."""


class LeaseLost(Exception):
    """Another request has acquired the lease on the upload, or ended it."""


class QuotaExceeded(Exception):
    """One more lock, property or name would be too many."""
