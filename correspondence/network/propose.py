"""The candidates that the network chooses from, made by the same code in training and live.

All candidates are on the region's grid of 256 cells. Fields lead from frame to reference, in cells. The
network receives their means over 4 x 4 cells.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.geometry.flow import detail, dis_flow
from correspondence.geometry.grid import Float, compose, pixel_grid
from correspondence.matchers.choice import CHOICE, belief

Gray = npt.NDArray[np.uint8]

CELL = 4  # grid cells in a cell of the network's output
COUNT = 5  # landmark, direct, guided, temporal, identity
SMOOTH = 2  # iterations of variational refinement of the guided flow
SKIN_TRUST = 0.35  # cells of the landmark field with higher trust count as skin
CYCLE_CELLS = 2.0  # forward-backward error at which trust has fallen to 1/e

LEAST_CLOSED = 1e-4  # trust in the guided flow that counts as none


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The last frame, for the temporal candidate of the next one.

    Attributes:
        gray: luma of the last frame's region, uint8 (N, N).
        field: the last frame's field, float32 (N, N, 2), cells.
        moved: displacement from the frame's grid to the last frame's grid if nothing moved, float32
            (N, N, 2), cells; None if both grids are the same.
    """

    gray: Gray
    field: Float
    moved: Float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """The network's input in addition to the pictures.

    Attributes:
        candidates: landmark, direct, guided, temporal and identity, float32 (5, 2, N/4, N/4), cells.
        validity: trust in landmark, guided and temporal, float32 (3, N/4, N/4), [0, 1].
        fields: the candidates at full size, each float32 (N, N, 2), cells.
    """

    candidates: Float
    validity: Float
    fields: tuple[Float, ...]


def propose(
    frame: Gray,
    reference: Gray,
    still: Float,
    landmark: tuple[Float, Float] | None = None,
    past: Past | None = None,
    pool: Executor | None = None,
    direct: Callable[[], Float] | None = None,
) -> Proposal:
    """Make all candidates for one frame.

    The candidates are:

    - landmark: FaceMesh's field, or standing still without a face;
    - direct: DIS flow between the pictures;
    - guided: DIS flow between the frame and the reference warped by `landmark`;
    - temporal: the last frame's field, reached by DIS flow to that frame; without a last frame, guided;
    - identity: standing still.

    Args:
        frame: luma of the frame's region, uint8 (N, N).
        reference: luma of the reference's region, uint8 (N, N).
        still: the field if nothing moved, float32 (N, N, 2).
        landmark: the landmark field (N, N, 2) and its validity (N, N); None without a face.
        past: the last frame; None for none.
        pool: runs parts of the work in parallel; None runs them one after another with the same results.
        direct: returns the direct candidate. It is called last. None computes it from the two pictures.
    """
    flow = None if direct is not None else start(pool, dis_flow, frame, reference)
    before = None if past is None else start(pool, temporal, frame, past)
    field, trust = landmark if landmark is not None else (still, np.zeros(frame.shape, np.float32))
    guided, cycle = _guided(frame, reference, field)
    if landmark is not None:
        trust = trust * _belief(frame, reference, field, guided, trust)
    closed = np.exp(-cycle / CYCLE_CELLS)
    carried, steady = (guided, np.zeros_like(closed)) if before is None else before.result()
    found = direct() if direct is not None else flow.result() if flow is not None else guided
    fields = (field, found, guided, carried, still)
    small = np.stack([shrink(f) for f in fields]).transpose(0, 3, 1, 2)
    validity = np.stack([shrink(v) for v in (trust, closed, steady)])
    return Proposal(np.ascontiguousarray(small), validity, fields)


def open_cells(proposal: Proposal) -> Float:
    """Compute the forward-backward error of the guided flow, float32 (N/4, N/4), cells."""
    return np.asarray(-CYCLE_CELLS * np.log(np.maximum(proposal.validity[1], LEAST_CLOSED)), np.float32)


def shrink(values: Float) -> Float:
    """Average over 4 x 4 cells: (N, N[, C]) to (N/4, N/4[, C])."""
    size = (values.shape[1] // CELL, values.shape[0] // CELL)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def sample_gray(image: Gray, field: Float) -> Gray:
    """Warp `image` by `field`, uint8 (H, W). The border is repeated."""
    at = pixel_grid(field.shape[0], field.shape[1]) + field
    return np.asarray(cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _belief(frame: Gray, reference: Gray, landmark: Float, guided: Float, trust: Float) -> Float:
    """Compute the belief in the landmark field against guided flow, float32 (N, N); see `choice.belief`."""
    n = frame.shape[0] // CHOICE
    here, there = (detail(cv2.resize(p, (n, n), interpolation=cv2.INTER_AREA)) for p in (frame, reference))
    misses = []
    for field in (landmark, guided):
        small = cv2.resize(field, (n, n), interpolation=cv2.INTER_AREA) * np.float32(1 / CHOICE)
        misses.append(cv2.absdiff(here, sample_gray(there, small)))
    skin = cv2.resize(np.where(trust > SKIN_TRUST, trust, 0), (n, n), interpolation=cv2.INTER_AREA)
    believed = belief(misses[0], misses[1], skin)
    return np.asarray(cv2.resize(believed, frame.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _guided(frame: Gray, reference: Gray, base: Float) -> tuple[Float, Float]:
    near = sample_gray(reference, base)
    forward, backward = dis_flow(frame, near, smooth=SMOOTH), dis_flow(near, frame, fine=False)
    loop = compose(forward, backward)
    return compose(forward, base), np.asarray(np.hypot(loop[..., 0], loop[..., 1]), np.float32)


def temporal(frame: Gray, past: Past) -> tuple[Float, Float]:
    """Carry the last frame's field to this frame by flow to the last frame.

    Returns:
        The field (N, N, 2), cells, and how well the last frame explains this one, (N, N) in [0, 1].
    """
    start = past.moved
    near = past.gray if start is None else sample_gray(past.gray, start)
    flow = dis_flow(frame, near)
    there = flow if start is None else compose(flow, start)
    unlike = cv2.absdiff(frame, sample_gray(past.gray, there))
    steady = np.exp(cv2.blur(unlike, (5, 5)).astype(np.float32) * (-1 / 12))
    return compose(there, past.field), np.asarray(steady, np.float32)


class _Done:
    """A finished result with the interface of a future."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        return self._value


def start(pool: Executor | None, function: Any, *arguments: Any) -> Future[Any] | _Done:
    """Call a function on a thread of the pool, or at once if there is no pool, and return its future."""
    return _Done(function(*arguments)) if pool is None else pool.submit(function, *arguments)
