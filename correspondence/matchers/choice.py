"""Which candidate field to believe at each cell, and what speaks for and against the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.certainty.uncertainty import Evidence
from correspondence.face import topology as topo
from correspondence.face.mesh import LandmarkField
from correspondence.geometry.flow import contrast, sample, unlike
from correspondence.geometry.grid import Float, pixel_grid
from correspondence.geometry.region import Region
from correspondence.types import Image, Landmarks

CHOICE = 2  # candidates are chosen on a grid this much coarser than the field's
EVIDENCE = 4  # and what tells of errors is weighed on one this much coarser

# Costs are in gray levels.
PRICE = (0.0, 0.5, 1.0, 1.0)  # of guided flow, the whole frame's flow, standing still, landmarks
SKIN_PRICE = 12.0  # of not following the landmarks on skin that both pictures show: a flow slides there
NEAR = 1.0  # cells that a flow may differ from the landmark field for no more than that
FAR_PRICE = 1.0  # a cell beyond
PART_PRICE = 14.0  # of not following the landmarks on lips, eyes and brows
MOST_UNLIKE = 60.0  # larger differences count as this
WINDOW, WIDE = 5, 31  # coarser cells over which the cost is averaged: near, and around
SHARE = 0.6  # of each of the two averages
DETAIL_WINDOW = 31  # coarser cells over which landmarks are held against the guided flow
BELIEVED = 1.8  # share of the flow's error in detail up to which they are; FaceMesh itself costs up to 1.7
DISBELIEF = 10.0  # how fast belief falls beyond it
LEAST_DETAIL = 0.3  # gray levels added to the flow's error
SOFTNESS = 0.7  # gray levels over which the choice turns from one candidate to another
BITS = 4  # fractional bits of OpenCV's drawing coordinates
SEAM = 1.5  # coarser cells over which neighbouring choices are blended


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A field that may be right, and how badly it explains the frame.

    Attributes:
        field: float32 (N, N, 2), cells.
        small: float32 (n, n, 2), its means on the grid of choice, n = N / CHOICE.
        cost: float32 (n, n), gray levels.
        detail: uint8 (n, n), what it leaves unexplained of the frame's detail, gray levels.
    """

    field: Float
    small: Float
    cost: Float
    detail: Image


def weigh(field: Float, price: float, look: Image, reference: Image) -> Candidate:
    """Hold a candidate against the pictures.

    Args:
        field: float32 (N, N, 2), cells.
        price: gray levels by which it must explain the frame better than others, one of `PRICE`.
        look: uint8 (n, n, 4), the frame's `appearance` on the grid of choice.
        reference: uint8 (n, n, 4), the reference's.
    """
    n = look.shape[0]
    small = cv2.resize(field, (n, n), interpolation=cv2.INTER_AREA)
    seen = sample(reference, cv2.scaleAdd(small, 1 / CHOICE, pixel_grid(n, n)))
    near = cv2.blur(cv2.min(unlike(look, seen), MOST_UNLIKE), (WINDOW, WINDOW))
    cost = cv2.addWeighted(near, SHARE, cv2.blur(near, (WIDE, WIDE)), SHARE, price)
    return Candidate(
        field, small, cost, cv2.absdiff(cv2.extractChannel(look, 0), cv2.extractChannel(seen, 0))
    )


def choose(candidates: list[Candidate], face: LandmarkField | None, parts: Float) -> tuple[Float, Float]:
    """The candidate that explains the frame best, cell by cell, with smooth borders.

    Args:
        candidates: guided flow, coarse flow, still, and the landmark field last where there is a face.
        face: the landmark field, None without a face.
        parts: float32 (n, n) from `parts_of`; 0 without a face.

    Returns:
        The field, float32 (N, N, 2), cells, and how far the mixed candidates lie apart there: their
        weighted mean distance from it, float32 (n, n), cells.
    """
    n = parts.shape[0]
    costs, small = [c.cost for c in candidates], [c.small for c in candidates]
    if face is not None:
        trusted = cv2.resize(face.validity * face.inside, (n, n), interpolation=cv2.INTER_AREA)
        believed = belief(candidates[-1].detail, candidates[0].detail, trusted)
        held = trusted * believed
        firm = PART_PRICE * parts * (0.5 + 0.5 * believed) + held * SKIN_PRICE
        held *= FAR_PRICE
        for i, candidate in enumerate(small[:-1]):
            away = apart(candidate, small[-1])
            far = cv2.multiply(cv2.max(cv2.subtract(away, NEAR), 0.0), held)
            costs[i] = cv2.add(costs[i], cv2.add(far, firm))
    low = costs[0]
    for cost in costs[1:]:
        low = cv2.min(low, cost)
    chances = cv2.merge([cv2.exp((low - cost) / SOFTNESS) for cost in costs])
    chances = cv2.GaussianBlur(chances, (0, 0), SEAM)
    weights = cv2.split(chances)
    coarse, total = mix(small, weights)
    spread = np.zeros((n, n), np.float32)
    for field, weight in zip(small, weights, strict=True):
        away = apart(field, coarse)
        spread = cv2.accumulateProduct(away, weight, spread)
    size = candidates[0].field.shape[0]
    fine = cv2.split(cv2.resize(chances, (size, size), interpolation=cv2.INTER_LINEAR))
    field, _ = mix([c.field for c in candidates], fine)
    return field, spread / total


