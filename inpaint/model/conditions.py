"""What drives a generated frame: face parts, irises, landmarks and shoulders drawn as a picture.

Filled regions instead of bare points are VividPortraits' idea (its parsing maps); here they are drawn from
the 478 FaceMesh points, so no parsing network is needed. The face's contour is left out, since it tells
who the driver is. Left and right parts share their colours: a mirrored drawing is the drawing of a mirrored
face.
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
COMPONENTS: tuple[tuple[Ring, ...], ...] = (  # what is scaled as one: an eye takes its iris along
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
    """Random scaling of the drawn parts; the ranges are VividPortraits' (section 4.1)."""

    part: tuple[float, float] = (0.8, 1.2)  # each part about its own centre
    face: tuple[float, float] = (0.7, 1.3)  # all of them about the face's centre: their spacing

    def __post_init__(self) -> None:
        for name, (low, high) in (("part", self.part), ("face", self.face)):
            if not 0 < low <= high:
                raise ValueError(f"{name} must be a range of positive factors, got {(low, high)}")


VIVID = ScalingConfig()
MILD = ScalingConfig(part=(0.9, 1.1), face=(0.85, 1.15))
NO_SCALING = ScalingConfig(part=(1.0, 1.0), face=(1.0, 1.0))


def random_scaling(points: Float, rng: np.random.Generator, config: ScalingConfig = VIVID) -> Float:
    """Points whose parts are resized and respaced at random, expression and head pose kept.

    VividPortraits section 4.1: each part is scaled about its own centre, then the whole face about the
    centre of its parts, which stays where it is. Points of no part follow the face's factor.

    Args:
        points: float32 (478, 2 or 3), pixels; not changed.
        rng: draws one factor a part and one for the face, uniformly.
        config: the ranges.

    Returns:
        float32, same shape; z is left alone.
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
    """Where the shoulders probably are, from the face alone: a level line below the chin.

    The line lies 0.55 face heights under the chin and is 2.4 face heights wide, centred under the face
    (adult proportions); it does not turn with the head. A pose estimate is better where there is one.

    Args:
        points: float32 (478, 2 or 3), pixels.

    Returns:
        float32 (2, 2): the picture's left and right shoulder, pixels; may lie outside the picture.
    """
    oval = points[parts.OVAL, :2]
    height = float(np.linalg.norm(points[parts.FOREHEAD, :2] - points[parts.CHIN, :2]))
    x, y = float(oval[:, 0].mean()), float(oval[:, 1].max()) + 0.55 * height
    return np.array([(x - 1.2 * height, y), (x + 1.2 * height, y)], np.float32)


def draw_conditions(points: Float | None, size: tuple[int, int], shoulders: Float | None = None) -> Image:
    """The driving picture of one frame.

    Args:
        points: float32 (478, 2 or 3) in pixels of `size` (scale them first); None, or with values that
            are not finite: no face, an empty drawing.
        size: (H, W) of the drawing.
        shoulders: float32 (2, 2), pixels; estimated from the face where None.

    Returns:
        uint8 (H, W, 3). Red: filled parts, one value each; green: irises and single landmarks; blue: the
        shoulder line.
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
    """Roughly where the person is: a head outline around the face and a trunk under the shoulder line.

    Separates identity from background in the conditioning (VividPortraits section 4.2) where no
    segmentation is at hand.

    Args:
        points: as in `draw_conditions`.
        size: (H, W).
        shoulders: float32 (2, 2), pixels; estimated where None.

    Returns:
        float32 (H, W), 1 on the person; all 1 without a face.
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
    """Loss weight of each pixel: 1 + `gain` on eyes and mouth, 1 elsewhere (Anchored Diffusion).

    Args:
        points: as in `draw_conditions`.
        size: (H, W).
        gain: the paper's lambda, 1 there.

    Returns:
        float32 (H, W).
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
