"""Smooth-area random perturbation (I2VEdit, Eq. 5) and the statistic that shows whether it helps."""

from __future__ import annotations

import math

import cv2
import numpy as np

from correspondence import Bool, Float

GRADIENT_LIMIT = 0.001  # the paper's Sobel threshold, per pixel, pictures in [0, 1]
NOISE_SCALE = 0.005  # the paper's alpha


def smooth_area(image: Float, limit: float = GRADIENT_LIMIT) -> Bool:
    """Where a picture is nearly constant: its Sobel gradient magnitude is below `limit` in every channel.

    Args:
        image: float32 (H, W, 3), [0, 1].
        limit: change per pixel.

    Returns:
        bool (H, W).
    """
    gx = cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.hypot(gx, gy).max(axis=-1) < limit)


def perturb_smooth_area(
    image: Float, rng: np.random.Generator, *, alpha: float = NOISE_SCALE, limit: float = GRADIENT_LIMIT
) -> Float:
    """Add a little noise where a picture is flat, so that its inversion is closer to Gaussian noise.

    x' = (x + alpha * eps) * M + x * (1 - M), Eq. 5 of I2VEdit; eps is standard normal. Values are not
    clipped: a clipped flat white area would stay flat on one side.

    Args:
        image: float32 (H, W, 3), [0, 1].
        rng: source of eps.
        alpha: standard deviation of the noise.
        limit: see `smooth_area`.
    """
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(alpha)
    return np.asarray(image + noise * smooth_area(image, limit)[..., None], np.float32)


def anderson_darling(values: Float) -> float:
    """Anderson-Darling statistic A^2 of values against N(0, 1): 0 is a perfect fit, larger is worse.

    A^2 = -n - (1/n) sum_i (2i - 1) [ln F(x_i) + ln(1 - F(x_(n+1-i)))] over the sorted values (Anderson
    and Darling 1954), with the mean 0 and variance 1 that a sampler starts from, not fitted ones. About 1
    is expected of true samples; 2.49 is passed by 5 % of them.

    Args:
        values: float32, any shape, more than one value.

    Raises:
        ValueError: fewer than two values, or values not finite.
    """
    ordered = np.sort(values.astype(np.float64).ravel())
    n = ordered.size
    if n < 2 or not np.isfinite(ordered).all():
        raise ValueError(f"need two or more finite values, got {n}")
    log_lower = _log_normal_cdf(ordered)
    log_upper = _log_normal_cdf(-ordered)
    rank = 2 * np.arange(1, n + 1) - 1
    return float(-n - np.sum(rank * (log_lower + log_upper[::-1])) / n)


def _log_normal_cdf(
    x: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """ln of the standard normal distribution function; the tail by its asymptotic series below -8."""
    clipped = np.maximum(x, -8.0)
    cdf = np.array([0.5 * math.erfc(-v / math.sqrt(2.0)) for v in clipped.tolist()])
    tail = np.minimum(x, -8.0)
    series = -0.5 * tail**2 - np.log(-tail) - 0.5 * math.log(2 * math.pi) + np.log1p(-1 / tail**2)
    return np.where(x < -8.0, series, np.log(cdf))
