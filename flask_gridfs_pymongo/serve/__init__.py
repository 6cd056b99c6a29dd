"""``python -m flask_gridfs_pymongo``: a bucket as a server of its own, or a demo with a database of its own."""
