"""Bombs of every format that is decoded, in the child process as it is."""

from __future__ import annotations

import os
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from flask_gridfs_pymongo.decoder import pool
from flask_gridfs_pymongo.decoder.errors import Undecodable
from flask_gridfs_pymongo.decoder.pictures import load
from flask_gridfs_pymongo.images import THUMB

from ..helpers.bombs import BOMBS
from ..helpers.pictures import png

load()


def made(source: bytes) -> tuple[dict[str, Any], bytes]:
    arguments = {**asdict(THUMB), "content_type": "image/webp"}
    with pool.slot() as decoder:
        return decoder.perform("picture", arguments, [source], len(source))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "TIMEOUT", 60)


def test_what_is_refused() -> None:
    for name, (source, reason) in BOMBS.items():
        with pytest.raises(Undecodable) as refused:
            made(source)
        assert (name, refused.value.reason) == (name, reason)


def test_the_memory_for_the_largest_picture() -> None:
    source = png(6300, 6300, zlib.compress(b"\0" * (6300 * 3 + 1) * 6300))
    assert made(source)[0] == {"content_type": "image/webp", "pixels": [6300, 6300]}
    status = Path(f"/proc/{pool._POOLS[os.getpid()].idle[-1]._process.pid}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 300_000  # kB
