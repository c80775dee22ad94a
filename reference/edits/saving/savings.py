"""Ways of saving a picture with loss, and how it is found by which of them a picture was saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from typing import ClassVar, Self, TypeVar

import cv2
import numpy as np
from PIL import Image as Pillow

from correspondence import Bool, Float, Image

TILE, TILES = 64, 4  # side of the tiles on which savings are tried, pixels, and their number along each side
QUALITIES = range(30, 97)  # outside, a picture is hardly recognisable, or its noise is below a level
NEAR = 3  # qualities to both sides of a good one that are tried
USEFUL = 0.75  # the best saving must reduce the difference on most tiles to less than this share
USEFUL_WEBP = (
    0.7  # the same for WebP, whose blocks differ by chance if the picture before is slightly different
)
ROUGH = 0.97  # and to less than this if only colours are corrected by it
LEAST_JPEG, LEAST_WEBP, LEAST_PALETTE = 0.42, 0.7, 0.5  # least share of the noise that may remain
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
PART = 640  # side of the window on which WebP's savings are tried first, pixels
WEBP_PIXELS = 2_100_000  # larger pictures are not searched for WebP's saving, which would take long
WEBP_QUALITIES = (*range(40, 100, 6), 99)  # that are tried first
METHODS = ((4, 3, 5, 6), (2, 1, 0))  # libwebp's efforts that differ little, the most frequent one first


@dataclass(frozen=True, slots=True)
class _ByQuality:
    """A way of saving that has a quality, up to 100."""

    quality: int
    lowest: ClassVar[int]

    def near(self, reach: int = 1) -> list[Self]:
        """This saving and those whose quality differs by at most `reach`."""
        qualities = range(max(self.lowest, self.quality - reach), min(100, self.quality + reach) + 1)
        return [replace(self, quality=quality) for quality in qualities]


@dataclass(frozen=True, slots=True)
class JpegSaving(_ByQuality):
    """How a JPEG was saved.

    Attributes:
        quality: of the tables in the standard's annex K, as libjpeg scales them, [1, 100].
        sampling: OpenCV's constant for the size at which chroma is stored.
    """

    sampling: int
    lowest: ClassVar[int] = 1
    useful: ClassVar[float] = USEFUL
    least: ClassVar[float] = LEAST_JPEG
    in_blocks: ClassVar[bool] = True

    @property
    def halves_chroma(self) -> bool:
        """Whether chroma is stored at half size, so that it does not tell the colours of single pixels."""
        return self.sampling != SAMPLINGS[0]

    def again(self, image: Image) -> Image:
        """Saves a picture and reads it back, RGB uint8 (H, W, 3)."""
        how = [
            cv2.IMWRITE_JPEG_QUALITY, self.quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, self.sampling,
        ]  # fmt: skip
        packed = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), how)[1]
        return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


@dataclass(frozen=True, slots=True)
class WebpSaving(_ByQuality):
    """How a WebP was saved with loss.

    Attributes:
        quality: as libwebp counts it, [0, 100].
        method: libwebp's effort, [0, 6].
    """

    method: int
    lowest: ClassVar[int] = 0
    useful: ClassVar[float] = USEFUL_WEBP
    least: ClassVar[float] = LEAST_WEBP
    in_blocks: ClassVar[bool] = False
    halves_chroma: ClassVar[bool] = True

    def again(self, image: Image) -> Image:
        """Saves a picture and reads it back, RGB uint8 (H, W, 3)."""
        buffer = BytesIO()
        Pillow.fromarray(image).save(buffer, "WEBP", quality=self.quality, method=self.method)
        return np.array(Pillow.open(buffer).convert("RGB"), np.uint8)


@dataclass(frozen=True, eq=False)
class PaletteSaving:
    """How a picture with a palette was saved.

    Attributes:
        colours: the palette, RGB uint8 (N, 3), N <= 256.
        dither: how colours between those of the palette were made.
    """

    colours: Image
    dither: Pillow.Dither
    useful: ClassVar[float] = PALETTE_USEFUL
    least: ClassVar[float] = LEAST_PALETTE

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


AnySaving = JpegSaving | WebpSaving | PaletteSaving
Saved = TypeVar("Saved", bound=AnySaving)


@dataclass(frozen=True, eq=False)
class Tiles:
    """An edited picture on tiles that are spread over it, compared with what a saving would make.

    Attributes:
        edited: RGB uint8 (H, W, 3).
        corners: of the tiles, (x, y) on the grid of JPEG's blocks, pixels.
    """

    edited: Image
    corners: list[tuple[int, int]]

    @classmethod
    def of(cls, edited: Image, valid: Bool | None = None) -> Tiles:
        """Chooses tiles where `valid`, bool (H, W); everywhere when None."""
        return cls(edited, _corners(edited.shape[:2], valid))

    @cached_property
    def _own(self) -> Image:
        return self.mosaic(self.edited)

    def mosaic(self, image: Image) -> Image:
        """The tiles of a picture, one below the other, RGB uint8."""
        return np.concatenate([image[y : y + TILE, x : x + TILE] for x, y in self.corners])

    def distances(self, mosaic: Image) -> Float:
        """Mean capped difference of each tile from the edited picture's, levels, float32 (tiles,).

        The rims of the tiles are left out: chroma at half size is mixed across them.
        """
        tiles = np.minimum(cv2.absdiff(mosaic, self._own), CUT).reshape(-1, TILE, TILE, 3)
        means: Float = tiles[:, 2:-2, 2:-2].astype(np.float32).mean(axis=(1, 2, 3))
        return means

    def left(self, base: Image, saved: Image) -> float:
        """Share of the difference from `base` that is left from `saved`, on most tiles.

        Args:
            base: what the edited picture would be without its edit and before it was saved, a mosaic.
            saved: the same after it was saved, a mosaic.
        """
        return float(np.median(self.distances(saved) / np.maximum(self.distances(base), 1e-3)))

    def part(self) -> tuple[tuple[slice, slice], Tiles]:
        """The window of at most `PART` pixels a side that has most tiles, and its tiles.

        A window is enough to tell roughly how a large picture was saved.
        """
        if max(self.edited.shape[:2]) <= PART:
            return np.s_[:, :], self

        def held(corner: tuple[int, int]) -> list[tuple[int, int]]:
            inside = [(x - corner[0], y - corner[1]) for x, y in self.corners]
            return [(x, y) for x, y in inside if 0 <= x <= PART - TILE and 0 <= y <= PART - TILE]

        x, y = max(self.corners, key=lambda corner: len(held(corner)))
        window = np.s_[y : y + PART, x : x + PART]
        return window, Tiles(np.ascontiguousarray(self.edited[window]), held((x, y)))

    def best(self, base: Image, savings: Iterable[Saved]) -> tuple[Saved, float]:
        """The saving that leaves the least share of the difference from `base`, a picture, and this share."""
        mosaic = self.mosaic(base)
        tried = [(self.left(mosaic, self._again(saving, base, mosaic)), saving) for saving in savings]
        left, saving = min(tried, key=lambda each: each[0])
        return saving, left

    def _again(self, saving: AnySaving, base: Image, mosaic: Image) -> Image:
        """The tiles of a picture that is saved again. WebP's blocks depend on the whole picture."""
        return self.mosaic(saving.again(base)) if isinstance(saving, WebpSaving) else saving.again(mosaic)


