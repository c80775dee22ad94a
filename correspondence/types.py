"""Public types of the correspondence package: landmarks, prepared references and matches."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.face_crop import FaceCrop
from correspondence.glance import Glance

Image = npt.NDArray[np.uint8]  # RGB, (H, W, 3)
Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Box = tuple[int, int, int, int]  # (x0, y0, x1, y1), pixels, the last row and column excluded

LANDMARK_COUNT = 478  # MediaPipe FaceMesh with irises: 468 on the mesh, 5 on each iris


def check_image(image: Image, name: str = "image") -> tuple[int, int]:
    """Check that a picture is RGB uint8 and return its height and width.

    Args:
        image: uint8 (H, W, 3).
        name: the name of the picture in error messages.

    Returns:
        Height and width, pixels.

    Raises:
        ValueError: `image` is no array, has another dtype or shape, or has a side of 0.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name} must be a uint8 array (H, W, 3), got {type(image).__name__}")
    if image.dtype != np.uint8:
        raise ValueError(f"{name} must be uint8 RGB, got dtype {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"{name} must have shape (H, W, 3) with H, W >= 1, got {image.shape}")
    return int(image.shape[0]), int(image.shape[1])


@dataclass(frozen=True, eq=False)
class Landmarks:
    """FaceMesh landmarks of one face in one picture.

    Attributes:
        points: float32 (478, 3). x and y are in pixels of the picture, with pixel centres on integers. z is
            in the same unit, relative to the head's centre; a smaller z is nearer to the camera.
        image_size: (H, W) of the picture, pixels.
    """

    points: Float
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        if self.points.shape != (LANDMARK_COUNT, 3) or self.points.dtype != np.float32:
            raise ValueError(
                f"points must be float32 ({LANDMARK_COUNT}, 3), got {self.points.dtype} {self.points.shape}"
            )
        self.points.setflags(write=False)

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Bounding box (x0, y0, x1, y1) of the face mesh, pixels."""
        low, high = self.points[:468, :2].min(axis=0), self.points[:468, :2].max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


class Detect:
    """The type of `DETECT`, which asks for landmarks to be detected in the picture."""

    def __repr__(self) -> str:
        return "DETECT"


DETECT = Detect()
MaybeLandmarks = Landmarks | None | Detect  # None: the picture is known to show no face


class Prepared(Protocol):
    """A reference prepared for matching. It is immutable and holds no session state, so it can be shared."""

    @property
    def image(self) -> Image:
        """The reference picture, uint8 (H, W, 3)."""
        ...

    @property
    def landmarks(self) -> Landmarks | None:
        """The landmarks of the reference; None if no face was found."""
        ...

    @property
    def face_crop(self) -> FaceCrop | None:
        """The upright crop of its face, see `cover.crop`; None if no face was found."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory that this object holds, including the picture, bytes."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A field on a regular grid of cells that cover a box of the frame.

    Attributes:
        values: float32 (h, w, 3), (dx, dy, log_b) at the cells' centres, in pixels of frame and reference.
        box: the box of the frame that the cells cover. It may reach outside the frame.
        feather: width of the rim where the patch fades into the patch below it, pixels; 0 for no rim.
    """

    values: Float
    box: Box
    feather: float = 0.0

    def __post_init__(self) -> None:
        if self.values.dtype != np.float32 or self.values.ndim != 3 or self.values.shape[2] != 3:
            raise ValueError(f"values must be float32 (h, w, 3), got {self.values.dtype} {self.values.shape}")
        if self.box[2] <= self.box[0] or self.box[3] <= self.box[1]:
            raise ValueError(f"a patch's box must have x1 > x0 and y1 > y0, got {self.box}")
        self.values.setflags(write=False)

    def sample(self, box: Box) -> Float:
        """Sample the patch at each pixel of a box, bilinearly.

        Args:
            box: (x0, y0, x1, y1) in the frame, pixels. Outside the patch its border values are repeated.

        Returns:
            float32 (y1 - y0, x1 - x0, 3), (dx, dy, log_b).
        """
        if box == self.box and self.values.shape[:2] == (box[3] - box[1], box[2] - box[0]):
            return self.values
        step_x = (self.box[2] - self.box[0]) / self.values.shape[1]  # pixels a cell
        step_y = (self.box[3] - self.box[1]) / self.values.shape[0]
        matrix = np.array(
            [
                [1 / step_x, 0, (box[0] + 0.5 - self.box[0]) / step_x - 0.5],
                [0, 1 / step_y, (box[1] + 0.5 - self.box[1]) / step_y - 0.5],
            ]
        )
        size = (box[2] - box[0], box[3] - box[1])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out = cv2.warpAffine(self.values, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(out, np.float32)

    def weight(self, box: Box, frame_size: tuple[int, int]) -> Float | None:
        """Opacity of the patch over the patch below it, at each pixel of a box.

        A rim on or outside the frame's border does not fade, since no frame pixel lies beyond it.

        Args:
            box: (x0, y0, x1, y1) in the frame, pixels.
            frame_size: (H, W) of the frame, pixels.

        Returns:
            float32 (y1 - y0, x1 - x0) in [0, 1]; None if it is 1 everywhere.
        """
        ramps = self.ramps(box, frame_size)
        if ramps is None:
            return None
        across, down = ramps
        return np.asarray(down[:, None] * across[None, :], np.float32)

    def ramps(self, box: Box, frame_size: tuple[int, int]) -> tuple[Float, Float] | None:
        """`weight` as the factors of its columns and of its rows, float32 (x1 - x0,) and (y1 - y0,)."""
        if self.feather <= 0:
            return None
        sides = [(box[i], box[i + 2], self.box[i], self.box[i + 2], frame_size[1 - i]) for i in (0, 1)]
        if all(_is_level(*side, self.feather) for side in sides):
            return None
        return _ramp(*sides[0], self.feather), _ramp(*sides[1], self.feather)


def _is_level(start: int, stop: int, low: int, high: int, extent: int, feather: float) -> bool:
    """Tell whether `_ramp` is 1 at all pixels. It is lowest at one of its ends."""
    rises = low <= 0 or start + 0.5 - low >= feather
    return rises and (high >= extent or high - (stop - 0.5) >= feather)


def _ramp(start: int, stop: int, low: int, high: int, extent: int, feather: float) -> Float:
    """Weights of pixels [start, stop) along one axis, for a patch on [low, high) of `extent` pixels."""
    at = np.arange(start, stop, dtype=np.float32) + 0.5
    rise = np.full(stop - start, np.inf, np.float32) if low <= 0 else (at - low) / feather
    fall = np.full(stop - start, np.inf, np.float32) if high >= extent else (high - at) / feather
    t = np.clip(np.minimum(rise, fall), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """What hides the face of a frame, for example a hand, a cup or hair over the face.

    Attributes:
        share: how far the face is hidden at each pixel of the face's crop, float32 (side, side), [0, 1].
        matrix: affine matrix from pixels of the frame to pixels of the crop, float64 (2, 3).
        far: log_b where the face is hidden, natural log of pixels. Its place in the reference may then be
            anywhere on the face.
    """

    share: Float
    matrix: npt.NDArray[np.float64]
    far: float

    def on(self, box: Box, size: tuple[int, int]) -> Float:
        """Compute how far the face is hidden, on a regular grid over a box of the frame.

        Args:
            box: (x0, y0, x1, y1), pixels.
            size: cells (rows, columns). Cell i of n on a side of length l is sampled at
                (i + 0.5) l / n - 0.5.

        Returns:
            float32 (rows, columns), [0, 1]; 0 outside the crop.
        """
        rows, columns = size
        step = np.array([(box[2] - box[0]) / columns, (box[3] - box[1]) / rows])
        first = np.array([box[0], box[1]]) + 0.5 * step - 0.5
        linear = self.matrix[:, :2]
        shift = linear @ first + self.matrix[:, 2]
        to_crop = np.concatenate([linear * step, shift[:, None]], axis=1)
        share = self.share
        cell = float(np.hypot(*to_crop[:, 0]))  # pixels of the crop; a coarser grid needs averages
        if cell > 1.5:
            share = cv2.blur(share, (2 * round(cell / 2) + 1,) * 2)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(share, to_crop, (columns, rows), flags=flags), np.float32)

    def doubted(self, log_b: Float, box: Box) -> Float:
        """Raise log_b towards `far` where the face is hidden.

        Args:
            log_b: (rows, columns), on a regular grid over `box`.
            box: (x0, y0, x1, y1) in the frame, pixels.

        Returns:
            float32 (rows, columns).
        """
        share = self.on(box, (log_b.shape[0], log_b.shape[1]))
        return np.asarray(log_b + share * np.maximum(np.float32(self.far) - log_b, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Match:
    """The place of each pixel of a frame in the reference, with its uncertainty.

    A match stores coarse grids. `window` computes the full-size field in a box only. `field` and `log_b`
    compute it for the whole frame (10 MB at 720p) and keep it.

    Attributes:
        patches: the patches, coarsest first. The first covers the frame; later ones hide earlier ones.
        landmarks: the frame's landmarks; None if no face was found.
        frame_size: (H, W) of the frame.
        reference_size: (H, W) of the reference.
        hidden: what hides the frame's face; None if nothing hides it or it was not looked for. `log_b` is
            high where the face is hidden.
        glance: the face as it was seen by the search for what hides it, for the next frame's search.
    """

    patches: tuple[Patch, ...]
    landmarks: Landmarks | None
    frame_size: tuple[int, int]
    reference_size: tuple[int, int]
    hidden: Hidden | None = field(default=None, kw_only=True)
    glance: Glance | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if not self.patches:
            raise ValueError("a match needs at least one patch that covers the frame, got none")

    @classmethod
    def from_field(
        cls,
        field: Float,
        log_b: Float,
        landmarks: Landmarks | None = None,
        reference_size: tuple[int, int] | None = None,
    ) -> Match:
        """Make a match from a full-size field.

        Args:
            field: (H, W, 2), (dx, dy) in pixels.
            log_b: (H, W), natural log of the Laplace scale, pixels.
            landmarks: the frame's landmarks; None for no face.
            reference_size: (H, W) of the reference, pixels; None for the size of the frame.

        Raises:
            ValueError: the shapes of `field` and `log_b` do not fit.
        """
        if field.ndim != 3 or field.shape[2] != 2 or log_b.shape != field.shape[:2]:
            raise ValueError(f"field must be (H, W, 2) and log_b (H, W), got {field.shape} and {log_b.shape}")
        height, width = field.shape[:2]
        values = np.dstack([field, log_b]).astype(np.float32)
        patch = Patch(values, (0, 0, width, height))
        return cls((patch,), landmarks, (height, width), reference_size or (height, width))

    def window(self, box: Box) -> tuple[Float, Float]:
        """Field and log_b at each pixel of a box of the frame.

        Args:
            box: (x0, y0, x1, y1), pixels. It must not be empty and must lie inside the frame.

        Returns:
            The field, float32 (y1 - y0, x1 - x0, 2) in pixels, and log_b, float32 (y1 - y0, x1 - x0).

        Raises:
            ValueError: `box` is empty or reaches outside the frame.
        """
        values = self._values(box)
        return values[..., :2], values[..., 2]

    def _values(self, box: Box) -> Float:
        """(dx, dy, log_b) at each pixel of `box`: float32 (h, w, 3)."""
        x0, y0, x1, y1 = box
        height, width = self.frame_size
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ValueError(f"box must lie inside the {width} x {height} frame, got {box}")
        shown: list[tuple[Float, Float]] = []
        for patch in reversed(self.patches):  # finest first; stop at a patch that hides all below it
            values, weight = patch.sample(box), patch.weight(box, self.frame_size)
            if weight is None:
                break
            shown.append((values, weight))
        for above, weight in reversed(shown):
            values = values + cv2.multiply(cv2.subtract(above, values), cv2.merge([weight] * 3))
        if self.hidden is not None:
            values = np.dstack([values[..., :2], self.hidden.doubted(values[..., 2], box)])
        return values

    @cached_property
    def _full(self) -> Float:
        return self._values((0, 0, self.frame_size[1], self.frame_size[0]))

    @property
    def field(self) -> Float:
        """The field, float32 (H, W, 2), (dx, dy) in pixels: frame(x) is seen at reference(x + field(x))."""
        return self._full[..., :2]

    @property
    def log_b(self) -> Float:
        """Natural log of the calibrated Laplace scale of each component in pixels, float32 (H, W)."""
        return self._full[..., 2]
