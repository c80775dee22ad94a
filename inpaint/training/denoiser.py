"""Train the quadrant-grid denoiser: `livery train denoiser --cache CACHE --autoencoder FILE --out DIR`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from correspondence.training import data
from inpaint.model import checkpoints
from inpaint.model.autoencoder import Autoencoder
from inpaint.model.conditions import MILD, NO_SCALING, VIVID
from inpaint.model.denoiser import LARGE, SMALL, Denoiser, DenoiserConfig
from inpaint.model.diffusion import QuadrantModel, identity_tokens, prior_grid
from inpaint.model.prior import linear
from inpaint.model.quadrants import LAYOUTS, Arrangement, assemble, cut, reference_grid
from inpaint.model.sampler import add_noise
from inpaint.training import run as training
from inpaint.training.data import Material, build_material
from inpaint.training.losses import psnr
from inpaint.training.quad_batches import BatchConfig, TrainingBatch, cropped, draw_batch
from inpaint.training.quad_pool import Pool, PoolConfig, build_pool

logger = logging.getLogger(__name__)
LEAST_ERROR = 0.01  # mean squared error of latents; better priors count as having this error
REFERENCE_WEIGHT = 0.2  # weight of the loss on quadrants a and d, which the grid is given
FIRST_SHARE = 0.5  # share of samples at t = 1, where sampling starts and does most of its work
HELD_QUADS = 48
WHOLE_EVERY = 3  # every n-th step trains on whole views, the others on crops
SCALINGS = {"vivid": VIVID, "mild": MILD, "none": NO_SCALING}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the run."""
    training.add_arguments(parser, steps=12_000, batch=64)
    parser.add_argument("--autoencoder", type=Path, required=True, help="weights of `train autoencoder`")
    parser.add_argument("--start", type=Path, metavar="FILE", help="go on from a denoiser of this size")
    parser.add_argument("--size", choices=("small", "large"), default="small")
    parser.add_argument(
        "--arrangement", choices=sorted(LAYOUTS), default="two_references", help="Table 3's settings"
    )
    parser.add_argument("--pure", action="store_true", help="no warp channels: Qffusion's own inputs")
    parser.add_argument(
        "--scaling", choices=sorted(SCALINGS), default="mild", help="random scaling of the drawings"
    )
    parser.add_argument("--even-share", type=float, default=0.5, help="part of the quads with equal gaps")
    parser.add_argument(
        "--crop", type=int, default=None, help="two steps of three on random windows of this side, pixels"
    )
    parser.add_argument("--quads", type=int, default=8000, help="drawn and matched once, before training")
    parser.add_argument("--half", action=argparse.BooleanOptionalAction, default=True, help="store float16")


