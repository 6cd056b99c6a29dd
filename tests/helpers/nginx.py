"""A real nginx before the application, and what a player asks for."""

from __future__ import annotations

import io
import wave

from .blocks import named


def sound(seconds: int = 120, rate: int = 44100) -> bytes:
    output = io.BytesIO()
    with wave.open(output, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframesraw(bytes(2 * rate * seconds))
    return output.getvalue()


NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    ZONE
    server {{
        listen unix:{folder}/nginx.sock;
        {location}
    }}
}}
""".replace("ZONE", named("nginx-zone").replace("/var/cache/nginx", "{folder}"))
