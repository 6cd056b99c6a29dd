"""Every command and snippet of README.rst does what it says there."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, missing

BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n(?:   :name: (\w+)\n)?\n((?:   .*\n|\n)+)", re.MULTILINE)
README = (ROOT / "README.rst").read_text()


def blocks(language: str, name: str = "") -> list[str]:
    found = [match for match in BLOCK.findall(README) if match[:2] == (language, name)]
    return [re.sub("^   ", "", text, flags=re.MULTILINE).strip() + "\n" for _, _, text in found]


@pytest.mark.parametrize("name", ["gallery", "tests"])
def test_a_set_up_command_is_one_line(name: str) -> None:
    """.ci/run runs them as they stand."""
    (command,) = blocks("console", name)
    assert re.fullmatch(r"\$ python3 -m venv [^\n]+\n", command)


def test_the_curl_session(gallery: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("install curl (Debian: apt-get install curl)")
    steps = [
        step for block in blocks("console", "curl") for step in re.split(r"^\$ ", block, flags=re.MULTILINE) if step
    ]
    assert len(steps) > 10
    for step in steps:
        command, _, expected = step.partition("\n")
        command = command.replace("http://127.0.0.1:8000/", gallery)
        run = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        printed = run.stdout.replace("\r\n", "\n")
        assert doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS), (command, printed, run.stderr)


@pytest.mark.parametrize("snippet", blocks("python"))
def test_a_snippet_runs(snippet: str, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(snippet.replace("mongodb://localhost/shop", uri), namespace)  # noqa: S102
    app = namespace["app"]
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    assert rules
    # What a snippet leaves to the defaults is at localhost:27017; here it is at the tests' server.
    for state in app.extensions["pymongo"].values():
        state.settings.options["host"] = uri
        state.settings.options.pop("port", None)
    for rule in rules:
        url = rule.rule.replace("<path:filename>", "none").replace("<ObjectId:task_id>", "4cf139def4b6a1134c4ea6c4")
        assert app.test_client().get(url).status_code == (200 if url.endswith("/") else 404)
    for state in app.extensions["pymongo"].values():
        state.connection.client.close()


def test_every_promise_has_its_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    named = re.findall(r"``(test_\w+)``", README)
    assert len(named) > 10
    assert [name for name in named if f"def {name}(" not in tests] == []


def test_every_block_of_every_template_is_documented() -> None:
    blocks = re.findall(r"^``(\w+\.html)`` (.*)$", README, re.MULTILINE)
    folder = ROOT / "flask_gridfs_pymongo" / "templates" / "flask_gridfs_pymongo"
    assert sorted(name for name, _ in blocks) == sorted(path.name for path in folder.iterdir())
    basic = set(re.findall(r"{%-? block (\w+)", (folder / "base.html").read_text()))
    for name, text in blocks:
        own = set(re.findall(r"{%-? block (\w+)", (folder / name).read_text()))
        assert (own if name == "base.html" else own - basic) == set(re.findall(r"``(\w+)``", text)), name


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"(?:image:: |<)([\w/-]+\.(?:png|svg))", README)
    assert len(pictures) == 7
    assert [name for name in pictures if not (ROOT / name).is_file()] == []


def test_every_argument_and_setting_is_documented() -> None:
    import inspect

    from flask_gridfs_pymongo import PyMongo, config

    arguments = [*inspect.signature(PyMongo.uploads_blueprint).parameters][2:]
    settings = [f"MONGO_{suffix}" for suffix in (*config._WITHOUT_URI, *config._WITH_URI_TOO, "URI", "DBNAME")]
    assert [name for name in (*arguments, *settings) if f"``{name}``" not in README] == []
