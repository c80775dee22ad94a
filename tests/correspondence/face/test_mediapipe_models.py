"""The models in the package: whole, of a known origin, and no larger than is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from correspondence.errors import WeightsError
from correspondence.face import mediapipe_models
from correspondence.face.mediapipe_models import FOLDER, MODELS, load


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_is_the_one_whose_sum_is_known(name: str) -> None:
    assert len(load(name)) > 100_000


def test_nothing_else_lies_there_and_all_is_small() -> None:
    models = {
        path.name: path.stat().st_size for path in FOLDER.iterdir() if path.suffix in (".task", ".tflite")
    }
    assert set(models) == set(MODELS)
    assert sum(models.values()) < 20e6


def test_a_damaged_or_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mediapipe_models, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"person\.tflite is missing: reinstall"):
        load("person.tflite")
    data = bytearray((FOLDER / "person.tflite").read_bytes())
    data[1000] ^= 1
    (tmp_path / "person.tflite").write_bytes(data)
    with pytest.raises(WeightsError, match=r"person\.tflite has sha256 .* damaged or another version"):
        load("person.tflite")


@pytest.mark.parametrize("text", ["LICENSE", "NOTICE", "README.md"])
def test_the_licence_lies_beside_them(text: str) -> None:
    assert (FOLDER / text).stat().st_size > 200
