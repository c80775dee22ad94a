"""What goes wrong in front of a camera: each way with the figure the field must keep, for both matchers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import (
    Bool,
    Image,
    Landmarks,
    LandmarkTracker,
    Match,
    Matcher,
    confidence,
    detect_landmarks,
)
from correspondence.face import topology as topo
from correspondence.face.mesh import face_reference, landmark_field
from correspondence.geometry.region import Region
from correspondence.geometry.warp import warp_image
from correspondence.network.checkpoints import shipped_models
from correspondence.network.runtime import NetworkMatcher, OnnxRunner
from correspondence.training import synthetic
from correspondence.training.calibrate_network import separation
from tests.correspondence.faces import clip_frames
from tests.correspondence.material import moved

SIDE = 320
Face = tuple[Image, Landmarks]


@pytest.fixture(scope="module", params=["classical", "compact"])
def matcher(request: pytest.FixtureRequest) -> Matcher:
    if request.param == "classical":
        return Matcher.load("classical")
    model = shipped_models("compact")[0]
    return Matcher(NetworkMatcher(OnnxRunner(model, threads=1), model))


@pytest.fixture(scope="module")
def face() -> Face:
    from skimage import data

    image = np.ascontiguousarray(data.astronaut()[0:SIDE, 60 : 60 + SIDE])
    found = detect_landmarks(image)
    assert found is not None
    return image, found


def turned(face: Face, degrees: float) -> tuple[Image, Landmarks, Bool]:
    """The face turned about the vertical, by FaceMesh's depth: picture, landmarks, what was hidden before."""
    image, landmarks = face
    points = landmarks.points.astype(np.float64)
    middle = points[:468].mean(axis=0)
    a = np.deg2rad(degrees)
    x, z = points[:, 0] - middle[0], points[:, 2] - middle[2]
    points[:, 0] = middle[0] + np.cos(a) * x + np.sin(a) * z
    points[:, 2] = middle[2] - np.sin(a) * x + np.cos(a) * z
    there = Landmarks(points.astype(np.float32), landmarks.image_size)
    whole = Region(0, 0, SIDE)
    driven = landmark_field(there, face_reference(landmarks, whole, SIDE), whole)
    return moved(image, driven.field), there, driven.inside & (driven.validity <= 0)


def shifted(face: Face, x: float, y: float) -> Face:
    """The frame whose field is (x, y) everywhere, and its landmarks."""
    field = np.zeros((SIDE, SIDE, 2), np.float32)
    field[:] = x, y
    points = face[1].points - np.array([x, y, 0], np.float32)
    return moved(face[0], field), Landmarks(points, face[1].image_size)


def skin_of(landmarks: Landmarks) -> Bool:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.rint(landmarks.points[list(topo.OVAL), :2]).astype(np.int32)], 1)
    return mask > 0


def skin_error(match: Match, landmarks: Landmarks, truth: tuple[float, float]) -> float:
    """Median distance of the field from `truth` on the face, pixels."""
    apart = np.linalg.norm(match.field - np.array(truth, np.float32), axis=2)
    return float(np.median(apart[skin_of(landmarks)]))


@pytest.mark.parametrize("degrees", [-55.0, 50.0, 60.0])
def test_a_profiles_far_side_is_doubted(matcher: Matcher, face: Face, degrees: float) -> None:
    """Recall of at least 0.9: skin that the reference did not show is surer nowhere than the skin it did."""
    frame, landmarks, hidden = turned(face, degrees)
    match = matcher.match(frame, matcher.prepare(*face), None, landmarks)
    assert np.isfinite(match.field).all()
    assert np.isfinite(match.log_b).all()
    assert hidden.sum() > 200
    seen = cv2.erode((skin_of(landmarks) & ~hidden).astype(np.uint8), np.ones((9, 9))) > 0
    limit = np.median(match.log_b[seen])
    assert (match.log_b[hidden] > limit).mean() >= 0.9


