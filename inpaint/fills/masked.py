"""Masked fills by the quadrant model, whose known latents are given to the sampler.

View a of the grid shows the reference, view d the reference warped onto the picture. The model generates the
picture in b, starting from the continued surroundings, and in c, starting from the warped reference. View c
is the result. For `delta` edits, fill the edited picture and compute the change afterwards
(`mask.fill_delta`), since the model must not see a difference image.
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

RESAMPLED = 4  # smallest number of steps with a resampling jump, which needs steps on both sides


@dataclass(frozen=True, slots=True, kw_only=True)
class FillConfig:
    """Settings for cutting out a hole, generating its content and pasting it back.

    Attributes:
        steps: number of network calls, without the call of the resampling jump.
        resample_at: time of the single RePaint jump; None for no jump.
        context_share: margin around the hole before it is cut out, as a share of its longer side.
        dilate_px: distance beyond the hole up to which latents are generated, pixels of the picture.
        feather_px: width of the ramp inside the hole's border, pixels.
        detail: share of the warped reference's detail that is restored after the autoencoder lost it.
        boundary_px: reach of the colour match at the border, pixels.
    """

    steps: int = STEPS
    resample_at: float | None = 0.5
    context_share: float = 0.5
    dilate_px: int = 2
    feather_px: float = 4.0
    detail: float = 0.5
    boundary_px: float = 12.0

    def __post_init__(self) -> None:
        if self.context_share < 0 or self.dilate_px < 0 or self.feather_px < 0 or self.boundary_px <= 0:
            raise ValueError(f"shares and widths of a fill must not be negative, got {self}")


class DiffusionFill:
    """A `Fill` by the diffusion model. It holds no state except its weights.

    Args:
        model: the quadrant model.
        config: settings; None for the defaults.
    """

    def __init__(self, model: QuadrantModel, config: FillConfig | None = None) -> None:
        self.model = model
        self.config = config or FillConfig()

    def __call__(self, image: Image, mask: Float, context: FillContext | None = None) -> Image:
        """Fill the hole of a picture; see `types.Fill`.

        Raises:
            ValueError: shapes, dtypes or mask values do not fit.
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
        # matched on whole pictures, since in a crop the matcher would miss parts of the reference around it
        known = (context.landmarks, context.reference, context.reference_landmarks)
        here = np.s_[y0:y1, x0:x1]
        rough, carried = (np.ascontiguousarray(guess[here]) for guess in guesses(image, opened, *known))
        crop = np.ascontiguousarray(image[here])
        hole, wide = (np.ascontiguousarray(share[here]) for share in (mask, opened))
        invented = self._generate(rough, carried, wide, box, context)
        filled = cv2.resize(invented, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC)
        filled = match_boundary(crop, np.asarray(filled, np.uint8), hole, self.config.boundary_px)
        # the ramp at the border leads from the continued surroundings to the generated part, so the picture's
        # content under the mask never shows
        filled = paste(rough, filled, (hole > 0).astype(np.float32), self.config.feather_px)
        result = image.copy()
        result[y0:y1, x0:x1] = paste(crop, filled, hole)
        return result

    def _context_box(self, tight: Box, size: tuple[int, int], context: FillContext) -> Box:
        """Return a square box around the hole, its surroundings and, if it is known, the whole face."""
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
        """Generate the view of a crop, uint8 (S, S, 3), from two guesses. `wide` is its hole, 0 or 1."""
        model, side = self.model, self.model.side
        whole = (0, 0, rough.shape[1], rough.shape[0])
        guessed = [view(guess, whole, side) for guess in (rough, carried)]
        here = view_landmarks(context.landmarks, box, side)
        reference, there = self._reference(context)
        first = guessed[0] if reference is None else reference
        latents = torch.split(model.encode([first, *guessed]), 1)
        share = cv2.resize(wide, (side // FACTOR,) * 2, interpolation=cv2.INTER_AREA)
        # a latent whose patch touches the hole is generated, and so are its neighbours: convolutions mix them
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
        """Return the reference as a view of the model, and its landmarks in that view."""
        if context.reference is None:
            return None, None
        h, w = context.reference.shape[:2]
        whole = square_box((0, 0, w, h), (h, w))
        seen = whole if context.reference_landmarks is None else self._face_box(context)
        side = self.model.side
        return view(context.reference, seen, side), view_landmarks(context.reference_landmarks, seen, side)

    def _face_box(self, context: FillContext) -> Box:
        """Return a square box around the reference's face, framed like the crop of the picture."""
        if context.reference is None or context.reference_landmarks is None:
            raise ValueError("a reference with landmarks is needed here")
        h, w = context.reference.shape[:2]
        left, top, right, bottom = context.reference_landmarks.box
        grow = 0.5 * max(right - left, bottom - top)
        wanted = (int(left - grow), int(top - grow), int(right + grow), int(bottom + grow))
        return square_box(
            (max(0, wanted[0]), max(0, wanted[1]), min(w, wanted[2]), min(h, wanted[3])), (h, w)
        )
