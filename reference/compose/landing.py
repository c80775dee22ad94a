"""Finds by landmarks alone where in a frame an edit can land, before any field is read."""

from __future__ import annotations

import numpy as np

from correspondence import Box, Float, Landmarks
from correspondence.face.mesh import affine
from reference.compose.blend_weights import centres
from reference.face.parts import face_size

HEAD_REACH = 0.35  # distance from the face's box within which things move with the head, face sizes


def landing_box(
    box: Box,
    reference: Landmarks | None,
    frame: Landmarks | None,
    reference_size: tuple[int, int],
    frame_size: tuple[int, int],
) -> Box | None:
    """Finds the box of a frame that contains every place where an edit can appear.

    On the head, the affine map between the two sets of landmarks carries the edit's box. The landmarks near
    the box and the residual of the map widen it. What lies off the head may also have stayed in place.
    Without landmarks, or for an edit on more than half of the picture, the box is the whole frame.

    Args:
        box: a box of the edit on the reference, (x0, y0, x1, y1), pixels.
        reference, frame: landmarks of the reference and of the frame.
        reference_size, frame_size: (H, W) of both.

    Returns:
        Box (x0, y0, x1, y1) inside the frame, pixels; None if it lies outside the frame.
    """
    h, w = frame_size
    rh, rw = reference_size
    x0, y0, x1, y1 = box
    if reference is None or frame is None or (x1 - x0) * (y1 - y0) > 0.5 * rh * rw:
        return 0, 0, w, h
    source, target = reference.points[:468, :2], frame.points[:468, :2]
    motion = affine(source, target)
    corners = np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)], np.float64)
    places = [corners @ motion[:, :2].T + motion[:, 2]]
    reach = 0.1 * face_size(reference)
    near = ((source >= (x0 - reach, y0 - reach)) & (source <= (x1 + reach, y1 + reach))).all(axis=1)
    margin = 0.06 * face_size(frame) + 4
    if near.any():
        places.append(target[near].astype(np.float64))
        margin += float(np.abs(source[near] @ motion[:, :2].T + motion[:, 2] - target[near]).max())
    if leaves_head(box, reference):
        places.append(corners * (w / rw, h / rh))
        margin += 0.05 * min(h, w)
    return _clip(np.concatenate(places).astype(np.float32), margin, frame_size)


def leaves_head(box: Box, landmarks: Landmarks) -> bool:
    """Whether a box of a picture reaches beyond the area that moves with the head."""
    left, top, right, bottom = landmarks.box
    reach = HEAD_REACH * face_size(landmarks)
    x0, y0, x1, y1 = box
    return x0 < left - reach or y0 < top - reach or x1 > right + reach or y1 > bottom + reach / 3


def _clip(points: Float, margin: float, size: tuple[int, int]) -> Box | None:
    h, w = size
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    x0, y0 = max(0, int(np.floor(low[0]))), max(0, int(np.floor(low[1])))
    x1, y1 = min(w, int(np.ceil(high[0])) + 1), min(h, int(np.ceil(high[1])) + 1)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def near_head(landmarks: Landmarks, box: Box, cells: tuple[int, int]) -> Float:
    """Marks the cells on and around the head, where a look of the whole picture is judged.

    The rest of the picture hardly changes.

    Args:
        landmarks: landmarks of the frame.
        box: a box of the frame, (x0, y0, x1, y1), pixels.
        cells: rows and columns of an even grid over the box.

    Returns:
        float32 (rows, columns), 1 near the head, else 0.
    """
    at = centres(box, cells)
    reach = HEAD_REACH * face_size(landmarks)
    x0, y0, x1, y1 = landmarks.box
    inside = (at >= (x0 - reach, y0 - reach)).all(axis=2) & (at <= (x1 + reach, y1 + reach)).all(axis=2)
    return np.asarray(inside, np.float32)
