"""Draws the lines of a look of the whole picture on the live picture, where the look draws them along edges.

A cartoon and a drawing put dark lines where the picture has edges. Carried from the reference, such lines lie
a pixel or two beside the live edges, and turned heads and moved cameras show edges that no reference has. So
what the look does at an edge is learned from the one pair of pictures: by how much luma differs between a
narrow and a wide surrounding decides how colours change. It is used if it foretells parts of the edited
picture that were kept from the fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image
from reference.compose.whole.evened import evened, evenness, middle
from reference.edits.colour_model import ColourModel
from reference.edits.edit import Edit

BANDS = ((0.0, 1.0), (0.7, 1.4), (1.0, 2.0), (1.4, 2.8), (2.0, 4.0), (0.7, 2.8), (1.0, 4.0))  # sigmas, pixels
CONTRAST = 4  # levels of a band for each gray level of difference
MOST = 2  # strokes of a look
CLEAR = 0.85  # a stroke serves if it leaves this share, or less, of the squared error on held-out blocks
BLOCKS = 8  # blocks along each side; every other one is held out
SPREAD = 3.0  # standard deviation over which neighbouring levels of a band are averaged, levels
FIRM = 30.0  # weight of no change at a level, pixels
VARIANCE = 0.1  # squared contrast of these pixels, of values in [0, 1]
COARSE = 2.0  # sigma from which a blur is computed on a picture of half the size, pixels
UNIT = 128  # scale that changes nothing

_Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """What a look does to colours, by a picture's contrast in one band.

    Attributes:
        band: standard deviations of the narrow and the wide surrounding, pixels; 0 for the pixel itself.
        scale: factor of the colours at each level of the band, uint8 (256,), UNIT: none.
        offset: what is then added to each channel, int16 (256, 3).
    """

    band: tuple[float, float]
    scale: npt.NDArray[np.uint8]
    offset: npt.NDArray[np.int16]

    def draw(self, toned: Image, level: Image) -> Image:
        """Change colours, uint8 (H, W, 3), by the levels of the band, uint8 (H, W): uint8 (H, W, 3)."""
        scale = cv2.merge([cv2.LUT(level, self.scale)] * 3)
        offset = cv2.LUT(cv2.merge([level] * 3), self.offset[None])
        scaled = cv2.multiply(toned, scale, scale=1 / UNIT, dtype=cv2.CV_16S)
        return np.asarray(cv2.add(scaled, offset, dtype=cv2.CV_8U), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A look of the whole picture as far as no place in its reference matters: colours, evenness and lines.

    Attributes:
        colours: its colours.
        even: how far it evens out texture, see `evened.evenness`.
        strokes: its lines, to be drawn one after the other.
    """

    colours: ColourModel
    even: int
    strokes: tuple[Stroke, ...]

    def apply(self, image: Image, *, large: bool = False) -> Image:
        """Map a picture to the look.

        Args:
            image: RGB uint8 (H, W, 3).
            large: whether it is a part of a large picture, see `ColourModel.apply`.

        Returns:
            RGB uint8 (H, W, 3).
        """
        toned = self.colours.apply(evened(image, self.even), large=large)
        if self.strokes:
            surroundings = _Surroundings(image)
            for stroke in self.strokes:
                toned = stroke.draw(toned, surroundings.level(stroke.band))
        return toned


_known: WeakKeyDictionary[ColourModel, tuple[int, tuple[Stroke, ...]]] = WeakKeyDictionary()


def look_of(edit: Edit) -> Look:
    """Learn the look of an edit with a stand-in from its reference. The answer is kept for its colours."""
    assert edit.stand_in is not None
    found = _known.get(edit.stand_in)
    if found is None:
        even = evenness(edit)
        before, after = middle(edit.reference, edit.edited)
        toned = Look(edit.stand_in, even, ()).apply(before)
        found = _known[edit.stand_in] = even, _learned(before, toned, after)
    return Look(edit.stand_in, *found)


