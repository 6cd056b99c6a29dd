"""A real nginx before the application, and what a player asks for."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..conftest import missing
from .blocks import named
from .replica import until


def sound(seconds: int = 120, rate: int = 44100) -> bytes:
    output = io.BytesIO()
    with wave.open(output, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframesraw(bytes(2 * rate * seconds))
    return output.getvalue()


_CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    ZONE
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
""".replace("ZONE", named("nginx-zone").replace("/var/cache/nginx", "{folder}"))


NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextmanager
def running_nginx(folder: Path, locations: str) -> Iterator[str]:
    """The address of an nginx with *locations* and its files in *folder*."""
    if NGINX is None:
        missing("install nginx (Debian: apt-get install nginx-light)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(_CONFIG.format(folder=folder, port=port, locations=locations))
    with subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]) as process:
        try:
            until(lambda: (folder / "pid").exists(), 10)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
