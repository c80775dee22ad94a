"""Points of the skin's texture, tracked from frame to frame: a judge of fields that owes nothing to FaceMesh.

FaceMesh finds the same point of a face again to about 1 % of the face. A field that follows it is off by
that, and no error against FaceMesh shows it. Here the texture itself is tracked, by Lucas and Kanade's method
between neighbouring frames, in pictures without their slow changes, so that moving light is not followed. A
track counts if it leads back at every step, and if its first and last patch still look alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from benchmarks.matching import metrics
from benchmarks.matching.fixed_edits import edited_window, tiger
from benchmarks.matching.measures import TrackedClip
from benchmarks.matching.methods import Method, match_window
from benchmarks.matching.tally import Sums
from correspondence import Bool, Float, Image, Landmarks
from correspondence.face.topology import OVAL
from correspondence.matchers.classical import gray_of

POINTS = 300  # at most, in the first frame
APART = 4  # least distance of two points, pixels
QUALITY = 0.05  # least corner response, share of the best one's
SLOW = 3.0  # standard deviation of what is taken off a picture, pixels
GAIN = 4.0  # of what is left, so that 8 bits hold it
INNER = 9  # pixels by which the face's outline is moved inwards
BACK = 0.15  # largest distance between a point and its track there and back, pixels
PATCH = 17  # side of the patches that are compared, pixels
ALIKE = 0.8  # least correlation of a track's first and last patch
LEAST = 10  # tracks that a frame needs to be judged
_SEARCH = {"winSize": (13, 13), "maxLevel": 2, "criteria": (3, 30, 0.01)}


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Points of one frame with their places in the first frame, both float32 (N, 2), pixels."""

    frame: Float
    first: Float


def texture_tracks(frames: Sequence[Image], face: Landmarks, wanted: Sequence[int]) -> Iterator[Tracks]:
    """Track points of a face's texture from the first frame; yield those left in each `wanted` frame.

    Args:
        frames: consecutive frames, uint8 (H, W, 3).
        face: landmarks of the first frame.
        wanted: numbers of frames, rising, from 1.
    """
    fine = [_fine(frame) for frame in frames[: max(wanted, default=0) + 1]]
    mask = np.zeros(fine[0].shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(face.points[list(OVAL), :2]).astype(np.int32)], 255)
    mask = np.asarray(cv2.erode(mask, np.ones((INNER, INNER), np.uint8)), np.uint8)
    found = cv2.goodFeaturesToTrack(fine[0], POINTS, QUALITY, APART, mask=mask, blockSize=5)
    first = np.zeros((0, 2), np.float32) if found is None else np.asarray(found[:, 0], np.float32)
    at, held = first, np.ones(len(first), bool)
    for number in range(1, len(fine)):
        if len(first):
            at, back = _step(fine[number - 1], fine[number], at)
            held = held & back
        if number in wanted:
            alike = [_alike(fine[0], fine[number], a, b) for a, b in zip(first, at, strict=True)]
            kept = held & np.array(alike, np.bool_)
            yield Tracks(at[kept], first[kept])


def measure_tracks(method: Method, clip: TrackedClip, stride: int, sums: Sums) -> None:
    """Median error at tracked points of the skin, px, of the whole match and within the window of tiger."""
    reference, face = clip.frames[0], clip.landmarks[0]
    if face is None:
        return
    state = method.prepare(reference, face)
    for (frame, seen), tracks in zip(clip.judged(stride), _of(clip, face, stride), strict=True):
        if seen is None or len(tracks.first) < LEAST:
            continue
        sums.add("track", _error(method.match(frame, state, seen, None).field, tracks))
        window = edited_window(frame, tiger(frame, seen))
        if window is not None:
            sums.add("track tiger", _error(match_window(method, frame, state, seen, window).field, tracks))


@lru_cache(maxsize=1)
def _of(clip: TrackedClip, face: Landmarks, stride: int) -> list[Tracks]:
    """The tracks of a clip's judged frames, one for each. `face` are the landmarks of the first frame."""
    return list(texture_tracks(clip.frames, face, range(len(clip.frames))[stride::stride]))


def _error(field: Float, tracks: Tracks) -> float:
    there = tracks.frame + metrics.sample(field, tracks.frame)
    return float(np.median(np.linalg.norm(there - tracks.first, axis=1)))


def _fine(frame: Image) -> Image:
    """Luma without its slow changes, uint8 (H, W), 128 in the middle."""
    luma = gray_of(frame).astype(np.float32)
    return np.asarray(np.clip(GAIN * (luma - cv2.GaussianBlur(luma, (0, 0), SLOW)) + 128, 0, 255), np.uint8)


def _step(last: Image, new: Image, at: Float) -> tuple[Float, Bool]:
    """Track points to the next frame: their places there, and whether the way back leads to `at`."""
    moved, there, _ = cv2.calcOpticalFlowPyrLK(last, new, at, None, **_SEARCH)  # type: ignore[call-overload]
    again, back, _ = cv2.calcOpticalFlowPyrLK(new, last, moved, None, **_SEARCH)  # type: ignore[call-overload]
    near = np.linalg.norm(again - at, axis=1) < BACK
    return np.asarray(moved, np.float32), (there[:, 0] > 0) & (back[:, 0] > 0) & near


def _alike(first: Image, last: Image, a: Float, b: Float) -> bool:
    """Tell whether the patches around two points correlate by ALIKE or more."""
    one, two = (
        cv2.getRectSubPix(image, (PATCH, PATCH), (float(x), float(y))).astype(np.float32)
        for image, (x, y) in ((first, a), (last, b))
    )
    one, two = one - one.mean(), two - two.mean()
    return float((one * two).sum()) > ALIKE * float(np.sqrt((one * one).sum() * (two * two).sum()) + 1e-6)
