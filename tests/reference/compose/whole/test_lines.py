"""A look that draws lines along edges has them at the edges of later frames; other looks are left alone."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, Match
from reference import Edit
from reference.compose.composite import Compositor
from reference.compose.person import split_edit
from reference.compose.whole import lines as part
from reference.compose.whole.lines import UNIT, in_look, look_of


def film(image: Image) -> Image:
    """Warmer colours alone."""
    return np.clip(image.astype(np.float32) * (1.2, 1.0, 0.75) + 10, 0, 255).astype(np.uint8)


def inked(image: Image) -> Image:
    """A film look with dark blue ink at edges, by their gradient."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.0).astype(np.float32)
    dark = np.clip((cv2.GaussianBlur(grey, (0, 0), 2.4) - grey - 3) / 8, 0, 1)[..., None]
    return np.rint(film(image) * (1 - dark) + dark * (10.0, 20.0, 60.0)).astype(np.uint8)


def dodged(image: Image) -> Image:
    """A pencil drawing: the luma over that of its surroundings."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    light = cv2.divide(grey, np.maximum(cv2.GaussianBlur(grey, (0, 0), 6), 1), scale=250)
    return np.repeat(np.asarray(light, np.uint8)[..., None], 3, axis=2)


def grained(image: Image) -> Image:
    """A film look with grain, which no edge foretells."""
    grain = np.random.default_rng(5).normal(0, 20, image.shape[:2])[..., None]
    return np.clip(film(image) + grain, 0, 255).astype(np.uint8)


def error(made: Image, truth: Image) -> float:
    """Mean squared difference."""
    return float((np.subtract(made, truth, dtype=np.float32) ** 2).mean())


@pytest.mark.parametrize("look", [inked, dodged])
def test_lines_of_a_look_are_drawn_on_another_picture(
    astronaut: Image, look: Callable[[Image], Image]
) -> None:
    edit = Edit(astronaut, look(astronaut))
    assert edit.stand_in is not None
    other = np.ascontiguousarray(cv2.resize(astronaut[64:448, 64:448], (512, 512))[::-1])
    drawn, truth = in_look(edit, other, large=False), look(other)
    assert error(drawn, truth) < 0.75 * error(edit.stand_in.apply(other), truth)


@pytest.mark.parametrize("look", [film, grained])
def test_a_look_without_lines_has_no_strokes(astronaut: Image, look: Callable[[Image], Image]) -> None:
    assert look_of(Edit(astronaut, look(astronaut))).strokes == ()


def test_strokes_leave_even_places_in_the_colours_of_the_look(astronaut: Image) -> None:
    edit = Edit(astronaut, inked(astronaut))
    even = np.full((64, 64, 3), (180, 140, 120), np.uint8)
    assert edit.stand_in is not None
    assert look_of(edit).strokes
    assert np.abs(in_look(edit, even, large=False).astype(int) - edit.stand_in.apply(even)).max() <= 10


def test_a_stroke_scales_and_adds() -> None:
    scale, offset = np.full(256, UNIT, np.uint8), np.zeros((256, 3), np.int16)
    scale[90], offset[90] = UNIT // 2, (10, -20, 300)
    level = np.array([[128, 90]], np.uint8)
    drawn = part.Stroke((0.0, 1.0), scale, offset).draw(np.full((1, 2, 3), 100, np.uint8), level)
    assert drawn.tolist() == [[[100, 100, 100], [60, 30, 255]]]


def test_lines_lie_at_the_edges_of_a_frame_that_the_match_misses(
    astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = np.roll(astronaut, 2, axis=1)
    size = (frame.shape[0], frame.shape[1])
    match = Match.from_field(
        np.zeros((*size, 2), np.float32), np.full(size, -1, np.float32), None, size
    )  # 2 pixels off, and sure of it
    errors = []
    for most in (part.MOST, 0):
        monkeypatch.setattr(part, "MOST", most)
        made = Compositor(Edit(astronaut, inked(astronaut)), face).compose(frame, match).image
        errors.append(error(made[:, 8:], inked(frame)[:, 8:]))
    assert errors[0] < 0.5 * errors[1]


def test_halves_and_whole_have_the_same_strokes(astronaut: Image) -> None:
    edit = Edit(astronaut, inked(astronaut))
    person = np.zeros((32, 32), np.float32)
    person[8:, 8:24] = 1
    split = split_edit(edit, person)
    assert split is not None
    looks = [look_of(each) for each in (edit, split.front, split.back)]
    assert len({id(look.strokes) for look in looks}) == 1
    assert looks[0].strokes
