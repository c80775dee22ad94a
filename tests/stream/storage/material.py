"""Sessions to keep, small and without a face."""

from __future__ import annotations

import numpy as np

from correspondence.types import LANDMARK_COUNT, Image, Landmarks
from reference import Edit
from reference.looks.layers import Layer, PictureLayer
from stream.looks.look import Look, LookKeyframe, Pictures, ReferencePicture
from stream.storage.record import Snapshot

SIZE = (24, 32)


def noise(seed: int, size: tuple[int, int] = SIZE) -> Image:
    """A picture no other seed gives, uint8 (H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def marks(seed: int, size: tuple[int, int]) -> Landmarks:
    """Landmarks at random places."""
    points = np.random.default_rng(seed).uniform(0, 30, (LANDMARK_COUNT, 3))
    return Landmarks(points.astype(np.float32), size)


def edited(seed: int, *drawn: Layer, size: tuple[int, int] = SIZE) -> LookKeyframe:
    """An edit of a reference of its own: a picture, and further layers."""
    reference = ReferencePicture(noise(seed, size), marks(seed, size), 0.5, taken_s=seed + 1.0)
    edit, was = (Edit(reference.image, noise(seed + more, size)) for more in (1000, 2000))
    layers = (PictureLayer(image=edit.edited, note="scaled"), *drawn)
    return LookKeyframe(edit, reference, layers, was)


def snapshot(*looks: Look, active: int | None = None) -> Snapshot:
    """A session of these looks, the first one worn unless told otherwise."""
    return Snapshot(looks, looks[0].id if active is None else active, overlay="confidence")


def look(number: int, name: str, *edits: LookKeyframe, strength: float = 0.7) -> Look:
    """A look of these keyframes."""
    return Look(number, name, "delta", strength, Pictures(edits[0].reference if edits else None, edits))
