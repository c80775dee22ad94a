"""Encoders from a picture to features at 1/4 and 1/8 and tokens at 1/16, with one interface."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from correspondence.errors import WeightsError

MODEL_NAME = re.compile(r"vit_[a-z0-9_]{1,60}(\.[a-z0-9_]{1,40})?")
DINOV2 = (
    "vit_small_patch14_dinov2.lvd142m"  # timm's name; "vit_small_patch14_reg4_dinov2.lvd142m" has registers
)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Features(NamedTuple):
    """Features of a picture of size H x W.

    Attributes:
        quarter: features at 1/4, (B, C4, H/4, W/4).
        eighth: features at 1/8, (B, C8, H/8, W/8).
        tokens: tokens at 1/16, (B, H/16 * W/16, C16), row by row.
        descriptor: few channels for comparing candidates by their difference, (B, CD, H/4, W/4).
    """

    quarter: Tensor
    eighth: Tensor
    tokens: Tensor
    descriptor: Tensor


class Encoder(Protocol):
    """Maps a picture, float (B, 3, H, W) in [0, 1] with H and W multiples of 16, to `Features`."""

    def __call__(self, image: Tensor) -> Features: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Widths and depths of the compact encoder."""

    quarter: int = 48  # channels at 1/4
    inner: int = 96  # channels at 1/8 inside the encoder
    eighth: int = 64  # channels at 1/8 handed out
    tokens: int = 160  # channels at 1/16
    descriptor: int = 9  # learned channels of the descriptor, next to 7 of plain brightness and colour
    blocks: tuple[int, int, int] = (2, 3, 2)  # at 1/4, 1/8, 1/16
    kernel: int = 7  # of the depthwise convolutions

    def __post_init__(self) -> None:
        if self.tokens % 4:
            raise ValueError(f"tokens must be a multiple of 4 (4 heads, 4 position terms), got {self.tokens}")


