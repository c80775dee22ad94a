"""Train the quadrant-grid denoiser: `livery train denoiser --cache CACHE --autoencoder FILE --out DIR`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from correspondence import data
from inpaint import checkpoints, training
from inpaint.autoencoder import Autoencoder
from inpaint.conditions import MILD, NO_SCALING, VIVID
from inpaint.data import Material, build_material, sample_quads
from inpaint.denoiser import LARGE, SMALL, Denoiser, DenoiserConfig
from inpaint.losses import psnr
from inpaint.model import QuadrantModel, identity_tokens, warp_grid
from inpaint.quad_batches import BatchConfig, TrainingBatch, draw_batch
from inpaint.quadrants import LAYOUTS, Arrangement, assemble, reference_grid
from inpaint.sampler import add_noise, min_snr_weight

logger = logging.getLogger(__name__)
REFERENCE_WEIGHT = 0.2  # of the loss on quadrants a and d, which the grid already holds
SCALINGS = {"vivid": VIVID, "mild": MILD, "none": NO_SCALING}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the run."""
    training.add_arguments(parser, steps=12_000, batch=64)
    parser.add_argument("--autoencoder", type=Path, required=True, help="weights of `train autoencoder`")
    parser.add_argument("--size", choices=("small", "large"), default="small")
    parser.add_argument(
        "--arrangement", choices=sorted(LAYOUTS), default="two_references", help="Table 3's settings"
    )
    parser.add_argument("--pure", action="store_true", help="no warp channels: Qffusion's own inputs")
    parser.add_argument(
        "--scaling", choices=sorted(SCALINGS), default="mild", help="random scaling of the drawings"
    )
    parser.add_argument("--even-share", type=float, default=0.5, help="part of the quads with equal gaps")
    parser.add_argument("--half", action=argparse.BooleanOptionalAction, default=True, help="store float16")


