"""Training of the matcher's network: `livery train matcher`.

Training needs torch, numpy and OpenCV. The cache made by `--prepare` contains all results of MediaPipe. The
same seed gives the same initial weights and the same pairs in the same order, bit for bit on a CPU.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from correspondence.certainty.fit_judge import side_by_side
from correspondence.certainty.uncertainty import Judge
from correspondence.network.checkpoints import network_from, read_state, state_file
from correspondence.network.encoder import DINOV2
from correspondence.network.model import SIZES, Network
from correspondence.network.torch_runtime import TorchRunner
from correspondence.training import data, licences
from correspondence.training.calibrate_network import calibrate
from correspondence.training.pairs import PairConfig, Pairs
from correspondence.training.trainer import TrainConfig, Trainer, build, to_batch
from correspondence.weight_files import digest, read_card

logger = logging.getLogger(__name__)
JUDGED_STRIDE = 4  # the judge is fitted to every n-th frame of the held-out clips


def one_after_another(config: TrainConfig, pairs: Pairs, start: int = 0) -> Iterator[dict[str, Tensor]]:
    """Yield batches in the order of their numbers, from step `start` on."""
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
    """Run a training and write `weights.pt`, `curves.csv`, `curves.png` and `config.json` to `out`.

    Args:
        config: settings of the run.
        pairs: at least steps x batch pairs.
        out: folder of the results.
        network: the network to continue from; None starts with weights from the seed.
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
    """Write `curves.csv` and, if matplotlib is installed, `curves.png`."""
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
    """Read the first part of one person's video, for adapting to them. The rest stays unseen.

    Args:
        path: path of the video.
        share: share of its frames to learn from.
    """
    frames = [data.fit(f) for f in data.read_video(path)]
    frames = frames[: max(2, int(len(frames) * share))]
    points = data.decode_points(data.encode_points(list(data.face_mesh(frames))))
    return data.Clip(path.name, path.name, np.stack(frames), points)


def start_from(source: str, encoder_weights: str | None) -> tuple[Network, dict[str, Any]]:
    """Return the network to continue from and what its file says.

    `source` is as in `checkpoints.load_network`.
    """
    saved = read_state(state_file(source))
    return network_from(saved, Path(encoder_weights) if encoder_weights else None), saved


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    usual = TrainConfig()
    parser.add_argument(
        "--prepare", type=Path, metavar="DIR", help="write the cache of a portraits folder and stop"
    )
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="calibrate and export a weights.pt and stop"
    )
    parser.add_argument(
        "--refit",
        type=Path,
        metavar="MODEL",
        help="calibrate a model folder anew, without training, and stop",
    )
    parser.add_argument("--pairs", type=int, default=2500, help="held-out pairs to calibrate on")
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
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--batch", type=int, default=usual.batch, help="pairs a step")
    parser.add_argument("--rate", type=float, default=usual.rate, help="highest learning rate")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=usual.threads)
    parser.add_argument("--workers", type=int, default=usual.workers, help="processes that make pairs")
    parser.add_argument(
        "--stride", type=int, default=usual.stride, help="keep every n-th frame of a clip in memory"
    )
    parser.add_argument(
        "--side", type=int, default=data.GRID, help="side of the pairs, pixels; 160 suits a CPU"
    )
    parser.add_argument("--seed", type=int, default=0)
    licences.add_option(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0 when done."""
    if args.licences is not None and args.init == "compact":
        raise ValueError(
            "--licences with --init compact: the shipped weights were trained on other material; "
            "leave --init out, or give weights of your own"
        )
    if args.prepare is not None:
        data.prepare(args.prepare, args.cache, allowed=args.licences)
        return 0
    if args.export is not None:
        return finish(args.export, args)
    if args.refit is not None:
        return refit(args.refit, args)
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
    if args.data:
        clips = [adaptation_clip(args.data)]
    else:
        clips = data.load(args.cache, "train", config.stride, allowed=args.licences)
    pairs = Pairs(clips, PairConfig(side=args.side), config.seed, config.steps * config.batch, stride)
    network = None
    if args.init is not None:
        network, saved = start_from(args.init, args.encoder_weights)
        config = replace(config, size=saved["size"], encoder=saved["encoder"])
    trainer = train(config, pairs, args.out, network)
    logger.info("%d steps; weights in %s", trainer.step, args.out / "weights.pt")
    return finish(args.out / "weights.pt", args)


def finish(weights: Path, args: argparse.Namespace) -> int:
    """Fit a judge for trained weights on the held-out sources. Export both to `--out`/model."""
    from correspondence.network.export import export_model

    if importlib.util.find_spec("onnx") is None:
        logger.warning("not exported, since onnx is not installed: run --export %s where it is", weights)
        return 0
    network, saved = start_from(str(weights), args.encoder_weights)
    facts: dict[str, Any] = {"steps": saved.get("steps"), "training": saved.get("config")}
    if args.licences is not None:
        facts["licences"] = sorted(args.licences)
    judge = None
    if (args.cache / "index.json").is_file():
        judge, facts["held_out"] = judge_of(network, args)
    else:
        logger.warning("log_b is the network's own, not calibrated: no cache in %s", args.cache)
    export_model(
        network,
        args.out / "model",
        size=saved["size"],
        kind=saved["encoder"],
        encoder_model=saved.get("encoder_model") or "",
        judge=judge,
        facts=facts,
    )
    logger.info("model in %s", args.out / "model")
    return 0


def refit(folder: Path, args: argparse.Namespace) -> int:
    """Fit another judge for the network of a model folder and write it into its `model.json`."""
    card = read_card(folder, None, ("state.pt",))
    network, _ = start_from(str(folder), args.encoder_weights)
    judge, held_out = judge_of(network, args)
    (folder / "model.json").write_text(side_by_side({**card, "judge": judge.stored(), "held_out": held_out}))
    logger.info("judge in %s, sha256 %s", folder / "model.json", digest(folder / "model.json"))
    return 0


def judge_of(network: Network, args: argparse.Namespace) -> tuple[Judge, dict[str, float]]:
    """Fit a judge on the cache's held-out sources. Returns it and its figures."""
    clips = data.load(args.cache, "calibration", JUDGED_STRIDE, allowed=args.licences)
    torch.set_num_threads(args.threads)
    judge, held_out = calibrate(TorchRunner.of(network, "cpu"), clips, args.pairs, args.seed)
    logger.info("held out: %s", _line(held_out))
    return judge, held_out
