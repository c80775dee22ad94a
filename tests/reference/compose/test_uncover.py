"""What hides the face stays live, and tells neither coverage nor keyframes of a turned head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Landmarks, Match
from correspondence.types import Float, Hidden, Image
from reference import Compositor, Edit, presets
from reference.compose.sampling import coarse_values, seen_share
from reference.compose.uncover import uncover
from reference.keyframes.crossfade import Apart
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.refusal import RefusalConfig, covered_share, why_not_by_sights
from reference.keyframes.sights import EditStyle, glance_at, sight_of
from tests.reference.helpers import FakeMatcher, FakePrepared, shift_match

SIZE = (512, 512)


def hand(face: Landmarks, alpha: Float) -> Hidden:
    """As if the network had seen alpha, float32 (H, W), exactly, on a crop of 2 pixels a cell."""
    x0, y0 = face.box[0] - 60, face.box[1] - 60
    matrix = np.array([[0.5, 0, -0.5 * x0], [0, 0.5, -0.5 * y0]])
    return Hidden(cv2.warpAffine(alpha, matrix, (128, 128)), matrix, 4.0)


@pytest.fixture
def covered(astronaut: Image, face: Landmarks) -> tuple[Image, Float, Match]:
    """A gray board over mouth and chin, its alpha, and a match that knows of it."""
    x0, _, x1, y1 = (round(v) for v in face.box)
    alpha = np.zeros(SIZE, np.float32)
    alpha[round(face.points[1, 1]) : y1, x0:x1] = 1
    frame = np.where(alpha[..., None] > 0, np.uint8(60), astronaut)
    return frame, alpha, replace(shift_match(SIZE, (0, 0), face), hidden=hand(face, alpha))


@pytest.mark.parametrize("preset", ["lipstick", "tiger"])
def test_a_hand_stays_live_and_the_rest_is_painted(
    preset: str, astronaut: Image, face: Landmarks, covered: tuple[Image, Float, Match]
) -> None:
    frame, alpha, match = covered
    edit = Edit(astronaut, presets.apply(preset, astronaut, face))
    made = Compositor(edit, face).compose(frame, match)
    inner = cv2.erode((alpha > 0).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    np.testing.assert_array_equal(made.image[inner], frame[inner])
    without = Compositor(edit, face).compose(frame, replace(match, hidden=None))
    assert (without.image[inner] != frame[inner]).any()
    outer = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((25, 25), np.uint8)) == 0
    assert np.abs(made.image.astype(int) - without.image)[outer].max() <= 24  # the light is measured anew


def test_a_look_of_the_whole_picture_goes_on_over_a_hand(
    astronaut: Image, face: Landmarks, covered: tuple[Image, Float, Match]
) -> None:
    """By its colours, not by what the reference shows under the hand."""
    frame, alpha, match = covered
    edit = Edit(astronaut, cv2.stylization(255 - astronaut))
    assert edit.stand_in is not None
    made = Compositor(edit, face).compose(frame, match)
    inner = cv2.erode((alpha > 0).astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    painted = made.image[inner].astype(int)
    assert np.abs(painted - frame[inner]).min() > 2
    without = Compositor(edit, face).compose(frame, replace(match, hidden=None)).image[inner]
    assert painted.std(axis=0).max() < without.std(axis=0).max()


def test_the_edge_is_the_frames_own(astronaut: Image) -> None:
    """What the network says is four pixels off; the board's own edge decides."""
    frame = np.full((200, 200, 3), 170, np.uint8)
    frame[:, 100:] = 60
    edited = frame + np.uint8(40)
    share = np.zeros((100, 100), np.float32)
    share[:, 52:] = 1  # from x = 104 on
    hidden = Hidden(share, np.array([[0.5, 0, 0], [0, 0.5, 0]]), 4.0)
    uncover(edited, frame, hidden, (0, 0, 200, 200))
    kept = (edited[100, :, 0].astype(int) - frame[100, :, 0]) / 40
    assert kept[:96].min() > 0.9
    assert kept[107:].max() < 0.1
    assert abs(int(np.argmax(kept < 0.5)) - 100) <= 2


def test_nothing_happens_without_a_cover_or_away_from_it() -> None:
    frame, edited = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 9, np.uint8)
    uncover(edited, frame, None, (0, 0, 64, 64))
    share = np.zeros((64, 64), np.float32)
    share[:10, :10] = 1
    uncover(edited, frame, Hidden(share, np.eye(2, 3), 4.0), (30, 30, 64, 64))
    assert (edited == 9).all()


def test_coverage_leaves_out_what_is_hidden(
    astronaut: Image, face: Landmarks, covered: tuple[Image, Float, Match]
) -> None:
    """A match that is unsure under the hand only covers all that is in view."""
    frame, alpha, match = covered
    unsure = Match.from_field(match.field, np.where(alpha > 0, np.float32(5), np.float32(-2)), face)
    compositor = Compositor(Edit(astronaut, presets.apply("tiger", astronaut, face)), face)
    assert compositor.compose(frame, unsure).coverage < 0.8
    known = compositor.compose(frame, replace(unsure, hidden=match.hidden))
    assert known.coverage > 0.93
    assert known.seen is not None
    assert float(known.seen.log_b.max()) > 3.5  # doubt is told


def test_log_b_is_high_under_a_hand(face: Landmarks, covered: tuple[Image, Float, Match]) -> None:
    _, alpha, match = covered
    inner = cv2.erode((alpha > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    far = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    assert match.log_b[inner].min() > 3.9
    assert match.log_b[far].max() == -2
    values = coarse_values(match, (0, 0, 512, 512), (64, 64))[..., 2]
    assert values.max() > 3.9
    assert coarse_values(match, (0, 0, 512, 512), (64, 64), doubted=False)[..., 2].max() == -2
    assert np.min(seen_share(match, (0, 0, 512, 512), (64, 64))) < 0.01


def test_a_frame_behind_a_finger_makes_no_keyframe(
    astronaut: Image, face: Landmarks, covered: tuple[Image, Float, Match]
) -> None:
    prepared: Any = FakePrepared(astronaut, face)
    keyframe = Keyframe(astronaut, presets.apply("tiger", astronaut, face), prepared)

    def seen(hidden: Hidden | None) -> Any:
        class Knows(FakeMatcher):
            def match(self, *args: Any, **named: Any) -> Match:
                return replace(super().match(*args, **named), hidden=hidden)

        return Knows(face)

    finger = np.zeros(SIZE, np.float32)
    x, y = (int(v) for v in face.points[1, :2])
    finger[y - 6 : y + 6, x:] = 1
    hidden = hand(face, finger)
    assert 0.02 < covered_share(face, hidden) < 0.12
    assert covered_share(face, None) == 0
    style = EditStyle("auto", 1.0, Compositor(Edit(astronaut, astronaut), face).config)
    config = RefusalConfig()
    for finder, reason in ((seen(hidden), "something covers the face"), (seen(None), None)):
        sight = sight_of(astronaut, face, keyframe, finder, style, radius=0.03, threshold=0.5)
        assert why_not_by_sights(face, [sight], config) == reason
        assert sight.covered > 0.97  # a hand is no turned head
        match, share = glance_at(astronaut, face, style.ready(keyframe), finder, 0.03, 0.5)
        assert share > 0.97
        assert (match.hidden is None) == (reason is None)


def test_a_crossfade_knows_of_the_hand_too(face: Landmarks, covered: tuple[Image, Float, Match]) -> None:
    match = covered[2]
    carried = Apart.between(shift_match(SIZE, (3, 0), face), match, face).carried(match, face)
    assert carried.hidden is match.hidden
