"""Converts the fills of keyframes to jobs for a `Filler`: one for a hole, one for a gap."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Float, Image, Landmarks
from inpaint import FillContext
from inpaint.fills.jobs import GapJob, MaskedJob
from inpaint.looks.learned import LearnedLook
from reference import FillHint
from reference.keyframes.drawn import KeyframeGap, Posed


def masked_job(image: Image, mask: Float, hint: FillHint, look: LearnedLook | None = None) -> MaskedJob:
    """Make a job for a `Filler` from a keyframe's fill (see `reference.keyframes.drawn.KeyframeFill`).

    Args:
        image, mask, hint: the arguments of the fill.
        look: paints a look of the whole picture; None for the filler's own method.
    """
    context = FillContext(
        landmarks=hint.landmarks,
        reference=hint.reference,
        reference_landmarks=hint.reference_landmarks,
        live=hint.live,
    )
    return MaskedJob(image=image, mask=mask, context=context, look=look)


def gap_job(gap: KeyframeGap) -> GapJob:
    """Make a job for a `Filler` from a gap between keyframes (`reference.keyframes.drawn.KeyframeGap`)."""
    size = (gap.frames[0][0].shape[0], gap.frames[0][0].shape[1])
    start, end = (fitted(posed, size) for posed in gap.ends)
    shown = (start, *gap.frames, end)
    return GapJob(
        references={0: start[0], len(shown) - 1: end[0]},
        landmarks={n: landmarks for n, (_, landmarks) in enumerate(shown)},
        bases={n: (shown[n][0], hole) for n, hole in enumerate(gap.holes, 1)},
    )


def fitted(posed: Posed, size: tuple[int, int]) -> Posed:
    """Fit a picture and its landmarks into a frame of another size: centred, as large as fits, not stretched.

    Args:
        posed: the picture, uint8 (h, w, 3), and the landmarks of its face.
        size: height and width of the frame.

    Returns:
        The picture, uint8 (H, W, 3), padded by its repeated border, and its landmarks in the frame's pixels.
    """
    (image, landmarks), (height, width) = posed, size
    h, w = image.shape[:2]
    if (h, w) == size:
        return posed
    scale = min(height / h, width / w)
    inner = (max(1, round(scale * h)), max(1, round(scale * w)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(image, inner[::-1], interpolation=way)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    sides = (top, height - inner[0] - top, left, width - inner[1] - left)
    fitted = np.asarray(cv2.copyMakeBorder(small, *sides, cv2.BORDER_REPLICATE), np.uint8)
    if landmarks is None:
        return fitted, None
    scales = np.array([inner[1] / w, inner[0] / h, scale], np.float32)
    half = np.array([0.5, 0.5, 0], np.float32)  # z has no pixel centres
    points = (landmarks.points + half) * scales - half + np.array([left, top, 0], np.float32)
    return fitted, Landmarks(points.astype(np.float32), size)
