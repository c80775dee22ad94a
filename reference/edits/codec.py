"""Repeats the saving of an edited picture, as JPEG or with a palette, on its unedited reference.

The difference that JPEG makes depends on the picture and its tables alone. A file with a palette ("PNG-8")
holds 256 colours at most, and its difference depends on these and on dithering. If the reference is saved in
the same way, it shows the same difference wherever nothing was edited, and what is left is the edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from PIL import Image as Pillow

from correspondence import Bool, Float, Image
from reference.edits.ringing import without_ringing
from reference.edits.transfer import Transfer

TILE, TILES = 64, 4  # side of the tiles on which savings are tried, pixels, and their number along each side
QUALITIES = range(30, 97)  # outside, a picture is hardly recognisable, or its noise is below a level
USEFUL = 0.75  # the best saving must reduce the difference on most tiles to less than this share
FLIPPED, REMAINING = 1.5, (0.5, 1.0)  # noise that may remain, by the root of what is left, and its range
EXACT = 0.02  # share left below which the picture before saving is known exactly
OFF = 0.6  # what is not known of it, levels
OFF_TONES = ((1.0, 1.0, 1.0), (1.0, -0.5, 0.0), (0.0, -0.5, 1.0))  # directions of its tone: luma, red, blue
DOUBTED = 0.3  # share of a fitted change of detail by which it may be off: its filter is known roughly
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
CUT = 12.0  # larger differences are edits and count as this, levels
MOST_COLOURS, RICHER = 256, 2  # of a palette; the reference must have so many times its colours
PALETTE_LEVELS = (
    4.5  # a palette makes a smaller difference, capped mean of a tile; few colours are a style else
)
PALETTE_USEFUL = 0.8  # the palette must reduce the difference on most tiles to less than this share
COLOURED = 8  # some colour of a palette differs by so much from grey, or grey is a style, levels
DITHERS = (Pillow.Dither.NONE, Pillow.Dither.FLOYDSTEINBERG)
SAMPLINGS = (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
)


@dataclass(frozen=True, slots=True)
class JpegSaving:
    """How a JPEG was saved.

    Attributes:
        quality: of the tables in the standard's annex K, as libjpeg scales them, [1, 100].
        sampling: OpenCV's constant for the size at which chroma is stored.
    """

    quality: int
    sampling: int

    def again(self, image: Image) -> Image:
        """Saves a picture and reads it back, RGB uint8 (H, W, 3)."""
        how = [
            cv2.IMWRITE_JPEG_QUALITY, self.quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, self.sampling,
        ]  # fmt: skip
        packed = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), how)[1]
        return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


@dataclass(frozen=True, eq=False)
class PaletteSaving:
    """How a picture with a palette was saved.

    Attributes:
        colours: the palette, RGB uint8 (N, 3), N <= 256.
        dither: how colours between those of the palette were made.
    """

    colours: Image
    dither: Pillow.Dither

    @cached_property
    def _palette(self) -> Pillow.Image:
        holder = Pillow.new("P", (1, 1))
        filled = np.concatenate(
            [self.colours, np.repeat(self.colours[-1:], MOST_COLOURS - len(self.colours), 0)]
        )
        holder.putpalette(filled.tobytes())
        return holder

    def again(self, image: Image) -> Image:
        """Saves a picture and reads it back, RGB uint8 (H, W, 3)."""
        stored = Pillow.fromarray(image).quantize(palette=self._palette, dither=self.dither)
        return np.array(stored.convert("RGB"), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """What saving as JPEG or with a palette changed.

    Attributes:
        change: levels, float32 (H, W, 3).
        share: share of this noise that may remain when `change` is left out, [0, 1]. Some coefficients were
            rounded the other way, since the picture before saving is not known exactly.
        others: differences that may be left, levels, float32 (H, W, 3) each: how `change` differs if the
            picture before was slightly different. Flat places are all rounded the other way together.
        base: the picture without its edit before it was saved, in the saved picture's grid, RGB uint8
            (H, W, 3). None if nothing was found.
        saving: how it was saved. None if nothing was found.
    """

    change: Float
    share: float
    others: tuple[Float, ...] = ()
    base: Image | None = None
    saving: JpegSaving | PaletteSaving | None = None

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Coding:
        """The coding of a picture of `shape` (H, W, 3) that saving left unchanged."""
        return cls(np.zeros(shape, np.float32), 0.0)

    def beside(self, detail: Float) -> Coding:
        """The same, with the doubt in a fitted change of detail, levels, float32 (H, W, 3)."""
        return replace(self, others=(*self.others, np.float32(DOUBTED) * detail))

    def mapped(self, by: Callable[[Float], Float]) -> Coding:
        """The same, with each picture mapped to another."""
        return replace(self, change=by(self.change), others=tuple(by(other) for other in self.others))

    def without_ringing(self, found: Bool, edited: Image) -> tuple[Bool, Float]:
        """Leaves out where the edit only rings, and corrects its colours, see `ringing.without_ringing`.

        Args:
            found: where it is edited, in the grid of the saved picture, bool (H, W).
            edited: the saved picture, RGB uint8 (H, W, 3).

        Returns:
            Part of `found`, bool (H, W), and the correction, levels, float32 (H, W, 3), which is 0 if the
            picture before saving is not known well enough.
        """
        nothing = np.zeros(edited.shape, np.float32)
        if self.base is None or not isinstance(self.saving, JpegSaving) or not found.any():
            return found, nothing
        kept, correction = without_ringing(found, self.base, edited, self.saving.again)
        if self.share >= REMAINING[1]:
            return kept, nothing
        if self.saving.sampling != SAMPLINGS[0]:  # chroma at half size does not tell the colours of pixels
            correction = np.broadcast_to((correction @ LUMA)[..., None], correction.shape)
        return kept, correction


def find_coding(
    seen: Image, edited: Image, transfer: Transfer | None, inside: Bool | None = None
) -> tuple[Transfer | None, Coding]:
    """Finds what saving as JPEG or with a palette changed.

    Args:
        seen: the reference in the edited picture's grid, RGB uint8 (H, W, 3).
        edited: RGB uint8 (H, W, 3).
        transfer: what else was changed everywhere, as `fit_transfer` gives it.
        inside: where the two can be compared, bool (H, W); everywhere when None.

    Returns:
        The transfer without what the saving explains as well, and the coding. The coding changes
        nothing if the picture was saved in another way.
    """
    nothing = Transfer.nothing(seen.shape)
    transfers = [nothing]
    if transfer is not None:
        transfers += [Transfer(transfer.tone, nothing.detail), transfer]
    found: tuple[float, JpegSaving | PaletteSaving, Image, Transfer] | None = None
    for one in transfers:
        base = np.clip(np.rint(seen + one.tone + one.detail), 0, 255).astype(np.uint8)
        explained = find_saving(base, edited, inside)
        if explained is not None and (found is None or explained[1] < found[0]):
            found = explained[1], explained[0], base, one
        if found is not None and found[0] <= EXACT:
            break
    if found is None:
        return transfer, Coding.nothing(seen.shape)
    left, saving, base, one = found
    saved = saving.again(base)
    share = float(np.clip(FLIPPED * np.sqrt(left), *REMAINING))
    change = np.subtract(saved, base, dtype=np.float32)
    others = [saving.again(other) for other in _slightly_off(base)] if left > EXACT else []
    off = tuple(np.subtract(other, saved, dtype=np.float32) for other in others)
    return one, Coding(change, share, off, base, saving)


def _slightly_off(image: Image) -> Iterator[Image]:
    """Yields pictures that differ from one by less than what is known of it: in tone, and by noise."""
    noise = np.random.default_rng(0).normal(0, OFF, image.shape)
    for change in (noise, *(sign * OFF * np.array(tone) for tone in OFF_TONES for sign in (-1, 1))):
        yield np.clip(np.rint(image + change), 0, 255).astype(np.uint8)


def find_saving(
    base: Image, edited: Image, valid: Bool | None = None
) -> tuple[JpegSaving | PaletteSaving, float] | None:
    """Finds how an edited picture was saved.

    Args:
        base: what the edited picture would be without its edit and before it was saved, RGB uint8 (H, W, 3).
        edited: RGB uint8 (H, W, 3).
        valid: where `base` is known, bool (H, W); everywhere when None.

    Returns:
        The saving that explains most of the difference, and the share of the difference that is left, [0, 1].
        None if none explains enough of it, as for WebP, and for tables of a program's own.
    """
    corners = _corners(edited.shape[:2], valid)
    if not corners:
        return None
    before, after = _mosaic(base, corners), _mosaic(edited, corners)
    plain = _distances(before, after)
    if np.median(plain) <= 0:
        return None

    def explained(saving: JpegSaving | PaletteSaving) -> float:
        return float(np.median(_distances(saving.again(before), after) / np.maximum(plain, 1e-3)))

    best: JpegSaving | PaletteSaving
    if np.median(plain) < PALETTE_LEVELS and (palettes := list(_palette_savings(base, edited))) != []:
        best = min(palettes, key=explained)
        if (left := explained(best)) < PALETTE_USEFUL:
            return best, left
    best = min((JpegSaving(quality, SAMPLINGS[1]) for quality in QUALITIES), key=explained)
    best = min((JpegSaving(best.quality, sampling) for sampling in SAMPLINGS), key=explained)
    left = explained(best)
    return (best, left) if left < USEFUL else None


def _palette_savings(base: Image, edited: Image) -> Iterator[PaletteSaving]:
    """Yields the savings by which `edited` may have got its palette; none if it has none.

    Args:
        base: the picture before it was edited and saved, RGB uint8 (H, W, 3).
        edited: RGB uint8 (H, W, 3).
    """
    colours = _colours(edited)
    if len(colours) > MOST_COLOURS or np.ptp(colours, axis=1).max() < COLOURED:
        return
    if len(_colours(base)) < RICHER * len(colours):
        return
    for dither in DITHERS:
        yield PaletteSaving(colours, dither)


def _colours(image: Image) -> Image:
    """The colours that occur, RGB uint8 (N, 3)."""
    packed = image.reshape(-1, 3).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found = np.unique(packed)
    return np.stack([found >> 16, found >> 8 & 255, found & 255], -1).astype(np.uint8)


def _corners(size: tuple[int, ...], valid: Bool | None) -> list[tuple[int, int]]:
    """Corners (x, y) of tiles on the grid of JPEG's blocks that are spread over the picture, pixels."""
    places = [np.unique(np.linspace(0, max(0, side - TILE), TILES).astype(int) // 16 * 16) for side in size]
    return [
        (int(x), int(y))
        for y in places[0]
        for x in places[1]
        if y + TILE <= size[0]
        and x + TILE <= size[1]
        and (valid is None or valid[y : y + TILE, x : x + TILE].all())
    ]


def _mosaic(image: Image, corners: list[tuple[int, int]]) -> Image:
    return np.concatenate([image[y : y + TILE, x : x + TILE] for x, y in corners])


def _distances(a: Image, b: Image) -> Float:
    """Mean capped difference of each tile of two mosaics, levels, float32 (tiles,).

    The rims of the tiles are left out: chroma at half size is mixed across them.
    """
    tiles = np.minimum(cv2.absdiff(a, b), CUT).reshape(-1, TILE, TILE, 3)
    means: Float = tiles[:, 2:-2, 2:-2].astype(np.float32).mean(axis=(1, 2, 3))
    return means
