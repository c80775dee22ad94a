"""How sure a match is: the Laplace scale of its error, and the probability of an error below a radius."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from correspondence.geometry.grid import Float
from correspondence.types import Box, Image, Match

FITTED = Path(__file__).with_name("calibration.json")  # written by correspondence.training.calibrate
_STEPS = 1 << 15  # in which a judge's curve is kept: less than a thousandth from one to the next
_NEAR, AROUND, WIDE = (3, 3), (7, 7), (15, 15)  # windows of the evidence, cells
_LOG = np.log1p(np.arange(256, dtype=np.float32) / 4)  # of a difference kept in quarters of a gray level


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a matcher saw of its own errors, each float32 (n, n) where nothing else is said.

    Attributes:
        cycle: forward-backward disagreement, cells.
        residual: local mean difference of the pictures' appearance, gray levels.
        apart: how far the candidates it mixed lie apart, cells.
        texture: local mean contrast of the frame, gray levels.
        validity: of the landmark field, [0, 1].
        inside: 1 on the face's mesh.
        parts: 1 on lips, eyes and brows, where the landmarks were followed.
        off_scene: distance from the whole frame's flow, which knows no landmarks, cells.
        off_guided: distance from the flow that starts from the landmarks, cells.
        unlike: difference of the pictures' `flow.appearance`, uint8 (n, n, 4).
    """

    cycle: Float
    residual: Float
    apart: Float
    texture: Float
    validity: Float
    inside: Float
    parts: Float
    off_scene: Float
    off_guided: Float
    unlike: Image

    def features(self) -> list[Float]:
        """What a `Judge` weighs, each float32 (n, n): the evidence of a cell and of its surroundings.

        A hand before the face shows in the surroundings, and in the colours, more than in any one cell.
        """
        cycle, residual = _log(self.cycle, 0.1), _log(self.residual, 1.0)
        off_scene, off_guided = _log(self.off_scene, 0.1), _log(self.off_guided, 0.1)
        texture = _log(self.texture, 1.0)
        return [
            cycle,
            residual,
            _log(self.apart, 0.05),
            texture,
            self.validity,
            self.inside,
            self.inside * cycle,
            self.inside * residual,
            self.parts,
            self.parts * cycle,
            self.parts * residual,
            off_scene,
            *colours(self.unlike),
            cv2.blur(cycle, AROUND),
            cv2.blur(off_scene, AROUND),
            cv2.blur(off_guided, AROUND),
            cv2.blur(residual, WIDE),
            cv2.blur(texture, AROUND),
            cv2.blur(self.parts, AROUND),
        ]


def colours(unlike: Image) -> list[Float]:
    """How differently two pictures look around each cell, by channel: eight float32 (n, n).

    Args:
        unlike: difference of their `flow.appearance`, uint8 (n, n, 4).
    """
    quarters = cv2.convertScaleAbs(unlike, alpha=4)
    return [
        plane for window in (_NEAR, AROUND) for plane in cv2.split(cv2.LUT(cv2.blur(quarters, window), _LOG))
    ]


def _log(values: Float, least: float) -> Float:
    return np.log(values + np.float32(least))


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Turns evidence into a scale: a perceptron with one hidden layer, then a monotone curve.

    Attributes:
        hidden: float32 (H, F + 1), weights of the features and an offset, for each hidden unit.
        out: float32 (H + 1,), weights of the hidden units and an offset.
        scores: float32 (K,), ascending knots of what comes out.
        log_b: float32 (K,), the curve's values there, natural log of cells.
    """

    hidden: Float
    out: Float
    scores: Float
    log_b: Float

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Judge:
        """The inverse of `stored`."""
        return cls(*(np.array(stored[name], np.float32) for name in ("hidden", "out", "scores", "log_b")))

    def stored(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            name: np.round(getattr(self, name).astype(np.float64), 5).tolist()
            for name in ("hidden", "out", "scores", "log_b")
        }

    def score(self, features: Sequence[Float]) -> Float:
        """What the perceptron says of features of one shape; float32, of that shape."""
        # a product for each line is too small for BLAS to wake its threads
        lines = np.stack(features, axis=-2)
        units = self.hidden[:, :-1] @ lines
        units += self.hidden[:, -1:]
        np.maximum(units, 0, out=units)
        return np.asarray(self.out[:-1] @ units + self.out[-1], np.float32)

    def __call__(self, features: Sequence[Float]) -> Float:
        """log_b from features of one shape; float32, of that shape, natural log of cells."""
        first, last = self.scores[0], self.scores[-1]
        at = (self.score(features) - first) * ((_STEPS - 1) / (last - first)) + np.float32(0.5)
        return np.take(_dense(self), np.clip(at, 0, _STEPS - 1).astype(np.int32))


@lru_cache(maxsize=8)
def _dense(judge: Judge) -> Float:
    """The curve at even steps, float32 (_STEPS,), to look values up: a third of the time of `np.interp`."""
    scores = np.linspace(judge.scores[0], judge.scores[-1], _STEPS)
    return np.interp(scores, judge.scores, judge.log_b).astype(np.float32)


@lru_cache(maxsize=2)
def shipped_judge(field: str) -> Judge:
    """The fitted judge that ships with the package, of the classical matcher's "fine" or "coarse" field."""
    return Judge.read(json.loads(FITTED.read_text())[field])


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
    return confidence_of(match.log_b if box is None else match.window(box)[1], radius_px)


def confidence_of(log_b: Float, radius_px: float) -> Float:
    """`confidence` of any array of log_b, float32, without a check of the radius, pixels."""
    one = -np.expm1(-np.float32(radius_px) * np.exp(-log_b))
    return np.asarray(one * one, np.float32)
