"""Candidates: each must say what it is meant to say, whatever was computed before on the same thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from correspondence.geometry.flow import dis_flow
from correspondence.network.propose import Past, propose, shrink
from tests.correspondence.material import checker, moved

SIDE = 128


def gray(dx: float, dy: float, side: int = SIDE) -> np.ndarray:
    field = np.zeros((side, side, 2), np.float32)
    field[...] = dx, dy
    return np.asarray(cv2.cvtColor(moved(checker(side), field), cv2.COLOR_RGB2GRAY))


def inner(field: np.ndarray) -> np.ndarray:
    cut = len(field) // 4
    return field[cut:-cut, cut:-cut].reshape(-1, 2).mean(axis=0)


def test_a_first_guess_does_not_linger() -> None:
    """OpenCV's DIS keeps the guess of an earlier call, at whatever size, and would start from it again."""
    frame, reference = gray(3, 0), gray(0, 0)
    alone = dis_flow(frame, reference)
    dis_flow(frame, reference, np.full((SIDE, SIDE, 2), 9, np.float32))
    assert np.array_equal(dis_flow(frame, reference), alone)
    assert inner(dis_flow(gray(3, 0, 256), gray(0, 0, 256))) == pytest.approx((3, 0), abs=0.3)


def test_every_candidate_says_its_own() -> None:
    still = np.zeros((SIDE, SIDE, 2), np.float32)
    mesh = np.full((SIDE, SIDE, 2), 5, np.float32)
    trust = np.ones((SIDE, SIDE), np.float32)
    past = Past(gray(2, 0), np.full((SIDE, SIDE, 2), (2, 0), np.float32))
    proposal = propose(gray(4, 0), gray(0, 0), still, (mesh, trust), past)
    landmark, direct, guided, temporal, identity = (inner(f) for f in proposal.fields)
    assert landmark == pytest.approx((5, 5))
    assert direct == pytest.approx((4, 0), abs=0.3)
    assert guided == pytest.approx((4, 0), abs=0.6)  # though led astray by 5 cells
    assert temporal == pytest.approx((4, 0), abs=0.4)
    assert identity == pytest.approx((0, 0))
    assert proposal.candidates.shape == (5, 2, SIDE // 4, SIDE // 4)
    assert proposal.validity.shape == (3, SIDE // 4, SIDE // 4)
    assert proposal.validity[0].mean() < 0.5  # flow explains the frame, the mesh does not
    assert proposal.validity[2].mean() > 0.7


def test_threads_change_nothing() -> None:
    still = np.zeros((SIDE, SIDE, 2), np.float32)
    past = Past(gray(2, 0), still)
    alone = propose(gray(4, 1), gray(0, 0), still, None, past)
    with ThreadPoolExecutor(2) as pool:
        shared = propose(gray(4, 1), gray(0, 0), still, None, past, pool)
    assert np.array_equal(alone.candidates, shared.candidates)
    assert np.array_equal(alone.validity, shared.validity)


def test_landmarks_that_explain_the_frame_are_believed() -> None:
    still = np.zeros((SIDE, SIDE, 2), np.float32)
    mesh = np.full((SIDE, SIDE, 2), (4, 0), np.float32)
    trust = np.ones((SIDE, SIDE), np.float32)
    proposal = propose(gray(4, 0), gray(0, 0), still, (mesh, trust))
    assert proposal.validity[0].min() > 0.99


def test_direct_flow_may_come_from_elsewhere() -> None:
    still = np.zeros((SIDE, SIDE, 2), np.float32)
    given = np.full((SIDE, SIDE, 2), (3, 1), np.float32)
    proposal = propose(gray(4, 0), gray(0, 0), still, direct=lambda: given)
    assert proposal.fields[1] is given


def test_a_region_that_moved_is_accounted_for() -> None:
    """The last frame's square lay 10 cells to the left: what is at x now was at x + 10 there."""
    still = np.zeros((SIDE, SIDE, 2), np.float32)
    shifted = np.zeros_like(still)
    shifted[..., 0] = 10
    past = Past(np.roll(gray(0, 0), 10, axis=1), still - shifted, shifted)
    proposal = propose(gray(0, 0), gray(0, 0), still, None, past)
    assert inner(proposal.fields[3]) == pytest.approx((0, 0), abs=0.4)


def test_shrinking_takes_means() -> None:
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    assert shrink(values).tolist() == [[13.5, 17.5], [45.5, 49.5]]
