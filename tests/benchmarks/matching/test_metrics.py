from __future__ import annotations

import numpy as np
import pytest

from benchmarks.matching import metrics
from benchmarks.matching.metrics import FloatAny
from correspondence import Landmarks


def landmarks(points: FloatAny, size: tuple[int, int] = (100, 100)) -> Landmarks:
    return Landmarks(points.astype(np.float32), size)


@pytest.fixture
def face(rng: np.random.Generator) -> FloatAny:
    points = rng.uniform(20, 80, (478, 3))
    points[:, 2] = 0
    return points


def test_sample_reads_between_pixels() -> None:
    field = np.zeros((4, 4, 2), np.float32)
    field[..., 0] = np.arange(4)
    assert metrics.sample(field, np.array([[1.5, 2.0]])).tolist() == [[1.5, 0.0]]


def test_landmark_errors_are_zero_for_the_true_shift_and_its_length_for_none(face: FloatAny) -> None:
    frame, reference = landmarks(face), landmarks(np.add(face, [3, 4, 0]))
    shift = np.full((100, 100, 2), (3, 4), np.float32)
    assert metrics.landmark_errors(shift, frame, reference).max() < 1e-4
    np.testing.assert_allclose(metrics.landmark_errors(shift * 0, frame, reference), 5, atol=1e-4)


def test_landmark_outside_the_frame_is_not_counted(face: FloatAny) -> None:
    face[7] = [-5, 50, 0]
    errors = metrics.landmark_errors(np.zeros((100, 100, 2), np.float32), landmarks(face), landmarks(face))
    assert np.flatnonzero(np.isnan(errors)).tolist() == [7]


def test_withheld_points_come_from_the_others_alone(face: FloatAny) -> None:
    withheld = np.zeros(478, bool)
    withheld[::2] = True
    affine = np.array([[1.1, 0.1, 0], [-0.1, 0.9, 0], [0, 0, 1]])
    moved = face @ affine + [2, -1, 0]
    truth = landmarks(moved)
    spoilt = moved.copy()
    spoilt[withheld] += 30
    rebuilt = metrics.withhold(landmarks(spoilt), landmarks(face), withheld)
    np.testing.assert_allclose(rebuilt.points[:, :2], truth.points[:, :2], atol=1e-2)


def test_polygon_iou_of_half_overlapping_squares() -> None:
    square = np.array([[10, 10], [49, 10], [49, 49], [10, 49]], float)
    assert metrics.polygon_iou(square, square, (100, 100)) == 1
    assert metrics.polygon_iou(square, np.add(square, [20, 0]), (100, 100)) == pytest.approx(1 / 3, abs=0.02)


def test_ause_orders_perfect_random_and_inverted(rng: np.random.Generator) -> None:
    error = rng.exponential(1, 20_000)
    perfect, chance, inverted = (metrics.ause(error, u) for u in (error, rng.random(20_000), -error))
    assert perfect == 0
    assert 0 < chance < inverted


def test_auroc_by_hand() -> None:
    positive = np.array([True, True, False, False])
    assert metrics.auroc(np.array([3.0, 2, 1, 0]), positive) == 1
    assert metrics.auroc(np.array([1.0, 1, 1, 1]), positive) == 0.5
    assert metrics.auroc(np.array([3.0, 0, 1, 2]), positive) == 0.5


def test_coverage_error_is_small_for_the_true_scale_and_large_for_a_wrong_one(
    rng: np.random.Generator,
) -> None:
    log_b = rng.uniform(-1, 2, 50_000)
    error = rng.laplace(0, np.exp(log_b)[:, None], (50_000, 2))
    assert metrics.coverage_error(error, log_b) < 0.005
    assert metrics.coverage_error(error, log_b + 1) > 0.1


def test_jitter_ignores_steady_motion() -> None:
    steady = np.arange(10, dtype=float)[:, None, None] * np.ones((1, 5, 2))
    assert metrics.jitter(steady) == 0
    shaken = steady + (np.arange(10) % 2)[:, None, None] * [0.1, 0]
    assert metrics.jitter(shaken) == pytest.approx(0.1)


def test_psnr_by_hand() -> None:
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0] = 255
    assert metrics.psnr(a, b) == pytest.approx(10 * np.log10(4))
    assert metrics.psnr(a, b, np.array([[False, True], [True, True]])) == float("inf")
