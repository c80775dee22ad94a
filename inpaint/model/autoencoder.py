"""Autoencoder between pictures and latents of an eighth of their size, with averaging shortcuts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 8  # ratio of picture sides to latent sides
PATCH = 4  # side of the patches that are folded into channels before the first convolution


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderConfig:
    """Widths and depths of the autoencoder. The default has about 1.6 M parameters."""

    latent_channels: int = 8
    width_quarter: int = 48  # channels at a quarter of the picture's size
    width_eighth: int = 96  # channels at an eighth
    width_half: int = 32  # decoder only
    blocks_quarter_encoder: int = 2
    blocks_quarter_decoder: int = 3
    blocks_eighth: int = 3

    def __post_init__(self) -> None:
        if self.width_eighth % self.latent_channels:
            raise ValueError(
                f"width_eighth {self.width_eighth} is no multiple of latent_channels {self.latent_channels}"
            )
        if (4 * self.width_quarter) % self.width_eighth:
            raise ValueError(
                f"4 x width_quarter {self.width_quarter} is no multiple of width_eighth {self.width_eighth}"
            )


def average_channels(x: Tensor, channels: int) -> Tensor:
    """Average groups of neighbouring channels, from (B, k * channels, H, W) to (B, channels, H, W)."""
    b, c, h, w = x.shape
    return x.reshape(b, channels, c // channels, h, w).mean(dim=2)


def repeat_channels(x: Tensor, channels: int) -> Tensor:
    """Repeat each channel, from (B, c, H, W) to (B, channels, H, W): the reverse of `average_channels`."""
    return x.repeat_interleave(channels // x.shape[1], dim=1)


class Residual(nn.Module):
    """Residual block x + conv(silu(conv(silu(x)))), 3 x 3. The second convolution is initialised to 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to (B, C, H, W); the shape does not change."""
        inner: Tensor = self.second(F.silu(self.first(F.silu(x))))
        return x + inner


class Down(nn.Module):
    """Halves the size. The input, folded into channels and averaged, is added (DC-AE's shortcut)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 2, stride=2)
        self.out = out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out, H/2, W/2)."""
        strided: Tensor = self.conv(x)
        return strided + average_channels(F.pixel_unshuffle(x, 2), self.out)


class Up(nn.Module):
    """Doubles the size. The input, repeated over channels and unfolded, is added (DC-AE's shortcut)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4 * out, 1)
        self.out = out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out, 2H, 2W)."""
        wide: Tensor = self.conv(x)
        return F.pixel_shuffle(wide + repeat_channels(x, 4 * self.out), 2)


class Autoencoder(nn.Module):
    """A deterministic autoencoder with normalised latents.

    Over the training pictures, the latents of `encode` have mean 0 and deviation 1 in each channel. The
    buffers `latent_mean` and `latent_std` are set by `set_scale` at the end of training. They correspond to
    the scale factor of latent diffusion, with one factor for each channel.

    Args:
        config: widths and depths; None for the defaults.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AutoencoderConfig()
        quarter, eighth, half = config.width_quarter, config.width_eighth, config.width_half
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(PATCH),
            nn.Conv2d(3 * PATCH * PATCH, quarter, 3, padding=1),
            *(Residual(quarter) for _ in range(config.blocks_quarter_encoder)),
            Down(quarter, eighth),
            *(Residual(eighth) for _ in range(config.blocks_eighth)),
        )
        self.to_latent = nn.Conv2d(eighth, config.latent_channels, 3, padding=1)
        self.from_latent = nn.Conv2d(config.latent_channels, eighth, 3, padding=1)
        self.decoder = nn.Sequential(
            *(Residual(eighth) for _ in range(config.blocks_eighth)),
            Up(eighth, quarter),
            *(Residual(quarter) for _ in range(config.blocks_quarter_decoder)),
            nn.Conv2d(quarter, 4 * half, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(half, half, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(half, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.register_buffer("latent_mean", torch.zeros(config.latent_channels))
        self.register_buffer("latent_std", torch.ones(config.latent_channels))

    def raw_latents(self, images: Tensor) -> Tensor:
        """Encode pictures (B, 3, H, W) in [0, 1] to latents (B, C, H/8, W/8) before normalisation."""
        h, w = images.shape[-2:]
        if images.ndim != 4 or images.shape[1] != 3 or h % FACTOR or w % FACTOR:
            raise ValueError(
                f"pictures must be (B, 3, H, W), H and W multiples of {FACTOR}, got {tuple(images.shape)}"
            )
        x: Tensor = self.encoder(images * 2 - 1)
        projected: Tensor = self.to_latent(x)
        return projected + average_channels(x, self.config.latent_channels)

    def encode(self, images: Tensor) -> Tensor:
        """Encode pictures to normalised latents.

        Args:
            images: float (B, 3, H, W), [0, 1]. The sides are multiples of 8.

        Returns:
            The latents, (B, C, H/8, W/8).

        Raises:
            ValueError: `images` has another shape.
        """
        raw = self.raw_latents(images)
        return (raw - _channel(self.latent_mean, raw)) / _channel(self.latent_std, raw)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode normalised latents (B, C, h, w) to pictures (B, 3, 8h, 8w), about [0, 1], not clipped."""
        raw = latents * _channel(self.latent_std, latents) + _channel(self.latent_mean, latents)
        x: Tensor = self.from_latent(raw)
        decoded: Tensor = self.decoder(x + repeat_channels(raw, self.config.width_eighth))
        return (decoded + 1) / 2

    def set_scale(self, raw: Tensor) -> None:
        """Set the normalisation from raw latents (B, C, h, w) of representative pictures."""
        self.latent_mean.copy_(raw.mean(dim=(0, 2, 3)))
        self.latent_std.copy_(raw.std(dim=(0, 2, 3)).clamp_min(1e-4))


def _channel(value: Tensor, like: Tensor) -> Tensor:
    return value.to(like.dtype).reshape(1, -1, 1, 1)
