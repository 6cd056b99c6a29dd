"""Every ``authorize`` of the documentation and the examples: nobody gets what is another user's, however names look."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from flask import Flask, g, session
from werkzeug.datastructures import Authorization
from werkzeug.exceptions import HTTPException

from flask_gridfs_pymongo import PyMongo

from ..helpers.blocks import PAGES, ROOT, blocks
from ..helpers.docs import close

OWN = "ann/x"
OTHERS = ["ann/x", "ann/b/x", "ann/../x", "ann/", "ann/b/", "ann", "None/x", "None/", "/x", "x"]
# Nobody, and those who are not ann.
STRANGERS = [None, "", "bob", "an", "%", "..", ".", "ann/", "ann/b", "ann/..", "bob/../ann", "ann%2Fb", "%61nn", "/"]
KNOWN = ["ann", "50%", "a.b", "\u00e4"]
PLACES = sorted(
    {page for page in PAGES for block in blocks(page) if "authorize=" in block.text}
    | {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "examples").rglob("*.py")
        if "authorize=" in path.read_text()
    }
)


class Rule(NamedTuple):
    place: str
    app: Flask
    function: Callable[[str, str | None], Any]

    def permits(self, user: str | None, action: str, filename: str | None) -> bool:
        """Whether *user* may do it, who has logged in by whatever the application uses."""
        name = user or ""
        headers = {} if user is None else {"Authorization": Authorization("basic", {"username": name, "password": "x"})}
        with self.app.test_request_context(headers={key: value.to_header() for key, value in headers.items()}):
            if user is not None:
                session.update({"user": user, "_user_id": user})
                g.flask_httpauth_user = user
            try:
                return bool(self.function(action, filename))
            except HTTPException:
                return False


def load(place: str, uri: str) -> Iterator[dict[str, Any]]:
    """The namespaces of what is Python at *place*."""
    if place.endswith(".rst"):
        for block in blocks(place):
            if block.language == "python" and "authorize" in block.text:
                namespace: dict[str, Any] = {"__name__": "page"}
                exec(block.text.replace("mongodb://localhost/shop", uri), namespace)  # noqa: S102
                if "check_password" in namespace:
                    namespace["check_password"] = lambda user, password: bool(user)
                yield namespace
        return
    module = importlib.import_module(place.removesuffix(".py").replace("/", "."))
    yield vars(module) if hasattr(module, "app") else {"app": module.create_app(uri)}


def is_rule(found: Any) -> bool:
    return inspect.isfunction(found) and [*inspect.signature(found).parameters] == ["action", "filename"]


@pytest.fixture
def rules(uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Rule]]:
    monkeypatch.setenv("MONGO_URI", uri)
    monkeypatch.setenv("SECRET_KEY", "secret")
    given: list[Any] = []
    for name in ("uploads_blueprint", "webdav_app"):
        original = getattr(PyMongo, name)

        def method(self: PyMongo, *args: Any, original: Any = original, **options: Any) -> Any:
            given.append(options.get("authorize"))
            return original(self, *args, **options)

        monkeypatch.setattr(PyMongo, name, method)
    found = []
    with ExitStack() as stack:
        for place in PLACES:
            monkeypatch.delitem(sys.modules, place.removesuffix(".py").replace("/", "."), raising=False)
            for namespace in load(place, uri):
                app = namespace["app"]
                stack.callback(close, app)
                app.secret_key = app.secret_key or "secret"
                functions = dict.fromkeys(filter(is_rule, [*given, *namespace.values()]))
                found += [Rule(place, app, function) for function in functions]
                given.clear()
                if "users" in namespace and "logins" in namespace:
                    namespace["mongo"].db.users.insert_many([{"_id": name} for name in {*STRANGERS, *KNOWN} - {None}])
        yield found


def kind(rule: Rule) -> str:
    if not any(rule.permits(user, "read", OWN) for user in (None, "ann", "admin")):
        return "closed"
    if not rule.permits(None, "read", OWN):
        return "own"
    return "admin" if rule.permits("admin", "write", OWN) else "own to write"


def test_everybody_gets_what_is_theirs_and_nothing_else(rules: list[Rule]) -> None:
    texts = [
        *(path.read_text() for path in PAGES.values()),
        *(path.read_text() for path in ROOT.glob("examples/**/*.py")),
    ]
    written = re.findall(r"def \w+\(action, filename\):|lambda action, filename:", "".join(texts))
    assert len(rules) == len(written)
    assert sorted(map(kind, rules)) == ["admin", "admin", "closed", "own", "own", "own", "own", "own", "own to write"]

    for rule in rules:
        actions = ["write", "delete", *(["read", "list"] if kind(rule) == "own" else [])]
        allowed = [
            (rule.place, user, action, name)
            for user in STRANGERS
            for action in actions
            for name in OTHERS
            if rule.permits(user, action, name)
        ]
        assert allowed == []

    for rule in rules:
        if kind(rule) == "own":
            assert not rule.permits(None, "list", None), rule.place
            assert not rule.permits("", "list", None), rule.place

    for rule in (rule for rule in rules if kind(rule) != "closed"):
        user = "ann" if kind(rule).startswith("own") else "admin"
        for action, name in (("read", OWN), ("write", OWN), ("delete", OWN), ("list", "ann/"), ("list", None)):
            assert rule.permits(user, action, name), rule.place
        for name in KNOWN:
            user = name if kind(rule).startswith("own") else "admin"
            assert rule.permits(user, "write", f"{name}/x"), rule.place
