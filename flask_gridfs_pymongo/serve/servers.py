"""gunicorn if it is installed, else waitress (extra ``server``)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

from flask import Flask

_THREADS = 16  # so that slow downloads do not block other requests
_MAX_BODY = 2**40  # bytes; waitress would refuse more than 1 GiB


def choose() -> Callable[[Flask, socket.socket], None]:
    """Return the function that serves an application on a socket until it is stopped.

    :raises ImportError: with the remedy, if there is no server
    """
    for module, run in {"gunicorn.app.base": _gunicorn, "waitress": _waitress}.items():
        try:
            import_module(module)
        except ImportError:
            continue
        return run
    raise ImportError("a WSGI server is missing: pip install 'flask-gridfs-pymongo[server]'")


def _gunicorn(app: Flask, listener: socket.socket) -> None:
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings = {
                "bind": f"fd://{listener.detach()}",
                "worker_class": "gthread",
                "threads": _THREADS,
                "loglevel": "warning",
                "control_socket_disable": True,  # gunicorn 25 and later
            }
            for name in settings.keys() & self.cfg.settings.keys():
                self.cfg.set(name, settings[name])

        def load(self) -> Any:
            return app

    Server().run()


def _waitress(app: Flask, listener: socket.socket) -> None:
    from waitress import create_server

    create_server(app, sockets=[listener], threads=_THREADS, max_request_body_size=_MAX_BODY).run()
