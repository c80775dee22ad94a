"""Common parts of both training runs: settings, seeds, moving averages, learning rate and curves."""

from __future__ import annotations

import argparse
import copy
import csv
import logging
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from correspondence.training import licences

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Settings of a training run. It ends at `steps` or after `minutes`, whichever is first."""

    steps: int
    minutes: float | None = None
    batch: int = 32
    learning_rate: float = 4e-4
    warm_up: int = 200  # steps
    ema: float = 0.999
    clip: float = 1.0  # largest gradient norm
    weight_decay: float = 1e-2
    seed: int = 0
    device: str = "cpu"
    every: int = 200  # steps between lines of the curve
    compile: bool = False
    bfloat16: bool = False  # of the networks' passes; weights and losses stay float32

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.every < 1:
            raise ValueError(f"steps, batch and every must be 1 or more, got {asdict(self)}")


def add_arguments(parser: argparse.ArgumentParser, *, steps: int, batch: int) -> None:
    """Add the options that both runs have."""
    parser.add_argument("--cache", type=Path, required=True, help="made by `livery train matcher --prepare`")
    licences.add_option(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and curves")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--minutes", type=float, default=None, help="stop after so much training time")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=256, help="picture side, pixels, a multiple of 8")
    parser.add_argument("--limit", type=int, default=None, help="use so many clips and photos only")
    parser.add_argument("--stride", type=int, default=1, help="keep every so many-th frame of a clip")
    parser.add_argument("--threads", type=int, default=None, help="of torch on the CPU; default: its own")
    parser.add_argument("--every", type=int, default=200, help="steps between lines of the curve")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="passes in bfloat16; default: on CUDA (a CPU with AVX512-BF16 trains 1.5 times as fast with it)",
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile the network (pays off in long CUDA runs)"
    )


def run_config(args: argparse.Namespace) -> RunConfig:
    """Make the settings of a run from its options, and set torch's threads if an option gives them."""
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    return RunConfig(
        steps=args.steps,
        minutes=args.minutes,
        batch=args.batch,
        learning_rate=args.learning_rate,
        warm_up=min(200, max(1, args.steps // 10)),
        seed=args.seed,
        device=args.device,
        every=args.every,
        compile=args.compile,
        bfloat16=args.device.startswith("cuda") if args.bfloat16 is None else args.bfloat16,
    )


class Ema:
    """An exponential moving average of a network's weights, with the short-run correction of the decay."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards `module`. The decay is smaller in the first steps."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        mine: list[Tensor] = list(self.module.parameters())
        torch._foreach_lerp_(mine, [p.detach() for p in module.parameters()], 1 - decay)
        for own, other in zip(self.module.buffers(), module.buffers(), strict=True):
            own.copy_(other)


@dataclass(slots=True)
class Curve:
    """Figures of a run over its steps, written as CSV and, if matplotlib is installed, as a picture."""

    rows: list[dict[str, float]] = field(default_factory=list)

    def add(self, **values: float) -> None:
        """Add and log one line."""
        self.rows.append(values)
        logger.info("%s", "  ".join(f"{k} {v:.5g}" for k, v in values.items()))

    def write(self, folder: Path, name: str) -> None:
        """Write `name`.csv and, if matplotlib is installed, `name`.png into `folder`."""
        if not self.rows:
            return
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        try:
            from matplotlib.figure import Figure
        except ImportError:
            logger.info("matplotlib is not installed: curves are in %s.csv only", name)
            return
        keys = [k for k in self.rows[0] if k not in ("step", "seconds")]
        figure = Figure(figsize=(4 * len(keys), 3), layout="constrained")
        for axes, key in zip(figure.subplots(1, len(keys), squeeze=False)[0], keys, strict=True):
            axes.plot([r["step"] for r in self.rows], [r[key] for r in self.rows])
            axes.set(title=key, xlabel="step")
        figure.savefig(folder / f"{name}.png", dpi=110)


def optimise(
    module: M,
    loss_of: Callable[[nn.Module, int], Tensor],
    config: RunConfig,
    measure: Callable[[nn.Module], dict[str, float]] | None = None,
) -> tuple[M, Curve, dict[str, Any]]:
    """Train `module` in place with AdamW and a cosine learning rate.

    Args:
        module: the network, on the run's device.
        loss_of: maps (network, step) to a scalar loss. The network may be compiled.
        config: settings of the run.
        measure: returns figures of the averaged network for the curve.

    Returns:
        The averaged network (evaluation mode), the curve, and a description of the run (for metadata).

    Raises:
        RuntimeError: a loss is not finite. The run stops at once.
    """
    network: nn.Module = torch.compile(module) if config.compile else module  # type: ignore[assignment]
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.99)
    )
    ema, curve = Ema(module, config.ema), Curve()
    started = time.monotonic()
    running, step = 0.0, 0
    module.train()
    while step < config.steps:
        seconds = time.monotonic() - started
        progress = step / config.steps
        if config.minutes is not None:
            progress = max(progress, seconds / (60 * config.minutes))
            if progress >= 1:
                break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, progress, config)
        loss = loss_of(network, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), config.clip)
        optimizer.step()
        ema.update(module)
        step += 1
        if step % config.every == 0 or step in (1, config.steps):
            value = loss.item()
            if not math.isfinite(value):
                raise RuntimeError(f"the loss is {value} at step {step}: lower --learning-rate")
            running = value
            figures = measure(ema.module) if measure else {}
            curve.add(step=step, seconds=round(time.monotonic() - started, 1), loss=value, **figures)
    about = asdict(config) | {
        "steps": step,
        "planned_steps": config.steps,
        "seconds": round(time.monotonic() - started, 1),
        "loss": running,
    }
    about["device_name"] = torch.cuda.get_device_name() if config.device.startswith("cuda") else "CPU"
    return ema.module, curve, about  # type: ignore[return-value]


def learning_rate(step: int, progress: float, config: RunConfig) -> float:
    """Linear warm-up, then a cosine from the peak to 2 % of it at progress 1."""
    warm = min(1.0, (step + 1) / max(1, config.warm_up))
    return config.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def autocast(device: torch.device, bfloat16: bool) -> AbstractContextManager[None]:
    """Passes in bfloat16, or in full precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


def seeded(seed: int, device: str) -> torch.Generator:
    """Seed torch's own initialisation and make a generator for everything else."""
    torch.manual_seed(seed)
    return torch.Generator("cuda" if device.startswith("cuda") else "cpu").manual_seed(seed)
