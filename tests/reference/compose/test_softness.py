"""A frame that is blurred wears its edit as blurred; a sharp one wears it to the bit as without."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from benchmarks.matching.fixed_edits import mark
from correspondence import Bool, Image, Landmarks
from reference import CompositeConfig, Compositor, Edit, Mode, presets
from reference.compose.layers import Softness, soft_paint
from reference.compose.softness import SoftnessMeter
from reference.face.parts import FACE_OVAL, LEFT_EYE, RIGHT_EYE, take
from tests.reference import props
from tests.reference.helpers import moved, scaled_face, shift_match, translated

SIZE = (512, 512)


def blurred(image: Image, x: float, y: float | None = None) -> Image:
    if x == 0:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), x, sigmaY=x if y is None else y), np.uint8)


def noisy(image: Image, level: float, seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).normal(0, level, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def decibels(image: Image, truth: Image, where: Bool) -> float:
    error = ((image.astype(float) - truth) ** 2)[where].mean()
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def measured(reference: Image, frame: Image, face: Landmarks, shift: int = 0) -> Softness | None:
    match = shift_match(SIZE, (-shift, 0), moved(face, shift, 0))
    return SoftnessMeter(reference, face).measure(frame, match, 10.0)


@pytest.mark.parametrize("noise", [0.0, 4.0])
@pytest.mark.parametrize("sigma", [2.5, 3.0, 4.0])
def test_a_known_blur_is_measured(astronaut: Image, face: Landmarks, sigma: float, noise: float) -> None:
    softness = measured(astronaut, noisy(blurred(translated(astronaut, 9, 0), sigma), noise), face, 9)
    assert softness is not None
    rest = 1.1  # pixels of blur that no sharp frame is told from, at this size of face
    np.testing.assert_allclose((softness.x, softness.y), np.sqrt(sigma**2 - rest**2), rtol=0.15)


@pytest.mark.parametrize("noise", [0.0, 4.0, 8.0])
def test_a_sharp_frame_is_left_alone(astronaut: Image, face: Landmarks, noise: float) -> None:
    assert measured(astronaut, noisy(astronaut, noise), face) is None
    assert measured(blurred(astronaut, 3), astronaut, face) is None  # sharper than the reference


def test_motion_along_one_axis_blurs_along_it(astronaut: Image, face: Landmarks) -> None:
    across = measured(astronaut, blurred(astronaut, 4, 0.1), face)
    down = measured(astronaut, blurred(astronaut, 0.1, 4), face)
    assert across is not None
    assert down is not None
    assert across.x > across.y + 1
    assert down.y > down.x + 1


def test_the_axes_are_the_references(astronaut: Image, face: Landmarks) -> None:
    """On a frame twice as large that lies on its side, blur across it is half as much down the reference."""
    turned = cv2.resize(np.rot90(astronaut), (1024, 1024), interpolation=cv2.INTER_CUBIC)
    points = face.points.copy()
    points[:, 0], points[:, 1] = 2 * face.points[:, 1], 2 * (511 - face.points[:, 0])
    on_side = Landmarks(points, (1024, 1024))
    y, x = np.mgrid[:1024, :1024].astype(np.float32)
    field = np.dstack([(1023 - y) / 2 - x, x / 2 - y])
    match = shift_match((1024, 1024), (0, 0)).from_field(
        field, np.full((1024, 1024), -2, np.float32), on_side
    )
    softness = SoftnessMeter(astronaut, face).measure(blurred(turned, 6, 0.1), match, 10.0)
    assert softness is not None
    assert softness.y == pytest.approx(3.0, rel=0.3)
    assert softness.y > softness.x + 1


def test_closed_eyes_and_a_hand_are_no_blur(astronaut: Image, face: Landmarks) -> None:
    covered = astronaut.copy()
    for eye in (RIGHT_EYE, LEFT_EYE):
        outline = take(face, eye)
        middle = outline.mean(axis=0)
        cv2.fillPoly(covered, [np.rint(middle + 1.6 * (outline - middle)).astype(np.int32)], (190, 150, 130))
    x0, y0 = take(face, FACE_OVAL).min(axis=0).astype(int)
    x1, y1 = take(face, FACE_OVAL).max(axis=0).astype(int)
    covered[(y0 + 2 * y1) // 3 : y1, x0 : (x0 + x1) // 2] = (200, 160, 140)
    assert measured(astronaut, covered, face) is None


def test_a_turned_head_is_not_compared(astronaut: Image, face: Landmarks) -> None:
    frame, meter = blurred(astronaut, 3), SoftnessMeter(astronaut, face)
    here = np.asarray(face.points[:468, :2].mean(axis=0) - 256)
    for yaw, compared in ((0, True), (8, True), (25, False)):
        turned = moved(scaled_face(face, 1.0, SIZE, yaw), float(here[0]), float(here[1]))
        assert (meter.measure(frame, shift_match(SIZE, (0, 0), turned), 10.0) is not None) is compared
    assert meter.measure(frame, shift_match(SIZE, (0, 0), None), 10.0) is None


def edits(astronaut: Image, face: Landmarks) -> dict[str, Image]:
    return {
        "mark": mark(astronaut, face),
        "tiger": presets.apply("tiger", astronaut, face),
        "glasses": props.glasses(astronaut, face),
        "beard": props.beard(astronaut, face),
    }


@pytest.mark.parametrize("mode", ["delta", "replace", "auto"])
@pytest.mark.parametrize("name", ["mark", "tiger", "glasses", "beard"])
def test_the_edit_is_as_soft_as_the_frame(astronaut: Image, face: Landmarks, name: str, mode: Mode) -> None:
    edited = edits(astronaut, face)[name]
    match = shift_match(SIZE, (0, 0), face)
    matched, sharp = (
        Compositor(Edit(astronaut, edited, mode), face, CompositeConfig(follow_blur=follow))
        for follow in (True, False)
    )
    np.testing.assert_array_equal(
        matched.compose(astronaut, match).image, sharp.compose(astronaut, match).image
    )
    frame, truth = blurred(astronaut, 3), blurred(edited, 3)
    differs = cv2.absdiff(frame, truth).max(axis=2) > 2
    gain = [decibels(made.compose(frame, match).image, truth, differs) for made in (matched, sharp)]
    assert gain[0] > gain[1] + (10 if name == "mark" else 2)
    if name == "mark":
        assert gain[0] > 35


def test_pixels_beyond_the_blurs_reach_are_bit_equal(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, mark(astronaut, face))
    frame = noisy(blurred(astronaut, 3), 2)
    result = Compositor(edit, face).compose(frame, shift_match(SIZE, (0, 0), face))
    reach = cv2.dilate((edit.mask > 0).astype(np.uint8), np.ones((33, 33), np.uint8))
    np.testing.assert_array_equal(result.image[reach == 0], frame[reach == 0])
    assert result.box is not None
    x0, y0, x1, y1 = result.box
    outside = np.ones(SIZE, bool)
    outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(result.image[outside], frame[outside])


@pytest.mark.parametrize("sigma", [0.0, 2.0])
def test_a_still_face_in_noise_does_not_flicker(astronaut: Image, face: Landmarks, sigma: float) -> None:
    """From frame to frame the carried change moves by no more than the sharp edit's does."""
    edit, match = Edit(astronaut, mark(astronaut, face), "delta"), shift_match(SIZE, (0, 0), face)
    still = blurred(astronaut, sigma)
    changed = edit.visible
    unrest = {}
    for follow in (True, False):
        compositor = Compositor(edit, face, CompositeConfig(follow_blur=follow))
        frames = [noisy(still, 4, seed) for seed in range(8)]
        carried = [compositor.compose(f, match).image.astype(int) - f for f in frames]
        unrest[follow] = np.mean([np.abs(b - a)[changed].mean() for a, b in pairwise(carried)])
    assert unrest[True] <= unrest[False] + 0.6  # of about 100 levels of change
    if sigma == 0:
        assert unrest[True] == unrest[False]


