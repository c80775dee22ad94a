"""Pictures between two pictures, and what a gap job makes with and without a model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks
from inpaint.classical.between import Ends, interpolate, mixed
from inpaint.fills.jobs import Filler, GapJob, MaskedJob
from inpaint.fills.masked import DiffusionFill, FillConfig
from tests.inpaint.tiny import tiny_model


def texture(shift: int) -> Image:
    noise = np.random.default_rng(5).integers(0, 255, (96, 128, 3), np.uint8)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    return np.ascontiguousarray(smooth.astype(np.uint8)[:, 16 - shift : 112 - shift])


def tiny_filler() -> Filler:
    filler = Filler(None, steps=2)
    filler.diffusion = DiffusionFill(tiny_model(), FillConfig(steps=2))
    return filler


def test_half_way_is_half_the_motion() -> None:
    ends = Ends.of(texture(0), texture(8), None, None)
    inside = np.s_[16:-16, 20:-20]
    for share, shift in ((0.25, 2), (0.5, 4), (0.75, 6)):
        made, unsure = interpolate(ends, share)
        error = np.abs(made[inside].astype(int) - texture(shift)[inside]).mean()
        still = np.abs(texture(0)[inside].astype(int) - texture(shift)[inside]).mean()
        assert error < 0.35 * still
        assert unsure[inside].mean() < 0.4
    with pytest.raises(ValueError, match="share must lie"):
        interpolate(ends, 1.5)
    with pytest.raises(ValueError, match="one size"):
        Ends.of(texture(0), texture(0)[:50], None, None)


def test_both_ends_come_back_as_they_are() -> None:
    ends = Ends.of(texture(0), texture(8), None, None)
    for share, truth in ((0.0, texture(0)), (1.0, texture(8))):
        made, _ = interpolate(ends, share)
        np.testing.assert_allclose(made.astype(int), truth, atol=1)


def test_trust_decides_and_then_time() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 200, np.uint8)
    sure, lost = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)
    assert mixed((black, sure), (white, lost), 0.5)[0].max() < 10
    assert mixed((black, lost), (white, sure), 0.5)[0].min() > 190
    picture, unsure = mixed((black, lost), (white, lost), 0.25)
    assert (picture == 50).all()
    assert (unsure == 1).all()


def test_a_gap_without_a_model_keeps_its_bases() -> None:
    base = np.full((96, 96, 3), 7, np.uint8)
    job = GapJob(
        references={10: texture(0), 13: texture(6)},
        landmarks=dict.fromkeys(range(10, 14)),
        bases={11: (base, np.ones((96, 96), np.float32))},
    )
    made = Filler(None).gap(job)
    assert sorted(made) == [11, 12]
    np.testing.assert_array_equal(made[11], base)


def test_a_model_changes_unsure_pixels_alone() -> None:
    base, unsure = texture(3), np.zeros((96, 96), np.float32)
    unsure[30:60, 30:60] = 1
    job = GapJob(
        references={0: texture(0), 2: texture(6)},
        landmarks=dict.fromkeys(range(3)),
        bases={1: (base, unsure)},
    )
    made = tiny_filler().gap(job)[1]
    np.testing.assert_array_equal(made[unsure == 0], base[unsure == 0])
    assert (made[40:50, 40:50] != base[40:50, 40:50]).any()


def test_a_check_stops_the_model_between_its_steps() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise InterruptedError

    image, mask = texture(0), np.zeros((96, 96), np.float32)
    mask[30:60, 30:60] = 1
    filler = tiny_filler()
    with pytest.raises(InterruptedError):
        filler.masked(MaskedJob(image=image, mask=mask), check)
    assert calls == 3
    assert filler.masked(MaskedJob(image=image, mask=mask)).shape == image.shape  # nobody asks any more


def test_a_gap_job_checks_what_it_is_given() -> None:
    with pytest.raises(ValueError, match="two references of one size"):
        GapJob(references={0: texture(0)}, landmarks={0: None})
    with pytest.raises(ValueError, match=r"missing \[1\]"):
        GapJob(references={0: texture(0), 2: texture(0)}, landmarks={0: None, 2: None})
    points = Landmarks(np.zeros((478, 3), np.float32), (96, 96))
    assert GapJob(references={0: texture(0), 1: texture(0)}, landmarks={0: points, 1: None}).last == 1
