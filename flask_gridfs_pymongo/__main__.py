"""``python -m flask_gridfs_pymongo mongodb://HOST/DATABASE``: a bucket as a server of its own."""

import signal
import sys

from .serve.command import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # also ends what the command has started
    main(prog_name="python -m flask_gridfs_pymongo")
