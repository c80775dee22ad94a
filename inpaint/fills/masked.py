"""Masked diffusion: the denoiser of the quadrant grid with the known latents given.

The grid shows the reference in a and the reference carried onto the picture in d. It generates the picture
in b, from its surroundings continued into the hole, and in c, from the carried reference; c is taken. For
`delta` edits hand in the edited picture and take the change afterwards (`mask.fill_delta`): the model never
sees a difference image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from correspondence import Box, Float, Image, Landmarks, check_image
from inpaint.fills.guess import guesses
from inpaint.fills.views import points_of, view, view_landmarks
from inpaint.mask import dilate, hole_box, match_boundary, paste, square_box
from inpaint.model.autoencoder import FACTOR
from inpaint.model.diffusion import Given, QuadBatch, QuadrantModel, Warp
from inpaint.model.prior import doubt
from inpaint.types import FillContext, check_mask
from inpaint.weights import STEPS

RESAMPLED = 4  # steps from which on the jump is taken: it needs some on both sides


@dataclass(frozen=True, slots=True, kw_only=True)
class FillConfig:
    """How a hole is cut out, generated and pasted back."""

    steps: int = STEPS  # network calls; one more for the resampling jump
    resample_at: float | None = 0.5  # time of the one RePaint jump; None: none
    context_share: float = 0.5  # of the hole's longer side, added around it before it is cut out
    dilate_px: int = 2  # how far beyond the hole latents are invented, pixels of the picture
    feather_px: float = 4.0  # ramp inside the hole's border
    detail: float = 0.5  # share of what the autoencoder loses of the carried reference that is given back
    boundary_px: float = 12.0  # reach of the colour match at the border

    def __post_init__(self) -> None:
        if self.context_share < 0 or self.dilate_px < 0 or self.feather_px < 0 or self.boundary_px <= 0:
            raise ValueError(f"shares and widths of a fill must not be negative, got {self}")


class DiffusionFill:
    """A `Fill` by the diffusion model; stateless beside its weights."""

    def __init__(self, model: QuadrantModel, config: FillConfig | None = None) -> None:
        self.model = model
        self.config = config or FillConfig()

    def __call__(self, image: Image, mask: Float, context: FillContext | None = None) -> Image:
        """The picture with its hole filled; see `types.Fill`.

        Raises:
            ValueError: shapes, dtypes or mask values that do not fit.
        """
        size = check_image(image)
        check_mask(mask, size)
        context = context or FillContext()
        tight = hole_box(mask)
        if tight is None:
            return image.copy()
        box = self._context_box(tight, size, context)
        x0, y0, x1, y1 = box
        opened = (dilate(mask, self.config.dilate_px) > 0).astype(np.float32)
        # on whole pictures: in a crop the matcher would miss what of the reference lies around it
        known = (context.landmarks, context.reference, context.reference_landmarks)
        here = np.s_[y0:y1, x0:x1]
        rough, carried = (np.ascontiguousarray(guess[here]) for guess in guesses(image, opened, *known))
        crop = np.ascontiguousarray(image[here])
        hole, wide = (np.ascontiguousarray(share[here]) for share in (mask, opened))
        invented = self._generate(rough, carried, wide, box, context)
        filled = cv2.resize(invented, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC)
        filled = match_boundary(crop, np.asarray(filled, np.uint8), hole, self.config.boundary_px)
        # the ramp at the border leads from the surroundings' continuation to the invention: what the
        # picture held under the mask never shows
        filled = paste(rough, filled, (hole > 0).astype(np.float32), self.config.feather_px)
        result = image.copy()
        result[y0:y1, x0:x1] = paste(crop, filled, hole)
        return result

    def _context_box(self, tight: Box, size: tuple[int, int], context: FillContext) -> Box:
        """The hole, its surroundings and, where it is known, the whole face, squared."""
        margin = int(np.ceil(self.config.context_share * max(tight[2] - tight[0], tight[3] - tight[1])))
        x0, y0, x1, y1 = (tight[0] - margin, tight[1] - margin, tight[2] + margin, tight[3] + margin)
        if context.landmarks is not None:
            left, top, right, bottom = context.landmarks.box
            grow = 0.5 * max(right - left, bottom - top)  # hair and shoulders, as in the training pictures
            x0, y0 = min(x0, int(left - grow)), min(y0, int(top - grow))
            x1, y1 = max(x1, int(right + grow)), max(y1, int(bottom + grow))
        h, w = size
        return square_box((max(0, x0), max(0, y0), min(w, x1), min(h, y1)), size)

    def _generate(self, rough: Image, carried: Image, wide: Float, box: Box, context: FillContext) -> Image:
        """The generated view of a crop, uint8 (S, S, 3), from two guesses; `wide` is its hole, 0 or 1."""
        model, side = self.model, self.model.side
        whole = (0, 0, rough.shape[1], rough.shape[0])
        guessed = [view(guess, whole, side) for guess in (rough, carried)]
        here = view_landmarks(context.landmarks, box, side)
        reference, there = self._reference(context)
        first = guessed[0] if reference is None else reference
        latents = torch.split(model.encode([first, *guessed]), 1)
        share = cv2.resize(wide, (side // FACTOR,) * 2, interpolation=cv2.INTER_AREA)
        # a latent whose patch touches the hole is invented, as is its neighbour: convolutions look around
        repaint = dilate((share > 0).astype(np.float32), 1)
        open_share, invented = (
            torch.from_numpy(x)[None, None].to(model.device, model.dtype) for x in (share, repaint)
        )
        unsure = open_share
        if reference is not None:
            unsure = doubt(latents[1], latents[2], open_share)
        drawing, person = model.draw(points_of(here))
        reference_drawing, reference_person = model.draw(points_of(here if reference is None else there))
        quads = QuadBatch(
            first=latents[0],
            last=latents[2],
            drawings=torch.stack([reference_drawing, drawing, drawing, drawing])[None],
            person=torch.stack([reference_person, person])[None],
            gap=torch.zeros(1, device=model.device),
            warps=(Warp(latents[1], unsure), Warp(latents[2], unsure)),
        )
        _, generated = model.generate(
            quads,
            seed=context.seed,
            steps=self.config.steps,
            given=Given(latents[1], invented),
            resample_at=self.config.resample_at if self.config.steps >= RESAMPLED else None,
        )
        if self.config.detail == 0:
            return model.decode(generated)[0]
        sure = torch.full_like(open_share, 1 - self.config.detail)
        return model.decode_onto(generated, Warp(latents[2], sure), [guessed[1]])[0]

    def _reference(self, context: FillContext) -> tuple[Image | None, Landmarks | None]:
        """The reference as the model takes it, and its landmarks there."""
        if context.reference is None:
            return None, None
        h, w = context.reference.shape[:2]
        whole = square_box((0, 0, w, h), (h, w))
        seen = whole if context.reference_landmarks is None else self._face_box(context)
        side = self.model.side
        return view(context.reference, seen, side), view_landmarks(context.reference_landmarks, seen, side)

    def _face_box(self, context: FillContext) -> Box:
        """The part of the reference around its face, squared, framed as the crop of the picture is."""
        if context.reference is None or context.reference_landmarks is None:
            raise ValueError("a reference with landmarks is needed here")
        h, w = context.reference.shape[:2]
        left, top, right, bottom = context.reference_landmarks.box
        grow = 0.5 * max(right - left, bottom - top)
        wanted = (int(left - grow), int(top - grow), int(right + grow), int(bottom + grow))
        return square_box(
            (max(0, wanted[0]), max(0, wanted[1]), min(w, wanted[2]), min(h, wanted[3])), (h, w)
        )
