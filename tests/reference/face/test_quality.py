from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import among, reference_score
from tests.reference.helpers import moved, scaled_face, shut


def test_a_good_frame_scores_high_and_says_good(astronaut: Image, face: Landmarks) -> None:
    score = reference_score(astronaut, face)
    assert score.total > 0.5
    for part in (score.frontal, score.sharp, score.eyes_open, score.size, score.in_frame):
        assert 0 <= part <= 1


def test_no_face_scores_nothing(astronaut: Image) -> None:
    score = reference_score(astronaut, None)
    assert score.total == 0
    assert score.reason == "no face found"


def test_blur_lowers_sharpness(astronaut: Image, face: Landmarks) -> None:
    scores = [
        reference_score(cv2.GaussianBlur(astronaut, (0, 0), sigma) if sigma else astronaut, face)
        for sigma in (0, 1.5, 4)
    ]
    assert scores[0].sharp > scores[1].sharp + 0.1
    assert scores[2].sharp < 0.15
    assert scores[2].reason == "the picture is blurred"
    assert scores[0].total > scores[1].total > scores[2].total


def test_shut_eyes_are_seen(astronaut: Image, face: Landmarks) -> None:
    score = reference_score(astronaut, shut(face))
    assert score.eyes_open == 0
    assert score.reason == "the eyes are shut"
    assert score.total < 0.3 * reference_score(astronaut, face).total


@pytest.mark.parametrize("yaw", [-55, 55])
def test_a_turned_face_is_seen(astronaut: Image, face: Landmarks, yaw: float) -> None:
    score = reference_score(astronaut, scaled_face(face, 1.0, (512, 512), yaw))
    assert score.frontal < 0.3


def test_a_face_at_the_border_is_seen(astronaut: Image, face: Landmarks) -> None:
    score = reference_score(astronaut, moved(face, -float(face.points[1, 0]), 0))
    assert score.in_frame == 0


def test_a_small_face_is_seen(face: Landmarks) -> None:
    picture = np.full((2160, 3840, 3), 90, np.uint8)
    assert reference_score(picture, scaled_face(face, 1.0, (2160, 3840))).size < 0.05


def test_sizes_must_agree(astronaut: Image, face: Landmarks) -> None:
    with pytest.raises(ValueError, match=r"\(512, 512\).*\(100, 100\)"):
        reference_score(astronaut[:100, :100], face)


def faded(image: Image, share: float, towards: float = 0.0) -> Image:
    return np.rint(image * share + towards * (1 - share)).astype(np.uint8)


@pytest.mark.parametrize(
    ("share", "towards"),
    [(0.05, 0.0), (0.08, 255.0), (0.05, 120.0)],
    ids=["near black", "near white", "grey"],
)
def test_a_face_without_light_is_told(
    astronaut: Image, face: Landmarks, share: float, towards: float
) -> None:
    score = reference_score(faded(astronaut, share, towards), face)
    assert score.reason == "the face is badly lit"
    assert score.total < 0.3 * reference_score(astronaut, face).total


def test_a_blocky_face_is_told(astronaut: Image, face: Landmarks) -> None:
    packed = cv2.imencode(".jpg", astronaut[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 3])[1]
    blocky = np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])
    score = reference_score(blocky, face)
    assert score.clean < 0.4 < reference_score(astronaut, face).clean
    assert score.total < reference_score(astronaut, face).total


@pytest.mark.parametrize("towards", [0.0, 255.0])
def test_a_fade_rates_below_the_clips_own_light(astronaut: Image, face: Landmarks, towards: float) -> None:
    shares = (0.1, 0.3, 0.5, 0.8, 1.0, 1.0)
    scores = [reference_score(faded(astronaut, share, towards), face) for share in shares]
    rated = among(scores)
    assert max(rated[:3]) < 0.7 * rated[4]
    assert rated[4] == rated[5] == max(rated)


def test_motion_blur_rates_below_the_clips_own_sharpness(astronaut: Image, face: Landmarks) -> None:
    """Also in a dark clip, whose light is its own."""
    dark = faded(astronaut, 0.4)
    smeared = cv2.blur(dark, (9, 1))
    rated = among([reference_score(image, face) for image in (dark, np.asarray(smeared, np.uint8), dark)])
    assert rated[1] < 0.8 * rated[0]


def test_frames_without_a_face_rate_nothing(astronaut: Image, face: Landmarks) -> None:
    none = reference_score(astronaut, None)
    assert among([none, none]) == [0.0, 0.0]
    assert among([none, reference_score(astronaut, face)])[0] == 0.0
