"""A look's colours, learned from one pair of pictures, on colours and pictures it has not seen."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from correspondence import Image
from reference import Edit
from reference.edits.colour_model import fit_colour_model


def picture(seed: int, size: tuple[int, int] = (120, 160)) -> Image:
    """Soft blobs of many colours."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 6).astype(np.float32)
    return np.clip((soft - 127) * 5 + 127, 0, 255).astype(np.uint8)


def negative(image: Image) -> Image:
    return np.asarray(cv2.bitwise_not(image), np.uint8)


def duotone(image: Image) -> Image:
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32) / 255
    dark, bright = np.array([20, 10, 90], np.float32), np.array([255, 230, 120], np.float32)
    return np.rint(dark + luma * (bright - dark)).astype(np.uint8)


@pytest.mark.parametrize("look", [negative, duotone])
def test_a_map_of_colours_is_learned_and_holds_on_another_picture(look: Callable[[Image], Image]) -> None:
    model = fit_colour_model(picture(1), look(picture(1)))
    assert model.explained > 0.95
    other = picture(2)
    away = np.abs(model.apply(other).astype(int) - look(other).astype(int))
    assert np.median(away) <= 2
    assert np.percentile(away, 95) <= 12


def test_no_change_is_learned_as_none() -> None:
    model = fit_colour_model(picture(1), picture(1))
    assert np.abs(model.apply(picture(2)).astype(int) - picture(2)).max() <= 1


def test_a_large_picture_gets_the_same_change_at_half_size() -> None:
    model = fit_colour_model(picture(1), duotone(picture(1)))
    large = cv2.resize(picture(2), (800, 600), interpolation=cv2.INTER_CUBIC)
    away = np.abs(model.apply(large).astype(int) - duotone(large).astype(int))
    assert np.percentile(away, 95) <= 14


def test_a_large_picture_is_read_from_a_table_as_good_as_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit_colour_model(picture(1), duotone(picture(1)))
    small = picture(2, (300, 400))
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    made = model.apply(large)
    away = np.abs(cv2.resize(made, (400, 300), interpolation=cv2.INTER_AREA).astype(int) - model.apply(small))
    assert away.mean() < 1
    assert np.percentile(away, 99.9) <= 4
    monkeypatch.setattr(
        "reference.edits.colour_model.Pillow.fromarray", None
    )  # the filter takes five times as long
    np.testing.assert_array_equal(model.apply(large), made)


def test_only_a_look_of_the_whole_picture_has_colours_that_stand_in() -> None:
    before = picture(1)
    assert Edit(before, duotone(before)).stand_in is not None
    local = before.copy()
    local[40:60, 40:60] = 255
    assert Edit(before, local).stand_in is None
    assert Edit(before, picture(9)).stand_in is None, "colours say nothing of another picture"


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one size"):
        fit_colour_model(picture(1), picture(1, (100, 160)))
