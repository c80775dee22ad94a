"""How sure a match is: the Laplace scale of its error, and the probability of an error below a radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from correspondence.grid import Float
from correspondence.types import Box, Match

_BIAS, _CYCLE, _COST, _UNSEEN = -1.6, 0.5, 0.35, 1.6
_LOW, _HIGH = -2.5, 4.0  # natural log of cells


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a matcher saw of its own errors, each float32 (N, N).

    Attributes:
        cycle: forward-backward disagreement, cells.
        residual: local mean absolute difference of the pictures' detail, gray levels.
        validity: of the landmark field, [0, 1].
    """

    cycle: Float
    residual: Float
    validity: Float


def scale_of(evidence: Evidence) -> Float:
    """log_b from what the matcher saw: float32 (N, N), natural log of the Laplace scale in cells."""
    log_b = (
        _BIAS
        + _CYCLE * np.log(evidence.cycle + 0.1)
        + _COST * np.log(evidence.residual + 1)
        + _UNSEEN * (1 - evidence.validity)
    )
    return np.asarray(np.clip(log_b, _LOW, _HIGH), np.float32)


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
