"""The layers of a look: presets, paint, pictures, words, stickers. They keep what the user made, unchanged.

Layers are drawn on a still from the bottom to the top. A preset is kept as its name, colour and strength and
is drawn anew each time. Paint is a picture with alpha. A picture shows the edited still itself. A sticker is
kept as its picture and its place on the face; one that the head carries lies over all other layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from correspondence import Float, Image, Landmarks, check_image
from reference import presets
from reference.edits.mask import change_mask
from reference.errors import EditError
from reference.face.sticker import (
    OF_THE_HEAD,
    Rgba,
    Spot,
    Sticker,
    laid_over,
    sticker_picture,
)
from reference.keyframes.keyframe import next_id

Kind = Literal["preset", "paint", "picture", "words", "sticker"]
MOST_LAYERS = 24  # of one still
MOST_WORDS = 300  # characters of the words by which a picture was edited


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Layer:
    """What all layers have in common.

    Attributes:
        strength: share of the layer that is applied, [0, 1].
        shown: whether it is drawn.
        id: names the layer; it stays when the layer is changed.
        version: changes with the layer's pixels.

    Raises:
        EditError: the strength is outside [0, 1].
    """

    strength: float = 1.0
    shown: bool = True
    id: int = field(default_factory=next_id)
    version: int = field(default_factory=next_id)

    def __post_init__(self) -> None:
        if isinstance(self.strength, bool) or not isinstance(self.strength, (int, float)):
            raise EditError(f"strength must be a number in [0, 1], got {self.strength!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise EditError(f"strength must be in [0, 1], got {self.strength}")

    @property
    def kind(self) -> Kind:
        """What it is."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """Its name for people."""
        raise NotImplementedError

    @property
    def pixels(self) -> npt.NDArray[np.uint8] | None:
        """What the user made, uint8 (H, W, 3 or 4): of the still's size, but for stickers. Presets: None."""
        return None

    def draw(self, below: Image, still: Image, landmarks: Landmarks | None) -> Image:
        """Draw the layer, whether it is shown or not.

        Args:
            below: the still with the layers below, uint8 (H, W, 3).
            still: the still without layers, uint8 (H, W, 3).
            landmarks: landmarks of the still's face; None without one.

        Returns:
            uint8 (H, W, 3). Pixels where the layer has nothing equal those of `below`.

        Raises:
            EditError: the layer does not fit the still.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PresetLayer(Layer):
    """A preset.

    Attributes:
        name: one of `presets.NAMES`.
        colour: "#rrggbb".

    Raises:
        EditError: the name is unknown, or the colour or strength is not allowed.
    """

    name: str
    colour: str

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        presets.check(self.name, self.colour)

    @classmethod
    def of(cls, name: str, colour: str | None = None, strength: float | None = None) -> PresetLayer:
        """Make a preset's layer; None as colour or strength means the preset's own."""
        own = presets.find(name)
        return cls(
            name=name,
            colour=own.colour if colour is None else colour,
            strength=own.strength if strength is None else strength,
        )

    @property
    def kind(self) -> Kind:
        """See `Layer`."""
        return "preset"

    @property
    def title(self) -> str:
        """See `Layer`."""
        return presets.find(self.name).title

    def draw(self, below: Image, still: Image, landmarks: Landmarks | None) -> Image:
        """See `Layer`."""
        return presets.apply(self.name, below, landmarks, self.colour, self.strength, still)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PaintLayer(Layer):
    """Brush strokes.

    Attributes:
        rgba: uint8 (H, W, 4), straight alpha, of the still's size.

    Raises:
        EditError: another dtype or shape.
    """

    rgba: Rgba

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        if self.rgba.dtype != np.uint8 or self.rgba.ndim != 3 or self.rgba.shape[2] != 4:
            raise EditError(f"paint must be uint8 (H, W, 4), got {self.rgba.dtype} {self.rgba.shape}")

    @property
    def kind(self) -> Kind:
        """See `Layer`."""
        return "paint"

    @property
    def title(self) -> str:
        """See `Layer`."""
        return "Paint"

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """See `Layer`."""
        return self.rgba

    def draw(self, below: Image, still: Image, landmarks: Landmarks | None) -> Image:
        """See `Layer`."""
        _check_size(self.rgba, still, "paint")
        return laid_over(below, self.rgba, self.strength)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StickerLayer(Layer):
    """A sticker.

    Attributes:
        sticker: its picture and its place on the face.
        rigid: whether the head carries it as one piece, so that it keeps its shape. Else it lies on the skin.
    """

    sticker: Sticker
    rigid: bool = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        if not isinstance(self.rigid, bool):
            raise EditError(f"rigid must be true or false, got {self.rigid!r}")

    @classmethod
    def of(
        cls, picture: npt.NDArray[np.uint8], at: Spot = "forehead", size: float = 0.4, *,
        rigid: bool | None = None, strength: float = 1.0, turn_deg: float = 0.0, right: float = 0.0,
        down: float = 0.0,
    ) -> StickerLayer:  # fmt: skip
        """Make a sticker's layer of a picture, uint8 (h, w, 3 or 4). See `Sticker` for its place.

        Args:
            picture: a larger one than allowed is shrunk.
            at, size, turn_deg, right, down: its place.
            rigid: None for what suits the place: the head carries what is worn on eyes and crown.
            strength: its opacity, [0, 1].

        Raises:
            EditError: a value is not allowed.
        """
        made = Sticker(
            picture=sticker_picture(picture), at=at, size=size, turn_deg=turn_deg, right=right, down=down
        )
        return cls(sticker=made, rigid=at in OF_THE_HEAD if rigid is None else rigid, strength=strength)

    @property
    def kind(self) -> Kind:
        """See `Layer`."""
        return "sticker"

    @property
    def title(self) -> str:
        """See `Layer`."""
        return f"Sticker: {self.sticker.at.replace('_', ' ')}"

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """See `Layer`."""
        return self.sticker.picture

    def draw(self, below: Image, still: Image, landmarks: Landmarks | None) -> Image:
        """See `Layer`."""
        return laid_over(below, self.sticker.drawn(face_of(landmarks)), self.strength)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PictureLayer(Layer):
    """An edited picture of the still.

    Where the picture equals the still, the layers below show through. Drawn alone at full strength it gives
    the picture itself.

    Attributes:
        image: uint8 (H, W, 3), of the still's size.
        words: the words by which it was edited; None for a picture of the user's own.
        note: what was done to bring the picture to the still's size; None if nothing was.

    Raises:
        EditError: another dtype or shape, or words that are too long.
    """

    image: Image
    words: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        try:
            check_image(self.image, "picture")
        except ValueError as error:
            raise EditError(str(error)) from error
        if self.words is not None and len(self.words) > MOST_WORDS:
            raise EditError(f"words must have at most {MOST_WORDS} characters, got {len(self.words)}")

    @property
    def kind(self) -> Kind:
        """See `Layer`."""
        return "picture" if self.words is None else "words"

    @property
    def title(self) -> str:
        """See `Layer`."""
        return f"Words: {self.words}" if self.words else "Words" if self.words is not None else "Picture"

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """See `Layer`."""
        return self.image

    def draw(self, below: Image, still: Image, landmarks: Landmarks | None) -> Image:
        """See `Layer`."""
        _check_size(self.image, still, "picture")
        drawn = self.image.astype(np.float32)
        if below is not still:  # what lies below shows where the picture changes nothing
            lower = below.astype(np.float32) - still
            drawn = drawn + lower * (1 - change_mask(still, self.image))[..., None]
        if self.strength == 1.0:
            return _rounded(drawn)
        return _rounded(below + np.float32(self.strength) * (drawn - below))


def face_of(landmarks: Landmarks | None) -> Landmarks:
    """Return the landmarks of a still for a sticker.

    Raises:
        EditError: there is no face.
    """
    if landmarks is None:
        raise EditError("a sticker lies on a face, but the still shows none; take another one")
    return landmarks


def _check_size(pixels: npt.NDArray[np.uint8], still: Image, what: str) -> None:
    (h, w), (rows, columns) = pixels.shape[:2], still.shape[:2]
    if (h, w) != (rows, columns):
        raise EditError(f"{what} is {w}x{h} but its still is {columns}x{rows}; bring it to that size first")


def _rounded(image: Float) -> Image:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
