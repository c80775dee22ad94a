"""Choice between candidate fields at each cell, and the evidence for and against the choice."""

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
from correspondence.geometry.flow import contrast, sample, unlike, weighted
from correspondence.geometry.grid import Float, pixel_grid
from correspondence.geometry.region import Part, Region
from correspondence.types import Image, Landmarks

CHOICE = 2  # ratio of the field's resolution to that of the grid on which candidates are chosen
EVIDENCE = 4  # ratio of the field's resolution to that of the grid of the evidence

# Costs are in gray levels.
PRICE = (0.0, 0.5, 1.0, 1.0)  # costs of guided flow, the whole frame's flow, standing still, landmarks
SKIN_PRICE = 12.0  # cost of not following the landmarks on the face's mesh: flow slides on skin
NEAR = 1.0  # cells by which flow may differ from the landmark field there at no further cost
FAR_PRICE = 1.0  # cost for each cell beyond NEAR
PART_PRICE = 14.0  # cost of not following the landmarks on lips, eyes and brows
MOST_UNLIKE = 60.0  # larger differences are clipped to this value
WINDOW, WIDE = 5, 31  # windows, in cells of the choice grid, over which the cost is averaged: near and wide
SHARE = 0.6  # weight of each of the two averages
DETAIL_WINDOW = 31  # window, in cells of the choice grid, over which landmarks and guided flow are compared
BELIEVED = 1.8  # ratio of errors in detail up to which landmarks are believed; FaceMesh itself reaches 1.7
DISBELIEF = 10.0  # slope with which belief falls beyond BELIEVED
OUTLINE = 2  # cells of the choice grid beside the mesh's outline in which nothing is compared
BESIDE = 3  # cells of the choice grid beyond the outline in which the landmarks are preferred: 5 % of a face
LEAST_DETAIL = 0.3  # gray levels added to the flow's error
SOFTNESS = 0.7  # gray levels over which the choice changes from one candidate to another
BITS = 4  # fractional bits of OpenCV's drawing coordinates
SEAM = 1.5  # cells of the choice grid over which neighbouring choices are blended


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A candidate field with its cost.

    Attributes:
        field: the field, float32 (H, W, 2), cells.
        small: means of the field on the choice grid, float32 (h, w, 2), h = H / CHOICE, w = W / CHOICE.
        cost: how badly the field explains the frame, float32 (h, w), gray levels.
        detail: the part of the frame's detail that the field does not explain, uint8 (h, w), gray levels.
    """

    field: Float
    small: Float
    cost: Float
    detail: Image


def weigh(fields: Sequence[Float], prices: Sequence[float], look: Image, reference: Image) -> list[Candidate]:
    """Compute the costs of candidate fields from the two pictures. All are computed in the same calls.

    Args:
        fields: up to four candidates, float32 (H, W, 2), cells.
        prices: gray levels by which each must explain the frame better than others, of `PRICE`.
        look: the frame's `appearance` on the choice grid, uint8 (h, w, 4).
        reference: the reference's `appearance` on the choice grid, uint8 (h, w, 4).
    """
    h, w = look.shape[:2]
    count, grid = len(fields), pixel_grid(h, w)
    small = [cv2.resize(field, (w, h), interpolation=cv2.INTER_AREA) for field in fields]
    at = np.empty((count, h, w, 2), np.float32)
    for places, means in zip(at, small, strict=True):
        cv2.scaleAdd(means, 1 / CHOICE, grid, places)
    seen = sample(reference, at.reshape(count * h, w, 2))
    off = cv2.absdiff(cv2.repeat(look, count, 1), seen)
    planes = cv2.min(weighted(off), MOST_UNLIKE).reshape(count, h, w)
    near = cv2.blur(cv2.merge([*planes]), (WINDOW, WINDOW))
    both = cv2.addWeighted(near, SHARE, cv2.blur(near, (WIDE, WIDE)), SHARE, 0)
    costs = cv2.split(cv2.add(both, (*prices, *[0.0] * (4 - count))))
    details = cv2.extractChannel(off, 0).reshape(count, h, w)
    return [Candidate(*each) for each in zip(fields, small, costs, details, strict=True)]


def choose(candidates: list[Candidate], face: LandmarkField | None, parts: Float) -> tuple[Float, Float]:
    """Choose the candidate that explains the frame best at each cell, with smooth borders.

    Args:
        candidates: guided flow, coarse flow, standing still and, if there is a face, the landmark field.
        face: the landmark field; None without a face.
        parts: result of `parts_of`, float32 (h, w); 0 without a face.

    Returns:
        The chosen field, float32 (H, W, 2), cells, and the weighted mean distance of the mixed candidates
        from it, float32 (h, w), cells.
    """
    h, w = parts.shape
    costs, small = [c.cost for c in candidates], [c.small for c in candidates]
    if face is not None:
        shown = cv2.resize(face.validity * face.inside, (w, h), interpolation=cv2.INTER_AREA)
        believed = belief(candidates[-1].detail, candidates[0].detail, shown)
        held = around_mesh(face, (w, h)) * believed
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
    spread = np.zeros((h, w), np.float32)
    for field, weight in zip(small, weights, strict=True):
        away = apart(field, coarse)
        spread = cv2.accumulateProduct(away, weight, spread)
    height, width = candidates[0].field.shape[:2]
    fine = cv2.split(cv2.resize(chances, (width, height), interpolation=cv2.INTER_LINEAR))
    field, _ = mix([c.field for c in candidates], fine)
    return field, spread / total


def around_mesh(face: LandmarkField, size: tuple[int, int]) -> Float:
    """Find where the landmarks are preferred to flow: on the face's mesh and a little beyond its outline.

    The mesh is followed where the reference hides its skin, too: there, no flow can be right, and what it
    finds is another part of the face. Beyond the outline an edit of the face ends, so that a flow to hair or
    backdrop would tear its rim.

    Args:
        face: the landmark field.
        size: columns and rows of the result.

    Returns:
        float32 (rows, columns), [0, 1].
    """
    inside = cv2.resize(face.inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(cv2.dilate(inside, _square(BESIDE)), (3, 3)), np.float32)


def _square(reach: int) -> Image:
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)


def belief(landmarks: Image, flow: Image, trusted: Float) -> Float:
    """Compute how far landmarks are believed on skin. Belief is low if flow explains the detail far better.

    Flow that slides over skin explains detail up to 1.7 times as well as FaceMesh's landmarks do. If it does
    better than that, the landmarks are wrong. The face's outline tells nothing about this: flow follows the
    hair or the backdrop there, and explains them better than the mesh, even if the landmarks are right.

    Args:
        landmarks, flow: detail that each of the two leaves unexplained, uint8 (h, w), gray levels.
        trusted: where there is skin, float32 (h, w).

    Returns:
        The belief, float32 (h, w), [0, 1].
    """
    window = (DETAIL_WINDOW, DETAIL_WINDOW)
    trusted = cv2.erode(trusted, _square(OUTLINE))
    with_landmarks, with_flow, skin = (
        cv2.blur(values, window, borderType=cv2.BORDER_CONSTANT)
        for values in (landmarks * trusted, flow * trusted, trusted)
    )
    ratio = with_landmarks / (with_flow + LEAST_DETAIL * skin + 1e-3)
    return np.asarray(1 / (1 + np.exp(np.clip(DISBELIEF * (ratio - BELIEVED), -20, 20))), np.float32)


def mix(fields: list[Float], weights: Sequence[Float]) -> tuple[Float, Float]:
    """Return the weighted mean of fields and the sum of the weights."""
    field, total = fields[0], weights[0]
    for other, weight in zip(fields[1:], weights[1:], strict=True):
        field = np.asarray(cv2.blendLinear(field, other, total, weight), np.float32)
        total = total + weight
    return field, total


def apart(field: Float, other: Float) -> Float:
    """Return the distance of two fields (h, w, 2) at each cell, float32 (h, w)."""
    return np.asarray(cv2.magnitude(*cv2.split(cv2.subtract(field, other))), np.float32)


def loop(field: Float, back: Float) -> Float:
    """Compute the forward-backward error of a field, float32 (h, w), cells.

    Args:
        field: the field from frame to reference, float32 (h, w, 2), cells of `back`'s grid.
        back: the flow from reference to frame, float32 (H, W, 2), cells, with H : W as h : w.
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
    """Collect the evidence for and against a chosen field, on a grid of H / EVIDENCE x W / EVIDENCE cells.

    `cycle` and the arguments after it are float32, on h x w cells or on the grid of the evidence.

    Args:
        field: the chosen field, float32 (H, W, 2), cells.
        look: the frame's `appearance`, uint8 (h, w, 4), h = H / CHOICE, w = W / CHOICE.
        reference: the reference's `appearance`, uint8 (h, w, 4).
        face: the landmark field; None without a face.
        cycle: `Evidence.cycle`.
        mixed: `Evidence.apart`.
        parts: result of `parts_of`; 0 without a face.
        off_scene: `Evidence.off_scene`.
        off_guided: `Evidence.off_guided`.
    """
    h, w = look.shape[:2]
    here = cv2.resize(field, (w, h), interpolation=cv2.INTER_AREA)
    there = sample(reference, cv2.scaleAdd(here, 1 / CHOICE, pixel_grid(h, w)))
    size = w * CHOICE // EVIDENCE, h * CHOICE // EVIDENCE

    def shrunk(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return cv2.resize(values, size, interpolation=cv2.INTER_AREA)

    validity = inside = np.zeros(size[::-1], np.float32)
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
    """Select the points of a ring from points (478, 2), as OpenCV coordinates with `BITS` fractional bits."""
    return np.rint(points[list(ring)] * (1 << BITS)).astype(np.int32)


def drawn_parts(points: Float, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Draw lips, eyes and brows of points (478, 2) in pixels, filled with 255: uint8 (h, w)."""
    drawn = np.zeros(size, np.uint8)
    for ring in (topo.LIPS, topo.RIGHT_EYE, topo.LEFT_EYE, topo.RIGHT_BROW, topo.LEFT_BROW):
        cv2.fillPoly(drawn, [corners(points, ring)], 255, 8, BITS)
    return drawn


def parts_of(landmarks: Landmarks, region: Region, size: int, part: Part | None = None) -> Float:
    """Mask of lips, eyes and brows, where landmarks are preferred to flow: float32 (h, w), [0, 1].

    Args:
        landmarks: landmarks of the frame.
        region: the frame's region.
        size: cells on a side of its grid.
        part: the cells of that grid to compute; all when None.
    """
    part = part or Part(0, 0, size, size)
    points = region.to_grid(landmarks.points[:, :2], size) - np.array([part.x, part.y], np.float32)
    x0, y0, x1, y1 = landmarks.box
    face = max(x1 - x0, y1 - y0) * size / region.side
    drawn = drawn_parts(points, part.shape)
    cv2.polylines(drawn, [corners(points, topo.OVAL)], True, 100, 1, 8, BITS)
    reach = max(3, int(face * 0.05)) | 1
    drawn = cv2.dilate(drawn, np.ones((reach, reach), np.uint8))
    return np.asarray(cv2.blur(drawn, (reach, reach)).astype(np.float32) / 255, np.float32)
