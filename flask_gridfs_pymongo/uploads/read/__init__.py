"""GET and HEAD: files, listings, smaller pictures, archives, links."""
