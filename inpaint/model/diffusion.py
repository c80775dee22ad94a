"""The whole diffusion model on one device: autoencoder, denoiser and drawing of conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from correspondence import Float, Image
from inpaint.model.anchor import AnchorBank
from inpaint.model.autoencoder import FACTOR, Autoencoder
from inpaint.model.conditions import draw_conditions, person_mask
from inpaint.model.denoiser import Denoiser
from inpaint.model.prior import blended
from inpaint.model.quadrants import LAYOUTS, Arrangement, assemble, cut, reference_grid
from inpaint.model.sampler import PredictV, sample
from inpaint.weights import STEPS

if TYPE_CHECKING:
    from inpaint.model.onnx import OnnxAutoencoder, OnnxDenoiser


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """What is known about a generated view before denoising.

    Attributes:
        latents: latents of the warped composite, (B, C, h, w).
        uncertainty: uncertainty of the composite, (B, 1, h, w), [0, 1]; 1 where nothing is known.
    """

    latents: Tensor
    uncertainty: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class QuadBatch:
    """A batch of B grids to generate.

    Attributes:
        first: latents of r_a, (B, C, h, w).
        last: latents of r_d, of the same shape.
        drawings: drawings of the views a, b, c and d, (B, 4, 3, 8h, 8w), [0, 1].
        person: share of the person in each latent of a and d, (B, 2, 1, h, w).
        gap: frames between a and d, (B,).
        warps: warps of b and c; None for pure mode.
    """

    first: Tensor
    last: Tensor
    drawings: Tensor
    person: Tensor
    gap: Tensor
    warps: tuple[Warp, Warp] | None = None

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Known latents of the generated views, for masked fills.

    Attributes:
        latents: latents of b and c, (B, C, h, w).
        repaint: mask of the latents to generate, (B, 1, h, w), 1 to generate.
    """

    latents: Tensor
    repaint: Tensor


