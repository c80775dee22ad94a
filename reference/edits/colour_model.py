"""A model of what an edit does to colours, as a table over all colours.

A cartoon, a film look or a drawing changes the whole picture. Where a head has turned or the camera has
moved, no pixel of the reference shows what the edit looks like. The colour model gives these pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageFilter

from correspondence import Float, Image, check_image

NODES = 33  # nodes along each channel
FIT_SIDE = 256  # longer side to which pictures are shrunk for the fit, pixels
SPREADS = (0.6, 1.5, 4.0)  # standard deviations over which neighbouring nodes are averaged, nodes
FIRM = 4.0  # weight of the wider average in a node, pixels
JUDGED_SIDE = 48  # longer side of the pictures on which a model is judged, where lines and grain vanish
BLOCKS = 8  # blocks along each side; every other one is kept from the fit when a model is judged
LEAST_EXPLAINED = 0.25  # share of the change that the model must explain to be used
LEAST_FORETOLD = (
    0.3  # share of the edited picture's variance that it must explain, as one grey can explain half a change
)
SURELY_EXPLAINED = 0.7  # from here on the variance does not count: a drawing may be nearly one colour
DIRECT_PX = 400_000  # larger pictures get the change computed at half their size, from a table without nodes
BITS = 7  # of each channel by which that table is read
_Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ColourModel:
    """A map from colour to edited colour.

    Attributes:
        table: float32 (NODES, NODES, NODES, 3), the edited colour at each node, indexed [b, g, r], in [0, 1].
        explained: share of the edit's change that the map explains, apart from lines and grain, [0, 1].
        foretold: share of the edited picture's variance that the map explains, [0, 1].
    """

    table: Float
    explained: float = 0.0
    foretold: float = 0.0

    @property
    def serves(self) -> bool:
        """Whether colours explain enough of the edit, so that the model may stand in for it."""
        foretold = self.foretold >= LEAST_FORETOLD or self.explained >= SURELY_EXPLAINED
        return self.explained >= LEAST_EXPLAINED and foretold

    @cached_property
    def _filter(self) -> ImageFilter.Color3DLUT:
        return ImageFilter.Color3DLUT(NODES, self.table.ravel().tolist())

    @cached_property
    def _direct(self) -> npt.NDArray[np.uint32]:
        """The edited colour, four bytes with r first, by the high bits of a colour whose other bits are 0."""
        levels = np.arange(1 << BITS, dtype=np.uint8) << (8 - BITS)
        red, green, blue = np.meshgrid(levels, levels, levels, indexing="ij")
        colours = np.stack([red, green, blue], axis=-1).reshape(1 << BITS, -1, 3)
        made = np.asarray(Pillow.fromarray(colours).filter(self._filter))
        return cv2.cvtColor(made, cv2.COLOR_RGB2RGBA).reshape(-1, 4).view(np.uint32).ravel()

    def _changed(self, half: Image) -> tuple[Image, Image]:
        """What the edit adds to each pixel and what it takes away, uint8 (h, w, 3) each."""
        high = half >> np.uint8(8 - BITS)
        index = high[..., 0].astype(np.int32)
        for channel in (1, 2):
            index <<= BITS
            index |= high[..., channel]
        made = np.take(self._direct, index)[..., None].view(np.uint8)
        made = np.asarray(cv2.cvtColor(made, cv2.COLOR_RGBA2RGB), np.uint8)
        low = high << np.uint8(8 - BITS)
        return np.asarray(cv2.subtract(made, low), np.uint8), np.asarray(cv2.subtract(low, made), np.uint8)

    def apply(self, image: Image, *, large: bool = False) -> Image:
        """Maps a picture to the edit's colours.

        Args:
            image: RGB uint8 (H, W, 3).
            large: whether it is a part of a large picture.

        Returns:
            RGB uint8 (H, W, 3). For a large picture, the change is computed at half its size, of colours
            rounded down to BITS bits.
        """
        height, width = image.shape[:2]
        if min(height, width) < 2 or (height * width <= DIRECT_PX and not large):
            return np.asarray(Pillow.fromarray(np.ascontiguousarray(image)).filter(self._filter))
        half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        more, less = (
            cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR)
            for change in self._changed(np.asarray(half, np.uint8))
        )
        return np.asarray(cv2.subtract(cv2.add(image, more), less), np.uint8)


def fit_colour_model(reference: Image, edited: Image) -> ColourModel:
    """Fits the colour table that best turns `reference` into `edited`.

    A node holds the mean edited colour of the pixels near its colour. Where there are few, pixels of more
    distant colours decide, and finally an affine map of all pixels.

    Args:
        reference, edited: RGB uint8 (H, W, 3), equal sizes.

    Raises:
        ValueError: sizes that differ.
    """
    size = check_image(reference, "reference")
    if check_image(edited, "edited") != size:
        raise ValueError(f"reference {size} and edited {edited.shape[:2]} must be of one size")
    before, after = _shrunk(reference, FIT_SIDE), _shrunk(edited, FIT_SIDE)
    return ColourModel(_table(before.reshape(-1, 3), after.reshape(-1, 3)), **_judged(before, after))


def _table(before: Image, after: Image) -> Float:
    """Fits a table to colours and edited colours, uint8 (N, 3) each; see `ColourModel`."""
    inputs, targets = before.astype(np.float64) / 255, after.astype(np.float64) / 255
    plane = _affine(inputs, targets)
    sums = _splat(inputs, targets - _mapped(inputs, plane))
    left = np.zeros((NODES, NODES, NODES, 3))
    for spread in reversed(SPREADS):
        near = _smooth(sums, spread)
        firm = FIRM / (2 * np.pi * max(spread, 1.0) ** 2) ** 1.5
        left = (near[..., :3] + firm * left) / (near[..., 3:] + firm)
    at = np.linspace(0, 1, NODES)
    blue, green, red = np.meshgrid(at, at, at, indexing="ij")
    nodes = np.stack([red, green, blue], axis=-1)
    table = np.clip(_mapped(nodes.reshape(-1, 3), plane).reshape(nodes.shape) + left, 0, 1)
    return table.astype(np.float32)


def _judged(before: Image, after: Image) -> dict[str, float]:
    """Fits a table to every other block of the picture and measures how well it explains the others."""
    height, width = before.shape[:2]
    rows, columns = np.arange(height) * BLOCKS // height, np.arange(width) * BLOCKS // width
    kept = (rows[:, None] + columns[None, :]) % 2 == 0
    model = ColourModel(_table(before[kept], after[kept]))
    small = [_shrunk(image, JUDGED_SIDE).astype(np.float64) for image in (model.apply(before), before, after)]
    size = (small[0].shape[1], small[0].shape[0])
    judged = cv2.resize((~kept).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    made, past, now = (values[judged] for values in small)
    left, change = float(((now - made) ** 2).sum()), float(((now - past) ** 2).sum())
    variance = float(((now - now.mean(axis=0)) ** 2).sum())
    return {
        "explained": max(0.0, 1 - left / change) if change > 0 else 1.0,
        "foretold": max(0.0, 1 - left / variance) if variance > 0 else 1.0,
    }


def _shrunk(image: Image, side: int) -> Image:
    ratio = min(1.0, side / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _affine(before: _Doubles, after: _Doubles) -> _Doubles:
    """Fits the affine map of all pixels, drawn slightly towards no change: (4, 3)."""
    inputs = np.concatenate([before, np.ones((len(before), 1))], axis=1)
    ridge = 1e-2 * len(before) * np.eye(4)
    return np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ after + ridge @ np.eye(4, 3))


def _mapped(colours: _Doubles, plane: _Doubles) -> _Doubles:
    return colours @ plane[:3] + plane[3]


def _splat(colours: _Doubles, values: _Doubles) -> _Doubles:
    """Distributes values and their weights to the eight nodes around each colour: (N, N, N, 4)."""
    at = colours[:, ::-1] * (NODES - 1)  # blue, green, red
    low = np.minimum(at.astype(np.int64), NODES - 2)
    part = at - low
    sums = np.zeros((NODES**3, 4))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod([part[:, i] if corner[i] else 1 - part[:, i] for i in range(3)], axis=0)
        node = np.ravel_multi_index(tuple((low + corner).T), (NODES, NODES, NODES))
        for i, column in enumerate([*(weight * values.T), weight]):
            sums[:, i] += np.bincount(node, column, NODES**3)
    return sums.reshape(NODES, NODES, NODES, 4)


def _smooth(sums: _Doubles, spread: float) -> _Doubles:
    """Blurs sums along the three channels by a Gaussian."""
    reach = int(np.ceil(3 * spread))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / spread) ** 2)
    kernel /= kernel.sum()
    for axis in range(3):
        lines = np.moveaxis(sums, axis, 0)
        flat = np.ascontiguousarray(lines.reshape(NODES, -1))
        flat = cv2.filter2D(flat, -1, kernel[:, None], borderType=cv2.BORDER_CONSTANT)
        sums = np.moveaxis(flat.reshape(lines.shape), 0, axis)
    return sums
