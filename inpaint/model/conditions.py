"""Drawings that drive a generated frame: face parts, irises, landmarks and shoulders.

Filled regions instead of single points follow VividPortraits (its parsing maps). Here they are drawn from the
478 FaceMesh points, so no parsing network is needed. The face's contour is not drawn, since it reveals the
driver's identity. Left and right parts have the same colours, so a mirrored drawing equals the drawing of a
mirrored face.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Float, Image
from inpaint.model import face_parts as parts
from inpaint.model.face_parts import Ring

SHIFT = 4  # fractional bits of the drawing's coordinates: 1/16 pixel
FILLED: tuple[tuple[tuple[Ring, ...], tuple[int, int, int]], ...] = (  # drawn in this order, red = region
    ((parts.NOSE,), (40, 0, 0)),
    ((parts.RIGHT_BROW,), (80, 0, 0)),
    ((parts.LEFT_BROW,), (80, 0, 0)),
    ((parts.LIPS_OUTER,), (160, 0, 0)),
    ((parts.LIPS_INNER,), (220, 0, 0)),
    ((parts.RIGHT_EYE,), (120, 0, 0)),
    ((parts.LEFT_EYE,), (120, 0, 0)),
)
IRIS_COLOUR = (255, 120, 0)
POINT_VALUE = 255  # green: single landmarks
SHOULDER_VALUE = 255  # blue: the shoulder line
COMPONENTS: tuple[tuple[Ring, ...], ...] = (  # parts that are scaled together, such as an eye and its iris
    (parts.NOSE,),
    (parts.RIGHT_BROW,),
    (parts.LEFT_BROW,),
    (parts.LIPS_OUTER, parts.LIPS_INNER),
    (parts.RIGHT_EYE, parts.RIGHT_IRIS, np.array([parts.IRIS_CENTRES[0]])),
    (parts.LEFT_EYE, parts.LEFT_IRIS, np.array([parts.IRIS_CENTRES[1]])),
)
DRAWN = np.unique(np.concatenate([ring for component in COMPONENTS for ring in component]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingConfig:
    """Ranges for random scaling of the drawn parts, from VividPortraits (section 4.1).

    Attributes:
        part: range of the factor of each part about its own centre.
        face: range of the factor of all parts about the face's centre, which changes their spacing.
    """

    part: tuple[float, float] = (0.8, 1.2)
    face: tuple[float, float] = (0.7, 1.3)

    def __post_init__(self) -> None:
        for name, (low, high) in (("part", self.part), ("face", self.face)):
            if not 0 < low <= high:
                raise ValueError(f"{name} must be a range of positive factors, got {(low, high)}")


VIVID = ScalingConfig()
MILD = ScalingConfig(part=(0.9, 1.1), face=(0.85, 1.15))
NO_SCALING = ScalingConfig(part=(1.0, 1.0), face=(1.0, 1.0))


def random_scaling(points: Float, rng: np.random.Generator, config: ScalingConfig = VIVID) -> Float:
    """Scale the parts of a face and their spacing at random, keeping expression and head pose.

    As in VividPortraits (section 4.1), each part is scaled about its own centre. Then the whole face is
    scaled about the centre of its parts, which does not move. Points of no part follow the face's factor.

    Args:
        points: float32 (478, 2 or 3), pixels. It is not changed.
        rng: draws one factor for each part and one for the face, uniformly.
        config: the ranges.

    Returns:
        The scaled points, float32 of the same shape. z does not change.
    """
    scaled = points.copy()
    for component in COMPONENTS:
        members = np.concatenate(component)
        centre = points[component[0], :2].mean(axis=0)
        factor = rng.uniform(*config.part)
        scaled[members, :2] = centre + factor * (points[members, :2] - centre)
    middle = points[DRAWN, :2].mean(axis=0)
    scaled[:, :2] = middle + rng.uniform(*config.face) * (scaled[:, :2] - middle)
    return np.asarray(scaled, np.float32)


def estimate_shoulders(points: Float) -> Float:
    """Estimate the shoulders from the face alone, as a horizontal line below the chin.

    The line is 0.55 face heights below the chin and 2.4 face heights wide, centred under the face (adult
    proportions). It does not turn with the head. A pose estimate is better if there is one.

    Args:
        points: float32 (478, 2 or 3), pixels.

    Returns:
        The picture's left and right shoulder, float32 (2, 2), pixels. They may lie outside the picture.
    """
    oval = points[parts.OVAL, :2]
    height = float(np.linalg.norm(points[parts.FOREHEAD, :2] - points[parts.CHIN, :2]))
    x, y = float(oval[:, 0].mean()), float(oval[:, 1].max()) + 0.55 * height
    return np.array([(x - 1.2 * height, y), (x + 1.2 * height, y)], np.float32)


def draw_conditions(points: Float | None, size: tuple[int, int], shoulders: Float | None = None) -> Image:
    """Draw the driving picture of one frame.

    Args:
        points: landmarks in pixels of the drawing, float32 (478, 2 or 3). None or values that are not finite
            mean no face and give an empty drawing.
        size: (H, W) of the drawing.
        shoulders: float32 (2, 2), pixels; None to estimate them from the face.

    Returns:
        The drawing, uint8 (H, W, 3). Red holds the filled parts, each with its own value; green the irises
        and single landmarks; blue the shoulder line.
    """
    h, w = size
    drawing = np.zeros((h, w, 3), np.uint8)
    if points is None or not np.isfinite(points[:, :2]).all():
        return drawing
    fixed = np.rint(points[:, :2] * (1 << SHIFT)).astype(np.int32)
    for rings, colour in FILLED:
        cv2.fillPoly(drawing, [fixed[r] for r in rings], colour, cv2.LINE_AA, SHIFT)
    for iris, centre in zip((parts.RIGHT_IRIS, parts.LEFT_IRIS), parts.IRIS_CENTRES, strict=True):
        radius = float(np.linalg.norm(points[iris, :2] - points[centre, :2], axis=1).mean())
        steps = max(1, round(radius * (1 << SHIFT)))
        cv2.circle(drawing, fixed[centre].tolist(), steps, IRIS_COLOUR, -1, cv2.LINE_AA, SHIFT)
    green, blue = np.zeros((h, w), np.uint8), np.zeros((h, w), np.uint8)
    inside = np.rint(points[DRAWN, :2]).astype(int)
    inside = inside[((inside >= 0) & (inside < (w, h))).all(axis=1)]
    green[inside[:, 1], inside[:, 0]] = POINT_VALUE
    line = estimate_shoulders(points) if shoulders is None else shoulders
    ends = np.rint(np.clip(line, -4 * max(h, w), 4 * max(h, w)) * (1 << SHIFT)).astype(np.int32)
    thickness = max(1, round(h / 64))
    cv2.line(blue, ends[0].tolist(), ends[1].tolist(), SHOULDER_VALUE, thickness, cv2.LINE_AA, SHIFT)
    drawing[..., 1] = np.maximum(drawing[..., 1], green)
    drawing[..., 2] = np.maximum(drawing[..., 2], blue)
    return drawing


def person_mask(points: Float | None, size: tuple[int, int], shoulders: Float | None = None) -> Float:
    """Draw a rough mask of the person: a head outline around the face, and a trunk under the shoulder line.

    The mask separates identity from background in the conditioning (VividPortraits section 4.2) if there is
    no segmentation.

    Args:
        points: landmarks, see `draw_conditions`.
        size: (H, W) of the mask.
        shoulders: float32 (2, 2), pixels; None to estimate them from the face.

    Returns:
        The mask, float32 (H, W), 1 on the person. Without a face it is 1 everywhere.
    """
    h, w = size
    if points is None or not np.isfinite(points[:, :2]).all():
        return np.ones(size, np.float32)
    mask = np.zeros(size, np.uint8)
    oval = points[parts.OVAL, :2]
    centre = oval.mean(axis=0)
    head = centre + (oval - centre) * np.array([1.5, 1.75], np.float32)  # hair and ears
    left, right = estimate_shoulders(points) if shoulders is None else shoulders
    chin = points[parts.CHIN, :2]
    trunk = np.array([chin, right, (right[0], h + 1), (left[0], h + 1), left], np.float32)
    for polygon in (head, trunk):
        fixed = np.clip(polygon, -4 * max(h, w), 4 * max(h, w)) * (1 << SHIFT)
        cv2.fillPoly(mask, [np.rint(fixed).astype(np.int32)], 255, cv2.LINE_AA, SHIFT)
    return np.asarray(mask, np.float32) / np.float32(255)


def expressive_weight(points: Float | None, size: tuple[int, int], gain: float = 1.0) -> Float:
    """Compute the loss weight of each pixel: 1 + `gain` on eyes and mouth, 1 elsewhere (Anchored Diffusion).

    Args:
        points: landmarks, see `draw_conditions`.
        size: (H, W) of the picture.
        gain: the paper's lambda, which is 1 there.

    Returns:
        The weights, float32 (H, W).
    """
    weight = np.ones(size, np.float32)
    if points is None or not np.isfinite(points[:, :2]).all():
        return weight
    for ring in parts.EXPRESSIVE.values():
        outline = points[ring, :2]
        centre = outline.mean(axis=0)
        grown = centre + 1.3 * (outline - centre)  # the lids and the lips' rim belong to the expression
        cv2.fillConvexPoly(weight, cv2.convexHull(np.rint(grown).astype(np.int32)), 1.0 + gain)
    return weight
