"""The camera's motion is found from the background, whatever the person does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Float, Image
from reference.compose.camera import CameraTracker

SIZE = (360, 640)


@pytest.fixture
def wall(rng: np.random.Generator) -> Image:
    """A textured wall, larger than what the camera sees of it."""
    coarse = rng.integers(0, 256, (40, 70, 3), np.uint8)
    fine = rng.integers(0, 60, (600, 1050, 3), np.uint8)
    large = cv2.resize(coarse, (1050, 600), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.addWeighted(large, 0.8, fine, 0.8, 0), np.uint8)


def seen(wall: Image, motion: Float) -> Image:
    """What a camera sees that maps its pixels to the wall's by `motion`, 3 x 3."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(wall, motion, SIZE[::-1], flags=flags), np.uint8)


def shifted(x: float, y: float, turn_deg: float = 0.0, zoom: float = 1.0) -> Float:
    c, s = zoom * np.cos(np.radians(turn_deg)), zoom * np.sin(np.radians(turn_deg))
    return np.array([[c, -s, 200 + x], [s, c, 120 + y], [0, 0, 1]], np.float64)


def with_person(image: Image, x: int) -> tuple[Image, Float]:
    """The picture with a textured blob in front, and where the wall is seen."""
    out, behind = image.copy(), np.ones(SIZE, np.bool_)
    drawn = np.random.default_rng(5).integers(0, 256, (240, 160, 3), np.uint8)
    out[120:360, x : x + 160], behind[120:360, x : x + 160] = drawn, False
    return out, behind  # type: ignore[return-value]


def error(found: Float, motion: Float) -> float:
    """Largest error of the field over the frame, pixels."""
    true = np.linalg.inv(shifted(0, 0)) @ motion
    corners = np.array([[0, 0, 1], [639, 0, 1], [0, 359, 1], [639, 359, 1]], np.float64)
    a, b = corners @ found.T, corners @ true.T
    return float(np.abs(a[:, :2] / a[:, 2:] - b[:, :2] / b[:, 2:]).max())


def test_a_pan_with_zoom_and_roll_is_followed_past_a_moving_person(wall: Image) -> None:
    reference, behind = with_person(seen(wall, shifted(0, 0)), 240)
    track = CameraTracker(reference, behind)  # type: ignore[arg-type]
    for step in range(16):
        motion = shifted(6 * step, -2 * step, 0.3 * step, 1 + 0.005 * step)
        frame, open_ = with_person(seen(wall, motion), 240 - 5 * step)
        found = track(frame, open_)  # type: ignore[arg-type]
        assert found is not None
        assert error(found, motion) < 1.0  # type: ignore[arg-type]


def test_it_finds_back_over_a_later_frame_from_a_view_that_shares_little(wall: Image) -> None:
    reference, behind = with_person(seen(wall, shifted(-190, 0)), 240)
    track = CameraTracker(reference, behind)  # type: ignore[arg-type]
    for step in range(40):
        frame, open_ = with_person(seen(wall, shifted(-190 + 10 * step, 0)), 240)
        found = track(frame, open_)  # type: ignore[arg-type]
        assert found is not None
        assert abs(found[0, 2] - 10 * step) < 3


def test_a_still_camera_is_exactly_still(wall: Image) -> None:
    reference, behind = with_person(seen(wall, shifted(0, 0)), 240)
    track = CameraTracker(reference, behind)  # type: ignore[arg-type]
    noise = np.random.default_rng(0).integers(-3, 4, reference.shape)
    frame = np.clip(with_person(seen(wall, shifted(0, 0)), 180)[0] + noise, 0, 255).astype(np.uint8)
    found = track(frame)
    assert found is not None
    np.testing.assert_array_equal(found, np.eye(3))


def test_a_cut_is_not_followed_and_the_way_back_is_found(wall: Image) -> None:
    view = seen(wall, shifted(0, 0))
    track = CameraTracker(view, np.ones(SIZE, np.bool_))
    assert track(view) is not None
    assert track(np.ascontiguousarray(255 - view[::-1, ::-1])) is None
    assert track(view) is not None


def test_a_blank_wall_gives_no_motion() -> None:
    blank = np.full((*SIZE, 3), 128, np.uint8)
    assert CameraTracker(blank, np.ones(SIZE, np.bool_))(blank) is None


def test_another_size_of_frame_is_another_scale(wall: Image) -> None:
    view = seen(wall, shifted(0, 0))
    track = CameraTracker(view, np.ones(SIZE, np.bool_))
    large = np.asarray(cv2.resize(view, (1280, 720), interpolation=cv2.INTER_CUBIC), np.uint8)
    found = track(large)
    assert found is not None
    np.testing.assert_allclose(found[:2, :2], 0.5 * np.eye(2), atol=0.005)