def in_look(edit: Edit, image: Image, *, large: bool) -> Image:
    """Map a picture to the look of an edit with a stand-in, see `Look.apply`."""
    return look_of(edit).apply(image, large=large)


class _Surroundings:
    """A picture's luma in bands. Each blur is computed once."""

    def __init__(self, image: Image) -> None:
        self._luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        self._soft: dict[float, Float] = {0.0: self._luma}

    def level(self, band: tuple[float, float]) -> Image:
        """How much lighter the narrow surrounding is than the wide one, uint8 (H, W), 128: equally light."""
        narrow, wide = (self._blurred(sigma) for sigma in band)
        return np.asarray(cv2.addWeighted(narrow, CONTRAST, wide, -CONTRAST, 128, dtype=cv2.CV_8U), np.uint8)

    def _blurred(self, sigma: float) -> Float:
        if sigma not in self._soft:
            self._soft[sigma] = _soft(self._luma, sigma)
        return self._soft[sigma]


def _soft(luma: Float, sigma: float) -> Float:
    """Blur a picture by a Gaussian, a wide one at half its size."""
    height, width = luma.shape
    if sigma < COARSE or min(height, width) < 8:
        return np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma), np.float32)
    half = cv2.resize(luma, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    half = cv2.GaussianBlur(half, (0, 0), np.sqrt(sigma**2 / 4 - 0.2))  # what halving and doubling blur
    return np.asarray(cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _learned(before: Image, toned: Image, after: Image) -> tuple[Stroke, ...]:
    """Learn strokes, each by the band that foretells most of the blocks that were held out.

    Args:
        before: the picture, uint8 (H, W, 3).
        toned: the picture in the look's colours, likewise.
        after: the picture in the look, likewise.
    """
    height, width = before.shape[:2]
    rows, columns = np.arange(height) * BLOCKS // height, np.arange(width) * BLOCKS // width
    kept: Bool = (rows[:, None] + columns[None, :]) % 2 == 0
    surroundings, made = _Surroundings(before), list[Stroke]()
    tried = whole = toned  # drawn by strokes of the kept blocks, and by those of all

    def left(image: Image) -> float:
        return float((np.subtract(image, after, dtype=np.float32)[~kept] ** 2).mean())

    for _ in range(MOST):
        error, best, band = left(tried), tried, None
        for each in BANDS:
            level = surroundings.level(each)
            image = _fitted(each, level, tried, after, kept).draw(tried, level)
            if left(image) < error:
                error, best, band = left(image), image, each
        if band is None or error > CLEAR * left(tried):
            break
        level = surroundings.level(band)
        made.append(_fitted(band, level, whole, after, np.ones_like(kept)))
        tried, whole = best, made[-1].draw(whole, level)
    return tuple(made)


def _fitted(band: tuple[float, float], level: Image, toned: Image, after: Image, kept: Bool) -> Stroke:
    """Fit a stroke to the kept pixels by least squares, at each level with those around it."""
    at, inputs, targets = level[kept], toned[kept] / 255, after[kept] / 255
    reach = int(3 * SPREAD)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SPREAD) ** 2)

    def summed(values: _Doubles) -> _Doubles:
        return np.asarray(np.convolve(np.bincount(at, values, 256), kernel, mode="same"), np.float64)

    count = summed(np.ones(len(at)))
    x, y = (np.stack([summed(values[:, c]) for c in range(3)], axis=1) for values in (inputs, targets))
    crossed, squared = summed((inputs * targets).sum(axis=1)), summed((inputs**2).sum(axis=1))
    some = np.maximum(count, 1e-9)
    ridge = FIRM * VARIANCE
    scale = crossed - (x * y).sum(axis=1) / some + ridge
    scale = np.clip(scale / (squared - (x * x).sum(axis=1) / some + ridge), 0, 255 / UNIT)
    offset = (y - scale[:, None] * x) / (count + FIRM)[:, None]
    return Stroke(band, np.rint(UNIT * scale).astype(np.uint8), np.rint(255 * offset).astype(np.int16))
