"""Known fields must be what they say."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence.training import synthetic
from correspondence.training.data import GRID
from correspondence.training.pairs import PairConfig, Pairs
from correspondence.training.windows import cut, flip, guess_withheld
from tests.correspondence.material import checker, demo_clip


def test_a_random_field_stays_smooth_and_in_size(rng: np.random.Generator) -> None:
    field = synthetic.random_field(rng, GRID)
    assert field.shape == (GRID, GRID, 2)
    assert field.dtype == np.float32
    assert np.abs(np.diff(field, axis=1)).max() < 1.5  # never folds
    assert np.abs(field).max() > 1


def test_the_inverse_field_leads_back(rng: np.random.Generator) -> None:
    field = synthetic.random_field(rng, GRID)
    back, held = synthetic.invert_field(field)
    image = checker()
    there = synthetic.sample(image, field)
    again = synthetic.sample(there, back).astype(float)
    inner = held[20:-20, 20:-20] > 0
    assert inner.mean() > 0.7
    assert np.abs(again - image)[20:-20, 20:-20][inner].mean() < 3


def test_points_follow_the_field(rng: np.random.Generator) -> None:
    field = synthetic.random_field(rng, GRID)
    points = rng.uniform(60, 190, (50, 2)).astype(np.float32)
    place = synthetic.follow_points(field, points)
    carried = np.array([field[round(y), round(x)] for x, y in place.tolist()])
    assert np.abs(place + carried - points).max() < 0.6


def test_a_turned_head_keeps_its_shape_in_depth(rng: np.random.Generator) -> None:
    points = demo_clip().points[0]
    turned = synthetic.turn_head(rng, points)
    before = np.linalg.norm(points[33] - points[263])
    assert np.linalg.norm(turned[33] - turned[263]) == pytest.approx(before, rel=1e-3)
    assert np.abs(turned[:, :2] - points[:, :2]).max() > 1


def test_occluders_change_only_what_they_cover(rng: np.random.Generator) -> None:
    image = checker()
    covered, cover = synthetic.occlude(rng, image, image[::-1].copy(), (90, 90, 170, 180))
    assert 0 < (cover > 0.5).mean() < 0.8
    assert np.array_equal(covered[cover == 0], image[cover == 0])


@pytest.mark.parametrize("index", range(6))
def test_the_true_field_reproduces_the_frame_where_visible(index: int) -> None:
    """No light, no noise: what the truth says is seen must be what the reference shows there."""

    class Plain(Pairs):
        def _light(self, rng, first, second, strong):  # type: ignore[no-untyped-def]
            return first, second

    config = PairConfig(synthetic=1.0, withheld=0.0)
    sample = Plain([demo_clip()], config, 3, 10)[index]
    for way in range(2):
        frame, reference = sample["images"][way], sample["images"][1 - way]
        field = np.repeat(np.repeat(sample["truth"][way], 4, axis=1), 4, axis=2).transpose(1, 2, 0)
        fine = np.ascontiguousarray(_smooth(field))
        said = synthetic.sample(np.ascontiguousarray(reference.transpose(1, 2, 0)), fine)
        seen = (sample["visible"][way, 0] > 0) & (sample["known"][way, 0] > 0)
        inner = np.kron(_eroded(seen), np.ones((4, 4))) > 0
        error = np.abs(said.astype(float) - frame.transpose(1, 2, 0)).mean(axis=2)
        assert inner.mean() > 0.15
        assert np.median(error[inner]) < 4
        assert (error[inner] > 40).mean() < 0.02


def _smooth(field: np.ndarray) -> np.ndarray:
    import cv2

    small = field[2::4, 2::4]
    return np.asarray(cv2.resize(small, (GRID, GRID), interpolation=cv2.INTER_LINEAR))


def _eroded(seen: np.ndarray) -> np.ndarray:
    import cv2

    return np.asarray(cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0))


def test_samples_depend_on_seed_and_number_alone() -> None:
    clips = [demo_clip()]
    one, two = (Pairs(clips, PairConfig(), 7, 50) for _ in range(2))
    two[4]
    for key, value in one[11].items():
        assert np.array_equal(value, two[11][key]), key
    assert not np.array_equal(one[11]["images"], Pairs(clips, PairConfig(), 8, 50)[11]["images"])


def test_a_mirrored_sample_is_consistent() -> None:
    sample = Pairs([demo_clip()], PairConfig(synthetic=1.0), 7, 50)[2]
    there = flip(sample)
    assert np.array_equal(there["truth"][:, 0, :, ::-1], -sample["truth"][:, 0])
    assert np.array_equal(there["images"][..., ::-1], sample["images"])
    again = flip(there)
    for key, value in sample.items():
        assert np.allclose(again[key], value, atol=1e-4), key


def test_a_window_keeps_points_on_their_pixels(rng: np.random.Generator) -> None:
    sample = Pairs([demo_clip()], PairConfig(), 7, 50)[3]
    window = cut(rng, sample, 160)
    assert window["images"].shape == (2, 3, 160, 160)
    assert window["truth"].shape == (2, 2, 40, 40)
    shift = sample["points"][0, 0, 0] - window["points"][0, 0, 0]
    x, y = shift.astype(int)
    assert np.array_equal(window["images"], sample["images"][:, :, y : y + 160, x : x + 160])
    assert (window["trusted"] <= sample["trusted"]).all()


def test_withheld_landmarks_are_guessed_from_their_neighbours(rng: np.random.Generator) -> None:
    reference = demo_clip().points[0]
    frame = reference + np.array([5, -3, 0], np.float32)
    withheld = rng.random(478) < 0.5
    spoiled = np.where(withheld[:, None], np.float32(np.nan), frame)
    assert np.allclose(guess_withheld(spoiled, reference, withheld), frame, atol=1e-3)
    with pytest.raises(ValueError, match="at least 4 known"):
        guess_withheld(frame, reference, np.ones(478, bool))


def test_shares_and_sides_are_checked() -> None:
    with pytest.raises(ValueError, match=r"withheld is a share.*1\.5"):
        PairConfig(withheld=1.5)
    with pytest.raises(ValueError, match="multiple of 16"):
        PairConfig(side=100)
