"""Training of the cover network: `livery train cover`.

It needs torch, numpy and OpenCV. The cache made by `--prepare` contains all results of MediaPipe. A run
writes `last.pt` (all that `--resume` needs), `best.pt` (the averaged weights with the best held-out table),
`curves.csv` and `table.jsonl`.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from correspondence.cover.network import CoverNetwork, CoverSizes
from correspondence.training import licences
from correspondence.training.cover import data
from correspondence.training.cover.export import export_file, read_saved
from correspondence.training.cover.kept import Kept
from correspondence.training.cover.loss import loss_of
from correspondence.training.cover.measures import Bytes, CoverCase, cases, score, table
from correspondence.training.cover.pairs import CoverPairConfig, CoverPairs
from correspondence.training.cover.quantise import inputs_of
from correspondence.training.cover.signing import hands_of
from correspondence.training.trainer import Average
from correspondence.types import Float

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverTrainConfig:
    """Settings of a run.

    Raises:
        ValueError: a number is out of its range.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)
    minutes: float = 90.0  # total training time, including earlier runs that are resumed
    batch: int = 16
    fresh: int = 3  # new pairs in a batch; the others were used before
    kept: int = 4096  # number of pairs that are kept for reuse
    rate: float = 2e-3
    floor: float = 0.02  # learning rate at the end, relative to its peak
    warm_up: int = 200  # steps
    decay: float = 1e-4
    average: float = 0.999  # decay of the moving average of the weights, per step
    half: bool = True  # whether to compute in bfloat16 where possible
    seed: int = 0
    threads: int = 1
    log_every: int = 50
    table_every: int = 1000  # steps
    save_every_s: float = 240.0
    table_pairs: int = 60  # pairs of each held-out case
    licences: tuple[str, ...] | None = None  # of all that is trained on; None for any

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.rate <= 0:
            raise ValueError(f"minutes and rate must be positive, got {self.minutes}, {self.rate}")
        if not 1 <= self.fresh <= self.batch or self.kept < self.batch:
            raise ValueError(
                f"1 <= fresh <= batch <= kept must hold, got {self.fresh}, {self.batch}, {self.kept}"
            )


def to_input(frames: Bytes, references: Bytes) -> Tensor:
    """Convert crops to the network's input: float (N, 6, side, side) in [-1, 1].

    A missing reference is all 0.

    Args:
        frames, references: uint8 (N, side, side, 3) RGB. A reference of `NONE`, rounded down, is a missing
            one.
    """
    both = torch.from_numpy(np.concatenate([frames, references], axis=3)).permute(0, 3, 1, 2).float()
    both = both / 127.5 - 1
    none = (references == 127).all(axis=(1, 2, 3))
    both[torch.from_numpy(none), 3:] = 0
    return both.contiguous(memory_format=torch.channels_last)


class CoverTrainer:
    """State of a run: network, average, optimiser, curves, time spent."""

    def __init__(self, config: CoverTrainConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.network = CoverNetwork(CoverSizes(widths=config.widths)).to(memory_format=torch.channels_last)
        self.average = Average(self.network, config.average)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.rate, weight_decay=config.decay
        )
        self.step, self.seconds, self.best = 0, 0.0, math.inf

    def update(self, batch: Bytes) -> float:
        """Take one step on a batch of `Kept.batch`, uint8 (B, side, side, 8). Returns the loss.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        config = self.config
        progress = min(self.seconds / (60 * config.minutes), 1.0)
        curve = config.floor + (1 - config.floor) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimiser.param_groups:
            group["lr"] = config.rate * curve * min(1.0, (self.step + 1) / config.warm_up)
        hidden, face = (torch.from_numpy(batch[..., i].copy())[:, None].float() for i in (6, 7))
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=config.half):
            logits = self.network(to_input(batch[..., :3], batch[..., 3:6]))
        loss = loss_of(logits.float(), hidden / 255, face)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss.item()} at step {self.step}")
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.average.update(self.network)
        self.step += 1
        return float(loss.item())

    def averaged(self) -> CoverNetwork:
        """Return the network with the averaged weights."""
        network = CoverNetwork(CoverSizes(widths=self.config.widths))
        network.load_state_dict(self.average.state)
        return network.eval().to(memory_format=torch.channels_last)

    def begin_with(self, path: Path) -> None:
        """Start from a model folder's `state.pt` or from a `best.pt` instead of random weights.

        Raises:
            WeightsError: there is no such file, or it holds another network.
            ValueError: it was trained on material that `config.licences` does not name.
        """
        network, saved = read_saved(path)
        licences.check_start(path, self.config.licences, saved.get("licences"))
        self.network.load_state_dict(network.state_dict())
        self.average = Average(self.network, self.config.average)

    def save(self, path: Path) -> None:
        """Write everything that `load` needs to one file."""
        said = {
            "network": self.network.state_dict(),
            "average": self.average.state,
            "count": self.average.count,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "config": asdict(self.config),
        }
        torch.save(said, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Continue from a saved state.

        Raises:
            ValueError: there is no such file, or it was trained on material that `config.licences` lacks.
        """
        if not path.is_file():
            raise ValueError(f"nothing to resume: no {path}")
        said: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        licences.check_start(path, self.config.licences, said["config"].get("licences"))
        self.network.load_state_dict(said["network"])
        self.average.state, self.average.count = said["average"], said["count"]
        self.optimiser.load_state_dict(said["optimiser"])
        self.step, self.seconds, self.best = said["step"], said["seconds"], said["best"]


