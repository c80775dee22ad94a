"""Drawings lie where the landmarks are; random scaling stays in its ranges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Float, Image
from inpaint.model import face_parts as parts
from inpaint.model.conditions import (
    COMPONENTS,
    MILD,
    NO_SCALING,
    VIVID,
    ScalingConfig,
    draw_conditions,
    estimate_shoulders,
    expressive_weight,
    person_mask,
    random_scaling,
)
from tests.inpaint.tiny import face

SIZE = (256, 256)


@pytest.fixture
def points() -> Float:
    return face((128.0, 110.0), 60.0)


def test_rings_are_mediapipes() -> None:
    connections = pytest.importorskip("mediapipe.tasks.python.vision").FaceLandmarksConnections

    def edges(*rings: parts.Ring) -> set[frozenset[int]]:
        return {frozenset((int(a), int(b))) for r in rings for a, b in zip(r, np.roll(r, -1), strict=True)}

    def theirs(name: str) -> set[frozenset[int]]:
        return {frozenset((e.start, e.end)) for e in getattr(connections, f"FACE_LANDMARKS_{name}")}

    assert edges(parts.LIPS_OUTER, parts.LIPS_INNER) == theirs("LIPS")
    assert edges(parts.OVAL) == theirs("FACE_OVAL")
    assert edges(parts.RIGHT_EYE) == theirs("RIGHT_EYE")
    assert edges(parts.LEFT_EYE) == theirs("LEFT_EYE")
    assert edges(parts.RIGHT_IRIS) == theirs("RIGHT_IRIS")
    assert edges(parts.LEFT_IRIS) == theirs("LEFT_IRIS")
    assert edges(parts.RIGHT_BROW) >= theirs("RIGHT_EYEBROW")
    assert edges(parts.LEFT_BROW) >= theirs("LEFT_EYEBROW")


@pytest.mark.parametrize(
    ("offset", "red"),
    [((0.0, 0.1), 40), ((-0.35, -0.45), 80), ((0.35, -0.45), 80), ((0.0, 0.65), 160), ((0.0, 0.55), 220)],
)
def test_each_part_is_filled_where_it_is(points: Float, offset: tuple[float, float], red: int) -> None:
    drawing = draw_conditions(points, SIZE)
    x, y = round(128 + 60 * offset[0]), round(110 + 60 * offset[1])
    around = drawing[y - 2 : y + 3, x - 2 : x + 3, 0]
    assert np.median(around) == red


def test_irises_points_and_shoulders_are_drawn(points: Float) -> None:
    drawing = draw_conditions(points, SIZE)
    right_x, right_y = (round(float(v)) for v in points[468, :2])
    assert drawing[right_y, right_x, 0] == 255
    ring = np.rint(points[parts.LIPS_OUTER, :2]).astype(int)
    assert np.all(drawing[ring[:, 1], ring[:, 0], 1] == 255)
    (x0, y0), (x1, _) = estimate_shoulders(points)
    assert np.all(drawing[round(float(y0)), max(0, round(float(x0))) : min(256, round(float(x1))), 2] == 255)
    assert not drawing[:150, :, 2].any()  # nothing of the line on the face


def test_shoulders_given_replace_the_estimate(points: Float) -> None:
    drawing = draw_conditions(points, SIZE, shoulders=np.array([(10, 200), (240, 220)], np.float32))
    assert drawing[200, 12, 2] == 255
    assert drawing[219, 235, 2] == 255


def test_a_mirrored_face_is_the_mirrored_drawing(points: Float) -> None:
    mirrored = points.copy()
    mirrored[:, 0] = 255 - points[:, 0]
    expected = draw_conditions(points, SIZE)[:, ::-1].astype(int)
    assert np.abs(draw_conditions(mirrored, SIZE) - expected).mean() < 0.2


@pytest.mark.parametrize("value", [None, np.full((478, 3), np.nan, np.float32)])
def test_without_a_face_everything_is_neutral(value: Float | None) -> None:
    assert not draw_conditions(value, (16, 24)).any()
    assert draw_conditions(value, (16, 24)).shape == (16, 24, 3)
    assert np.all(person_mask(value, (16, 24)) == 1)
    assert np.all(expressive_weight(value, (16, 24)) == 1)


def test_a_face_outside_the_picture_draws_without_error(points: Float) -> None:
    moved = points + np.float32(3000)
    assert draw_conditions(moved, SIZE)[..., :2].max() == 0


def size_of(points: Float, ring: parts.Ring) -> float:
    ends = points[ring, :2]
    return float(np.ptp(ends[:, 0]))


def test_scaling_by_fixed_factors(points: Float) -> None:
    config = ScalingConfig(part=(1.2, 1.2), face=(0.7, 0.7))
    scaled = random_scaling(points, np.random.default_rng(0), config)
    for component in COMPONENTS:
        assert size_of(scaled, component[0]) == pytest.approx(
            1.2 * 0.7 * size_of(points, component[0]), rel=1e-4
        )
    eyes = [parts.RIGHT_EYE, parts.LEFT_EYE]
    before, after = (np.diff([p[r, 0].mean() for r in eyes])[0] for p in (points, scaled))
    assert after == pytest.approx(0.7 * before, rel=1e-4)
    np.testing.assert_array_equal(scaled[:, 2], points[:, 2])


@pytest.mark.parametrize("config", [VIVID, MILD])
def test_random_factors_fill_their_ranges(points: Float, config: ScalingConfig) -> None:
    rng = np.random.default_rng(1)
    many = [random_scaling(points, rng, config) for _ in range(300)]
    eyes = [parts.RIGHT_EYE, parts.LEFT_EYE]

    def distance(p: Float) -> float:
        return float(np.diff([p[r, 0].mean() for r in eyes])[0])

    face_factor = np.array([distance(p) / distance(points) for p in many])
    part_factor = np.array([size_of(p, parts.NOSE) / size_of(points, parts.NOSE) for p in many]) / face_factor
    for factor, (low, high) in ((face_factor, config.face), (part_factor, config.part)):
        assert low - 1e-3 <= factor.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < factor.max() <= high + 1e-3


def test_no_scaling_changes_nothing(points: Float) -> None:
    np.testing.assert_allclose(
        random_scaling(points, np.random.default_rng(0), NO_SCALING), points, atol=1e-4
    )
    with pytest.raises(ValueError, match="positive factors"):
        ScalingConfig(part=(1.2, 0.8))


def test_eyes_and_mouth_weigh_double(points: Float) -> None:
    weight = expressive_weight(points, SIZE)
    assert weight[110 - 15, 128 - 21] == 2  # right eye
    assert weight[110 + 33, 128] == 2  # mouth
    assert weight[110 + 6, 128] == 1  # nose
    assert weight[5, 5] == 1


def test_person_mask_covers_head_and_trunk(points: Float) -> None:
    mask = person_mask(points, SIZE)
    assert mask[110, 128] == 1
    assert mask[250, 128] == 1
    assert mask[5, 5] == 0
    assert mask[250, 5] == pytest.approx(float(estimate_shoulders(points)[0, 0] < 5))


def test_drawing_the_demo_face(astronaut: Image) -> None:
    """Drawn lips are on the red lips of the demo picture."""
    correspondence = pytest.importorskip("correspondence")
    found = correspondence.detect_landmarks(astronaut)
    assert found is not None
    drawing = draw_conditions(found.points, (512, 512))
    lips, picture = drawing[..., 0] == 160, astronaut.astype(int)
    near = cv2.dilate(lips.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~drawing.any(axis=2)
    redness = picture[..., 0] - picture[..., 1]
    assert redness[lips].mean() > redness[near].mean() + 5
