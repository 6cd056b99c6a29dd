"""``python -m benchmarks [ROW ...] [--quick]``: ours, Flask-PyMongo 3.0.1 and the limit, in turn on one mongod.

Each figure is the median of its rounds, after one that does not count. Ratios say something; absolute times are this
machine's alone.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pymongo

from examples import mongod

from . import measure
from .picture import draw

ROOT = Path(__file__).parent.parent
MIB = 1024 * 1024


class Result(NamedTuple):
    """A line of the table. *better* is what a good ratio is: more or less."""

    what: str
    unit: str
    ours: float
    peer: float | None
    limit: float | None
    goal: str


class Bench:
    """The servers, the database, and how much of everything."""

    def __init__(self, uri: str, quick: bool) -> None:
        self.uri = uri
        self.rounds = 2 if quick else 7
        self.large = (32 if quick else 256) * MIB
        self.upload = (16 if quick else 128) * MIB
        self.requests = 50 if quick else 400
        self.names = 2_000 if quick else 100_000
        self.versions = 1_000 if quick else 10_000

    @contextmanager
    def servers(self, *names: str) -> Iterator[dict[str, measure.Server]]:
        """Run gunicorn for each application of :mod:`.apps`."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(measure.serving(name, self.uri)) for name in names}

    def median(self, tries: dict[str, Callable[[], float]]) -> dict[str, float]:
        """Take the tries in turn, round after round; the first round does not count."""
        found: dict[str, list[float]] = {name: [] for name in tries}
        for round_ in range(self.rounds + 1):
            for name, take in tries.items():
                value = take()
                if round_:
                    found[name].append(value)
        return {name: statistics.median(values) for name, values in found.items()}


def download(bench: Bench) -> Iterator[Result]:
    measure.store(bench.uri, "large", bench.large)
    with bench.servers("ours", "peer", "limit") as servers:
        got = {
            name: [measure.download(server, f"/files/large-{name}", bench.large) for _ in range(bench.rounds + 1)][1:]
            for name, server in servers.items()
        }
    speed = {name: statistics.median(bench.large / MIB / total for _, total in each) for name, each in got.items()}
    first = {name: statistics.median(1000 * start for start, _ in each) for name, each in got.items()}
    size = f"download of {bench.large // MIB} MiB"
    yield Result(size, "MB/s", speed["ours"], speed["peer"], speed["limit"], ">= 1.5 peer, >= 0.9 limit")
    yield Result("its first byte", "ms", first["ours"], first["peer"], None, "<= 0.2 peer")


def stalled(bench: Bench) -> Iterator[Result]:
    measure.store(bench.uri, "large", bench.large)
    clients = 8 if bench.rounds == 2 else 32
    with bench.servers("ours", "peer") as servers:
        each = {
            name: measure.stalled_downloads(server, f"/files/large-{name}", clients) for name, server in servers.items()
        }
    yield Result("memory of a stalled download", "MiB", each["ours"], each["peer"], 2.0, "<= 0.1 peer, 2 batches")


def small(bench: Bench) -> Iterator[Result]:
    measure.store(bench.uri, "small", 10_240)
    n = bench.requests
    with bench.servers("ours", "peer", "limit") as servers:
        etags = {name: measure.etag(servers[name], f"/files/small-{name}") for name in ("ours", "peer")}
        times = bench.median(
            {
                "ours": lambda: measure.repeat(servers["ours"], "/files/small-ours", n),
                "peer": lambda: measure.repeat(servers["peer"], "/files/small-peer", n),
                "limit": lambda: measure.repeat(servers["limit"], "/aggregate/small-ours", n),
                "ours 304": lambda: measure.repeat(servers["ours"], "/files/small-ours", n, etags["ours"]),
                "peer 304": lambda: measure.repeat(servers["peer"], "/files/small-peer", n, etags["peer"]),
                "limit 304": lambda: measure.repeat(servers["limit"], "/find/small-ours", n),
            }
        )
    yield Result("small file (10 KB)", "ms", times["ours"], times["peer"], times["limit"], "<= 0.6 peer, 1.3 limit")
    yield Result("304", "ms", times["ours 304"], times["peer 304"], times["limit 304"], "<= 0.7 peer, 1.2 limit")


