"""Masked fills of `livery bench fill`: holes as the live path leaves them, and drawn occluders."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.fills.measures import ssim_map
from benchmarks.matching import metrics
from correspondence import Float, Image, Landmarks, Matcher, confidence, warp_image
from inpaint import FillContext, fill_classical, load, paste
from inpaint.classical.between import RADIUS
from inpaint.fills.guess import guesses
from inpaint.mask import draw_occluder, matched_hole

DISTANCE = 50  # least number of frames between the frame and its reference
COLUMNS = (
    ("PSNR", "inside the hole, dB"),
    ("SSIM", "inside the hole"),
    ("seam", "gradient across the hole's border over the truth's, there"),
    ("ms", "median"),
)

Filler = Callable[[Image, Float, FillContext], Image]


@dataclass(frozen=True, eq=False)
class Hole:
    """A picture with a hole, its truth, and a reference of the same person.

    Attributes:
        kind: "uncertain" (left by the matcher) or "occluder" (drawn).
        truth: the whole picture, uint8 (H, W, 3).
        mask: float32 (H, W), 0 or 1.
        context: what the fill is given beside the picture.
        warped: the reference as the matcher carries it onto the frame.
    """

    kind: str
    truth: Image
    mask: Float
    context: FillContext
    warped: Image

    @property
    def image(self) -> Image:
        """The picture with the hole greyed out."""
        out = self.truth.copy()
        out[self.mask > 0] = 127
        return out


def holes(
    frames: Sequence[Image], landmarks: Sequence[Landmarks | None], matcher: Matcher, seed: int
) -> Iterator[Hole]:
    """Make the holes of one clip: where a match over `DISTANCE` frames or more is unsure, and seeded ones."""
    rng = np.random.default_rng(seed)
    for first in range(0, len(frames) - DISTANCE, DISTANCE):
        n = first + DISTANCE
        reference, frame = frames[first], frames[n]
        prepared = matcher.prepare(reference, landmarks[first])
        match = matcher.match(frame, prepared, landmarks=landmarks[n])
        context = FillContext(
            landmarks=landmarks[n], reference=reference, reference_landmarks=landmarks[first]
        )
        unsure = matched_hole(confidence(match, RADIUS * frame.shape[0]) < 0.5)
        if unsure is not None:
            yield Hole("uncertain", frame, unsure, context, warp_image(reference, match.field))
        seen = landmarks[n]
        mask = draw_occluder((frame.shape[0], frame.shape[1]), None if seen is None else seen.box, rng)
        hidden = frame.copy()
        hidden[mask > 0] = 127  # the matcher must not see the hole; the landmarks are known
        field = matcher.match(hidden, prepared, landmarks=landmarks[n]).field
        yield Hole("occluder", frame, mask, context, warp_image(reference, field))


def seam(made: Image, hole: Hole) -> float:
    """Mean gradient on the hole's border, relative to the truth's there. 1: neither a seam nor smeared."""
    inside = (hole.mask > 0).astype(np.uint8)
    ring = cv2.dilate(inside, np.ones((3, 3), np.uint8)) != cv2.erode(inside, np.ones((3, 3), np.uint8))
    found, true = (_gradient(p)[ring].mean() for p in (made, hole.truth))
    return float(found / max(float(true), 1e-6))


def _gradient(image: Image) -> Float:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gx, gy = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    return np.asarray(np.hypot(gx, gy), np.float32)


def measure(made: Image, hole: Hole) -> dict[str, float]:
    """Measure all columns except the time."""
    inside = hole.mask > 0
    return {
        "PSNR": metrics.psnr(made, hole.truth, inside),
        "SSIM": float(ssim_map(made, hole.truth)[inside].mean()),
        "seam": seam(made, hole),
    }


def methods(weights: Path | None, device: str, steps: int) -> dict[str, Callable[[Hole], Image]]:
    """Return the fills by name. The diffusion model is among them if there are weights."""
    table: dict[str, Callable[[Hole], Image]] = {
        "OpenCV Telea": lambda hole: fill_classical(hole.image, hole.mask),
        "OpenCV Navier-Stokes": lambda hole: fill_classical(hole.image, hole.mask, method="ns"),
        "reference pasted": lambda hole: paste(hole.image, _reference(hole), hole.mask),
        "reference warped and pasted": lambda hole: paste(hole.image, hole.warped, hole.mask),
        "reference carried into the hole (ours)": _carried,
    }
    if weights is not None:
        from inpaint.fills.masked import FillConfig

        diffusion = load(weights, device=device, config=FillConfig(steps=steps))
        table["diffusion"] = lambda hole: diffusion(hole.image, hole.mask, hole.context)
        table["diffusion, no reference"] = lambda hole: diffusion(
            hole.image, hole.mask, FillContext(landmarks=hole.context.landmarks)
        )
    return table


def _carried(hole: Hole) -> Image:
    """Return the start of the diffusion. Unlike "warped", its matcher has not seen what the hole hides."""
    known = hole.context
    return guesses(hole.image, hole.mask, known.landmarks, known.reference, known.reference_landmarks)[1]


def _reference(hole: Hole) -> Image:
    assert hole.context.reference is not None
    return hole.context.reference


def timed(fill: Callable[[Hole], Image], hole: Hole) -> tuple[Image, float]:
    """Run a fill. Returns its result and its duration, milliseconds."""
    started_s = time.perf_counter()
    made = fill(hole)
    return made, 1e3 * (time.perf_counter() - started_s)
