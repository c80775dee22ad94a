"""Training of the matcher's network: `livery train matcher`.

Needs torch, numpy and OpenCV; the cache made by `--prepare` carries everything MediaPipe had to say. The same
seed gives the same initial weights and the same pairs in the same order, bit for bit on a CPU.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from correspondence import data
from correspondence.encoder import DINOV2, Features, build_encoder
from correspondence.losses import LossConfig, other_way, total_loss
from correspondence.network import BLENDED, SIZES, Network, Output
from correspondence.pairs import PairConfig, Pairs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One run."""

    size: str = "xs2"  # one of network.SIZES
    encoder: str = "compact"  # or "dinov2"
    encoder_model: str = DINOV2  # timm's name
    encoder_weights: str | None = None  # local file of the dinov2 encoder; None asks the hub
    steps: int = 4000
    minutes: float | None = None  # stop earlier, with the learning rate brought down in time
    batch: int = 4  # pairs; each is used in both directions
    rate: float = 8e-4
    warm_up: int = 200
    decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998  # of the weights' moving average
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    workers: int = 0  # processes that make pairs; 0 makes them in between
    stride: int = 4  # of the clips' frames that are kept
    save_every_s: float = 240.0
    log_every: int = 20

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"size must be one of {', '.join(SIZES)}, got {self.size!r}")
        if self.steps < 1 or self.batch < 1 or self.threads < 1:
            raise ValueError(
                f"steps, batch and threads must be at least 1, got {self.steps}, {self.batch}, {self.threads}"
            )
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes must be positive, got {self.minutes}")


def build(config: TrainConfig) -> Network:
    """An untrained network, its initial weights fixed by the seed."""
    torch.manual_seed(config.seed)
    sizes = SIZES[config.size]
    weights = Path(config.encoder_weights) if config.encoder_weights else None
    return Network(
        sizes, build_encoder(config.encoder, sizes.encoder, weights=weights, model=config.encoder_model)
    )


class Average:
    """Moving average of a network's weights: what is kept and shipped."""

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.count = 0
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Take in the network's present weights."""
        self.count += 1
        share = min(self.decay, (1 + self.count) / (10 + self.count))
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[name].lerp_(value, 1 - share)


def to_batch(samples: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Collated samples (B, 2, ...) as (2B, ...), one direction after the other; images float in [0, 1]."""
    batch = {k: v.transpose(0, 1).flatten(0, 1).to(device, non_blocking=True) for k, v in samples.items()}
    batch["images"] = batch["images"].float() / 255
    if device.type == "cpu":
        batch["images"] = batch["images"].contiguous(memory_format=torch.channels_last)
    return batch


def run_network(network: Network, batch: dict[str, Tensor]) -> Output:
    """Every picture is encoded once; it is a frame and the other direction's reference."""
    seen = network.encode(batch["images"])
    reference = network.matcher.remember(Features(*[other_way(f) for f in seen]))
    output: Output = network.matcher(seen, reference, batch["candidates"], batch["validity"])
    return output


class Trainer:
    """State of a run: network, average, optimiser, curves."""

    def __init__(self, config: TrainConfig, network: Network, loss: LossConfig | None = None) -> None:
        self.config = config
        self.loss = loss or LossConfig()
        self.device = torch.device(config.device)
        self.network = network.to(self.device)
        for parameter in self.network.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.average = Average(self.network, config.average)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            trained, lr=config.rate, weight_decay=config.decay, betas=(0.9, 0.98)
        )
        self.edits = torch.Generator().manual_seed(config.seed)
        self.step = 0
        self.curves: list[dict[str, float]] = []
        self._forward: Any = run_network
        if self.device.type == "cuda":
            self._forward = torch.compile(run_network)

    def rate(self, progress: float) -> float:
        """Learning rate: a linear start, then half a cosine down to a fiftieth."""
        start = min(1.0, (self.step + 1) / self.config.warm_up)
        return self.config.rate * start * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))

    def update(self, batch: dict[str, Tensor], progress: float) -> dict[str, float]:
        """One step; the terms' values.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(progress)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            output = self._forward(self.network, batch)
        output = Output._make([*(v.float() for v in output[:6]), [c.float() for c in output.coarse]])
        total, terms = total_loss(output, batch, self.loss, progress, self.edits)
        if not torch.isfinite(total):
            raise FloatingPointError(f"the loss became {total.item()} at step {self.step}: {terms}")
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimiser.step()
        self.average.update(self.network)
        self.step += 1
        weights = output.weights.detach().mean(dim=(0, 2, 3))
        shares = {f"share_{n}": float(w) for n, w in zip(BLENDED, weights, strict=True)}
        return {"total": total.item(), **{k: v.item() for k, v in terms.items()}, **shares}

    def save(self, path: Path) -> None:
        """Write the averaged weights, what they belong to and how they were made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        torch.save(
            {
                "state": {k: v.cpu() for k, v in self.average.state.items() if ".vit." not in k},
                "size": self.config.size,
                "encoder": self.config.encoder,
                "encoder_model": self.config.encoder_model,
                "steps": self.step,
                "config": asdict(self.config),
            },
            temporary,
        )
        temporary.replace(path)


def one_after_another(config: TrainConfig, pairs: Pairs, start: int = 0) -> Iterator[dict[str, Tensor]]:
    """Batches in the order of their numbers, from step `start` on."""
    left: Subset[Any] = Subset(pairs, range(start * config.batch, len(pairs)))  # type: ignore[arg-type]
    loader: DataLoader[Any] = DataLoader(
        left,
        batch_size=config.batch,
        num_workers=config.workers,
        worker_init_fn=_quiet_worker,
        pin_memory=config.device.startswith("cuda"),
        prefetch_factor=4 if config.workers else None,
        drop_last=True,
    )
    yield from loader


