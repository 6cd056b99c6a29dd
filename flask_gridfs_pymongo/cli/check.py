"""``flask gridfs check``: finding and repairing problems in a bucket."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import click

from ..store import Check, Collections, Finding
from .group import bucket_options, gridfs, open_bucket, plain


@gridfs.command("check")
@bucket_options
@click.option("--repair", is_flag=True, help="Repair what can be repaired.")
@click.option("--verify", is_flag=True, help="Read all content, and compare SHA-256 and MD5.")
@click.option("--idle", is_flag=True, help="Nobody writes to the bucket: unfinished uploads are reported, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check_command(bucket: str, prefix: str | None, repair: bool, verify: bool, idle: bool, as_json: bool) -> None:
    """Find problems in a bucket, while it is in use.

    These are: missing indexes; files with missing, short, long, duplicate, misnumbered or extra chunks; chunks without
    a file; renames that broke off. If the newest chunk of a missing file is younger than an hour, they may belong to
    an upload in progress, and are not reported.

    --repair creates the indexes, completes renames, and deletes chunks without a file, and extra chunks past the end of
    a file if its hash shows that they are not part of it.

    --idle states that nobody writes to the bucket, as before a backup: chunks without a file are then reported whatever
    their age, and --repair also removes the claims by which writers order versions.

    \b
    Exit status:
      0  nothing is wrong, or everything was repaired
      1  something is wrong
      2  the command line is wrong, or the database does not answer
      3  nothing is wrong but an index that a sharded collection cannot have
    """
    found = repaired = impossible = 0
    with open_bucket(prefix, bucket) as store, _progress(store.collections, verify) as bar:
        collections = store.collections
        check = Check(collections, repair, verify, idle, advance=bar.update if bar else int)
        for finding in check.findings():
            if bar:
                click.echo("\r\x1b[K", nl=False, err=True)
            if as_json:  # printed one by one: there may be a million
                click.echo(("," if found else '{"findings": [') + f"\n{_json(finding)}", nl=False)
            else:
                click.echo(plain(_text(finding)))
            found += 1
            repaired += finding.repaired
            impossible += finding.problems[0].kind == "impossible"
    if as_json:
        counts = {"files": check.files, "chunks": check.chunks, "bytes": check.bytes, "uploading": check.uploading}
        totals = {"bucket": collections.name, **counts, "found": found, "repaired": repaired}
        click.echo(("\n" if found else '{"findings": [') + f"], {json.dumps(totals)[1:]}")
    else:
        seen = f"{check.files:,} files ({check.bytes:,} bytes), {check.chunks:,} chunks"
        running = f" ({check.uploading:,} of uploads in progress)" if check.uploading else ""
        click.echo(plain(f"{collections.name}: {seen}{running}; {found:,} problems, {repaired:,} repaired"))
    if found > repaired + impossible:
        sys.exit(1)
    sys.exit(3 if impossible else 0)


def _progress(collections: Collections, verify: bool) -> Any:
    """Return a progress bar for a terminal; elsewhere None."""
    if not sys.stderr.isatty():
        return nullcontext()
    steps = collections.files.estimated_document_count() + (1 + verify) * collections.chunks.estimated_document_count()
    return click.progressbar(length=max(1, steps), file=sys.stderr, update_min_steps=1 + steps // 1000)


def _text(finding: Finding) -> str:
    problems = []
    for problem in finding.problems:
        text = problem.kind if finding.subject == "index" else f"{problem.count:,} {problem.kind}"
        problems.append(text if problem.first is None else f"{text} (first: {problem.first!r})")
    size = f", {finding.bytes:,} bytes" if finding.subject in ("chunks", "upload") else ""
    outcome = "; repaired" if finding.repaired else f"; not repaired: {finding.note}" if finding.note else ""
    return f"{finding.subject} {finding.name!r} {finding.id!r}: {', '.join(problems)}{size}{outcome}"


def _json(finding: Finding) -> str:
    problems = [asdict(problem) for problem in finding.problems]
    return json.dumps({**finding._asdict(), "problems": problems}, default=str)
