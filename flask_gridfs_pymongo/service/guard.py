"""What every request passes before it is answered, and what every answer carries."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from flask import Request, abort


def check_encoding(request: Request) -> None:
    """Abort with 400 where the URL is not UTF-8: Werkzeug takes all such bytes for one character, U+FFFD."""
    try:
        request.environ["PATH_INFO"].encode("latin-1").decode()  # WSGI's way to keep bytes (PEP 3333)
        unquote_to_bytes(request.query_string).decode()
    except UnicodeError:
        abort(400, "The URL is not UTF-8.")
