"""A look that evens out texture does so on later frames, too; others leave texture as it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, Match
from reference import Edit
from reference.compose.composite import Compositor
from reference.compose.layers import Coloured
from reference.compose.person import split_edit
from reference.compose.whole import evened as part
from reference.compose.whole import lines as lines_of
from reference.compose.whole.evened import SHARES, evened, evenness


def oil(image: Image) -> Image:
    """Broad strokes in warmer colours."""
    soft = cv2.medianBlur(cv2.medianBlur(image, 9), 9).astype(np.float32)
    return np.clip(soft * (1.15, 1.0, 0.8) + 12, 0, 255).astype(np.uint8)


def film(image: Image) -> Image:
    """Warmer colours alone."""
    return np.clip(image.astype(np.float32) * (1.2, 1.0, 0.75) + 10, 0, 255).astype(np.uint8)


def lines(image: Image) -> Image:
    """A film look with dark lines along edges."""
    edges = cv2.Canny(image, 60, 160)[..., None] > 0
    return np.where(edges, np.uint8(20), film(image)).astype(np.uint8)


def textured(image: Image) -> Image:
    """The picture with fine texture all over it."""
    grain = np.random.default_rng(3).normal(0, 14, image.shape[:2])[..., None]
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def gradients(image: Image) -> float:
    """Gradient energy of the luma."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float((cv2.Sobel(grey, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(grey, cv2.CV_32F, 0, 1) ** 2).mean())


def test_only_a_look_that_evens_out_texture_is_even(astronaut: Image) -> None:
    picture = textured(astronaut)
    assert evenness(Edit(picture, oil(picture))) in SHARES
    for look in (film, lines):
        assert evenness(Edit(picture, look(picture))) == 0


def test_evened_keeps_size_edges_and_flat_places(astronaut: Image) -> None:
    for share in (0, *SHARES):
        for picture in (astronaut, astronaut[:301, :211], astronaut[:3, :3]):
            assert evened(picture, share).shape == picture.shape
    step = np.zeros((80, 80, 3), np.uint8)
    step[:, 40:] = 200
    for share in SHARES:
        soft = evened(step, share)
        assert (soft[:, : 40 - share] == 0).all()
        assert (soft[:, 40 + share :] == 200).all()
    assert evened(astronaut, 0) is astronaut


@pytest.mark.parametrize("shift", [0, 7])
def test_a_moved_frame_is_as_even_as_the_look(
    astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    """Its texture is another one, as that of hair that has moved."""
    before = textured(astronaut)
    other = np.random.default_rng(8).normal(0, 14, astronaut.shape[:2])[..., None]
    frame = np.roll(np.clip(astronaut + other, 0, 255).astype(np.uint8), shift, axis=1)
    size = (frame.shape[0], frame.shape[1])
    field = np.zeros((*size, 2), np.float32)
    field[..., 0] = -shift
    match = Match.from_field(field, np.full(size, -1, np.float32), None, size)
    truth = oil(frame)
    figures = []
    monkeypatch.setattr(lines_of, "MOST", 0)  # a stroke can take away detail, too
    for clear in (part.CLEAR, 0.0):  # as it is, and with no look counting as even
        monkeypatch.setattr(part, "CLEAR", clear)
        edit = Edit(before, oil(before))
        assert edit.tone is not None
        made = Compositor(edit, face).compose(frame, match).image[:, 16:]
        error = float(((made.astype(np.float32) - truth[:, 16:]) ** 2).mean())
        figures.append((error, gradients(made) / gradients(truth[:, 16:])))
    (error, detail), (error_without, detail_without) = figures
    assert error < 0.5 * error_without
    assert abs(np.log(detail)) < 0.5 * abs(np.log(detail_without))


def test_halves_and_whole_are_equally_even(astronaut: Image) -> None:
    picture = textured(astronaut)
    edit = Edit(picture, oil(picture))
    person = np.zeros((32, 32), np.float32)
    person[8:, 8:24] = 1
    split = split_edit(edit, person)
    assert split is not None
    assert evenness(split.front) == evenness(split.back) == evenness(edit) > 0
    coloured = Coloured.of(edit, picture)
    assert coloured is not None
    assert gradients(coloured.image) < 0.5 * gradients(film(picture))
