"""Draws the layers of a look on a still, and makes an edit of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from correspondence import Float, Image, Landmarks
from reference.edits.edit import Edit, Mode
from reference.face.sticker import HeadSticker
from reference.looks.layers import Layer, PictureLayer, StickerLayer, face_of


def draw_layers(still: Image, landmarks: Landmarks | None, layers: Sequence[Layer]) -> Image:
    """Draw layers on a still, the first one lowest. The same arguments give the same picture.

    Args:
        still: RGB uint8 (H, W, 3).
        landmarks: landmarks of its face; None without one.
        layers: the layers, bottom first. Hidden ones and those of strength 0 are left out.

    Returns:
        RGB uint8 (H, W, 3); the still itself if nothing is drawn.

    Raises:
        EditError: a preset or sticker needs a face and there is none, or a layer has another size.
    """
    return edit_of(still, landmarks, layers).shown


def edit_of(
    still: Image,
    landmarks: Landmarks | None,
    layers: Sequence[Layer],
    mode: Mode = "auto",
    strength: float = 1.0,
    drawn: Image | None = None,
) -> Edit:
    """Return layers on a still as an edit.

    Args:
        still, landmarks, layers: see `draw_layers`.
        mode, strength: see `Edit`.
        drawn: the layers without stickers that the head carries, if they were drawn before.

    Raises:
        EditError: as `draw_layers`; a mode or strength that is not allowed.
    """
    worn = [layer for layer in layers if layer.shown and layer.strength > 0]
    carried = [layer for layer in worn if isinstance(layer, StickerLayer) and layer.rigid]
    lower = [layer for layer in worn if layer not in carried]
    if drawn is None:
        drawn = still
        for layer in lower:
            drawn = layer.draw(drawn, still, landmarks)
    stickers = tuple(
        HeadSticker.on(layer.sticker, layer.strength, still, face_of(landmarks)) for layer in carried
    )
    skin = _on_skin(lower, landmarks)
    return Edit(still, drawn, mode, strength, exact=is_exact(lower), skin=skin, stickers=stickers)


def _on_skin(layers: Sequence[Layer], landmarks: Landmarks | None) -> Float | None:
    """Cover of the stickers that lie on the skin, float32 (H, W), [0, 1]. None without any."""
    cover: Float | None = None
    for layer in layers:
        if not isinstance(layer, StickerLayer):
            continue
        alpha = layer.sticker.drawn(face_of(landmarks))[..., 3] * np.float32(layer.strength / 255)
        cover = alpha if cover is None else np.maximum(cover, alpha)
    return cover


def is_exact(layers: Sequence[Layer]) -> bool:
    """Whether layers leave every pixel that they do not mean to change: none of them is a picture."""
    return not any(isinstance(layer, PictureLayer) for layer in layers)
