"""What pyproject.toml asks for, and the releases that constraints.txt pins."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

UNBOUND = ("livery", "torchvision")  # itself; follows torch


def project() -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return content


def wanted() -> list[Requirement]:
    said = project()
    extras = said["optional-dependencies"].values()
    return [Requirement(text) for each in (said["dependencies"], *extras) for text in each]


def pinned() -> dict[str, list[Requirement]]:
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_each_requirement_has_an_oldest_release_and_a_pin_within_it(requirement: Requirement) -> None:
    if requirement.name == "livery":
        return
    if requirement.name not in UNBOUND:
        assert any(each.operator in (">=", "==") for each in requirement.specifier), "no oldest release"
    for pin in pinned()[canonicalize_name(requirement.name)]:
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert requirement.specifier.contains(exact.version), f"run tests/pin: {pin}"


def test_constraints_are_such_as_pip_takes() -> None:
    for name, pins in pinned().items():
        assert all(not pin.extras and pin.url is None for pin in pins), name
        assert len(pins) == 1 or all(pin.marker is not None for pin in pins), name


def test_the_virtual_cameras_library_stays_an_extra() -> None:
    """pyvirtualcam is GPL: nothing brings it but the extra of its own and the tests."""
    said = project()
    assert not any("pyvirtualcam" in each for each in said["dependencies"])
    bringing = {name for name, each in said["optional-dependencies"].items() if "pyvirtualcam" in str(each)}
    assert bringing == {"obs"}
