"""The segmenter of what hides a face: a small U-Net over a face crop and the reference's.

It sees two pictures of one face, both cut out and turned upright by their landmarks: the live one and the
reference, which shows what belongs to this face: its beard, its glasses, its make-up, its skin. What it
says is about the live one. It works at half the crop's side and puts the last doubling into channels
(Shi et al. 2016, arXiv:1609.05158), which costs a quarter of a last layer at full size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverSizes:
    """Channels of the network at a half, a quarter, an eighth and a sixteenth of the crop's side.

    Raises:
        ValueError: not four sizes, or one below 1.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)

    def __post_init__(self) -> None:
        if len(self.widths) != 4 or min(self.widths) < 1:
            raise ValueError(f"widths must be four numbers of at least 1, got {self.widths}")


def _layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bare: bool = False) -> nn.Sequential:
    """Convolution, batch normalisation and, unless bare, ReLU; the size is divided by the stride."""
    parts: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*parts) if bare else nn.Sequential(*parts, nn.ReLU(inplace=True))


class CoverNetwork(nn.Module):
    """Logits of "the face's own surface is not seen here" from a face crop and its reference's.

    Args:
        sizes: channels of each scale.
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
        """The logits of a batch of crops.

        Args:
            crops: float (B, 6, side, side), RGB of the frame and of the reference in [-1, 1]; the reference
                is all 0 where there is none. The side is a multiple of 16.

        Returns:
            float (B, 1, side, side); the sigmoid is the probability that something hides the face there.
        """
        seen: list[Tensor] = []
        at = crops
        for down in self.down:
            at = down(at)
            seen.append(at)
        for narrow, up, beside in zip(self.narrow, self.up, reversed(seen[:-1]), strict=True):
            at = up(torch.relu(nn.functional.interpolate(narrow(at), scale_factor=2.0) + beside))
        return nn.functional.pixel_shuffle(self.head(at), 2)
