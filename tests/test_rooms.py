"""The rooms of the package: each module imports alone, and the arrows between them go one way."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "flask_gridfs_pymongo"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
_PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}
# What each room may import of the package, beside itself. "" is the root: types, pictures, signals, the connection.
ARROWS = {
    "": {"cache", "cli", "http", "serve", "service", "store", "uploads", "uploads.links", "uploads.read", "webdav"},
    "http": {""},
    "cache": set(),
    "decoder": {""},
    "store": {"", "cache", "store.listing", "store.maintenance", "store.resumable", "store.writing"},
    "store.writing": {"", "store"},
    "store.resumable": {"", "store", "store.writing"},
    "store.listing": {"store"},
    "store.maintenance": {"store", "store.resumable", "store.writing"},
    "service": {"", "http", "store"},
    "uploads": {
        *("", "http", "service", "store"),
        *("uploads.links", "uploads.pages", "uploads.read", "uploads.tus", "uploads.write"),
    },
    "uploads.links": {"", "http", "service", "store", "uploads", "uploads.pages", "uploads.read", "uploads.write"},
    "uploads.pages": {"http", "service", "store"},
    "uploads.read": {"", "cache", "decoder", "http", "service", "store", "uploads", "uploads.pages"},
    "uploads.write": {"", "http", "service", "store", "uploads", "uploads.pages", "uploads.read"},
    "uploads.tus": {"http", "service", "store", "uploads", "uploads.pages", "uploads.write"},
    "webdav": {"", "http", "service", "store"},
    "cli": {"", "cache", "http", "store"},
    "serve": {"", "store"},
}
# Of the root, which stands on all of these, a room imports the modules that know no other room.
_BASE = {f"flask_gridfs_pymongo.{name}" for name in ("images", "mimetype", "pixels", "signals")}
_FURTHER = {"cli": {"flask_gridfs_pymongo.connection"}, "serve": {"flask_gridfs_pymongo.extension"}}
LIBRARIES = {
    "store": {"flask", "jinja2", "werkzeug"},
    "http": {"bson", "flask", "gridfs", "pymongo"},
    "cache": {"bson", "flask", "gridfs", "pymongo", "werkzeug"},
    "decoder": {"bson", "flask", "gridfs", "pymongo", "werkzeug"},
    "cli": {"werkzeug"},
}


def imports(module: str) -> Iterator[str]:
    """The full names of all that *module* imports, also within its functions."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*parent, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source


def room(module: str) -> str:
    package = module if module in _PACKAGES else module.rpartition(".")[0]
    return package.removeprefix("flask_gridfs_pymongo").removeprefix(".")


def test_no_import_circle() -> None:
    modules = {module for module, path in MODULES.items() if path.name != "__init__.py"}
    graph = {module: modules.intersection(imports(module)) for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


_ALONE = """
import importlib, sys, types
for name in sys.argv[1:]:
    for module in [module for module in sys.modules if module.startswith("flask_gridfs_pymongo")]:
        del sys.modules[module]
    parts = name.split(".")
    for parent in (parts[:end] for end in range(1, len(parts))):
        package = sys.modules[".".join(parent)] = types.ModuleType(".".join(parent))
        package.__path__ = ["/".join(parent)]
    importlib.import_module(name)
"""


@pytest.mark.slow
def test_each_module_imports_alone() -> None:
    """Also without what the packages that it is in import."""
    subprocess.run([sys.executable, "-c", _ALONE, *MODULES], cwd=PACKAGE.parent, check=True)


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_what_its_row_allows(module: str) -> None:
    own = room(module)
    found = set(imports(module))
    ours = {name for name in found if name in MODULES and room(name) != own}
    assert {room(name) for name in ours} <= ARROWS[own]
    if own:
        assert {name for name in ours if not room(name)} <= _BASE | _FURTHER.get(own, set())
    libraries = LIBRARIES.get(own.partition(".")[0], set())
    assert not {name.partition(".")[0] for name in found} & libraries


@pytest.mark.parametrize("own", ARROWS)
def test_every_other_arrow_is_found(own: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A forbidden import, planted in a module of the room, makes the test above fail."""
    module = next(name for name in MODULES if room(name) == own and name not in _PACKAGES)
    for other in (ARROWS.keys() - ARROWS[own] - {own}) - {""}:
        planted = tmp_path / "planted.py"
        planted.write_text(f"from flask_gridfs_pymongo.{other} import anything\n{MODULES[module].read_text()}")
        monkeypatch.setitem(MODULES, module, planted)
        with pytest.raises(AssertionError):
            test_a_room_imports_only_what_its_row_allows(module)
        monkeypatch.undo()


def test_other_rooms_use_the_store_by_its_door() -> None:
    """:mod:`flask_gridfs_pymongo.store` exports what they need."""
    inner = {name for name in MODULES if room(name).startswith("store")}
    inner -= {"flask_gridfs_pymongo.store", "flask_gridfs_pymongo.store.ids"}
    outside = (module for module in MODULES if not room(module).startswith("store"))
    assert not {module for module in outside if inner & set(imports(module))}


def private_names(*packages: str) -> set[str]:
    """The private names of modules and classes of *packages*, those that are imported."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] in packages]
    classes = [found for module in modules for found in vars(module).values() if inspect.isclass(found)]
    own = [found for found in classes if found.__module__.split(".")[0] in packages]
    names = {name for holder in (*modules, *own) for name in vars(holder)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")} | {"__dict__"}


def used(tree: ast.AST) -> Iterator[str]:
    """Names that a module imports, gets from an object that is not its own, or overrides."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield from [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # getattr()
            yield node.value
        elif isinstance(node, ast.ClassDef):
            yield from (method.name for method in node.body if isinstance(method, ast.FunctionDef))


def test_private_names_of_flask_and_werkzeug_are_used_in_one_module() -> None:
    private = private_names("flask", "werkzeug")
    assert {"_parse_multipart", "_method_route"} <= private
    private -= {"_get_current_object"}  # is documented
    private -= {"_asdict", "_fields", "_replace", "_make"}  # of every named tuple
    others = {name: path for name, path in MODULES.items() if not room(name).startswith("store")}  # imports neither
    found = {name: private.intersection(used(ast.parse(path.read_text()))) for name, path in others.items()}
    assert {name: names for name, names in found.items() if names} == {
        "flask_gridfs_pymongo.service.formparser": {"_parse_multipart", "__dict__"}
    }