def run(args: argparse.Namespace) -> int:
    """Train, measure on the held-out part, write `denoiser.safetensors` and the curve into `--out`.

    Raises:
        WeightsError: no usable autoencoder in `--autoencoder`.
        ValueError: the cache has no clip of four frames or more.
    """
    config = training.run_config(args)
    autoencoder = checkpoints.load_autoencoder(args.autoencoder).to(config.device)
    clips = [
        c for c in data.load(args.cache, "train", stride=args.stride, limit=args.limit) if len(c.frames) >= 4
    ]
    held = [
        c
        for c in data.load(args.cache, "calibration", stride=args.stride, limit=args.limit)
        if len(c.frames) >= 4
    ]

    def material(some: list[data.Clip], variants: int) -> Material:
        return build_material(
            some,
            side=args.side,
            variants=variants,
            scaling=SCALINGS[args.scaling],
            seed=args.seed,
            device=config.device,
        )

    base = LARGE if args.size == "large" else SMALL
    network = replace(
        base,
        latent_channels=autoencoder.config.latent_channels,
        warp=not args.pure,
        arrangement=args.arrangement,
        latent_size=args.side // 8,
    )
    train_material = material(clips, 2)
    check = measure_on(material(held, 0) if held else train_material, autoencoder, args.arrangement)
    batches = BatchConfig(warp_share=0.0 if args.pure else 0.6, even_share=args.even_share)
    model, curve, about = train(train_material, autoencoder, network, config, batches, check)
    about |= {
        "side": args.side,
        "held_out": bool(held),
        "scaling": args.scaling,
        "even_share": args.even_share,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoints.save(args.out / checkpoints.DENOISER, model, about, half=args.half)
    curve.write(args.out, "denoiser")
    logger.info("wrote %s after %d steps", args.out / checkpoints.DENOISER, about["steps"])
    return 0


def train(
    material: Material,
    autoencoder: Autoencoder,
    network: DenoiserConfig,
    config: training.RunConfig,
    batches: BatchConfig,
    check: Callable[[Denoiser], dict[str, float]] | None = None,
) -> tuple[Denoiser, training.Curve, dict[str, object]]:
    """Train a denoiser on latents of a frozen autoencoder.

    Returns:
        The averaged denoiser, the curve, and the facts of the run.
    """
    generator = training.seeded(config.seed, config.device)
    autoencoder.eval().requires_grad_(False)
    denoiser = Denoiser(network).to(config.device)

    def loss_of(step: nn.Module, _number: int) -> Tensor:
        with torch.no_grad():
            drawn = draw_batch(
                material, autoencoder, config.batch, generator, batches, arrangement=network.arrangement
            )
        times = stratified_times(config.batch, generator, drawn.latents)
        return loss(step, drawn, times, generator)

    module = Step(denoiser)
    averaged, curve, about = training.optimise(
        module, loss_of, config, None if check is None else lambda m: check(inner(m))
    )
    return averaged.denoiser, curve, about


class Step(nn.Module):
    """The denoiser with everything in front of it, so that one call takes a batch to its prediction."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, noisy: Tensor, times: Tensor, batch: TrainingBatch) -> Tensor:
        """v of the grid (B, C, H, W) for a noisy grid of a batch."""
        with training.autocast(noisy.device):
            return self._predict(noisy, times, batch).float()

    def _predict(self, noisy: Tensor, times: Tensor, batch: TrainingBatch) -> Tensor:
        config = self.denoiser.config
        shown, quads = batch.shown, batch.quads
        encoded = self.denoiser.pose(quads.drawings[:, list(shown)].flatten(0, 1))
        views = encoded.reshape(len(quads), len(shown), *encoded.shape[1:]).unbind(dim=1)
        tokens = identity_tokens(
            self.denoiser, quads.first, quads.last, quads.person, quads.gap, batch.drop_tokens
        )
        warp = warp_grid(quads, shown, config.layout) if config.warp and quads.warps is not None else None
        references = reference_grid(quads.first, quads.last, config.arrangement)
        out: Tensor = self.denoiser(noisy, times, references, assemble(views, config.layout), tokens, warp)
        return out


def loss(network: nn.Module, batch: TrainingBatch, times: Tensor, generator: torch.Generator) -> Tensor:
    """Qffusion section 4.2 with v-prediction, min-SNR weights, and eyes and mouth weighing double.

    Args:
        network: a `Step`, compiled or not.
        batch: clean latents and everything the grid is conditioned on.
        times: (B,), [0, 1].
        generator: of the noise.
    """
    shown, layout = batch.shown, LAYOUTS[batch.arrangement]
    clean = assemble([batch.latents[:, view] for view in shown], layout)
    noise = torch.randn(clean.shape, generator=generator, device=generator.device).to(clean)
    noisy, target = add_noise(clean, noise, times)
    predicted = network(noisy, times, batch)
    share = [REFERENCE_WEIGHT if view in (0, 3) else 1.0 for view in shown]
    weight = assemble([batch.weight[:, view] * s for view, s in zip(shown, share, strict=True)], layout)
    squared = (predicted - target).square().mean(dim=1, keepdim=True)
    each = (squared * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
    return (each * min_snr_weight(times)).mean()


def stratified_times(count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Times spread evenly over [0, 1] with one random offset, in random order: less noise in the gradient."""
    offset = torch.rand((), generator=generator, device=generator.device)
    order = torch.randperm(count, generator=generator, device=generator.device)
    return ((order + offset) / count).to(like.device, torch.float32)


def measure_on(
    material: Material, autoencoder: Autoencoder, arrangement: Arrangement, count: int = 16, steps: int = 8
) -> Callable[[Denoiser], dict[str, float]]:
    """A measure for the curve: PSNR of generated middle views, pure mode, on fixed quads of some material.

    The truth is the autoencoder's own reconstruction, so that the figure is the denoiser's alone.
    """
    device = material.frames.device
    generator = torch.Generator(device.type).manual_seed(1)
    with torch.no_grad():
        settings = BatchConfig(
            warp_share=0.0, inpaint_share=0.0, edited_share=0.0, scaled_share=0.0, drop_share=0.0
        )
        numbers = sample_quads(material.spans, count, generator)
        batch = draw_batch(
            material, autoencoder, count, generator, settings, arrangement=arrangement, numbers=numbers
        )

    @torch.no_grad()
    def measure(denoiser: Denoiser) -> dict[str, float]:
        model = QuadrantModel(autoencoder, denoiser, str(device), torch.float32)
        made = model.generate(batch.quads, seed=2, steps=steps)
        truth = torch.cat([autoencoder.decode(batch.latents[:, k]) for k in (1, 2)])
        return {"psnr": psnr(torch.cat([autoencoder.decode(m) for m in made]), truth)}

    return measure


def inner(step: nn.Module) -> Denoiser:
    """The denoiser inside a training step."""
    if not isinstance(step, Step):
        raise TypeError(f"expected a training step, got {type(step).__name__}")
    return step.denoiser
