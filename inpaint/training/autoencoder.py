"""Train the latent autoencoder: `livery train autoencoder --cache CACHE --out DIR`."""

from __future__ import annotations

import argparse
import logging
from typing import Any

import torch
from torch import Tensor, nn

from correspondence.training import data
from inpaint.model import checkpoints
from inpaint.model.autoencoder import FACTOR, Autoencoder, AutoencoderConfig
from inpaint.training import augment
from inpaint.training import run as training
from inpaint.training.augment import uniform
from inpaint.training.data import gather_frames, to_unit
from inpaint.training.losses import psnr, reconstruction_loss, ssim

logger = logging.getLogger(__name__)
EDITED_SHARE = 0.3  # share of edited pictures, half of them recoloured and half painted on
LATENT_NOISE = 0.05  # noise as a share of a latent's deviation, so that the decoder tolerates small errors


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the run."""
    training.add_arguments(parser, steps=20_000, batch=64)
    parser.add_argument(
        "--width", type=int, default=48, help="channels at a quarter of the size; twice at an eighth"
    )
    parser.add_argument("--latent-channels", type=int, default=8)
    parser.add_argument(
        "--crop",
        type=int,
        default=None,
        help="train on random crops of this side; measured on whole pictures",
    )


def run(args: argparse.Namespace) -> int:
    """Train, measure on the held-out part, write `autoencoder.safetensors` and the curve into `--out`."""
    config = training.run_config(args)
    kept: dict[str, Any] = {"limit": args.limit, "allowed": args.licences}
    clips = data.load(args.cache, "train", stride=args.stride, **kept)
    frames, _ = gather_frames(clips, args.side)
    held = data.load(args.cache, "calibration", stride=max(10, args.stride), **kept)
    unseen = gather_frames(held, args.side)[0] if held else frames[: len(frames) // 20 + 1]
    pictures = torch.from_numpy(frames).to(config.device)
    checks = torch.from_numpy(unseen[:: max(1, len(unseen) // 64)][:64]).to(config.device)
    logger.info("%d training pictures, %d held out", len(pictures), len(checks))
    network = AutoencoderConfig(
        latent_channels=args.latent_channels,
        width_quarter=args.width,
        width_eighth=2 * args.width,
        width_half=max(12, args.width * 2 // 3),
    )
    model, curve, about = train(pictures, checks, network, config, args.crop)
    about |= {"side": args.side, "crop": args.crop, "held_out": bool(held), **measure(model, checks)}
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoints.save(args.out / checkpoints.AUTOENCODER, model, about)
    curve.write(args.out, "autoencoder")
    logger.info("held out: PSNR %.2f dB, SSIM %.4f", about["psnr"], about["ssim"])
    return 0


def train(
    pictures: Tensor,
    checks: Tensor,
    network: AutoencoderConfig,
    config: training.RunConfig,
    crop: int | None = None,
) -> tuple[Autoencoder, training.Curve, dict[str, object]]:
    """Train an autoencoder.

    Args:
        pictures: training pictures, uint8 (N, S, S, 3).
        checks: pictures of the same form, on which the curve shows PSNR and SSIM.
        network: widths and depths.
        config: settings of the run.
        crop: side of the random crops to train on; None for whole pictures.

    Returns:
        The averaged autoencoder with latents normalised over training pictures, the curve, and facts of the
        run.
    """
    generator = training.seeded(config.seed, config.device)
    model = Autoencoder(network).to(config.device)
    module = AutoencoderStep(model, config.bfloat16)

    def loss_of(step: nn.Module, _number: int) -> Tensor:
        loss: Tensor = step(batch(pictures, config.batch, generator, crop))
        return loss

    averaged, curve, about = training.optimise(module, loss_of, config, lambda m: measure(_inner(m), checks))
    best = averaged.model
    best.set_scale(_some_latents(best, pictures, generator))
    return best, curve, about


class AutoencoderStep(nn.Module):
    """One pass of the autoencoder with noise on its latents, up to the loss."""

    def __init__(self, model: Autoencoder, bfloat16: bool) -> None:
        super().__init__()
        self.model = model
        self.in_bfloat16 = bfloat16

    def forward(self, images: Tensor) -> Tensor:
        """Compute the scalar loss of pictures (B, 3, H, W) in [0, 1]."""
        with training.autocast(images.device, self.in_bfloat16):
            raw = self.model.raw_latents(images)
            spread = raw.detach().float().std().to(raw.dtype)
            decoded = self.model.decode(raw + LATENT_NOISE * spread * torch.randn_like(raw))
        return reconstruction_loss(decoded.float(), images, raw.float())


def batch(pictures: Tensor, count: int, generator: torch.Generator, crop: int | None = None) -> Tensor:
    """Draw a batch of pictures. They are mirrored at random, and some are recoloured or painted on.

    Args:
        pictures: uint8 (N, S, S, 3).
        count: number of pictures in the batch.
        generator: source of randomness.
        crop: side of the random crop of each batch, a multiple of 8, at most S; None for whole pictures.

    Returns:
        Pictures, float (count, 3, S, S), [0, 1], with `crop` in place of S if it is given.

    Raises:
        ValueError: `crop` is larger than the pictures or no multiple of 8.
    """
    pick = (
        (uniform((count,), 0.0, 1.0, pictures, generator) * len(pictures)).long().clamp_max(len(pictures) - 1)
    )
    chosen = pictures[pick]
    if crop is not None:
        chosen = _cropped(chosen, crop, generator)
    images = to_unit(chosen.permute(0, 3, 1, 2))
    mirrored = augment.chance(count, 0.5, images, generator).reshape(-1, 1, 1, 1)
    images = torch.where(mirrored, images.flip(3), images)
    nothing = torch.zeros_like(images)[:, None]
    images = augment.random_edit(images[:, None], nothing, EDITED_SHARE, generator)[:, 0]
    return augment.paint_blobs(images, EDITED_SHARE / 2, generator).contiguous()


def _cropped(pictures: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Cut the same random square out of all pictures (N, S, S, 3)."""
    room = pictures.shape[1] - side
    if room < 0 or side < FACTOR or side % FACTOR:
        raise ValueError(
            f"crop must be a multiple of {FACTOR} within the pictures' side {pictures.shape[1]}, got {side}"
        )
    top, left = (uniform((2,), 0.0, 1.0, pictures, generator) * (room + 1)).long().clamp_max(room).tolist()
    return pictures[:, top : top + side, left : left + side]


@torch.no_grad()
def measure(model: Autoencoder, checks: Tensor) -> dict[str, float]:
    """Measure PSNR (dB) and SSIM of the autoencoder's reconstruction of pictures uint8 (N, S, S, 3)."""
    images = to_unit(checks.permute(0, 3, 1, 2))
    parts = images.tensor_split(max(1, len(images) // 16))
    decoded = torch.cat([model.decode(model.encode(part)) for part in parts]).clamp(0, 1)
    return {"psnr": psnr(decoded, images), "ssim": float(ssim(decoded, images))}


@torch.no_grad()
def _some_latents(model: Autoencoder, pictures: Tensor, generator: torch.Generator) -> Tensor:
    parts = [batch(pictures, 16, generator) for _ in range(8)]
    return torch.cat([model.raw_latents(part) for part in parts])


def _inner(step: nn.Module) -> Autoencoder:
    if not isinstance(step, AutoencoderStep):
        raise TypeError(f"expected a training step, got {type(step).__name__}")
    return step.model
