"""Features of the network's error, computed by the same function in calibration and live."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence.certainty.uncertainty import AROUND, Evidence, Judge
from correspondence.geometry.grid import Float

LEAST_LOG_B, MOST_LOG_B = -4.0, 5.0  # range of the network's own log_b, natural log of cells
DIRECT, GUIDED = 1, 2  # candidates
OWN = 5  # number of features before those of the evidence
COUNT = OWN + 26  # number of features that a network's judge weighs


def features(evidence: Evidence, log_b: Float, visibility: Float, validity: Float) -> list[Float]:
    """Compute the features that a network's `Judge` weighs, each float32 (n, n).

    Args:
        evidence: evidence of the final field.
        log_b: log_b as the network predicts it, (n, n). It is the first feature.
        visibility: logit of visibility as the network predicts it, (n, n).
        validity: trust in the landmark field, (n, n).
    """
    hidden = np.maximum(-visibility, 0) + np.log1p(np.exp(-np.abs(visibility)))  # softplus
    around = [cv2.blur(values, AROUND) for values in (log_b, hidden)]
    return [log_b, hidden, validity, *around, *evidence.features()]


def own_word() -> Judge:
    """Make a judge for a network that is not calibrated. It returns the network's own log_b unchanged."""
    hidden = np.zeros((2, COUNT + 1), np.float32)
    hidden[:, 0] = 1, -1
    ends = np.array([LEAST_LOG_B, MOST_LOG_B], np.float32)
    return Judge(hidden, np.array([1, -1, 0], np.float32), ends, ends)