def _quiet_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def train(config: TrainConfig, pairs: Pairs, out: Path, network: Network | None = None) -> Trainer:
    """Run a training and leave `weights.pt`, `curves.csv`, `curves.png` and `config.json` in `out`.

    Args:
        config: the run.
        pairs: at least steps x batch of them.
        out: folder of the results.
        network: continues from these weights; None starts from the seed.
    """
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(config.device == "cpu")
    trainer = Trainer(config, network or build(config))
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps({**asdict(config), "pairs": asdict(pairs.config)}, indent=1))
    begun = saved = time.monotonic()
    running: list[dict[str, float]] = []
    for samples in one_after_another(config, pairs):
        used = time.monotonic() - begun
        progress = trainer.step / config.steps
        if config.minutes is not None:
            progress = max(progress, used / (60 * config.minutes))
        if progress >= 1:
            break
        running.append(trainer.update(to_batch(samples, trainer.device), progress))
        if trainer.step % config.log_every == 0 or trainer.step == config.steps:
            mean = {k: float(np.mean([r[k] for r in running if k in r])) for k in running[0]}
            trainer.curves.append({"step": trainer.step, "seconds": used, **mean})
            write_curves(trainer.curves, out)
            logger.info("step %d, %.0f s: %s", trainer.step, used, _line(mean))
            running = []
        if time.monotonic() - saved > config.save_every_s:
            trainer.save(out / "weights.pt")
            saved = time.monotonic()
    trainer.save(out / "weights.pt")
    write_curves(trainer.curves, out, picture=True)
    return trainer


def _line(values: dict[str, float]) -> str:
    return " ".join(f"{k} {v:.3f}" for k, v in values.items())


def write_curves(curves: list[dict[str, float]], out: Path, picture: bool = False) -> None:
    """`curves.csv`, and `curves.png` where matplotlib is installed."""
    if not curves:
        return
    with (out / "curves.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(curves[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(curves)
    if not picture:
        return
    try:
        import matplotlib
    except ImportError:
        logger.info("no curves.png: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [n for n in curves[0] if n not in ("step", "seconds")]
    figure, axes = pyplot.subplots(4, math.ceil(len(names) / 4), figsize=(16, 10))
    for axis, name in zip(axes.ravel(), names, strict=False):
        axis.plot([c["step"] for c in curves], [c.get(name, math.nan) for c in curves])
        axis.set_title(name)
    figure.tight_layout()
    figure.savefig(out / "curves.png", dpi=70)
    pyplot.close(figure)


def adaptation_clip(path: Path, share: float = 2 / 3) -> data.Clip:
    """The first part of one person's video, for adapting to them; the rest stays unseen.

    Args:
        path: of the video.
        share: part of its frames to learn from.
    """
    frames = [data.fit(f) for f in data.read_video(path)]
    frames = frames[: max(2, int(len(frames) * share))]
    points = data.decode_points(data.encode_points(list(data.face_mesh(frames))))
    return data.Clip(path.name, path.name, np.stack(frames), points)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "--prepare", type=Path, metavar="DIR", help="write the cache of a portraits folder and stop"
    )
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="where the cache is kept")
    parser.add_argument("--out", type=Path, default=Path("runs/matcher"), help="folder of the results")
    parser.add_argument("--size", choices=[s for s in SIZES if s != "tiny"], default="xs2")
    parser.add_argument("--encoder", choices=("compact", "dinov2"), default="compact")
    parser.add_argument("--encoder-model", default=DINOV2, help="timm's name of the DINOv2 variant")
    parser.add_argument("--encoder-weights", metavar="FILE", help="local DINOv2 weights instead of the hub's")
    parser.add_argument("--init", help='"compact" (the shipped weights) or a weights.pt to start from')
    parser.add_argument(
        "--data", type=Path, metavar="CLIP", help="adapt to the first two thirds of one person's video"
    )
    parser.add_argument("--minutes", type=float, help="stop after this long")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=4, help="pairs a step")
    parser.add_argument("--rate", type=float, default=8e-4, help="highest learning rate")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="processes that make pairs")
    parser.add_argument("--stride", type=int, default=4, help="keep every n-th frame of a clip in memory")
    parser.add_argument(
        "--side", type=int, default=data.GRID, help="side of the pairs, pixels; 160 suits a CPU"
    )
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """The command; 0 when done."""
    if args.prepare is not None:
        data.prepare(args.prepare, args.cache)
        return 0
    names: tuple[str, ...] = (
        "size",
        "encoder",
        "encoder_model",
        "encoder_weights",
        "minutes",
        "steps",
        "batch",
        "rate",
        "device",
    )
    names = (*names, "threads", "workers", "stride", "seed")
    config = TrainConfig(**{name: getattr(args, name) for name in names})
    stride = 1 if args.data else config.stride
    clips = [adaptation_clip(args.data)] if args.data else data.load(args.cache, "train", config.stride)
    pairs = Pairs(clips, PairConfig(side=args.side), config.seed, config.steps * config.batch, stride)
    network = None
    if args.init is not None:
        from correspondence.checkpoints import load_network

        network = load_network(args.init)
    trainer = train(config, pairs, args.out, network)
    logger.info("%d steps; weights in %s", trainer.step, args.out / "weights.pt")
    return 0
