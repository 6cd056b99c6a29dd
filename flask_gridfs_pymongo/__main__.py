"""``python -m flask_gridfs_pymongo mongodb://HOST/DATABASE``: a bucket as a server of its own."""

from .serve.command import main

if __name__ == "__main__":
    main(prog_name="python -m flask_gridfs_pymongo")
