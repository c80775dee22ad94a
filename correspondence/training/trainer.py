"""A training run of the matcher's network: its settings, state and steps."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from correspondence.network.encoder import DINOV2, Features, build_encoder
from correspondence.network.model import BLENDED, SIZES, Network, Output
from correspondence.training.losses import LossConfig, other_way, total_loss


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of a training run."""

    size: str = "xs2"  # one of network.SIZES
    encoder: str = "compact"  # or "dinov2"
    encoder_model: str = DINOV2  # timm's name
    encoder_weights: str | None = None  # local file of the dinov2 encoder; None asks the hub
    steps: int = 4000
    minutes: float | None = None  # stop after so many minutes; the learning rate falls in time
    batch: int = 4  # pairs; each is used in both directions
    rate: float = 8e-4
    warm_up: int = 200
    decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998  # decay of the moving average of the weights, per step
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    workers: int = 0  # processes that make pairs; 0 makes them between the steps
    stride: int = 4  # every n-th frame of a clip is kept
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
    """Build an untrained network. The seed determines its initial weights."""
    torch.manual_seed(config.seed)
    sizes = SIZES[config.size]
    weights = Path(config.encoder_weights) if config.encoder_weights else None
    return Network(
        sizes, build_encoder(config.encoder, sizes.encoder, weights=weights, model=config.encoder_model)
    )


class Average:
    """Moving average of a network's weights. The average is what is saved and shipped."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.count = 0
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: torch.nn.Module) -> None:
        """Add the network's current weights to the average."""
        self.count += 1
        share = min(self.decay, (1 + self.count) / (10 + self.count))
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[name].lerp_(value, 1 - share)


def to_batch(samples: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Reshape collated samples (B, 2, ...) to (2B, ...), one direction after the other.

    Images become float in [0, 1].
    """
    batch = {k: v.transpose(0, 1).flatten(0, 1).to(device, non_blocking=True) for k, v in samples.items()}
    batch["images"] = batch["images"].float() / 255
    if device.type == "cpu":
        batch["images"] = batch["images"].contiguous(memory_format=torch.channels_last)
    return batch


def run_network(network: Network, batch: dict[str, Tensor]) -> Output:
    """Run the network on both directions. Each picture is encoded once, as frame and as reference."""
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
        """Compute the learning rate: a linear start, then half a cosine down to a fiftieth."""
        start = min(1.0, (self.step + 1) / self.config.warm_up)
        return self.config.rate * start * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))

    def update(self, batch: dict[str, Tensor], progress: float) -> dict[str, float]:
        """Take one step and return the values of the loss terms.

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
        """Write the averaged weights with the network's configuration and the settings of the run."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        torch.save(
            {
                "state": {k: v.cpu() for k, v in self.average.state.items() if ".vit." not in k},
                "size": self.config.size,
                "encoder": self.config.encoder,
                "encoder_model": self.config.encoder_model if self.config.encoder == "dinov2" else "",
                "steps": self.step,
                "config": asdict(self.config),
            },
            temporary,
        )
        temporary.replace(path)
