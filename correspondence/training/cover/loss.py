"""The loss of the cover network."""

from __future__ import annotations

import torch
from torch import Tensor

from correspondence.training.cover.pairs import BESIDE

EDGE = 5  # side of the square around a pixel in which an edge of a cover counts as near


def loss_of(logits: Tensor, hidden: Tensor, face: Tensor) -> Tensor:
    """Compute cross-entropy plus one minus the soft overlap, both with higher weight on the face.

    Pixels beside the edge of a cover weigh twice in the cross-entropy: most that leaks or is lost lies there.

    Args:
        logits, hidden, face: float (B, 1, side, side). `hidden` is in [0, 1], `face` as in `CoverPair`.
    """
    weight = torch.where(face == 2, 0.0, BESIDE + (1 - BESIDE) * face)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, hidden, reduction="none")
    probability = torch.sigmoid(logits)
    both = (weight * probability * hidden).sum(dim=(1, 2, 3))
    either = (weight * (probability + hidden - probability * hidden)).sum(dim=(1, 2, 3))
    overlap = (both + 20) / (either + 20)  # + 20 pixels, so that a speck on an uncovered face costs little
    pool = torch.nn.functional.max_pool2d
    edge = pool(hidden, EDGE, 1, EDGE // 2) + pool(-hidden, EDGE, 1, EDGE // 2)
    weight = weight * (1 + edge)
    return (weight * entropy).sum() / weight.sum() + 0.25 * (1 - overlap).mean()
