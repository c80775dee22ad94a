"""The tree: no import circle between modules or rooms, arrows point one way, nothing is too long or full."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("correspondence", "reference", "inpaint", "stream", "benchmarks")
BELOW = {  # what each package may import of the others
    "correspondence": (),
    "reference": ("correspondence",),
    "inpaint": ("correspondence",),
    "stream": ("correspondence", "reference", "inpaint", "benchmarks"),  # `livery bench` lists these
}
MOST_MODULES = 18  # in a folder
MOST_LINES = 350  # in a module
MOST_FUNCTION_LINES = 70
Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """All modules by their dotted name, a package's face under the package's name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of each import anywhere in a module, but for those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, "imports name their module in full"
            yield from ((node.module, alias.name) for alias in node.names)
        yield from imported(node)


@pytest.fixture(scope="module")
def graph() -> Graph:
    known = modules()
    arrows: Graph = {}
    for name, path in known.items():
        targets = {
            f"{module}.{what}" if f"{module}.{what}" in known else module
            for module, what in imported(ast.parse(path.read_text(encoding="utf-8")))
        }
        arrows[name] = (targets & known.keys()) - {name}
    return arrows


def circle(graph: Graph) -> list[str] | None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def test_no_import_runs_in_a_circle(graph: Graph) -> None:
    assert circle(graph) is None


def test_rooms_import_each_other_one_way(graph: Graph) -> None:
    """A room is a sub-package; a module beside the rooms is one of its own, a face is above all of them."""

    def room(module: str) -> str:
        return ".".join(module.split(".")[:2])

    rooms: Graph = defaultdict(set)
    for module, targets in graph.items():
        rooms[room(module)] |= {room(target) for target in targets} - {room(module)}
    assert circle(rooms) is None


def test_packages_import_one_way(graph: Graph) -> None:
    for module, targets in graph.items():
        package = module.split(".")[0]
        if package in BELOW:
            wrong = {t for t in targets if t.split(".")[0] not in (package, *BELOW[package])}
            assert not wrong, f"{module} imports {wrong}"


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) is not None
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) is None


def test_no_folder_holds_too_many_modules() -> None:
    count: dict[Path, int] = defaultdict(int)
    for package in (*PACKAGES, "tests"):
        for path in (ROOT / package).rglob("*.py"):
            count[path.parent.relative_to(ROOT)] += 1
    full = {str(folder): n for folder, n in count.items() if n > MOST_MODULES}
    assert not full, f"at most {MOST_MODULES} modules a folder"


def own_files() -> list[Path]:
    """Every Python file of the repository's packages and tests."""
    return [path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")]


def test_no_module_is_too_long() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in own_files()}
    long = {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > MOST_LINES}
    assert not long, f"at most {MOST_LINES} lines a module: divide it by what its parts are about"


def long_functions(source: str) -> dict[str, int]:
    """Names and lengths of the functions with more than `MOST_FUNCTION_LINES` lines."""
    tree = ast.walk(ast.parse(source))
    functions = [node for node in tree if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    return {name: length for name, length in lengths.items() if length > MOST_FUNCTION_LINES}


def test_no_function_is_too_long() -> None:
    found = {path: long_functions(path.read_text(encoding="utf-8")) for path in own_files()}
    long = {str(path.relative_to(ROOT)): names for path, names in found.items() if names}
    assert not long, f"at most {MOST_FUNCTION_LINES} lines a function"


def test_a_long_function_is_found() -> None:
    line = "    pass\n"
    assert long_functions("async def f():\n" + MOST_FUNCTION_LINES * line) == {"f": MOST_FUNCTION_LINES + 1}
    assert long_functions("def f():\n" + (MOST_FUNCTION_LINES - 1) * line) == {}
