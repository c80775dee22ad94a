"""How sure a match is: the Laplace scale of its error, and the probability of an error below a radius."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from correspondence.grid import Float
from correspondence.types import Box, Match

_STEPS = 1 << 15  # in which the curve of scales is kept: less than a thousandth from one to the next
_FITTED = Path(__file__).with_name("calibration.json")  # written by `python -m correspondence.calibrate`


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a matcher saw of its own errors, each float32 (n, n).

    Attributes:
        cycle: forward-backward disagreement, cells.
        residual: local mean difference of the pictures' appearance, gray levels.
        apart: how far the candidates it mixed lie apart, cells.
        texture: local mean contrast of the frame, gray levels.
        validity: of the landmark field, [0, 1].
        inside: 1 on the face's mesh.
        parts: 1 on lips, eyes and brows, where the landmarks were followed.
    """

    cycle: Float
    residual: Float
    apart: Float
    texture: Float
    validity: Float
    inside: Float
    parts: Float

    def features(self) -> list[Float]:
        """What the scale is a weighted sum of, each float32 (n, n); a constant first."""
        cycle = np.log(self.cycle + np.float32(0.1))
        residual = np.log(self.residual + np.float32(1))
        return [
            np.ones_like(cycle),
            cycle,
            residual,
            np.log(self.apart + np.float32(0.05)),
            np.log(self.texture + np.float32(1)),
            self.validity,
            self.inside,
            self.inside * cycle,
            self.inside * residual,
            self.parts,
            self.parts * cycle,
            self.parts * residual,
        ]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How evidence becomes a scale: a weighted sum of its features, then a monotone curve.

    Attributes:
        weights: one for each of `Evidence.features`.
        scores: ascending knots of the weighted sum.
        log_b: the curve's values there, natural log of cells.
    """

    weights: tuple[float, ...]
    scores: tuple[float, ...]
    log_b: tuple[float, ...]


@lru_cache(maxsize=1)
def calibration() -> Calibration:
    """The fitted calibration that ships with the package."""
    read = json.loads(_FITTED.read_text())
    return Calibration(tuple(read["weights"]), tuple(read["scores"]), tuple(read["log_b"]))


def scale_of(evidence: Evidence, fitted: Calibration | None = None) -> Float:
    """log_b from what the matcher saw: float32 (n, n), natural log of the Laplace scale in cells.

    Args:
        evidence: of one match.
        fitted: the calibration; the shipped one where None.
    """
    return scale_from(evidence.features(), fitted or calibration())


def scale_from(features: list[Float], fitted: Calibration) -> Float:
    """log_b from the features themselves, of any one shape."""
    score = np.zeros_like(features[0])
    for weight, feature in zip(fitted.weights, features, strict=True):
        score += np.float32(weight) * feature
    first, last = fitted.scores[0], fitted.scores[-1]
    at = (score - np.float32(first)) * np.float32((_STEPS - 1) / (last - first)) + np.float32(0.5)
    return np.take(_dense(fitted), np.clip(at, 0, _STEPS - 1).astype(np.int32))


@lru_cache(maxsize=4)
def _dense(fitted: Calibration) -> Float:
    """The curve at even steps, float32 (_STEPS,), to look values up: a third of the time of `np.interp`."""
    scores = np.linspace(fitted.scores[0], fitted.scores[-1], _STEPS)
    return np.interp(scores, fitted.scores, fitted.log_b).astype(np.float32)


def confidence(match: Match, radius_px: float, box: Box | None = None) -> Float:
    """Probability that both components of the field err by less than a radius (PDC-Net's P_R).

    (1 - exp(-r / b))**2 for independent Laplace errors of scale b (Truong et al. 2021, Eq. 9).

    Args:
        match: from a matcher.
        radius_px: r, pixels of the reference.
        box: part of the frame (x0, y0, x1, y1); None for all of it.

    Returns:
        float32 (h, w), [0, 1].

    Raises:
        ValueError: a radius that is not positive.
    """
    if not radius_px > 0:
        raise ValueError(f"radius_px must be positive, got {radius_px}")
    log_b = match.log_b if box is None else match.window(box)[1]
    one = -np.expm1(-np.float32(radius_px) * np.exp(-log_b))
    return np.asarray(one * one, np.float32)
