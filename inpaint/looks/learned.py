"""A learned look: it paints a live picture in the look of one edited picture, and fills holes with that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from correspondence import Box, Float, Image, check_image
from inpaint.looks.features import REACH, features
from inpaint.mask import hole_box, paste
from inpaint.types import FillContext, check_mask

if TYPE_CHECKING:
    from inpaint.looks.network import LookNetwork

TILE = 160  # height of the strips in which a picture is painted, pixels
BAND_PX = 300_000  # colours are mapped in bands of as many pixels: of larger ones coarsely, not as learned
FIELD = 36  # distance from which a plane still matters to the network's answer, pixels


class Colours(Protocol):
    """A model of an edit's colours, as `reference`'s colour model is one."""

    def apply(self, image: Image) -> Image:
        """Map a picture, RGB uint8 (H, W, 3), to the edit's colours."""
        ...


@dataclass(frozen=True, eq=False)
class LearnedLook:
    """A look as a network learned it. It can be pickled.

    Attributes:
        weights: parameters of the network by name, float32.
        colours: the colour model that the network corrects.
        size: (H, W) of the picture that it was learned from; other pictures are scaled to its longer side.
        ahead_db: how much nearer to the edited picture it comes than the colours alone, on blocks that were
            held out of training, dB. Below 0 the colours alone are better.
        steps: number of training steps.
    """

    weights: Mapping[str, Float]
    colours: Colours
    size: tuple[int, int]
    ahead_db: float = 0.0
    steps: int = 0

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_network"}

    @cached_property
    def _network(self) -> LookNetwork:
        import torch

        from inpaint.looks.network import LookNetwork, with_memory_of

        network = LookNetwork()
        network.load_state_dict({name: torch.from_numpy(value) for name, value in self.weights.items()})
        return with_memory_of(network.eval())

    def paint(
        self, image: Image, wanted: Float | None = None, *, frame_size: tuple[int, int] | None = None
    ) -> Image:
        """Paint a live picture in the look.

        Args:
            image: RGB uint8 (H, W, 3).
            wanted: which pixels are needed, float32 (H, W), above 0; None for all. The other pixels have the
                colours of the colour model.
            frame_size: (H, W) of the frame that `image` is a part of; None if it is whole.

        Returns:
            RGB uint8 (H, W, 3).

        Raises:
            ValueError: a picture or mask of another shape.
        """
        size = check_image(image)
        if wanted is not None and wanted.shape != size:
            raise ValueError(f"wanted must be of the picture's size {size}, got {wanted.shape}")
        scale = max(self.size) / max(frame_size or size)
        if abs(scale - 1) < 0.02:
            return self.paint_unscaled(image, wanted)
        height, width = (max(8, round(side * scale)) for side in size)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)
        if wanted is not None:  # a pixel that is needed at all stays so
            wanted = np.asarray(cv2.resize(wanted, (width, height), interpolation=cv2.INTER_AREA), np.float32)
        made = self.paint_unscaled(small, wanted)
        return np.asarray(cv2.resize(made, (size[1], size[0]), interpolation=cv2.INTER_CUBIC), np.uint8)

    def paint_unscaled(self, image: Image, wanted: Float | None = None) -> Image:
        """Paint a picture whose pixels are as large as those of the picture learned from, see `paint`."""
        rows = max(2, BAND_PX // image.shape[1])
        bands = [image[top : top + rows] for top in range(0, image.shape[0], rows)]
        toned = np.concatenate([self.colours.apply(np.ascontiguousarray(band)) for band in bands])
        if self.ahead_db <= 0:
            return toned
        made = toned.copy()
        height, width = image.shape[:2]
        for top in range(0, height, TILE):
            bottom = min(height, top + TILE)
            span = (0, top, width, bottom)
            if wanted is not None:
                box = hole_box(np.asarray(wanted[top:bottom], np.float32))
                if box is None:
                    continue
                span = (box[0], top + box[1], box[2], top + box[3])
            self._strip(image, toned, made, span)
        return made

    def _strip(self, image: Image, toned: Image, made: Image, span: Box) -> None:
        """Paint one box of the picture, in place."""
        import torch

        height, width = image.shape[:2]
        x0, y0, x1, y1 = span
        wide = _grown((x0 - x0 % 4, y0 - y0 % 4, x1, y1), FIELD, (height, width))
        seen = _grown(wide, REACH, (height, width))
        cut = np.s_[seen[1] : seen[3], seen[0] : seen[2]]
        planes = features(np.ascontiguousarray(image[cut]), np.ascontiguousarray(toned[cut]))
        planes = planes[:, wide[1] - seen[1] : wide[3] - seen[1], wide[0] - seen[0] : wide[2] - seen[0]]
        base = toned[wide[1] : wide[3], wide[0] : wide[2]].transpose(2, 0, 1).astype(np.float32) / 255
        more = [-side % 4 for side in planes.shape[1:]]
        ends = ((0, 0), (0, more[0]), (0, more[1]))
        padded = [np.pad(values, ends, mode="edge") for values in (planes, base)]
        with torch.inference_mode():
            tensors = (torch.from_numpy(np.ascontiguousarray(values))[None] for values in padded)
            out = self._network(*tensors)[0].clamp(0, 1).mul(255).round().byte().numpy()
        inner = out[:, y0 - wide[1] : y1 - wide[1], x0 - wide[0] : x1 - wide[0]]
        made[y0:y1, x0:x1] = inner.transpose(1, 2, 0)

    def __call__(self, image: Image, mask: Float, context: FillContext | None = None) -> Image:
        """Fill the hole of an edited picture by painting the live one (see `inpaint.types.Fill`).

        Raises:
            ValueError: the context holds no live picture of the image's size.
        """
        size = check_image(image)
        check_mask(mask, size)
        live = None if context is None else context.live
        if live is None or check_image(live, "live") != size:
            raise ValueError(
                f"a learned look paints the live picture: FillContext.live must be uint8 {size}, "
                f"got {None if live is None else live.shape[:2]}"
            )
        return paste(image, self.paint(live, mask), mask)


def _grown(box: Box, by: int, size: tuple[int, int]) -> Box:
    x0, y0, x1, y1 = box
    return max(0, x0 - by), max(0, y0 - by), min(size[1], x1 + by), min(size[0], y1 + by)
