"""The rows of the table: what is measured, in which turn, and what a good ratio is.

A row is a function that yields its results; a new one goes into :data:`ROWS`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from . import bulk as many_files
from . import cached, listings, measure, pictures, sending
from .measure import MIB


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
        self.files = 300 if quick else 2_000

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
    yield Result(size, "MB/s", speed["ours"], speed["peer"], speed["limit"], ">= 1.5 peer, >= 0.95 limit")
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


def other(bench: Bench) -> Iterator[Result]:
    """What somebody has who comes from Flask-PyMongo: the files that it stored."""
    measure.store(bench.uri, "small", 10_240, ("peer",))
    url, n = "/files/small-peer", bench.requests
    with bench.servers("ours", "peer") as servers:
        etags = {name: measure.etag(server, url) for name, server in servers.items()}
        tries: dict[str, Callable[[], float]] = {}
        for name, server in servers.items():
            tries[name] = lambda server=server: measure.repeat(server, url, n)  # type: ignore[misc]
            tries[f"{name} 304"] = lambda server=server, tag=etags[name]: measure.repeat(server, url, n, tag)  # type: ignore[misc]
        times = bench.median(tries)
    yield Result("small file of Flask-PyMongo", "ms", times["ours"], times["peer"], None, "<= 1 peer")
    yield Result("its 304", "ms", times["ours 304"], times["peer 304"], None, "<= 1 peer")


def process(bench: Bench) -> Iterator[Result]:
    """The same without a server, which is a part of every other row."""
    measure.store(bench.uri, "small", 10_240, ("ours", "peer"))
    goals = {
        ("peer", False): "<= 0.72",
        ("ours", False): "<= 0.55",
        ("peer", True): "<= 1.05",
        ("ours", True): "<= 0.65",
    }
    for (writer, conditional), goal in goals.items():
        took = measure.in_process(bench.uri, f"small-{writer}", conditional=conditional, times=bench.requests)
        what = f"{'304' if conditional else 'small file'} in process, {'own' if writer == 'ours' else 'other'}"
        yield Result(what, "us", took["ours"], took["peer"], None, f"{goal} peer")
        if not conditional:
            wanted = "<= 0.87 peer" if writer == "peer" else "<= 0.65 peer"
            yield Result(f"{what}, no memory", "us", took["no memory"], took["peer"], None, wanted)


def file_cache(bench: Bench) -> Iterator[Result]:
    measure.store(bench.uri, "large", bench.large, ("ours",))
    names = [f"view{number}" for number in range(min(200, bench.requests))]
    for name in names:
        measure.store(bench.uri, name, 10_240, ("ours",))
    views, large = [f"/files/{name}-ours" for name in names], "/uploads/large-ours"
    with cached.folder() as folder, bench.servers("ours", "cached", "handing_over") as servers:
        for server in servers.values():
            cached.views(server, ["/files/none"])
        first, without = (cached.views(servers[name], views) for name in ("cached", "ours"))
        times = bench.median(
            {
                "second": lambda: cached.views(servers["cached"], views),
                "without": lambda: cached.views(servers["ours"], views),
                "disk": lambda: measure.download(servers["cached"], large, bench.large)[1],
                "database": lambda: measure.download(servers["ours"], large, bench.large)[1],
            }
        )
        yield Result("first view of a small file", "ms", first, None, without, "file_cache / without")
        yield Result("second view", "ms", times["second"], None, times["without"], "<= 1.7 of memory")
        speed = {name: bench.large / MIB / times[name] for name in ("disk", "database")}
        size = f"{bench.large // MIB} MiB from local disk"
        yield Result(size, "MB/s", speed["disk"], None, speed["database"], ">= 1.3 of without")
        with cached.nginx(folder, servers["handing_over"]) as front:
            if front is None:
                return
            Path(folder, "large").write_bytes(bytes(bench.large))
            measure.download(front, large, bench.large)
            times = bench.median(
                {
                    "ours": lambda: measure.download(front, large, bench.large)[1],
                    "static": lambda: measure.download(front, "/static/large", bench.large)[1],
                }
            )
            speed = {name: bench.large / MIB / took for name, took in times.items()}
            yield Result("the same by nginx", "MB/s", speed["ours"], None, speed["static"], ">= 0.9 of a static file")


def put(bench: Bench) -> Iterator[Result]:
    with bench.servers("ours", "limit") as servers:
        times = bench.median(
            {
                "ours": lambda: sending.small_puts(servers["ours"], "/uploads/put", bench.requests),
                "limit": lambda: sending.small_puts(servers["limit"], "/insert/inserted", bench.requests),
            }
        )
    yield Result("PUT of 10 KB", "ms", times["ours"], None, times["limit"], "<= 2.6 of two inserts")


def pages(bench: Bench) -> Iterator[Result]:
    listings.fill(bench.uri, "listed/", 2_000 if bench.rounds == 2 else 10_000)
    url, n = "/uploads/?prefix=listed/", max(1, bench.requests // 10)
    with bench.servers("ours", "limit") as servers:
        ours = servers["ours"]
        times = bench.median(
            {
                "JSON": lambda: measure.repeat(ours, url, n, None, "Accept: application/json"),
                "HTML": lambda: measure.repeat(ours, url, n, None, "Accept: text/html"),
                "limit": lambda: measure.repeat(servers["limit"], "/list/listed/", n),
            }
        )
    yield Result("listing of 100, JSON", "ms", times["JSON"], None, times["limit"], "<= 4.6 of a find")
    yield Result("listing of 100, HTML", "ms", times["HTML"], None, times["limit"], "<= 8 of a find")


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
                "ours": lambda: sending.form_upload(servers["ours"], bench.upload),
                "peer": lambda: sending.form_upload(servers["peer"], bench.upload),
                "limit": lambda: sending.bare_insert(bench.uri, bench.upload),
            }
        )
    what = f"form upload of {bench.upload // MIB} MiB"
    yield Result(what, "s", times["ours"], times["peer"], times["limit"], "<= 0.5 peer, <= 1.25 limit")


def resumable(bench: Bench) -> Iterator[Result]:
    with bench.servers("ours") as servers:
        server, piece = servers["ours"], 8 * MIB
        times = bench.median(
            {
                "tus": lambda: sending.tus_upload(server, bench.upload, piece),
                "put": lambda: sending.put_upload(server, bench.upload),
            }
        )
    what = f"tus upload of {bench.upload // MIB} MiB, 8 MiB pieces"
    yield Result(what, "s", times["tus"], None, times["put"], "<= 1.5 of PUT")


def uploading(bench: Bench) -> Iterator[Result]:
    clients = 4 if bench.rounds == 2 else 16
    with bench.servers("ours", "peer") as servers:
        each = {name: sending.stalled_uploads(server, bench.upload, clients) for name, server in servers.items()}
    yield Result("memory of an upload in progress", "MiB", each["ours"], each["peer"], 2.0, "<= 0.1 peer, 2 batches")


def listing(bench: Bench) -> Iterator[Result]:
    with listings.filled(bench.uri, bench.names, bench.versions) as (few, many):
        tries: dict[str, Callable[[], float]] = {}
        for case in listings.LISTINGS:
            tries[f"{case} few"] = lambda case=case: listings.list_time(few, case)  # type: ignore[misc]
            tries[f"{case} many"] = lambda case=case: listings.list_time(many, case)  # type: ignore[misc]
        times = bench.median(tries)
    for case in listings.LISTINGS:
        yield Result(f"{case}, many", "ms", times[f"{case} many"], None, times[f"{case} few"], "<= 2 of few")


def variant(bench: Bench) -> Iterator[Result]:
    photo = pictures.photo()
    pictures.store(bench.uri, "photo", photo)
    url = "/uploads/photo?variant=thumb"
    with bench.servers("ours") as servers:
        server = servers["ours"]
        times = bench.median(
            {
                "made": lambda: pictures.made(server, bench.uri, url),
                "Pillow": lambda: pictures.bare(photo),
                "kept": lambda: measure.repeat(server, url, bench.requests),
                "file": lambda: measure.repeat(server, "/uploads/photo", 20),
            }
        )
    yield Result(
        "a 640 px picture of a 12 MP photo, made", "ms", times["made"], None, times["Pillow"], "<= 1.5 of Pillow"
    )
    yield Result("the same, kept", "ms", times["kept"], None, times["file"], "below the photo itself")


def archive(bench: Bench) -> Iterator[Result]:
    count, length = 32, bench.large // 32
    for number in range(count):
        measure.store(bench.uri, f"folder/{number:02}", length, ("ours",))
    measure.store(bench.uri, "large", bench.large, ("ours",))
    with bench.servers("ours") as servers:
        times = bench.median(
            {
                "zip": lambda: measure.download(servers["ours"], "/uploads/?folder=folder/&zip", bench.large)[1],
                "file": lambda: measure.download(servers["ours"], "/files/large-ours", bench.large)[1],
            }
        )
    zipped, one = (bench.large / MIB / times[name] for name in ("zip", "file"))
    yield Result(f"ZIP of {count} files, {bench.large // MIB} MiB", "MB/s", zipped, None, one, ">= 0.3 of one file")


def bulk(bench: Bench) -> Iterator[Result]:
    taken: dict[str, list[dict[str, float]]] = {"ours": [], "loop": []}
    for _ in range(3):  # the first round does not count
        taken["ours"].append(many_files.ours(bench.uri, bench.files))
        taken["loop"].append(many_files.loop(bench.uri, bench.files))
    for name in many_files.OPERATIONS:
        ours, loop = (statistics.median(round_[name] for round_ in rounds[1:]) for rounds in taken.values())
        goal = "" if name == "sync again" else "<= 1 of a loop"
        yield Result(f"{bench.files} files of 10 KB, {name}", "s", ours, None, loop, goal)


ROWS = {
    row.__name__: row
    for row in (
        *(download, stalled, small, other, process, own, ranges, file_cache),
        *(upload, put, resumable, uploading, listing, pages, variant, archive, bulk),
    )
}
