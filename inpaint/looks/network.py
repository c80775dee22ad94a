"""The network of a look: a small U-Net at half and quarter resolution that corrects the colour model.

After Texler et al. 2020 ("Interactive Video Stylization Using Few-Shot Patch-Based Training"), but it starts
as the colour model: its last layer is zero before training.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.looks.features import COUNT

WIDTH = 24  # channels at half resolution; twice as many at a quarter
MULTIPLE = 4  # sides of the input are multiples of it, pixels


class Residual(nn.Module):
    """x + conv(silu(conv(silu(x)))), which starts as x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        _zero(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Takes and returns (B, channels, h, w)."""
        return x + cast(Tensor, self.second(F.silu(self.first(F.silu(x)))))


class LookNetwork(nn.Module):
    """Predicts the edited colours of a picture as the colour model's plus a correction."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.begin = nn.Conv2d(4 * COUNT, width, 3, padding=1)
        self.fine = Residual(width)
        self.down = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.coarse = nn.Sequential(Residual(2 * width), Residual(2 * width))
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.end = nn.Sequential(Residual(width), Residual(width))
        self.out = nn.Conv2d(width, 12, 3, padding=1)
        _zero(self.out)

    def forward(self, planes: Tensor, toned: Tensor) -> Tensor:
        """Predict edited colours.

        Args:
            planes: `features.features`, float32 (B, COUNT, H, W), H and W multiples of MULTIPLE.
            toned: the colour model's answer, float32 (B, 3, H, W) in [0, 1].

        Returns:
            The edited colours, float32 (B, 3, H, W), about [0, 1].
        """
        half = self.fine(self.begin(F.pixel_unshuffle(planes, 2)))
        quarter = self.coarse(self.down(half))
        half = self.end(half + F.pixel_shuffle(self.up(quarter), 2))
        return toned + F.pixel_shuffle(self.out(F.silu(half)), 2)


def _zero(layer: nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


def with_memory_of(network: LookNetwork) -> LookNetwork:
    """Lay the weights out as CPUs convolve them fastest."""
    return network.to(memory_format=torch.channels_last)
