"""Masked fills by a diffusers inpainting model, of Stable Diffusion 1.5's size or any other.

The model is a local folder with `unet` (nine input channels: noise, mask, masked picture) and `vae`, as
diffusers saves them. The text condition is read from `empty_prompt.safetensors` in that folder (one tensor
"prompt", (tokens, width), the text encoder's output for an empty prompt). Without this file it is zeros. So
no text encoder is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from correspondence import Float, Image, WeightsError, check_image
from inpaint.classical.opencv import fill_classical
from inpaint.mask import dilate, hole_box, match_boundary, paste, square_box
from inpaint.model.sampler import trailing_times
from inpaint.types import FillContext, check_mask

CHANNELS = 9  # input channels of the UNet: 4 noisy latents, 1 mask, 4 latents of the masked picture
TOKENS = 77
CONTEXT_SHARE = 0.5


class DiffusersFill:
    """A `Fill` by a diffusers inpainting model. It fills masks only, not gaps between frames.

    Args:
        folder: folder of the model.
        device: "cpu" or a CUDA device.
        steps: number of sampler steps (DDIM).
        side: side at which holes are filled, pixels; None for the model's own.

    Raises:
        WeightsError: the folder holds no inpainting model, or a damaged one.
    """

    def __init__(self, folder: Path, device: str = "cpu", steps: int = 20, side: int | None = None) -> None:
        import diffusers

        library: Any = diffusers  # its loaders are untyped
        dtype = torch.float16 if device.startswith("cuda") else torch.float32
        options: dict[str, Any] = {"torch_dtype": dtype, "use_safetensors": True}  # never a pickle
        try:
            unet = library.UNet2DConditionModel.from_pretrained(str(folder / "unet"), **options)
            vae = library.AutoencoderKL.from_pretrained(str(folder / "vae"), **options)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as exc:
            raise WeightsError(
                f"{folder} holds no model that diffusers can load from safetensors: {exc}; weights in .bin "
                "files are not read, since they may run code: convert them first"
            ) from exc
        if unet.config.in_channels != CHANNELS:
            raise WeightsError(
                f"{folder}/unet has {unet.config.in_channels} input channels, "
                f"an inpainting model has {CHANNELS}"
            )
        self._unet: Any = unet.to(device).eval().requires_grad_(False)
        self._vae: Any = vae.to(device).eval().requires_grad_(False)
        self._device, self._dtype, self._steps = device, dtype, steps
        self._factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self._side = side or int(unet.config.sample_size) * self._factor
        self._prompt = _prompt(folder, int(unet.config.cross_attention_dim)).to(device, dtype)
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2  # scaled linear
        self._alphas = torch.cumprod(1 - betas, dim=0)
        self.before_step: Callable[[], None] | None = None

    @torch.no_grad()
    def __call__(self, image: Image, mask: Float, context: FillContext | None = None) -> Image:
        """Fill the hole of a picture; see `types.Fill`."""
        size = check_image(image)
        check_mask(mask, size)
        tight = hole_box(mask)
        if tight is None:
            return image.copy()
        margin = int(np.ceil(CONTEXT_SHARE * max(tight[2] - tight[0], tight[3] - tight[1])))
        grown = hole_box(mask, margin) or tight
        x0, y0, x1, y1 = square_box(grown, size)
        crop, hole = np.ascontiguousarray(image[y0:y1, x0:x1]), np.ascontiguousarray(mask[y0:y1, x0:x1])
        wide = (dilate(hole, 2) > 0).astype(np.float32)
        seed = 0 if context is None else context.seed
        made = self._generated(fill_classical(crop, wide), wide, seed)
        full = np.asarray(cv2.resize(made, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC), np.uint8)
        full = match_boundary(crop, full, hole)
        result = image.copy()
        result[y0:y1, x0:x1] = paste(crop, full, hole)
        return result

    def _generated(self, rough: Image, wide: Float, seed: int) -> Image:
        side, factor = self._side, self._factor
        picture = cv2.resize(rough, (side, side), interpolation=cv2.INTER_AREA)
        unit = torch.from_numpy(np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1)
        open_share = cv2.resize(wide, (side, side), interpolation=cv2.INTER_LINEAR)
        hole = torch.from_numpy((open_share > 0).astype(np.float32))[None, None]
        small = torch.nn.functional.max_pool2d(hole, factor).to(self._device, self._dtype)
        masked = self._encoded(unit * (1 - hole))
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(masked.shape, generator=generator).to(self._device, self._dtype)
        times = [min(999, round(1000 * t)) for t in trailing_times(self._steps)]
        for now, after in pairwise(times):
            if self.before_step is not None:
                self.before_step()
            stacked = torch.cat([x, small, masked], dim=1)
            noise = self._unet(stacked, torch.tensor(now, device=self._device), self._prompt).sample
            x = self._stepped(x, noise, now, after)
        decoded = self._vae.decode(x / self._vae.config.scaling_factor).sample[0].float().cpu()
        pixels = ((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())

    def _encoded(self, unit: Tensor) -> Tensor:
        latents = self._vae.encode(unit.to(self._device, self._dtype)).latent_dist.mean
        scaled: Tensor = latents * self._vae.config.scaling_factor
        return scaled

    def _stepped(self, x: Tensor, noise: Tensor, now: int, after: int) -> Tensor:
        """Take one step of DDIM (Song et al. 2021) for a network that predicts the noise."""
        alpha = float(self._alphas[now]) ** 0.5
        sigma = (1 - alpha * alpha) ** 0.5
        clean = (x - sigma * noise) / alpha
        if after == 0:
            return clean
        alpha = float(self._alphas[after]) ** 0.5
        return alpha * clean + (1 - alpha * alpha) ** 0.5 * noise


def _prompt(folder: Path, width: int) -> Tensor:
    """Load the text condition, (1, tokens, width)."""
    path = folder / "empty_prompt.safetensors"
    if not path.is_file():
        return torch.zeros(1, TOKENS, width)
    from safetensors.torch import load_file

    tensor = load_file(str(path)).get("prompt")
    if tensor is None or tensor.ndim != 2 or tensor.shape[1] != width:
        raise WeightsError(f'{path} must hold one tensor "prompt" of shape (tokens, {width})')
    return tensor[None].float()
