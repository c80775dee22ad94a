"""The shipped diffusion weights: whole, small enough, and better than no model where they say so."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import inpaint
from correspondence import Image, WeightsError, detect_landmarks
from inpaint import FillContext, fill_classical, weights
from inpaint.model import checkpoints

LIMIT_BYTES = 14_000_000


def test_both_files_are_whole_and_say_how_they_were_made() -> None:
    files = [weights.SHIPPED_DIR / name for name in weights.SHIPPED_SHA256]
    assert {f.name for f in files} == {weights.AUTOENCODER, weights.DENOISER}
    assert sum(f.stat().st_size for f in files) <= LIMIT_BYTES
    for file in files:
        about = checkpoints.read_about(file)
        assert about["device_name"]
        assert about["held_out"] is True
    assert inpaint.load().model.side == 256


def test_a_hidden_face_comes_back_nearer_than_by_opencv(astronaut: Image) -> None:
    image = np.ascontiguousarray(astronaut[:256, 96:352])
    turned = cv2.getRotationMatrix2D((128, 110), 4, 1.03)
    reference = cv2.warpAffine(image, turned, (256, 256), borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((256, 256), np.float32)
    cv2.ellipse(mask, (140, 110), (38, 30), 20, 0, 360, 1.0, -1)
    hidden = image.copy()
    hidden[mask > 0] = 127
    here = detect_landmarks(image)
    context = FillContext(
        landmarks=here, reference=reference, reference_landmarks=detect_landmarks(reference)
    )
    fill = inpaint.load()
    made, alone = fill(hidden, mask, context), fill(hidden, mask, FillContext(landmarks=here))
    for picture in (made, alone):
        np.testing.assert_array_equal(picture[mask == 0], image[mask == 0])
    errors = [
        float(np.abs(p.astype(float) - image)[mask > 0].mean())
        for p in (made, alone, fill_classical(hidden, mask))
    ]
    assert errors[0] < 0.5 * errors[2]
    assert errors[1] < errors[2]


def test_which_weights_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    none, shipped = (Path(name) for name in (weights.NO_WEIGHTS, weights.SHIPPED))
    assert weights.chosen(none) is None
    assert weights.chosen(None) == weights.chosen(shipped) == weights.SHIPPED_DIR
    monkeypatch.setattr(weights, "find_spec", lambda name: None if name == "diffusers" else name)
    assert weights.chosen(None) is None
    assert "diffusers must be installed" in weights.missing()
    with pytest.raises(WeightsError, match=r"livery\[fill\]"):
        weights.chosen(shipped)
