"""A buffer of recent training pairs, so that each is used more than once."""

from __future__ import annotations

import numpy as np

from correspondence.training.cover.measures import Bytes
from correspondence.training.cover.pairs import CoverPair


class Kept:
    """Keeps the latest training pairs as bytes.

    Args:
        count: number of pairs to keep.
    """

    def __init__(self, count: int, side: int) -> None:
        self._pictures = np.zeros((count, side, side, 8), np.uint8)  # frame, reference, hidden, face
        self._made = 0

    def add(self, pair: CoverPair) -> None:
        """Add a pair in the place of the oldest one."""
        into = self._pictures[self._made % len(self._pictures)]
        into[..., :3] = np.clip(pair.frame, 0, 255)
        into[..., 3:6] = np.clip(pair.reference, 0, 255)
        into[..., 6] = np.rint(255 * pair.hidden)
        into[..., 7] = pair.face
        self._made += 1

    def batch(self, fresh: int, count: int, rng: np.random.Generator) -> Bytes:
        """Return the latest `fresh` pairs and random others, some mirrored: uint8 (count, side, side, 8)."""
        there = min(self._made, len(self._pictures))
        numbers = [(self._made - 1 - i) % len(self._pictures) for i in range(fresh)]
        numbers += list(rng.integers(0, there, count - fresh))
        out = self._pictures[numbers]
        flip = rng.random(count) < 0.5
        out[flip] = out[flip, :, ::-1]
        return out
