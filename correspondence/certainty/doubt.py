"""What speaks for large errors of the network's field: one function in calibration and live."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence.certainty.uncertainty import AROUND, Evidence, Judge
from correspondence.geometry.grid import Float

LEAST_LOG_B, MOST_LOG_B = -4.0, 5.0  # ln cells, as the network says it
DIRECT, GUIDED = 1, 2  # candidates
OWN = 5  # features that come before those of the evidence
COUNT = OWN + 26  # features that a network's judge weighs


def features(evidence: Evidence, log_b: Float, visibility: Float, validity: Float) -> list[Float]:
    """What a network's `Judge` weighs, each float32 (n, n), the network's own log_b first.

    Args:
        evidence: of the final field.
        log_b: the network's own, (n, n).
        visibility: its logit, (n, n).
        validity: trust in the landmark field, (n, n).
    """
    hidden = np.maximum(-visibility, 0) + np.log1p(np.exp(-np.abs(visibility)))  # softplus
    around = [cv2.blur(values, AROUND) for values in (log_b, hidden)]
    return [log_b, hidden, validity, *around, *evidence.features()]


def own_word() -> Judge:
    """The judge that takes the network's own log_b as it is: of a network nobody has calibrated."""
    hidden = np.zeros((2, COUNT + 1), np.float32)
    hidden[:, 0] = 1, -1
    ends = np.array([LEAST_LOG_B, MOST_LOG_B], np.float32)
    return Judge(hidden, np.array([1, -1, 0], np.float32), ends, ends)