def test_a_growing_blur_does_not_pop(astronaut: Image, face: Landmarks) -> None:
    edit, match = Edit(astronaut, mark(astronaut, face), "delta"), shift_match(SIZE, (0, 0), face)
    compositor = Compositor(edit, face)
    carried = []
    for sigma in np.arange(0, 4.01, 0.1):
        frame = blurred(astronaut, float(sigma))
        carried.append(compositor.compose(frame, match).image.astype(int) - frame)
    steps = [np.abs(b - a)[edit.visible].mean() for a, b in pairwise(carried)]
    assert sum(steps) > 20  # it does become softer
    assert max(steps) < 0.25 * sum(steps)


def test_soft_paint_keeps_its_colour(rng: np.random.Generator) -> None:
    paint = np.zeros((40, 40, 4), np.uint8)
    paint[..., :3] = rng.integers(0, 256, (40, 40, 3))  # what lies beside the paint must not come in
    paint[12:28, 12:28] = (40, 160, 220, 255)
    soft = soft_paint(paint, Softness(2.0, 2.0, 5.0))
    seen = soft[..., 3] > 40
    assert seen.sum() > 16 * 16
    np.testing.assert_allclose(soft[seen][:, :3], np.broadcast_to((40, 160, 220), (seen.sum(), 3)), atol=5)
    total = paint[..., 3].sum(dtype=int)
    assert soft[..., 3].sum(dtype=int) == pytest.approx(total, rel=0.02)


@pytest.mark.parametrize("sigma", [1.0, 2.4, 2.6, 4.9, 5.1, 8.0])
def test_a_blur_on_a_coarser_grid_is_the_same_blur(rng: np.random.Generator, sigma: float) -> None:
    plane = rng.integers(0, 256, (96, 128, 3), np.uint8)
    plane[30:60, 40:80] = 255
    exact = cv2.GaussianBlur(plane, (0, 0), sigma)
    made = Softness(sigma, sigma, 2.5 * sigma).apply(plane)
    assert made.shape == plane.shape
    assert np.abs(made.astype(int) - exact).mean() < 2.5