class QuadrantModel:
    """Generates the two middle views of a grid.

    Both networks are moved to the device in place and, on CUDA, converted to half precision.

    Args:
        autoencoder: encodes pictures to latents and decodes them.
        denoiser: the denoiser of the grid, from the same training as the autoencoder.
        device: "cpu" or a CUDA device.
        dtype: type of the networks; None for float16 on CUDA and float32 elsewhere.

    Raises:
        ValueError: the two networks differ in latent channels.
    """

    def __init__(
        self,
        autoencoder: Autoencoder | OnnxAutoencoder,
        denoiser: Denoiser | OnnxDenoiser,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        if autoencoder.config.latent_channels != denoiser.config.latent_channels:
            raise ValueError(
                f"autoencoder has {autoencoder.config.latent_channels} latent channels, "
                f"denoiser {denoiser.config.latent_channels}: use weights of one training"
            )
        self.device = device
        self.dtype = dtype or (torch.float16 if device.startswith("cuda") else torch.float32)
        self.autoencoder = autoencoder.to(device, self.dtype).eval()
        self.denoiser = denoiser.to(device, self.dtype).eval()
        self.side = FACTOR * denoiser.config.latent_size
        self.before_step: Callable[[], None] | None = None  # called before each network call; may raise

    @torch.no_grad()
    def encode(self, images: list[Image]) -> Tensor:
        """Encode pictures, uint8 (H, W, 3) of one size with sides multiples of 8, to latents (B, C, h, w)."""
        batch = np.stack(images).transpose(0, 3, 1, 2)
        unit = torch.from_numpy(np.ascontiguousarray(batch)).to(self.device).to(self.dtype) / 255
        return self.autoencoder.encode(unit)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> list[Image]:
        """Decode latents (B, C, h, w) to pictures, uint8 (8h, 8w, 3)."""
        return _as_images(self.autoencoder.decode(latents).float())

    @torch.no_grad()
    def decode_onto(self, latents: Tensor, warp: Warp, bases: list[Image]) -> list[Image]:
        """Decode latents that were generated from composites, and restore the composites' detail.

        The detail of a composite that the autoencoder loses is added where the composite is sure:
        D(z) + (1 - u) (x - D(E(x))). A view that needed no change is returned as it was.

        Args:
            latents: generated latents, (B, C, h, w).
            warp: latents of the composites and their uncertainty.
            bases: the composites, uint8 (8h, 8w, 3).

        Returns:
            Pictures, uint8 (8h, 8w, 3).
        """
        made, known = self.autoencoder.decode(torch.cat([latents, warp.latents])).float().chunk(2)
        pictures = torch.from_numpy(np.stack(bases)).to(self.device).permute(0, 3, 1, 2) / 255
        sure = 1 - F.interpolate(
            warp.uncertainty.float(), scale_factor=FACTOR, mode="bilinear", align_corners=False
        )
        return _as_images(made + sure * (pictures - known))

    def draw(self, points: Float | None) -> tuple[Tensor, Tensor]:
        """Draw the conditions of a view.

        Args:
            points: landmarks in pixels of the S x S view; None for no face.

        Returns:
            The drawing, (3, S, S) in [0, 1], and the person mask, (1, S/8, S/8).
        """
        size = (self.side, self.side)
        drawing = torch.from_numpy(draw_conditions(points, size).transpose(2, 0, 1).copy())
        person = cv2.resize(
            person_mask(points, size), (self.side // FACTOR,) * 2, interpolation=cv2.INTER_AREA
        )
        return drawing.to(self.device).to(self.dtype) / 255, torch.from_numpy(person)[None].to(
            self.device, self.dtype
        )

    @torch.no_grad()
    def generate(
        self,
        quads: QuadBatch,
        *,
        seed: int = 0,
        steps: int = STEPS,
        given: Given | None = None,
        resample_at: float | None = None,
        anchor: AnchorBank | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Generate latents of the views b and c.

        Args:
            quads: the grids to generate. They fit any arrangement of the model.
            seed: seed of the noise, which is drawn on the CPU so that it is the same for every device. The
                whole batch uses the noise of one grid, so neighbouring frames differ only by conditions.
            steps: number of sampler steps, 1 to 50.
            given: known latents of b and c; None for none.
            resample_at: time of the resampling jump, see `sampler.sample`.
            anchor: a bank attached to this model's denoiser. Its noise level is set at each step.

        Returns:
            Latents of b and of c, each (B, C, h, w).
        """
        if self.denoiser.config.arrangement == "side_by_side":
            b = self._run(quads, (0, 1), seed, steps, given, resample_at, anchor)[1]
            c = self._run(quads, (0, 2), seed, steps, given, resample_at, anchor)[1]
            return b, c
        views = self._run(quads, (0, 1, 2, 3), seed, steps, given, resample_at, anchor)
        return views[1], views[2]

    def _run(
        self,
        quads: QuadBatch,
        shown: tuple[int, ...],
        seed: int,
        steps: int,
        given: Given | None,
        resample_at: float | None,
        anchor: AnchorBank | None,
    ) -> list[Tensor]:
        config = self.denoiser.config
        layout = LAYOUTS[config.arrangement]
        first, last = quads.first.to(self.dtype), quads.last.to(self.dtype)
        known = repaint = None
        if given is not None:
            keep = torch.zeros_like(given.repaint)
            options = [
                (first, keep),
                (given.latents, given.repaint),
                (given.latents, given.repaint),
                (last, keep),
            ]
            known = assemble([options[view][0].to(self.dtype) for view in shown], layout)
            repaint = assemble([options[view][1].to(self.dtype) for view in shown], layout)
        predict = self.predictor(quads, shown, anchor)
        shape = (first.shape[1], layout[0] * first.shape[2], layout[1] * first.shape[3])
        # a single step predicts a mean, which does not depend on noise; noise would only add to the error
        seeded = torch.Generator().manual_seed(seed)
        one = torch.randn(shape, generator=seeded) if steps > 1 else torch.zeros(shape)
        noise = one.to(self.device, self.dtype).expand(len(quads), *shape)
        grid = sample(
            predict,
            noise,
            steps=steps,
            known=known,
            repaint=repaint,
            resample_at=resample_at,
        )
        return cut(grid, layout)

    def predictor(
        self, quads: QuadBatch, shown: tuple[int, ...] = (0, 1, 2, 3), anchor: AnchorBank | None = None
    ) -> PredictV:
        """Return a function that predicts v of whole grids at a time, conditioned on quads.

        Args:
            quads: references, drawings and warps of the grids.
            shown: numbers of the views (a, b, c, d) that the grid shows, row by row.
            anchor: see `generate`.
        """
        config = self.denoiser.config
        layout = LAYOUTS[config.arrangement]
        first, last = quads.first.to(self.dtype), quads.last.to(self.dtype)
        references = reference_grid(first, last, config.arrangement)
        encoded = self.denoiser.pose(quads.drawings[:, list(shown)].to(self.dtype).flatten(0, 1))
        per_view = encoded.reshape(len(quads), len(shown), *encoded.shape[1:]).unbind(dim=1)
        conditions = assemble(per_view, layout)
        tokens = identity_tokens(self.denoiser, first, last, quads.person.to(self.dtype), quads.gap)
        prior = prior_grid(quads, shown, config.arrangement).to(self.dtype)

        def predict(x: Tensor, t: float) -> Tensor:
            if self.before_step is not None:
                self.before_step()
            if anchor is not None:
                anchor.level, anchor.shape = t, (x.shape[-2], x.shape[-1])
            time = torch.full((len(x),), t, device=self.device)
            out: Tensor = self.denoiser(x, time, references, conditions, tokens, prior)
            return out

        return predict


def _as_images(unit: Tensor) -> list[Image]:
    """Convert a batch (B, 3, H, W), clipped to [0, 1], to pictures uint8 (H, W, 3)."""
    batch = (unit.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [np.ascontiguousarray(picture) for picture in batch]


def identity_tokens(
    denoiser: Denoiser | OnnxDenoiser,
    first: Tensor,
    last: Tensor,
    person: Tensor,
    gap: Tensor,
    drop: Tensor | None = None,
) -> Tensor:
    """Compute identity tokens of the references that an arrangement shows.

    An arrangement with a single reference uses r_a twice.

    Args:
        denoiser: the denoiser, whose `identity` and arrangement are used.
        first: latents of r_a, (B, C, h, w).
        last: latents of r_d, of the same shape.
        person: share of the person in each latent, (B, 2, 1, h, w).
        gap: frames between the references, (B,).
        drop: see `IdentityTokens.forward`.
    """
    if denoiser.config.arrangement != "two_references":
        last, person = first, person[:, :1].expand(-1, 2, -1, -1, -1)
    tokens: Tensor = denoiser.identity(torch.stack([first, last], dim=1), person, gap, drop)
    return tokens


def prior_grid(quads: QuadBatch, shown: tuple[int, ...], arrangement: Arrangement) -> Tensor:
    """Make the prior of a grid: the mean of each view before denoising and its uncertainty.

    The mean of a reference is the reference itself. The means of b and c are the warped composites, or
    without warps a mix of the references with uncertainty 1. If an arrangement shows a single reference, it
    also replaces the other one.

    Args:
        quads: the grids.
        shown: numbers of the views (a, b, c, d) that the grid shows, row by row.
        arrangement: one of `LAYOUTS`.

    Returns:
        Mean and uncertainty, (B, C + 1, H, W).
    """
    first = quads.first
    last = quads.last if arrangement == "two_references" else first
    known = torch.zeros_like(first[:, :1])
    if quads.warps is None:
        b, c = ((mean, known + 1) for mean in blended(first, last))
    else:
        b, c = ((w.latents.to(first), w.uncertainty.to(first)) for w in quads.warps)
    d = (last, known if arrangement == "two_references" else known + 1)
    views = [torch.cat(pair, dim=1) for pair in ((first, known), b, c, d)]
    return assemble([views[view] for view in shown], LAYOUTS[arrangement])
