from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from correspondence import Float, Image, Landmarks, Match
from reference import CompositeConfig, Composition
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.pair import Partner
from reference.keyframes.sights import EditStyle, ReadyKeyframe
from tests.reference.helpers import FakePrepared, MapMatcher, paint_square

SIZE = (128, 128)
PAINT = (32, 32, 96, 96)
GREEN, RED = (20, 200, 40), (200, 30, 30)
LOOK = EditStyle("replace", 1.0, CompositeConfig(follow_light=False))
SURE, UNSURE = -3.0, 7.0
LEFT, RIGHT = np.s_[40:88, 36:40], np.s_[40:88, 88:92]  # of the paint, away from the border between them


def frame() -> Image:
    return np.random.default_rng(1).integers(60, 120, (*SIZE, 3)).astype(np.uint8)


def worn(colour: tuple[int, int, int] | None, *, pinned: bool) -> ReadyKeyframe:
    picture = frame()
    prepared: Any = FakePrepared(picture, None)
    edited = picture if colour is None else paint_square(picture, PAINT, colour)
    return LOOK.ready(Keyframe(picture, edited, prepared, pinned=pinned))


def sure(columns: slice) -> Float:
    log_b = np.full(SIZE, UNSURE, np.float32)
    log_b[:, columns] = SURE
    return log_b


class Stream:
    """A partner of a stream whose own keyframe is sure of some columns and the made one of all."""

    def __init__(self, own: ReadyKeyframe, made: ReadyKeyframe, columns: slice, face: Landmarks) -> None:
        self.face = Landmarks(np.clip(face.points / 4, 0, 127).astype(np.float32), SIZE)
        self.matcher = MapMatcher(
            {id(own.keyframe.prepared): sure(columns), id(made.keyframe.prepared): sure(np.s_[:])}
        )
        self.partner = Partner(self.matcher)  # type: ignore[arg-type]

    def show(
        self, serving: ReadyKeyframe, image: Image, face: bool = True
    ) -> tuple[Composition, Composition]:
        """What the serving keyframe shows alone, and what is shown."""
        landmarks = self.face if face else None
        match: Match = self.matcher.match(image, serving.keyframe.prepared, landmarks=landmarks)
        alone = serving.compositor.compose(image, match)
        return alone, self.partner.over(alone, image, serving, (match, alone), landmarks, 1.0)


def test_the_users_own_gives_what_it_is_sure_of(face: Landmarks) -> None:
    own, made, image = worn(GREEN, pinned=True), worn(RED, pinned=False), frame()
    stream = Stream(own, made, np.s_[:64], face)
    stream.show(own, image)
    _, shown = stream.show(made, image)
    assert np.abs(shown.image[LEFT].astype(int) - GREEN).max() <= 4
    assert np.abs(shown.image[RIGHT].astype(int) - RED).max() <= 4
    unedited = np.ones(SIZE, bool)
    unedited[PAINT[1] - 8 : PAINT[3] + 8, PAINT[0] - 8 : PAINT[2] + 8] = False
    np.testing.assert_array_equal(shown.image[unedited], image[unedited])


def test_what_a_made_keyframe_could_not_see_comes_back(face: Landmarks) -> None:
    own, made, image = worn(GREEN, pinned=True), worn(None, pinned=False), frame()
    stream = Stream(own, made, np.s_[:], face)
    stream.show(own, image)
    alone, shown = stream.show(made, image)
    np.testing.assert_array_equal(alone.image, image)
    assert np.abs(shown.image[LEFT].astype(int) - GREEN).max() <= 4


def test_nothing_is_added_to_the_users_own_or_without_a_face(face: Landmarks) -> None:
    own, made, image = worn(GREEN, pinned=True), worn(RED, pinned=False), frame()
    stream = Stream(own, made, np.s_[:64], face)
    alone, shown = stream.show(made, image)  # none of the user's own has served yet
    assert shown is alone
    alone, shown = stream.show(own, image)
    assert shown is alone
    alone, shown = stream.show(made, image, face=False)
    assert shown is alone


@pytest.mark.parametrize("columns", [np.s_[:64], np.s_[:]])
def test_going_home_does_not_pop(face: Landmarks, columns: slice) -> None:
    own, made, image = worn(GREEN, pinned=True), worn(RED, pinned=False), frame()
    stream = Stream(own, made, columns, face)
    stream.show(own, image)
    alone, before = stream.show(made, image)
    match = stream.matcher.match(image, own.keyframe.prepared, landmarks=stream.face)
    new = own.compositor.compose(image, match)
    # The first frame of a fade shows the old keyframe still: `alone`.
    after = stream.partner.over(alone, image, own, (match, new), stream.face, 1.0)
    assert np.abs(after.image.astype(int) - before.image).max() <= 1
