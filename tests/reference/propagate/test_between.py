"""Two edits of one clip: agreeing ones last, differing ones turn into each other, each shows its part."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from correspondence import DETECT, Image, Landmarks, Match, Matcher, MaybeLandmarks
from reference import Between, Edit
from tests.reference.helpers import FakeMatcher, FakePrepared, FakeTracker, paint_square

BOX = (300, 300, 360, 340)
INSIDE = np.s_[305:335, 305:355]
RED, BLUE = (200, 20, 20), (20, 20, 200)


class Sided(FakeMatcher):
    """Sure everywhere, but for a half of the picture in references whose corner says so."""

    def match(
        self,
        frame: Image,
        prepared: FakePrepared,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: None = None,
    ) -> Match:
        whole = super().match(frame, prepared, previous, landmarks)
        log_b = whole.log_b.copy()
        hidden = int(prepared.image[0, 0, 0])
        if hidden in (1, 2):
            log_b[:, slice(0, 330) if hidden == 1 else slice(330, None)] = 6.0
        return Match.from_field(whole.field, log_b, whole.landmarks)


def marked(image: Image, number: int) -> Image:
    out = image.copy()
    out[0, 0] = number
    return out


def carried(
    edits: tuple[Edit, Edit], face: Landmarks, times: tuple[float, float], tracker: FakeTracker
) -> Between:
    matcher = cast(Matcher, Sided(face))
    return Between(*edits, start_s=times[0], end_s=times[1], matcher=matcher, tracker=tracker)


def between(first: Image, last: Image, colours: tuple[tuple[int, int, int], ...], face: Landmarks) -> Between:
    edits = [Edit(x, paint_square(x, BOX, c)) for x, c in zip((first, last), colours, strict=True)]
    return carried((edits[0], edits[1]), face, (1.0, 3.0), FakeTracker(face))


def test_differing_edits_turn_smoothly_into_each_other(astronaut: Image, face: Landmarks) -> None:
    carrier = between(astronaut, astronaut.copy(), (RED, BLUE), face)
    times = np.linspace(0, 4, 41)
    frames = [carrier.step(astronaut, float(t)).image for t in times]
    middle = np.stack([image[INSIDE].reshape(-1, 3).mean(axis=0) for image in frames])
    np.testing.assert_allclose(middle[times <= 1], [RED] * 11, atol=2)
    np.testing.assert_allclose(middle[times >= 3], [BLUE] * 11, atol=2)
    np.testing.assert_allclose(middle[20], np.mean([RED, BLUE], axis=0), atol=3)
    steps = np.diff(middle, axis=0)
    assert (steps[:, 0] <= 0.5).all()
    assert np.abs(steps).max() < 1.6 * 180 * 0.1 / 2  # smoothstep's steepest slope is 1.5
    carrier.close()


def test_unedited_pixels_are_bit_equal_all_along(astronaut: Image, face: Landmarks) -> None:
    carrier = between(astronaut, astronaut.copy(), (RED, BLUE), face)
    outside = np.ones((512, 512), np.bool_)
    outside[290:350, 290:370] = False
    for t in (0.0, 1.7, 2.0, 5.0):
        result = carrier.step(astronaut, t)
        np.testing.assert_array_equal(result.image[outside], astronaut[outside])
        assert result.box is not None


def test_each_gives_what_only_it_is_sure_of(astronaut: Image, face: Landmarks) -> None:
    carrier = between(marked(astronaut, 1), marked(astronaut, 2), (RED, RED), face)
    for t in (1.0, 2.0, 3.0):  # neither alone shows the whole square
        shown = carrier.step(astronaut, t).image[305:335]
        assert np.abs(shown[:, 305:312].astype(int) - RED).max() <= 60  # 180 apart
        assert np.abs(shown[:, 348:355].astype(int) - RED).max() <= 60


def test_an_end_without_an_edit_lets_it_fade(astronaut: Image, face: Landmarks) -> None:
    first, last = Edit(astronaut, paint_square(astronaut, BOX, RED)), Edit(astronaut, astronaut.copy())
    carrier = carried((first, last), face, (0.0, 2.0), FakeTracker(face))
    half = carrier.step(astronaut, 1.0).image[INSIDE].astype(int)
    expected = (astronaut[INSIDE].astype(int) + RED) / 2
    assert np.abs(half - expected).max() <= 3
    assert np.abs(carrier.step(astronaut, 2.0).image[INSIDE].astype(int) - astronaut[INSIDE]).max() <= 1


def test_the_face_is_looked_for_once_a_frame(astronaut: Image, face: Landmarks) -> None:
    asked = []

    class Counting(FakeTracker):
        def __call__(self, image: Image, now_s: float) -> Landmarks | None:
            asked.append(now_s)
            return super().__call__(image, now_s)

    edits = [Edit(astronaut, paint_square(astronaut, BOX, c)) for c in (RED, BLUE)]
    carrier = carried((edits[0], edits[1]), face, (0.0, 1.0), Counting(face))
    carrier.step(astronaut, 0.0)
    carrier.step(astronaut, 0.5)
    assert asked == [0.0, 0.5]


def test_without_a_face_the_frame_passes(astronaut: Image, face: Landmarks) -> None:
    edits = [Edit(astronaut, paint_square(astronaut, BOX, c)) for c in (RED, BLUE)]
    carrier = carried((edits[0], edits[1]), face, (0.0, 1.0), FakeTracker(None))
    result = carrier.step(astronaut, 0.5)
    assert result.image is astronaut
    assert result.reason == "no face found"


def test_the_end_must_come_after_the_start(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, astronaut.copy())
    with pytest.raises(ValueError, match="after start_s"):
        carried((edit, edit), face, (1.0, 1.0), FakeTracker(face))
