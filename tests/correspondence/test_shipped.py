"""The shipped networks on the demo's face: what each must do, whatever its training brought."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, detect_landmarks
from correspondence.face.topology import LEFT_EYE, LIPS, RIGHT_EYE
from correspondence.network.checkpoints import SHIPPED, open_model
from correspondence.network.propose import shrink
from correspondence.network.runtime import NetworkMatch, NetworkMatcher, OnnxRunner
from correspondence.training import synthetic
from correspondence.training.calibrate_network import separation
from correspondence.weight_files import WEIGHTS
from tests.correspondence.material import moved

PARTS = sorted({*LIPS, *RIGHT_EYE, *LEFT_EYE})
Face = tuple[Image, Landmarks]


@pytest.fixture(scope="module", params=[s.name for s in SHIPPED])
def matcher(request: pytest.FixtureRequest) -> NetworkMatcher:
    model = open_model(WEIGHTS / request.param)
    return NetworkMatcher(OnnxRunner(model, threads=1), model)


@pytest.fixture(scope="module")
def face() -> Face:
    from skimage import data

    image = np.ascontiguousarray(data.astronaut()[0:320, 60:380])
    found = detect_landmarks(image)
    assert found is not None
    return image, found


def warped(face: Face, seed: int, strength: float = 1.0) -> tuple[Image, Landmarks, np.ndarray]:
    """A frame of known field, its landmarks, and that field."""
    image, landmarks = face
    side = len(image)
    field = synthetic.random_field(np.random.default_rng(seed), side) * np.float32(strength)
    points = np.column_stack(
        [synthetic.follow_points(field, landmarks.points[:, :2]), landmarks.points[:, 2]]
    ).astype(np.float32)
    return moved(image, field), Landmarks(points, (side, side)), field


@pytest.mark.parametrize("seed", [1, 2])
def test_a_known_motion_is_found(matcher: NetworkMatcher, face: Face, seed: int) -> None:
    frame, landmarks, truth = warped(face, seed)
    match = matcher.match(frame, matcher.prepare(*face), None, landmarks)
    shown = synthetic.in_picture(truth) > 0
    x0, y0, x1, y1 = match.region.box
    shown[: y0 + 20], shown[y1 - 20 :], shown[:, : x0 + 20], shown[:, x1 - 20 :] = (False,) * 4
    error = np.linalg.norm(match.field - truth, axis=2)[shown]
    assert np.median(error) < 0.5
    assert (error > 3).mean() < 0.06


def test_lips_and_eyes_stay_on_their_landmarks(matcher: NetworkMatcher, face: Face) -> None:
    frame, landmarks, _ = warped(face, 3)
    match = matcher.match(frame, matcher.prepare(*face), None, landmarks)
    here, there = landmarks.points[PARTS, :2], face[1].points[PARTS, :2]
    said = cv2.remap(match.field, here[None], None, cv2.INTER_LINEAR)[0]
    assert np.linalg.norm(said - (there - here), axis=1).mean() < 0.75


def test_a_hand_over_the_face_is_doubted(matcher: NetworkMatcher, face: Face) -> None:
    frame, landmarks, _ = warped(face, 4, 0.5)
    rng = np.random.default_rng(4)
    x0, y0, x1, y1 = landmarks.box
    alpha = synthetic.hand(rng, len(frame), np.array([(x0 + x1) / 2, y1], np.float32), 0.5 * (y1 - y0))
    paint = np.array([150.0, 105, 85]) + synthetic.smooth_noise(rng, len(frame), 12, 8, 1)
    covered = np.clip(frame + alpha[..., None] * (paint - frame), 0, 255).astype(np.uint8)
    match = matcher.match(covered, matcher.prepare(*face), None, landmarks)
    near = cv2.dilate((alpha > 0.5).astype(np.uint8), np.ones((91, 91), np.uint8)) > 0
    near &= (alpha < 0.02) | (alpha > 0.98)
    assert separation(match.log_b[near], alpha[near] > 0.5) >= 0.9


def test_without_landmarks_the_same_motion_is_found(matcher: NetworkMatcher, face: Face) -> None:
    frame, _, truth = warped(face, 5, 0.5)
    match = matcher.match(frame, matcher.prepare(face[0], None), None, None)
    error = np.linalg.norm(match.field - truth, axis=2)[40:-40, 40:-40]
    assert np.median(error) < 0.6


def test_a_still_face_does_not_drift(matcher: NetworkMatcher, face: Face) -> None:
    """Each match feeds the next: after 40 of them the field is where it was after two."""
    frame, landmarks, _ = warped(face, 6)
    prepared = matcher.prepare(*face)
    match: NetworkMatch | None = None
    fields = []
    for _ in range(40):
        match = matcher.match(frame, prepared, match, landmarks)
        fields.append(match.values[..., :2])
    change = np.linalg.norm(shrink(fields[-1] - fields[1]), axis=2)
    assert change.mean() < 0.1


@pytest.mark.slow
def test_a_still_face_does_not_drift_over_1000_frames(matcher: NetworkMatcher, face: Face) -> None:
    frame, landmarks, truth = warped(face, 6)
    prepared = matcher.prepare(*face)
    match: NetworkMatch | None = None
    errors = []
    for _ in range(1000):
        match = matcher.match(frame, prepared, match, landmarks)
        errors.append(float(np.linalg.norm(match.field - truth, axis=2)[40:-40, 40:-40].mean()))
    slope = np.polyfit(np.arange(900), errors[100:], 1)[0]
    assert abs(slope) * 1000 < 0.05
    assert errors[-1] < errors[1] + 0.1


def test_fast_motion_is_followed_at_once(matcher: NetworkMatcher, face: Face) -> None:
    """A jump of 25 pixels with the last match at hand: as good as without it; a lag would show."""
    prepared = matcher.prepare(*face)
    before, old, _ = warped(face, 7, 0.3)
    last = matcher.match(before, prepared, None, old)
    shift = np.zeros((*before.shape[:2], 2), np.float32)
    shift[..., 0] = 25
    frame = moved(face[0], shift)
    points = face[1].points.copy()
    points[:, 0] -= 25
    landmarks = Landmarks(points, face[1].image_size)
    fresh, held = (matcher.match(frame, prepared, previous, landmarks) for previous in (None, last))
    inner = np.s_[60:-60, 60:-90]
    errors = [np.median(np.linalg.norm(m.field - shift, axis=2)[inner]) for m in (fresh, held)]
    assert errors[1] < 0.5 * 25 * 0.1 + errors[0]
    assert errors[1] < 1.5


def test_a_change_of_light_moves_nothing(matcher: NetworkMatcher, face: Face) -> None:
    image, landmarks = face
    prepared = matcher.prepare(*face)
    for gain in (0.7, 1.3):
        lit = np.clip(image * gain, 0, 255).astype(np.uint8)
        match = matcher.match(lit, prepared, None, landmarks)
        assert np.linalg.norm(match.field, axis=2)[40:-40, 40:-40].mean() < 0.5
