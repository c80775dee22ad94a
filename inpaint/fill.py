"""Masked diffusion: the denoiser of the quadrant grid with the known latents given.

The grid shows the reference in a, the picture with its hole (filled roughly) in d, and generates the picture
in b and c. For `delta` edits hand in the edited picture and take the change afterwards (`mask.fill_delta`):
the model never sees a difference image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from correspondence.types import Float, Image, check_image
from inpaint.autoencoder import FACTOR
from inpaint.classical import fill_classical
from inpaint.mask import Box, dilate, hole_box, match_boundary, paste, square_box
from inpaint.model import Given, QuadBatch, QuadrantModel, Warp, view, view_points
from inpaint.types import FillContext, check_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class FillConfig:
    """How a hole is cut out, generated and pasted back."""

    steps: int = 8  # network calls; one more for the resampling jump
    resample_at: float | None = 0.5  # time of the one RePaint jump; None: none
    context_share: float = 0.5  # of the hole's longer side, added around it before it is cut out
    dilate_px: int = 2  # how far beyond the hole latents are invented, pixels of the picture
    feather_px: float = 4.0  # ramp inside the hole's border
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
        crop, hole = np.ascontiguousarray(image[y0:y1, x0:x1]), np.ascontiguousarray(mask[y0:y1, x0:x1])
        wide = (dilate(hole, self.config.dilate_px) > 0).astype(np.float32)
        rough = fill_classical(crop, wide)
        invented = self._generate(rough, wide, box, context)
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

    def _generate(self, crop: Image, wide: Float, box: Box, context: FillContext) -> Image:
        """The generated view of a roughly filled crop, uint8 (S, S, 3); `wide` is its hole, 0 or 1."""
        model, side = self.model, self.model.side
        whole = (0, 0, crop.shape[1], crop.shape[0])
        rough = view(crop, whole, side)
        open_share = cv2.resize(wide, (side // FACTOR,) * 2, interpolation=cv2.INTER_AREA)
        # a latent whose patch touches the hole is invented, as is its neighbour: convolutions look around
        repaint = dilate((open_share > 0).astype(np.float32), 1)
        points = view_points(context.landmarks, box, side)
        reference, reference_points = rough, points
        if context.reference is not None:
            h, w = context.reference.shape[:2]
            seen = (
                square_box((0, 0, w, h), (h, w))
                if context.reference_landmarks is None
                else self._face_box(context)
            )
            reference = view(context.reference, seen, side)
            reference_points = view_points(context.reference_landmarks, seen, side)
        latents = model.encode([reference, rough])
        first, target = latents[:1], latents[1:]
        drawing, person = model.draw(points)
        reference_drawing, reference_person = model.draw(reference_points)
        unsure = torch.from_numpy(repaint)[None, None].to(model.device, model.dtype)
        warp = Warp(target, unsure)
        quads = QuadBatch(
            first=first,
            last=target,
            drawings=torch.stack([reference_drawing, drawing, drawing, drawing])[None],
            person=torch.stack([reference_person, person])[None],
            gap=torch.zeros(1, device=model.device),
            warps=(warp, warp),
        )
        generated, _ = model.generate(
            quads,
            seed=context.seed,
            steps=self.config.steps,
            given=Given(target, unsure),
            resample_at=self.config.resample_at,
        )
        return model.decode(generated)[0]

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
