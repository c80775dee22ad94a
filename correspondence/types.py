"""What the correspondence package hands over: landmarks, prepared references and matches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]  # RGB, (H, W, 3)
Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

LANDMARK_COUNT = 478  # MediaPipe FaceMesh with irises: 468 on the mesh, 5 on each iris


def check_image(image: Image, name: str = "image") -> tuple[int, int]:
    """Height and width of an RGB picture.

    Args:
        image: uint8 (H, W, 3).
        name: what the error calls it.

    Raises:
        ValueError: another dtype or shape, or a side of 0.
    """
    if image.dtype != np.uint8:
        raise ValueError(f"{name} must be uint8 RGB, got dtype {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"{name} must have shape (H, W, 3) with H, W >= 1, got {image.shape}")
    return int(image.shape[0]), int(image.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """FaceMesh landmarks of one face in one picture.

    Attributes:
        points: float32 (478, 3); x, y in pixels of the picture (pixel centres on integers), z in the
            same unit relative to the head's centre, smaller is nearer.
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

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Bounding box (x0, y0, x1, y1) of the face mesh, pixels."""
        low, high = self.points[:468, :2].min(axis=0), self.points[:468, :2].max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


class Detect:
    """The type of `DETECT`: find the landmarks in the picture."""

    def __repr__(self) -> str:
        return "DETECT"


DETECT = Detect()
MaybeLandmarks = Landmarks | None | Detect  # None: known to show no face


class Prepared(Protocol):
    """A reference made ready for matching: immutable, holds no session state, shared freely."""

    @property
    def image(self) -> Image:
        """The reference picture, uint8 (H, W, 3)."""
        ...

    @property
    def landmarks(self) -> Landmarks | None:
        """Its landmarks, None where no face was found."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory it holds, bytes, the picture included."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Where each pixel of a frame lies in the reference, and how sure that is.

    Attributes:
        field: float32 (H, W, 2), (dx, dy) in pixels: frame(x) is seen at reference(x + field(x)).
        log_b: float32 (H, W), natural log of the Laplace scale of each component of `field`, in pixels,
            calibrated: among pixels of scale b the errors follow a Laplace law of that scale.
        landmarks: the frame's landmarks, None where no face was found.
    """

    field: Float
    log_b: Float
    landmarks: Landmarks | None
