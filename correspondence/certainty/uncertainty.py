"""Uncertainty of a match: the Laplace scale of its error, and the probability of an error below a radius."""

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
_STEPS = 1 << 15  # steps of a judge's tabulated curve; neighbours differ by less than a thousandth
_NEAR, AROUND, WIDE = (3, 3), (7, 7), (15, 15)  # windows of the evidence, cells
_LOG = np.log1p(np.arange(256, dtype=np.float32) / 4)  # log of a difference in quarters of a gray level


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a matcher observed about the error of its field. Arrays are float32 (n, n) unless noted.

    Attributes:
        cycle: forward-backward error, cells.
        residual: local mean difference of the pictures' appearance, gray levels.
        apart: mean distance of the mixed candidates from the chosen field, cells.
        texture: local mean contrast of the frame, gray levels.
        validity: validity of the landmark field, [0, 1].
        inside: 1 on the face's mesh.
        parts: 1 on lips, eyes and brows, where the landmarks were followed.
        off_scene: distance from the flow of the whole frame, which uses no landmarks, cells.
        off_guided: distance from the flow that starts from the landmarks, cells.
        unlike: absolute difference of the pictures' `flow.appearance`, uint8 (n, n, 4).
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
        """Compute the features that a `Judge` weighs, each float32 (n, n), at each cell and around it.

        A hand before the face shows in the surroundings and in the colours more than in a single cell.
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
    """Log difference of two pictures around each cell, for four channels and two windows.

    Args:
        unlike: absolute difference of their `flow.appearance`, uint8 (n, n, 4).

    Returns:
        Eight arrays, each float32 (n, n).
    """
    quarters = cv2.convertScaleAbs(unlike, alpha=4)
    return [
        plane for window in (_NEAR, AROUND) for plane in cv2.split(cv2.LUT(cv2.blur(quarters, window), _LOG))
    ]


def _log(values: Float, least: float) -> Float:
    return np.log(values + np.float32(least))


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Converts features to log_b by a perceptron with one hidden layer and a monotone curve.

    Attributes:
        hidden: weights of the features and an offset for each hidden unit, float32 (H, F + 1).
        out: weights of the hidden units and an offset, float32 (H + 1,).
        scores: knots of the curve, ascending perceptron outputs, float32 (K,).
        log_b: values of the curve at the knots, float32 (K,), natural log of cells.
    """

    hidden: Float
    out: Float
    scores: Float
    log_b: Float

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Judge:
        """Make a judge from the result of `stored`."""
        return cls(*(np.array(stored[name], np.float32) for name in ("hidden", "out", "scores", "log_b")))

    def stored(self) -> dict[str, Any]:
        """Return the judge as lists of plain numbers, for JSON."""
        return {
            name: np.round(getattr(self, name).astype(np.float64), 5).tolist()
            for name in ("hidden", "out", "scores", "log_b")
        }

    def score(self, features: Sequence[Float]) -> Float:
        """Compute the perceptron's output. Features share one shape; the result is float32 of that shape."""
        # one product for each line is too small for BLAS to wake its threads
        lines = np.stack(features, axis=-2)
        units = self.hidden[:, :-1] @ lines
        units += self.hidden[:, -1:]
        np.maximum(units, 0, out=units)
        return np.asarray(self.out[:-1] @ units + self.out[-1], np.float32)

    def __call__(self, features: Sequence[Float]) -> Float:
        """Compute log_b from features.

        Args:
            features: arrays of one shape.

        Returns:
            float32 of that shape, natural log of cells.
        """
        first, last = self.scores[0], self.scores[-1]
        at = (self.score(features) - first) * ((_STEPS - 1) / (last - first)) + np.float32(0.5)
        return np.take(_dense(self), np.clip(at, 0, _STEPS - 1).astype(np.int32))


@lru_cache(maxsize=8)
def _dense(judge: Judge) -> Float:
    """Tabulate the curve at even steps, float32 (_STEPS,). A lookup takes a third of `np.interp`'s time."""
    scores = np.linspace(judge.scores[0], judge.scores[-1], _STEPS)
    return np.interp(scores, judge.scores, judge.log_b).astype(np.float32)


@lru_cache(maxsize=2)
def shipped_judge(field: str) -> Judge:
    """Load a fitted judge that ships with the package, by the name of its field.

    Args:
        field: "fine" or "coarse" for the classical matcher's fields, "thorough" for the thorough matcher's.
    """
    return Judge.read(json.loads(FITTED.read_text(encoding="utf-8"))[field])


def confidence(match: Match, radius_px: float, box: Box | None = None) -> Float:
    """Compute the probability that both components of the field err by less than a radius (PDC-Net's P_R).

    It is (1 - exp(-r / b))**2 for independent Laplace errors of scale b (Truong et al. 2021, Eq. 9).

    Args:
        match: the result of a matcher.
        radius_px: the radius r, pixels of the reference.
        box: part of the frame, (x0, y0, x1, y1); None for the whole frame.

    Returns:
        The probability, float32 (h, w), [0, 1].

    Raises:
        ValueError: `radius_px` is not positive.
    """
    if not radius_px > 0:
        raise ValueError(f"radius_px must be positive, got {radius_px}")
    return confidence_of(match.log_b if box is None else match.window(box)[1], radius_px)


def confidence_of(log_b: Float, radius_px: float) -> Float:
    """Compute `confidence` from any array of log_b, float32, for a radius in pixels that is not checked."""
    one = -np.expm1(-np.float32(radius_px) * np.exp(-log_b))
    return np.asarray(one * one, np.float32)
