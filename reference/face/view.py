"""The difference between two views of one face, by landmarks: turn, roll, size and expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from correspondence import Landmarks
from reference.face.parts import eye_openings, lip_gap

# Points that keep their distances: forehead, nose bridge, temples, eye corners, cheekbones.
RIGID: tuple[int, ...] = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 33, 133, 263, 362)
RIGID += (127, 356, 234, 454, 67, 297, 103, 332, 116, 345)


@dataclass(frozen=True, slots=True)
class ViewChange:
    """The difference between two views of a face.

    Attributes:
        yaw_deg, pitch_deg: turn out of the picture plane, degrees.
        roll_deg: turn in the picture plane, degrees.
        log_scale: natural log of the ratio of sizes.
        lips: change of the mouth's opening, see `lip_gap`.
        eyes: change of the opening of the eye that changes more, see `eye_openings`.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    log_scale: float
    lips: float
    eyes: float

    @property
    def turn_deg(self) -> float:
        """Angle of the turn out of the picture plane, degrees."""
        return float(np.hypot(self.yaw_deg, self.pitch_deg))


def view_change(start: Landmarks, end: Landmarks) -> ViewChange:
    """Computes the head's rigid motion (Umeyama 1991) and the change of expression from `start` to `end`."""
    a, b = (np.asarray(lm.points[list(RIGID)], np.float64) for lm in (start, end))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, _, vt = np.linalg.svd(b.T @ a)
    rotation: npt.NDArray[np.float64] = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    scale = np.sqrt((b**2).sum() / max(float((a**2).sum()), 1e-12))
    eyes = (e - s for s, e in zip(eye_openings(start), eye_openings(end), strict=True))
    return ViewChange(
        yaw_deg=float(np.degrees(np.arctan2(rotation[0, 2], rotation[2, 2]))),
        pitch_deg=float(np.degrees(np.arcsin(np.clip(-rotation[1, 2], -1, 1)))),
        roll_deg=float(np.degrees(np.arctan2(rotation[1, 0], rotation[1, 1]))),
        log_scale=float(np.log(max(scale, 1e-6))),
        lips=lip_gap(end) - lip_gap(start),
        eyes=max(eyes, key=abs),
    )
