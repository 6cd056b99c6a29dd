"""cli/paths.py: which files an argument means."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from flask_gridfs_pymongo import PyMongo

from ..conftest import put
from ..helpers.commands import call


@pytest.mark.parametrize(
    "arguments",
    ["rm -r --all-versions --yes {}", "put HERE {}", "mv a {}", "mv {} x", "cp a {}", "cp {} x", "get {} HERE", "ls {}",
     "du {}", "cat {}", "stat {}", "rm a {}", "sync {} gridfs:", "sync gridfs: {}", "put {} x", "export {}",
     "links {}"],
)  # fmt: skip
def test_an_empty_argument_is_not_everything(
    app: Flask, real: PyMongo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    """As from a shell variable that is not set."""
    bucket = real.bucket()
    put(bucket, "a", b"1")
    here = {"HERE": str(tmp_path / "here"), "{}": ""}
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")  # which export would fill
    status, _, errors = call(app, *(here.get(argument, argument) for argument in arguments.split()))
    assert (status, errors[-1].startswith("Error: ")) == (2, True)
    assert (bucket.files.distinct("filename"), list(tmp_path.rglob("*"))) == (["a"], [tmp_path / "empty"])
