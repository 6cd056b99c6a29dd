"""Files in GridFS: this package knows MongoDB and the GridFS format, and nothing about Flask or HTTP.

Start with :class:`.Bucket`. Other packages import from here only.
"""

from . import ids
from .arguments import check_type
from .bucket import Bucket
from .collections import Collections
from .dav import MAX_PROPERTIES, MAX_READ, Dav
from .errors import (
    ContentDeleted,
    CorruptFile,
    FileTooLarge,
    IndexConflict,
    LeaseLost,
    QuotaExceeded,
    Unconfirmed,
    Unsupported,
    UploadBusy,
    UploadEnded,
)
from .indexes import Index, index_problem
from .integrity import is_utf8
from .links import Link, Links
from .listing.by_value import ORDERS, is_descending, key_of, position
from .listing.names import folders_of, parent_of
from .listing.page import Key, Page, Row, Visibility
from .listing.trashed import TrashKey, TrashPage
from .locks import Lock
from .maintenance.audit import damaged
from .maintenance.check import Check, Finding
from .maintenance.mirror import Mirror, pages
from .maintenance.retention import Sweep, trim
from .maintenance.unowned import Unowned
from .model import NOTE, OWN_FIELDS, StoredFile, Trashed
from .reader import FileReader, Reader
from .resumable import completion
from .resumable.append import UploadWriter
from .resumable.uploads import Upload
from .retry import DISK_FULL, NO_PLAN, codes, is_outage, missing_right, reason
from .variants import FailedVariant, StoredVariant
from .versions import Version
from .within import Within
from .writing.batches import NewFile, Ready
from .writing.claims import build_index
from .writing.commit import Saved
from .writing.sources import Readable
from .writing.trash import Deletion
from .writing.writer import Writer

__all__ = [
    "DISK_FULL",
    "MAX_PROPERTIES",
    "MAX_READ",
    "NOTE",
    "NO_PLAN",
    "ORDERS",
    "OWN_FIELDS",
    "Bucket",
    "Check",
    "Collections",
    "ContentDeleted",
    "CorruptFile",
    "Dav",
    "Deletion",
    "FailedVariant",
    "FileReader",
    "FileTooLarge",
    "Finding",
    "Index",
    "IndexConflict",
    "Key",
    "LeaseLost",
    "Link",
    "Links",
    "Lock",
    "Mirror",
    "NewFile",
    "Page",
    "QuotaExceeded",
    "Readable",
    "Reader",
    "Ready",
    "Row",
    "Saved",
    "StoredFile",
    "StoredVariant",
    "Sweep",
    "TrashKey",
    "TrashPage",
    "Trashed",
    "Unconfirmed",
    "Unowned",
    "Unsupported",
    "Upload",
    "UploadBusy",
    "UploadEnded",
    "UploadWriter",
    "Version",
    "Visibility",
    "Within",
    "Writer",
    "build_index",
    "check_type",
    "codes",
    "completion",
    "damaged",
    "folders_of",
    "ids",
    "index_problem",
    "is_descending",
    "is_outage",
    "is_utf8",
    "key_of",
    "missing_right",
    "pages",
    "parent_of",
    "position",
    "reason",
    "trim",
]