Explained = tuple[AnySaving, float]  # a saving, and the share of the difference that it leaves, [0, 1]


def find_saving(base: Image, tiles: Tiles) -> Explained | None:
    """Finds how an edited picture was saved as JPEG or with a palette.

    Args:
        base: what the edited picture would be without its edit and before it was saved, RGB uint8 (H, W, 3).
        tiles: the edited picture.

    Returns:
        The saving that explains most of the difference; None if none explains enough of it, as for WebP, and
        for tables of a program's own.
    """
    if not tiles.corners:
        return None
    plain = float(np.median(tiles.distances(tiles.mosaic(base))))
    if plain <= 0:
        return None
    if plain < PALETTE_LEVELS and (palettes := list(_palette_savings(base, tiles.edited))):
        palette, left = tiles.best(base, palettes)
        if left < palette.useful:
            return palette, left
    first, _ = tiles.best(base, (JpegSaving(quality, SAMPLINGS[1]) for quality in QUALITIES))
    jpeg, left = tiles.best(base, (replace(first, sampling=sampling) for sampling in SAMPLINGS))
    return (jpeg, left) if left < ROUGH else None


def find_webp(base: Image, tiles: Tiles) -> Explained | None:
    """Finds how an edited picture was saved as WebP. The arguments are those of `find_saving`.

    Returns:
        The saving that explains most of the difference; None if none explains enough of it, or if the picture
        has more than `WEBP_PIXELS`.
    """
    h, w = base.shape[:2]
    if not tiles.corners or h * w > WEBP_PIXELS or np.median(tiles.distances(tiles.mosaic(base))) <= 0:
        return None
    window, part = tiles.part()
    first, left = zip(*(_first_webp(base[window], part, methods[0]) for methods in METHODS), strict=True)
    if min(left) > ROUGH:
        return None
    best, _ = tiles.best(base, [near for each in first for near in each.near()])
    best, _ = tiles.best(base, best.near(NEAR))
    (methods,) = (methods for methods in METHODS if best.method in methods)
    best, least = tiles.best(base, (replace(best, method=method) for method in methods))
    return (best, least) if least < ROUGH else None


def _first_webp(base: Image, tiles: Tiles, method: int) -> tuple[WebpSaving, float]:
    return tiles.best(base, [WebpSaving(quality, method) for quality in WEBP_QUALITIES])


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
