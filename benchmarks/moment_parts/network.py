"""The cover network measured alone: on crossings, real covers and uncovered faces, and its time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import read_clip
from benchmarks.matching.tally import Sums
from benchmarks.moment_parts.crossings import Scene, occluders_dir
from correspondence import LandmarkTracker
from correspondence.cover.aligned import aligned
from correspondence.cover.crop import SIDE, carried, crop_matrix, cut, face_area, face_crop
from correspondence.cover.runtime import CoverFinder
from correspondence.face_crop import FaceCrop
from correspondence.training.cover.data import one_face
from correspondence.training.cover.occluders import Covered, held_clips, read_pictures, read_signing
from correspondence.training.cover.signing import Hands
from correspondence.types import Bool, Float, Image

TRAITS = {"lp_d13": "glasses", "liax_7": "beard", "lp_d20": "side light", "latentsync_demo3": "side light"}
Pixels = dict[str, list[tuple[Float, Bool]]]  # by kind of cover: probabilities, and which are hidden


def alone(scene: Scene, finder: CoverFinder, pixels: Pixels) -> None:
    """Compare the network's answer for each covered frame with the cover's alpha."""
    reference = face_crop(scene.clean[0], scene.seen[0])
    for frame, alpha, seen in zip(scene.covered[1:], scene.alpha[1:], scene.seen[1:], strict=True):
        if seen is None or float(alpha.max()) < 0.5:
            continue
        matrix = crop_matrix(seen.points)
        truth = cv2.warpAffine(alpha, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        points = carried(seen.points, matrix)
        bent = None if reference is None else aligned(reference, points)
        keep(pixels, scene.kind, finder.probability(cut(frame, matrix), bent), truth, face_area(points) > 0)


def keep(pixels: Pixels, kind: str, probability: Float, truth: Float, face: Bool) -> None:
    """Keep the face's pixels that are surely hidden or surely visible."""
    judged = face & ((truth > 0.9) | (truth < 0.1))
    pixels.setdefault(kind, []).append((probability[judged], truth[judged] > 0.5))


def real(finder: CoverFinder, pixels: Pixels, hands: Hands | None) -> None:
    """Judge held-out pictures of real covers without a reference, and clips with their first frame as one.

    The clips' truth comes from hand landmarks and GrabCut. Pixels where it may be wrong are not judged, and
    frames in which no hand was found are left out.

    Args:
        finder: finder of covers.
        pixels: receives the judged pixels.
        hands: finds hands in the clips. None leaves the clips out.
    """
    find = one_face()
    for picture in read_pictures(occluders_dir(), find):
        if picture.held:
            judge(finder, picture, None, "real pictures, no reference", pixels)
    for clip in held_clips(occluders_dir()) if hands is not None else ():
        assert hands is not None
        first = read_clip(clip, 1)[0]
        points = find(first)
        if points is None:
            continue
        matrix = crop_matrix(points)
        reference = FaceCrop(cut(first, matrix), carried(points, matrix))
        for frame in read_signing([clip], find, hands):
            if frame.mask.any():
                judge(finder, frame, reference, "real clips", pixels)


def judge(
    finder: CoverFinder, picture: Covered, reference: FaceCrop | None, kind: str, pixels: Pixels
) -> None:
    """Compare the network's answer for a really covered crop with the truth."""
    matrix = crop_matrix(picture.points)

    def upright(mask: Float) -> Float:
        return np.asarray(cv2.warpAffine(mask, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.float32)

    points = carried(picture.points, matrix)
    face = face_area(points) > 0
    if picture.unsure is not None:
        face &= upright(picture.unsure) == 0
    bent = None if reference is None else aligned(reference, points)
    said = finder.probability(cut(picture.image, matrix), bent)
    keep(pixels, kind, said, upright(picture.mask), face)


def uncovered(name: str, frames: list[Image], finder: CoverFinder, bare: dict[str, Sums]) -> None:
    """Measure what counts as hidden in an uncovered clip, as it is and darkened with sensor noise."""
    rng = np.random.default_rng(0)
    dark = [np.clip(f * np.float32(0.3) + rng.normal(0, 6, f.shape), 0, 255).astype(np.uint8) for f in frames]
    for how, pictures in (("as it is", frames), ("darkened", dark)):
        tracker = LandmarkTracker()
        found = [tracker(frame, i / 2) for i, frame in enumerate(pictures)]
        if found[0] is None:
            continue
        reference = face_crop(pictures[0], found[0])
        for frame, seen in zip(pictures[1:], found[1:], strict=True):
            if seen is None:
                continue
            hidden = finder(frame, seen, reference)
            share = 0.0
            if hidden is not None:
                face = face_area(carried(seen.points, hidden.matrix)) > 0
                share = float((hidden.share[face] > 0.5).mean())
            bare.setdefault(f"{name} ({TRAITS[name]})" if name in TRAITS else name, Sums()).add(how, share)


def cost_ms(finder: CoverFinder, clips: Sequence[Path], size: int) -> float:
    """Measure the median time of one run, ms of its thread: crop, network and post-processing."""
    frame = read_clip(clips[0], 1, size)[0]
    landmarks = LandmarkTracker()(frame, 0.0)
    assert landmarks is not None
    reference, times = face_crop(frame, landmarks), []
    for _ in range(200):
        begun = time.thread_time()
        finder(frame, landmarks, reference)
        times.append(1e3 * (time.thread_time() - begun))
    return float(np.median(times))
