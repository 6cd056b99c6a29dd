"""PUT, POST, PATCH and DELETE: uploads, new names, metadata, deletion."""
