"""A video source for machines without a camera. It moves a real face photo by a known synthetic motion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Float, Image

SIZES = (
    (480, 640),
    (720, 1280),
)  # intended sizes, (H, W); others work if they are at least 64 x 64

# Geometry of skimage.data.astronaut(), a 512 x 512 photo, in its pixels.
HEAD_CENTRE = np.array((224.0, 116.0), np.float32)
HEAD_RADII = np.array((78.0, 88.0), np.float32)
NECK = np.array((224.0, 196.0), np.float32)
VIEW_CENTRE = np.array((240.0, 138.0), np.float32)
VIEW_WIDTH, VIEW_HEIGHT = 448.0, 256.0  # the largest view of this size and the frame's shape is shown

SUPERSAMPLE = 2  # the photo is enlarged once with Lanczos, so that frames can use bilinear sampling
CELL = 16  # cell size of the grid on which the motion, which is far smoother, is computed
MARGIN = 1  # cells around the frame, so that enlarging never extrapolates


@dataclass(frozen=True, slots=True)
class Pose:
    """The motion at one instant. Angles in radians, shifts in photo pixels, `gain` multiplies the light."""

    yaw: float
    pitch: float
    roll: float
    zoom: float
    pan: tuple[float, float]
    gain: float


class DemoSource:
    """An astronaut's portrait that turns its head, under a slowly moving camera and light.

    Frame k depends only on `size`, `fps`, `seed` and k, so frames can be drawn in any order. Every pixel of a
    frame comes from one place in the photo, so the true field between two frames is known.

    Args:
        size: (H, W) of the frames, pixels, each at least 64.
        fps: frames per second, above 0. The motion is a function of time in seconds.
        seed: chooses the phases of the motion.

    Raises:
        ValueError: `size` or `fps` is outside these ranges.
    """

    def __init__(self, size: tuple[int, int] = (720, 1280), fps: float = 30.0, seed: int = 0) -> None:
        if min(size) < 64:
            raise ValueError(f"size must be at least (64, 64), got {size}")
        if not fps > 0:
            raise ValueError(f"fps must be above 0, got {fps}")
        self.size = size
        self.fps = fps
        self._phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 8)
        self._photo = _enlarged_photo()
        self._cells = _cell_centres(size)
        self._scale = max(size[1] / VIEW_WIDTH, size[0] / VIEW_HEIGHT)  # frame pixels in a photo pixel

    def frame(self, index: int) -> Image:
        """Draw frame `index` (any integer), uint8 (H, W, 3) RGB."""
        pose = self.pose(index)
        position = self._positions(pose, SUPERSAMPLE)
        fixed, fraction = cv2.convertMaps(position, None, cv2.CV_16SC2)
        image = cv2.remap(self._photo, fixed, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        lit: Image = cv2.convertScaleAbs(image, alpha=pose.gain)
        return lit

    def pose(self, index: int) -> Pose:
        """Return the motion of frame `index`. It changes smoothly and never rests for long."""
        t = index / self.fps
        p = self._phases

        def wave(k: int, period_s: float) -> float:
            return float(np.sin(2 * np.pi * t / period_s + p[k]))

        return Pose(
            yaw=np.radians(9.0 * wave(0, 5.3) + 3.0 * wave(1, 2.3)),
            pitch=np.radians(4.0 * wave(2, 4.1) + 1.5 * wave(3, 1.9)),
            roll=np.radians(2.5 * wave(4, 6.1)),
            zoom=1.0 + 0.02 * wave(5, 9.7),
            pan=(4.0 * wave(6, 7.9), 2.0 * wave(7, 6.7)),
            gain=1.0 + 0.04 * wave(5, 8.3),
        )

    def field_truth(self, index: int, reference_index: int) -> Float:
        """Compute the true field from frame `index` to frame `reference_index`.

        The reference's motion is inverted by fixed-point iteration. The error is below 0.01 pixels where the
        reference shows the place. This takes tens of milliseconds and is meant for tests.

        Returns:
            float32 (H, W, 2), (dx, dy) in pixels. Apart from the light, frame(x) is reference(x + field(x)).
        """
        target = self._positions(self.pose(index))
        h, w = self.size
        grid = np.stack(np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)), axis=-1)
        reference = self._positions(self.pose(reference_index))
        step = self._scale / self.pose(reference_index).zoom
        found = grid + (target - reference) * step
        for _ in range(12):
            x, y = np.ascontiguousarray(found[..., 0]), np.ascontiguousarray(found[..., 1])
            here = cv2.remap(reference, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            # Outside the frame the motion is read from its edge and continued with the camera's scale.
            beyond = np.stack([x - np.clip(x, 0, w - 1), y - np.clip(y, 0, h - 1)], axis=-1)
            found = found + (target - here - beyond / step) * step
        truth: Float = (found - grid).astype(np.float32)
        return truth

    def _positions(self, pose: Pose, scale: int = 1) -> Float:
        """Position of each pixel in the photo enlarged `scale` times, float32 (H, W, 2), in its pixels."""
        h, w = self.size
        centre = np.array(((w - 1) / 2, (h - 1) / 2), np.float32)
        view = VIEW_CENTRE + np.array(pose.pan, np.float32)
        q = (self._cells - centre) * np.float32(pose.zoom / self._scale) + view
        coarse = ((q + _head_motion(q, pose)) * scale + (scale - 1) / 2).astype(np.float32)
        rows, columns = coarse.shape[:2]
        full = cv2.resize(coarse, (columns * CELL, rows * CELL), interpolation=cv2.INTER_LINEAR)
        inside: Float = np.ascontiguousarray(full[MARGIN * CELL :, MARGIN * CELL :][:h, :w])
        return inside


def _head_motion(q: Float, pose: Pose) -> Float:
    """Backward displacement of a turning head-like bump, in photo pixels. It is zero far from the head.

    When a ball turns, a point at depth z moves by z sin(angle) + x (cos(angle) - 1). The depth falls off
    smoothly towards the background, which keeps the map invertible.
    """
    offset = q - HEAD_CENTRE
    radius4 = ((offset / HEAD_RADII) ** 2).sum(axis=-1) ** 2
    bump = np.exp(-1.2 * radius4)
    turn_x = HEAD_RADII[0] * np.sin(pose.yaw) + offset[..., 0] * (np.cos(pose.yaw) - 1)
    turn_y = HEAD_RADII[1] * np.sin(pose.pitch) + offset[..., 1] * (np.cos(pose.pitch) - 1)
    arm = q - NECK
    tilt = np.exp(-0.6 * radius4) * np.sin(pose.roll)
    moved: Float = np.stack(
        [-bump * turn_x - tilt * arm[..., 1], -bump * turn_y + tilt * arm[..., 0]], axis=-1
    )
    return moved.astype(np.float32)


def _enlarged_photo() -> Image:
    from skimage import data

    photo = np.ascontiguousarray(data.astronaut())
    side = photo.shape[0] * SUPERSAMPLE
    large = cv2.resize(photo, (side, side), interpolation=cv2.INTER_LANCZOS4)
    soft = cv2.GaussianBlur(large, (0, 0), 1.4)
    sharp: Image = cv2.addWeighted(large, 1.6, soft, -0.6, 0)
    return sharp


def _cell_centres(size: tuple[int, int]) -> Float:
    """Frame positions of the coarse grid's cells, margin included, float32 (rows, columns, 2)."""
    rows, columns = (-(-side // CELL) + 2 * MARGIN for side in size)
    y = (np.arange(rows) - MARGIN + 0.5) * CELL - 0.5
    x = (np.arange(columns) - MARGIN + 0.5) * CELL - 0.5
    centres: Float = np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)
    return centres
