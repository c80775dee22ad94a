"""The names that the packages export, and the verbs, are a promise: a change of them is made on purpose."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

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
def test_everything_exported_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name) is not None


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
