"""The training pairs of the last minutes, so that each is seen more than once."""

from __future__ import annotations

import numpy as np

from correspondence.training.cover.measures import Bytes
from correspondence.training.cover.pairs import CoverPair


class Kept:
    """The last pairs that were made, as bytes, to be seen more than once.

    Args:
        count: how many.
    """

    def __init__(self, count: int, side: int) -> None:
        self._pictures = np.zeros((count, side, side, 8), np.uint8)  # frame, reference, hidden, face
        self._made = 0

    def add(self, pair: CoverPair) -> None:
        """Keep a pair in the place of the oldest."""
        into = self._pictures[self._made % len(self._pictures)]
        into[..., :3] = np.clip(pair.frame, 0, 255)
        into[..., 3:6] = np.clip(pair.reference, 0, 255)
        into[..., 6] = np.rint(255 * pair.hidden)
        into[..., 7] = pair.face
        self._made += 1

    def batch(self, fresh: int, count: int, rng: np.random.Generator) -> Bytes:
        """The last `fresh` pairs and others by chance, mirrored by chance: uint8 (count, side, side, 8)."""
        there = min(self._made, len(self._pictures))
        numbers = [(self._made - 1 - i) % len(self._pictures) for i in range(fresh)]
        numbers += list(rng.integers(0, there, count - fresh))
        out = self._pictures[numbers]
        flip = rng.random(count) < 0.5
        out[flip] = out[flip, :, ::-1]
        return out
