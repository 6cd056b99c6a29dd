"""Real clients: curl, Chromium's player, and nginx that serves ranges from its cache."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page

from flask_gridfs_pymongo import PyMongo

from ..conftest import missing, start_gunicorn
from ..helpers.blocks import named
from ..helpers.nginx import running_nginx, sound

pytestmark = pytest.mark.clients

DATA = random.Random(5).randbytes(3_500_000)


@pytest.fixture(scope="module")
def server(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = f"{mongod}/test_clients"
    app = Flask("clients")
    mongo = PyMongo(app, uri=database)
    mongo.cx.drop_database("test_clients")
    mongo.save_file("data", io.BytesIO(DATA))
    mongo.save_file("sound.wav", io.BytesIO(sound()))
    log = tmp_path_factory.mktemp("clients") / "log"
    with start_gunicorn("tests.helpers.live:create_app(public=True)", log, LIVE_URI=database) as address:
        yield f"{address}/uploads/"
    mongo.cx.drop_database("test_clients")
    mongo.cx.close()


def curl(*arguments: str, cwd: Path) -> str:
    if shutil.which("curl") is None:
        missing("install curl (Debian: apt-get install curl)")
    run = subprocess.run(["curl", "-sS", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=True)
    return run.stdout


class TestCurl:
    def test_it_resumes(self, server: str, tmp_path: Path) -> None:
        (tmp_path / "data").write_bytes(DATA[:1_234_567])
        assert curl("-C", "-", "-O", "-w", "%{http_code}", f"{server}data", cwd=tmp_path) == "206"
        assert (tmp_path / "data").read_bytes() == DATA

    def test_it_asks_only_for_what_is_newer(self, server: str, tmp_path: Path) -> None:
        curl("-R", "-O", f"{server}data", cwd=tmp_path)  # -R keeps Last-Modified as the file's time
        assert curl("-z", "data", "-o", "again", "-w", "%{http_code}", f"{server}data", cwd=tmp_path) == "304"
        old = curl("-z", "2001-01-01", "-o", "again", "-w", "%{http_code}", f"{server}data", cwd=tmp_path)
        assert (old, (tmp_path / "again").read_bytes()) == ("200", DATA)

    def test_several_ranges(self, server: str, tmp_path: Path) -> None:
        out = curl("-r", "0-9,-10", "-o", "parts", "-w", "%{http_code} %{content_type}", f"{server}data", cwd=tmp_path)
        assert out.startswith("206 multipart/byteranges; boundary=")
        parts = (tmp_path / "parts").read_bytes()
        assert DATA[:10] in parts
        assert DATA[-10:] in parts


def test_chromiums_player_seeks_by_ranges(server: str, page: Page) -> None:
    answers: list[Any] = []
    page.on("response", lambda response: answers.append((response.status, response.request.headers.get("range"))))
    page.goto(f"{server}sound.wav")  # Chromium shows it in a <video> of its own page, under our policy
    player = page.locator("video")
    position = player.evaluate(
        """video => new Promise((resolve, reject) => {
            video.onseeked = () => resolve([video.currentTime, video.duration, video.error]);
            video.onerror = () => reject(video.error.message);
            const seek = () => { video.currentTime = 110; };
            video.readyState >= 1 ? seek() : video.onloadedmetadata = seek;
        })"""
    )
    assert position == [pytest.approx(110, abs=1), 120, None]  # it goes on playing
    starts = [int(asked.split("=")[1].split("-")[0]) for status, asked in answers if status == 206 and asked]
    assert max(starts, default=0) > 5_000_000


def test_nginx_serves_ranges_of_a_permanent_url_from_its_cache(server: str, tmp_path: Path) -> None:
    address = server.removesuffix("/uploads/")
    location = named("nginx-slices")  # the docs' own
    location = location.replace("http://127.0.0.1:8000", address)
    location = location.replace("slice 1m;", "slice 1m; add_header X-Cache $upstream_cache_status;")
    details = curl("-H", "Accept: application/json", f"{server}data?details", cwd=tmp_path)
    permanent = details.split('"permanent_url": "')[1].split('"')[0]
    start, stop = 1_000_000, 2_200_000  # in three slices
    with running_nginx(tmp_path, location) as front:
        caches = []
        for _ in range(2):
            what = ["-r", f"{start}-{stop - 1}", "-o", "part", "-w", "%{http_code} %header{x-cache}"]
            caches.append(curl(*what, f"{front}{permanent}", cwd=tmp_path))
            assert (tmp_path / "part").read_bytes() == DATA[start:stop]
        assert caches == ["206 MISS", "206 HIT"]
