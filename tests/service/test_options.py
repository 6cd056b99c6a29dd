"""The arguments of ``uploads_blueprint()`` and ``webdav_app()``: written once, and shown by every tool."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.service.arguments import docstrings
from flask_gridfs_pymongo.service.options import Drive, Options

from ..helpers.blocks import PAGES

METHODS = pytest.mark.parametrize(
    ("method", "options"), [(PyMongo.uploads_blueprint, Options), (PyMongo.webdav_app, Drive)]
)


@METHODS
class TestWhatToolsShow:
    def test_every_field_has_a_docstring(self, method: Any, options: Any) -> None:
        assert docstrings(options).keys() == {field.name for field in fields(options)}

    def test_the_signature(self, method: Any, options: Any) -> None:
        own, first, *others = inspect.signature(method).parameters.values()
        assert (own.name, first.kind) == ("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        assert {one.kind for one in others} == {inspect.Parameter.KEYWORD_ONLY}
        defaults = {field.name: field.default for field in fields(options) if field.name != "open_bucket"}
        assert {one.name: one.default for one in (first, *others)} == defaults

    def test_help(self, method: Any, options: Any) -> None:
        rows = re.findall(r"^:param (\w+): (.+(?:\n    .+)*)$", inspect.getdoc(method) or "", re.MULTILINE)
        written = {name: text for name, text in docstrings(options).items() if name != "open_bucket"}
        assert {name: " ".join(text.split()) for name, text in rows} == written


def test_the_defaults_that_it_has() -> None:
    shown = str(inspect.signature(PyMongo.uploads_blueprint))
    assert "(self, name: 'str' = 'uploads', *, " in shown
    assert "max_form_parts: 'int' = 1000" in shown
    assert "upload_timeout: 'float | None' = 3600" in shown


def test_every_argument_has_its_row_and_default_in_the_docs() -> None:
    table = PAGES["docs/blueprint.rst"].read_text().partition("Options\n")[2].partition("``url_prefix``")
    rows = re.findall(r"^(``.+?)  +(\S.*?)  +\S", "".join(table[1:]).partition("\n====")[0], re.MULTILINE)
    documented = {
        name: default
        for names, defaults in rows
        for name, default in zip(re.findall(r"``(\w+)``", names), defaults.split(", "), strict=True)
    }
    arguments = [*inspect.signature(PyMongo.uploads_blueprint).parameters.values()][2:]
    assert documented == {one.name: repr(one.default).replace("'", '"') for one in arguments}


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda mongo: mongo.uploads_blueprint(authorise=None), r"uploads_blueprint\(\).*'authorise'.*'authorize'\?"),
        (lambda mongo: mongo.uploads_blueprint(colour="red"), r"'colour'; its arguments are name, base, .*max_uploads"),
        (lambda mongo: mongo.uploads_blueprint("files", "/files"), r"uploads_blueprint\(\): too many positional"),
        (lambda mongo: mongo.webdav_app(max_sise=1), r"webdav_app\(\).*'max_sise'.*'max_size'\?"),
    ],
)
def test_a_wrong_argument_is_named_with_the_right_one(call: Callable[[Any], Any], told: str, mongo: PyMongo) -> None:
    with pytest.raises(TypeError, match=told):
        call(mongo)