@torch.no_grad()
def predicted(network: CoverNetwork, frames: Bytes, references: Bytes) -> Float:
    """Return the network's probabilities, float32 (N, side, side), for crops uint8 (N, side, side, 3)."""
    parts = [
        torch.sigmoid(network(to_input(frames[i : i + 16], references[i : i + 16])))[:, 0].numpy()
        for i in range(0, len(frames), 16)
    ]
    return np.asarray(np.concatenate(parts), np.float32)


def train(
    config: CoverTrainConfig,
    pairs: CoverPairs,
    held: list[CoverCase],
    out: Path,
    resume: bool = False,
    init: Path | None = None,
) -> CoverTrainer:
    """Train until the time is used up.

    Args:
        config: settings of the run.
        pairs: makes the training pairs.
        held: cases of the held-out table.
        out: folder of the results.
        resume: whether to continue from `out`/last.pt.
        init: weights to start from, see `CoverTrainer.begin_with`. None: random ones.
    """
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    trainer = CoverTrainer(config)
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        trainer.load(out / "last.pt")
    elif init is not None:
        trainer.begin_with(init)
    said = {**asdict(config), "pairs": asdict(pairs.config)}
    (out / "config.json").write_text(json.dumps(said, indent=1))
    rng = np.random.default_rng((config.seed, trainer.step))
    kept, number = Kept(config.kept, 128), trainer.step * config.batch
    for _ in range(4 * config.batch):  # so that the first batches do not repeat a few pairs
        kept.add(pairs.pair(number))
        number += 1
    saved, losses = time.monotonic(), list[float]()
    while trainer.seconds < 60 * config.minutes:
        begun = time.monotonic()
        for _ in range(config.fresh):
            kept.add(pairs.pair(number))
            number += 1
        losses.append(trainer.update(kept.batch(config.fresh, config.batch, rng)))
        trainer.seconds += time.monotonic() - begun
        if trainer.step % config.log_every == 0:
            _note(out / "curves.csv", [trainer.step, round(trainer.seconds), float(np.mean(losses))])
            losses = []
        if trainer.step % config.table_every == 0:
            measure(trainer, held, out)
        if time.monotonic() - saved > config.save_every_s:
            trainer.save(out / "last.pt")
            saved = time.monotonic()
    measure(trainer, held, out)
    return trainer


def measure(trainer: CoverTrainer, held: list[CoverCase], out: Path) -> None:
    """Append the table to `table.jsonl` and save the state.

    Save the averaged weights too if they are the best.
    """
    network = trainer.averaged()
    rows = table(held, lambda frames, references: predicted(network, frames, references))
    number = score(rows)
    line = {"step": trainer.step, "seconds": round(trainer.seconds), "score": number, "rows": rows}
    with (out / "table.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    logger.info("step %d, %.0f s: score %.4f", trainer.step, trainer.seconds, number)
    if number < trainer.best:
        trainer.best = number
        best: dict[str, Any] = {"state": network.state_dict(), "widths": trainer.config.widths}
        best["licences"] = trainer.config.licences
        torch.save(
            {**best, "step": trainer.step, "seconds": trainer.seconds, "rows": rows}, out / "best.part"
        )
        (out / "best.part").replace(out / "best.pt")
    trainer.save(out / "last.pt")


def _note(path: Path, values: list[float]) -> None:
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "seconds", "loss"])
        writer.writerow(values)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    usual = CoverTrainConfig()
    parser.add_argument("--prepare", type=Path, metavar="DIR", help="cache a portraits folder and stop")
    parser.add_argument("--occluders", type=Path, metavar="DIR", help="folder of covers, for --prepare")
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="export a best.pt to --out/model, with --cache, and stop"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/cover-cache"), help="where the cache is kept"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/cover"), help="folder of the results")
    parser.add_argument(
        "--hands", type=Path, metavar="FILE", help="MediaPipe's hand_landmarker.task, for --prepare"
    )
    parser.add_argument("--init", type=Path, metavar="FILE", help="begin with a state.pt or best.pt")
    parser.add_argument("--resume", action="store_true", help="go on from --out/last.pt")
    parser.add_argument(
        "--minutes", type=float, default=usual.minutes, help="of training in all, earlier ones included"
    )
    parser.add_argument("--batch", type=int, default=usual.batch)
    parser.add_argument("--rate", type=float, default=usual.rate, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=usual.threads)
    parser.add_argument("--seed", type=int, default=0)
    licences.add_option(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns 0.

    Raises:
        ValueError: a folder or file is missing.
    """
    if args.prepare is not None:
        if args.occluders is None or args.hands is None:
            raise ValueError(
                "--prepare also needs a folder of covers and a model of hands: --occluders, --hands"
            )
        data.prepare(args.prepare, args.occluders, args.cache, hands_of(args.hands), allowed=args.licences)
        return 0
    data.check_licences(args.cache, args.licences)
    covers, pictures = (
        data.load_covers(args.cache / "covers.npz"),
        data.load_pictures(args.cache / "pictures.npz"),
    )
    pairs = CoverPairs(
        data.load_faces(args.cache / "faces.npz"),
        [c for c in covers if not c.held],
        [p for p in pictures if not p.held],
        CoverPairConfig(),
        args.seed,
    )
    if args.export is not None:
        export_file(args.export, args.out / "model", inputs_of(pairs))
        return 0
    names = ("minutes", "batch", "rate", "threads", "seed")
    limits = None if args.licences is None else tuple(sorted(args.licences))
    config = CoverTrainConfig(**{name: getattr(args, name) for name in names}, licences=limits)
    held = cases(data.load_faces(args.cache / "unseen.npz"), covers, pictures, config.table_pairs)
    trainer = train(config, pairs, held, args.out, args.resume, args.init)
    logger.info("%d steps; weights in %s", trainer.step, args.out / "best.pt")
    return 0
