"""The weights of an edit on a frame: mask, light gain and trust on a coarse grid over a box of the frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from correspondence import Box, Float, Image
from correspondence.geometry.grid import rescaled
from reference.compose.layers import Softness
from reference.compose.live import Areas
from reference.edits.mask import smoothstep

COARSE_SIGMA = 4.0  # sigma in cells from which a blur is computed on a grid of half the size


@dataclass(frozen=True, slots=True, eq=False)
class LandingGrid:
    """Where an edit lands and how sure its place is, on a coarse grid over a box of the frame.

    Attributes:
        mask: the warped mask where the frame does not stay live, float32 (rows, columns), [0, 1].
        log_b: natural log of the match's Laplace scale, float32 (rows, columns), pixels.
    """

    mask: Float
    log_b: Float


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Slowly varying weights on a coarse grid (rows, columns) over a box of the frame.

    Attributes:
        box: a box of the frame, (x0, y0, x1, y1), pixels.
        mask: the warped mask, widened, float32 (rows, columns), [0, 1].
        gain: light gain, float32 (rows, columns, 3).
        trust: how much of the edit is shown, float32 (rows, columns), [0, 1].
        coverage: share of the edited area that is trusted, [0, 1].
        seen: mask and log_b by which references are chosen.
        softness: blur of the edit; None if the frame is as sharp as the reference.
    """

    box: Box
    mask: Float
    gain: Float
    trust: Float
    coverage: float
    seen: LandingGrid
    softness: Softness | None = None

    @property
    def reach(self) -> float:
        """Distance that the blurred edit reaches beyond its mask, pixels of the frame."""
        return 0.0 if self.softness is None else self.softness.reach

    def cut(self, box: Box) -> Weights:
        """Returns the weights over a part of the box."""
        if box == self.box:
            return self
        rows, columns = self.mask.shape
        step_x, step_y = (self.box[2] - self.box[0]) / columns, (self.box[3] - self.box[1]) / rows
        size = (max(1, round((box[3] - box[1]) / step_y)), max(1, round((box[2] - box[0]) / step_x)))
        from_box = (box[0] - self.box[0], box[1] - self.box[1], box[2] - self.box[0], box[3] - self.box[1])
        at = rescaled(centres(from_box, size), np.array([1 / step_x, 1 / step_y], np.float32))
        gain, trust, mask = (
            cv2.remap(x, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for x in (self.gain, self.trust, self.mask)
        )
        return replace(self, box=box, mask=mask, gain=gain, trust=trust)


def centres(box: Box, size: tuple[int, int]) -> Float:
    """x and y of the cells' centres of an even grid over a box, float32 (rows, columns, 2), pixels."""
    x0, y0, x1, y1 = box
    rows, columns = size
    x = (np.arange(columns) + 0.5) * ((x1 - x0) / columns) + (x0 - 0.5)
    y = (np.arange(rows) + 0.5) * ((y1 - y0) / rows) + (y0 - 0.5)
    out = np.empty((rows, columns, 2), np.float32)
    out[..., 0], out[..., 1] = x, y[:, None]
    return out


def light_gain(now: Image, before: Image, confidence: Float, sigma: float, rest: float) -> Float:
    """Computes how much brighter each channel of the frame is than that of the reference.

    Args:
        now, before: the frame and the warped reference on a coarse grid, uint8 (rows, columns, 3).
        confidence: confidence of the match, float32 (rows, columns), [0, 1].
        sigma: standard deviation of the neighbourhood that sets the gain, cells.
        rest: log of the gain below which light counts as unchanged; from 3 times this value on the gain
            counts in full.

    Returns:
        The gain, float32 (rows, columns, 3).
    """
    sure = confidence + np.float32(1e-3)
    weighted = cv2.merge([sure, sure, sure])
    seen = cv2.multiply(now, weighted, dtype=cv2.CV_32F), cv2.multiply(before, weighted, dtype=cv2.CV_32F)
    live, past = (_blurred(x, sigma) for x in (cv2.merge([*cv2.split(seen[0]), sure]), seen[1]))
    *planes, sure = cv2.split(live)
    lit, dark = cv2.merge(planes), cv2.merge([4 * sure] * 3)  # dark: noise in dark places is no light
    change = np.log(cv2.divide(cv2.add(lit, dark), cv2.add(past, dark)))
    change *= smoothstep(np.abs(change), rest, 3 * rest)
    return np.asarray(np.exp(change), np.float32)


def _blurred(values: Float, sigma: float) -> Float:
    """Blurs a grid by a Gaussian. A wide one is computed on a grid of half the size, which loses nothing."""
    rows, columns = values.shape[:2]
    if sigma < COARSE_SIGMA or min(rows, columns) < 8:
        return np.asarray(
            cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32
        )
    small = cv2.resize(values, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / 2, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def less_live(mask: Float, areas: Areas, box: Box) -> Float:
    """Reduces a mask on an even grid over a box by the areas that stay live, float32 (rows, columns)."""
    rows, columns = mask.shape
    step = ((box[2] - box[0]) / columns, (box[3] - box[1]) / rows)
    out: Float = mask.copy()
    for (x0, y0, x1, y1), share in areas:
        x = ((np.arange(columns) + 0.5) * step[0] + box[0]).astype(np.intp)
        y = ((np.arange(rows) + 0.5) * step[1] + box[1]).astype(np.intp)
        across, down = (x >= x0) & (x < x1), (y >= y0) & (y < y1)
        if across.any() and down.any():
            out[np.ix_(down, across)] *= 1 - share[np.ix_(y[down] - y0, x[across] - x0)]
    return out


def union(a: Box | None, b: Box | None) -> Box | None:
    """The smallest box around both boxes; None if both are None."""
    if a is None or b is None:
        return a or b
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def overlap(a: Box, b: Box | None) -> Box | None:
    """The part that both boxes hold; None if there is none."""
    if b is None:
        return None
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def tight(mask: Float, box: Box, beyond: float = 0.0) -> Box | None:
    """Shrinks a box to the cells whose mask, or whose neighbours' mask, is above 0; None if there are none.

    Args:
        mask: float32 (rows, columns), an even grid over the box.
        box: (x0, y0, x1, y1), pixels.
        beyond: further margin inside the box, pixels.
    """
    x, y, w, h = cv2.boundingRect((mask > 0).astype(np.uint8))
    if not w or not h:
        return None
    rows, columns = mask.shape
    x0, y0, x1, y1 = box
    step_x, step_y = (x1 - x0) / columns, (y1 - y0) / rows
    return (
        max(x0, int(x0 + (x - 1) * step_x - beyond)),
        max(y0, int(y0 + (y - 1) * step_y - beyond)),
        min(x1, int(np.ceil(x0 + (x + w + 1) * step_x + beyond))),
        min(y1, int(np.ceil(y0 + (y + h + 1) * step_y + beyond))),
    )
