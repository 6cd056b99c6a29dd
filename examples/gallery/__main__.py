"""``python -m examples.gallery``: the gallery, with a MongoDB server of its own unless ``MONGO_URI`` is set."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from ..mongod import running
from .app import create_app

DATA = Path(os.environ.get("GALLERY_DATA", Path(__file__).parent / "data"))


class Server(BaseApplication):
    """gunicorn with threads, so that a slow download does not block other requests."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        super().__init__()

    def load_config(self) -> None:
        self.cfg.set("bind", f"127.0.0.1:{os.environ.get('PORT', '8000')}")
        self.cfg.set("worker_class", "gthread")
        self.cfg.set("threads", 16)
        self.cfg.set("loglevel", "warning")
        self.cfg.set("when_ready", _announce)

    def load(self) -> Any:
        return create_app(self.uri)


def _announce(arbiter: Any) -> None:
    host, port = arbiter.LISTENERS[0].sock.getsockname()
    print(f"The gallery is at http://{host}:{port}/ (Ctrl-C stops it)", flush=True)


def main() -> None:
    with ExitStack() as stack:
        uri = os.environ.get("MONGO_URI")
        if uri is None:
            port = stack.enter_context(running(DATA))
            uri = f"mongodb://127.0.0.1:{port}/gallery"
            print(f"MongoDB runs with its data in {DATA}", flush=True)
        Server(uri).run()


if __name__ == "__main__":
    sys.exit(main())
