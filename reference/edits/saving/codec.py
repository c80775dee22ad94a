"""Repeats the saving of an edited picture, as JPEG, as WebP or with a palette, on its unedited reference.

The difference that JPEG makes depends on the picture and its tables alone. A file with a palette ("PNG-8")
holds 256 colours at most, and its difference depends on these and on dithering. If the reference is saved in
the same way, it shows the same difference wherever nothing was edited, and what is left is the edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from correspondence import Bool, Float, Image
from reference.edits.saving.faint import LUMA
from reference.edits.saving.ringing import chroma_before_saving, without_blocks, without_gaps, without_ringing
from reference.edits.saving.savings import (
    PART,
    AnySaving,
    PaletteSaving,
    Tiles,
    WebpSaving,
    find_saving,
    find_webp,
)
from reference.edits.saving.transfer import Transfer

FLIPPED = 1.5  # noise that may remain, by the root of what is left
LEAST_CHANGED = 0.5  # least share that may remain if the picture before was changed: it is fitted
EXACT = 0.02  # share left below which the picture before saving is known exactly
OFF, TONE_OFF = 0.8, 0.25  # what is not known of it, levels; the same if only a tone was fitted exactly
OFF_TONES = ((1.0, 1.0, 1.0), (1.0, -0.5, 0.0), (0.0, -0.5, 1.0))  # directions of its tone: luma, red, blue
DOUBTED = 0.3  # share of a fitted change of detail by which it may be off: its filter is known roughly
TONED = 0.5  # a smaller tone is left out where WebP is tried, levels
BLOCK, AROUND_PX = 16, 64  # largest block of JPEG and WebP; margin of what was found, pixels
STEPS = 6  # steps by which a transfer is refined
REST = 16.0  # what is left after saving again is an edit from here on, levels


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """What saving as JPEG, as WebP or with a palette changed.

    Attributes:
        change: levels, float32 (H, W, 3).
        share: share of this noise that may remain when `change` is left out, [0, 1]. Some coefficients were
            rounded the other way, since the picture before saving is not known exactly.
        others: differences that may be left, levels, float32 (H, W, 3) each: how `change` differs if the
            picture before was slightly different. Flat places are all rounded the other way together.
        base: the picture without its edit before it was saved, in the saved picture's grid, RGB uint8
            (H, W, 3). None if nothing was found.
        saving: how it was saved, or nearly so if `change` is 0. None if nothing was found.
    """

    change: Float
    share: float
    others: tuple[Float, ...] = ()
    base: Image | None = None
    saving: AnySaving | None = None

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

    def without_ringing(self, found: Bool, edited: Image, *, moved: bool = False) -> tuple[Bool, Float]:
        """Leaves out where the edit only rings, and corrects its colours, see `ringing`.

        Args:
            found: where it is edited, in the grid of the saved picture, bool (H, W).
            edited: the saved picture, RGB uint8 (H, W, 3).
            moved: whether the reference was resampled to this grid, so that it is known roughly.

        Returns:
            Part of `found`, bool (H, W), and the correction, levels, float32 (H, W, 3), which is 0 if the
            picture before saving is not known well enough.
        """
        correction, saving = np.zeros(edited.shape, np.float32), self.saving
        if self.base is None or saving is None or isinstance(saving, PaletteSaving) or not found.any():
            return found, correction
        whole = isinstance(saving, WebpSaving) and max(found.shape) <= PART  # its blocks depend on each other
        kept, near = found.copy(), np.s_[:, :] if whole else _around(found)
        part, base, seen = (
            found[near],
            np.ascontiguousarray(self.base[near]),
            np.ascontiguousarray(edited[near]),
        )
        if self.share > 0:
            part, exact = without_ringing(part, base, seen, saving.again)
            if saving.in_blocks:
                part = without_blocks(part, np.subtract(seen, base, dtype=np.float32))
            if self.share < 1 and not moved:
                luma = np.repeat((exact @ LUMA)[..., None], 3, axis=2)
                correction[near] = luma if saving.halves_chroma else exact
        if saving.halves_chroma:
            correction[near] += chroma_before_saving(part, base, seen, saving.again)
        kept[near] = without_gaps(part, found[near])
        return kept, correction


def _around(found: Bool) -> tuple[slice, slice]:
    """The rows and columns of what was found, with a margin, on the grid of the blocks that are stored."""
    h, w = found.shape
    x, y, width, height = cv2.boundingRect(found.astype(np.uint8))
    x0, y0 = (max(0, (at - AROUND_PX) // BLOCK * BLOCK) for at in (x, y))
    return np.s_[y0 : min(h, y + height + AROUND_PX), x0 : min(w, x + width + AROUND_PX)]


def find_coding(
    seen: Image, edited: Image, transfer: Transfer | None, inside: Bool | None = None
) -> tuple[Transfer | None, Coding]:
    """Finds what saving as JPEG, as WebP or with a palette changed.

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
        transfers += [replace(transfer, detail=nothing.detail), transfer]
    tiles = Tiles.of(edited, inside)
    where = np.ones(seen.shape[:2], np.bool_) if inside is None else inside
    found: list[Found] = []
    for find, ones in ((find_saving, transfers), (find_webp, [_plain(transfers)])):
        for one in ones:
            if any(each.left <= EXACT for each in found):
                break
            base = _changed(seen, one)
            explained = find(base, tiles)
            if explained is None:
                continue
            found.append(Found(explained[1], explained[0], base, one))
            if one is not nothing and not isinstance(explained[0], PaletteSaving):
                found.append(_refined(found[-1], seen, tiles, where))
    if not found:
        return transfer, Coding.nothing(seen.shape)
    best = min(found, key=lambda each: each.left)
    left, saving, base, one = best.left, best.saving, best.base, best.transfer
    if left >= saving.useful:
        return transfer, replace(Coding.nothing(seen.shape), base=base, saving=saving)
    saved = saving.again(base)
    least = saving.least if one is nothing else max(saving.least, LEAST_CHANGED)
    share = float(np.clip(FLIPPED * np.sqrt(left), least, 1))
    change = np.subtract(saved, base, dtype=np.float32)
    fitted = one is not nothing
    if isinstance(saving, WebpSaving):  # `share` stands for blocks that differ by chance
        off_by = OFF if fitted and left > EXACT else 0.0
    else:
        off_by = OFF if left > EXACT else TONE_OFF if fitted else 0.0
    others = [saving.again(other) for other in _slightly_off(base, off_by)] if off_by else []
    off = tuple(np.subtract(other, saved, dtype=np.float32) for other in others)
    return one, Coding(change, share, off, base, saving)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A saving that may explain an edited picture.

    Attributes:
        left: share of the difference that it leaves, [0, 1].
        saving: how the picture was saved.
        base: the picture without its edit before it was saved, RGB uint8 (H, W, 3).
        transfer: what makes the reference this picture.
    """

    left: float
    saving: AnySaving
    base: Image
    transfer: Transfer


def _changed(seen: Image, transfer: Transfer) -> Image:
    return np.clip(np.rint(seen + transfer.tone + transfer.detail), 0, 255).astype(np.uint8)


def _refined(found: Found, seen: Image, tiles: Tiles, where: Bool) -> Found:
    """Refines a transfer by what is left if the picture is saved again.

    Saving rounds: flat places are all rounded the same way, which looks like a tone. With the right transfer
    they are rounded that way again, and nothing is left (Gauss-Newton's method; the best step is kept).
    """
    best, last = found, found
    for _ in range(STEPS):
        if best.left <= EXACT or isinstance(last.saving, PaletteSaving):
            break
        rest = np.subtract(tiles.edited, last.saving.again(last.base), dtype=np.float32)
        quiet = where & (np.abs(rest).max(axis=2) < REST)
        if not quiet.any():
            break
        transfer = last.transfer.corrected(seen, rest, quiet)
        base = _changed(seen, transfer)
        near: Sequence[AnySaving] = last.saving.near()
        saving, left = tiles.best(base, near)
        last = Found(left, saving, base, transfer)
        best = min(best, last, key=lambda each: each.left)
    return best


def _plain(transfers: list[Transfer]) -> Transfer:
    """The transfer that WebP is tried on: nothing, or the tone alone if there is a clear one."""
    return transfers[1] if len(transfers) > 1 and transfers[1].tone_levels > TONED else transfers[0]


def _slightly_off(image: Image, levels: float) -> Iterator[Image]:
    """Yields pictures that differ from one by less than what is known of it: in tone, and by noise.

    They are dithered, so that a tone of less than a level moves the mean of each block as much.
    """
    rng = np.random.default_rng(0)
    tones = (sign * levels * np.array(tone) for tone in OFF_TONES for sign in (-1, 1))
    for change in (rng.normal(0, levels, image.shape), *tones):
        dither = rng.uniform(-0.5, 0.5, image.shape)
        yield np.clip(np.rint(image + change + dither), 0, 255).astype(np.uint8)
