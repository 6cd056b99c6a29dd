"""``nox -s fast``; ``nox -l`` lists the other sessions, of which ``.ci/run`` and ``.github/workflows/ci.yml`` are made.

They run in the environment that nox is in (docs/contributing.rst has its set-up), except those that try other versions.
"""

import sys
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "fast"]
nox.options.error_on_missing_interpreters = False

PYTHON = sys.executable
FAST = "not browser and not clients and not replica and not slow"
PROJECT = nox.project.load_toml("pyproject.toml")["project"]


@nox.session(venv_backend="none")
def fast(session: nox.Session) -> None:
    """What takes at most a minute; ``nox -s fast -- tests/http`` runs a part."""
    session.run(PYTHON, "-m", "pytest", "-m", FAST, *(session.posargs or ["--ignore=tests/test_docs.py"]))


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """All tests but those in Chromium, on databases that fail, and those that take minutes."""
    session.run(PYTHON, "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """With the lowest versions of what the package and its extras need."""
    extras = {name: needs for name, needs in PROJECT["optional-dependencies"].items() if name not in ("docs", "test")}
    needed = [one for needs in (PROJECT["dependencies"], *extras.values()) for one in needs if ">=" in one]
    session.install("-e", ".[test]", *(one.replace(">=", "==") for one in needed))
    session.run("python", "-m", "pytest", "--ignore=tests/test_docs.py", *session.posargs)


@nox.session(python=["3.12", "3.13", "3.14"])
def newest(session: nox.Session) -> None:
    """With the newest versions of everything."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "--ignore=tests/test_docs.py", *session.posargs)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    session.run(PYTHON, "-m", "ruff", "check", ".")
    session.run(PYTHON, "-m", "ruff", "format", "--check", ".")
    session.run(str(Path(PYTHON).with_name("typos")))


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    session.run(PYTHON, "-m", "mypy")


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    session.run(PYTHON, "-m", "sphinx", "-W", "-n", "-q", "docs", "build/docs")


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    session.run(PYTHON, "-m", "benchmarks", *(session.posargs or ["--quick"]))
