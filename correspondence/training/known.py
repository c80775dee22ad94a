"""Frames with a known or nearly known field, and a matcher's errors on them, to which its judge is fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.certainty.fit_judge import Samples
from correspondence.face import topology as topo
from correspondence.face.mesh import face_reference, landmark_field
from correspondence.geometry.grid import Float
from correspondence.geometry.region import GRID, Region, whole
from correspondence.matchers.choice import EVIDENCE
from correspondence.training import synthetic
from correspondence.types import Bool, Image, Landmarks

COVERED_ERROR = 8.0  # smallest error assumed for a covered cell, cells
HIDDEN_ERROR = 4.0  # the same for skin that the reference hides, whose place the mesh knows roughly
CELLS_PER_PAIR = 1200
MOST_YAW_DEG = 75.0
Generator = np.random.Generator
Finder = Callable[[Image, Landmarks | None], Landmarks | None]  # given the frame and its true landmarks


@dataclass(frozen=True, slots=True, eq=False)
class KnownFrame:
    """A frame made from a square picture of side S.

    Attributes:
        frame: the frame, uint8 (S, S, 3).
        field: the field from the frame to the picture, float32 (S, S, 2), pixels.
        cover: 1 where the frame shows what the picture does not show, float32 (S, S).
        landmarks: landmarks as they are known in the frame.
        covered_error: smallest error assumed for covered cells, cells of 256.
    """

    frame: Image
    field: Float
    cover: Float
    landmarks: Landmarks | None
    covered_error: float = COVERED_ERROR


@dataclass(frozen=True, slots=True, eq=False)
class MatchedFrame:
    """A matcher's result for a frame.

    Attributes:
        field: the field, float32 (N, N, 2), cells.
        features: the features that its judge weighs, each float32 (N / EVIDENCE, N / EVIDENCE).
        region: the region of the frame.
        reference: the region of the reference.
    """

    field: Float
    features: list[Float]
    region: Region
    reference: Region


def turned_pair(
    rng: Generator, image: Image, face: Landmarks | None, other: Image, find: Finder
) -> KnownFrame:
    """Make a frame with the face turned about the neck by FaceMesh's depth; without a face, a random warp.

    Skin that the picture does not show counts as covered, since neither flow nor landmarks can find it.
    """
    if face is None:
        return warped_pair(rng, image, face, other, find)
    side, square = image.shape[0], whole((image.shape[0], image.shape[0]))
    there = Landmarks(synthetic.turn_head(rng, face.points, MOST_YAW_DEG), face.image_size)
    driven = landmark_field(there, face_reference(face, square, side), square)
    frame = synthetic.spoil(rng, synthetic.relight(rng, synthetic.sample(image, driven.field)))
    hidden = (driven.inside & (driven.validity <= 0)).astype(np.float32)
    known = there if rng.random() < 0.5 else find(frame, there)
    return KnownFrame(frame, driven.field, hidden, known, HIDDEN_ERROR)


def warped_pair(
    rng: Generator, image: Image, face: Landmarks | None, other: Image, find: Finder, strength: float = 1.0
) -> KnownFrame:
    """Warp a picture at random. In half of all cases a part of another picture is laid over it.

    Args:
        rng: source of randomness.
        image: the picture, uint8 (S, S, 3).
        face: its landmarks; None without a face.
        other: the other picture, uint8 (S, S, 3).
        find: finds landmarks in the frame.
        strength: strength of the warp.
    """
    size = image.shape[0]
    field = np.asarray(synthetic.random_field(rng, 256) * np.float32(strength * size / 256), np.float32)
    field = np.asarray(cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
    carried = None if face is None else follow(field, face)
    frame = synthetic.sample(image, field)
    cover = np.zeros((size, size), np.float32)
    if rng.random() < 0.5:
        found = find(frame, carried)
        box = found.box if found else (size * 0.3, size * 0.3, size * 0.7, size * 0.7)
        frame, cover = synthetic.occlude(rng, frame, other, box)
    frame = synthetic.spoil(rng, synthetic.relight(rng, frame))
    return KnownFrame(frame, field, cover, find(frame, carried))


def follow(field: Float, face: Landmarks) -> Landmarks:
    """Move a picture's landmarks to where they lie in the frame that has this `field`."""
    moved = synthetic.follow_points(field, face.points[:, :2])
    return Landmarks(np.column_stack([moved, face.points[:, 2]]).astype(np.float32), face.image_size)


