"""The database goes away in the middle of downloads and uploads, and stays away: for real, on real mongods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from ..conftest import Serve
from ..helpers.outages import (
    away,
    freeze,
    step_down,
    survives,
)
from ..helpers.replica import TIMEOUTS, Mongod, ReplicaSet, until

pytestmark = pytest.mark.replica


@pytest.mark.parametrize(
    ("disturb", "state", "preference", "options"),
    [
        (Mongod.kill, "PRIMARY", "primary", ""),
        (Mongod.kill, "SECONDARY", "secondaryPreferred", ""),
        (freeze, "PRIMARY", "primary", ""),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (Mongod.kill, "PRIMARY", "primary", "-k gevent"),
                (Mongod.kill, "PRIMARY", "primary", "--preload --workers 2"),
                (Mongod.kill, "PRIMARY", "secondaryPreferred", ""),
                (freeze, "SECONDARY", "secondaryPreferred", ""),
                (step_down, "PRIMARY", "primary", ""),
            )
        ),
    ],
)
def test_a_replica_set_loses_a_member(
    replicas: ReplicaSet,
    serve: Serve,
    tmp_path: Path,
    disturb: Callable[[Mongod], None],
    state: str,
    preference: str,
    options: str,
) -> None:
    """It stays away until all downloads and uploads have ended."""
    until(replicas.is_whole)
    uri = f"{replicas.uri}/{uuid4().hex}?replicaSet=tests&readPreference={preference}&maxPoolSize=12&{TIMEOUTS}"
    member = replicas.one(state)
    with away(member):
        survives(serve, tmp_path, uri, lambda: disturb(member), *options.split())
