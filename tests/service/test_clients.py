"""service/clients.py: who counts as one client."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, request

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service.clients import owner_of
from flask_gridfs_pymongo.service.options import Rules


def owner(app: Flask, mongo: PyMongo, address: str | None, user: str = "", **options: Any) -> str | None:
    with app.test_request_context(environ_overrides={"REMOTE_ADDR": address}, headers={"X-Client": "c"}):
        return owner_of(Rules(mongo.bucket, **options), request, user)


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("203.0.113.5", "203.0.113.5", "203.0.113.6"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
        ("::ffff:203.0.113.5", "203.0.113.5", "::ffff:203.0.113.6"),
    ],
)
def test_an_address_is_a_client(app: Flask, mongo: PyMongo, address: str, same: str, other: str) -> None:
    found = owner(app, mongo, address)
    assert found is not None
    assert address not in found
    assert owner(app, mongo, same) == found != owner(app, mongo, other)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.8.8",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.0.1",
            "100.64.0.1",
        ),
        *("::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "::ffff:10.0.0.1", "", "unix:", None),
    ],
)
def test_what_a_proxy_may_have_is_none(app: Flask, mongo: PyMongo, address: str | None) -> None:
    assert owner(app, mongo, address) is None


def test_the_application_knows_better(app: Flask, mongo: PyMongo) -> None:
    named = owner(app, mongo, "127.0.0.1", client_of=lambda request: request.headers["X-Client"])
    assert named == owner(app, mongo, "203.0.113.5", "ann", client_of=lambda request: "c")
    assert owner(app, mongo, "203.0.113.5", "ann", client_of=lambda request: None) is None
    assert owner(app, mongo, "127.0.0.1", "ann") == owner(app, mongo, "203.0.113.5", "ann") != named
    with pytest.raises(TypeError, match=r"client_of must be a function of \(request\)"):
        Rules(mongo.bucket, client_of="ip")  # type: ignore[arg-type]