class Block(nn.Module):
    """Residual block of a depthwise convolution and a pointwise bottleneck. Untrained, it is the identity."""

    def __init__(self, channels: int, kernel: int = 7) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to (B, C, H, W); the shape does not change."""
        return x + self.narrow(F.relu(self.widen(self.depthwise(x))))


class Attention(nn.Module):
    """Pre-normalised attention over tokens and a small perceptron, both added to the input.

    If `keys` and `values` are given, it is one-way cross-attention from frame to reference (StreamEdit
    Eq. 1). Keys and values depend on the reference only and are cached.
    """

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.query, self.key = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.value, self.out = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.second_norm = nn.LayerNorm(channels)
        self.widen, self.narrow = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)
        for last in (self.out, self.narrow):
            nn.init.normal_(last.weight, std=0.02)
            nn.init.zeros_(last.bias)

    def keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Compute keys and values (B, N, C) of the tokens (B, N, C) that are attended to."""
        normed = self.norm(tokens)
        return self.key(normed), self.value(normed)

    def forward(self, x: Tensor, keys: Tensor | None = None, values: Tensor | None = None) -> Tensor:
        """Apply attention to (B, N, C); the shape does not change. Without keys it is self-attention."""
        if keys is None or values is None:
            keys, values = self.keys_values(x)
        b, n, c = x.shape
        q, k, v = (self._split(t) for t in (self.query(self.norm(x)), keys, values))
        weights = torch.softmax(q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5, dim=-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(b, n, c))
        return x + self.narrow(F.relu(self.widen(self.second_norm(x))))

    def _split(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        return x.view(b, n, self.heads, c // self.heads).transpose(1, 2)


def positions(height: int, width: int, channels: int) -> Tensor:
    """Compute a fixed sine position code (1, H * W, channels), for any grid size."""
    quarter = channels // 4
    rate = torch.exp(torch.arange(quarter) / max(quarter - 1, 1) * -4.0) * 3.0
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    angles = [(a * (16.0 / side)).reshape(-1, 1) * rate for a, side in ((x, width), (y, height))]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1)[None]


def normalise(image: Tensor) -> Tensor:
    """Remove exposure and white balance: subtract each channel's mean, divide by a common deviation."""
    centred = image - image.mean(dim=(2, 3), keepdim=True)
    deviation = (centred * centred).mean(dim=(2, 3), keepdim=True)
    common = (deviation[:, 0:1] + deviation[:, 1:2] + deviation[:, 2:3]) / 3
    return centred / torch.sqrt(common + 1e-3)


class CompactEncoder(nn.Module):
    """A convolution pyramid with self-attention blocks at 1/16. It uses no pretrained weights."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        c = config
        self.config = config
        self.stem = nn.Conv2d(3, 24, 4, stride=2, padding=1)
        self.to_quarter = nn.Conv2d(24, c.quarter, 4, stride=2, padding=1)
        self.quarter = nn.Sequential(*[Block(c.quarter, c.kernel) for _ in range(c.blocks[0])])
        self.to_eighth = nn.Conv2d(c.quarter, c.inner, 2, stride=2)
        self.eighth = nn.Sequential(*[Block(c.inner, c.kernel) for _ in range(c.blocks[1])])
        self.hand_out = nn.Conv2d(c.inner, c.eighth, 1)
        self.to_tokens = nn.Conv2d(c.inner, c.tokens, 2, stride=2)
        self.tokens = nn.ModuleList(Attention(c.tokens) for _ in range(c.blocks[2]))
        self.describe = nn.Conv2d(c.quarter, c.descriptor, 1)

    def forward(self, image: Tensor) -> Features:
        """See `Encoder`."""
        quarter, inner, descriptor = self.pyramid(image)
        coarse = self.to_tokens(inner)
        tokens = coarse.flatten(2).transpose(1, 2)
        tokens = tokens + positions(coarse.shape[2], coarse.shape[3], self.config.tokens).to(tokens)
        for block in self.tokens:
            tokens = block(tokens)
        return Features(quarter, self.hand_out(inner), tokens, descriptor)

    def pyramid(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute features at 1/4, inner features at 1/8, and the descriptor."""
        x = normalise(image)
        quarter = self.quarter(F.relu(self.to_quarter(F.relu(self.stem(x)))))
        inner = self.eighth(self.to_eighth(quarter))
        colour = F.avg_pool2d(x, 4)  # (B, 3, H/4, W/4)
        grey = F.avg_pool2d((x[:, 0:1] + x[:, 1:2] + x[:, 2:3]) / 3, 2)
        detail = F.pixel_unshuffle(grey, 2) - (colour[:, 0:1] + colour[:, 1:2] + colour[:, 2:3]) / 3
        return quarter, inner, torch.cat([colour, detail, self.describe(quarter)], dim=1)


class DinoEncoder(nn.Module):
    """DINOv2 for the coarse tokens, and the compact encoder for features at 1/4 and 1/8 (split as in RoMa).

    The picture is resized to the nearest multiple of the patch size. Class and register tokens are dropped,
    and the patch grid is resized to H/16 x W/16. The transformer is frozen; `project` is trained.
    """

    def __init__(self, config: EncoderConfig, vit: nn.Module) -> None:
        super().__init__()
        self.compact = CompactEncoder(EncoderConfig(**{**_fields(config), "blocks": (*config.blocks[:2], 0)}))
        self.compact.to_tokens.requires_grad_(False)  # replaced
        self.mean: Tensor
        self.std: Tensor
        self.config = config
        self.vit = vit.requires_grad_(False).eval()
        size = getattr(vit, "patch_embed").patch_size  # noqa: B009  (timm's modules carry no types)
        self.patch: int = int(size[0])
        self.prefix: int = int(getattr(vit, "num_prefix_tokens"))  # noqa: B009
        self.project = nn.Linear(int(getattr(vit, "embed_dim")), config.tokens)  # noqa: B009
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> DinoEncoder:
        """Set training mode for all modules except the frozen transformer."""
        super().train(mode)
        self.vit.eval()
        return self

    def forward(self, image: Tensor) -> Features:
        """See `Encoder`."""
        h, w = int(image.shape[2]), int(image.shape[3])
        rows, columns = max(1, round(h / self.patch)), max(1, round(w / self.patch))
        size = (rows * self.patch, columns * self.patch)
        scaled = F.interpolate((image - self.mean) / self.std, size, mode="bilinear", align_corners=False)
        with torch.no_grad():
            seen: Tensor = getattr(self.vit, "forward_features")(scaled)[:, self.prefix :]  # noqa: B009
        tokens = self.project(seen).transpose(1, 2).reshape(image.shape[0], -1, rows, columns)
        tokens = F.interpolate(tokens, (h // 16, w // 16), mode="bilinear", align_corners=False)
        quarter, inner, descriptor = self.compact.pyramid(image)
        place = positions(h // 16, w // 16, self.config.tokens).to(tokens)
        return Features(
            quarter, self.compact.hand_out(inner), tokens.flatten(2).transpose(1, 2) + place, descriptor
        )


def build_encoder(
    kind: str, config: EncoderConfig, *, weights: Path | None = None, model: str = DINOV2
) -> CompactEncoder | DinoEncoder:
    """Build an encoder by name.

    Args:
        kind: "compact" or "dinov2".
        config: widths and depths. "dinov2" does not use the depth at 1/16.
        weights: for "dinov2", a local file in the hub's layout (.safetensors or a torch state dict); None
            downloads timm's weights from the hub.
        model: for "dinov2", timm's model name. It can be a variant with registers.

    Raises:
        ValueError: `kind` is unknown.
        WeightsError: the file does not contain such a transformer, or the hub cannot be reached.
    """
    if kind == "compact":
        return CompactEncoder(config)
    if kind == "dinov2":
        return DinoEncoder(config, load_vit(model, weights))
    raise ValueError(f'encoder must be "compact" or "dinov2", got {kind!r}')


def load_vit(model: str, weights: Path | None, **options: Any) -> nn.Module:
    """Load timm's vision transformer `model` with pretrained weights, for any picture size.

    Args:
        model: timm's name of the model.
        weights: local file in the hub's layout; None downloads it from the hub.
        options: options for timm, for example `embed_dim` of a small model.

    Raises:
        WeightsError: timm is missing, the file does not fit the model, or the hub cannot be reached.
    """
    if not MODEL_NAME.fullmatch(model):  # the name comes from a file; "hf-hub:…" could be any model
        raise WeightsError(f"the encoder must be one of timm's dinov2 models, got {model[:60]!r}")
    try:
        import timm
    except ImportError as missing:
        raise WeightsError("the dinov2 encoder needs timm: pip install 'livery[gpu]'") from missing
    if weights is not None and not weights.is_file():
        raise WeightsError(
            f"no encoder weights at {weights}: give a .safetensors or .pth file in timm's layout"
        )
    overlay = None if weights is None else {"file": str(weights)}
    try:
        vit: nn.Module = timm.create_model(
            model,
            pretrained=True,
            num_classes=0,
            dynamic_img_size=True,
            pretrained_cfg_overlay=overlay,
            **options,
        )
    except (OSError, RuntimeError, KeyError) as failure:
        source = weights or "the hub"
        raise WeightsError(
            f"cannot load {model} from {source}: {failure}; --encoder-weights FILE loads a local copy"
        ) from failure
    return vit


def _fields(config: EncoderConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__slots__}
