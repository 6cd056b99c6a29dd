"""The errors of the store; :mod:`.service.errors` maps them to responses."""

from __future__ import annotations

from pymongo.errors import PyMongoError


class CorruptFile(Exception):
    """The document of a stored file and its chunks contradict each other."""


class ContentDeleted(CorruptFile):
    """The content was deleted while it was uploaded; nothing was stored."""


class IndexConflict(Exception):
    """A unique index of the application refuses the file; nothing was stored."""


class Unsupported(Exception):
    """The collections lack what this needs; the text names the remedy. Nothing was changed."""


class Unconfirmed(PyMongoError):
    """The server did not confirm a write in time: it was done completely, or not at all."""


class FileTooLarge(Exception):
    """More bytes were written than the limit of the file or upload."""


class UploadBusy(Exception):
    """Another request is receiving bytes of the upload."""


class UploadEnded(Exception):
    """The upload was completed or terminated, or has expired."""


class LeaseLost(Exception):
    """Another request has acquired the lease of the upload, or ended the upload."""


class QuotaExceeded(Exception):
    """The limit of locks or properties is reached."""
