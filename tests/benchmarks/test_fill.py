"""The fill benchmark's arithmetic on pictures whose answer is known, and its rows on a made-up clip."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import fill
from benchmarks.common import metadata
from benchmarks.fills import masked as fill_masked
from benchmarks.fills import measures as fill_measures
from benchmarks.fills import rows as fill_rows
from correspondence import Image, Matcher


def texture(shift: int = 0) -> Image:
    """Blurred noise moved to the right."""
    noise = np.random.default_rng(5).integers(0, 255, (64, 96, 3), np.uint8)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.ascontiguousarray(smooth[:, 16 - shift : 80 - shift])


def a_gap(shifts: list[int], wanted: list[int]) -> fill_rows.ClipGap:
    return fill_rows.ClipGap([texture(s) for s in shifts], [None] * len(shifts), 0, len(shifts) - 1, wanted)


def test_gaps_and_their_measured_frames() -> None:
    assert fill.gap_numbers(82, 27) == [(0, 27), (27, 54), (54, 81)]
    assert fill.gap_numbers(81, 27) == [(0, 27), (27, 54)]
    assert fill.wanted_numbers(0, 27, 6) == [6, 7, 12, 13, 18, 19, 24, 25]
    for first, last in ((0, 3), (0, 4), (10, 17)):
        wanted = fill.wanted_numbers(first, last, 6)
        assert wanted
        assert all(first < n < last for n in wanted)


def test_a_true_frame_measures_perfect() -> None:
    truth = fill_measures.TrueFrame.of(texture(), None, (texture(), texture(1)))
    assert not truth.lost.any()
    values = fill_measures.measure(texture(), truth)
    assert values["PSNR"] == np.inf
    assert values["SSIM"] == pytest.approx(1)
    assert values["gradient"] == pytest.approx(1)
    assert "face %" not in values


def test_lost_is_what_neither_reference_shows() -> None:
    other = np.ascontiguousarray(texture()[::-1, ::-1])  # nothing of it is found again
    assert fill_measures.TrueFrame.of(texture(), None, (other, other)).lost.mean() > 0.3
    assert not fill_measures.TrueFrame.of(texture(), None, (other, texture())).lost.any()
    half = texture()
    half[:, 32:] = other[:, 32:]
    truth = fill_measures.TrueFrame.of(half, None, (texture(), texture(2)))
    assert truth.lost[:, :24].mean() < 0.1 < truth.lost[:, 40:].mean()
    values = fill_measures.measure(texture(), truth)
    assert values["gap PSNR"] < values["PSNR"]
    assert values["gap SSIM"] < values["SSIM"]


@pytest.mark.parametrize("row", fill_rows.classical_rows(Matcher.load("classical")), ids=lambda r: r.name)
def test_each_row_makes_what_is_wanted(row: fill_rows.Row) -> None:
    gap = a_gap([0, 2, 4, 6], [1, 2])
    made = row.make(gap)
    assert sorted(made) == [1, 2]
    assert all(made[n].shape == gap.frames[n].shape and made[n].dtype == np.uint8 for n in made)


def test_following_the_motion_beats_blending() -> None:
    gap = a_gap([0, 2, 4, 6], [1, 2])
    inside = np.s_[8:-8, 12:-12]

    def error(row: str) -> float:
        make = {r.name: r.make for r in fill_rows.classical_rows(Matcher.load("classical"))}[row]
        made = make(gap)
        return float(
            np.mean([np.abs(made[n][inside].astype(int) - gap.frames[n][inside]).mean() for n in made])
        )

    assert error("DIS between references") < 0.5 * error("blend")
    assert error("DIS to the frame") < 0.5 * error("blend")
    assert error("classical, interpolated") < 0.5 * error("blend")
    assert error("classical, warped") < 0.5 * error("blend")


def test_a_seam_is_a_gradient_that_the_truth_has_not() -> None:
    truth = texture()
    mask = np.zeros(truth.shape[:2], np.float32)
    mask[20:44, 20:44] = 1
    from inpaint import FillContext

    hole = fill_masked.Hole("occluder", truth, mask, FillContext(), truth)
    assert fill_masked.seam(truth, hole) == pytest.approx(1)
    assert fill_masked.seam(hole.image, hole) > 1.3
    assert (hole.image[mask > 0] == 127).all()
    assert fill_masked.measure(truth, hole)["PSNR"] == np.inf


def test_results_name_folders_without_where_they_lie() -> None:
    options = metadata({"ablation": [Path("/somewhere/one")], "weights": Path("/else"), "steps": 1})[
        "options"
    ]
    assert options == {"ablation": ["one"], "steps": 1}
