"""The names that the packages export, and the verbs, are a promise: a change of them is made on purpose."""

from __future__ import annotations

import importlib
import re
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest

from correspondence import Image
from stream.cli.main import RUNS
from tests.conftest import ROOT

NAMES = ROOT / "tests" / "public_names.txt"  # one `package.name` or `livery verb` a line, sorted
PACKAGES = ("correspondence", "reference", "inpaint", "stream")


def exported() -> list[str]:
    names = [
        f"{package}.{name}"
        for package in PACKAGES
        for name in getattr(importlib.import_module(package), "__all__", ())
    ]
    return sorted([*names, *(f"livery {verb}" for verb in RUNS)])


def test_exported_names_are_those_on_the_list() -> None:
    kept = NAMES.read_text().split("\n")[:-1]
    assert exported() == kept, "edit tests/public_names.txt too, and tell users in CHANGELOG.md"


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_tells_its_version(package: str) -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["project"]["version"]
    assert importlib.import_module(package).__version__ == wanted
    assert not hasattr(importlib.import_module(package), "__verson__")


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_exported_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", ["correspondence", "reference", "inpaint"])
def test_the_example_in_the_help_runs(package: str, astronaut: Image) -> None:
    module = importlib.import_module(package)
    lines = (module.__doc__ or "").splitlines()
    code = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
    code = code.partition("fill = load()")[0]  # the diffusion model has slower tests of its own
    hole = np.zeros(astronaut.shape[:2], np.float32)
    hole[200:240, 200:240] = 1
    picture = astronaut.copy()
    picture[60:80, 200:240] = (200, 30, 30)
    shown: list[Image] = []
    given = {
        "reference": astronaut, "frame": astronaut, "frames": [astronaut] * 2, "picture": picture,
        "image": astronaut, "hole": hole, "landmarks": None, "show": shown.append,
    }  # fmt: skip
    names = {name: getattr(module, name) for name in module.__all__} | given
    exec(compile(code, f"{package}.__doc__", "exec"), names)
    if package == "correspondence":
        assert names["warped"].shape == astronaut.shape
        assert names["sure"].shape == astronaut.shape[:2]
    if package == "reference":
        assert len(shown) == 2
        assert (shown[-1][70, 220] == picture[70, 220]).all()
    if package == "inpaint":
        assert (names["filled"][hole == 0] == astronaut[hole == 0]).mean() > 0.99


def test_the_map_names_files_that_exist() -> None:
    """Every path in docs/index.md's tables is there; a bare file name lies in its neighbour's folder."""
    missing = []
    for line in (ROOT / "docs" / "index.md").read_text().split("\n"):
        if not line.startswith("| ") or "](" in line:
            continue
        folder = Path()
        for name in re.findall(r"`([\w/.]+(?:\.py|/|\.html))`", line.rsplit("|", 2)[-2]):
            path = Path(name) if "/" in name else folder / name
            folder = path.parent if path.suffix else path
            if not (ROOT / path).exists():
                missing.append(str(path))
    assert not missing


DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for where in (ROOT, ROOT / "docs") for path in where.glob("*.md")
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_files_that_exist(document: str) -> None:
    """Every path of a tracked file that a document names in backticks or links to."""
    text = (ROOT / document).read_text(encoding="utf-8")
    folder = (ROOT / document).parent
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    missing = [link for link in links if not (folder / link).exists()]
    tops = ("stream", "correspondence", "reference", "inpaint", "benchmarks", "tests", "docs")
    named = [path for path in re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text) if path.split("/")[0] in tops]
    missing += [path for path in named if not (ROOT / path).exists()]
    assert not missing
