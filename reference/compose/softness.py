"""Measures how much softer a frame is than an edit's reference, so that the edit can be softened alike.

A head in motion or out of focus is blurred, and an edit drawn on a sharp still looks pasted on it. The match
brings the reference onto the frame, on a grid of `CELLS` across the face. The reference is then softened in
steps until its gradients are as weak as the frame's. Many small blocks are compared separately and their
weighted median counts, because closing eyes, a talking mouth or a hand change only a few blocks. Gradients
need no exact place, so a match that errs by a pixel does not count as blur. A turned head is not compared,
because skin that turned away shows less detail.
"""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Box, Float, Image, Landmarks, Match
from correspondence.geometry.grid import rescaled
from reference.compose.blend_weights import centres
from reference.compose.layers import FADED, Softness
from reference.compose.sampling import coarse_values
from reference.edits.mask import smoothstep
from reference.face.view import view_change

CELLS = 128  # largest number of cells across the face
LEAST_STEP = 2  # least side of a cell, pixels: smaller blur cannot be told from noise
BLOCK = 8  # side of a block, cells
LEVELS = (0.5, 0.8, 1.3, 2.0, 3.0, 4.4)  # blurs that are tried, sigma in cells
QUIET = 4.0  # gradient energy of noise, levels squared: blocks with no more do not count
REST = 0.6  # sigma up to which a frame counts as sharp, cells; its square is subtracted from every blur's
LEAST_BLOCKS = 6  # least number of blocks that must count
LEAST_PX = 0.3  # sigma below which a blur changes no level of an 8-bit plane
TURNED_DEG = (10.0, 20.0)  # turn of the head up to which blur counts in full, and from which it does not


class SoftnessMeter:
    """Compares the sharpness of frames with one reference. It is immutable and may be shared by threads.

    Args:
        reference: uint8 (H, W, 3).
        landmarks: landmarks of the reference.
    """

    def __init__(self, reference: Image, landmarks: Landmarks) -> None:
        self._landmarks = landmarks
        luma = cv2.cvtColor(reference, cv2.COLOR_RGB2GRAY)
        step = _step(_around(landmarks))
        size = (max(1, round(luma.shape[1] / step)), max(1, round(luma.shape[0] / step)))
        self._luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        self._shrink = np.array([size[0] / luma.shape[1], size[1] / luma.shape[0]], np.float32)

    def measure(self, frame: Image, match: Match, radius_px: float) -> Softness | None:
        """Measures the blur that makes the reference as soft as the frame.

        Args:
            frame: uint8 (H, W, 3).
            match: the match of the frame with the reference.
            radius_px: error of the match up to which a place is compared, pixels.

        Returns:
            The blur; None if none is needed or it cannot be measured, for example without a face.
        """
        if match.landmarks is None:
            return None
        box = _around(match.landmarks)
        step = _step(box)
        rows, columns = ((box[i + 2] - box[i]) // (step * BLOCK) * BLOCK for i in (1, 0))
        if min(rows, columns) < 2 * BLOCK:
            return None
        box = (box[0], box[1], box[0] + columns * step, box[1] + rows * step)
        values = coarse_values(match, box, (rows, columns))
        at = values[..., :2] + centres(box, (rows, columns))
        x0, y0, x1, y1 = box
        luma = cv2.cvtColor(frame[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
        now = cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
        on_reference = rescaled(at, self._shrink)
        before = cv2.remap(self._luma, on_reference, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        sure = np.exp(-np.exp(_blocks(values[..., 2])) / np.float32(radius_px))
        soft = _compare(now, before, sure)
        if soft is None:
            return None
        turn = np.array(view_change(self._landmarks, match.landmarks).turn_deg, np.float32)
        soft *= 1 - smoothstep(turn, *TURNED_DEG)
        return _on_reference(soft * step, at, step)


def _around(landmarks: Landmarks) -> Box:
    """The compared box: the part of the face's box inside the picture."""
    height, width = landmarks.image_size
    left, top, right, bottom = landmarks.box
    x0, y0 = min(max(0, int(left)), width - 1), min(max(0, int(top)), height - 1)
    return x0, y0, max(x0 + 1, min(width, int(right) + 1)), max(y0 + 1, min(height, int(bottom) + 1))


def _step(box: Box) -> int:
    """Side of the grid's cells over a box, in whole pixels, because means over whole pixels are fast."""
    return max(LEAST_STEP, -(-max(box[2] - box[0], box[3] - box[1]) // CELLS))


def _blocks(values: Float) -> Float:
    """Means over blocks."""
    size = (values.shape[1] // BLOCK, values.shape[0] // BLOCK)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _energy(luma: Float) -> Float:
    """Mean squared gradients along x and y in each block, float32 (2, rows, columns)."""
    x = cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=1 / 8)
    y = cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.stack([_blocks(cv2.multiply(g, g)) for g in (x, y)])


def _compare(now: Float, before: Float, sure: Float) -> Float | None:
    """Sigma along x and y by which `before` must be blurred, cells, float32 (2,); None for none."""
    light = np.clip((_blocks(now) + 4) / (_blocks(before) + 4), 0.5, 2.0) ** 2
    live = _energy(now) + QUIET / 4
    first = _energy(before) * light
    counts = np.where(first > QUIET, sure, np.float32(0))
    if (counts > 0.1).sum(axis=(1, 2)).min() < LEAST_BLOCKS:
        return None
    falls, tried = [], (0.0, *LEVELS)
    for less, sigma in zip((0.0, *tried), tried, strict=False):
        if sigma:
            before = cv2.GaussianBlur(before, (0, 0), np.sqrt(sigma**2 - less**2))
        falls.append(_median(np.log(live / (_energy(before) * light + QUIET / 4)), counts))
        if falls[-1].min() >= 0:  # as soft as the frame along both axes
            break
    rising = np.maximum.accumulate(np.stack(falls), axis=0)
    soft = np.array([np.interp(0.0, fall, tried[: len(falls)]) for fall in rising.T], np.float32)
    soft = np.sqrt(np.maximum(soft**2 - np.float32(REST**2), 0))
    return soft if soft.any() else None


def _median(values: Float, weights: Float) -> Float:
    """Weighted medians of (2, rows, columns) over the blocks, float32 (2,)."""
    flat, weight = values.reshape(2, -1), weights.reshape(2, -1)
    order = np.argsort(flat, axis=1)
    total = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    middle = (total >= total[:, -1:] / 2).argmax(axis=1)
    return np.asarray(flat[np.arange(2), order[np.arange(2), middle]], np.float32)


def _on_reference(sigma: Float, at: Float, step: int) -> Softness | None:
    """Converts a blur along the frame's x and y, pixels, to the reference; None if 8 bits cannot show it."""
    coarse = _blocks(at) / np.float32(BLOCK * step)
    across = np.median(np.diff(coarse, axis=1).reshape(-1, 2), axis=0)
    down = np.median(np.diff(coarse, axis=0).reshape(-1, 2), axis=0)
    there = np.sqrt((sigma[0] * across) ** 2 + (sigma[1] * down) ** 2)
    if there.max() < LEAST_PX:
        return None
    return Softness(float(there[0]), float(there[1]), FADED * float(sigma.max()))