def run(args: argparse.Namespace) -> int:
    """Train, measure on the held-out part, write `denoiser.safetensors` and the curve into `--out`.

    Raises:
        WeightsError: `--autoencoder` has no usable autoencoder, or `--start` no usable denoiser.
        ValueError: the cache has no clip of four frames or more, or `--start` is of another size or mode.
    """
    config = training.run_config(args)
    autoencoder = checkpoints.load_autoencoder(args.autoencoder).to(config.device)
    kept: dict[str, Any] = {"stride": args.stride, "limit": args.limit, "allowed": args.licences}
    clips = [c for c in data.load(args.cache, "train", **kept) if len(c.frames) >= 4]
    held = [c for c in data.load(args.cache, "calibration", **kept) if len(c.frames) >= 4]

    generator = training.seeded(config.seed, config.device)
    mixture = PoolConfig(even=args.even_share, single=args.arrangement != "two_references")

    def drawn(some: list[data.Clip], variants: int, count: int) -> tuple[Material, Pool]:
        material = build_material(
            some,
            side=args.side,
            variants=variants,
            scaling=SCALINGS[args.scaling],
            seed=args.seed,
            device=config.device,
            step=args.stride,
        )
        pool = build_pool(material, autoencoder, count, generator, mixture, bfloat16=config.bfloat16)
        return material, pool

    material, pool = drawn(clips, 2, args.quads)
    network = replace(
        LARGE if args.size == "large" else SMALL,
        latent_channels=autoencoder.config.latent_channels,
        warp=not args.pure,
        arrangement=args.arrangement,
        latent_size=args.side // 8,
        prior_std=pool.prior_std(),
    )
    seen = drawn(held, 0, HELD_QUADS) if held else (material, pool)
    check = measure_on(*seen, autoencoder, args.arrangement)
    batches = BatchConfig(warp_share=0.0 if args.pure else BatchConfig().warp_share)
    start = None if args.start is None else checkpoints.load_denoiser(args.start)
    model, curve, about = train(material, pool, network, config, batches, check, args.crop, start)
    about |= {
        "side": args.side,
        "stride": args.stride,
        "quads": args.quads,
        "crop": args.crop,
        "held_out": bool(held),
        "scaling": args.scaling,
        "even_share": args.even_share,
        "start": None if args.start is None else checkpoints.read_about(args.start),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoints.save(args.out / checkpoints.DENOISER, model, about, half=args.half)
    curve.write(args.out, "denoiser")
    logger.info("wrote %s after %d steps", args.out / checkpoints.DENOISER, about["steps"])
    return 0


def train(
    material: Material,
    pool: Pool,
    network: DenoiserConfig,
    config: training.RunConfig,
    batches: BatchConfig,
    check: Callable[[Denoiser], dict[str, float]] | None = None,
    crop: int | None = None,
    start: Denoiser | None = None,
) -> tuple[Denoiser, training.Curve, dict[str, object]]:
    """Train a denoiser on a pool of quads of `material`.

    Args:
        material, pool: the training data.
        network: size and mode of the denoiser.
        config, batches: settings of the run, and composition of its batches.
        check: returns figures for the curve.
        crop: see `--crop`.
        start: the denoiser to continue from; None to start from random weights.

    Returns:
        The averaged denoiser, the curve, and facts of the run.

    Raises:
        ValueError: `start` is of another size or mode.
    """
    generator = training.seeded(config.seed, config.device)
    denoiser = Denoiser(network)
    if start is not None:
        was = replace(start.config, prior_std=network.prior_std)
        if was != network:
            raise ValueError(f"the denoiser to start from is {was}, this run is of {network}")
        denoiser.load_state_dict(start.state_dict())
    denoiser.to(config.device)

    # a step on crops has as many pixels as a step on whole views
    windows = 1 if crop is None else (8 * network.latent_size // crop) ** 2

    def loss_of(step: nn.Module, number: int) -> Tensor:
        whole = crop is None or number % WHOLE_EVERY == 0
        count = config.batch if whole else config.batch * windows
        drawn = draw_batch(pool, material, count, generator, batches, arrangement=network.arrangement)
        if crop is not None and not whole:
            drawn = cropped(drawn, crop // 8, generator)
        times = stratified_times(count, generator, drawn.latents)
        return loss(step, drawn, times, generator, network.prior_std)

    module = DenoiserStep(denoiser, config.bfloat16)
    averaged, curve, about = training.optimise(
        module, loss_of, config, None if check is None else lambda m: check(inner(m))
    )
    return averaged.denoiser, curve, about


class DenoiserStep(nn.Module):
    """The denoiser with the encoding of its conditions, so that one call predicts v of a batch."""

    def __init__(self, denoiser: Denoiser, bfloat16: bool = False) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.in_bfloat16 = bfloat16

    def forward(self, noisy: Tensor, times: Tensor, batch: TrainingBatch) -> Tensor:
        """Predict v of the grid, (B, C, H, W), for a noisy grid of a batch."""
        with training.autocast(noisy.device, self.in_bfloat16):
            return self._predict(noisy, times, batch).float()

    def _predict(self, noisy: Tensor, times: Tensor, batch: TrainingBatch) -> Tensor:
        config = self.denoiser.config
        shown, quads = batch.shown, batch.quads
        encoded = self.denoiser.pose(quads.drawings[:, list(shown)].flatten(0, 1))
        views = encoded.reshape(len(quads), len(shown), *encoded.shape[1:]).unbind(dim=1)
        tokens = identity_tokens(
            self.denoiser, quads.first, quads.last, quads.person, quads.gap, batch.drop_tokens
        )
        prior = prior_grid(quads, shown, config.arrangement)
        references = reference_grid(quads.first, quads.last, config.arrangement)
        out: Tensor = self.denoiser(noisy, times, references, assemble(views, config.layout), tokens, prior)
        return out


def loss(
    network: nn.Module,
    batch: TrainingBatch,
    times: Tensor,
    generator: torch.Generator,
    deviations: tuple[float, float],
) -> Tensor:
    """Compute the loss of Qffusion section 4.2 with v-prediction, eyes and mouth double.

    The squared error of a view is divided by the error of its prior alone. So views that are nearly known
    count as much as views that are not, and are not harmed for a small gain in the others.

    Args:
        network: a `DenoiserStep`, compiled or not.
        batch: clean latents and the conditions of the grids.
        times: time of each sample, (B,), [0, 1].
        generator: source of the noise.
        deviations: `DenoiserConfig.prior_std`.
    """
    shown, layout = batch.shown, LAYOUTS[batch.arrangement]
    clean = assemble([batch.latents[:, view] for view in shown], layout)
    noise = torch.randn(clean.shape, generator=generator, device=generator.device).to(clean)
    noisy, target = add_noise(clean, noise, times)
    predicted = network(noisy, times, batch)
    with torch.no_grad():
        prior = prior_grid(batch.quads, shown, batch.arrangement)
        alone, _ = linear(noisy, times, prior, deviations)
        before = (alone - target).square().mean(dim=1, keepdim=True)
    squared = (predicted - target).square().mean(dim=1, keepdim=True)
    share = [REFERENCE_WEIGHT if view in (0, 3) else 1.0 for view in shown]
    total = squared.new_zeros(())
    for view, mine, base, s in zip(shown, cut(squared, layout), cut(before, layout), share, strict=True):
        weight = batch.weight[:, view] / batch.weight[:, view].mean(dim=(1, 2, 3), keepdim=True)
        error, known = ((x * weight).mean(dim=(1, 2, 3)) for x in (mine, base))
        total = total + s * (error / (known + LEAST_ERROR)).mean()
    return total / sum(share)


def stratified_times(count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw times for a batch, (count,): a share at 1, the others evenly spaced in [0, 1], in random order.

    All share one random offset, which reduces noise in the gradient.
    """
    offset = torch.rand((), generator=generator, device=generator.device)
    order = torch.randperm(count, generator=generator, device=generator.device)
    even = (order + offset) / count
    return (even / (1 - FIRST_SHARE)).clamp_max(1.0).to(like.device, torch.float32)


def measure_on(
    material: Material,
    pool: Pool,
    autoencoder: Autoencoder,
    arrangement: Arrangement,
    count: int = 16,
    steps: int = 1,
) -> Callable[[Denoiser], dict[str, float]]:
    """Return a measure for the curve: PSNR of generated views of fixed quads of a pool, dB.

    "pure", "warped" and "filled" are the three uses. "landmarks", "composite" and "guess" are the pictures
    that they start from. The truth is the autoencoder's own reconstruction, so that only the denoiser's error
    is measured.
    """
    device = str(material.frames.device)
    generator = torch.Generator(torch.device(device).type).manual_seed(1)
    between, fills = (torch.nonzero(kind)[:count, 0] for kind in (~pool.filling, pool.filling))
    cases = {"pure": (between, 0.0), "warped": (between, 1.0), "filled": (fills, 1.0)}
    starts = {"pure": "landmarks", "warped": "composite", "filled": "guess"}
    drawn = {
        name: draw_batch(
            pool,
            material,
            len(chosen),
            generator,
            BatchConfig(warp_share=share, scaled_share=0.0, drop_share=0.0),
            arrangement=arrangement,
            chosen=chosen,
        )
        for name, (chosen, share) in cases.items()
        if len(chosen)
    }

    def compared(name: str, views: Sequence[Tensor], batch: TrainingBatch) -> float:
        taken = (1,) if name == "filled" else (0, 1)  # which of b and c
        truth = torch.cat([autoencoder.decode(batch.latents[:, 1 + k]) for k in taken])
        return psnr(torch.cat([autoencoder.decode(views[k]) for k in taken]), truth)

    @torch.no_grad()
    def measure(denoiser: Denoiser) -> dict[str, float]:
        model = QuadrantModel(autoencoder, denoiser, device, torch.float32)
        found = {}
        for name, batch in drawn.items():
            found[name] = compared(name, model.generate(batch.quads, seed=2, steps=steps), batch)
            if batch.quads.warps is not None:
                found[starts[name]] = compared(name, [w.latents for w in batch.quads.warps], batch)
        return found

    return measure


def inner(step: nn.Module) -> Denoiser:
    """Return the denoiser of a training step."""
    if not isinstance(step, DenoiserStep):
        raise TypeError(f"expected a training step, got {type(step).__name__}")
    return step.denoiser
