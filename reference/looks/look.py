"""A look built up of layers in Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from correspondence import DETECT, Image, Landmarks, MaybeLandmarks, check_image, detect_landmarks
from reference.edits.align import align_edited, flatten
from reference.edits.edit import MODES, Edit, Mode
from reference.errors import EditError
from reference.face.sticker import Spot
from reference.looks.drawn import edit_of
from reference.looks.layers import (
    MOST_LAYERS,
    Layer,
    PaintLayer,
    PictureLayer,
    PresetLayer,
    StickerLayer,
)
from reference.looks.placed import backdrop
from reference.looks.reading import read_picture


@dataclass(frozen=True, eq=False)
class Look:
    """Layers on a still, and how they are worn. Each method returns a new look and changes nothing.

        look = Look(still).preset("lipstick", colour="#c0183a").paint(rgba).picture("edited.png")
        propagator = Propagator(look.edit())

    Attributes:
        still: the unedited picture, RGB uint8 (H, W, 3).
        landmarks: landmarks of its face; None if it shows no face; DETECT (at first) to detect them.
        layers: the layers, bottom first, at most 24.
        mode: how the look is composed (see `Edit`).
        strength: share of the whole look that is applied, [0, 1].
        name: its name for people.

    Raises:
        EditError: no RGB picture, too many layers, or a mode or strength that is not allowed.
    """

    still: Image
    landmarks: MaybeLandmarks = DETECT
    layers: tuple[Layer, ...] = ()
    mode: Mode = "auto"
    strength: float = 1.0
    name: str = "Look"

    def __post_init__(self) -> None:
        try:
            check_image(self.still, "still")
        except ValueError as error:
            raise EditError(str(error)) from error
        if self.mode not in MODES:
            raise EditError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise EditError(f"strength must be in [0, 1], got {self.strength}")
        if len(self.layers) > MOST_LAYERS:
            raise EditError(f"a look holds at most {MOST_LAYERS} layers, got {len(self.layers)}")
        if self.landmarks is DETECT:
            object.__setattr__(self, "landmarks", detect_landmarks(self.still))

    @cached_property
    def image(self) -> Image:
        """The still with all layers at the whole's full strength, RGB uint8 (H, W, 3).

        Raises:
            EditError: a preset needs a face and the still has none.
        """
        return self._edit.shown

    def edit(self) -> Edit:
        """Return the look as an edit of its still, to be worn by a `Propagator` (see `image` for errors)."""
        return self._edit

    @cached_property
    def _edit(self) -> Edit:
        landmarks = cast("Landmarks | None", self.landmarks)
        return edit_of(self.still, landmarks, self.layers, self.mode, self.strength)

    def preset(self, name: str, colour: str | None = None, strength: float | None = None) -> Look:
        """Add a preset on top.

        Args:
            name: one of `presets.NAMES`.
            colour: "#rrggbb"; the preset's own when None.
            strength: [0, 1]; the preset's own when None.

        Raises:
            EditError: the name is unknown, or the colour or strength is not allowed.
        """
        return self._with(PresetLayer.of(name, colour, strength))

    def paint(self, rgba: npt.NDArray[np.uint8], strength: float = 1.0) -> Look:
        """Add paint on top.

        Args:
            rgba: uint8 (H, W, 4), straight alpha, of the still's size.
            strength: [0, 1].

        Raises:
            EditError: another dtype, shape or size, or the strength is not allowed.
        """
        layer = PaintLayer(rgba=rgba, strength=strength)
        if rgba.shape[:2] != self.still.shape[:2]:
            (h, w), (rows, columns) = rgba.shape[:2], self.still.shape[:2]
            raise EditError(
                f"paint is {w}x{h} but its still is {columns}x{rows}; bring it to that size first"
            )
        return self._with(layer)

    def picture(self, picture: npt.NDArray[np.uint8] | str | Path, strength: float = 1.0) -> Look:
        """Add an edited picture of the still on top. It is aligned with the still (see `align_edited`).

        Args:
            picture: uint8 (H, W, 3), or (H, W, 4) of the still's size with straight alpha; or the path of a
                PNG, JPEG or WebP file.
            strength: [0, 1].

        Raises:
            EditError: the picture cannot be read, or was not found on the still.
            OSError: the file cannot be opened.
        """
        pixels = _pixels(picture)
        if pixels.ndim == 3 and pixels.shape[2] == 4:
            pixels = flatten(pixels, self.still)
        aligned = align_edited(self.still, pixels)
        return self._with(PictureLayer(image=aligned.image, strength=strength, note=aligned.note))

    def sticker(
        self, picture: npt.NDArray[np.uint8] | str | Path, at: Spot = "forehead", size: float = 0.4, *,
        rigid: bool | None = None, strength: float = 1.0, turn_deg: float = 0.0, right: float = 0.0,
        down: float = 0.0,
    ) -> Look:  # fmt: skip
        """Add a picture with transparency on a place of the face (see `StickerLayer.of`).

        Args:
            picture: uint8 (h, w, 3 or 4), or the path of a PNG, JPEG or WebP file.
            at: forehead, crown, eyes, left_eye, right_eye, nose, cheeks, left_cheek, right_cheek, moustache,
                mouth or chin.
            size: its width in heights of the face, 0.05 to 3.
            rigid: whether the head carries it as one piece, so that it keeps its shape; else it lies on the
                skin. None for what suits the place.
            strength: its opacity, [0, 1].
            turn_deg: turned by this, clockwise as seen.
            right, down: offset along the head's axes, as seen, in heights of the face.

        Raises:
            EditError: no face, no picture, or a value that is not allowed.
            OSError: the file cannot be opened.
        """
        if not isinstance(self.landmarks, Landmarks):
            raise EditError("a sticker lies on a face, but the still shows none; take another one")
        return self._with(
            StickerLayer.of(
                _pixels(picture), at, size, rigid=rigid, strength=strength, turn_deg=turn_deg, right=right,
                down=down,
            )
        )  # fmt: skip

    def backdrop(self, picture: npt.NDArray[np.uint8] | str | Path) -> Look:
        """Add a picture behind the person as a layer of paint (see `placed.backdrop`).

        Args:
            picture: uint8 (h, w, 3 or 4), or the path of a PNG, JPEG or WebP file.

        Raises:
            EditError: no person, or no picture.
            OSError: the file cannot be opened.
        """
        return self.paint(backdrop(_pixels(picture), self.still))

    def _with(self, layer: Layer) -> Look:
        return replace(self, layers=(*self.layers, layer))

    def changed(self, layer: int, **values: Any) -> Look:
        """Change a layer; what is not named stays.

        Args:
            layer: its place, 0 for the lowest; negative numbers count from the top.
            values: shown (bool) and strength ([0, 1]) of any layer; colour ("#rrggbb") of a preset; at, size,
                turn_deg, right, down and rigid of a sticker, as in `sticker`.

        Raises:
            EditError: a value is not allowed, or the layer has no such setting.
            IndexError: there is no such layer.
            TypeError: there is no setting of that name.
        """
        new = adjusted(self.layers[layer], **values)
        return self._edited(lambda layers: layers.__setitem__(layer, new))

    def removed(self, place: int) -> Look:
        """Remove a layer, by its place as in `changed`.

        Raises:
            IndexError: there is no such layer.
        """
        return self._edited(lambda layers: layers.__delitem__(place))

    def moved(self, place: int, to: int) -> Look:
        """Move a layer from one place to another. Both count from 0, the lowest.

        Raises:
            IndexError: there is no such layer.
        """
        return self._edited(lambda layers: layers.insert(to, layers.pop(place)))

    def _edited(self, work: Callable[[list[Layer]], None]) -> Look:
        layers = list(self.layers)
        work(layers)
        return replace(self, layers=tuple(layers))


def _pixels(picture: npt.NDArray[np.uint8] | str | Path) -> npt.NDArray[np.uint8]:
    return read_picture(Path(picture)) if isinstance(picture, (str, Path)) else picture


def adjusted(
    layer: Layer,
    *,
    shown: bool | None = None,
    strength: float | None = None,
    colour: str | None = None,
    rigid: bool | None = None,
    **place: object,
) -> Layer:
    """Return a layer with other settings; None keeps a setting.

    Args:
        layer: the layer.
        shown, strength: of any layer.
        colour: of a preset.
        rigid, place: of a sticker, see `StickerLayer` and `Sticker`.

    Raises:
        EditError: a value is not allowed, or the layer has no such setting.
    """
    if colour is not None:
        if not isinstance(layer, PresetLayer):
            raise EditError(f"a layer of kind {layer.kind} has no colour; only presets have one")
        layer = replace(layer, colour=colour)
    moves = any(value is not None for value in place.values())
    if rigid is not None or moves:
        if not isinstance(layer, StickerLayer):
            raise EditError(f"a layer of kind {layer.kind} has no place on the face; only stickers have one")
        sticker = layer.sticker.moved(**place) if moves else layer.sticker
        layer = replace(layer, sticker=sticker, rigid=layer.rigid if rigid is None else rigid)
    return replace(
        layer,
        shown=layer.shown if shown is None else shown,
        strength=layer.strength if strength is None else strength,
    )
