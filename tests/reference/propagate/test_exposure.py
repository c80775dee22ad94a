"""A camera that changes its exposure: the edit follows, nothing flickers, no keyframe is made for it."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Image, Landmarks, Matcher
from reference import (
    Edit,
    KeeperConfig,
    KeyframeMade,
    Propagator,
    PropagatorConfig,
    ReferenceSwitched,
    presets,
)
from tests.reference.helpers import FakeTracker


def psnr(a: Image, b: Image, gain: float) -> float:
    """With errors in the reference's levels: brighter light alone makes every error larger by its gain."""
    return float(10 * np.log10((255 * gain) ** 2 / max(float(((a.astype(float) - b) ** 2).mean()), 1e-6)))


@pytest.mark.parametrize("gain", [0.7, 1.3])
def test_an_exposure_jump_costs_less_than_2_db_and_no_keyframe(
    astronaut: Image, face: Landmarks, gain: float
) -> None:
    dim = (astronaut * 0.75).astype(np.uint8)  # so that 1.3 times it is not clipped
    edited = presets.apply("lipstick", dim, face)
    changed = (edited.astype(int) != dim).any(axis=2)
    config = PropagatorConfig(references=KeeperConfig(background=False))
    propagator = Propagator(Edit(dim, edited), Matcher.load("classical"), FakeTracker(face), config)
    noise = np.random.default_rng(1)
    quality, level, events = [], [], []
    for k in range(16):
        now = gain if k >= 8 else 1.0
        lit = np.clip(dim * now + noise.normal(0, 1.5, dim.shape), 0, 255)
        truth = np.clip(lit + (edited.astype(float) - dim) * now, 0, 255)[changed]
        result = propagator.step(lit.astype(np.uint8), k / 25)
        quality.append(psnr(result.image[changed], truth.astype(np.uint8), now))
        level.append(float(result.image[changed].mean()))
        events += [e for e in result.events if isinstance(e, KeyframeMade | ReferenceSwitched)]
    propagator.close()
    assert events == []
    assert np.median(quality[8:]) > np.median(quality[:8]) - 2
    assert max(abs(np.diff(level[8:]))) < 1.0  # at once, then still
