"""``python -m benchmarks [ROW ...] [--quick]``: ours, Flask-PyMongo 3.0.1 and the limit, in turn on one mongod.

Each figure is the median of its rounds, after one that does not count. Ratios say something; absolute times are this
machine's alone.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pymongo

from flask_gridfs_pymongo.serve import mongod

from .picture import draw
from .rows import ROWS, Bench, Result


def machine(uri: str) -> str:
    with pymongo.MongoClient(uri) as client:
        server = client.server_info()["version"]
    packages = " ".join(f"{name} {version(name)}" for name in ("pymongo", "Flask", "Werkzeug", "gunicorn"))
    cores = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{date.today()}, {cores} cores, Python {platform.python_version()}, mongod {server}, {packages}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all where none is named")
    parser.add_argument("--quick", action="store_true", help="small and few: to see that it works")
    parser.add_argument("--picture", type=Path, help="write the table as bars to this SVG file")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(unknown)}")
    results = []
    memory = Path("/dev/shm")  # noqa: S108  where there is one, the disk decides nothing
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        mongod.running(Path(folder)) as port,
    ):
        bench = Bench(f"mongodb://127.0.0.1:{port}/benchmark", arguments.quick)
        about = machine(bench.uri)
        print(about)
        print(f"{'':42} {'ours':>9} {'peer':>9} {'limit':>9}       /peer  /limit  goal")
        for name in arguments.rows or ROWS:
            for result in ROWS[name](bench):
                results.append(result)
                print(line(result), flush=True)
    if arguments.picture:
        arguments.picture.write_text(draw(results, about))


def line(result: Result) -> str:
    def number(value: float | None) -> str:
        return f"{value:9.2f}" if value is not None else f"{'':9}"

    def ratio(other: float | None) -> str:
        return f"{result.ours / other:6.2f}" if other else f"{'':6}"

    figures = f"{number(result.ours)} {number(result.peer)} {number(result.limit)} {result.unit:5}"
    return f"{result.what:42} {figures} {ratio(result.peer)}  {ratio(result.limit)}  {result.goal}"


if __name__ == "__main__":
    sys.exit(main())
