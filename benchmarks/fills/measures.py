"""Measures of a generated frame for `livery bench fill`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.matching import metrics
from correspondence import Bool, Float, Image, Landmarks, detect_landmarks

EXPRESSIVE = tuple(sorted({*metrics.GROUPS["lips"], *metrics.GROUPS["eyes"]}))
COLUMNS = (
    ("PSNR", "dB"),
    ("SSIM", ""),
    ("LMSE", "mean squared landmark error against the truth's landmarks, px² at 256"),
    ("E-LMSE", "likewise, eyes and lips"),
    ("warp", "see metrics.warp_error"),
    ("gap PSNR", "where neither reference's DIS flow returns to within 1 px"),
    ("gap SSIM", "likewise"),
    ("gap LMSE", "landmarks there"),
    ("face %", "of the frames FaceMesh finds a face in where it finds one in the truth"),
    ("gradient", "energy of the luma's gradient over the truth's"),
)


@dataclass(frozen=True, eq=False)
class TrueFrame:
    """A true frame with measures that all rows share.

    Attributes:
        image: uint8 (H, W, 3).
        landmarks: landmarks of its face.
        lost: where neither reference's flow is trusted, bool (H, W).
        energy: its gradient energy.
    """

    image: Image
    landmarks: Landmarks | None
    lost: Bool
    energy: float

    @classmethod
    def of(cls, image: Image, landmarks: Landmarks | None, references: Sequence[Image]) -> TrueFrame:
        """Measure a frame against its two references."""
        lost = np.logical_and.reduce([cycle_error(image, reference) > 1 for reference in references])
        return cls(image, landmarks, np.asarray(lost, bool), gradient_energy(image))


def cycle_error(frame: Image, reference: Image) -> Float:
    """Distance by which DIS flow to the reference and back misses its start, float32 (H, W), pixels."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    one, two = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (frame, reference))
    forth, back = flow.calc(one, two, None), flow.calc(two, one, None)
    h, w = one.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    at = (x + forth[..., 0], y + forth[..., 1])
    returned = forth + cv2.remap(back, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.linalg.norm(returned, axis=-1), np.float32)


def gradient_energy(image: Image) -> float:
    """Mean squared Sobel gradient of the luma."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gx, gy = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    return float((gx * gx + gy * gy).mean())


def ssim_map(a: Image, b: Image) -> Float:
    """Structural similarity of each pixel, mean of the channels, float32 (H, W)."""
    from skimage.metrics import structural_similarity

    _, full = structural_similarity(
        a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return np.asarray(full.mean(axis=2), np.float32)


def measure(made: Image, truth: TrueFrame) -> dict[str, float]:
    """Measure all columns of one frame except "warp". NaN if there is nothing to measure."""
    similar = ssim_map(made, truth.image)
    found = detect_landmarks(made)
    values = {
        "PSNR": metrics.psnr(made, truth.image),
        "SSIM": float(similar.mean()),
        "gradient": gradient_energy(made) / max(truth.energy, 1e-6),
    }
    if truth.lost.any():
        values["gap PSNR"] = metrics.psnr(made, truth.image, truth.lost)
        values["gap SSIM"] = float(similar[truth.lost].mean())
    if truth.landmarks is not None:
        values["face %"] = 100.0 * (found is not None)
    if truth.landmarks is not None and found is not None:
        true = truth.landmarks.points[:468, :2]
        squared = ((found.points[:468, :2] - true) ** 2).sum(axis=1)
        values["LMSE"] = float(squared.mean())
        values["E-LMSE"] = float(squared[list(EXPRESSIVE)].mean())
        h, w = truth.lost.shape
        at = np.rint(true).astype(int)
        there = truth.lost[at[:, 1].clip(0, h - 1), at[:, 0].clip(0, w - 1)]
        if there.any():
            values["gap LMSE"] = float(squared[there].mean())
    return values
