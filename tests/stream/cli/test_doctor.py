"""What doctor says on each system; the others are pretended."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import av
import pytest

from stream.cli import doctor
from stream.http.connections import MAX_CONNECTIONS
from tests.conftest import ROOT


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(av, "formats_available", {"video4linux2,v4l2", "avfoundation", "dshow"})
    return monkeypatch


def named(monkeypatch: pytest.MonkeyPatch, system: str, cameras: list[tuple[str, str]]) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("stream.camera.source.list_cameras", lambda: cameras)


def test_an_intel_mac_is_told_that_mediapipe_has_nothing_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(doctor.CheckError, match="Apple silicon"):
        doctor._system()
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert "loop" in doctor._system()


@pytest.mark.parametrize(("python", "finer"), [((3, 12, 1), True), ((3, 13, 0), False)])
def test_windows_is_told_its_loop_and_its_clock(
    python: tuple[int, int, int], finer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "version_info", python)
    said = doctor._system()
    assert f"selector loop, up to {MAX_CONNECTIONS}" in said
    assert ("finer clock" in said) == finer


def test_a_missing_uvloop_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvloop" else found(name))
    monkeypatch.setattr(sys, "platform", "linux")
    assert doctor._system() == "asyncio's loop, no uvloop"
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert "freebsd14 is not known" in doctor._system()


@pytest.mark.parametrize(
    ("system", "form", "way_out"),
    [("linux", "v4l2", "usermod"), ("darwin", "avfoundation", "System Set"), ("win32", "dshow", "apps")],
)  # fmt: skip
def test_cameras_are_named_or_the_way_to_them(
    system: str, form: str, way_out: str, machine: pytest.MonkeyPatch
) -> None:
    named(machine, system, [("0", "Front"), ("1", "Desk")])
    found = doctor._cameras()
    assert (found.ok, found.text) == (True, f"{form}: Front, Desk")
    named(machine, system, [])
    none = doctor._cameras()
    assert none.ok is None
    assert way_out in none.text
    machine.setattr(av, "formats_available", {"mp4"})
    assert f"has no {form}" in doctor._cameras().text


def test_a_missing_library_of_the_system_is_told_from_a_missing_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "libGL.so.1: cannot open shared object file: No such file or directory"

    def failing(name: str) -> None:
        if name == "cv2":
            raise ImportError(said)

    monkeypatch.setattr("importlib.import_module", failing)
    with pytest.raises(doctor.CheckError, match=r"libGL\.so\.1.*apt-get install libegl1 libgl1"):
        doctor._packages()
    said = "No module named 'cv2'"
    with pytest.raises(doctor.CheckError, match=r"cv2.*pip install"):
        doctor._packages()


def test_a_data_folder_that_others_may_read_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_, **__: folder)
    assert doctor._data().ok
    folder.mkdir(mode=0o700)
    assert doctor._data().ok
    folder.chmod(0o755)
    found = doctor._data()
    assert found.ok is False
    assert f"chmod 700 '{folder}'" in found.text
    monkeypatch.setattr(sys, "platform", "win32")  # where modes say nothing
    assert "as private as your profile" in doctor._data().text


def test_extras_are_those_that_bring_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """What doctor names is what pyproject.toml says."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    for package, named in doctor.OPTIONAL.items():
        bringing = {name for name, held in extras.items() if any(re.match(rf"{package}\b", h) for h in held)}
        assert set(re.split(r", | and ", named)) == bringing - {"test"}, package
    monkeypatch.setattr(doctor, "version", missing)
    assert doctor._optional("ray", "cluster").text == "not installed; extra cluster"
    assert doctor._optional("timm", "gpu and train").text == "not installed; extras gpu and train"


def missing(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)