def test_after_a_profile_the_face_is_found_again_at_once(matcher: Matcher, face: Face) -> None:
    """Within three frames of coming back the error is what it was before."""
    prepared = matcher.prepare(*face)
    match: Match | None = None
    for degrees in (0, 20, 40, 60, 75, 60, 40, 20):
        frame, landmarks, _ = turned(face, degrees)
        match = matcher.match(frame, prepared, match, landmarks)
        assert np.isfinite(match.window((0, 0, SIDE, SIDE))[0]).all()
    for _ in range(3):
        match = matcher.match(*shifted(face, 3, 1)[:1], prepared, match, shifted(face, 3, 1)[1])
    assert match is not None
    assert skin_error(match, shifted(face, 3, 1)[1], (3, 1)) < 0.5


@pytest.mark.parametrize("seed", range(4))
def test_what_covers_the_face_is_doubted(matcher: Matcher, face: Face, seed: int) -> None:
    """Occlusion AUROC of at least 0.95 around a hand or a blob that no reference showed."""
    rng = np.random.default_rng(seed)
    frame, landmarks = shifted(face, 6, -4)
    x0, y0, x1, y1 = landmarks.box
    place = np.array([rng.uniform(x0, x1), rng.uniform((y0 + y1) / 2, y1)], np.float32)
    make = synthetic.hand if seed % 2 else synthetic.blob
    alpha = make(rng, SIDE, place, (0.5 if seed % 2 else 0.25) * (y1 - y0))
    paint = np.array([150.0, 105, 85]) + synthetic.smooth_noise(rng, SIDE, 12, 12, 1)
    covered = np.clip(frame + alpha[..., None] * (paint - frame), 0, 255).astype(np.uint8)
    match = matcher.match(covered, matcher.prepare(*face), None, landmarks)
    near = cv2.dilate((alpha > 0.5).astype(np.uint8), np.ones((91, 91), np.uint8)) > 0
    near &= (alpha < 0.02) | (alpha > 0.98)
    assert separation(match.log_b[near], alpha[near] > 0.5) >= 0.95


def test_the_field_does_not_lag_behind_fast_motion(matcher: Matcher, face: Face) -> None:
    """Less than half a frame, the tracker's smoothing included, at up to 15 pixels a frame."""
    times = np.arange(30)
    track = np.column_stack([30 * np.sin(times * 0.5), 8 * np.cos(times * 0.37)])
    tracker = LandmarkTracker()
    prepared = matcher.prepare(*face)
    match: Match | None = None
    said = []
    for t, (x, y) in zip(times, track, strict=True):
        frame = shifted(face, x, y)[0]
        match = matcher.match(frame, prepared, match, tracker(frame, t / 30))
        skin = skin_of(shifted(face, x, y)[1])
        said.append(np.median(match.field[skin], axis=0))
    tracker.close()
    error = (np.array(said) - track)[2:-1]
    speed = (track[2:] - track[:-2])[1:] / 2
    lag = -float((error * speed).sum() / (speed**2).sum())
    assert abs(lag) < 0.5
    assert np.sqrt((error**2).sum(axis=1).mean()) < 1.5


@pytest.mark.parametrize("length", [5, 9, 15])
def test_a_blurred_frame_is_matched(matcher: Matcher, face: Face, length: int) -> None:
    frame, landmarks = shifted(face, 9, 3)
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    match = matcher.match(cv2.filter2D(frame, -1, kernel), matcher.prepare(*face), None, landmarks)
    assert skin_error(match, landmarks, (9, 3)) < 1.0


@pytest.mark.parametrize("gain", [0.7, 1.3])
def test_another_exposure_moves_nothing(matcher: Matcher, face: Face, gain: float) -> None:
    frame, landmarks = shifted(face, 4, 2)
    lit = np.clip(frame * gain, 0, 255).astype(np.uint8)
    match = matcher.match(lit, matcher.prepare(*face), None, landmarks)
    apart = np.linalg.norm(match.field - np.array([4, 2], np.float32), axis=2)[30:-30, 30:-30]
    assert np.median(apart) < 0.5


