"""Everything that changes a bucket: content and commits, claims, new names, deletes."""
