"""A look built up of layers in Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from correspondence import DETECT, Image, Landmarks, MaybeLandmarks, check_image, detect_landmarks
from reference.edits.align import align_edited, flatten
from reference.edits.edit import MODES, Edit, Mode
from reference.errors import EditError
from reference.looks.layers import (
    MOST_LAYERS,
    Layer,
    PaintLayer,
    PictureLayer,
    PresetLayer,
    draw_layers,
    is_exact,
)
from reference.looks.placed import Spot, backdrop, sticker
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
        return draw_layers(self.still, cast("Landmarks | None", self.landmarks), self.layers)

    def edit(self) -> Edit:
        """Return the look as an edit of its still, to be worn by a `Propagator` (see `image` for errors)."""
        return Edit(self.still, self.image, self.mode, self.strength, exact=is_exact(self.layers))

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
        self, picture: npt.NDArray[np.uint8] | str | Path, spot: Spot = "forehead", size: float = 0.4
    ) -> Look:
        """Add a picture with transparency as a layer of paint on a spot of the face (see `placed.sticker`).

        Args:
            picture: uint8 (h, w, 3 or 4), or the path of a PNG, JPEG or WebP file.
            spot: one of `placed.SPOTS`.
            size: its width in heights of the face.

        Raises:
            EditError: no face, no picture, an unknown spot or a size that is not allowed.
            OSError: the file cannot be opened.
        """
        if not isinstance(self.landmarks, Landmarks):
            raise EditError("a sticker lies on a face, but the still shows none; take another one")
        return self.paint(sticker(_pixels(picture), self.landmarks, spot, size))

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

    def changed(
        self,
        place: int,
        *,
        shown: bool | None = None,
        strength: float | None = None,
        colour: str | None = None,
    ) -> Look:
        """Change a layer.

        Args:
            place: its place, 0 for the lowest; negative numbers count from the top.
            shown: whether it is drawn. None keeps what it is, here and below.
            strength: [0, 1].
            colour: "#rrggbb", of a preset.

        Raises:
            EditError: a value is not allowed, or the layer has no colour.
            IndexError: there is no such layer.
        """
        layer = adjusted(self.layers[place], shown=shown, strength=strength, colour=colour)
        return self._edited(lambda layers: layers.__setitem__(place, layer))

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
    layer: Layer, *, shown: bool | None = None, strength: float | None = None, colour: str | None = None
) -> Layer:
    """Return a layer with other settings; None keeps a setting.

    Raises:
        EditError: a value is not allowed, or the layer has no colour.
    """
    if colour is not None:
        if not isinstance(layer, PresetLayer):
            raise EditError(f"a layer of kind {layer.kind} has no colour; only presets have one")
        layer = replace(layer, colour=colour)
    return replace(
        layer,
        shown=layer.shown if shown is None else shown,
        strength=layer.strength if strength is None else strength,
    )
