"""PUT, POST, PATCH and DELETE: uploading, renaming, copying, changing metadata and deleting."""
