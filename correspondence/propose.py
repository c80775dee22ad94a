"""The candidates the network chooses from: the same code makes them in training and live.

All work on the region's grid of 256 cells; fields are in cells, frame to reference, and are handed to the
network as means over 4 x 4 cells.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.grid import Float, compose, pixel_grid

Gray = npt.NDArray[np.uint8]

CELL = 4  # grid cells in a cell of the network's output
COUNT = 5  # landmark, direct, guided, temporal, identity
CYCLE_CELLS = 2.0  # forward-backward error at which trust has fallen to 1/e
LEAST_SIDE = 32  # DIS needs some pixels to work on
_local = threading.local()  # DIS objects keep buffers: one set a thread


def flow_between(source: Gray, target: Gray, preset: int) -> Float:
    """DIS optical flow (Kroeger et al. 2016): source(x) is seen at target(x + flow(x)).

    Args:
        source: uint8 (H, W), both sides at least 32.
        target: uint8 (H, W).
        preset: one of OpenCV's DISOPTICAL_FLOW_PRESET_*.

    Returns:
        float32 (H, W, 2), pixels.

    Raises:
        ValueError: pictures of different or too small sizes.
    """
    if source.shape != target.shape or min(source.shape) < LEAST_SIDE:
        raise ValueError(
            f"flow needs two equal sizes, sides >= {LEAST_SIDE}, got {source.shape} and {target.shape}"
        )
    kinds: dict[int, Any] | None = getattr(_local, "kinds", None)
    if kinds is None:
        kinds = _local.kinds = {}
    if preset not in kinds:
        kinds[preset] = cv2.DISOpticalFlow.create(preset)
    return np.asarray(kinds[preset].calc(source, target, None), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What the last frame leaves for the next one.

    Attributes:
        gray: uint8 (N, N), the last frame's region.
        field: float32 (N, N, 2), cells, its field.
        moved: float32 (N, N, 2), cells: what leads from the frame's grid to the last frame's where nothing
            moved; None where both grids are the same.
    """

    gray: Gray
    field: Float
    moved: Float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """The network's input besides the pictures.

    Attributes:
        candidates: float32 (5, 2, N/4, N/4), cells: landmark, direct, guided, temporal, identity.
        validity: float32 (3, N/4, N/4), [0, 1]: trust in landmark, guided and temporal.
        guided: float32 (N, N, 2), the guided candidate at full size.
    """

    candidates: Float
    validity: Float
    guided: Float


def propose(
    frame: Gray,
    reference: Gray,
    still: Float,
    landmark: tuple[Float, Float] | None = None,
    past: Past | None = None,
    pool: Executor | None = None,
) -> Proposal:
    """All candidates for one frame.

    landmark: FaceMesh's field, or standing still without a face. direct: DIS between the two pictures.
    guided: DIS between the frame and the reference brought onto it by `landmark`. temporal: the last field,
    reached by DIS to the last frame; without one, guided. identity: standing still.

    Args:
        frame: uint8 (N, N), the frame's region.
        reference: uint8 (N, N), the reference's.
        still: float32 (N, N, 2), the field where nothing moved.
        landmark: its field (N, N, 2) and validity (N, N); None without a face.
        past: of the last frame, None for none.
        pool: runs parts of the work at the same time; None runs one after the other. Results do not differ.
    """
    direct = _start(pool, flow_between, frame, reference, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before = None if past is None else _start(pool, temporal, frame, past)
    field, trust = landmark if landmark is not None else (still, np.zeros(frame.shape, np.float32))
    guided, cycle = _guided(frame, reference, field)
    closed = np.exp(-cycle / CYCLE_CELLS)
    carried, steady = (guided, np.zeros_like(closed)) if before is None else before.result()
    fields = [shrink(f) for f in (field, direct.result(), guided, carried, still)]
    validity = [shrink(v) for v in (trust, closed, steady)]
    return Proposal(np.ascontiguousarray(np.stack(fields).transpose(0, 3, 1, 2)), np.stack(validity), guided)


def shrink(values: Float) -> Float:
    """Means over 4 x 4 cells: (N, N[, C]) to (N/4, N/4[, C])."""
    size = (values.shape[1] // CELL, values.shape[0] // CELL)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def sample_gray(image: Gray, field: Float) -> Gray:
    """`image` where `field` points, uint8 (H, W); its border repeats."""
    at = pixel_grid(field.shape[0], field.shape[1]) + field
    return np.asarray(cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _guided(frame: Gray, reference: Gray, base: Float) -> tuple[Float, Float]:
    near = sample_gray(reference, base)
    forward = flow_between(frame, near, cv2.DISOPTICAL_FLOW_PRESET_FAST)
    backward = flow_between(near, frame, cv2.DISOPTICAL_FLOW_PRESET_FAST)
    loop = compose(forward, backward)
    return compose(forward, base), np.asarray(np.hypot(loop[..., 0], loop[..., 1]), np.float32)


def temporal(frame: Gray, past: Past) -> tuple[Float, Float]:
    """The last frame's field, reached by flow to that frame.

    Returns:
        The field (N, N, 2), cells, and how well the last frame explains this one, (N, N) in [0, 1].
    """
    start = past.moved
    near = past.gray if start is None else sample_gray(past.gray, start)
    flow = flow_between(frame, near, cv2.DISOPTICAL_FLOW_PRESET_FAST)
    there = flow if start is None else compose(flow, start)
    unlike = cv2.absdiff(frame, sample_gray(past.gray, there))
    steady = np.exp(cv2.blur(unlike, (5, 5)).astype(np.float32) * (-1 / 12))
    return compose(there, past.field), np.asarray(steady, np.float32)


class _Done:
    """The result of work done at once, in the place of a future."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        return self._value


def _start(pool: Executor | None, function: Any, *arguments: Any) -> Future[Any] | _Done:
    return _Done(function(*arguments)) if pool is None else pool.submit(function, *arguments)
