"""Programs of others, and their exit status."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ..conftest import missing


def run(*command: str, cwd: Path) -> str:
    found = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/sbin")
    if found is None:
        missing(f"install {name}")
    return found
