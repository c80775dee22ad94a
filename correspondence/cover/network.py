"""The cover network: a small U-Net that segments what hides a face.

It sees two upright face crops of one person: the live one, and the reference's, which shows what belongs to
this face, such as a beard, glasses, make-up and skin. Its answer is about the live one. It works at half the
crop's side and puts the last doubling into channels (Shi et al. 2016, arXiv:1609.05158), which costs a
quarter of a last layer at full size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverSizes:
    """Numbers of channels at a half, a quarter, an eighth and a sixteenth of the crop's side.

    Raises:
        ValueError: there are not four sizes, or one is below 1.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)

    def __post_init__(self) -> None:
        if len(self.widths) != 4 or min(self.widths) < 1:
            raise ValueError(f"widths must be four numbers of at least 1, got {self.widths}")


def _layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bare: bool = False) -> nn.Sequential:
    """Make a convolution with batch normalisation and, unless bare, ReLU.

    The size is divided by the stride.
    """
    parts: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*parts) if bare else nn.Sequential(*parts, nn.ReLU(inplace=True))


class CoverNetwork(nn.Module):
    """Predicts where the face's own surface is not visible, from a face crop and its reference's.

    Args:
        sizes: channels at each scale.
    """

    def __init__(self, sizes: CoverSizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes or CoverSizes()
        half, quarter, eighth, sixteenth = self.sizes.widths
        self.down = nn.ModuleList(
            [
                nn.Sequential(_layer(6, half, stride=2), _layer(half, half)),
                nn.Sequential(_layer(half, quarter, stride=2), _layer(quarter, quarter)),
                nn.Sequential(_layer(quarter, eighth, stride=2), _layer(eighth, eighth)),
                nn.Sequential(
                    _layer(eighth, sixteenth, stride=2),
                    _layer(sixteenth, sixteenth),
                    _layer(sixteenth, sixteenth),
                ),
            ]
        )
        self.narrow = nn.ModuleList(
            [_layer(a, b, 1, bare=True) for a, b in ((sixteenth, eighth), (eighth, quarter), (quarter, half))]
        )
        self.up = nn.ModuleList([_layer(n, n) for n in (eighth, quarter, half)])
        self.head = nn.Conv2d(half, 4, 3, padding=1)

    def forward(self, crops: Tensor) -> Tensor:
        """Compute the logits of a batch of crops.

        Args:
            crops: float (B, 6, side, side), RGB of frame and reference in [-1, 1]. A missing reference is all
                0. The side is a multiple of 16.

        Returns:
            float (B, 1, side, side). Its sigmoid is the probability that something hides the face at a pixel.
        """
        seen: list[Tensor] = []
        at = crops
        for down in self.down:
            at = down(at)
            seen.append(at)
        for narrow, up, beside in zip(self.narrow, self.up, reversed(seen[:-1]), strict=True):
            at = up(torch.relu(nn.functional.interpolate(narrow(at), scale_factor=2.0) + beside))
        return nn.functional.pixel_shuffle(self.head(at), 2)
