"""Seeded pairs with known fields: a picture warped, relit, degraded and partly covered.

The frame is made from the reference by a backward warp, frame(x) = reference(x + field(x)). So the field is
the truth, to the precision of bilinear sampling, and whatever is pasted over the frame afterwards is
occlusion. The matcher is trained on another generator (`correspondence.training.synthetic`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Bool, Float, Image


@dataclass(frozen=True, slots=True, eq=False)
class TruthPair:
    """A frame and its reference with the true field.

    Attributes:
        frame, reference: uint8 (H, W, 3).
        field: float32 (H, W, 2), frame to reference, pixels.
        visible: bool (H, W): the pixel shows something that the reference shows too.
        occluded: bool (H, W): the pixel is covered by something the reference does not show.
    """

    frame: Image
    reference: Image
    field: Float
    visible: Bool
    occluded: Bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthConfig:
    """How much a frame differs from its reference. Lengths are in pixels of a 512-pixel picture."""

    rotation_deg: float = 8.0
    scale: float = 0.15  # 1 - scale ... 1 + scale
    shift_px: float = 24.0
    bend_px: tuple[float, float] = (3.0, 14.0)  # standard deviation of the smooth warp
    occluders: tuple[int, int] = (1, 3)
    gain: float = 0.15
    noise: float = 3.0  # standard deviation, grey levels
    jpeg_quality: tuple[int, int] = (50, 95)


def smooth_noise(size: tuple[int, int], cells: int, rng: np.random.Generator) -> Float:
    """Smooth noise of unit scale, float32 (H, W, 2), from a cells x cells grid of normal draws."""
    grid = rng.normal(size=(cells + 2, cells + 2, 2)).astype(np.float32)
    return cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


def random_field(size: tuple[int, int], config: TruthConfig, rng: np.random.Generator) -> Float:
    """A similarity about the centre plus a smooth bend, float32 (H, W, 2), pixels."""
    h, w = size
    unit = min(h, w) / 512
    angle = np.deg2rad(rng.uniform(-config.rotation_deg, config.rotation_deg))
    scale = rng.uniform(1 - config.scale, 1 + config.scale)
    shift = rng.uniform(-config.shift_px, config.shift_px, 2) * unit
    y, x = np.mgrid[:h, :w].astype(np.float32)
    x, y = x - (w - 1) / 2, y - (h - 1) / 2
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    similarity = np.stack([cos * x - sin * y - x + shift[0], sin * x + cos * y - y + shift[1]], axis=-1)
    bend = rng.uniform(*config.bend_px) * unit * smooth_noise(size, int(rng.integers(3, 7)), rng)
    return (similarity + bend).astype(np.float32)


def occluder_mask(size: tuple[int, int], rng: np.random.Generator) -> Bool:
    """A blob with fingers: an ellipse and up to four thick strokes from it, bool (H, W)."""
    h, w = size
    unit = min(h, w)
    mask = np.zeros(size, np.uint8)
    centre = rng.uniform([0.2 * w, 0.2 * h], [0.8 * w, 0.8 * h])
    axes = rng.uniform(0.05, 0.12, 2) * unit
    turn = rng.uniform(0, 360)
    cv2.ellipse(mask, (tuple(centre), tuple(2 * axes), turn), 1, -1)
    for _ in range(int(rng.integers(0, 5))):
        direction = np.deg2rad(turn + rng.normal(0, 25))
        end = centre + rng.uniform(0.1, 0.25) * unit * np.array([np.cos(direction), np.sin(direction)])
        width = int(rng.uniform(0.015, 0.035) * unit)
        cv2.line(mask, tuple(map(int, centre)), tuple(map(int, end)), 1, max(width, 1))
    return mask.astype(bool)


def relight(image: Image, config: TruthConfig, rng: np.random.Generator) -> Image:
    """Another exposure, a light gradient, sensor noise and JPEG."""
    h, w = image.shape[:2]
    gain = rng.uniform(1 - config.gain, 1 + config.gain)
    slope = rng.uniform(-0.1, 0.1, 2)
    y, x = np.mgrid[:h, :w] / (min(h, w) - 1) - 0.5
    light = gain * (1 + slope[0] * x + slope[1] * y)
    lit = image * light[..., None] + rng.normal(0, config.noise * rng.random(), image.shape)
    quality = int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1))
    _, packed = cv2.imencode(
        ".jpg", np.clip(lit, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def truth_pair(
    reference: Image, texture: Image, rng: np.random.Generator, config: TruthConfig | None = None
) -> TruthPair:
    """One pair: `reference` warped, covered with blobs of `texture`, relit.

    Args:
        reference: uint8 (H, W, 3).
        texture: uint8, any size; what the occluders are made of.
        rng: all randomness.
        config: the ranges.
    """
    config = config or TruthConfig()
    h, w = reference.shape[:2]
    field = random_field((h, w), config, rng)
    y, x = np.mgrid[:h, :w].astype(np.float32)
    at_x, at_y = x + field[..., 0], y + field[..., 1]
    frame = cv2.remap(reference, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    inside = (at_x >= 0) & (at_x <= w - 1) & (at_y >= 0) & (at_y <= h - 1)

    occluded = np.zeros((h, w), bool)
    for _ in range(int(rng.integers(config.occluders[0], config.occluders[1] + 1))):
        occluded |= occluder_mask((h, w), rng)
    cover = cv2.flip(cv2.resize(texture, (w, h), interpolation=cv2.INTER_AREA), int(rng.integers(-1, 2)))
    cover = np.roll(cover, rng.integers(0, (h, w)), axis=(0, 1))
    soft = cv2.GaussianBlur(occluded.astype(np.float32), (0, 0), 0.8)[..., None]
    frame = np.round(frame * (1 - soft) + cover * soft).astype(np.uint8)
    return TruthPair(relight(frame, config, rng), reference, field, inside & ~occluded, occluded)


def truth_pairs(
    pictures: Sequence[Image], seed: int = 0, config: TruthConfig | None = None
) -> Iterator[TruthPair]:
    """A pair for each of `pictures`, its occluders cut from the next one; the same for the same seed.

    Raises:
        ValueError: fewer than two pictures.
    """
    if len(pictures) < 2:
        raise ValueError(f"occluders come from another picture: at least 2 are needed, got {len(pictures)}")
    for i, picture in enumerate(pictures):
        yield truth_pair(picture, pictures[(i + 1) % len(pictures)], np.random.default_rng([seed, i]), config)
