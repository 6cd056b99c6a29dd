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
# From the ground up: a module of the store imports none that stands after it.
STORE = (
    "judge names charset sources ids model damage retry reader stream collections clock claims versions usage changes"
    " commit writer turn chunks holder ending resumable rows listing orders variants deletes dav bucket lifetime check"
).split()


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
    return ".".join(module.split(".")[:2])


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


def test_each_module_imports_alone() -> None:
    """Also without what the packages that it is in import."""
    subprocess.run([sys.executable, "-c", _ALONE, *MODULES], cwd=PACKAGE.parent, check=True)


FORBIDDEN = {
    "flask_gridfs_pymongo.store": {
        "flask",
        "werkzeug",
        "jinja2",
        "flask_gridfs_pymongo.http",
        "flask_gridfs_pymongo.uploads",
    },
    "flask_gridfs_pymongo.http": {
        "pymongo",
        "bson",
        "gridfs",
        "flask",
        "flask_gridfs_pymongo.store",
        "flask_gridfs_pymongo.uploads",
    },
    "flask_gridfs_pymongo.cli": {"werkzeug", "flask_gridfs_pymongo.extension", "flask_gridfs_pymongo.uploads"},
    "flask_gridfs_pymongo.uploads": {"flask_gridfs_pymongo.extension", "flask_gridfs_pymongo.connection"},
}


@pytest.mark.parametrize("module", MODULES)
def test_a_room_knows_only_what_is_below_it(module: str) -> None:
    found = set(imports(module))
    known = {name.split(".")[0] for name in found} | {room(name) for name in found}
    assert not known & FORBIDDEN.get(room(module), set())


@pytest.mark.parametrize("module", [name for name in MODULES if room(name).endswith(".store")])
def test_the_store_imports_nothing_upwards(module: str) -> None:
    name = module.rpartition(".")[2]
    if name == "store":
        return
    above = STORE[STORE.index(name) :]
    assert not {f"flask_gridfs_pymongo.store.{one}" for one in above} & set(imports(module))


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
    others = {name: path for name, path in MODULES.items() if not room(name).endswith(".store")}  # imports neither
    found = {name: private.intersection(used(ast.parse(path.read_text()))) for name, path in others.items()}
    assert {name: names for name, names in found.items() if names} == {
        "flask_gridfs_pymongo.formparser": {"_parse_multipart", "__dict__"}
    }