def own(bench: Bench) -> Iterator[Result]:
    measure.store(bench.uri, "small", 10_240, ("ours",))
    with bench.servers("ours") as servers:
        etag = measure.etag(servers["ours"], "/uploads/small-ours")
    for what, tag in (("a small file", None), ("a 304", etag)):
        taken = [measure.own_times(bench.uri, "small-ours", tag, bench.requests) for _ in range(bench.rounds + 1)][1:]
        ours, query = (statistics.median(times) for times in zip(*taken, strict=True))
        yield Result(f"our own time in {what}", "us", ours - query, None, query, "<= 130 us")


def ranges(bench: Bench) -> Iterator[Result]:
    length = bench.large * 4
    measure.store(bench.uri, "huge", length, ("ours",))
    with bench.servers("ours") as servers:
        spans = {"start": (0, MIB - 1), "end": (length - MIB, length - 1)}
        times = bench.median(
            {
                name: lambda span=span: 1000 * measure.download(servers["ours"], "/files/huge-ours", MIB, span)[1]  # type: ignore[misc]
                for name, span in spans.items()
            }
        )
    yield Result(
        f"1 MiB at the end of {length // MIB} MiB", "ms", times["end"], None, times["start"], "as at the start"
    )


def upload(bench: Bench) -> Iterator[Result]:
    with bench.servers("ours", "peer") as servers:
        times = bench.median(
            {
                "ours": lambda: measure.form_upload(servers["ours"], bench.upload),
                "peer": lambda: measure.form_upload(servers["peer"], bench.upload),
                "limit": lambda: measure.bare_insert(bench.uri, bench.upload),
            }
        )
    what = f"form upload of {bench.upload // MIB} MiB"
    yield Result(what, "s", times["ours"], times["peer"], times["limit"], "<= 0.5 peer, <= 1.25 limit")


def resumable(bench: Bench) -> Iterator[Result]:
    with bench.servers("ours") as servers:
        server, piece = servers["ours"], 8 * MIB
        times = bench.median(
            {
                "tus": lambda: measure.tus_upload(server, bench.upload, piece),
                "put": lambda: measure.put_upload(server, bench.upload),
            }
        )
    what = f"tus upload of {bench.upload // MIB} MiB, 8 MiB pieces"
    yield Result(what, "s", times["tus"], None, times["put"], "<= 1.5 of PUT")


def uploading(bench: Bench) -> Iterator[Result]:
    clients = 4 if bench.rounds == 2 else 16
    with bench.servers("ours", "peer") as servers:
        each = {name: measure.stalled_uploads(server, bench.upload, clients) for name, server in servers.items()}
    yield Result("memory of an upload in progress", "MiB", each["ours"], each["peer"], 2.0, "<= 0.1 peer, 2 batches")


def listing(bench: Bench) -> Iterator[Result]:
    with measure.filled(bench.uri, bench.names, bench.versions) as (few, many):
        tries: dict[str, Callable[[], float]] = {}
        for case in measure.LISTINGS:
            tries[f"{case} few"] = lambda case=case: measure.list_time(few, case)  # type: ignore[misc]
            tries[f"{case} many"] = lambda case=case: measure.list_time(many, case)  # type: ignore[misc]
        times = bench.median(tries)
    for case in measure.LISTINGS:
        yield Result(f"{case}, many", "ms", times[f"{case} many"], None, times[f"{case} few"], "<= 2 of few")


ROWS = {row.__name__: row for row in (download, stalled, small, own, ranges, upload, resumable, uploading, listing)}


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
