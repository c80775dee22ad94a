"""Pixel and unit coordinates, and resizing and composition of fields. Pixel centres lie on integers."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]


def check_field(field: Float, name: str = "field") -> tuple[int, int]:
    """Check a field and return its height and width.

    Args:
        field: float32 (H, W, 2).
        name: the name of the field in error messages.

    Raises:
        ValueError: `field` has another dtype or shape, or a side of 0.
    """
    if field.dtype != np.float32:
        raise ValueError(f"{name} must be float32, got {field.dtype}")
    if field.ndim != 3 or field.shape[2] != 2 or 0 in field.shape:
        raise ValueError(f"{name} must have shape (H, W, 2) with H, W >= 1, got {field.shape}")
    return int(field.shape[0]), int(field.shape[1])


@lru_cache(maxsize=32)
def pixel_grid(height: int, width: int) -> Float:
    """Coordinates (x, y) of each pixel centre: float32 (height, width, 2), shared and read-only."""
    grid = np.empty((height, width, 2), np.float32)
    grid[..., 0] = np.arange(width, dtype=np.float32)
    grid[..., 1] = np.arange(height, dtype=np.float32)[:, None]
    grid.setflags(write=False)
    return grid


def shifted(field: Float, by: Float) -> Float:
    """Add (x, y) to all cells of a field, float32 (H, W, 2). Numpy takes up to twenty times as long."""
    return np.asarray(cv2.add(field, (float(by[0]), float(by[1]), 0, 0)), np.float32)


def rescaled(at: Float, scale: Float) -> Float:
    """Convert places in pixels to cells of a grid, both float32 (H, W, 2), whose centres lie on integers.

    `scale` is the number of cells of a pixel along x and along y, (2,).
    """
    x, y = float(scale[0]), float(scale[1])
    cells = cv2.multiply(at, (x, y, 0, 0))
    return np.asarray(cv2.add(cells, (0.5 * x - 0.5, 0.5 * y - 0.5, 0, 0)), np.float32)


def times(values: Float, weight: Float) -> Float:
    """Multiply the planes of values, float32 (H, W, C) with C from 2 to 4, by a weight, float32 (H, W)."""
    return np.asarray(cv2.multiply(values, cv2.merge([weight] * values.shape[2])), np.float32)


def over(values: Float, total: Float) -> Float:
    """Divide the planes of values, as in `times`, by a total that is not 0, float32 (H, W)."""
    return np.asarray(cv2.divide(values, cv2.merge([total] * values.shape[2])), np.float32)


def to_unit(points: Float, size: tuple[int, int]) -> Float:
    """Convert pixels to [-1, 1], with outer pixel *centres* at -1 and 1 (torch's `align_corners=True`).

    Args:
        points: (..., 2), (x, y) in pixels.
        size: (H, W) of the picture, each at least 2.

    Raises:
        ValueError: a side of the picture is below 2.
    """
    height, width = size
    if height < 2 or width < 2:
        raise ValueError(f"unit coordinates need at least 2 x 2 pixels, got {size}")
    span = np.array([width - 1, height - 1], np.float32)
    return np.asarray(points * (2.0 / span) - 1.0, np.float32)


def resize_field(field: Float, size: tuple[int, int]) -> Float:
    """Resize a field and scale its values to the new size.

    Args:
        field: float32 (H, W, 2), pixels.
        size: the new size (H', W'). Frame and reference are assumed to be scaled by the same factors.

    Returns:
        float32 (H', W', 2), pixels of the new size.
    """
    height, width = check_field(field)
    out = cv2.resize(field, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(out, (size[1] / width, size[0] / height, 0, 0)), np.float32)


def compose(first: Float, second: Float) -> Float:
    """Compose a field from A to B with one from B to C: out(x) = first(x) + second(x + first(x)).

    Args:
        first: the field from A to B, float32 (H, W, 2), pixels, defined on A.
        second: the field from B to C, float32 (H', W', 2), pixels, defined on B. Outside B its border
            values are repeated.

    Returns:
        The field from A to C, float32 (H, W, 2), pixels.
    """
    height, width = check_field(first, "first")
    check_field(second, "second")
    at = pixel_grid(height, width) + first
    carried = cv2.remap(second, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(first + carried, np.float32)