def test_a_cut_to_another_scene_is_doubted_and_the_way_back_is_found(matcher: Matcher, face: Face) -> None:
    """A spliced-in scene without a face: no confidence; the first frame after it is as good as before."""
    prepared = matcher.prepare(*face)
    frame, landmarks = shifted(face, 5, 0)
    before = matcher.match(frame, prepared, None, landmarks)
    rng = np.random.default_rng(3)
    scene = np.clip(128 + synthetic.smooth_noise(rng, SIDE, 40, 50, 3), 0, 255).astype(np.uint8)
    away = before
    for _ in range(3):
        away = matcher.match(scene, prepared, away, None)
    skin = skin_of(landmarks)
    assert confidence(away, 3.0)[skin].mean() < 0.5 * confidence(before, 3.0)[skin].mean()
    again = matcher.match(frame, prepared, away, landmarks)
    assert skin_error(again, landmarks, (5, 0)) < 0.5


def test_a_flat_background_stays(matcher: Matcher, face: Face) -> None:
    """A virtual background of one colour gives flow nothing to hold on to."""
    image, landmarks = face
    skin = cv2.dilate(skin_of(landmarks).astype(np.uint8), np.ones((41, 41))) > 0
    flat = np.where(skin[..., None], image, np.array([0, 177, 64], np.uint8))
    match = matcher.match(flat, matcher.prepare(flat, landmarks), None, landmarks)
    assert np.isfinite(match.field).all()
    assert np.linalg.norm(match.field, axis=2)[~skin].mean() < 1.0


def chained(matcher: Matcher, frames: list[Image], every: int) -> dict[int, float]:
    """PSNR of the reconstruction of each `every`-th frame, matched one after the other."""
    prepared = matcher.prepare(frames[0])
    match: Match | None = None
    out = {}
    for i in range(every, len(frames), every):
        match = matcher.match(frames[i], prepared, match)
        apart = warp_image(frames[0], match.field).astype(np.float32) - frames[i]
        out[i] = 10 * float(np.log10(255**2 / (apart**2).mean()))
    return out


@pytest.mark.slow
@pytest.mark.portraits
def test_every_eighth_frame_is_matched_as_well_as_every_one(matcher: Matcher, portraits: Path) -> None:
    """Fast motion by leaving frames out, x 4 and x 8: less than 2 dB lost on the frames they share."""
    frames = list(clip_frames(portraits, "liax_7", 65))
    whole, fourth, eighth = (chained(matcher, frames, n) for n in (1, 4, 8))
    shared = sorted(eighth)
    loss = [np.mean([whole[i] - some[i] for i in shared]) for some in (fourth, eighth)]
    assert max(loss) < 2


@pytest.mark.slow
@pytest.mark.portraits
def test_after_a_blackout_the_face_is_held_within_two_frames(matcher: Matcher, portraits: Path) -> None:
    frames = list(clip_frames(portraits, "liax_7", 30))
    dark = [np.zeros_like(f) if 15 <= i < 20 else f for i, f in enumerate(frames)]
    plain, broken = chained(matcher, frames, 1), chained(matcher, dark, 1)
    assert abs(plain[21] - broken[21]) < 0.5


@pytest.mark.slow
def test_a_moving_face_does_not_drift_over_1000_frames(matcher: Matcher, face: Face) -> None:
    """An endless nod: the error of the last hundred frames is that of the first."""
    prepared = matcher.prepare(*face)
    match: Match | None = None
    errors = []
    for t in range(1000):
        x, y = 10 * np.sin(t * 0.31), 6 * np.sin(t * 0.17)
        frame, landmarks = shifted(face, x, y)
        match = matcher.match(frame, prepared, match, landmarks)
        errors.append(skin_error(match, landmarks, (x, y)))
    first, last = np.mean(errors[5:105]), np.mean(errors[-100:])
    assert abs(last - first) < 0.1
    assert max(errors) < 2