def at_cells(planes: list[Float], x: Float, y: Float) -> Float:
    """Sample each plane bilinearly at cells (x, y): float32 (S, planes)."""
    return np.stack(
        [
            cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).ravel()
            for plane in planes
        ],
        axis=1,
    )


def known_samples(rng: Generator, known: KnownFrame, seen: MatchedFrame) -> Samples:
    """Draw samples of a known field at random cells of the region."""
    cells = rng.uniform(0, seen.field.shape[0] - 1, (CELLS_PER_PAIR, 2)).astype(np.float32)
    return judged(_features_at(seen, cells), cells, seen.field, seen.region, seen.reference, known)


def judged(
    features: Float, cells: Float, field: Float, region: Region, reference: Region, known: KnownFrame
) -> Samples:
    """Return samples at cells of a field's grid, without those that do not count. Covered cells are wrong."""
    size, side = field.shape[0], known.field.shape[0]
    pixels = region.to_pixels(cells, size)
    x, y = pixels[:, :1], pixels[:, 1:]
    true = pixels + at_cells([known.field[..., 0], known.field[..., 1]], x, y)
    within = ((np.minimum(true, pixels) >= 0) & (true <= side - 1) & (pixels < side)).all(axis=1)
    errors = np.abs(_sent(field, cells) - reference.to_grid(true, size))
    cover = at_cells([known.cover], x, y)[:, 0]
    covered = cover > 0.5
    wrong = np.float32(known.covered_error * size / GRID)
    errors = np.where(covered[:, None], np.maximum(errors, wrong), errors)
    return _samples(features, errors, covered, within & ((cover < 0.1) | covered))


def landmark_samples(
    here: Landmarks, there: Landmarks, chosen: list[int], seen: MatchedFrame, weight: float
) -> Samples:
    """Return samples at landmarks that were withheld from a matcher. The truth is where they were detected.

    Args:
        here: detected landmarks of the frame.
        there: detected landmarks of the reference.
        chosen: numbers of the withheld landmarks.
        seen: the matcher's result from the other landmarks.
        weight: weight of each sample relative to a cell. A pair has 150.
    """
    size = seen.field.shape[0]
    cells = seen.region.to_grid(here.points[chosen, :2], size)
    errors = np.abs(_sent(seen.field, cells) - seen.reference.to_grid(there.points[chosen, :2], size))
    within = ((cells >= 0) & (cells <= size - 1)).all(axis=1)
    return _samples(_features_at(seen, cells), errors, np.zeros(len(cells), bool), within, weight)


def _features_at(seen: MatchedFrame, cells: Float) -> Float:
    """Sample features, which lie on a coarser grid, at cells of the field's grid: float32 (S, F)."""
    at = ((cells + 0.5) / EVIDENCE - 0.5).astype(np.float32)
    return at_cells(seen.features, at[:, :1], at[:, 1:])


def _sent(field: Float, cells: Float) -> Float:
    return cells + at_cells([field[..., 0], field[..., 1]], cells[:, :1], cells[:, 1:])


def _samples(features: Float, errors: Float, covered: Bool, counts: Bool, weight: float = 1.0) -> Samples:
    """Return the samples that count, all with one weight."""
    weights = np.full(int(counts.sum()), weight, np.float32)
    return Samples(features[counts], errors[counts].astype(np.float32), weights, covered[counts])


def withhold(
    frame: Landmarks, reference: Landmarks, every: int = 3, first: int = 0
) -> tuple[Landmarks, list[int]]:
    """Return the frame's landmarks with every n-th one moved as its neighbours in the mesh move."""
    triangles = topo.topology().triangles
    motion = frame.points - reference.points
    total, count = np.zeros((468, 3), np.float32), np.zeros((468, 1), np.float32)
    withheld = np.zeros(478, bool)
    withheld[first:468:every] = True
    for a, b in ((0, 1), (1, 2), (2, 0)):
        for tail, head in ((a, b), (b, a)):
            known = ~withheld[triangles[:, head]]
            np.add.at(total, triangles[known, tail], motion[triangles[known, head]])
            np.add.at(count, triangles[known, tail], 1)
    chosen = [int(index) for index in np.flatnonzero(withheld) if count[index] > 0]
    points = frame.points.copy()
    points[chosen] = reference.points[chosen] + total[chosen] / count[chosen]
    return Landmarks(points, frame.image_size), chosen
