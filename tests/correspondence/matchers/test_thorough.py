"""The thorough matcher: nearer the picture than the classical one, and still where the landmarks are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Float, Image, Matcher, confidence, warp_image
from correspondence.geometry.flow import SMALLEST_SIDE
from correspondence.matchers.thorough import LONGEST_SIDE, ThoroughMatch
from tests.correspondence.faces import CLIPS, clip_faces


@pytest.fixture(scope="module")
def thorough() -> Matcher:
    return Matcher.load("thorough")


def psnr(a: Image, b: Image) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float32) - b) ** 2)))


def wavy(image: Image) -> tuple[Image, Float]:
    """The picture bent by a few pixels, and the field back to it."""
    h, w = image.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    field = np.dstack([4 * np.sin(y / 25), 3 * np.cos(x / 20)]).astype(np.float32)
    return warp_image(image, field), field


def test_a_bent_picture_is_followed_more_closely(thorough: Matcher, astronaut: Image) -> None:
    frame, truth = wavy(astronaut)
    classical = Matcher.load("classical")
    errors, likeness = [], []
    for matcher in (classical, thorough):
        match = matcher.match(frame, matcher.prepare(astronaut))
        assert match.field.shape == (512, 512, 2)
        assert np.isfinite(match.log_b).all()
        errors.append(float(np.linalg.norm(match.field - truth, axis=2).mean()))
        likeness.append(psnr(warp_image(astronaut, match.field), frame))
    assert errors[1] < 0.8 * errors[0]
    assert likeness[1] > likeness[0] + 1.5


@pytest.mark.parametrize("size", [(1080, 1920), (360, 500), (SMALLEST_SIDE - 1, SMALLEST_SIDE - 1)])
def test_frames_of_any_size_land_in_the_references_pixels(
    thorough: Matcher, astronaut: Image, size: tuple[int, int]
) -> None:
    frame = np.asarray(cv2.resize(astronaut, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    match = thorough.match(frame, thorough.prepare(astronaut))
    assert (match.frame_size, match.reference_size) == (size, (512, 512))
    assert isinstance(match, ThoroughMatch) == (min(size) >= SMALLEST_SIDE)
    assert max(match.patches[0].values.shape) <= LONGEST_SIDE
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    there = np.dstack([(x + 0.5) * 512 / size[1] - 0.5, (y + 0.5) * 512 / size[0] - 0.5])
    error = np.linalg.norm(np.dstack([x, y]) + match.field - there, axis=2)
    assert np.median(error) < 1.5 * max(1, 512 / min(size)), "pixels of the reference"


def test_without_a_face_it_still_matches(thorough: Matcher, astronaut: Image) -> None:
    scene = np.ascontiguousarray(astronaut[300:, 300:])
    frame = np.ascontiguousarray(np.roll(scene, 4, axis=1))
    match = thorough.match(frame, thorough.prepare(scene, None), landmarks=None)
    assert np.median(np.abs(match.field[10:-10, 20:-20] - (-4, 0))) < 0.3


def test_the_last_match_steadies_the_region(thorough: Matcher, astronaut: Image) -> None:
    prepared = thorough.prepare(astronaut)
    first = thorough.match(astronaut, prepared)
    second = thorough.match(np.roll(astronaut, 3, axis=0), prepared, first)
    assert isinstance(first, ThoroughMatch)
    assert isinstance(second, ThoroughMatch)
    assert first.base.patches[-1].box == second.base.patches[-1].box


@pytest.mark.portraits
@pytest.mark.slow
def test_on_clips_it_gains_pixels_and_keeps_the_landmarks(thorough: Matcher, portraits: Path) -> None:
    """At least 1 dB more than the classical field, and landmarks at most 1 pixel further off."""
    classical, gains, losses = Matcher.load("classical"), [], []
    for name in CLIPS:
        (image, face), *frames = clip_faces(portraits, name, 4, 16)
        seen = [(frame, face, landmarks) for frame, landmarks in frames]
        figures = []
        for matcher in (classical, thorough):
            prepared = matcher.prepare(image, face)
            for frame, own, landmarks in seen:
                match = matcher.match(frame, prepared, landmarks=landmarks)
                at = np.clip(np.rint(landmarks.points[:468, :2]).astype(int), 0, min(frame.shape[:2]) - 1)
                there = landmarks.points[:468, :2] + match.field[at[:, 1], at[:, 0]]
                away = np.linalg.norm(there - own.points[:468, :2], axis=1).mean()
                figures.append((psnr(warp_image(image, match.field), frame), away))
        before, after = np.array(figures).reshape(2, -1, 2).mean(axis=1)
        gains.append(after[0] - before[0])
        losses.append(after[1] - before[1])
    assert np.mean(gains) > 1.0
    assert np.mean(losses) < 1.0


def test_what_hides_the_face_is_doubted(thorough: Matcher, astronaut: Image) -> None:
    rng = np.random.default_rng(0)
    frame = np.roll(astronaut, 4, axis=1)
    prepared = thorough.prepare(astronaut)
    free = thorough.match(frame, prepared)
    noise = rng.integers(0, 255, (20, 20, 3), np.uint8)
    hidden = frame.copy()
    hidden[90:150, 190:250] = cv2.resize(noise, (60, 60), interpolation=cv2.INTER_NEAREST)
    match = thorough.match(hidden, prepared)
    there, elsewhere = np.s_[100:140, 200:240], np.s_[300:400, 150:350]
    assert np.median(match.log_b[there]) > np.median(free.log_b[there]) + 1
    assert abs(np.median(match.log_b[elsewhere]) - np.median(free.log_b[elsewhere])) < 0.5
    assert np.median(confidence(free, 8)[elsewhere]) > 0.8
