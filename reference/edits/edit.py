"""An edit: what the user changed on a reference, as a difference and a soft mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol, get_args

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Box, Float, Image, check_image
from reference.edits.colour_model import ColourModel, fit_colour_model
from reference.edits.mask import change_mask, colour_table, opacity, visibly_changed
from reference.errors import EditError
from reference.face.sticker import HeadSticker, laid_over

Mode = Literal["auto", "delta", "replace", "layer"]

MODES: tuple[Mode, ...] = get_args(Mode)
GLOBAL_COVERAGE = 0.5  # an edit on more than this share of the reference is not bound to the face
WHOLE_COVERAGE = 0.95  # an edit on at least this share of the reference covers the whole picture
MOST_COVERAGE = 0.8  # from here on it does so, too, if its colours leave the rest as it is: a white wall
LEFT_ALONE, LEFT_SHARE = 6, 0.98  # levels by which they may change this share of the rest


class Painter(Protocol):
    """Paints a look of the whole picture where no place in the reference is known. Threads may share it."""

    def __call__(self, image: Image, toned: Image, wanted: Float, frame_size: tuple[int, int]) -> Image:
        """Paints over the look's colours.

        Args:
            image: the live picture or a part of it, RGB uint8 (H, W, 3).
            toned: the colour model's answer for it, RGB uint8 (H, W, 3).
            wanted: share of each place that is to be painted, float32 of any size over the same area, [0, 1].
            frame_size: (H, W) of the frame that `image` is a part of.

        Returns:
            RGB uint8 (H, W, 3), equal to `toned` where nothing is wanted.
        """
        ...


@dataclass(frozen=True, eq=False)
class Edit:
    """The change between a reference and its edited picture, and how it is composed.

    Two equal pictures make a valid, empty edit. Derived values are computed once, on first use.

    Attributes:
        reference: the picture before, RGB uint8 (H, W, 3).
        edited: the picture after, RGB uint8 (H, W, 3), same size.
        mode: how the change is composed. "delta" adds it to the live frame. "replace" lays the edited picture
            over the frame. "layer" lays it over as one rigid object that moves with the head. "auto" decides
            for each pixel by whether the change tints or covers, and for each object by its kind (see
            `objects`).
        strength: share of the change that is applied, [0, 1].
        exact: whether the edited picture was drawn on the reference and never stored with loss, so that each
            difference is meant. False judges by the pictures.
        known: share of each pixel of the reference about which the edit tells anything, float32 (H, W),
            [0, 1]; None for the whole reference. The half of an edit on the person tells nothing of places
            behind the person.
        painter: paints over the colours of `stand_in` where no place is known; None for the colours alone.
        part: whether it is one half of a larger edit that was split along the person's outline (see
            `person`); such an edit is not bound to a face.
        skin: cover of what lies on the skin whatever it looks like, float32 (H, W) in [0, 1]; None for none.
        stickers: stickers that the head carries as one piece, lowest first. They lie over the edited picture
            and are not part of it.

    Raises:
        EditError: sizes that differ, a dtype or shape that is no RGB picture, an unknown mode, a strength
            outside [0, 1].
    """

    reference: Image
    edited: Image
    mode: Mode = "auto"
    strength: float = 1.0
    part: bool = False
    exact: bool = False
    known: Float | None = None
    painter: Painter | None = None
    skin: Float | None = None
    stickers: tuple[HeadSticker, ...] = ()

    def __post_init__(self) -> None:
        try:
            before, after = check_image(self.reference, "reference"), check_image(self.edited, "edited")
        except ValueError as error:
            raise EditError(str(error)) from error
        if before != after:
            raise EditError(
                f"edited is {after[1]}x{after[0]} but its reference is {before[1]}x{before[0]}; "
                "bring it to that size first, or use align_edited(reference, edited)"
            )
        if self.mode not in MODES:
            raise EditError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if self.known is not None and self.known.shape != before:
            raise EditError(f"known must have the reference's size {before}, got {self.known.shape}")
        if not 0.0 <= self.strength <= 1.0:
            raise EditError(f"strength must be in [0, 1], got {self.strength}")

    @cached_property
    def delta(self) -> npt.NDArray[np.int16]:
        """edited - reference, int16 (H, W, 3)."""
        return np.subtract(self.edited, self.reference, dtype=np.int16)

    @cached_property
    def visible(self) -> Bool:
        """The pixels where the change can be seen, see `visibly_changed`, bool (H, W)."""
        return visibly_changed(self.reference, self.edited)

    @cached_property
    def mask(self) -> Float:
        """How much of each pixel changed, float32 (H, W) in [0, 1], soft, exactly 0 where unedited."""
        return change_mask(self.reference, self.edited, exact=self.exact)

    @cached_property
    def cover(self) -> Float:
        """Share of replacement in the composition of each pixel, float32 (H, W) in [0, 1]; 0: delta."""
        if self.mode == "delta":
            return np.zeros_like(self.mask)
        if self.mode in ("replace", "layer"):
            return (self.mask > 0).astype(np.float32)
        return opacity(self.reference, self.edited, self.mask)

    @cached_property
    def box(self) -> Box | None:
        """Bounding box (x0, y0, x1, y1) of mask > 0, end exclusive, pixels; None for an empty edit."""
        x, y, width, height = cv2.boundingRect((self.mask > 0).astype(np.uint8))
        return (x, y, x + width, y + height) if width and height else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        return self.box is None and not self.stickers

    @cached_property
    def shown(self) -> Image:
        """The edited picture with the stickers, uint8 (H, W, 3)."""
        image = self.edited
        for each in self.stickers:
            image = laid_over(image, each.sticker.drawn(each.landmarks), each.strength)
        return image

    @cached_property
    def coverage(self) -> float:
        """Share of the reference that the edit covers, [0, 1]."""
        return float(self.mask.mean())

    @property
    def is_global(self) -> bool:
        """Whether it is not bound to a face: it covers more than half of the reference, or is a `part`."""
        return self.part or self.coverage > GLOBAL_COVERAGE

    @cached_property
    def is_whole(self) -> bool:
        """Whether it is a look of the whole picture, though it may change nothing on a white wall."""
        if self.coverage >= WHOLE_COVERAGE or self.coverage < MOST_COVERAGE or self.stand_in is None:
            return self.coverage >= WHOLE_COVERAGE
        change = cv2.absdiff(self.stand_in.apply(self.reference), self.reference).max(axis=2)
        rest = change[self.mask == 0]
        return np.count_nonzero(rest <= LEFT_ALONE) >= LEFT_SHARE * rest.size

    @cached_property
    def tone(self) -> Image | None:
        """Best colour table per channel, uint8 (256, 3); None unless the edit covers the whole picture."""
        if not self.is_whole:
            return None
        return np.stack([colour_table(self.reference[..., c], self.edited[..., c]) for c in range(3)], -1)

    @cached_property
    def stand_in(self) -> ColourModel | None:
        """The colour model of an edit that covers more than half of the reference, else None.

        It gives the pixels whose place in the reference is not known, so that none of them stays unedited.
        It is also None if colours explain too little of the edit.
        """
        if self.coverage <= GLOBAL_COVERAGE:
            return None
        model = fit_colour_model(self.reference, self.edited)
        return model if model.serves else None

    @cached_property
    def is_tone(self) -> bool:
        """Whether the colour table alone makes the edited picture, to within 2 levels.

        The place of a pixel then does not matter.
        """
        if self.tone is None or self.mode in ("replace", "layer"):
            return False
        return int(cv2.absdiff(cv2.LUT(self.reference, self.tone[None]), self.edited).max()) <= 2

    def with_mode(self, mode: Mode) -> Edit:
        """Returns the same edit in another mode. Values that do not depend on the mode are shared."""
        if mode == self.mode:
            return self
        other = replace(self, mode=mode)
        for name in ("delta", "visible", "mask", "box", "coverage", "tone", "stand_in"):
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]
        return other
