"""A head's shape and motion from all frames of a clip at once, by bundle adjustment (Triggs et al. 2000).

FaceMesh guesses a landmark's depth from one picture. Here only the landmarks' places in the pictures count:
the shape and the motions are those that explain them best. The shape is drawn a little towards FaceMesh's,
since a head that hardly turns shows no depth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.moment_parts.heads import Eye, Pose, fitted
from correspondence import Landmarks
from reference.face.parts import face_size
from reference.face.view import RIGID

RIGID_MORE = (105, 334, 117, 346, 63, 293, 122, 351)  # brows, cheekbones, both sides of the bridge
SOLVED = tuple(dict.fromkeys(RIGID + RIGID_MORE))
HELD = (168, 6)  # the bridge, at which the fit begins
NOISE = 0.005  # error of a landmark in a picture; beyond twice this it counts less (Huber), face sizes
PRIOR = 0.02  # error of FaceMesh's guess of a place in space, face sizes
ROUNDS = 12

_Doubles = npt.NDArray[np.float64]


def bundled(
    first: Landmarks, eye: Eye, frames: Sequence[Landmarks | None]
) -> tuple[_Doubles, list[Pose | None]]:
    """Fit a head's shape and its motion to each frame.

    Args:
        first: landmarks of the reference, whose pose is held.
        eye: the reference's camera.
        frames: landmarks of each frame; None where there is no face.

    Returns:
        The reference's landmarks in space, float64 (478, 3), pixels; those of `SOLVED` are the shape found.
        The motions, None where there is no face.
    """
    size, points = face_size(first), eye.lifted(first)
    there = [seen for seen in frames if seen is not None]
    starts = [fitted(points, eye.lifted(seen), HELD) for seen in there]
    before = points[list(SOLVED)]
    middle = before.mean(axis=0)
    shape = before.copy()
    turns = np.stack([np.eye(3), *(pose.turn for pose in starts)])
    ends = np.stack([middle, *(_at_own_size(eye, pose, middle) for pose in starts)])
    seen = np.stack([each.points[list(SOLVED), :2] for each in (first, *there)]).astype(np.float64)
    for _ in range(ROUNDS):
        _improve(eye, size, before, middle, seen, shape, turns, ends)
    points = points.copy()
    points[list(SOLVED)] = shape
    found = iter([Pose(turn, 1.0, middle, end) for turn, end in zip(turns[1:], ends[1:], strict=True)])
    return points, [None if each is None else next(found) for each in frames]


def _at_own_size(eye: Eye, pose: Pose, point: _Doubles) -> _Doubles:
    """Where a point comes to if a change of size is a change of distance, (3,)."""
    there = pose.moved(point[None])[0]
    depth = (eye.distance + there[2]) / pose.scale - eye.distance
    return np.append(there[:2] * (eye.distance + depth) / (eye.distance + there[2]), depth)


def _improve(
    eye: Eye, size: float, before: _Doubles, middle: _Doubles, seen: _Doubles,
    shape: _Doubles, turns: _Doubles, ends: _Doubles,
) -> None:  # fmt: skip
    """Take one step of Gauss and Newton, in place: shape (N, 3), turns (T, 3, 3), ends (T, 3)."""
    count, frames = len(shape), len(turns)
    arms = np.einsum("tij,nj->tni", turns, shape - middle)
    placed = arms + ends[:, None]
    near = eye.distance / (eye.distance + placed[..., 2])
    left = (eye.middle + placed[..., :2] * near[..., None] - seen) / (NOISE * size)  # (T, N, 2)
    project = np.zeros((frames, count, 2, 3))  # derivative of a place in the picture by one in space
    project[..., 0, 0] = project[..., 1, 1] = near
    project[..., 2] = -placed[..., :2] * (near**2 / eye.distance)[..., None]
    project /= NOISE * size
    weight = np.sqrt(1 / np.maximum(1, 0.5 * np.linalg.norm(left, axis=2)))[..., None]  # Huber's
    by_shape = np.einsum("tnij,tjk->tnik", project, turns)
    across = np.zeros((frames, count, 3, 3))  # derivative of a place in space by a small turn
    for i, j, sign in ((0, 1, 1), (1, 2, 1), (2, 0, 1), (1, 0, -1), (2, 1, -1), (0, 2, -1)):
        across[..., i, j] = sign * arms[..., 3 - i - j]
    by_turn = np.einsum("tnij,tnjk->tnik", project, across)
    rows = np.zeros((frames, count, 2, 3 * count + 6 * frames))
    for n in range(count):
        rows[:, n, :, 3 * n : 3 * n + 3] = by_shape[:, n]
    for t in range(1, frames):  # the reference's own pose is held
        at = 3 * count + 6 * t
        rows[t, :, :, at : at + 6] = np.concatenate([by_turn[t], project[t]], axis=2)
    table = (rows * weight[..., None]).reshape(-1, rows.shape[-1])
    normal = table.T @ table + 1e-9 * np.eye(rows.shape[-1])
    right = table.T @ (left * weight).reshape(-1)
    own = np.arange(3 * count)
    normal[own, own] += 1 / (PRIOR * size) ** 2
    right[own] += ((shape - before) / (PRIOR * size) ** 2).reshape(-1)
    step = -np.linalg.solve(normal, right)
    shape += step[: 3 * count].reshape(-1, 3)
    for t in range(1, frames):
        turn, shift = step[3 * count + 6 * t :][:6].reshape(2, 3)
        turns[t] = _rotation(turn) @ turns[t]
        ends[t] += shift


def _rotation(vector: _Doubles) -> _Doubles:
    """Rotation about a vector by its length, radians (Rodrigues), (3, 3)."""
    angle = max(float(np.linalg.norm(vector)), 1e-12)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