def belief(landmarks: Image, flow: Image, trusted: Float) -> Float:
    """How far landmarks are believed on skin, [0, 1]: less where flow explains the detail far better.

    On faces, flow that slides over skin explains detail up to 1.7 times as well as FaceMesh's landmarks do;
    where it does better still, the landmarks are wrong.

    Args:
        landmarks, flow: uint8 (n, n), difference in detail of the picture under each of them, gray levels.
        trusted: float32 (n, n), where there is skin.
    """
    window = (DETAIL_WINDOW, DETAIL_WINDOW)
    with_landmarks, with_flow, skin = (
        cv2.blur(values, window, borderType=cv2.BORDER_CONSTANT)
        for values in (landmarks * trusted, flow * trusted, trusted)
    )
    ratio = with_landmarks / (with_flow + LEAST_DETAIL * skin + 1e-3)
    return np.asarray(1 / (1 + np.exp(np.clip(DISBELIEF * (ratio - BELIEVED), -20, 20))), np.float32)


def mix(fields: list[Float], weights: Sequence[Float]) -> tuple[Float, Float]:
    """The weighted mean of fields, and the sum of the weights."""
    field, total = fields[0], weights[0]
    for other, weight in zip(fields[1:], weights[1:], strict=True):
        field = np.asarray(cv2.blendLinear(field, other, total, weight), np.float32)
        total = total + weight
    return field, total


def apart(field: Float, other: Float) -> Float:
    """How far two fields (n, n, 2) lie apart, float32 (n, n)."""
    return np.asarray(cv2.magnitude(*cv2.split(cv2.subtract(field, other))), np.float32)


def loop(field: Float, back: Float) -> Float:
    """How far the way there by `field` and back again misses its start, float32 (h, w), cells.

    Args:
        field: float32 (h, w, 2), cells of `back`'s grid.
        back: float32 (H, W, 2), the flow from the reference to the frame, cells; H : W as h : w.
    """
    h, w = field.shape[:2]
    returned = cv2.resize(back, (w, h), interpolation=cv2.INTER_AREA)
    at = cv2.scaleAdd(field, h / back.shape[0], pixel_grid(h, w))
    away = field + cv2.remap(returned, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.magnitude(away[..., 0], away[..., 1]), np.float32)


def gather(
    field: Float,
    look: Image,
    reference: Image,
    face: LandmarkField | None,
    *,
    cycle: Float,
    mixed: Float,
    parts: Float,
    off_scene: Float,
    off_guided: Float,
) -> Evidence:
    """What speaks for and against the chosen field, on a grid of N / EVIDENCE cells; see `Evidence`.

    Args:
        field: float32 (N, N, 2), cells.
        look: uint8 (n, n, 4), the frame's `appearance`.
        reference: uint8 (n, n, 4), the reference's.
        face: the landmark field, None without a face.
        cycle: see `Evidence`; float32, on n x n cells or the evidence's grid, as are those that follow.
        mixed: `Evidence.apart`.
        parts: from `parts_of`; 0 without a face.
        off_scene: see `Evidence`.
        off_guided: see `Evidence`.
    """
    n = look.shape[0]
    here = cv2.resize(field, (n, n), interpolation=cv2.INTER_AREA)
    there = sample(reference, cv2.scaleAdd(here, 1 / CHOICE, pixel_grid(n, n)))
    m = n * CHOICE // EVIDENCE

    def shrunk(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return cv2.resize(values, (m, m), interpolation=cv2.INTER_AREA)

    validity = inside = np.zeros((m, m), np.float32)
    if face is not None:
        validity, inside = shrunk(face.validity), shrunk(face.inside.astype(np.float32))
    return Evidence(
        cycle=shrunk(cycle),
        residual=shrunk(cv2.blur(unlike(look, there), (3, 3))),
        apart=shrunk(mixed),
        texture=shrunk(contrast(look)),
        validity=validity,
        inside=inside,
        parts=shrunk(parts),
        off_scene=shrunk(off_scene),
        off_guided=shrunk(off_guided),
        unlike=shrunk(cv2.absdiff(look, there)),
    )


def corners(points: Float, ring: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Those of points (478, 2) that a ring names, as OpenCV draws them with `BITS` fractional bits."""
    return np.rint(points[list(ring)] * (1 << BITS)).astype(np.int32)


def drawn_parts(points: Float, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Lips, eyes and brows of points (478, 2), pixels, filled with 255: uint8 (h, w)."""
    drawn = np.zeros(size, np.uint8)
    for ring in (topo.LIPS, topo.RIGHT_EYE, topo.LEFT_EYE, topo.RIGHT_BROW, topo.LEFT_BROW):
        cv2.fillPoly(drawn, [corners(points, ring)], 255, 8, BITS)
    return drawn


def parts_of(landmarks: Landmarks, region: Region, size: int) -> Float:
    """Where the landmarks know better than the flow: lips, eyes, brows; float32 (size, size), [0, 1]."""
    points = region.to_grid(landmarks.points[:, :2], size)
    x0, y0, x1, y1 = landmarks.box
    face = max(x1 - x0, y1 - y0) * size / region.side
    drawn = drawn_parts(points, (size, size))
    cv2.polylines(drawn, [corners(points, topo.OVAL)], True, 100, 1, 8, BITS)
    reach = max(3, int(face * 0.05)) | 1
    drawn = cv2.dilate(drawn, np.ones((reach, reach), np.uint8))
    return np.asarray(cv2.blur(drawn, (reach, reach)).astype(np.float32) / 255, np.float32)
