"""Servers that allow less: the Stable API."""

from __future__ import annotations

from pymongo.server_api import ServerApi

from ..helpers.doors import EXPECTED, fill, opened, outcomes


def test_every_operation_works_with_the_stable_api_alone(uri: str) -> None:
    with opened(uri, server_api=ServerApi("1", strict=True)) as doors:
        fill(doors.bucket)
        assert outcomes(doors) == EXPECTED
