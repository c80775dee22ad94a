"""Separates an edit from the noise of saving a picture.

A file that went through JPEG, WebP, resampling or an editor's dithering differs from its reference nearly
everywhere. The difference is larger beside edges than on a plain wall, and smaller after averaging. The noise
floor is therefore measured on the picture itself, by texture and by scale, from the smaller differences of
each kind of place. What stands out above the floor at some scale is an edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image
from reference.edits.saving.codec import Coding
from reference.edits.saving.faint import averaged, completed, unit_of, without_specks

BLOCK = 8  # side of the blocks in which a picture stored without loss is recognised, pixels
EDGE = 8  # step between neighbours from which lossy saving would be visible in a block, levels
UNTOUCHED = 0.3  # share of the blocks with an edge that are exactly equal in a lossless file only
FLAT = 0.5  # texture below which a place tells nothing about the noise, levels
SCALES_PX = (0.0, 1.0, 2.2, 4.5, 9.0)  # standard deviations of the averages, pixels at 512
BINS = 10  # number of kinds of places, by texture
SEEDS = (12.0, 9.0, 7.0, 7.0, 7.0)  # by scale: some place of an edit exceeds so many floors ...
SEED_LEVELS = ((6.0, 6.0), (3.5, 3.5), (2.0, 2.0), (2.0, 1.5), (2.0, 1.5))  # ... and levels (luma, chroma)
GROW = 3.0  # from there an edit reaches as far as this many noise floors are exceeded ...
GROW_LEVELS = (0.8, 0.7)  # ... and these levels (luma, chroma)
BROAD_AREA = 1000  # at the coarsest scale a place of so many pixels at 512 is an edit ...
BROAD, BROAD_LEVELS = (
    3.5,
    1.2,
)  # ... if it exceeds so many floors and levels in the mean, all channels together
ALONE, BROAD_ALONE = 0.93, 1.8  # one of luma and chroma alone needs these levels: saving changes it, too
RING_FROM = 5.0  # a change above so many floors rings ...
RINGS = ((0.08, 8), (0.25, 3))  # ... by such shares of it within so many pixels
CLIPPED, ONE_SIDED = 5, 0.8  # near black and white noise is clipped; its mean moves by this share of it
DOUBT = np.array([1.0, 0.5, 0.5], np.float32)  # share of the doubt that luma and chroma have
PERCENTILES = (50.0, 75.0, 80.0)  # of the noise, by round; what was found is left out of the next round
ROUNDING = 0.35  # standard deviation of rounding to whole levels
SPREAD_PX, RIM_PX = (
    9,
    2,
)  # margin of what was found: left out of the floor, pixels at 512; left out of averages, pixels
SAMPLES = 50_000  # number of pixels on which the floor is measured
FEWEST = 40  # least number of pixels of a kind on which its floor is measured
CAP_QUALITY = 25  # JPEG quality whose noise caps the floor; more is an edit of the whole picture
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)


def stored_exactly(reference: Image, difference: npt.NDArray[np.uint8]) -> bool:
    """Whether an edited picture was stored without loss, so that its levels are exact.

    This is so if enough of its textured blocks are unchanged.

    Args:
        reference: RGB uint8 (H, W, 3).
        difference: largest absolute difference over the channels, uint8 (H, W).
    """
    h, w = (side // BLOCK * BLOCK for side in difference.shape)
    if min(h, w) == 0:
        return True
    touched = _blocks(difference[:h, :w]).max(axis=(1, 3)) > 0
    green = reference[..., 1]  # stands for luma: only its steps are asked for
    steps = np.zeros((h, w), np.uint8)
    steps[:, 1:] = cv2.absdiff(np.ascontiguousarray(green[:h, 1:w]), np.ascontiguousarray(green[:h, : w - 1]))
    asked = _blocks(steps).max(axis=(1, 3)) >= EDGE
    if asked.mean() < 0.01:
        asked = np.ones_like(asked)
    return float(np.mean(~touched[asked])) >= UNTOUCHED


def _blocks(plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    h, w = plane.shape
    return plane.reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK)


def stands_out(
    reference: Image,
    residual: Float,
    valid: Bool | None = None,
    doubt: Float | None = None,
    coding: Coding | None = None,
    *,
    broad: bool = False,
) -> Bool:
    """Finds where a difference is an edit and not the noise of saving.

    Args:
        reference: RGB uint8 (H, W, 3).
        residual: edited - reference, levels, float32 (H, W, 3).
        valid: where the edited picture shows the reference, bool (H, W); everywhere when None.
        doubt: a difference that resampling may have made and that is subtracted, levels, float32 (H, W); 0
            when None.
        coding: what saving changed, which is left out of `residual` already. None if nothing was left out.
        broad: whether a faint change of a large area counts, see `_broad`. A tone of the whole picture must
            have been taken out before.

    Returns:
        bool (H, W).
    """
    inside = np.ones(reference.shape[:2], np.bool_) if valid is None else valid
    found = np.zeros_like(inside)
    if not inside.any():
        return found
    ycc = residual @ _TO_YCC.T
    edited = np.clip(reference + residual, 0, 255)
    places = _Places.of((reference.astype(np.float32), edited.astype(np.float32)), inside)
    unit = unit_of(reference.shape)
    scales = [scale * unit for scale in SCALES_PX]
    caps = _caps(reference, places, scales)
    coded = _Coded.of(coding, scales)
    clipped = ((edited.min(axis=2) < CLIPPED) | (edited.max(axis=2) > 255 - CLIPPED)).astype(np.float32)
    for percentile in PERCENTILES:
        quiet, found = inside & ~_grown(found, round(SPREAD_PX * unit)), np.zeros_like(inside)
        single = np.zeros_like(ycc)
        for at, (scale, cap) in enumerate(zip(scales, caps, strict=True)):
            left = inside & ~_grown(found, RIM_PX)
            average = averaged(ycc, left, scale)
            trusted = quiet & left
            levels = places.levels(average, trusted if trusted.mean() > 0.02 else left, percentile)
            if coded is not None:
                levels = np.maximum(levels, coded.share * places.levels(coded.noise[at], left, 75.0))
            levels = np.clip(levels, ROUNDING / max(1.0, 3.5 * scale), np.maximum(cap, ROUNDING))
            floor = places.spread(levels)
            if at == 0:
                single = floor
                bias = _rung(ycc, floor)
            else:
                share = cv2.GaussianBlur(clipped, (0, 0), scale)[..., None]
                bias = _rung(ycc, single) + ONE_SIDED * share * single
            if doubt is not None:
                bias = np.maximum(bias, _smooth(doubt, scale)[..., None] * DOUBT)
            if coded is not None:
                bias = np.maximum(bias, coded.doubt[at])
            found |= _coherent(average, floor, bias, left, at, unit if broad else None)
    return without_specks(completed(ycc, found, inside, unit), residual, unit)


@dataclass(frozen=True, eq=False, slots=True)
class _Coded:
    """What saving changed, averaged at each scale.

    Attributes:
        share: share of it that may remain.
        noise: luma and chroma, levels, float32 (H, W, 3).
        doubt: largest amount by which it may be off, luma and chroma, levels, float32 (H, W, 3).
    """

    share: float
    noise: list[Float]
    doubt: list[Float]

    @classmethod
    def of(cls, coding: Coding | None, scales: Sequence[float]) -> _Coded | None:
        """Makes it from a coding; None for none."""
        if coding is None:
            return None
        change, *others = (part @ _TO_YCC.T for part in (coding.change, *coding.others))
        doubts, near = [], np.ones((3, 3), np.uint8)
        for scale in scales:
            doubt = np.zeros_like(change)
            for other in others:
                np.maximum(doubt, cv2.dilate(np.abs(_smooth(other, scale)), near), out=doubt)
            doubts.append(doubt)
        return cls(coding.share, [_smooth(change, scale) for scale in scales], doubts)


def _smooth(values: Float, scale: float) -> Float:
    smooth: Float = cv2.GaussianBlur(values, (0, 0), scale) if scale > 0 else values
    return smooth


def _rung(ycc: Float, floor: Float) -> Float:
    """Ringing around strong changes that lossy saving makes, levels, float32 (H, W, 3)."""
    strong = np.maximum(np.abs(ycc) - RING_FROM * floor, 0)
    rings = [share * cv2.dilate(strong, np.ones((2 * reach + 1,) * 2, np.uint8)) for share, reach in RINGS]
    ring: Float = np.maximum.reduce(rings)
    return ring


@dataclass(frozen=True, eq=False, slots=True)
class _Places:
    """Kinds of places of a reference by texture. For chroma, texture is that of chroma and of luma.

    Attributes:
        texture: float32 (H, W, 2), for luma and for chroma.
        middles: texture at the middle of each kind, float32 (2, BINS).
        kind: kind of each place, uint8 (H, W, 2), below BINS.
        telling: where there is any texture, bool (H, W). Flat white stays white in any format and tells
            nothing.
    """

    texture: Float
    middles: Float
    kind: npt.NDArray[np.uint8]
    telling: Bool

    @classmethod
    def of(cls, pictures: Sequence[Float], inside: Bool) -> _Places:
        """Makes the kinds from the largest texture of several pictures, RGB float32 (H, W, 3).

        The edited picture counts too, because an edit has edges of its own.
        """
        near = np.zeros((*inside.shape, 3), np.float32)
        for picture in pictures:
            ycc = picture @ _TO_YCC.T
            detail = np.abs(ycc - cv2.blur(ycc, (5, 5)))
            detail[..., 0] = cv2.dilate(detail[..., 0], np.ones((9, 9), np.uint8))
            detail[..., 1:] = cv2.dilate(detail[..., 1:], np.ones((15, 15), np.uint8))  # stored at half size
            near = np.maximum(near, cv2.blur(detail, (9, 9)))
        texture = np.stack([near[..., 0], near[..., 1:].max(axis=2) + 0.25 * near[..., 0]], -1)
        telling = inside & (texture[..., 0] > FLAT)
        asked = texture[telling if telling.any() else inside]
        low, high = np.maximum(np.percentile(asked, (1, 99.5), axis=0), 0.1)
        edges = np.geomspace(low, np.maximum(high, 1.01 * low), BINS + 1).T  # (2, BINS + 1)
        kind = np.stack([np.searchsorted(edges[c, 1:-1], texture[..., c], side="right") for c in (0, 1)], -1)
        middles = np.sqrt(edges[:, :-1] * edges[:, 1:])
        return cls(texture, middles.astype(np.float32), kind.astype(np.uint8), telling)

    def levels(self, values: Float, where: Bool, percentile: float) -> Float:
        """Standard deviation of `values`, float32 (H, W, 3), by channel and kind: float32 (3, BINS).

        It is estimated from a percentile of the absolute values at the places `where`.
        """
        told = where & self.telling
        at = np.flatnonzero(told if told.any() else where)
        at = at[:: max(1, at.size // SAMPLES)]
        size = np.abs(values.reshape(-1, 3)[at])
        per_sigma = float(NormalDist().inv_cdf(0.5 + percentile / 200))
        out = np.zeros((3, BINS), np.float32)
        for channel in range(3):
            kind = self.kind[..., min(channel, 1)].ravel()[at]
            groups = np.split(
                size[np.argsort(kind, kind="stable"), channel],
                np.cumsum(np.bincount(kind, minlength=BINS))[:-1],
            )
            known = [k for k, group in enumerate(groups) if group.size >= FEWEST]
            if known:
                held = [np.percentile(groups[k], percentile) / per_sigma for k in known]
                out[channel] = np.interp(np.arange(BINS), known, held)
        return out

    def spread(self, levels: Float) -> Float:
        """Turns levels by channel and kind, (3, BINS), into a smooth picture: float32 (H, W, 3)."""
        channels = []
        for channel in range(3):
            texture, middles = self.texture[..., min(channel, 1)], self.middles[min(channel, 1)]
            beyond = np.maximum(1, texture / max(float(middles[-1]), 1e-3))  # grows on with the texture
            channels.append(np.interp(texture, middles, levels[channel]) * beyond)
        return np.stack(channels, -1).astype(np.float32)


def _caps(reference: Image, places: _Places, scales: Sequence[float]) -> list[Float]:
    """Largest floor at each scale by channel and kind of place: float32 (3, BINS) each."""
    bgr = np.ascontiguousarray(reference[..., ::-1])
    packed = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, CAP_QUALITY])[1]
    again = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    ycc: Float = np.asarray((again.astype(np.float32) - reference) @ _TO_YCC.T, np.float32)
    everywhere = np.ones(reference.shape[:2], np.bool_)
    return [places.levels(averaged(ycc, everywhere, scale), everywhere, 75.0) for scale in scales]


def _coherent(average: Float, floor: Float, bias: Float, left: Bool, at: int, unit: float | None) -> Bool:
    """Finds connected places above the floor that are clearly above it somewhere, or that are broad.

    Args:
        average: the averaged difference at scale `at`, luma and chroma, levels, float32 (H, W, 3).
        floor: its standard deviation where nothing was edited, float32 (H, W, 3).
        bias: subtracted from the absolute average, levels, float32 (H, W, 3).
        left: the pixels that are examined, bool (H, W).
        at: index of the scale.
        unit: pixels per pixel of a picture of 512 pixels. None if broad places do not count.

    Returns:
        bool (H, W).
    """
    size = np.abs(average) - bias
    low = _any(size > np.maximum(GROW * floor, _levels(GROW_LEVELS))) & left
    high = _any(size > np.maximum(SEEDS[at] * floor, _levels(SEED_LEVELS[at]))) & left
    groups, labels = cv2.connectedComponents(low.astype(np.uint8), connectivity=8)
    seeds = np.bincount(labels[high & low], minlength=groups)
    kept = seeds >= max(4.0, 2.0 * SCALES_PX[at] ** 2)
    if unit is not None and at == len(SCALES_PX) - 1:
        kept |= _broad(np.maximum(size, 0), floor, labels, groups, unit)
    kept[0] = False
    return np.asarray(kept[labels], np.bool_)


def _broad(size: Float, floor: Float, labels: npt.NDArray[Any], groups: int, unit: float) -> Bool:
    """Which groups are a faint change of a large area: bool (groups,).

    What saving leaves at the coarsest scale is of one channel, weaker, or smaller.

    Args:
        size: the change less its bias, luma and chroma, levels, float32 (H, W, 3).
        floor: standard deviation of the noise, levels, float32 (H, W, 3).
        labels: number of each pixel's group, (H, W).
        groups: number of groups.
        unit: pixels per pixel of a picture of 512 pixels.
    """
    area = np.bincount(labels.ravel(), minlength=groups)
    wide = area >= BROAD_AREA * unit**2
    if not wide[1:].any():
        return np.zeros(groups, np.bool_)
    levels = np.sqrt((size**2).sum(axis=2))
    noises = np.minimum(np.sqrt(((size / floor) ** 2).sum(axis=2)), 2 * BROAD)
    means = [np.bincount(labels.ravel(), weights=v.ravel(), minlength=groups) for v in (levels, noises)]
    single = [np.bincount(labels.ravel(), weights=size[..., c].ravel(), minlength=groups) for c in range(3)]
    alone = np.max(single, axis=0) >= ALONE * means[0]
    needed = np.where(alone, BROAD_ALONE, BROAD_LEVELS) * area
    return np.asarray(wide & (means[0] >= needed) & (means[1] >= BROAD * area), np.bool_)


def _any(channels: Bool) -> Bool:
    return np.asarray(channels[..., 0] | channels[..., 1] | channels[..., 2], np.bool_)


def _levels(pair: tuple[float, float]) -> Float:
    return np.array([pair[0], pair[1], pair[1]], np.float32)


def _grown(area: Bool, radius: int) -> Bool:
    if radius < 1:
        return area
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(area.astype(np.uint8), kernel) > 0, np.bool_)
