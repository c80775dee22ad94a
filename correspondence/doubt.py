"""From what the network and its candidates say to the final log_b: one function in calibration and live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from correspondence.grid import Float
from correspondence.propose import CYCLE_CELLS

LEAST_LOG_B = -4.0  # ln cells
FACE, NEAR, REST = range(3)
FACE_VALIDITY, NEAR_VALIDITY = 0.35, 0.05  # of the landmark field on the mesh, and around it
DIRECT, GUIDED = 1, 2  # candidates
FLOOR = 0.1  # cells added before a logarithm


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of the evidence and offsets of the places: log_b is their sum, in ln cells.

    Attributes:
        raw: of the network's own log_b.
        hidden: of softplus(-visibility).
        cycle: of ln(forward-backward error of the guided flow + FLOOR).
        apart: of ln(distance between direct and guided flow + FLOOR).
        away: of ln(distance of the field from the nearer of those two + FLOOR).
        face, near, rest: added on the face mesh, around it (hair, neck, shoulders) and elsewhere.
    """

    raw: float = 1.0
    hidden: float = 0.0
    cycle: float = 0.0
    apart: float = 0.0
    away: float = 0.0
    face: float = 0.0
    near: float = 0.0
    rest: float = 0.0

    @property
    def weights(self) -> Float:
        """Of the rows of `evidence`, float32 (5,)."""
        return np.array([self.raw, self.hidden, self.cycle, self.apart, self.away], np.float32)

    @property
    def offsets(self) -> Float:
        """Of FACE, NEAR and REST, float32 (3,)."""
        return np.array([self.face, self.near, self.rest], np.float32)


def evidence(log_b: Float, visibility: Float, field: Float, candidates: Float, validity: Float) -> Float:
    """What speaks for large errors, float32 (5, n, n), in the order of `Calibration.weights`.

    Args:
        log_b: the network's own, (n, n).
        visibility: its logit, (n, n).
        field: its field, (2, n, n), cells.
        candidates: (5, 2, n, n), cells.
        validity: (3, n, n).
    """
    cycle = -CYCLE_CELLS * np.log(np.maximum(validity[1], 1e-4))
    apart = np.linalg.norm(candidates[DIRECT] - candidates[GUIDED], axis=0)
    away = np.minimum(*(np.linalg.norm(field - candidates[k], axis=0) for k in (DIRECT, GUIDED)))
    distances = [np.log(d + FLOOR) for d in (cycle, apart, away)]
    return np.stack([log_b, np.logaddexp(0, -visibility), *distances]).astype(np.float32)


def places(validity: Float) -> npt.NDArray[np.intp]:
    """FACE, NEAR or REST of each cell, from the landmark field's validity (n, n)."""
    return np.where(validity > FACE_VALIDITY, FACE, np.where(validity > NEAR_VALIDITY, NEAR, REST))


def final_log_b(seen: Float, place: npt.NDArray[np.intp], calibration: Calibration) -> Float:
    """log_b of each cell, ln cells.

    Args:
        seen: from `evidence`, (5, ...).
        place: from `places`, (...).
        calibration: fitted on held-out sources.
    """
    log_b = np.tensordot(calibration.weights, seen, axes=1) + calibration.offsets[place]
    return np.asarray(np.maximum(log_b, LEAST_LOG_B), np.float32)
